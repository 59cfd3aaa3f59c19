import { type BackoffContext, MIN_DELAY, clampDelay } from '../options/backoff';
import { ConnectionError, because, describe, ignoreRejection, toError } from '../errors';
import type { GiveUpReason } from '../events/events';
import type { Failure } from '../options/options';
import type { Settings } from '../options/settings';

/** The result of a failure: another attempt after a wait, or the end of the lifecycle. */
export type RetryDecision =
  | { readonly retry: true; readonly attempt: number; readonly delay: number; readonly fault: Error | undefined }
  | { readonly retry: false; readonly reason: GiveUpReason; readonly error: ConnectionError };

/** The wait, in milliseconds, if the `backoff` function throws or returns an invalid value. */
const SAFE_DELAY = 1_000;

/** Counts the failures of an outage, and decides after each whether and when to retry. It uses no socket and no timer. */
export class RetryPolicy {
  readonly #settings: Settings;
  #attempt = 0;
  #previousDelay: number | undefined;
  #outageSince: number | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Ends the outage: a session has proved healthy, or a lifecycle begins. */
  reset(): void {
    this.#attempt = 0;
    this.#previousDelay = undefined;
    this.#outageSince = undefined;
  }

  /** Begins an outage at `now` unless one has begun, and returns when it began: `maxElapsed` counts from there. */
  begin(now: number): number {
    this.#outageSince ??= now;
    return this.#outageSince;
  }

  /** Whether a session of `uptime` milliseconds ends the outage; otherwise it counts as a failure. */
  isHealthy(uptime: number): boolean {
    return uptime >= Math.max(this.#settings.minUptime, this.#previousDelay ?? 0);
  }

  /** Decides after a failure at `now`, on the clock of `performance.now()`. */
  next(failure: Omit<Failure, 'attempt'>, generation: number, tag: string, now: number): RetryDecision {
    const { maxRetries, maxElapsed } = this.#settings;
    const since = this.begin(now);
    this.#attempt += 1;
    const attempt = this.#attempt;
    const giveUp = (reason: GiveUpReason, why: string): RetryDecision => {
      const { error: cause } = failure;
      const last = cause === undefined ? '' : `; the last failure${because(cause)}`;
      const error = new ConnectionError('ERR_GAVE_UP', `Gave up on ${tag}: ${why}${last}`, { cause, tag });
      return { retry: false, reason, error };
    };

    if (attempt > maxRetries) {
      return giveUp('max-retries', `${maxRetries} ${maxRetries === 1 ? 'retry' : 'retries'} failed`);
    }
    const { shouldRetry, fault: shouldRetryFault } = this.#shouldRetry({ ...failure, attempt });
    if (!shouldRetry) return giveUp('not-retryable', `\`shouldRetry\` returned false (${failure.reason})`);
    const { delay, fault = shouldRetryFault } = this.#delay({
      attempt,
      generation,
      ...(failure.error && { error: failure.error }),
      ...(this.#previousDelay !== undefined && { previousDelay: this.#previousDelay }),
    });
    if (delay === undefined) return giveUp('backoff-ended', '`backoff` returned undefined');
    if (now + delay - since > maxElapsed) {
      return giveUp('max-elapsed', `it could not be reached within ${maxElapsed} ms`);
    }
    this.#previousDelay = delay;
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

function invalidResult(name: string, expected: string, result: unknown): ConnectionError {
  ignoreRejection(result);
  const message = `Expected \`${name}\` to return ${expected}, got ${describe(result)}`;
  return new ConnectionError('ERR_INVALID_OPTION', message);
}
