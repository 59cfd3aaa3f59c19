import { onAbort } from '../events/on-abort';
import { abortSignal, checkRecord, integer, orInfinity } from '../options/checks';
import { ConnectionError, because } from '../errors';
import type { OpenInfo } from '../events/events';

/** Options of `whenOpen()`. */
export interface WhenOpenOptions {
  /** Rejects the promise with `ERR_ABORTED` when it is aborted; the connection goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Number of failed attempts after which the promise rejects with the error of the last one. Default: Infinity. */
  readonly attempts?: number | undefined;
}

interface Waiter {
  attemptsLeft: number;
  readonly resolve: (info: OpenInfo) => void;
  readonly reject: (error: Error) => void;
}

/** The pending promises of `whenOpen()`. */
export class OpenWaiters {
  #waiters: Set<Waiter> | undefined;

  /**
   * @param tag - The target, for the error of an abort.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  add(options: WhenOpenOptions, tag: string): Promise<OpenInfo> {
    const { signal, attempts = Infinity } = checkRecord<WhenOpenOptions>('whenOpen', options, {
      signal: abortSignal,
      attempts: orInfinity(integer(1)),
    });
    const aborted = () => {
      // `unknown`: a reason is declared as anything.
      const cause: unknown = signal?.reason;
      return new ConnectionError('ERR_ABORTED', `Waiting for ${tag} to open was aborted${because(cause)}`, {
        cause,
        tag,
      });
    };
    if (signal?.aborted === true) return Promise.reject(aborted());
    return new Promise((resolve, reject) => {
      const remove = () => {
        this.#waiters?.delete(waiter);
        if (this.#waiters?.size === 0) this.#waiters = undefined;
        stopListening?.();
      };
      const waiter: Waiter = {
        attemptsLeft: attempts,
        resolve: (info) => {
          remove();
          resolve(info);
        },
        reject: (error) => {
          remove();
          reject(error);
        },
      };
      const stopListening = signal && onAbort(signal, () => waiter.reject(aborted()));
      (this.#waiters ??= new Set()).add(waiter);
    });
  }

  /** Resolves all promises: a session has opened. */
  resolve(info: OpenInfo): void {
    for (const waiter of this.#waiters ?? []) waiter.resolve(info);
  }

  /** Rejects the promises whose last attempt has failed. */
  countFailure(error: Error): void {
    for (const waiter of this.#waiters ?? []) {
      waiter.attemptsLeft -= 1;
      if (waiter.attemptsLeft === 0) waiter.reject(error);
    }
  }

  /** Rejects all promises: the connection closed. */
  reject(error: Error): void {
    for (const waiter of this.#waiters ?? []) waiter.reject(error);
  }
}
