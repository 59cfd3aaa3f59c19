import { types } from 'node:util';

import * as fc from 'fast-check';

import type { Lab } from './lab';
import { type Options, dialledOptions, realOptions, urls } from './valid-options';

/** A value that the generator itself must not look into. */
export interface Box {
  readonly value: unknown;
}

/** Options, and what is to be expected of a connection that has them. */
export interface Candidate {
  readonly options: unknown;
  /** What stands before the options, if anything: a URL, or something else. */
  readonly url?: unknown;
  /** What methods are called with once it is made. */
  readonly argument?: Box;
  /**
   * `opens`: it has to open, through a stream in memory. `connects`: it has to open, through the network. `may`: it
   * may be refused; if not, it is dialled only where its `dial` is the test's own.
   */
  readonly kind: 'opens' | 'connects' | 'may';
}

class Instance {
  readonly inner = 5;
}

/** What options may be an instance of. */
class Coat {
  toString(): string {
    return 'options';
  }
}

/** A Proxy that throws whatever is done to it. */
const hostileProxy: object = new Proxy(
  {},
  {
    get: () => thrown(),
    has: () => thrown(),
    ownKeys: () => thrown(),
    getPrototypeOf: () => thrown(),
    getOwnPropertyDescriptor: () => thrown(),
  },
);

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function thrown(): never {
  throw new Error('a trap of the test');
}

function oneOf(...values: readonly unknown[]): fc.Arbitrary<Box> {
  return fc.constantFrom(...values.map((value): Box => ({ value })));
}

/** Values that are wrong nearly everywhere, and those that Node itself has come to grief over. */
const hostileValues = fc.oneof(
  oneOf(null, NaN, Infinity, -Infinity, -0, -1, 0, 0.5, 65_536, 2 ** 31, 2 ** 53, 1e300, 5n),
  oneOf('', ' ', '0', '0x1', ' 1 ', '1e0', 'abc', '127.0.0.1\0.evil.test', '[::1]', 'a b', '\ud800'),
  oneOf('a\nb', '\u001b[31m', 'x'.repeat(10_000), '__proto__', 'constructor', 'false', 'true'),
  oneOf(true, false, undefined, Symbol('s'), Symbol.iterator, new Number(5), new String('localhost')),
  oneOf([], [1], ['127.0.0.1'], [[]], {}, { length: 1 }, new Map(), new Set(), new Date(0), /x/),
  oneOf(new Instance(), Instance, Buffer.alloc(9), new Uint8Array(3), new ArrayBuffer(8), Promise),
  oneOf(hostileProxy, revokedProxy(), new Proxy([], {}), new Proxy(() => 5, {}), globalThis),
  oneOf(
    { aborted: false },
    { aborted: true, addEventListener: () => {} },
    { aborted: false, addEventListener: thrown, removeEventListener: thrown },
    Object.defineProperty({}, 'aborted', { get: thrown, enumerable: true }),
    Object.create({ port: 5 }),
    { valueOf: () => 5, toString: () => '5' },
    JSON.parse('{"__proto__":{"port":1}}'),
  ),
  // Functions where functions are due: they throw, and they answer with junk.
  oneOf(
    () => 'junk',
    () => ({}),
    () => null,
    () => NaN,
    () => Promise.reject(new Error('a promise of the test')),
    () => new Promise(() => {}),
    thrown,
    Instance,
    function* () {
      yield 5;
    },
  ),
  fc
    .anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true })
    .map((value): Box => ({ value })),
);

/** Names of all options, those of a level below with a dot; and some that are none. */
const names = fc.constantFrom(
  ...['port', 'host', 'path', 'tls', 'target', 'socket', 'backoff', 'minUptime', 'maxRetries', 'maxElapsed'],
  ...['beforeTls', 'writeTimeout', 'queue.overflow', 'heartbeat.idle', 'socket.keepAliveInterval'],
  ...['socket.keepAliveCount', 'timeout', 'hostname', 'encoding', 'keepAlive', 'maxLifetime', 'failback'],
  ...['shouldRetry', 'connectTimeout', 'handshake', 'decoder', 'idleTimeout', 'heartbeat', 'queue', 'closeTimeout'],
  ...['signal', 'autoConnect', 'reuseReadBuffer', 'queue.maxBytes', 'queue.maxAge', 'heartbeat.interval'],
  ...['heartbeat.timeout', 'heartbeat.ping', 'backoff.initialDelay', 'backoff.maxDelay', 'backoff.multiplier'],
  ...['backoff.jitter', 'backoff.random', 'socket.noDelay', 'socket.keepAlive', 'socket.keepAliveInitialDelay'],
  ...['socket.allowHalfOpen', 'socket.localAddress', 'socket.localPort', 'socket.family', 'socket.hints'],
  ...['socket.lookup', 'socket.autoSelectFamily', 'socket.autoSelectFamilyAttemptTimeout', 'tls.ca', 'tls.cert'],
  ...['tls.key', 'tls.passphrase', 'tls.pfx', 'tls.crl', 'tls.ciphers', 'tls.minVersion', 'tls.maxVersion'],
  ...['tls.secureProtocol', 'tls.secureOptions', 'tls.secureContext', 'tls.servername', 'tls.session'],
  ...['tls.ALPNProtocols', 'tls.checkServerIdentity', 'tls.rejectUnauthorized', 'tls.pskCallback', 'tls.ticketKeys'],
  ...['tls.minDHSize', 'tls.dhparam', 'tls.ecdhCurve', 'tls.sigalgs', 'tls.sessionTimeout', 'tls.sessionIdContext'],
  ...['tls.clientCertEngine', 'tls.privateKeyEngine', 'tls.privateKeyIdentifier', 'tls.honorCipherOrder'],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'prot', 'Port', 'socket.__proto__', 'tls.constructor'],
);

/** Another value under a name, as a value or as a getter. */
interface Change {
  readonly name: string;
  readonly box: Box;
  readonly byGetter: number;
}

const mutations: fc.Arbitrary<Change> = fc.record({
  name: names,
  box: hostileValues,
  byGetter: fc.integer({ min: 0, max: 9 }),
});

function define(object: object, name: string, value: unknown, byGetter: boolean): void {
  const common = { configurable: true, enumerable: true };
  Object.defineProperty(
    object,
    name,
    byGetter ? { ...common, get: () => value } : { ...common, value, writable: true },
  );
}

/** A copy that reads nothing: a getter may throw. */
function copyOf(object: object): object {
  return Object.defineProperties<object>({}, Object.getOwnPropertyDescriptors(object));
}

function mutated(options: Options, changes: readonly Change[]): Options {
  const copy = { ...options };
  for (const { name, box, byGetter } of changes) {
    const { value } = box;
    const [outer = '', inner] = name.split('.');
    if (inner === undefined) {
      define(copy, outer, value, byGetter === 0);
      continue;
    }
    const nested: unknown = Object.hasOwn(copy, outer) ? copy[outer] : undefined;
    // Not even asked what it is, where it is a Proxy.
    const isPlain =
      typeof nested === 'object' &&
      nested !== null &&
      !types.isProxy(nested) &&
      Object.getPrototypeOf(nested) === Object.prototype;
    const record = isPlain ? copyOf(nested) : {};
    define(record, inner, value, byGetter === 0);
    define(copy, outer, record, false);
  }
  return copy;
}

/** The same options in another coat. All of them are as good as a plain object. */
const coats = fc.constantFrom<(options: Options) => object>(
  (options) => options,
  (options) => options,
  (options) => Object.freeze(options),
  (options) => Object.assign(Object.create(null), options) as object,
  (options) => new Proxy(options, {}),
  (options) => Object.assign(new Coat(), options),
  (options) => ({ ...options, [Symbol('unseen')]: 5 }),
  (options) => {
    const object = {};
    for (const [name, value] of Object.entries(options)) define(object, name, value, true);
    return object;
  },
);

/** Options that say where to connect to. */
const PLACES: readonly string[] = ['port', 'host', 'path', 'target', 'tls'];

/** Mostly options that are valid, many with a few things wrong, and some that are hostile altogether. */
export function candidates(lab: Lab, dial: () => unknown): fc.Arbitrary<Candidate> {
  const dialled = dialledOptions(dial);
  const real = realOptions(lab);
  const inCoat = (options: fc.Arbitrary<Options>, kind: Candidate['kind']) =>
    fc
      .tuple(options, coats, hostileValues)
      .map(([plain, coat, argument]): Candidate => ({ options: coat(plain), kind, argument }));
  const changes = fc.array(mutations, { minLength: 1, maxLength: 3 });
  const changed = fc
    .tuple(fc.oneof(dialled, dialled, real), changes)
    .map(([options, some]): Options => mutated(options, some));
  // Where to by a URL: the options then hold no place of their own.
  const byUrl = fc.tuple(dialled, urls, hostileValues).map(([options, url, argument]): Candidate => {
    const rest = Object.fromEntries(Object.entries(options).filter(([name]) => !PLACES.includes(name)));
    return { url, options: rest, kind: 'opens', argument };
  });
  const byNoUrl = fc
    .tuple(dialled, hostileValues, hostileValues)
    .map(([options, { value }, argument]): Candidate => ({ url: value, options, kind: 'may', argument }));
  return fc.oneof(
    { weight: 6, arbitrary: byUrl },
    { weight: 2, arbitrary: byNoUrl },
    { weight: 50, arbitrary: inCoat(dialled, 'opens') },
    { weight: 4, arbitrary: inCoat(real, 'connects') },
    { weight: 36, arbitrary: inCoat(changed, 'may') },
    { weight: 4, arbitrary: hostileValues.map(({ value }): Candidate => ({ options: value, kind: 'may' })) },
  );
}
