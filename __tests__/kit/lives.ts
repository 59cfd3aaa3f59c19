import type { MemberOptions, ReconnectingConnection } from 'reconnecting-connection';

import { connectTo, payload } from './loopback';
import { titled } from './missing';
import type { RealServer } from './real-servers';
import { names, record } from './record';
import { type ServerName, missing } from './server-recipes';

// Tests that hold for the clients of every server; each test file makes them for its servers.

/** A describe for what needs these servers: skipped, with the reason, where one is not there. */
export function withServers(title: string, servers: readonly ServerName[], body: () => void): void {
  const reason = servers.map(missing).find((each) => each !== undefined);
  (reason === undefined ? describe : describe.skip)(titled(title, reason), body);
}

/** Records the sessions of `connection`, and how each ended. */
export function watch(connection: ReconnectingConnection): {
  readonly heard: ReturnType<typeof record>;
  sessions(): string[];
} {
  const heard = record(connection, ['open', 'reset', 'backoff', 'drop', 'state', 'close']);
  return { heard, sessions: () => names(heard.filter(([event]) => ['open', 'reset', 'close'].includes(event))) };
}

/** Why a session is lost when its server goes. */
export const LOST = /^(?:peer-end|error)$/;

/** A kind of server, and a client of it. */
export interface Scene {
  readonly title: string;
  readonly servers: readonly ServerName[];
  /** What is ended and started again in a test, and what a client needs. */
  readonly start: () => Promise<{ readonly server: RealServer; readonly options: MemberOptions }>;
  /** Asks for something and returns the answer. */
  readonly exchange: (connection: ReconnectingConnection) => Promise<unknown>;
  readonly answer: unknown;
  /** What a heartbeat asks. */
  readonly ping: string | Buffer;
}

/** Tests that a client lives through the ends of its server, and through its standing still. */
export function testLife({ title, servers, start, exchange, answer: expected, ping }: Scene): void {
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

    // Its sessions are processes of their own: they go on while the server stands still.
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
