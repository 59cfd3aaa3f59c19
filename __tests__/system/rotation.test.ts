import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { type Duplex, Transform } from 'node:stream';
import { type TlsOptions, createServer as createTlsServer } from 'node:tls';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { MemberOptions, ReconnectingConnection } from 'reconnecting-connection';
import { Requests } from 'reconnecting-connection/requests';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { connectTo, next, track } from '../kit/loopback';
import { record } from '../kit/record';
import { until } from '../kit/until';

let certificates: Certificates;
beforeAll(async () => (certificates = await loadCertificates()));

/** A server that answers every line, and says goodbye when the client has ended: then it ends too. */
class Answerer {
  /** The lines of all sessions, in the order in which they came. */
  readonly lines: string[] = [];
  /** Sessions that ended in the middle of a line. */
  torn = 0;
  sessions = 0;
  readonly server: Server;

  constructor(tls?: TlsOptions) {
    const serve = (socket: Socket) => this.#serve(socket);
    this.server = tls
      ? createTlsServer({ ...tls, allowHalfOpen: true }, serve)
      : createServer({ allowHalfOpen: true }, serve);
    track({ destroy: () => this.server.close() });
  }

  async listen(): Promise<{ readonly port: number }> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    // `as`: it listens on a port.
    return { port: (this.server.address() as AddressInfo).port };
  }

  #serve(socket: Socket): void {
    track(socket);
    this.sessions += 1;
    const number = this.sessions;
    let rest = '';
    // It speaks first: that waits in the socket until the session before is over.
    socket.write(`hello ${number}\n`);
    socket
      .on('error', () => undefined)
      .on('data', (chunk) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop()!;
        this.lines.push(...lines);
        if (lines.length > 0) socket.write(lines.map((line) => `answer ${line}\n`).join(''));
      });
    socket.on('end', () => {
      if (rest !== '') this.torn += 1;
      socket.end(`bye ${number}\n`);
    });
  }
}

/** What a client hears, line by line, with the ends of its sessions between. */
function listenTo(connection: ReconnectingConnection): { readonly heard: string[]; readonly answers: string[] } {
  const heard: string[] = [];
  const answers: string[] = [];
  let rest = '';
  connection.on('data', (chunk) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop()!;
    for (const line of lines) (line.startsWith('answer ') ? answers : heard).push(line.replace('answer ', ''));
  });
  connection.on('reset', ({ generation, reason, uncertain }) => {
    heard.push(`reset ${generation} ${reason} ${uncertain.writes}${rest}`);
  });
  return { heard, answers };
}

/** Writes numbered lines, with the connection's room, and replaces the session again and again meanwhile. */
async function writeThroughRotations(connection: ReconnectingConnection, count: number): Promise<number> {
  const written = writeNumbers(connection, count).then(() => 'done' as const);
  let rotations = 0;
  for (;;) {
    await connection.replace();
    rotations += 1;
    if ((await Promise.race([written, nextTurn()])) === 'done') return rotations;
  }
}

async function writeNumbers(connection: ReconnectingConnection, count: number): Promise<void> {
  for (let number = 0; number < count;) {
    let hasRoom = true;
    for (const last = Math.min(count, number + 40); number < last; number++) {
      hasRoom = connection.write(`${number}\n`);
    }
    if (hasRoom) await nextTurn();
    else await once(connection, 'drain');
  }
}

const MANY = 20_000;

test.each<[string, number, () => { readonly tls?: TlsOptions; readonly options?: MemberOptions }]>([
  ['plain', MANY, () => ({})],
  ['TLS', MANY / 2, () => ({ tls: certificates.server, options: { tls: { ca: certificates.ca.cert } } })],
])(
  'under load, not one write or answer is lost, torn, doubled or reordered by replace(): %s',
  async (_how, count, how) => {
    const { tls, options } = how();
    const answerer = new Answerer(tls);
    const connection = connectTo({ target: await answerer.listen() }, options);
    const { heard, answers } = listenTo(connection);
    await connection.whenOpen();
    const states = record(connection, ['state', 'backoff', 'drop']);

    const rotations = await writeThroughRotations(connection, count);
    const { generation } = connection;
    expect(states).toEqual([]);
    await connection.disconnect();

    const numbers = Array.from({ length: count }, (_, number) => String(number));
    expect(answerer.lines).toEqual(numbers);
    expect(answers).toEqual(numbers);
    expect([answerer.torn, answerer.sessions, generation]).toEqual([0, rotations + 1, rotations + 1]);
    expect(rotations).toBeGreaterThan(10);
    const lives = Array.from({ length: rotations }, (_, index) => {
      return [`hello ${index + 1}`, `bye ${index + 1}`, `reset ${index + 1} replaced 0`];
    });
    const last = [`hello ${generation}`, `bye ${generation}`, `reset ${generation} disconnected 0`];
    expect(heard).toEqual([...lives.flat(), ...last]);
    const { confirmed, uncertain, dropped } = connection.stats.writes;
    expect([confirmed.writes, uncertain.writes, dropped.writes]).toEqual([count, 0, 0]);
  },
);

/** Puts out lines. */
class Lines extends Transform {
  #rest = '';

  override _transform(chunk: Buffer, _encoding: string, done: () => void): void {
    const lines = (this.#rest + chunk.toString()).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.push(line);
    done();
  }
}

test('a loop over the sessions gets all of each, and a stream all of them', async () => {
  const answerer = new Answerer();
  const connection = connectTo({ target: await answerer.listen() });
  const looped: string[] = [];
  const looping = (async () => {
    for await (const session of connection.sessions({ highWaterMark: 64 })) {
      let text = '';
      for await (const chunk of session) text += chunk.toString();
      looped.push(text);
    }
  })();
  let streamed = '';
  const stream = connection.toDuplex().on('data', (chunk: Buffer) => (streamed += chunk.toString()));
  await connection.whenOpen();
  for (let round = 1; round <= 5; round++) {
    stream.write(`${round}\n`);
    await connection.replace();
  }
  stream.end();
  await looping;

  expect(looped.join('')).toBe(streamed);
  expect(looped.map((text) => /^hello (\d)\n(?:answer \d\n)*bye \1\n$/.test(text))).toEqual(Array(6).fill(true));
  expect(answerer.lines).toEqual(['1', '2', '3', '4', '5']);
});

test('every request is answered, in the session in which it was sent', async () => {
  const answerer = new Answerer();
  const lines = () => new Lines({ readableObjectMode: true });
  const connection = connectTo<string>({ target: await answerer.listen() }, { decoder: lines });
  const requests = new Requests<string, string>(connection, {
    timeout: 10_000,
    concurrency: 8,
    send: (command) => `${command}\n`,
    // What it says unasked is not an answer.
    match: (line) => line.startsWith('answer '),
  });
  await connection.whenOpen();
  const asked = Array.from({ length: 500 }, (_, number) => requests.request(String(number)));
  for (let round = 0; round < 10; round++) await connection.replace();
  expect(await Promise.all(asked)).toEqual(asked.map((_, number) => `answer ${number}`));
});

/** A server that treats some of its sessions badly, by their number. */
async function moodyServer(treat: Readonly<Record<number, (socket: Socket) => void>>) {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(track(socket));
    treat[sockets.length]?.(socket);
    socket.on('error', () => undefined).on('end', () => socket.end());
    socket.resume();
  });
  track({ destroy: () => server.close() });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // `as`: it listens on a port.
  return { sockets, target: { port: (server.address() as AddressInfo).port } };
}

test('a next session that fails in its handshake costs nothing', async () => {
  const { sockets, target } = await moodyServer({
    1: (socket) => socket.write('welcome'),
    2: (socket) => socket.end(),
    3: (socket) => socket.resetAndDestroy(),
    4: (socket) => socket.write('welcome'),
  });
  const handshake = async (socket: Duplex) => {
    const answer = await Promise.race([once(socket, 'data'), once(socket, 'end')]);
    if (answer.length === 0) throw new Error('not welcome');
  };
  const connection = connectTo({ target }, { handshake, backoff: () => 20 });
  await connection.whenOpen();
  const heard = record(connection, ['state', 'reset', 'backoff']);
  await expect(connection.replace()).rejects.toThrow();
  await expect(connection.replace()).rejects.toThrow();
  expect(heard).toEqual([]);
  expect(await connection.replace()).toMatchObject({ generation: 2 });
  expect(heard).toEqual([['reset', expect.objectContaining({ reason: 'replaced', generation: 1 })]]);
  expect(sockets).toHaveLength(4);
});

test('a next session that its server ends, or resets, while it waits is dialled anew', async () => {
  const { sockets, target } = await moodyServer({
    2: (socket) => socket.end(),
    3: (socket) => socket.resetAndDestroy(),
  });
  const connection = connectTo({ target }, { backoff: () => 20 });
  await connection.whenOpen();
  const heard = record(connection, ['state', 'reset', 'backoff']);
  // The old session goes on meanwhile, and so the next one waits.
  connection.pause();
  void connection.replace();
  await until(() => sockets.length === 4);
  expect([heard, connection.stats.failures]).toEqual([[], 2]);
  connection.resume();
  await next(connection, 'open');
  expect(heard).toEqual([['reset', expect.objectContaining({ reason: 'replaced', generation: 1 })]]);
});
