import { isIP, isIPv6 } from 'node:net';

import { checkExponential } from './backoff';
import {
  type Check,
  type Checks,
  abortSignal,
  boolean,
  checkObject,
  checkRecord,
  delay,
  func,
  funcThat,
  integer,
  interval,
  number,
  oneOf,
  orInfinity,
} from './checks';
import { builtins } from '../builtins';
import { invalidOption } from '../errors';
import { LONGEST_DELAY } from '../timers/deadline';
import type { FailbackOptions, HeartbeatOptions, MemberOptions, QueueOptions, SocketOptions } from './options';
import { checkTls } from './tls-merge';

const checkHost: Check<string> = (value, name) => {
  // A NUL would cut the name short: "127.0.0.1\0.example" dials 127.0.0.1, although an allow-list of names saw ".example".
  if (
    typeof value !== 'string' ||
    !/^[^\s\p{Cc}\p{Cf}\p{Cs}/[\]]+$/u.test(value) ||
    (value.includes(':') && !isIPv6(value))
  ) {
    throw invalidOption(name, `a host name or an address without ${withoutIn(value)}`, value);
  }
  return value;
};

/** What the value of `host` may not have, and where that belongs. */
function withoutIn(value: unknown): string {
  if (typeof value === 'string') {
    const [scheme] = /^[a-z][a-z\d+.-]*:\/\//i.exec(value) ?? [];
    if (scheme !== undefined) return `the scheme \`${scheme}\` (a URL is the first argument, before the options)`;
    const [port] = /(?<=^[^:]+|\]):\d+$/.exec(value) ?? [];
    if (port !== undefined) return `the port \`${port}\` (it is the option \`port\`)`;
  }
  return 'port, brackets or spaces';
}

/** The longest socket path that the kernel takes, in bytes; libuv would truncate a longer one without an error. */
const PATH_BYTES = { linux: 107, win32: 256 } as Readonly<Record<string, number>>;

const checkPath: Check<string> = (value, name) => {
  const max = PATH_BYTES[process.platform] ?? 103;
  const isAbstract = typeof value === 'string' && value.startsWith('\0');
  const text = isAbstract ? value.slice(1) : value;
  if (typeof text !== 'string' || text === '' || /\p{Cc}/u.test(text) || Buffer.byteLength(text) > max) {
    throw invalidOption(name, `a path of 1 to ${max} bytes without control characters`, value);
  }
  // Elsewhere a NUL ends the path.
  if (isAbstract && process.platform !== 'linux')
    throw invalidOption(name, 'a path: only Linux has abstract sockets', value);
  return isAbstract ? `\0${text}` : text;
};

const checkAddress: Check<string> = (value, name) => {
  if (typeof value !== 'string' || isIP(value) === 0) throw invalidOption(name, 'an IP address', value);
  return value;
};

/** The first version of Node whose sockets take `keepAliveInterval` and `keepAliveCount`. */
const PROBES_SINCE = [26, 4] as const;

function probes(value: number, name: string): number {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [sinceMajor, sinceMinor] = PROBES_SINCE;
  if (major > sinceMajor || (major === sinceMajor && minor >= sinceMinor)) return value;
  throw invalidOption(name, `absent before Node ${PROBES_SINCE.join('.')} (this is ${process.version})`, value);
}

const checkHints: Check<number> = (value, name) => {
  const hints = integer(0)(value, name);
  const { ADDRCONFIG, ALL, V4MAPPED } = builtins.dns;
  if ((hints & ~(ADDRCONFIG | ALL | V4MAPPED)) === 0) return hints;
  throw invalidOption(name, 'a combination of the hints of `node:dns`', value);
};

const checkFamily: Check<4 | 6 | 0> = (value, name) => {
  if (value !== 4 && value !== 6 && value !== 0) throw invalidOption(name, '4, 6, or 0 for both', value);
  // Not `value`, which may be −0: Node would abort the process.
  return value === 0 ? 0 : value;
};

/** The kernel counts in whole seconds, up to 32,767 (TCP_KEEPIDLE). Node would round down, and 0 means two hours. */
const keepAliveDelay = number(1_000, 32_767_000);
const keepAliveCount = integer(1, 127);

const wholeSeconds: Check<number> = (value, name) => Math.ceil(keepAliveDelay(value, name) / 1_000) * 1_000;

const socketChecks: Checks<SocketOptions> = {
  noDelay: boolean,
  keepAlive: boolean,
  keepAliveInitialDelay: wholeSeconds,
  keepAliveInterval: (value, name) => probes(wholeSeconds(value, name), name),
  keepAliveCount: (value, name) => probes(keepAliveCount(value, name), name),
  allowHalfOpen: boolean,
  localAddress: checkAddress,
  localPort: integer(1, 65_535),
  family: checkFamily,
  hints: checkHints,
  lookup: func,
  autoSelectFamily: boolean,
  autoSelectFamilyAttemptTimeout: integer(10, LONGEST_DELAY),
};

const ping = funcThat('writes a ping');
const aTarget = funcThat('returns a target, or a list of targets');

const heartbeatChecks: Checks<HeartbeatOptions> = { interval, timeout: orInfinity(interval), ping, idle: boolean };

const failbackChecks: Checks<FailbackOptions> = { interval, successes: integer(1) };

const queueChecks: Checks<QueueOptions> = {
  maxBytes: orInfinity(integer(0)),
  maxAge: orInfinity(delay),
  overflow: oneOf('refuse', 'drop-oldest'),
};

/** The check of each option of a connection. */
export const checks: Checks<MemberOptions> = {
  port: integer(1, 65_535),
  host: checkHost,
  path: checkPath,
  tls: checkTls,
  // The targets of a list are checked when all options are known: their `tls` is merged over the connection's.
  target: (value, name) => (Array.isArray(value) ? (value as never) : aTarget(value, name)),
  socket: (value) => checkRecord('socket', value, socketChecks),
  dial: funcThat('returns a stream'),
  backoff: (value, name) => {
    if (typeof value === 'function') return func(value, name);
    const functions = typeof value === 'number' ? 'a function, such as `constantBackoff(…)`' : 'a function';
    checkObject(value, name, `an object, or ${functions}`);
    return checkExponential(value);
  },
  minUptime: delay,
  maxRetries: orInfinity(integer(0)),
  maxElapsed: orInfinity(number(0)),
  maxLifetime: orInfinity(interval),
  failback: (value, name) => {
    checkObject(value, name, 'an object with `interval`');
    const failback = checkRecord('failback', value, failbackChecks);
    interval(failback.interval, 'option `failback.interval`');
    return failback;
  },
  shouldRetry: funcThat('returns true or false'),
  connectTimeout: delay,
  beforeTls: func,
  handshake: func,
  decoder: funcThat('returns a Transform'),
  idleTimeout: orInfinity(delay),
  writeTimeout: orInfinity(delay),
  heartbeat: (value, name) => {
    checkObject(value, name, 'an object with `interval` and `ping`');
    const heartbeat = checkRecord('heartbeat', value, heartbeatChecks);
    interval(heartbeat.interval, 'option `heartbeat.interval`');
    ping(heartbeat.ping, 'option `heartbeat.ping`');
    return heartbeat;
  },
  queue: (value) => checkRecord('queue', value, queueChecks),
  closeTimeout: delay,
  signal: abortSignal,
  autoConnect: boolean,
  reuseReadBuffer: boolean,
};
