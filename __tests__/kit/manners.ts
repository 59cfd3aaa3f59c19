import type { CommonOptions, HeartbeatConnection } from 'reconnecting-connection';

import { watch, withServers } from './lives';
import { connectTo, next, payload, payloads, written } from './loopback';
import { RealServer } from './real-servers';
import type { ServerName } from './server-recipes';

// Tests of refusals, idle timeouts and topics; each test file makes them for its servers.

const REFUSES = 'a server that refuses by its protocol is asked again until it agrees';

/** A server that refuses a client, and its error message. */
export interface Refusal {
  readonly name: ServerName;
  readonly client: CommonOptions;
  /** The settings with which it does so. */
  readonly refuses: readonly string[];
  readonly words: RegExp;
  /** The settings with which it lets the same client in. */
  readonly agrees: readonly string[];
}

/** Tests that a client that the server does not trust retries until it is trusted. */
export function testStranger({ name, client, refuses, words, agrees }: Refusal): void {
  describe(REFUSES, () => {
    withServers(name, [name], () => {
      test('because of who the client is', async () => {
        const server = await RealServer.start(name, refuses);
        const connection = connectTo(server, client);
        const fate = written(connection, 'PING\r\n');
        const { sessions } = watch(connection);
        const waits = await payloads(connection, 'backoff', 4);

        expect(waits.map(({ attempt, delay }) => [attempt, delay])).toEqual([
          [1, 10],
          [2, 20],
          [3, 40],
          [4, 40],
        ]);
        for (const { reason, error } of waits) {
          expect(reason).toBe('handshake-failed');
          expect(error).toMatchObject({ code: 'ERR_HANDSHAKE_FAILED' });
          expect(error?.message).toMatch(words);
        }
        expect(sessions()).toEqual([]);
        const opens = payload(connection, 'open');
        await server.restart(agrees);
        expect(await opens).toMatchObject({ generation: 1, reopened: false });
        expect(await fate).toBeUndefined();
      });
    });
  });
}

/** Tests that a client retries while the server is full. */
export function testCrowd({ name, client, refuses, words }: Omit<Refusal, 'agrees'>): void {
  describe(REFUSES, () => {
    withServers(name, [name], () => {
      test('for want of room', async () => {
        const server = await RealServer.start(name, refuses);
        const { insider, outsider, waits } = await crowd(server, client);
        const { sessions } = watch(outsider);

        expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40]);
        for (const { reason, error } of waits) {
          expect(reason).toBe('handshake-failed');
          expect(error?.message).toMatch(words);
        }
        const opens = payload(outsider, 'open');
        await insider.disconnect();
        expect(await opens).toMatchObject({ generation: 1 });
        expect(sessions()).toEqual(['open']);
      });
    });
  });
}

/** Lets clients in until one is refused three times on end: some servers have room for more than they were told. */
async function crowd(server: RealServer, client: CommonOptions) {
  let insider = connectTo(server, client);
  for (;;) {
    await insider.whenOpen();
    const outsider = connectTo(server, client);
    const opened = payload(outsider, 'open').then(() => undefined);
    const waits = await Promise.race([opened, payloads(outsider, 'backoff', 3)]);
    if (waits !== undefined) return { insider, outsider, waits };
    insider = outsider;
  }
}

/** A server that disconnects idle clients. */
export interface Idler {
  readonly name: ServerName;
  readonly settings: readonly string[];
  readonly client: CommonOptions;
  readonly ping: string | Buffer;
}

/** Tests that a client that was disconnected as idle comes back, and that a heartbeat keeps another connected. */
export function testIdler({ name, settings, client, ping }: Idler): void {
  describe('a server that puts idle clients out', () => {
    withServers(name, [name], () => {
      test('gets them back, and keeps one that has a heartbeat', async () => {
        const server = await RealServer.start(name, settings);
        const heartbeat = { interval: 150, timeout: 5_000, ping: (each: HeartbeatConnection) => void each.write(ping) };
        const lively = connectTo(server, { ...client, heartbeat });
        await lively.whenOpen();
        const idle = connectTo(server, client);
        const [reset] = await Promise.all([payload(idle, 'reset'), payloads(idle, 'open', 2)]);

        expect(reset).toMatchObject({ generation: 1, reason: 'peer-end', willRetry: true });
        expect(lively).toMatchObject({ state: 'open', generation: 1 });
        expect(lively.stats).toMatchObject({ resets: 0 });
      });
    });
  });
}

/** A server through which clients send each other messages. */
export interface Topic {
  readonly name: ServerName;
  readonly settings: readonly string[];
  readonly client: CommonOptions;
  readonly subscribe: string | Buffer;
  readonly publish: (text: string) => string | Buffer;
  /** The text of a message that was published. */
  readonly textOf: (message: unknown) => string | undefined;
}

/** Tests that what was written while the server was down reaches a client that subscribes anew in each session. */
export function testTopic({ name, settings, client, subscribe, publish, textOf }: Topic): void {
  describe('writes made while the server was down', () => {
    withServers(name, [name], () => {
      test('is heard by a client that subscribes in `open`, for that goes out first', async () => {
        const server = await RealServer.start(name, settings);
        const connection = connectTo(server, client);
        const texts: string[] = [];
        connection.on('open', () => connection.write(subscribe));
        connection.on('message', (message) => texts.push(...[textOf(message)].filter((text) => text !== undefined)));
        await connection.whenOpen();
        const expected: string[] = [];
        for (const how of ['stop', 'SIGKILL', 'stop']) {
          const down = payload(connection, 'backoff');
          await (how === 'stop' ? server.stop() : server.kill('SIGKILL'));
          await down;
          for (let count = 0; count < 50; count++) {
            expected.push(`${how}-${expected.length}`);
            connection.write(publish(expected.at(-1)!));
          }
          const heard = next(connection, 'message', (message) => textOf(message) === expected.at(-1));
          await server.restart();
          await heard;
        }

        expect(texts).toEqual(expected);
      });
    });
  });
}
