import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';

import {
  type ConnectionOptions,
  ConnectionError,
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
} from 'reconnecting-connection';

import { track } from '../../kit/clean-up';
import type { Case } from '../lab';

/** A private key of which a part is missing. */
const BAD_KEY = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----\n';

/** What no timer and no kernel can wait for. */
const badTimeouts = [NaN, -1, 2 ** 31, 2 ** 53, 'abc', '100', {}, [], null, true, 1n];
const badDelays = [...badTimeouts, Infinity];

/** For each option, named as the message has to name it, what is not to be taken for it. */
const bad: Readonly<Record<string, readonly unknown[]>> = {
  port: [NaN, Infinity, -1, 0, 1.5, 65_536, 70_000, '6379', '0x1', ' 1 ', '1e0', '', null, true, {}, [6379], 1n],
  host: [
    '',
    null,
    0,
    true,
    {},
    ['127.0.0.1'],
    '127.0.0.1\0.evil.test',
    ' localhost',
    'local host',
    'localhost\n',
    '\tlocalhost',
    '[::1]',
    '127.0.0.1:80',
    'http://localhost/',
    '::1::',
  ],
  path: ['', null, 0, '/tmp/s\0.sock', `/tmp/${'s'.repeat(300)}`, ['/tmp/s.sock'], Buffer.from('/tmp/s.sock')],
  tls: [null, 'yes', 1, [], { key: BAD_KEY }, { cert: 'xyzzy' }],
  'tls.ca': ['-----BEGIN CERTIFICATE-----\nx', 'xyzzy', Buffer.from('xyzzy'), ['xyzzy']],
  'tls.rejectUnauthorized': ['false', 0, null],
  'tls.ALPNProtocols': [Buffer.from([200, 1]), 'h2', ['']],
  'tls.secureContext': [{}, { context: {} }],
  'tls.servername': [' a', 'a\0b', 1, null],
  target: [null, {}, '127.0.0.1:80'],
  dial: [null, {}],
  'socket.noDelay': [1, 'true', null],
  'socket.keepAlive': [1, null],
  'socket.keepAliveInitialDelay': [999, 0, -5, 1e12, NaN, '1000', null],
  'socket.localPort': [70_000, -1, 0, NaN, 1.5, '1', null],
  'socket.localAddress': ['', 'localhost', '127.0.0.1\0', null, 1],
  'socket.lookup': [null, {}],
  'socket.family': ['IPv4', 5, null],
  'socket.hints': [-1, 1 << 30, null],
  'socket.autoSelectFamilyAttemptTimeout': [0, 1, 2 ** 31, NaN],
  'backoff.initialDelay': badDelays,
  'backoff.maxDelay': badDelays,
  'backoff.multiplier': [0, 0.5, -1, NaN, Infinity, '2', null],
  'backoff.jitter': ['fully', '', null, true, 0.5],
  'backoff.random': [null, 0.5],
  minUptime: badDelays,
  connectTimeout: badDelays,
  idleTimeout: badTimeouts,
  writeTimeout: badTimeouts,
  closeTimeout: badDelays,
  maxRetries: [NaN, -1, 1.5, '3', null],
  maxElapsed: [NaN, -1, '3', null],
  shouldRetry: [null, true],
  handshake: [null, 'AUTH'],
  decoder: [null, {}],
  'heartbeat.interval': [...badDelays, 0],
  'heartbeat.timeout': [...badTimeouts, 0],
  'heartbeat.ping': [null, 'PING', undefined],
  'queue.maxBytes': [NaN, -1, 1.5, '1', null],
  'queue.maxAge': [NaN, -1, '1', null],
  signal: [null, {}, true],
  autoConnect: [null, 0, 'false'],
  reuseReadBuffer: [null, 1],
};

/** Options that contradict each other, that are unknown, or of which one is missing, with the word that names it. */
const wrong: readonly (readonly [string, object])[] = [
  ['port', {}],
  ['port', { host: 'localhost' }],
  ['port', { port: 1, path: '/tmp/s.sock' }],
  ['host', { host: 'localhost', path: '/tmp/s.sock' }],
  ['backoff.initialDelay', { port: 1, backoff: { initialDelay: 2, maxDelay: 1 } }],
  ['heartbeat.interval', { port: 1, heartbeat: {} }],
  ['prot', { port: 1, prot: 1 }],
  ['timeout', { port: 1, timeout: 1_000 }],
  ['socket.nodelay', { port: 1, socket: { nodelay: true } }],
  ['socket.timeout', { port: 1, socket: { timeout: 1_000 } }],
  ['queue.size', { port: 1, queue: { size: 1 } }],
  ['tls.socket', { port: 1, tls: { socket: {} } }],
];

/** Section A: bad options. */
export const options: readonly Case[] = [
  {
    id: 'C18',
    title: 'what cannot be right is refused when the connection is made, and not later',
    run: (lab) => {
      for (const port of [NaN, -1, 70_000]) assert.throws(() => lab.create({ port }), `port ${port} was taken`);
      if (lab.has('own')) refusesAll();
      return Promise.resolve();
    },
  },
];

function refusesAll(): void {
  const each = Object.entries(bad).flatMap(([name, values]) =>
    values.map((value) => [name, optionsWith(name, value)] as const),
  );
  for (const [name, given] of [...each, ...wrong]) {
    for (const make of makers) {
      const { message } = refusal(() => make(given), `${name}: ${inspect(given)}`);
      // A whole name within its quotes, or of an option that holds it.
      assert(message.includes(`\`${name}\``), `the refusal of ${name} says: ${message}`);
      assert(!message.includes('MIIEvQ') && !message.includes('xyzzy'), `${name}: ${message} shows a secret`);
    }
  }
  for (const nothing of [undefined, null, 6379, '6379', [6379]]) {
    for (const make of makers) refusal(() => make(nothing), String(nothing));
  }

  // The same hands take what is right, up to the last good value.
  for (const good of [{ port: 1 }, { port: 65_535, host: '::1' }, { path: '/tmp/s.sock' }, { port: 1, tls: true }]) {
    for (const make of makers) make(good);
  }
}

/** Options that are whole but for `name`, which is `value`. */
function optionsWith(name: string, value: unknown): object {
  const [outer = '', inner] = name.split('.');
  const base = outer === 'path' || outer === 'target' ? {} : { port: 6379 };
  const whole = outer === 'heartbeat' ? { interval: 1_000, ping: () => {} } : {};
  return { ...base, [outer]: inner === undefined ? value : { ...whole, [inner]: value } };
}

/** Every way to a connection. */
const makers: readonly ((given: unknown) => unknown)[] = [
  (given) => track(new ReconnectingConnection(unstarted(given))),
  (given) => track(track(new ConnectionPool()).add(unstarted(given))),
  (given) => track(new ConnectionRegistry().connect(unstarted(given))),
];

/** So that what is taken dials nobody. */
function unstarted(given: unknown): ConnectionOptions {
  const isRecord = typeof given === 'object' && given !== null && !Array.isArray(given);
  // `as`: what is wrong with them is the question.
  return (isRecord ? { autoConnect: false, ...given } : given) as ConnectionOptions;
}

/** What `make` throws, which has to be an `ERR_INVALID_OPTION`. */
function refusal(make: () => unknown, what: string): ConnectionError {
  try {
    make();
  } catch (error) {
    assert(error instanceof ConnectionError, `${what}: ${String(error)}`);
    assert.equal(error.code, 'ERR_INVALID_OPTION', what);
    return error;
  }
  return assert.fail(`${what} was taken`);
}
