import { isIP } from 'node:net';

import { type Backoff, defaultBackoff } from './backoff';
import { type Complete, type Given, checkRecord, frozen } from './checks';
import { invalidOption } from '../errors';
import { checks } from './option-checks';
import type { HeartbeatOptions, MemberOptions, QueueOptions, SocketOptions } from './options';
import { type ResolvedTarget, type Target, type TlsOptions, DEFAULT_HOST } from './target';
import { checkTlsOver, withoutGiven } from './tls-merge';

/** Checked options of one connection. */
export interface ResolvedOptions {
  /** Shared with other connections. */
  readonly settings: Settings;
  /** The target of `port`, `host` and `path`; undefined if there is only the `target` function. */
  readonly target: ResolvedTarget | undefined;
}

/** Options but the target, with all defaults filled in. Frozen, and without a prototype. */
export interface Settings extends Omit<Complete<MemberOptions>, OptionalSettings | keyof Place> {
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

/** The options that say where a connection goes to. */
type Place = Pick<MemberOptions, 'port' | 'host' | 'path'>;

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
export function resolveOptions(options: MemberOptions): ResolvedOptions {
  const given = checkOptions(options);
  const { port, host, path, ...others } = given;
  const rest = frozen(others);
  if (latest === undefined || !areEqual(rest, latest.given)) latest = { given: rest, settings: settingsOf(rest) };
  const { settings } = latest;
  // `host` without `port` is an error, also beside a `target` function.
  const isOptional = given.target !== undefined && host === undefined;
  return { settings, target: staticTarget({ port, host, path }, settings.tls, isOptional) };
}

/** The last result: connections created one after another with equal options, as in a pool, share their settings. */
let latest: { readonly given: Given<Omit<MemberOptions, keyof Place>>; readonly settings: Settings } | undefined;

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

function settingsOf(given: Given<Omit<MemberOptions, keyof Place>>): Settings {
  if (given.socket !== undefined) checkAddressing(given.socket, given.dial);
  // `as`: the checks of these two leave out what is undefined.
  const heartbeat = given.heartbeat as Given<HeartbeatOptions> | undefined;
  const queue = given.queue as Given<QueueOptions> | undefined;
  const checked = checkedTls(given.tls);
  // A target's `tls` is merged over it.
  const tls = checked === undefined || given.target !== undefined ? checked : withoutGiven(checked);
  return frozen<Settings>({
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

type TargetFields = Place & Pick<MemberOptions, 'tls'>;

function checkedTls(tls: MemberOptions['tls']): TlsOptions | undefined {
  // `as`: `checkTls` returns options or false.
  return tls === false ? undefined : (tls as TlsOptions | undefined);
}

function staticTarget(
  { port, host, path }: Place,
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
