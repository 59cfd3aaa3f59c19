import { onAbort } from '../events/on-abort';
import { abortSignal, checkRecord, integer, orInfinity } from '../options/checks';
import { ConnectionError } from '../errors';
import type { OpenInfo } from '../events/events';

/** Options of `whenOpen()`. */
export interface WhenOpenOptions {
  /** Stops the waiting, not the connection. */
  readonly signal?: AbortSignal;
  /** Failed attempts after which the waiting ends with the last one's error. Default: Infinity. */
  readonly attempts?: number;
}

interface Waiter {
  left: number;
  readonly resolve: (info: OpenInfo) => void;
  readonly reject: (error: Error) => void;
}

/** Those who wait for a session to open. */
export class OpenWaiters {
  #waiters: Set<Waiter> | undefined;

  /**
   * @param tag - Names the target in the error of an abort.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  add(options: WhenOpenOptions, tag: string): Promise<OpenInfo> {
    const { signal, attempts = Infinity } = checkRecord<WhenOpenOptions>('whenOpen', options, {
      signal: abortSignal,
      attempts: orInfinity(integer(1)),
    });
    const aborted = () =>
      new ConnectionError('ERR_ABORTED', `Waiting for ${tag} to open was aborted`, { cause: signal?.reason, tag });
    if (signal?.aborted === true) return Promise.reject(aborted());
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters?.delete(waiter);
        if (this.#waiters?.size === 0) this.#waiters = undefined;
        stopListening?.();
      };
      const waiter: Waiter = {
        left: attempts,
        resolve: (info) => {
          leave();
          resolve(info);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      const stopListening = signal && onAbort(signal, () => waiter.reject(aborted()));
      (this.#waiters ??= new Set()).add(waiter);
    });
  }

  /** A session has opened. */
  resolve(info: OpenInfo): void {
    for (const waiter of this.#waiters ?? []) waiter.resolve(info);
  }

  /** An attempt has failed. */
  countFailure(error: Error): void {
    for (const waiter of this.#waiters ?? []) {
      waiter.left -= 1;
      if (waiter.left === 0) waiter.reject(error);
    }
  }

  /** No session will open. */
  reject(error: Error): void {
    for (const waiter of this.#waiters ?? []) waiter.reject(error);
  }
}
