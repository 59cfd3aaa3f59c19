import { LONGEST_DELAY } from '../timers/deadline';
import { checkRecord, delay, func, number, oneOf } from './checks';
import { disown, invalidOption } from '../errors';

/** What a {@link Backoff} decides from. */
export interface BackoffContext {
  /** Number of the retry that the wait precedes: 1 for the first of an outage. */
  readonly attempt: number;
  /** What failed, where there is an error. */
  readonly error?: NodeJS.ErrnoException;
  /** The wait before this one in the same outage, in milliseconds; absent for the first. */
  readonly previousDelay?: number;
  /** Sessions the connection has had; absent or 0 before the first. */
  readonly generation?: number;
}

/**
 * How long to wait before a retry, in milliseconds; `undefined` gives up. What it returns is rounded and kept within 10 ms
 * and 2,147,483,647 ms, the longest that Node's timers can wait. One that throws or returns no number is survived with
 * 1000 ms in its place, and `fault` of the `backoff` event tells of it.
 *
 * @example
 * ```ts
 * const growing = exponentialBackoff({ initialDelay: 500, maxDelay: 20_000 });
 * const patient = new ReconnectingConnection({
 *   port: 6379,
 *   // A refused port is soon back; whatever else, take it slowly. Ten attempts are enough.
 *   backoff: (context) => {
 *     if (context.attempt > 10) return undefined;
 *     return context.error?.code === 'ECONNREFUSED' ? 100 : growing(context);
 *   },
 * });
 * await patient.disconnect();
 * ```
 */
export type Backoff = (context: BackoffContext) => number | undefined;

/** How a delay is spread, so that clients that failed together do not return together. */
export type Jitter =
  /** Anything from 0 to the delay. */
  | 'full'
  /** Anything from half the delay to the delay. */
  | 'equal'
  /** Anything from `initialDelay` to `multiplier` times the previous wait; at the cap, anything in its last quarter. */
  | 'decorrelated'
  /** The delay as it is. */
  | 'none';

/** Options of {@link exponentialBackoff}. */
export interface ExponentialBackoffOptions {
  /** Milliseconds before the first retry, of which jitter takes its part. Default: 100, or `maxDelay` where that is less. */
  readonly initialDelay?: number;
  /** No wait is longer, in milliseconds. Default: 30,000, or `initialDelay` where that is more. */
  readonly maxDelay?: number;
  /** Growth from one retry to the next, at least 1. Default: 2; 3 with `'decorrelated'` jitter. */
  readonly multiplier?: number;
  /** How the delay is spread. Default: `'full'`. */
  readonly jitter?: Jitter;
  /** Where chance comes from: a number from 0 up to 1. Default: `Math.random`. */
  readonly random?: () => number;
}

/** Options of {@link constantBackoff}. */
export interface ConstantBackoffOptions {
  /** How the delay is spread. Default: `'none'`. */
  readonly jitter?: 'full' | 'equal' | 'none';
  /** Where chance comes from: a number from 0 up to 1. Default: `Math.random`. */
  readonly random?: () => number;
}

/** No wait is shorter, in milliseconds, whatever asked for it: a retry loop never runs hot. */
export const MIN_DELAY = 10;

/** A whole number of milliseconds that is no less than {@link MIN_DELAY} and that a timer can wait; NaN becomes the least. */
export function clampDelay(value: number): number {
  return Math.round(Math.min(Math.max(value, MIN_DELAY) || MIN_DELAY, LONGEST_DELAY));
}

/**
 * Delays that grow by a factor up to a cap. Jitter is applied after the cap, so that clients still spread when all of
 * them have reached it.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 *
 * @example
 * ```ts
 * const backoff = exponentialBackoff({ initialDelay: 100, maxDelay: 1_000, jitter: 'none' });
 * console.log([1, 2, 3, 4, 5, 6].map((attempt) => backoff({ attempt })).join(', '));
 * ```
 * ```text
 * 100, 200, 400, 800, 1000, 1000
 * ```
 */
export function exponentialBackoff(options: ExponentialBackoffOptions = {}): Backoff {
  const given = checkRecord<ExponentialBackoffOptions>('backoff', options, {
    initialDelay: delay,
    maxDelay: delay,
    multiplier: number(1),
    jitter: oneOf('full', 'equal', 'decorrelated', 'none'),
    random: func,
  });
  const maxDelay = given.maxDelay ?? Math.max(30_000, given.initialDelay ?? 0);
  const initialDelay = given.initialDelay ?? Math.min(100, maxDelay);
  const { jitter = 'full', random = Math.random } = given;
  const multiplier = given.multiplier ?? (jitter === 'decorrelated' ? 3 : 2);
  if (initialDelay > maxDelay) {
    throw invalidOption('option `backoff.initialDelay`', `at most \`maxDelay\` (${maxDelay})`, initialDelay);
  }

  if (jitter === 'decorrelated') {
    const leastAtCap = Math.max(initialDelay, maxDelay * LEAST_SHARE_AT_CAP);
    return ({ previousDelay = 0 }) => {
      const drawn = between(initialDelay, Math.max(initialDelay, previousDelay) * multiplier, random());
      return clampDelay(drawn <= maxDelay ? drawn : between(leastAtCap, maxDelay, random()));
    };
  }
  const least = LEAST_SHARE[jitter];
  return ({ attempt }) => {
    // The factor overflows to Infinity from attempt 1025 on, and 0 · Infinity would be NaN.
    const growth = Math.min(multiplier ** (attempt - 1), LONGEST_DELAY);
    const capped = Math.min(maxDelay, initialDelay * growth);
    return clampDelay(between(capped * least, capped, random()));
  };
}

/**
 * The same wait every time.
 *
 * @param milliseconds - The wait; jitter takes from it, never adds.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 *
 * @example
 * ```ts
 * const connection = new ReconnectingConnection({ port: 6379, backoff: constantBackoff(1_000, { jitter: 'equal' }) });
 * ```
 */
export function constantBackoff(milliseconds: number, options: ConstantBackoffOptions = {}): Backoff {
  const wait = delay(milliseconds, 'the delay of `constantBackoff`');
  const { jitter = 'none', random = Math.random } = checkRecord<ConstantBackoffOptions>('backoff', options, {
    jitter: oneOf('full', 'equal', 'none'),
    random: func,
  });
  return () => clampDelay(between(wait * LEAST_SHARE[jitter], wait, random()));
}

/**
 * The schedule of connman.js, the module this library grew out of: 10 ms doubling to 128 s; after a session 50 ms
 * doubling to 128 s. It has no jitter, so many clients return in step: for a lone client only.
 */
export function connmanBackoff(): Backoff {
  return ({ attempt, generation = 0 }) =>
    clampDelay(Math.min(128_000, (generation > 0 ? 50 : 10) * Math.min(2 ** (attempt - 1), LONGEST_DELAY)));
}

/**
 * The default, *quick decorrelated*: a first wait of up to 250 ms, so that a blip costs little, then decorrelated
 * growth from 1 s to 8 s, which keeps a fleet from returning in step. Of 135 of its kind it is among the few by which
 * 99 % of 100,000 clients are back within 1.15 of the least time there can be after 30 s, with at most 9 attempts each;
 * a longer cap leaves the server idle in the end, a shorter one knocks more often (docs/herd.md).
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function defaultBackoff(options: Pick<ExponentialBackoffOptions, 'random'> = {}): Backoff {
  const { random = Math.random } = checkRecord<typeof options>('backoff', options, { random: func });
  const growing = exponentialBackoff({ initialDelay: 1_000, maxDelay: 8_000, jitter: 'decorrelated', random });
  return (context) => (context.attempt === 1 ? clampDelay(between(0, 250, random())) : growing(context));
}

/**
 * A decorrelated wait beyond the cap is drawn anew from the cap's last quarter. Cut off at the cap, most waits of a long
 * outage would be the cap itself; drawn from the whole range, clients would knock more often than the spread is worth.
 */
const LEAST_SHARE_AT_CAP = 0.75;

const LEAST_SHARE = { full: 0, equal: 0.5, none: 1 } as const;

function between(least: number, most: number, share: number): number {
  disown(share);
  return least + (most - least) * Math.min(Math.max(share, 0) || 0, 1);
}
