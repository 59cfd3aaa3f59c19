import { isIP } from 'node:net';

import { type Backoff, defaultBackoff, exponentialBackoff } from './backoff';
import { type Complete, type Given, Bare, areSame, checkRecord, frozen } from './checks';
import { invalidOption } from '../errors';
import { checks } from './option-checks';
import type {
  BeforeTls,
  Dial,
  FailbackOptions,
  Failure,
  Handshake,
  HeartbeatOptions,
  MemberOptions,
  NextTarget,
  QueueOptions,
  SocketOptions,
} from './options';
import { Recent } from './recent';
import { type Place, staticTarget } from './resolve-target';
import type { ResolvedTarget, TlsOptions } from './target';
import { resolveList, targetsInOrder } from './target-list';
import { mergeTls, withoutGiven } from './tls-merge';

/** Checked options of one connection. */
export interface ResolvedOptions {
  /** Shared with other connections. */
  readonly settings: Settings;
  /** The target of `port`, `host` and `path`; undefined if there is only the `target` function. */
  readonly target: ResolvedTarget | undefined;
}

/** Options of which each was checked. */
export type CheckedOptions = Given<Omit<MemberOptions, 'tls'>> & { readonly tls?: TlsOptions | false };

/**
 * Checks each option, but not whether they are complete.
 *
 * @param defaults - Checked options for those that are absent or undefined. `tls` is merged over theirs.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkOptions(options: MemberOptions, defaults?: CheckedOptions): CheckedOptions {
  // `as`: the check of `tls` returns false or options.
  return overDefaults(checkRecord('', options, checks) as CheckedOptions, defaults);
}

/**
 * Adds defaults to checked options, and parses keys and certificates.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function overDefaults(own: CheckedOptions, defaults?: CheckedOptions): CheckedOptions {
  if (!own.tls) return defaults === undefined ? own : frozen({ ...defaults, ...own });
  const tls = mergeTls(own.tls, ifOn(defaults?.tls), 'option `tls`');
  return frozen({ ...defaults, ...own, tls });
}

/**
 * Checks options and fills in the defaults.
 *
 * @param defaults - Checked options for those that are absent or undefined. `tls` is merged over theirs.
 * @throws ConnectionError `ERR_INVALID_OPTION`, which names the option, the expected value and the given one
 */
export function resolveOptions(options: MemberOptions, defaults?: CheckedOptions): ResolvedOptions {
  const given = checkOptions(options, defaults);
  const { port, host, path, tls, ...others } = given;
  // The TLS options belong to the target, unless each dial has another.
  const common: CommonGiven = given.target === undefined || tls === undefined ? others : { ...others, tls };
  const settings = recent.find((each) => areAlike(common, each.given)) ?? recent.add(new Settings(frozen(common)));
  // `host` without `port` is an error, also beside a `target` function.
  const isOptional = given.target !== undefined && host === undefined;
  return { settings, target: staticTarget({ port, host, path }, tls ? withoutGiven(tls) : undefined, isOptional) };
}

/** Checked options without those of the target. */
type CommonGiven = Omit<CheckedOptions, keyof Place>;

/** The settings of the connections that were created last: connections with equal options share them. */
const recent = new Recent<Settings>();

/** The options whose values are records of ours where they are objects. */
const RECORDS: ReadonlySet<string> = new Set(['tls', 'socket', 'heartbeat', 'queue', 'backoff', 'failback']);

/** Whether checked options are equal, value by value; functions and signals have to be the same. */
function areAlike(some: CommonGiven, others: CommonGiven): boolean {
  // `as`: the check has refused unknown names.
  const names = Object.keys(some) as (keyof CommonGiven)[];
  if (names.length !== Object.keys(others).length) return false;
  for (const name of names) {
    const [one, other] = [some[name], others[name]];
    if (one === other) continue;
    if (!RECORDS.has(name) || typeof one !== 'object' || typeof other !== 'object' || !areSame(one, other))
      return false;
  }
  return true;
}

const DEFAULT_BACKOFF = defaultBackoff();
const ALWAYS = () => true;
const SOCKET: SocketOptions = frozen({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
const SUCCESSES = 2;
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

/**
 * Options but the target, with all defaults filled in. Frozen. A class with fields, as V8 makes a hash table of an object
 * to which so many properties are added.
 */
export class Settings extends Bare {
  /** The checked options that they were made of. */
  readonly given: CommonGiven;
  /** The `target` option, as a function. */
  readonly nextTarget: NextTarget | undefined;
  /** The `target` option, where it is a list. */
  readonly targets: readonly ResolvedTarget[] | undefined;
  /** What the `tls` of each target is merged over, where there is a `target` function. */
  readonly tls: TlsOptions | undefined;
  readonly socket: SocketOptions;
  readonly dial: Dial | undefined;
  readonly backoff: Backoff;
  readonly minUptime: number;
  readonly maxRetries: number;
  readonly maxElapsed: number;
  readonly maxLifetime: number;
  readonly failback: Complete<FailbackOptions> | undefined;
  readonly shouldRetry: (failure: Failure) => boolean;
  readonly connectTimeout: number;
  readonly beforeTls: BeforeTls | undefined;
  readonly handshake: Handshake | undefined;
  readonly decoder: MemberOptions['decoder'];
  readonly idleTimeout: number;
  readonly writeTimeout: number;
  readonly heartbeat: Complete<HeartbeatOptions> | undefined;
  readonly queue: Complete<QueueOptions>;
  readonly closeTimeout: number;
  readonly signal: AbortSignal | undefined;
  readonly autoConnect: boolean;
  readonly reuseReadBuffer: boolean;

  constructor(given: CommonGiven) {
    super();
    const { socket, tls } = given;
    if (socket !== undefined) checkAddressing(socket, given.dial);
    // `as`: the checks of these two leave out what is undefined.
    const heartbeat = given.heartbeat as Given<HeartbeatOptions> | undefined;
    const queue = given.queue as Given<QueueOptions> | undefined;
    this.given = given;
    this.tls = ifOn(tls);
    this.targets = typeof given.target === 'object' ? resolveList(given.target, this.tls) : undefined;
    // `as`: what is no list is a function.
    this.nextTarget = this.targets ? targetsInOrder(this.targets) : (given.target as NextTarget | undefined);
    this.socket = socket === undefined ? SOCKET : frozen({ ...SOCKET, ...socket });
    this.dial = given.dial;
    this.backoff = backoffOf(given.backoff);
    this.minUptime = given.minUptime ?? 5_000;
    this.maxRetries = given.maxRetries ?? Infinity;
    this.maxElapsed = given.maxElapsed ?? Infinity;
    this.maxLifetime = given.maxLifetime ?? Infinity;
    this.failback = failbackOf(given.failback, this.targets);
    this.shouldRetry = given.shouldRetry ?? ALWAYS;
    this.connectTimeout = given.connectTimeout ?? 10_000;
    this.beforeTls = given.beforeTls;
    this.handshake = given.handshake;
    this.decoder = given.decoder;
    this.idleTimeout = orOff(given.idleTimeout);
    this.writeTimeout = orOff(given.writeTimeout);
    this.heartbeat = heartbeat && frozen({ timeout: heartbeat.interval, idle: false, ...heartbeat });
    this.queue = queue === undefined ? QUEUE : frozen({ ...QUEUE, ...queue });
    this.closeTimeout = given.closeTimeout ?? 2_000;
    this.signal = given.signal;
    this.autoConnect = given.autoConnect ?? true;
    this.reuseReadBuffer = given.reuseReadBuffer ?? false;
    Object.freeze(this);
  }
}

function ifOn(tls: TlsOptions | false | undefined): TlsOptions | undefined {
  return tls === false ? undefined : tls;
}

function failbackOf(
  given: CommonGiven['failback'],
  targets: readonly ResolvedTarget[] | undefined,
): Complete<FailbackOptions> | undefined {
  if (given === undefined) return undefined;
  const expected = 'absent unless `target` is a list of two targets or more';
  if (targets === undefined || targets.length < 2) throw invalidOption('option `failback`', expected, given);
  return frozen({ interval: given.interval, successes: given.successes ?? SUCCESSES });
}

function backoffOf(given: CommonGiven['backoff']): Backoff {
  if (given === undefined) return DEFAULT_BACKOFF;
  return typeof given === 'function' ? given : exponentialBackoff(given);
}
