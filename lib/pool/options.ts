import {
  type Checks,
  boolean,
  checkObject,
  checkRecord,
  frozen,
  func,
  integer,
  interval,
  number,
  oneOf,
  orInfinity,
} from '../options/checks';
import type { ReconnectingConnection } from '../connection';
import type { ConnectionEvents } from '../events/events';
import type { EjectInfo, EjectionOptions, EjectionSettings, RestoreInfo } from './ejection-policy';
import type { EndpointStats } from './endpoint-stats';
import type { SourceInfo, SourceStats } from './follow-options';
import type { MemberOptions } from '../options/options';
import { checks } from '../options/option-checks';
import { type CheckedOptions, overDefaults } from '../options/settings';
import type { SelectorName } from './selection';

/**
 * Chooses among the open members of a pool; there is at least one. What is no member of the pool counts as undefined.
 *
 * Without a key, as in `pool.write()`, it is asked for one of the members that have room, if there are any. When it returns
 * none of these, it is asked again for one of all open members. With a key it is given all open members at once. Ejected members
 * are treated as those without room.
 *
 * @example
 * ```ts
 * const oldest: SelectMember = (open) => open[0];
 * const pool = new ConnectionPool({ select: oldest });
 * pool.add({ port: 6379 });
 * ```
 */
export type SelectMember<Message = unknown> = (
  open: readonly ReconnectingConnection<Message>[],
  key?: string,
) => ReconnectingConnection<Message> | null | undefined;

/** Options of a pool: defaults for its members, and its own. */
export interface PoolOptions<Message = unknown> extends MemberOptions {
  /** Dials at a time, over all members; the others wait. Default: Infinity. */
  readonly maxConnecting?: number | undefined;
  /**
   * Members share what they know of an endpoint: while it is not known to be there, one dials for all, and when it is
   * back the others follow in a growing number. False: each dials by its own backoff, whatever becomes of the others.
   * Default: true.
   */
  readonly coordinateDials?: boolean | undefined;
  /**
   * Whether a dial that goes unanswered for longer than others may have a second socket beside it, of which the first to
   * connect is kept. Never where a member is the only one at its endpoint, for some devices drop their first session when
   * a second arrives. Without `coordinateDials` there is none. Default: true.
   */
  readonly hedge?: boolean | undefined;
  /** Which open member `pick()` returns. Default: `'round-robin'`. */
  readonly select?: SelectorName | SelectMember<Message> | undefined;
  /**
   * When a member that fails out of line with the others is left out of `pick()` for a while: see {@link EjectionOptions}.
   * Only pools of at least three members eject, unless `maxShare` allows one of two. False: never. Default: its defaults.
   */
  readonly ejection?: EjectionOptions | false | undefined;
}

/** The events of a pool: every event of a member, followed by the member's tag and the member; and its own. */
export type PoolEvents<Message = unknown> = {
  [K in keyof ConnectionEvents<Message>]: (
    ...args: [...Parameters<ConnectionEvents<Message>[K]>, tag: string, connection: ReconnectingConnection<Message>]
  ) => void;
} & {
  /** A member is left out of `pick()` from now on, because it fails and others do not: see the option `ejection`. */
  eject: (info: EjectInfo, tag: string, connection: ReconnectingConnection<Message>) => void;
  /** An ejected member is picked again. One that closes or is removed emits none. */
  restore: (info: RestoreInfo, tag: string, connection: ReconnectingConnection<Message>) => void;
  /** A source that `follow()` reads has given a list, has failed or has ended. */
  source: (info: SourceInfo) => void;
};

/** A pool in figures, as they are when `stats` is read. */
export interface PoolStats {
  /** Members, whatever their state. */
  readonly total: number;
  /** Members that have a session. */
  readonly open: number;
  /** Members that dial, or wait for their dial: see `waiting`. */
  readonly connecting: number;
  /** Members that wait for a retry. */
  readonly backoff: number;
  /** Connecting members that wait for their dial: until their endpoint may be dialled, or `maxConnecting` allows it. */
  readonly waiting: number;
  /** Members that are left out of `pick()` because they fail: see the option `ejection`. */
  readonly ejected: number;
  /** Bytes written to members whose fate is open. */
  readonly queuedBytes: number;
  /** What the members know together of the endpoints they dial, by tag; empty where `coordinateDials` is false. */
  readonly endpoints: Readonly<Record<string, EndpointStats>>;
  /** The sources that the pool follows, in the order of the calls of `follow()`. */
  readonly sources: readonly SourceStats[];
}

/** The members by state, for a message: `1 member, in backoff` or `3 members: 2 in backoff, 1 connecting`. */
export function census({ total, connecting, backoff }: PoolStats): string {
  const states = Object.entries({ 'in backoff': backoff, connecting }).filter(([, count]) => count > 0);
  const members = `${total} ${total === 1 ? 'member' : 'members'}`;
  if (states.length === 0) return members;
  if (states[0]?.[1] === total) return `${members}, ${states[0][0]}`;
  return `${members}: ${states.map(([state, count]) => `${count} ${state}`).join(', ')}`;
}

/**
 * Checks the options of a pool, and separates the defaults for its members from its own.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkPoolOptions<Message>(options: PoolOptions<Message>) {
  const {
    maxConnecting = Infinity,
    coordinateDials = true,
    hedge = true,
    select = 'round-robin',
    ejection = {},
    ...rest
  } = checkRecord<PoolOptions<Message>>('', options, poolChecks);
  const defaults = overDefaults(frozen(rest) as CheckedOptions);
  return { maxConnecting, coordinateDials, hedge, select, ejection: withDefaults(ejection), defaults };
}

function withDefaults(ejection: EjectionOptions | false): EjectionSettings | undefined {
  if (ejection === false) return undefined;
  const { failures = 5, baseTime = 30_000, maxShare = 0.1, panicShare = 0.5 } = ejection;
  return { failures, baseTime, maxShare, panicShare };
}

const share = number(0, 1);
const ejectionChecks: Checks<EjectionOptions> = {
  failures: integer(1),
  baseTime: interval,
  maxShare: share,
  panicShare: share,
};

const poolChecks: Checks<PoolOptions> = {
  ...checks,
  coordinateDials: boolean,
  ejection: (value, name) => {
    if (value === false) return value;
    checkObject(value, name, 'an object or false');
    return checkRecord<EjectionOptions>('ejection', value, ejectionChecks);
  },
  hedge: boolean,
  maxConnecting: orInfinity(integer(1)),
  select: (value, name) => (typeof value === 'function' ? func(value, name) : selectorName(value, name)),
};

const selectorName = oneOf<SelectorName>('round-robin', 'least-pending', 'random-two', 'peak-ewma', 'rendezvous');
