import { integer, checkRecord } from './check';
import { ConnectionError } from './errors';
import type { OpenInfo } from './events';
import { checkSignal } from './settings';

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
export class Waiters {
  readonly #waiters = new Set<Waiter>();

  /**
   * @param tag - Names the target in the error of an abort.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  add(options: WhenOpenOptions, tag: string): Promise<OpenInfo> {
    const { signal, attempts = Infinity } = checkRecord<WhenOpenOptions>('whenOpen', options, {
      signal: checkSignal,
      attempts: (value, name) => (value === Infinity ? value : integer(1)(value, name)),
    });
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        const message = `Waiting for ${tag} to open was aborted`;
        waiter.reject(new ConnectionError('ERR_ABORTED', message, { cause: signal?.reason, tag }));
      };
      const leave = () => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', onAbort);
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
      if (signal?.aborted === true) {
        onAbort();
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** A session has opened. */
  resolve(info: OpenInfo): void {
    for (const waiter of this.#waiters) waiter.resolve(info);
  }

  /** An attempt has failed. */
  countFailure(error: Error): void {
    for (const waiter of this.#waiters) {
      waiter.left -= 1;
      if (waiter.left === 0) waiter.reject(error);
    }
  }

  /** No session will open. */
  reject(error: Error): void {
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
