import { connect } from 'node:net';
import { Transform } from 'node:stream';

import {
  ConnectionPool,
  type CommonOptions,
  type ConnectionOptions,
  ConnectionRegistry,
  type Dial,
  type HandshakeContext,
  ReconnectingConnection,
} from 'reconnecting-connection';

import { type Finding, collectGarbage, until } from './measure';

/** Follows objects without holding them. */
export class Traces {
  readonly #refs = new Map<string, WeakRef<object>[]>();
  #followed = 0;
  #finalized = 0;
  readonly #registry = new FinalizationRegistry<undefined>(() => {
    this.#finalized += 1;
  });

  add(kind: string, object: object): void {
    const refs = this.#refs.get(kind) ?? [];
    this.#refs.set(kind, refs);
    refs.push(new WeakRef(object));
    this.#registry.register(object, undefined);
    this.#followed += 1;
  }

  /** What of all that is still reachable. */
  async find(): Promise<Finding> {
    for (let round = 0; round < 10 && this.#finalized < this.#followed; round++) await collectGarbage();
    const problems: string[] = [];
    for (const [kind, refs] of this.#refs) {
      const alive = refs.filter((ref) => ref.deref() !== undefined).length;
      if (alive > 0) problems.push(`${alive} of ${refs.length} are still reachable: ${kind}`);
    }
    if (problems.length === 0 && this.#finalized < this.#followed) {
      problems.push(`only ${this.#finalized} of ${this.#followed} were finalized`);
    }
    return { figures: { followed: this.#followed, collected: this.#finalized }, problems };
  }
}

/** Options that make everything a session can have, and have it followed. */
function followed(traces: Traces, kind: string): CommonOptions {
  return {
    decoder: () => {
      const decoder = new Transform({ transform: (chunk: Buffer, _encoding, done) => done(null, chunk) });
      traces.add(`decoders, ${kind}`, decoder);
      return decoder;
    },
    handshake: (socket, { signal }: HandshakeContext) => {
      traces.add(`sockets, ${kind}`, socket);
      // The attempt's own: who holds the attempt holds this.
      traces.add(`attempts, ${kind}`, signal);
    },
    // A dial that does not answer, and has writes waiting for it, may go on for so long.
    closeTimeout: 20,
    idleTimeout: 60_000,
    heartbeat: { interval: 60_000, ping: () => {} },
  };
}

type End = readonly [name: string, end: (connection: ReconnectingConnection, controller: AbortController) => unknown];

const ENDS: readonly End[] = [
  ['disconnected', (connection) => connection.disconnect()],
  ['destroyed', (connection) => connection.destroy()],
  ['aborted', (_connection, controller) => controller.abort()],
];

type Moment = readonly [state: string, options: ConnectionOptions, reached: (one: ReconnectingConnection) => boolean];

/** Every moment of a life at which it may be ended; `port` is of a server that holds its connections and speaks no TLS. */
function moments({ port }: ConnectionOptions, traces: Traces): readonly Moment[] {
  const isIn = (state: string) => (connection: ReconnectingConnection) => connection.state === state;
  const target = { port: port! };
  const dial: Dial = (_target, signal) => {
    const socket = connect(target);
    traces.add('sockets of dials', socket);
    traces.add('attempts with dials', signal);
    return socket;
  };
  return [
    ['idle', { ...target, autoConnect: false }, isIn('idle')],
    ['looking for its target', { target: () => new Promise(() => {}) }, isIn('connecting')],
    ['connecting', { ...target, dial, tls: true }, isIn('connecting')],
    ['shaking hands', { ...target, handshake: () => new Promise(() => {}) }, isIn('connecting')],
    ['open', target, isIn('open')],
    ['waiting for a retry', { port: 1, backoff: () => 60_000, queue: { maxAge: 60_000 } }, isIn('backoff')],
  ];
}

/** Ends `count` connections of each kind, while signals, a pool and a registry that knew them live on. */
export async function endedLives(target: ConnectionOptions, count: number): Promise<Finding> {
  const traces = new Traces();
  const lasting = new AbortController();
  const pool = new ConnectionPool({ signal: lasting.signal });
  const registry = new ConnectionRegistry();

  for (const [state, options, reached] of moments(target, traces)) {
    for (const [end, finish] of ENDS) {
      for (let each = 0; each < count; each++) await live(`${end} while ${state}`, options, reached, finish);
    }
  }
  for (let each = 0; each < count; each++) await join();
  for (let each = 0; each < count; each++) await register();
  const found = await traces.find();
  // Until here they had to live.
  lasting.abort();
  pool.destroy();
  await registry.disconnectAll();
  return found;

  async function live(kind: string, options: ConnectionOptions, reached: Moment[2], finish: End[1]): Promise<void> {
    const controller = new AbortController();
    // Only an abort needs a signal of its own.
    const signal = kind.startsWith('aborted') ? controller.signal : lasting.signal;
    const connection = new ReconnectingConnection({ ...followed(traces, kind), ...options, signal });
    traces.add(`connections, ${kind}`, connection);
    const waiter = connection.whenOpen({ signal: lasting.signal });
    traces.add(`waiters, ${kind}`, waiter);
    const waited = waiter.then(ignore, ignore);
    await until(`it is to be ${kind}`, () => reached(connection));
    connection.write('hello', () => {});
    await finish(connection, controller);
    await waited;
  }

  async function join(): Promise<void> {
    const member = pool.add({ ...followed(traces, 'removed from a pool'), ...target });
    traces.add('members removed from a pool', member);
    await member.whenOpen();
    await pool.remove(member);
  }

  async function register(): Promise<void> {
    const connection = registry.connect({ ...followed(traces, 'of a registry'), ...target });
    traces.add('connections of a registry', connection);
    await connection.whenOpen({ signal: lasting.signal });
    await connection.disconnect();
  }
}

/** What the sessions of one connection that goes on have left behind; the last is there still, and not followed. */
export async function pastSessions(target: ConnectionOptions, count: number): Promise<Finding> {
  const traces = new Traces();
  const connection = new ReconnectingConnection({ ...followed(traces, 'of past sessions'), ...target });
  connection.on('message', () => {});
  for (let each = 0; each < count; each++) {
    const lost = new Promise((resolve) => connection.once('backoff', resolve));
    connection.reconnect();
    await connection.whenOpen();
    connection.write('hello', () => {});
    await lost;
  }
  const found = await traces.find();
  connection.destroy();
  return found;
}

/** Attempts that time out while they wait for one and the same answer, which does not come. */
export async function hangingAttempts(count: number): Promise<Finding> {
  const traces = new Traces();
  const never = new Promise<never>(() => {});
  const connection = new ReconnectingConnection({ target: () => never, connectTimeout: 10, backoff: () => 60_000 });
  for (let each = 0; each < count; each++) traces.add('errors of attempts', await fail());
  // The last one is kept, for `target` will be passed it.
  await fail();
  const found = await traces.find();
  connection.destroy();
  // Until here it had to live.
  void never.catch(() => {});
  return found;

  function fail(): Promise<Error> {
    return new Promise((resolve) => {
      connection.once('backoff', ({ error }) => resolve(error!));
      connection.reconnect();
    });
  }
}

function ignore(): void {
  // What came of it is not the question.
}
