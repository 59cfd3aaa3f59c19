import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Duplex, Transform } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import {
  type BackoffInfo,
  type ConnectionOptions,
  type Handshake,
  type HeartbeatConnection,
  type ReconnectingConnection,
  ConnectionPool,
} from 'reconnecting-connection';

import { type Certificates, type Pair, makeCertificates } from './kit/certificates';
import { Loopback, connectTo, next, payload, payloads, run, track, written } from './kit/loopback';
import { type ServerName, RealServer, forgetCluster, missing } from './kit/real-servers';
import { names, record } from './kit/record';

// What a protocol is made of.

/** The frame at the start of `bytes`, and how long it is; undefined while it is not complete. */
type Parse<Frame> = (bytes: Buffer) => readonly [frame: Frame, length: number] | undefined;

/** Frames as a connection's messages. */
function decoderOf<Frame>(parse: Parse<Frame>): () => Transform {
  return () => {
    let rest: Buffer = Buffer.alloc(0);
    return new Transform({
      readableObjectMode: true,
      transform(chunk: Buffer, _encoding, done) {
        rest = Buffer.concat([rest, chunk]);
        for (let found = parse(rest); found !== undefined; found = parse(rest)) {
          this.push(found[0]);
          rest = rest.subarray(found[1]);
        }
        done();
      },
    });
  };
}

/** Reads one frame in a handshake, and leaves what follows it. */
async function read<Frame>(socket: Duplex, parse: Parse<Frame>, signal: AbortSignal): Promise<Frame> {
  let received: Buffer = Buffer.alloc(0);
  for (;;) {
    // `as`: a socket's data are buffers.
    const [chunk] = (await once(socket, 'data', { signal })) as [Buffer];
    received = Buffer.concat([received, chunk]);
    const found = parse(received);
    if (found === undefined) continue;
    if (received.length > found[1]) socket.unshift(received.subarray(found[1]));
    return found[0];
  }
}

/** The first message that `holds`, once `ask` was written. */
async function answer<Frame>(
  connection: ReconnectingConnection<Frame>,
  ask: string | Buffer,
  holds: (frame: Frame) => boolean,
): Promise<Frame> {
  const told = payload(connection, 'message', holds);
  connection.write(ask);
  return told;
}

// Redis: https://redis.io/docs/latest/develop/reference/protocol-spec/

/** A refusal, as a server words it. */
interface Refused {
  readonly refused: string;
}

type Reply = string | number | null | Refused | readonly Reply[];

const parseReply: Parse<Reply> = (bytes) => {
  const end = bytes.indexOf('\r\n');
  if (end < 0) return undefined;
  const type = String.fromCharCode(bytes[0]!);
  const head = bytes.toString('latin1', 1, end);
  let length = end + 2;
  switch (type) {
    case '+':
      return [head, length];
    case '-':
      return [{ refused: head }, length];
    case ':':
      return [Number(head), length];
    case '_':
      return [null, length];
    case '$':
    case '=': {
      const stop = length + Number(head);
      // A text that is meant for people begins with the name of its format.
      const start = type === '$' ? length : length + 'txt:'.length;
      return bytes.length < stop + 2 ? undefined : [bytes.toString('utf8', start, stop), stop + 2];
    }
    case '*':
    case '>':
    case '%': {
      const items: Reply[] = [];
      const count = type === '%' ? 2 * Number(head) : Number(head);
      while (items.length < count) {
        const found = parseReply(bytes.subarray(length));
        if (found === undefined) return undefined;
        items.push(found[0]);
        length += found[1];
      }
      return [items, length];
    }
    default:
      throw new Error(`Redis sent a type that was not expected: ${type}`);
  }
};

const isRefused = (reply: Reply): reply is Refused => typeof reply === 'object' && reply !== null && 'refused' in reply;

/** Says who we are, and asks for the third version of the protocol, in which messages may come between replies. */
const greetRedis =
  (password?: string): Handshake =>
  async (socket, { signal }) => {
    for (const command of [...(password === undefined ? [] : [`AUTH ${password}`]), 'HELLO 3', 'PING']) {
      socket.write(`${command}\r\n`);
      const reply = await read(socket, parseReply, signal);
      if (isRefused(reply)) throw new Error(reply.refused);
    }
  };

const speakRedis = (password?: string): ConnectionOptions => ({
  handshake: greetRedis(password),
  decoder: decoderOf(parseReply),
});

/** What Redis replies to one command, while no other is under way. */
const ask = (connection: ReconnectingConnection<Reply>, command: string) =>
  answer(connection, `${command}\r\n`, () => true);

// NATS: https://docs.nats.io/reference/reference-protocols/nats-protocol

interface Line {
  readonly verb: string;
  readonly rest: string;
  readonly body?: string;
}

const parseLine: Parse<Line> = (bytes) => {
  const end = bytes.indexOf('\r\n');
  if (end < 0) return undefined;
  const [verb = '', ...words] = bytes.toString('utf8', 0, end).split(' ');
  const rest = words.join(' ');
  if (verb !== 'MSG') return [{ verb, rest }, end + 2];
  const stop = end + 2 + Number(words.at(-1));
  if (bytes.length < stop + 2) return undefined;
  return [{ verb, rest, body: bytes.toString('utf8', end + 2, stop) }, stop + 2];
};

const isDelivered = ({ verb }: Line) => verb === 'MSG';

/** Hears who the server is, says who we are, and knows by the PONG that it was accepted. */
const greetNats =
  (token?: string): Handshake =>
  async (socket, { signal }) => {
    const info = await read(socket, parseLine, signal);
    if (info.verb !== 'INFO') throw new Error(`${info.verb} ${info.rest}`);
    const who = { verbose: false, pedantic: false, ...(token !== undefined && { auth_token: token }) };
    socket.write(`CONNECT ${JSON.stringify(who)}\r\nPING\r\n`);
    const line = await read(socket, parseLine, signal);
    if (line.verb !== 'PONG') throw new Error(`${line.verb} ${line.rest}`);
  };

const speakNats = (token?: string): ConnectionOptions => ({
  handshake: greetNats(token),
  decoder: decoderOf(parseLine),
});

// MQTT 3.1.1: https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html

interface Packet {
  readonly type: number;
  readonly body: Buffer;
}

const CONNACK = 2;
const PUBLISH = 3;
const PINGRESP = 13;
const PINGREQ = Buffer.from([0xc0, 0]);

const parsePacket: Parse<Packet> = (bytes) => {
  let length = 0;
  for (let index = 1; index < bytes.length; index++) {
    length += (bytes[index]! & 0x7f) << (7 * (index - 1));
    if (bytes[index]! >= 0x80) continue;
    const end = index + 1 + length;
    return bytes.length < end ? undefined : [{ type: bytes[0]! >> 4, body: bytes.subarray(index + 1, end) }, end];
  }
  return undefined;
};

/** A packet of fewer than 128 bytes. */
const packet = (head: number, ...parts: (readonly number[] | Buffer)[]): Buffer => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([Buffer.from([head, body.length]), body]);
};

/** A text with its length before it. */
const field = (text: string): Buffer => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)]);

/** Asks for a clean session, which the server ends when it hears nothing for one and a half times `keepAlive` seconds. */
const greetMqtt =
  (keepAlive = 0): Handshake =>
  async (socket, { signal }) => {
    socket.write(packet(0x10, field('MQTT'), [4, 0b10, 0, keepAlive], field('')));
    const { type, body } = await read(socket, parsePacket, signal);
    if (type !== CONNACK || body[1] !== 0) throw new Error(`CONNACK ${body[1]}`);
  };

const speakMqtt = (keepAlive?: number): ConnectionOptions => ({
  handshake: greetMqtt(keepAlive),
  decoder: decoderOf(parsePacket),
});

// PostgreSQL: https://www.postgresql.org/docs/15/protocol.html

interface Message {
  readonly type: string;
  readonly body: Buffer;
}

const parseMessage: Parse<Message> = (bytes) => {
  if (bytes.length < 5) return undefined;
  const end = 1 + bytes.readInt32BE(1);
  if (bytes.length < end) return undefined;
  return [{ type: String.fromCharCode(bytes[0]!), body: bytes.subarray(5, end) }, end];
};

/** The code and the words of an error. */
const complaint = ({ body }: Message): string => {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .map((text) => [text.charAt(0), text.slice(1)]),
  );
  return `${fields.get('C')}: ${fields.get('M')}`;
};

const sized = (head: string, body: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(head), length, body]);
};

const greetPostgres: Handshake = async (socket, { signal }) => {
  const version = Buffer.from([0, 3, 0, 0]);
  socket.write(sized('', Buffer.concat([version, Buffer.from('user\0postgres\0database\0postgres\0\0')])));
  let trusted = false;
  for (;;) {
    const message = await read(socket, parseMessage, signal);
    if (message.type === 'E') throw new Error(complaint(message));
    if (message.type === 'R') trusted = message.body.readInt32BE(0) === 0;
    if (message.type !== 'Z') continue;
    if (!trusted) throw new Error('Ready without AuthenticationOk');
    return;
  }
};

const speakPostgres: ConnectionOptions = { handshake: greetPostgres, decoder: decoderOf(parseMessage) };

const query = (text: string): Buffer => sized('Q', Buffer.from(`${text}\0`));

/** The one value that a query gives. */
async function select(connection: ReconnectingConnection<Message>, text: string): Promise<string> {
  const row = await answer(connection, query(text), ({ type }) => type === 'D');
  // A count of columns and the length of the first come before it.
  return row.body.toString('utf8', 6);
}

// What the tests share.

/** A describe for what needs these servers: skipped, with the reason, where one is not there. */
function withServers(title: string, servers: readonly ServerName[], body: () => void): void {
  const reasons = servers.map(missing).filter((reason) => reason !== undefined);
  if (reasons.length === 0) describe(title, body);
  else describe.skip(`${title} (skipped: ${reasons.join(', ')})`, body);
}

let certificates: Certificates;

beforeAll(async () => {
  certificates = await makeCertificates();
});

afterAll(forgetCluster);

/** A server that stands before another. */
const startHaproxy = (backend: number, ...settings: string[]) =>
  RealServer.start('haproxy', [...settings, `  server back 127.0.0.1:${backend}`]);

/** The same with TLS. The certificate is in a file, where another may be put. */
const startStunnel = (backend: number, pair: Pair = certificates.server, ...settings: string[]) =>
  RealServer.start('stunnel', [`connect = 127.0.0.1:${backend}`, 'cert = pair', ...settings], pem(pair));

const pem = ({ cert, key }: Pair) => ({ pair: `${cert}\n${key}` });

/** A kind of server, and a client of it. */
interface Scene {
  readonly title: string;
  readonly servers: readonly ServerName[];
  /** What is ended and started again in a test, and what a client needs. */
  readonly start: () => Promise<{ readonly server: RealServer; readonly options: ConnectionOptions }>;
  /** Asks for something and returns the answer. */
  readonly exchange: (connection: ReconnectingConnection) => Promise<unknown>;
  readonly answer: unknown;
  /** What a heartbeat asks. */
  readonly ping: string | Buffer;
}

const redisScene = {
  exchange: (connection: ReconnectingConnection) => answer(connection, 'ECHO hello\r\n', (reply) => reply !== 'PONG'),
  answer: 'hello',
  ping: 'PING\r\n',
};

const scenes: readonly Scene[] = [
  {
    ...redisScene,
    title: 'Redis',
    servers: ['redis'],
    async start() {
      const server = await RealServer.start('redis', ['requirepass secret']);
      return { server, options: { ...server.target, ...speakRedis('secret') } };
    },
  },
  {
    ...redisScene,
    title: 'Redis on a Unix socket',
    servers: ['redis'],
    async start() {
      const server = await RealServer.start('redis');
      return { server, options: { path: join(server.directory, 'socket'), ...speakRedis() } };
    },
  },
  {
    ...redisScene,
    title: 'Redis behind HAProxy',
    servers: ['redis', 'haproxy'],
    async start() {
      const { port } = await RealServer.start('redis');
      const server = await startHaproxy(port);
      return { server, options: { ...server.target, ...speakRedis() } };
    },
  },
  {
    ...redisScene,
    title: 'Redis behind stunnel',
    servers: ['redis', 'stunnel'],
    async start() {
      const { port } = await RealServer.start('redis');
      const server = await startStunnel(port);
      return { server, options: { ...server.target, ...speakRedis(), tls: { ca: certificates.ca.cert } } };
    },
  },
  {
    title: 'NATS',
    servers: ['nats'],
    async start() {
      const server = await RealServer.start('nats', ['authorization { token: "secret" }']);
      return { server, options: { ...server.target, ...speakNats('secret') } };
    },
    exchange: (connection) => answer(connection, 'SUB hello 7\r\nPUB hello 2\r\nhi\r\nUNSUB 7\r\n', isDelivered),
    answer: { verb: 'MSG', rest: 'hello 7 2', body: 'hi' },
    ping: 'PING\r\n',
  },
  {
    title: 'Mosquitto',
    servers: ['mosquitto'],
    async start() {
      const server = await RealServer.start('mosquitto', ['allow_anonymous true']);
      return { server, options: { ...server.target, ...speakMqtt() } };
    },
    exchange: (connection) => answer(connection, PINGREQ, ({ type }: Packet) => type === PINGRESP),
    answer: { type: PINGRESP, body: Buffer.alloc(0) },
    ping: PINGREQ,
  },
  {
    title: 'PostgreSQL',
    servers: ['postgres'],
    async start() {
      const server = await RealServer.start('postgres');
      return { server, options: { ...server.target, ...speakPostgres } };
    },
    exchange: (connection) => select(connection, 'select 1'),
    answer: '1',
    ping: query(''),
  },
];

/** Sees sessions out of `connection`, and what ended each of them. */
function watch(connection: ReconnectingConnection): {
  readonly heard: ReturnType<typeof record>;
  sessions(): string[];
} {
  const heard = record(connection, ['open', 'reset', 'backoff', 'drop', 'state', 'close']);
  return { heard, sessions: () => names(heard.filter(([event]) => ['open', 'reset', 'close'].includes(event))) };
}

const LOST = /^(?:peer-end|error)$/;

for (const { title, servers, start, exchange, answer: expected, ping } of scenes) {
  withServers(`a client of ${title}`, servers, () => {
    test('comes back each time the server is stopped or killed, and says nothing after disconnect()', async () => {
      const { server, options } = await start();
      const greeted: number[] = [];
      const connection = connectTo(
        { target: options },
        {
          async handshake(socket, context) {
            await options.handshake?.(socket, context);
            greeted.push(context.generation);
          },
        },
      );
      const { heard, sessions } = watch(connection);
      expect(await payload(connection, 'open')).toMatchObject({ generation: 1, reopened: false });
      expect(await exchange(connection)).toEqual(expected);

      for (const [index, signal] of [undefined, 'SIGKILL', undefined, 'SIGKILL'].entries()) {
        const generation = index + 1;
        connection.markHealthy();
        const lost = payload(connection, 'reset');
        const waits = payload(connection, 'backoff');
        const back = payload(connection, 'open');
        await (signal === undefined ? server.stop() : server.kill('SIGKILL'));
        const { reason, ...rest } = await lost;
        expect(reason).toMatch(LOST);
        expect(rest).toMatchObject({ generation, willRetry: true, uncertain: { writes: 0, bytes: 0 } });
        expect(await waits).toMatchObject({ attempt: 1, reason });
        await server.restart();
        expect(await back).toMatchObject({ generation: generation + 1, reopened: true });
        expect(await exchange(connection)).toEqual(expected);
      }

      expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
      const session = ['open', 'reset'];
      expect(sessions()).toEqual([...session, ...session, ...session, ...session, ...session, 'close']);
      expect(greeted).toEqual([1, 2, 3, 4, 5]);
      const before = heard.length;
      await server.restart();
      await server.stop();
      expect(heard).toHaveLength(before);
      expect(connection.stats).toMatchObject({ state: 'closed' });
    });

    if (servers.includes('postgres')) return;

    test('finds by its heartbeat that the server stands still, and comes back when it goes on', async () => {
      const { server, options } = await start();
      const connection = connectTo(
        { target: options },
        {
          connectTimeout: 500,
          heartbeat: { interval: 100, timeout: 600, ping: (each) => each.write(ping) },
        },
      );
      const { sessions } = watch(connection);
      await connection.whenOpen();
      expect(await exchange(connection)).toEqual(expected);
      const lost = payload(connection, 'reset');
      const unanswered = payload(connection, 'backoff', ({ reason }) => reason !== 'heartbeat');
      await server.kill('SIGSTOP');

      expect(await lost).toMatchObject({ generation: 1, reason: 'heartbeat', error: { code: 'ERR_HEARTBEAT' } });
      expect(await unanswered).toMatchObject({ reason: 'connect-timeout', error: { code: 'ERR_CONNECT_TIMEOUT' } });
      const back = payload(connection, 'open');
      await server.kill('SIGCONT');
      expect(await back).toMatchObject({ generation: 2, reopened: true });
      expect(await exchange(connection)).toEqual(expected);
      expect(sessions()).toEqual(['open', 'reset', 'open']);
    });
  });
}

describe('a server that refuses by its protocol is asked again until it agrees', () => {
  interface Refusal {
    readonly name: ServerName;
    readonly client: ConnectionOptions;
    readonly refuses: readonly string[];
    readonly words: RegExp;
    readonly agrees: readonly string[];
  }

  const refusals: readonly Refusal[] = [
    {
      name: 'redis',
      client: speakRedis('secret'),
      refuses: ['requirepass other'],
      words: /WRONGPASS/,
      agrees: ['requirepass secret'],
    },
    {
      name: 'nats',
      client: speakNats('secret'),
      refuses: ['authorization { token: "other" }'],
      words: /-ERR 'Authorization Violation'/,
      agrees: ['authorization { token: "secret" }'],
    },
    {
      name: 'mosquitto',
      client: speakMqtt(),
      refuses: ['allow_anonymous false'],
      words: /CONNACK 5/,
      agrees: ['allow_anonymous true'],
    },
  ];

  for (const { name, client, refuses, words, agrees } of refusals) {
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
  }

  const crowds: readonly Omit<Refusal, 'agrees'>[] = [
    { name: 'redis', client: speakRedis(), refuses: ['maxclients 1'], words: /max number of clients reached/ },
    {
      name: 'nats',
      client: speakNats(),
      refuses: ['max_connections: 1'],
      words: /-ERR 'maximum connections exceeded'/,
    },
    {
      name: 'mosquitto',
      client: speakMqtt(),
      refuses: ['allow_anonymous true', 'max_connections 1'],
      // It hangs up without a word, and perhaps without having read ours.
      words: /closed the connection before it was open|ECONNRESET/,
    },
    {
      name: 'postgres',
      client: speakPostgres,
      refuses: ['max_connections = 1'],
      words: /53300: sorry, too many clients already/,
    },
  ];

  for (const { name, client, refuses, words } of crowds) {
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
  }

  /** Lets clients in until one is refused three times on end: some servers have room for more than they were told. */
  async function crowd(server: RealServer, client: ConnectionOptions) {
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
});

describe('a server that puts idle clients out', () => {
  interface Idler {
    readonly name: ServerName;
    readonly settings: readonly string[];
    readonly client: ConnectionOptions;
    readonly ping: string | Buffer;
  }

  const idlers: readonly Idler[] = [
    { name: 'redis', settings: ['timeout 1'], client: speakRedis(), ping: 'PING\r\n' },
    {
      name: 'nats',
      settings: ['ping_interval: "300ms"', 'ping_max: 1'],
      client: speakNats(),
      // It asks by itself, and takes any PONG for an answer.
      ping: 'PONG\r\n',
    },
    { name: 'mosquitto', settings: ['allow_anonymous true'], client: speakMqtt(1), ping: PINGREQ },
    { name: 'postgres', settings: ['idle_session_timeout = 500'], client: speakPostgres, ping: query('') },
  ];

  for (const { name, settings, client, ping } of idlers) {
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
  }
});

describe('what was written while the server was down', () => {
  withServers('Redis', ['redis'], () => {
    test.each(['stop', 'SIGKILL'])('arrives once and in order (%s)', async (how) => {
      const server = await RealServer.start('redis');
      const connection = connectTo<Reply>(server, speakRedis());
      await connection.whenOpen();
      const replies: Reply[] = [];
      connection.on('message', (reply) => replies.push(reply));
      const down = payload(connection, 'backoff');
      await (how === 'stop' ? server.stop() : server.kill('SIGKILL'));
      await down;
      const fates = Array.from({ length: 200 }, () => written(connection, 'INCR count\r\n'));
      const done = next(connection, 'message', (reply) => reply === 200);
      await server.restart();
      await done;

      expect(replies).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
      expect(await Promise.all(fates)).toEqual(Array.from({ length: 200 }, () => undefined));
      expect(await ask(connection, 'GET count')).toBe('200');
    });

    test('is never there twice, whenever the server is killed; and what was answered is there', async () => {
      const server = await RealServer.start('redis', ['appendonly yes', 'appendfsync always']);
      const connection = connectTo<Reply>(server, speakRedis());
      const told: (Error | null | undefined)[][] = [];
      const send = () => {
        const calls: (Error | null | undefined)[] = [];
        connection.write(`HINCRBY seen ${told.push(calls)} 1\r\n`, (error) => calls.push(error));
      };
      const replies: Reply[] = [];
      const onReply = (reply: Reply) => {
        replies.push(reply);
        send();
      };
      connection.on('message', onReply);
      for (let round = 0; round < 3; round++) {
        await connection.whenOpen();
        const busy = payloads(connection, 'message', 50);
        for (let count = 0; count < 5; count++) send();
        await busy;
        const lost = payload(connection, 'reset');
        const back = payload(connection, 'open');
        await server.kill('SIGKILL');
        await lost;
        send();
        await server.restart();
        await back;
      }
      connection.off('message', onReply).on('message', (reply) => typeof reply === 'number' && replies.push(reply));
      const seen = await answer(connection, 'HVALS seen\r\n', (reply) => Array.isArray(reply));

      expect(new Set(replies)).toEqual(new Set([1]));
      expect(new Set(seen as Reply[])).toEqual(new Set(['1']));
      expect((seen as Reply[]).length).toBeGreaterThanOrEqual(replies.length);
      expect(told.filter((calls) => calls.length !== 1)).toEqual([]);
      const failed = told.flat().filter((error) => error instanceof Error);
      expect(failed).toEqual(failed.map(() => expect.objectContaining({ code: 'ERR_DELIVERY_UNCERTAIN' }) as Error));
      expect(connection.stats).toMatchObject({ generation: 4, resets: 3 });
    });
  });

  interface Topic {
    readonly name: ServerName;
    readonly settings: readonly string[];
    readonly client: ConnectionOptions;
    readonly subscribe: string | Buffer;
    readonly publish: (text: string) => string | Buffer;
    /** The text of a message that was published. */
    readonly textOf: (message: unknown) => string | undefined;
  }

  // `as` in these: what the protocol's own decoder puts out.
  const topics: readonly Topic[] = [
    {
      name: 'redis',
      settings: [],
      client: speakRedis(),
      subscribe: 'SUBSCRIBE news\r\n',
      publish: (text) => `PUBLISH news ${text}\r\n`,
      textOf(message) {
        const [kind, , text] = Array.isArray(message) ? (message as string[]) : [];
        return kind === 'message' ? text : undefined;
      },
    },
    {
      name: 'nats',
      settings: [],
      client: speakNats(),
      subscribe: 'SUB news 1\r\n',
      publish: (text) => `PUB news ${text.length}\r\n${text}\r\n`,
      textOf: (message) => (message as Line).body,
    },
    {
      name: 'mosquitto',
      settings: ['allow_anonymous true'],
      client: speakMqtt(),
      subscribe: packet(0x82, [0, 1], field('news'), [0]),
      publish: (text) => packet(0x30, field('news'), Buffer.from(text)),
      textOf(message) {
        const { type, body } = message as Packet;
        return type === PUBLISH ? body.toString('utf8', 6) : undefined;
      },
    },
  ];

  for (const { name, settings, client, subscribe, publish, textOf } of topics) {
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
  }
});

withServers('a client of Redis', ['redis'], () => {
  test('comes back when the server has killed it, and no other is disturbed', async () => {
    const server = await RealServer.start('redis');
    const [victim, other] = [connectTo<Reply>(server, speakRedis()), connectTo<Reply>(server, speakRedis())];
    await Promise.all([victim.whenOpen(), other.whenOpen()]);
    const id = Number(await ask(victim, 'CLIENT ID'));
    const { sessions } = watch(victim);
    const back = payload(victim, 'open');
    expect(await ask(other, `CLIENT KILL ID ${id}`)).toBe(1);

    expect(await back).toMatchObject({ generation: 2, reopened: true });
    expect(await ask(victim, 'CLIENT ID')).toBeGreaterThan(id);
    expect(sessions()).toEqual(['reset', 'open']);
    expect(other.stats).toMatchObject({ generation: 1, resets: 0 });
  });

  test('finds by `idleTimeout` that the server stands still', async () => {
    const server = await RealServer.start('redis');
    const connection = connectTo<Reply>(server, {
      ...speakRedis(),
      idleTimeout: 800,
      heartbeat: { interval: 100, timeout: 20_000, ping: (each) => each.write('PING\r\n') },
    });
    await payloads(connection, 'message', 10);
    const lost = payload(connection, 'reset');
    await server.kill('SIGSTOP');
    expect(await lost).toMatchObject({ generation: 1, reason: 'idle', error: { code: 'ERR_IDLE' } });
    await server.kill('SIGCONT');
    expect(await connection.whenOpen()).toMatchObject({ generation: 2 });
  });

  test('does not take the server for healthy when it accepts, complains of too many clients and hangs up', async () => {
    const server = await RealServer.start('redis', ['maxclients 1']);
    const first = connectTo(server, speakRedis());
    await first.whenOpen();
    const second = connectTo(server, { backoff: { initialDelay: 10, maxDelay: 80, jitter: 'none' } });
    const waits = await payloads(second, 'backoff', 5);

    expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80, 80]);
    expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5]);
  });

  test('comes back with all the other members of its pool', async () => {
    const server = await RealServer.start('redis');
    const pool = track(new ConnectionPool({ backoff: { initialDelay: 10, maxDelay: 40 }, ...speakRedis() }));
    const opened = payloads(pool, 'open', 10);
    for (let count = 0; count < 10; count++) pool.add(server.target);
    await opened;
    const heard = record(pool, ['open', 'reset']);
    const ways = [() => server.restart(), () => server.kill('SIGKILL').then(() => server.restart()), killClients];
    for (const [index, way] of ways.entries()) {
      const back = payloads(pool, 'open', 10);
      await way();
      expect((await back).map(({ generation }) => generation)).toEqual(Array.from({ length: 10 }, () => index + 2));
      expect(pool.stats).toMatchObject({ total: 10, open: 10 });
      const pongs = payloads(pool, 'message', 10);
      expect(pool.broadcast('PING\r\n')).toBe(10);
      expect(await pongs).toEqual(Array.from({ length: 10 }, () => 'PONG'));
    }

    expect(names(heard).filter((event) => event === 'reset')).toHaveLength(30);

    async function killClients(): Promise<void> {
      const admin = connectTo<Reply>(server, speakRedis());
      await admin.whenOpen();
      expect(await ask(admin, 'CLIENT KILL TYPE normal')).toBe(10);
      await admin.disconnect();
    }
  });

  test('lets its process end after disconnect()', async () => {
    const server = await RealServer.start('redis');
    const admin = connectTo<Reply>(server, speakRedis());
    await admin.whenOpen();
    // Answered when the other is there.
    const there = ask(admin, 'BLPOP there 0');
    const ran = run(`
      const heartbeat = { interval: 50, timeout: 10_000, ping: (each) => each.write('PING\\r\\n') };
      const connection = new ReconnectingConnection({ ...QUICK, port: ${server.port}, heartbeat });
      const next = (event) => new Promise((resolve) => connection.once(event, resolve));
      connection.on('open', ({ generation }) => {
        say(generation);
        connection.write('RPUSH there here\\r\\n');
      });
      (async () => {
        await next('data');
        await next('open');
        await next('data');
        await connection.disconnect();
        const from = performance.now();
        process.on('exit', () => say(performance.now() - from < 1_000));
      })();
    `);
    expect(await there).toEqual(['there', 'here']);
    await server.restart();

    expect(await ran).toMatchObject({ code: 0, said: [1, 2, true], stderr: '' });
    await admin.whenOpen();
    expect(await ask(admin, 'CLIENT LIST TYPE normal')).toMatch(/^id=.*\n$/);
    // It compiles the library first.
  }, 60_000);
});

const GROWING = { backoff: { initialDelay: 10, maxDelay: 160, jitter: 'none' } } as const;

/** Says of each wait that it came after a session that the server had ended, and grew. */
async function expectGrowth(connection: ReconnectingConnection): Promise<void> {
  const { sessions } = watch(connection);
  const waits: BackoffInfo[] = await payloads(connection, 'backoff', 6);
  expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80, 160, 160]);
  expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
  for (const { reason } of waits) expect(reason).toMatch(LOST);
  expect(sessions()).toEqual(Array.from({ length: 6 }, () => ['open', 'reset']).flat());
}

/** A port where nobody listens, until `restart()`. */
async function absent(): Promise<Loopback> {
  const backend = await Loopback.start({ echo: true });
  backend.refuse();
  return backend;
}

withServers('HAProxy', ['haproxy'], () => {
  test.each<[string, string[]]>([
    ['at once', []],
    ['after it has tried again', ['  retries 2', '  timeout connect 100ms']],
  ])(
    'hangs up for want of a backend (%s), and is not taken for healthy until the backend is there',
    async (_when, settings) => {
      const backend = await absent();
      const server = await startHaproxy(backend.port, ...settings);
      const connection = connectTo(server, GROWING);
      await expectGrowth(connection);
      await backend.restart();
      connection.once('open', () => connection.write('hello'));
      await backend.gets('hello');
      expect(connection.state).toBe('open');

      connection.markHealthy();
      const wait = payload(connection, 'backoff');
      backend.drop();
      expect(await wait).toMatchObject({ attempt: 1, delay: 10, reason: 'peer-end' });
    },
  );
});

withServers('a client of Redis behind HAProxy', ['redis', 'haproxy'], () => {
  test('fails in its handshake while Redis is down, and opens when it is back', async () => {
    const redis = await RealServer.start('redis');
    const server = await startHaproxy(redis.port);
    const connection = connectTo<Reply>(server, { ...GROWING, ...speakRedis() });
    await connection.whenOpen();
    connection.markHealthy();
    const waits = payloads(connection, 'backoff', 5);
    await redis.kill('SIGKILL');
    const [lost, ...failed] = await waits;

    expect(lost?.reason).toMatch(LOST);
    expect(failed.map(({ reason }) => reason)).toEqual(Array.from({ length: 4 }, () => 'handshake-failed'));
    const back = payload(connection, 'open');
    await redis.restart();
    expect(await back).toMatchObject({ generation: 2, reopened: true });
    expect(await ask(connection, 'ECHO back')).toBe('back');
  });
});

withServers('stunnel', ['stunnel'], () => {
  const serial = (connection: ReconnectingConnection) =>
    // `as`: with the `tls` option, it is one.
    (connection.socket as TLSSocket).getPeerX509Certificate()?.serialNumber;
  const tls = () => ({ tls: { ca: certificates.ca.cert } });

  test('shows its new certificate after a restart, and is refused while it shows a wrong one', async () => {
    const backend = await Loopback.start({ echo: true });
    const server = await startStunnel(backend.port);
    const connection = connectTo(server, tls());
    await connection.whenOpen();
    expect(serial(connection)).toBe(new X509Certificate(certificates.server.cert).serialNumber);

    const refused = payload(connection, 'backoff', ({ error }) => error?.code === 'ERR_TLS_CERT_ALTNAME_INVALID');
    await server.kill('SIGKILL');
    await server.restart(undefined, pem(certificates.wrongHost));
    expect(await refused).toMatchObject({ reason: 'error' });
    expect(connection.generation).toBe(1);

    const untrusted = payload(connection, 'backoff', ({ error }) => error?.code === 'DEPTH_ZERO_SELF_SIGNED_CERT');
    await server.restart(undefined, pem(certificates.selfSigned));
    expect(await untrusted).toMatchObject({ reason: 'error' });

    connection.write('waited');
    await server.restart(undefined, pem(certificates.rotated));
    await backend.gets('waited');
    expect(connection).toMatchObject({ state: 'open', generation: 2 });
    expect(serial(connection)).toBe(new X509Certificate(certificates.rotated.cert).serialNumber);
  });

  test('hangs up for want of a backend, and is not taken for healthy until the backend is there', async () => {
    const backend = await absent();
    const server = await startStunnel(backend.port);
    const connection = connectTo(server, { ...GROWING, ...tls() });
    await expectGrowth(connection);
    await backend.restart();
    connection.once('open', () => connection.write('hello'));
    await backend.gets('hello');
    expect(connection.state).toBe('open');
  });

  test('finds a client to have no certificate after it has connected, and is not taken for healthy', async () => {
    const backend = await Loopback.start({ echo: true });
    const settings = [`connect = 127.0.0.1:${backend.port}`, 'cert = pair', 'verifyChain = yes', 'CAfile = ca'];
    const files = { ...pem(certificates.server), ca: certificates.ca.cert };
    const server = await RealServer.start('stunnel', settings, files);
    const stranger = connectTo(server, { ...GROWING, ...tls() });
    await expectGrowth(stranger);
    const friend = connectTo(server, { tls: { ...tls().tls, ...certificates.client } });
    friend.write('hello');
    await backend.gets('hello');

    expect(backend.accepted).toBe(1);
    expect(stranger.stats).toMatchObject({ lastError: { code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' } });
  });
});

withServers('a client of PostgreSQL', ['postgres'], () => {
  test('comes back when the server has ended its session, and no other is disturbed', async () => {
    const server = await RealServer.start('postgres');
    const [victim, other] = [connectTo<Message>(server, speakPostgres), connectTo<Message>(server, speakPostgres)];
    await Promise.all([victim.whenOpen(), other.whenOpen()]);
    const process = await select(victim, 'select pg_backend_pid()');
    const words = payload(victim, 'message', ({ type }) => type === 'E');
    const lost = payload(victim, 'reset');
    const back = payload(victim, 'open');
    expect(await select(other, `select pg_terminate_backend(${process})`)).toBe('t');

    expect(complaint(await words)).toBe('57P01: terminating connection due to administrator command');
    expect(await lost).toMatchObject({ generation: 1, reason: 'peer-end', willRetry: true });
    expect(await back).toMatchObject({ generation: 2, reopened: true });
    expect(await select(victim, 'select pg_backend_pid()')).not.toBe(process);
    expect(other.stats).toMatchObject({ generation: 1, resets: 0 });
  });

  test('is served by a server that waits for it to leave before it shuts down, while others are refused', async () => {
    const server = await RealServer.start('postgres');
    const first = connectTo<Message>(server, speakPostgres);
    await first.whenOpen();
    const ended = server.kill('SIGTERM');
    const second = connectTo<Message>(server, speakPostgres);
    const { error, reason } = await payload(
      second,
      'backoff',
      ({ error }) => error?.message.includes('57P03') === true,
    );
    expect(reason).toBe('handshake-failed');
    expect(error?.message).toContain('the database system is shutting down');
    expect(await select(first, 'select 1')).toBe('1');

    await first.disconnect();
    await ended;
    const opens = payload(second, 'open');
    await server.restart();
    expect(await opens).toMatchObject({ generation: 1 });
  });

  test('keeps its session when the server takes no new ones, and others open when it does again', async () => {
    const server = await RealServer.start('postgres');
    const first = connectTo<Message>(server, speakPostgres);
    await first.whenOpen();
    // Sessions are processes of their own: they go on.
    await server.kill('SIGSTOP');
    const second = connectTo<Message>(server, { ...speakPostgres, connectTimeout: 500 });
    expect(await payload(second, 'backoff')).toMatchObject({
      reason: 'connect-timeout',
      error: { message: expect.stringContaining('handshake') as string },
    });
    expect(await select(first, 'select 1')).toBe('1');
    await server.kill('SIGCONT');
    expect(await second.whenOpen()).toMatchObject({ generation: 1 });
    expect(await select(second, 'select 1')).toBe('1');
  });
});
