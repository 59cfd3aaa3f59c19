import type { OpenInfo } from '../events/events';
import { abortSignal, checkRecord, integer, orInfinity } from '../options/checks';
import { ignore } from '../socket/transport';
import { Waiters } from './waiters';

/** Options of `whenOpen()`. */
export interface WhenOpenOptions {
  /** Rejects the promise with `ERR_ABORTED` when it is aborted; the connection goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Number of failed attempts after which the promise rejects with the error of the last one. Default: Infinity. */
  readonly attempts?: number | undefined;
}

/** The pending promises of `whenOpen()` and `replace()`. */
export class OpenWaiters {
  readonly #waiters = new Waiters<{ attemptsLeft: number; readonly after: number }, OpenInfo>();

  /**
   * @param tag - The target, for the error of an abort.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  add(options: WhenOpenOptions, tag: string): Promise<OpenInfo> {
    const { signal, attempts = Infinity } = checkRecord<WhenOpenOptions>('whenOpen', options, {
      signal: abortSignal,
      attempts: orInfinity(integer(1)),
    });
    return this.#waiters.add({ attemptsLeft: attempts, after: 0 }, signal, `${tag} to open`, tag);
  }

  /** For a session after that number. A rejection that nothing handles is no error of the process. */
  addNext(after: number, tag: string): Promise<OpenInfo> {
    const opened = this.#waiters.add({ attemptsLeft: 1, after }, undefined, `${tag} to open`, tag);
    opened.catch(ignore);
    return opened;
  }

  /** Rejects those that wait for another session than the present one: the attempt beside it has failed. */
  rejectNext(error: Error): void {
    for (const { need, reject } of this.#waiters) if (need.after > 0) reject(error);
  }

  /** Resolves all promises but those that wait for a later session. */
  resolve(info: OpenInfo): void {
    for (const { need, resolve } of this.#waiters) if (info.generation > need.after) resolve(info);
  }

  /** Rejects the promises whose last attempt has failed. */
  countFailure(error: Error): void {
    for (const { need, reject } of this.#waiters) {
      need.attemptsLeft -= 1;
      if (need.attemptsLeft === 0) reject(error);
    }
  }

  /** Rejects all promises: the connection closed. */
  reject(errorOfEnd: () => Error): void {
    if (this.#waiters.size > 0) this.#waiters.reject(errorOfEnd());
  }
}
