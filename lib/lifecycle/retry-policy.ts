import { type BackoffContext, MIN_DELAY, clampDelay } from '../options/backoff';
import { ConnectionError, describe, disown, toError } from '../errors';
import type { GiveUpReason } from '../events/events';
import type { Failure } from '../options/options';
import type { Settings } from '../options/settings';

/** What follows a failure: another attempt after a wait, or the end. */
export type Verdict =
  | { readonly retry: true; readonly attempt: number; readonly delay: number; readonly fault: Error | undefined }
  | { readonly retry: false; readonly reason: GiveUpReason; readonly error: ConnectionError };

/** The wait in place of one that a broken `backoff` function should have named, in milliseconds. */
const SAFE_DELAY = 1_000;

/** Counts the failures of an outage and decides after each what follows. It knows no socket and no timer. */
export class RetryPolicy {
  readonly #settings: Settings;
  #attempt = 0;
  #previousDelay: number | undefined;
  #outageSince: number | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Starts afresh: the connection has proved healthy, or a lifecycle begins. */
  reset(): void {
    this.#attempt = 0;
    this.#previousDelay = undefined;
    this.#outageSince = undefined;
  }

  /** An outage begins at `now` unless one is under way. Returns since when: the time that `maxElapsed` counts from. */
  begin(now: number): number {
    this.#outageSince ??= now;
    return this.#outageSince;
  }

  /** Whether a session of `uptime` milliseconds proves that the peer is back, or is one failure more. */
  isHealthy(uptime: number): boolean {
    return uptime >= Math.max(this.#settings.minUptime, this.#previousDelay ?? 0);
  }

  /** Decides after a failure at `now`, on the clock of `performance.now()`. */
  next(failure: Omit<Failure, 'attempt'>, generation: number, tag: string, now: number): Verdict {
    const { maxRetries, maxElapsed } = this.#settings;
    const since = this.begin(now);
    this.#attempt += 1;
    const attempt = this.#attempt;
    const giveUp = (reason: GiveUpReason, why: string): Verdict => {
      const message = `Gave up on ${tag}: ${why}`;
      return {
        retry: false,
        reason,
        error: new ConnectionError('ERR_GAVE_UP', message, { cause: failure.error, tag }),
      };
    };

    if (attempt > maxRetries) return giveUp('max-retries', `${maxRetries} retries failed`);
    const { isFinal, fault: judgeFault } = this.#judge({ ...failure, attempt });
    if (isFinal) return giveUp('not-retryable', `the failure is not worth a retry (${failure.reason})`);
    const { delay, fault = judgeFault } = this.#delay({
      attempt,
      generation,
      ...(failure.error && { error: failure.error }),
      ...(this.#previousDelay !== undefined && { previousDelay: this.#previousDelay }),
    });
    if (delay === undefined) return giveUp('backoff-ended', 'the backoff has ended');
    if (now + delay - since > maxElapsed) {
      return giveUp('max-elapsed', `it could not be reached within ${maxElapsed} ms`);
    }
    this.#previousDelay = delay;
    return { retry: true, attempt, delay, fault };
  }

  #judge(failure: Failure): { isFinal: boolean; fault?: Error } {
    try {
      const answer: unknown = this.#settings.shouldRetry(failure);
      if (typeof answer === 'boolean') return { isFinal: !answer };
      return { isFinal: false, fault: junk('shouldRetry', 'a boolean', answer) };
    } catch (error) {
      return { isFinal: false, fault: toError(error) };
    }
  }

  #delay(context: BackoffContext): { delay: number | undefined; fault?: Error } {
    let answer: unknown;
    try {
      answer = this.#settings.backoff(context);
    } catch (error) {
      return { delay: SAFE_DELAY, fault: toError(error) };
    }
    if (answer === undefined) return { delay: undefined };
    if (typeof answer === 'number' && answer >= 0) return { delay: clampDelay(answer) };
    const fault = junk('backoff', 'a number ≥ 0 or undefined', answer);
    // A negative number means as soon as may be; anything else means nothing.
    return { delay: typeof answer === 'number' && answer < 0 ? MIN_DELAY : SAFE_DELAY, fault };
  }
}

function junk(name: string, expected: string, answer: unknown): ConnectionError {
  disown(answer);
  const message = `Expected \`${name}\` to return ${expected}, got ${describe(answer)}`;
  return new ConnectionError('ERR_INVALID_OPTION', message);
}
