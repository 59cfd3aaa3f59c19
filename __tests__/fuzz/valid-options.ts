import { PassThrough } from 'node:stream';

import * as fc from 'fast-check';

import type { Lab } from './lab';

/** Options as they are handed over: some of them are no options at all. */
export type Options = Record<string, unknown>;

const durations = fc.oneof(fc.nat(60_000), fc.double({ min: 0, max: 60_000, noNaN: true }), fc.constant(2 ** 31 - 1));
const intervals = fc.oneof(fc.integer({ min: 20_000, max: 60_000 }), fc.constant(2 ** 31 - 1));

const queues = fc.record(
  {
    maxBytes: fc.constantFrom(0, 1, 1_024, 1_048_576, Number.MAX_SAFE_INTEGER, Infinity),
    maxAge: fc.oneof(durations, fc.constant(Infinity)),
    overflow: fc.constantFrom('refuse', 'drop-oldest', undefined),
  },
  { requiredKeys: [] },
);

const heartbeats = fc.record(
  {
    interval: intervals,
    timeout: fc.oneof(intervals, fc.constant(Infinity)),
    ping: fc.constant(() => {}),
    idle: fc.constantFrom(true, false, undefined),
  },
  { requiredKeys: ['interval', 'ping'] },
);

const backoffs = fc.oneof(
  fc.record(
    {
      initialDelay: fc.nat(100),
      maxDelay: fc.integer({ min: 100, max: 60_000 }),
      multiplier: fc.double({ min: 1, max: Number.MAX_VALUE, noNaN: true }),
      jitter: fc.constantFrom('full', 'equal', 'decorrelated', 'none'),
      random: fc.constant(() => 0.5),
    },
    { requiredKeys: [] },
  ),
  fc.constantFrom(
    () => 10,
    () => undefined,
  ),
);

/** Socket options that apply to any stream with such methods. */
const streamOptions = {
  noDelay: fc.boolean(),
  keepAlive: fc.boolean(),
  keepAliveInitialDelay: fc.double({ min: 1_000, max: 32_767_000, noNaN: true }),
  allowHalfOpen: fc.constantFrom(true, false, undefined),
};

/** Socket options that say how to dial, and so cannot stand beside a `dial`. */
const sockets = fc.record(
  {
    ...streamOptions,
    localAddress: fc.constant('127.0.0.1'),
    family: fc.constantFrom(0, 4, -0),
    hints: fc.constantFrom(0, -0),
    autoSelectFamily: fc.boolean(),
    autoSelectFamilyAttemptTimeout: fc.integer({ min: 10, max: 60_000 }),
  },
  { requiredKeys: [] },
);

const handshakes = fc.constantFrom(
  () => undefined,
  () => Promise.resolve(),
  () => new Promise<void>((resolve) => setImmediate(resolve)),
);

/** What a `beforeTls` may return: nothing, or the stream that it was given, each at once or later. */
const preparations = fc.constantFrom(
  () => undefined,
  (socket: unknown) => socket,
  (socket: unknown) => Promise.resolve(socket),
  () => new Promise<void>((resolve) => setImmediate(resolve)),
);

/** TLS options that verify a server of the laboratory. */
function secureOptions({ certificates }: Lab): fc.Arbitrary<Options> {
  return fc.record(
    {
      ca: fc.constantFrom<unknown>(certificates.ca.cert, [certificates.ca.cert], Buffer.from(certificates.ca.cert), [
        certificates.otherCa.cert,
        certificates.ca.cert,
      ]),
      ALPNProtocols: fc.constantFrom([], ['a'], ['a', 'b'.repeat(255)]),
      minVersion: fc.constantFrom('TLSv1.2', 'TLSv1.3'),
      rejectUnauthorized: fc.boolean(),
      servername: fc.constant('localhost'),
      session: fc.constantFrom(Buffer.from('junk'), new Uint8Array(), new Uint16Array(99)),
      sessionIdContext: fc.constant('fuzz'),
      honorCipherOrder: fc.boolean(),
      minDHSize: fc.integer({ min: 1, max: 4_096 }),
      checkServerIdentity: fc.constant(() => undefined),
    },
    { requiredKeys: ['ca'] },
  );
}

/** What there may be beside a place to connect to. Connections with any of it have to open. */
const common = {
  backoff: backoffs,
  minUptime: durations,
  maxRetries: fc.oneof(fc.nat(9), fc.constant(Infinity)),
  maxElapsed: fc.oneof(durations, fc.constant(Infinity)),
  shouldRetry: fc.constant(() => true),
  connectTimeout: fc.constantFrom(0, 10_000, 30_000.5),
  handshake: handshakes,
  decoder: fc.constant(() => new PassThrough()),
  beforeTls: preparations,
  idleTimeout: fc.oneof(fc.constantFrom(0, -0, Infinity), intervals),
  writeTimeout: fc.oneof(fc.constantFrom(0, -0, Infinity), intervals),
  heartbeat: heartbeats,
  queue: queues,
  closeTimeout: durations,
  signal: fc.constant(undefined).map(() => new AbortController().signal),
  autoConnect: fc.boolean(),
  reuseReadBuffer: fc.boolean(),
};

/** Where to, by the network itself. */
function realPlaces(lab: Lab): fc.Arbitrary<Options> {
  const secure = secureOptions(lab).map((tls): Options => ({ port: lab.securePort, host: 'localhost', tls }));
  const plain = fc.constantFrom<Options>(
    { port: lab.port },
    { port: lab.port, host: '127.0.0.1' },
    { port: lab.port, host: 'localhost', tls: false },
    { target: () => ({ port: lab.port }) },
    { target: () => Promise.resolve({ port: lab.port, host: '127.0.0.1', tls: undefined }) },
  );
  return fc.oneof(
    plain,
    secure,
    secure.map((target): Options => ({ target: () => target })),
    fc.constant<Options>({ path: lab.path }),
  );
}

/** Where to, by a `dial` of the test's own: it opens a stream in memory wherever that is. */
const dialledPlaces: fc.Arbitrary<Options> = fc
  .oneof(
    fc.record({ port: fc.integer({ min: 1, max: 65_535 }) }),
    fc.record({
      port: fc.integer({ min: 1, max: 65_535 }),
      host: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.constant('bücher.example')),
    }),
    fc.record({ path: fc.stringMatching(/^[\w/. -]{1,100}$/) }),
    fc.record({ target: fc.constant(() => ({ port: 1 })) }),
    fc.record({ port: fc.constant(5), target: fc.constant(() => Promise.resolve({ path: '/run/x' })) }),
  )
  .map((place): Options => ({ ...place }));

/** Options that lead to a server of the laboratory. */
export function realOptions(lab: Lab): fc.Arbitrary<Options> {
  return fc
    .tuple(realPlaces(lab), fc.record({ ...common, socket: sockets }, { requiredKeys: [] }))
    .map(([place, rest]) => {
      // A name may have an address that nobody listens at, and not every choice of options tries the next.
      return { ...rest, ...place, socket: { ...rest.socket, family: 4 } };
    });
}

/** Options whose `dial` opens a stream in memory. */
export function dialledOptions(dial: () => unknown): fc.Arbitrary<Options> {
  return fc
    .tuple(
      dialledPlaces,
      fc.record({ ...common, socket: fc.record(streamOptions, { requiredKeys: [] }) }, { requiredKeys: [] }),
    )
    .map(([place, rest]) => ({ ...rest, ...place, dial }));
}

/** URLs of targets, without TLS, which a stream in memory does not speak. */
export const urls: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(
      fc.oneof(
        fc.domain(),
        fc.ipV4(),
        fc.ipV6().map((address) => `[${address}]`),
      ),
      fc.integer({ min: 1, max: 65_535 }),
    )
    .map(([host, port]) => `tcp://${host}:${port}`),
  // A URL resolves `..`: nothing of the path may be left then.
  fc.stringMatching(/^\w[\w/.-]{0,98}\w$/).map((path) => `unix:///${path}`),
);
