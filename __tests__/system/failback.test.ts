import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type Server, createServer } from 'node:tls';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { ReconnectingConnection, constantBackoff } from 'reconnecting-connection';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { track } from '../kit/loopback';
import { record } from '../kit/record';

let certificates: Certificates;
beforeAll(async () => (certificates = await loadCertificates()));

/** How a server that is not well treats its clients. */
type Illness = 'refuses' | 'is mute' | 'hangs up' | 'fails the handshake' | 'resets';

/** A server over TLS that asks for a log-in, and answers every line, in good days. */
class Answerer {
  /** The lines of all sessions that have logged in, in the order in which they came. */
  readonly lines: string[];
  illness: Illness | undefined;
  port = 0;
  logins = 0;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(lines: string[]) {
    this.lines = lines;
  }

  async listen(): Promise<this> {
    const { key, cert } = certificates.server;
    const server = createServer({ key, cert, allowHalfOpen: true }, (socket) => this.#serve(socket));
    server.on('tlsClientError', () => undefined);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined));
    });
    this.#server = server;
    track({ destroy: () => this.refuse() });
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    // `as`: it listens on a port.
    this.port = (server.address() as AddressInfo).port;
    return this;
  }

  refuse(): void {
    this.#server?.close();
    this.drop();
  }

  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.illness === 'hangs up') return void socket.end();
    let rest = '';
    let isIn = false;
    socket.on('data', (chunk) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      if (!isIn && lines.shift() === 'LOGIN') {
        isIn = true;
        this.logins += 1;
        if (this.illness === 'is mute') return;
        if (this.illness === 'fails the handshake') return void socket.end('no\n');
        socket.write('ok\n');
        if (this.illness === 'resets') setTimeout(() => socket.destroy(), 20);
      }
      this.lines.push(...lines);
      if (lines.length > 0) socket.write(lines.map((line) => `answer ${line}\n`).join(''));
    });
    socket.on('end', () => socket.end());
  }
}

const INTERVAL = 40;
const LASTS = 60;

/** A connection to a preferred server and another one, which has opened. */
async function connectBoth(preferred: Answerer, other: Answerer): Promise<ReconnectingConnection> {
  const connection = new ReconnectingConnection({
    target: [preferred, other].map(({ port }) => ({ port })),
    tls: { ca: certificates.ca.cert },
    handshake: async (socket, { signal }) => {
      socket.write('LOGIN\n');
      const [answer] = (await once(socket, 'data', { signal })) as [Buffer];
      if (answer.toString() !== 'ok\n') throw new Error('not let in');
    },
    failback: { interval: INTERVAL },
    minUptime: LASTS,
    connectTimeout: 200,
    backoff: constantBackoff(10),
  });
  track(connection);
  await connection.whenOpen();
  return connection;
}

/** The answers that it has received. */
function answersOf(connection: ReconnectingConnection): string[] {
  const answers: string[] = [];
  let rest = '';
  connection.on('data', (chunk) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop()!;
    answers.push(...lines.map((line) => line.replace('answer ', '')));
  });
  return answers;
}

describe.each<Illness>(['refuses', 'is mute', 'hangs up', 'fails the handshake', 'resets'])(
  'a server that %s',
  (illness) => {
    test('is left, and returned to without a write or an answer lost, torn, doubled or reordered', async () => {
      const lines: string[] = [];
      const [preferred, other] = [await new Answerer(lines).listen(), await new Answerer(lines).listen()];
      const connection = await connectBoth(preferred, other);
      expect(connection.tag).toBe(`127.0.0.1:${preferred.port}`);
      connection.markHealthy();

      const left = once(connection, 'open');
      preferred.illness = illness;
      if (illness === 'refuses') preferred.refuse();
      else preferred.drop();
      await left;
      while (connection.tag !== `127.0.0.1:${other.port}`) await once(connection, 'open');
      expect(connection.state).toBe('open');

      // It stays away, for as long as some probes take.
      const failures = connection.stats.failures;
      while (connection.stats.failures < failures + 3) await nextTurn();
      expect(connection.tag).toBe(`127.0.0.1:${other.port}`);

      const heard = record(connection, ['state', 'backoff', 'drop']);
      const resets: unknown[] = [];
      connection.on('reset', ({ reason, uncertain }) => resets.push([reason, uncertain.writes]));
      const answers = answersOf(connection);
      preferred.illness = undefined;
      if (illness === 'refuses') await preferred.listen();
      const { generation } = connection;
      let count = 0;
      for (let more = 200; more > 0; more--) {
        for (let batch = 0; batch < 5; batch++) connection.write(`${count++}\n`);
        await nextTurn();
        if (connection.generation === generation) more = 200;
      }
      expect(connection.tag).toBe(`127.0.0.1:${preferred.port}`);
      expect([heard.splice(0), resets.splice(0)]).toEqual([[], [['replaced', 0]]]);
      await connection.disconnect();

      const numbers = Array.from({ length: count }, (_, number) => String(number));
      expect(lines).toEqual(numbers);
      expect(answers).toEqual(numbers);
      // Only the handshake has written on probes.
      expect(preferred.logins).toBeGreaterThanOrEqual(3);
    });
  },
);
