import type { OpenInfo } from '../events/events';
import { abortSignal, checkRecord, integer, orInfinity } from '../options/checks';
import { Waiters } from './waiters';

/** Options of `whenOpen()`. */
export interface WhenOpenOptions {
  /** Rejects the promise with `ERR_ABORTED` when it is aborted; the connection goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Number of failed attempts after which the promise rejects with the error of the last one. Default: Infinity. */
  readonly attempts?: number | undefined;
}

/** The pending promises of `whenOpen()`. */
export class OpenWaiters {
  readonly #waiters = new Waiters<{ attemptsLeft: number }, OpenInfo>();

  /**
   * @param tag - The target, for the error of an abort.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  add(options: WhenOpenOptions, tag: string): Promise<OpenInfo> {
    const { signal, attempts = Infinity } = checkRecord<WhenOpenOptions>('whenOpen', options, {
      signal: abortSignal,
      attempts: orInfinity(integer(1)),
    });
    return this.#waiters.add({ attemptsLeft: attempts }, signal, `${tag} to open`, tag);
  }

  /** Resolves all promises: a session has opened. */
  resolve(info: OpenInfo): void {
    for (const waiter of this.#waiters) waiter.resolve(info);
  }

  /** Rejects the promises whose last attempt has failed. */
  countFailure(error: Error): void {
    for (const { need, reject } of this.#waiters) {
      need.attemptsLeft -= 1;
      if (need.attemptsLeft === 0) reject(error);
    }
  }

  /** Rejects all promises: the connection closed. */
  reject(error: Error): void {
    this.#waiters.reject(error);
  }
}
