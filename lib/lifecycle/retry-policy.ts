import { isRefused } from '../attempt/failure';
import { type BackoffContext, MIN_DELAY, clampDelay } from '../options/backoff';
import { ConnectionError, because, describe, ignoreRejection, toError } from '../errors';
import type { GiveUpReason } from '../events/events';
import type { Failure } from '../options/options';
import type { Settings } from '../options/settings';

/** Another attempt after a wait. */
export interface Retry {
  readonly retry: true;
  readonly attempt: number;
  readonly delay: number;
  readonly fault: Error | undefined;
}

/** The result of a failure: another attempt after a wait, or the end of the lifecycle. */
export type RetryDecision =
  Retry | { readonly retry: false; readonly reason: GiveUpReason; readonly error: ConnectionError };

/** The wait, in milliseconds, if the `backoff` function throws or returns an invalid value. */
const SAFE_DELAY = 1_000;

/** Where a dial was refused before a session, this share of `minUptime` is enough for the waits to start afresh … */
const SHARE_AFTER_REFUSAL = 1 / 10;
/** … but not less than this, in milliseconds. */
const LEAST_AFTER_REFUSAL = 500;

/** Counts the failures of an outage, and decides after each whether and when to retry. It uses no socket and no timer. */
export class RetryPolicy {
  readonly #settings: Settings;
  #attempt = 0;
  /** Failures before the waits last started afresh. */
  #forgiven = 0;
  /** When the last failure came that was no refused dial. */
  #lostAt = 0;
  /** The tag of the target that has refused a dial after that. */
  #refusedBy: string | undefined;
  /** Attempts begun, and those of them that were abandoned. */
  #attempts = 0;
  #abandoned = 0;
  #previousDelay: number | undefined;
  #outageSince: number | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Ends the outage: a session has proved healthy, or a lifecycle begins. */
  reset(): void {
    this.#attempt = 0;
    this.#forgiven = 0;
    this.#refusedBy = undefined;
    this.#attempts = 0;
    this.#abandoned = 0;
    this.#previousDelay = undefined;
    this.#outageSince = undefined;
  }

  /** Begins an outage at `now` unless one has begun, and returns when it began: `maxElapsed` counts from there. */
  begin(now: number): number {
    this.#outageSince ??= now;
    return this.#outageSince;
  }

  /** Milliseconds until a session of `uptime` milliseconds ends the outage; one that ends before counts as a failure. */
  healthyIn(uptime: number): number {
    return Math.max(0, this.#settings.minUptime - uptime, (this.#previousDelay ?? 0) - uptime);
  }

  /** A session with `tag` opens. The dial of any connection of the pool was last refused there at `refusedAt`. */
  opened(tag: string, refusedAt = 0): void {
    if (refusedAt > this.#lostAt) this.#refusedBy = tag;
  }

  /**
   * A session of `uptime` milliseconds with `tag` is over, and was too short to end the outage. If a dial was refused before
   * it, the server had been restarted, and the waits start afresh. A server that accepts and hangs up does not refuse in
   * between, and the sessions of one that crashes whenever it is started are shorter.
   */
  endedEarly(tag: string, uptime: number): void {
    const enough = Math.max(LEAST_AFTER_REFUSAL, this.#settings.minUptime * SHARE_AFTER_REFUSAL);
    if (this.#refusedBy !== tag || uptime < enough) return;
    this.#forgiven = this.#attempt;
    this.#previousDelay = undefined;
  }

  /** An attempt begins. Returns its number in the outage, from 1. */
  countAttempt(): number {
    this.#attempts += 1;
    return this.#attempts;
  }

  /** `reconnect()` abandons an attempt. Returns the wait before the next: none at first, then ever longer up to a second. */
  abandon(): number {
    this.#abandoned += 1;
    return this.#abandoned === 1 ? 0 : Math.min(SAFE_DELAY, MIN_DELAY * 2 ** (this.#abandoned - 2));
  }

  /** The application asks for a wait of `delay`: it is no failure, and has no limits. */
  hold(delay: number): Retry {
    this.#attempt = Math.max(1, this.#attempt);
    return { retry: true, attempt: this.#attempt, delay: clampDelay(delay), fault: undefined };
  }

  /**
   * Decides after a failure at `now`, on the clock of `performance.now()`. A session that `reconnect()` ended is one,
   * but whether to retry is not asked then, and once in an outage not limited either.
   *
   * @param leastDelay - A retry waits for so long at least.
   */
  next(failure: Omit<Failure, 'attempt'>, generation: number, tag: string, now: number, leastDelay = 0): RetryDecision {
    const { maxRetries, maxElapsed } = this.#settings;
    const isForced = failure.reason === 'forced';
    const since = this.begin(now);
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#refusedBy = isRefused(failure.error) ? tag : undefined;
    if (this.#refusedBy === undefined) this.#lostAt = now;
    const giveUp = (reason: GiveUpReason, why: string): RetryDecision => {
      const last = failure.error === undefined ? ` (${failure.reason})` : because(failure.error);
      const message = `Gave up on ${tag}: ${why}${last}`;
      const error = new ConnectionError('ERR_GAVE_UP', message, { cause: failure.error, tag });
      return { retry: false, reason, error };
    };

    if (attempt > (isForced ? Math.max(1, maxRetries) : maxRetries))
      return giveUp('max-retries', exhausted(maxRetries));
    const { shouldRetry, fault: shouldRetryFault } = isForced
      ? { shouldRetry: true }
      : this.#shouldRetry({ attempt, ...failure });
    if (!shouldRetry) return giveUp('not-retryable', '`shouldRetry` returned false');
    const { delay: ownDelay, fault = shouldRetryFault } = this.#delay({
      attempt: attempt - this.#forgiven,
      generation,
      ...(failure.error && { error: failure.error }),
      ...(this.#previousDelay !== undefined && { previousDelay: this.#previousDelay }),
    });
    if (ownDelay === undefined) return giveUp('backoff-ended', '`backoff` returned undefined');
    const delay = clampDelay(Math.max(ownDelay, leastDelay));
    if (now + delay - since > maxElapsed) {
      return giveUp('max-elapsed', `it could not be reached within ${maxElapsed} ms`);
    }
    // Not what the application asked for: a session need not last that long to be healthy.
    this.#previousDelay = ownDelay;
    return { retry: true, attempt, delay, fault };
  }

  #shouldRetry(failure: Failure): { shouldRetry: boolean; fault?: Error } {
    try {
      const result: unknown = this.#settings.shouldRetry(failure);
      if (typeof result === 'boolean') return { shouldRetry: result };
      return { shouldRetry: true, fault: invalidResult('shouldRetry', 'a boolean', result) };
    } catch (error) {
      return { shouldRetry: true, fault: toError(error) };
    }
  }

  #delay(context: BackoffContext): { delay: number | undefined; fault?: Error } {
    let result: unknown;
    try {
      result = this.#settings.backoff(context);
    } catch (error) {
      return { delay: SAFE_DELAY, fault: toError(error) };
    }
    if (result === undefined) return { delay: undefined };
    if (typeof result === 'number' && result >= 0) return { delay: clampDelay(result) };
    const fault = invalidResult('backoff', 'a number ≥ 0 or undefined', result);
    // A negative number is taken as the shortest wait.
    return { delay: typeof result === 'number' && result < 0 ? MIN_DELAY : SAFE_DELAY, fault };
  }
}

function exhausted(maxRetries: number): string {
  if (maxRetries === 0) return '`maxRetries` is 0';
  return maxRetries === 1 ? '1 retry failed' : `${maxRetries} retries failed`;
}

function invalidResult(name: string, expected: string, result: unknown): ConnectionError {
  ignoreRejection(result);
  const message = `Expected \`${name}\` to return ${expected}, got ${describe(result)}`;
  return new ConnectionError('ERR_INVALID_OPTION', message);
}
