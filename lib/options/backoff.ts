import { LONGEST_DELAY } from '../timers/deadline';
import { type Checks, checkRecord, delay, frozen, func, number, oneOf } from './checks';
import { fromCaller, ignoreRejection, invalidOption } from '../errors';

/** The argument of a {@link Backoff}. */
export interface BackoffContext {
  /** Number of the retry that follows the wait: 1 for the first of an outage, or since the waits start afresh (`minUptime`). */
  readonly attempt: number;
  /** The error of the failed attempt or session; absent if it ended without one. */
  readonly error?: NodeJS.ErrnoException;
  /** The previous of these waits, in milliseconds; absent for the first. */
  readonly previousDelay?: number;
  /** Number of sessions that the connection has had; absent or 0 before the first. */
  readonly generation?: number;
}

/**
 * Returns how long to wait before a retry, in milliseconds; `undefined` gives up. The value is rounded and limited to
 * the range from 10 ms to 2,147,483,647 ms, the longest delay of Node's timers. If the function throws or returns anything
 * else, the wait is 1000 ms (10 ms for a negative number), and `fault` of the `backoff` event holds the error.
 *
 * @example
 * ```ts
 * const growing = exponentialBackoff({ initialDelay: 500, maxDelay: 20_000 });
 * const patient = new ReconnectingConnection({
 *   port: 6379,
 *   // Retry a refused port soon and anything else slowly, and give up after ten retries.
 *   backoff: (context) => {
 *     if (context.attempt > 10) return undefined;
 *     return context.error?.code === 'ECONNREFUSED' ? 100 : growing(context);
 *   },
 * });
 * await patient.disconnect();
 * ```
 */
export type Backoff = (context: BackoffContext) => number | undefined;

/** How a delay is randomized, so that clients that failed at the same time do not all retry at the same time. */
export type Jitter =
  /** Uniform between 0 and the delay. */
  | 'full'
  /** Uniform between half the delay and the delay. */
  | 'equal'
  /** Uniform between `initialDelay` and `multiplier` times the previous wait; above `maxDelay`, between 75 % and 100 % of it. */
  | 'decorrelated'
  /** The delay itself. */
  | 'none';

/** Options of {@link exponentialBackoff}. */
export interface ExponentialBackoffOptions {
  /** Milliseconds before the first retry, before jitter. Default: 100, or `maxDelay` if that is less. */
  readonly initialDelay?: number | undefined;
  /** The longest wait, in milliseconds. Default: 30,000, or `initialDelay` if that is more. */
  readonly maxDelay?: number | undefined;
  /** The factor from one retry's delay to the next, at least 1. Default: 2; 3 with `'decorrelated'` jitter. */
  readonly multiplier?: number | undefined;
  /** How the delay is randomized. Default: `'full'`. */
  readonly jitter?: Jitter | undefined;
  /** Returns a random number from 0 (inclusive) to 1 (exclusive). Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** Options of {@link constantBackoff}. */
export interface ConstantBackoffOptions {
  /** How the delay is randomized. Default: `'none'`. */
  readonly jitter?: 'full' | 'equal' | 'none' | undefined;
  /** Returns a random number from 0 (inclusive) to 1 (exclusive). Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** The shortest wait, in milliseconds. No option goes below it, so that a retry loop never becomes a busy loop. */
export const MIN_DELAY = 10;

/** Rounds `value` and limits it to the range from {@link MIN_DELAY} to {@link LONGEST_DELAY}; NaN becomes the minimum. */
export function clampDelay(value: number): number {
  return Math.round(Math.min(Math.max(value, MIN_DELAY) || MIN_DELAY, LONGEST_DELAY));
}

/**
 * Delays that grow by a factor up to a cap. Jitter is applied after the cap, so that retries stay spread out when all
 * clients have reached it.
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
  const given = fromCaller(exponentialBackoff, () => checkExponential(options));
  const { initialDelay, maxDelay, jitter = 'full', random = anyRandom } = given;
  const multiplier = given.multiplier ?? (jitter === 'decorrelated' ? 3 : 2);

  if (jitter === 'decorrelated') {
    const minAtCap = Math.max(initialDelay, maxDelay * MIN_SHARE_AT_CAP);
    return ({ previousDelay = 0 }) => {
      const drawn = between(initialDelay, Math.max(initialDelay, previousDelay) * multiplier, random());
      return clampDelay(drawn <= maxDelay ? drawn : between(minAtCap, maxDelay, random()));
    };
  }
  const minShare = MIN_SHARE[jitter];
  return ({ attempt }) => {
    // The factor overflows to Infinity from attempt 1025 on, and 0 · Infinity would be NaN.
    const growth = Math.min(multiplier ** (attempt - 1), LONGEST_DELAY);
    const capped = Math.min(maxDelay, initialDelay * growth);
    return clampDelay(between(capped * minShare, capped, random()));
  };
}

const exponentialChecks: Checks<ExponentialBackoffOptions> = {
  initialDelay: delay,
  maxDelay: delay,
  multiplier: number(1),
  jitter: oneOf('full', 'equal', 'decorrelated', 'none'),
  random: func,
};

/**
 * Checks the options of {@link exponentialBackoff}, and fills in those that depend on each other.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkExponential(options: ExponentialBackoffOptions) {
  const given = checkRecord('backoff', options, exponentialChecks);
  const maxDelay = given.maxDelay ?? Math.max(30_000, given.initialDelay ?? 0);
  const initialDelay = given.initialDelay ?? Math.min(100, maxDelay);
  if (initialDelay <= maxDelay) return frozen({ ...given, initialDelay, maxDelay });
  throw invalidOption('option `backoff.initialDelay`', `at most \`maxDelay\` (${maxDelay})`, initialDelay);
}

/**
 * The same wait every time.
 *
 * @param milliseconds - The wait; jitter only shortens it.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 *
 * @example
 * ```ts
 * const connection = new ReconnectingConnection({ port: 6379, backoff: constantBackoff(1_000, { jitter: 'equal' }) });
 * ```
 */
export function constantBackoff(milliseconds: number, options: ConstantBackoffOptions = {}): Backoff {
  const wait = fromCaller(constantBackoff, () => delay(milliseconds, 'the delay of `constantBackoff`'));
  const { jitter = 'none', random = anyRandom } = fromCaller(constantBackoff, () =>
    checkRecord<ConstantBackoffOptions>('backoff', options, { jitter: oneOf('full', 'equal', 'none'), random: func }),
  );
  return () => clampDelay(between(wait * MIN_SHARE[jitter], wait, random()));
}

/**
 * The schedule of connman.js, the module from which this library grew: 10 ms, doubled up to 128 s; after a session 50 ms,
 * doubled up to 128 s. It has no jitter, so many clients would retry at the same moments: use it for a single client only.
 */
export function connmanBackoff(): Backoff {
  return ({ attempt, generation = 0 }) =>
    clampDelay(Math.min(128_000, (generation > 0 ? 50 : 10) * Math.min(2 ** (attempt - 1), LONGEST_DELAY)));
}

/**
 * The default, *quick decorrelated*: a first wait of up to 250 ms, so that a short interruption costs little, then
 * decorrelated jitter between 1 s and 8 s, so that the clients of a fleet do not retry at the same moments. In a
 * simulation of 135 such schedules it is among the few with which, after an outage of 30 s, 99 % of 100,000 clients
 * reconnect within 1.15 times the shortest possible time, in at most 9 attempts each. A longer cap leaves the server
 * idle at the end, a shorter one costs more attempts (docs/herd.md).
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function defaultBackoff(options: Pick<ExponentialBackoffOptions, 'random'> = {}): Backoff {
  const { random = anyRandom } = fromCaller(defaultBackoff, () =>
    checkRecord<typeof options>('backoff', options, { random: func }),
  );
  const growing = exponentialBackoff({ initialDelay: 1_000, maxDelay: 8_000, jitter: 'decorrelated', random });
  return (context) => (context.attempt === 1 ? clampDelay(between(0, 250, random())) : growing(context));
}

/** `Math.random` as it is when it is called: the default functions are made once, and tests may replace it later. */
const anyRandom = () => Math.random();

/**
 * A decorrelated wait beyond the cap is drawn again, from the last quarter of the cap. Cut off at the cap, most waits of
 * a long outage would be the cap itself; drawn from the whole range, clients would dial more often without being spread
 * out noticeably better.
 */
const MIN_SHARE_AT_CAP = 0.75;

/** The lower end of the random range, as a share of the delay. */
const MIN_SHARE = { full: 0, equal: 0.5, none: 1 } as const;

function between(min: number, max: number, share: number): number {
  ignoreRejection(share);
  return min + (max - min) * Math.min(Math.max(share, 0) || 0, 1);
}
