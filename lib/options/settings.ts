import { ADDRCONFIG, ALL, V4MAPPED } from 'node:dns';
import { isIP, isIPv6 } from 'node:net';

import { type Backoff, defaultBackoff, exponentialBackoff } from './backoff';
import {
  type Check,
  type Checks,
  type Complete,
  type Given,
  abortSignal,
  boolean,
  checkObject,
  checkRecord,
  delay,
  frozen,
  func,
  funcThat,
  integer,
  interval,
  number,
  oneOf,
  orInfinity,
} from './checks';
import { invalidOption } from '../errors';
import { LONGEST_DELAY } from '../timers/deadline';
import type { HeartbeatOptions, MemberOptions, QueueOptions, SocketOptions } from './options';
import { type ResolvedTarget, type Target, type TlsOptions, DEFAULT_HOST } from './target';
import { checkTls, checkTlsOver, withoutGiven } from './tls-merge';

/** Options with all defaults filled in. Frozen, and without a prototype. */
export interface Settings extends Omit<Complete<MemberOptions>, OptionalSettings | 'port' | 'host' | 'path'> {
  /** The target of `port`, `host` and `path`; undefined if there is only the `target` function. */
  readonly target: ResolvedTarget | undefined;
  /** The `target` option. */
  readonly nextTarget: MemberOptions['target'];
  readonly tls: TlsOptions | undefined;
  readonly backoff: Backoff;
  readonly dial: MemberOptions['dial'];
  readonly beforeTls: MemberOptions['beforeTls'];
  readonly handshake: MemberOptions['handshake'];
  readonly decoder: MemberOptions['decoder'];
  readonly heartbeat: Complete<HeartbeatOptions> | undefined;
  readonly queue: Complete<QueueOptions>;
  readonly signal: AbortSignal | undefined;
}

type OptionalSettings =
  'target' | 'tls' | 'backoff' | 'dial' | 'beforeTls' | 'handshake' | 'decoder' | 'heartbeat' | 'queue' | 'signal';

/**
 * Checks each option, but not whether they are complete.
 *
 * @param defaults - Checked options for those that are absent or undefined. `tls` is merged over theirs.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkOptions(options: MemberOptions, defaults?: MemberOptions): Given<MemberOptions> {
  if (defaults === undefined) return checkRecord('', options, checks);
  const own = checkRecord('', options, { ...checks, tls: checkTlsOver(checkedTls(defaults.tls), defaults) });
  return frozen({ ...defaults, ...own });
}

/**
 * Checks options and fills in the defaults.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`, which names the option, the expected value and the given one
 */
export function resolveOptions(options: MemberOptions): Settings {
  const given = checkOptions(options);
  if (latest === undefined || !areEqual(given, latest.given)) latest = { given, settings: settingsOf(given) };
  return latest.settings;
}

/** The last result: connections created one after another with equal options, as in a pool, share their settings. */
let latest: { readonly given: Given<MemberOptions>; readonly settings: Settings } | undefined;

/** Whether checked options are equal, value by value. Nested options never are: each check returns a new object. */
function areEqual(some: MemberOptions, others: MemberOptions): boolean {
  // `as`: the check has refused unknown names.
  const names = Object.keys(some) as (keyof MemberOptions)[];
  return names.length === Object.keys(others).length && names.every((name) => some[name] === others[name]);
}

const SOCKET: SocketOptions = frozen({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
const QUEUE: Complete<QueueOptions> = frozen({ maxBytes: 1_048_576, maxAge: Infinity, overflow: 'refuse' });

/** 0 for a time limit that is off. */
function orOff(timeout = 0): number {
  return timeout === Infinity ? 0 : timeout;
}

/** The options of `socket` that say from where and to which address Node connects. */
const ADDRESSING = [
  'localAddress',
  'localPort',
  'family',
  'hints',
  'lookup',
  'autoSelectFamily',
  'autoSelectFamilyAttemptTimeout',
] as const satisfies readonly (keyof SocketOptions)[];

/** Throws if `socket` has options that could have no effect, or only a failing one. */
function checkAddressing(socket: SocketOptions, dial: unknown): void {
  const { localAddress, family } = socket;
  if (localAddress !== undefined && (family === 4 || family === 6) && isIP(localAddress) !== family) {
    throw invalidOption('option `socket.localAddress`', `an address of \`family\` ${family}`, localAddress);
  }
  if (dial === undefined) return;
  const name = ADDRESSING.find((each) => socket[each] !== undefined);
  if (name === undefined) return;
  throw invalidOption(`option \`socket.${name}\``, 'absent beside `dial`, which opens the socket', socket[name]);
}

function settingsOf(given: Given<MemberOptions>): Settings {
  if (given.socket !== undefined) checkAddressing(given.socket, given.dial);
  // `as`: the checks of these two leave out what is undefined.
  const heartbeat = given.heartbeat as Given<HeartbeatOptions> | undefined;
  const queue = given.queue as Given<QueueOptions> | undefined;
  const checked = checkedTls(given.tls);
  // A target's `tls` is merged over it.
  const tls = checked === undefined || given.target !== undefined ? checked : withoutGiven(checked);
  return frozen<Settings>({
    // `host` without `port` is an error, also beside a `target` function.
    target: staticTarget(given, tls, given.target !== undefined && given.host === undefined),
    nextTarget: given.target,
    tls,
    socket: given.socket === undefined ? SOCKET : frozen({ ...SOCKET, ...given.socket }),
    dial: given.dial,
    // `as`: the check of `backoff` has turned options into a function.
    backoff: (given.backoff as Backoff | undefined) ?? defaultBackoff(),
    minUptime: given.minUptime ?? 5_000,
    maxRetries: given.maxRetries ?? Infinity,
    maxElapsed: given.maxElapsed ?? Infinity,
    shouldRetry: given.shouldRetry ?? (() => true),
    connectTimeout: given.connectTimeout ?? 10_000,
    beforeTls: given.beforeTls,
    handshake: given.handshake,
    decoder: given.decoder,
    idleTimeout: orOff(given.idleTimeout),
    writeTimeout: orOff(given.writeTimeout),
    heartbeat: heartbeat && frozen({ timeout: heartbeat.interval, idle: false, ...heartbeat }),
    queue: queue === undefined ? QUEUE : frozen({ ...QUEUE, ...queue }),
    closeTimeout: given.closeTimeout ?? 2_000,
    signal: given.signal,
    autoConnect: given.autoConnect ?? true,
    reuseReadBuffer: given.reuseReadBuffer ?? false,
  });
}

/**
 * Checks the result of a `target` function.
 *
 * @param tls - The connection's `tls`, over which the target's is merged.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function resolveTarget(target: Target, tls: TlsOptions | undefined): ResolvedTarget {
  const given = checkRecord<TargetFields>('target', target, {
    port: checks.port,
    host: checks.host,
    path: checks.path,
    tls: checkTlsOver(tls, undefined),
  });
  const resolved = staticTarget(given, given.tls === undefined ? tls : checkedTls(given.tls), true);
  if (resolved === undefined) throw invalidOption('the target', 'an object with `port` or `path`', target);
  return resolved;
}

/** Fields of a target that may contradict each other. */
type TargetFields = Pick<MemberOptions, 'port' | 'host' | 'path' | 'tls'>;

function checkedTls(tls: MemberOptions['tls']): TlsOptions | undefined {
  // `as`: `checkTls` returns options or false.
  return tls === false ? undefined : (tls as TlsOptions | undefined);
}

function staticTarget(
  { port, host, path }: TargetFields,
  tls: TlsOptions | undefined,
  optional: boolean,
): ResolvedTarget | undefined {
  if (path !== undefined) {
    if (port !== undefined) throw invalidOption('option `port`', 'absent when `path` is set', port);
    if (host !== undefined) throw invalidOption('option `host`', 'absent when `path` is set', host);
    return frozen<ResolvedTarget>({ path, ...(tls && { tls }) });
  }
  if (port !== undefined) return frozen<ResolvedTarget>({ host: host ?? DEFAULT_HOST, port, ...(tls && { tls }) });
  if (optional) return undefined;
  throw invalidOption('option `port`', 'an integer from 1 to 65535', port);
}

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
  if ((hints & ~(ADDRCONFIG | ALL | V4MAPPED)) === 0) return hints;
  throw invalidOption(name, 'a combination of the hints of `node:dns`', value);
};

const checkFamily: Check<4 | 6 | 0> = (value, name) => {
  if (value !== 4 && value !== 6 && value !== 0) throw invalidOption(name, '4, 6, or 0 for both', value);
  // Not `value`, which may be −0: Node would abort the process.
  return value === 0 ? 0 : value;
};

/** The check of each option of a connection. */
export const checks: Checks<MemberOptions> = {
  port: integer(1, 65_535),
  host: checkHost,
  path: checkPath,
  tls: checkTls,
  target: funcThat('returns a target'),
  socket: (value) =>
    checkRecord<SocketOptions>('socket', value, {
      noDelay: boolean,
      keepAlive: boolean,
      // The kernel counts in whole seconds, up to 32,767 (TCP_KEEPIDLE). Node would round down, and 0 means two hours.
      keepAliveInitialDelay: (delay, name) => Math.ceil(number(1_000, 32_767_000)(delay, name) / 1_000) * 1_000,
      keepAliveInterval: (delay, name) =>
        probes(Math.ceil(number(1_000, 32_767_000)(delay, name) / 1_000) * 1_000, name),
      keepAliveCount: (count, name) => probes(integer(1, 127)(count, name), name),
      allowHalfOpen: boolean,
      localAddress: checkAddress,
      localPort: integer(1, 65_535),
      family: checkFamily,
      hints: checkHints,
      lookup: func,
      autoSelectFamily: boolean,
      autoSelectFamilyAttemptTimeout: integer(10, LONGEST_DELAY),
    }),
  dial: funcThat('returns a stream'),
  backoff: (value, name) => {
    if (typeof value === 'function') return func(value, name);
    const functions = typeof value === 'number' ? 'a function, such as `constantBackoff(…)`' : 'a function';
    checkObject(value, name, `an object, or ${functions}`);
    return exponentialBackoff(value);
  },
  minUptime: delay,
  maxRetries: orInfinity(integer(0)),
  maxElapsed: orInfinity(number(0)),
  shouldRetry: funcThat('returns true or false'),
  connectTimeout: delay,
  beforeTls: func,
  handshake: func,
  decoder: funcThat('returns a Transform'),
  idleTimeout: orInfinity(delay),
  writeTimeout: orInfinity(delay),
  heartbeat: (value, name) => {
    checkObject(value, name, 'an object with `interval` and `ping`');
    const heartbeat = checkRecord<HeartbeatOptions>('heartbeat', value, {
      interval,
      timeout: orInfinity(interval),
      ping: funcThat('writes a ping'),
      idle: boolean,
    });
    interval(heartbeat.interval, 'option `heartbeat.interval`');
    funcThat('writes a ping')(heartbeat.ping, 'option `heartbeat.ping`');
    return heartbeat;
  },
  queue: (value) =>
    checkRecord<QueueOptions>('queue', value, {
      maxBytes: orInfinity(integer(0)),
      maxAge: orInfinity(delay),
      overflow: oneOf('refuse', 'drop-oldest'),
    }),
  closeTimeout: delay,
  signal: abortSignal,
  autoConnect: boolean,
  reuseReadBuffer: boolean,
};
