import { once } from 'node:events';
import type { Duplex } from 'node:stream';

import { expectTypeOf } from 'expect-type';
import {
  type BackoffInfo,
  type CloseInfo,
  type CommonOptions,
  type ConnectionEvents,
  type ConnectionOptions,
  type ConnectionSession,
  type EjectInfo,
  type MemberOptions,
  type MemberSource,
  type OpenInfo,
  type PoolEvents,
  type Reason,
  type ResetInfo,
  type StateName,
  type Target,
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
  dnsTargets,
  exponentialBackoff,
  logEvents,
} from 'reconnecting-connection';
import type { default as TypedEmitter } from 'typed-emitter';

// The compiler is the test here, `npm run types`; at run time these only have to load. Nothing in `check` is called.
function check(connection: ReconnectingConnection<string>, pool: ConnectionPool<string>): void {
  // Listeners know their payloads.
  connection.on('open', (info) => expectTypeOf(info).toEqualTypeOf<OpenInfo>());
  connection.on('data', (chunk) => expectTypeOf(chunk).toEqualTypeOf<Buffer>());
  connection.on('message', (message) => expectTypeOf(message).toEqualTypeOf<string>());
  connection.on('state', (next, previous) => expectTypeOf([next, previous]).toEqualTypeOf<StateName[]>());
  // @ts-expect-error no such event
  connection.on('error', () => undefined);
  // @ts-expect-error a payload of another event
  connection.on('open', (info: BackoffInfo) => info.delay);
  // @ts-expect-error `open` has one argument
  connection.emit('open');
  // @ts-expect-error payloads are readonly
  connection.on('reset', (info) => (info.willRetry = false));

  // The reasons are a closed union.
  connection.on('close', ({ reason }) => {
    expectTypeOf<typeof reason>().toExtend<Reason>();
    switch (reason) {
      case 'disconnected':
      case 'destroyed':
      case 'aborted':
      case 'max-retries':
      case 'max-elapsed':
      case 'not-retryable':
      case 'backoff-ended':
        return;
      default:
        expectTypeOf(reason).toBeNever();
    }
  });

  // Options.
  new ReconnectingConnection({ port: 1, tls: { ca: 'pem' }, backoff: ({ attempt }) => attempt * 100 });
  new ReconnectingConnection({ target: async (attempt) => Promise.resolve({ port: attempt, host: 'a' }) });
  new ReconnectingConnection({
    port: 1,
    handshake: (socket) => void expectTypeOf(socket).toEqualTypeOf<Duplex>(),
  });
  // A URL is text. A type of objects beside that of the options would put its names first in an editor's list of options,
  // and overloads would turn one misspelt option into several errors.
  new ReconnectingConnection(process.env['URL'] ?? { port: 1 });
  // @ts-expect-error the `href` of a URL object is passed
  new ReconnectingConnection(new URL('tcp://db:1'));
  expectTypeOf<Exclude<Parameters<ConnectionRegistry['connect']>[0], string>>().toEqualTypeOf<ConnectionOptions>();
  expectTypeOf<Exclude<Parameters<ConnectionPool['add']>[0], string>>().toEqualTypeOf<MemberOptions>();
  // @ts-expect-error a typing error
  new ReconnectingConnection({ port: 1, idleTimout: 5 });
  // @ts-expect-error ports are numbers
  new ReconnectingConnection({ port: '80' });
  // @ts-expect-error nowhere to connect to
  new ReconnectingConnection({ host: 'db' });
  // @ts-expect-error nowhere to connect to
  new ReconnectingConnection({ tls: true } satisfies ConnectionOptions);

  // Options that come from the environment may be undefined.
  const { HOST, CA } = process.env;
  const timeout = HOST === undefined ? undefined : 5;
  const signal = HOST === undefined ? undefined : AbortSignal.timeout(5);
  new ReconnectingConnection({ port: 1, host: HOST, tls: { ca: CA, servername: HOST }, socket: { family: undefined } });
  new ReconnectingConnection({ port: undefined, host: undefined, target: () => ({ port: 1, host: HOST }) });
  const fromElsewhere: ConnectionOptions = { port: 1, idleTimeout: timeout, signal, queue: { maxAge: timeout } };
  new ConnectionPool({ signal, select: undefined, maxConnecting: timeout }).add({ port: 1, backoff: undefined });
  void connection.whenOpen({ signal, attempts: timeout });
  connection.sessions({ signal, highWaterMark: timeout });
  exponentialBackoff({ initialDelay: timeout, random: undefined });
  logEvents(connection, console, { interval: timeout, levels: undefined });
  // A pool may say for all where its members connect to.
  new ConnectionPool({ port: 1 }).add({ host: HOST });
  // Options beside a target that is added later, and functions that work for each of the targets.
  const common: CommonOptions = { idleTimeout: timeout };
  const connectTo = (target: Target) => new ReconnectingConnection({ ...common, ...target });
  connectTo({ path: '/x' });
  new ReconnectingConnection({ ...fromElsewhere, port: 2 });

  // Methods.
  expectTypeOf(connection.disconnect()).toEqualTypeOf<Promise<CloseInfo>>();
  expectTypeOf(connection.whenOpen({ attempts: 1 })).toEqualTypeOf<Promise<OpenInfo>>();
  expectTypeOf(connection.write('text', 'utf8', (error) => error?.message)).toEqualTypeOf<boolean>();
  expectTypeOf(connection.write(new Uint8Array(1), () => undefined)).toEqualTypeOf<boolean>();
  // @ts-expect-error not a chunk
  connection.write({});
  // @ts-expect-error the state is read-only
  connection.state = 'open';
  // Listener methods chain.
  connection
    .on('open', () => undefined)
    .once('drain', () => undefined)
    .pause()
    .resume()
    .ref();
  // node:events takes it for an emitter.
  void once(connection, 'open');

  // The event map is a map as typed-emitter has it.
  const typed: TypedEmitter<ConnectionEvents<string>> = connection;
  typed.on('backoff', ({ delay }) => expectTypeOf(delay).toEqualTypeOf<number>());

  // A pool appends tag and member to every event; a listener of a connection fits unchanged.
  const onBackoff = ({ delay }: BackoffInfo) => delay;
  connection.on('backoff', onBackoff);
  pool.on('backoff', onBackoff);
  pool.on('message', (message, tag, member) => {
    expectTypeOf(message).toEqualTypeOf<string>();
    expectTypeOf(tag).toEqualTypeOf<string>();
    expectTypeOf(member).toEqualTypeOf<ReconnectingConnection<string>>();
  });
  pool.on('state', (next, previous, tag) => [next, previous, tag]);
  pool.on('drain', (tag, member) => [tag, member]);
  pool.on('source', ({ kind, error }) => [kind, error?.message]);
  expectTypeOf<AsyncIterable<readonly ConnectionOptions[]>>().toExtend<MemberSource>();
  expectTypeOf(pool.follow(dnsTargets({ name: 'a.example', record: 'SRV', interval: 1 }))).toEqualTypeOf<() => void>();
  // @ts-expect-error: a list of lists is no source
  pool.follow([[{ port: 1 }]]);
  expectTypeOf<Exclude<keyof PoolEvents, 'eject' | 'restore' | 'source'>>().toEqualTypeOf<keyof ConnectionEvents>();
  pool.on('eject', (info, tag, member) => {
    expectTypeOf(info).toEqualTypeOf<EjectInfo>();
    expectTypeOf(tag).toEqualTypeOf<string>();
    expectTypeOf(member).toEqualTypeOf<ReconnectingConnection<string>>();
  });
  pool.on('restore', ({ ejections, duration }, tag) => [ejections, duration, tag]);
  // @ts-expect-error: only pools eject.
  connection.on('eject', () => undefined);
  new ConnectionPool({ ejection: false });
  new ConnectionPool({ ejection: { failures: 3, baseTime: undefined } });
  // @ts-expect-error: the defaults hold without it.
  new ConnectionPool({ ejection: true });
  expectTypeOf(pool.add({ port: 1 })).toEqualTypeOf<ReconnectingConnection<string>>();
  expectTypeOf([...pool]).toEqualTypeOf<ReconnectingConnection<string>[]>();

  // Registry.
  const registry = new ConnectionRegistry();
  expectTypeOf(registry.connect<string>({ port: 1 })).toEqualTypeOf<ReconnectingConnection<string>>();
  expectTypeOf(registry.getConnection(1, 'host')).toEqualTypeOf<ReconnectingConnection | undefined>();
  // @ts-expect-error a tag has its host in it
  registry.getConnection('host:1', 'host');
}

async function checkLoops(connection: ReconnectingConnection<string>): Promise<void> {
  for await (const session of connection.sessions({ signal: AbortSignal.timeout(1) })) {
    expectTypeOf(session).toEqualTypeOf<ConnectionSession<string>>();
    expectTypeOf(session.info).toEqualTypeOf<OpenInfo>();
    expectTypeOf(await session.ended).toEqualTypeOf<ResetInfo>();
    for await (const message of session) expectTypeOf(message).toEqualTypeOf<string>();
    // @ts-expect-error not a chunk
    session.write({});
    // @ts-expect-error the number is read-only
    session.generation = 1;
  }
  // Without a decoder there are bytes; who has one and has not named its messages can do so here.
  const raw = new ReconnectingConnection({ port: 1 });
  for await (const session of raw.sessions()) {
    for await (const chunk of session) expectTypeOf(chunk).toEqualTypeOf<Buffer>();
  }
  for await (const session of raw.sessions<string[]>()) {
    for await (const message of session) expectTypeOf(message).toEqualTypeOf<string[]>();
  }
  // A function for any connection takes one of any messages.
  const anyConnection = (each: ReconnectingConnection) => each.sessions();
  anyConnection(connection);
  expectTypeOf(connection.toDuplex({ onReset: 'end' })).toEqualTypeOf<Duplex>();
  // @ts-expect-error a typing error
  connection.toDuplex({ onReset: 'ended' });
  // @ts-expect-error a typing error
  connection.sessions({ highWatermark: 1 });
}

test('what the compiler checks here can be loaded', () => {
  expect([typeof check, typeof checkLoops]).toEqual(['function', 'function']);
});
