import { ConnectionError, because } from '../errors';
import { onAbort } from '../events/on-abort';

interface Waiter<Need, Result> {
  readonly need: Need;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/** Promises that wait for something that has not happened yet, each with what it needs. */
export class Waiters<Need, Result> {
  readonly #waiters = new Set<Waiter<Need, Result>>();

  get size(): number {
    return this.#waiters.size;
  }

  /**
   * @param signal - Rejects the promise with `ERR_ABORTED` when it is aborted.
   * @param what - What is waited for, for the error of an abort.
   */
  add(need: Need, signal: AbortSignal | undefined, what: string, tag?: string): Promise<Result> {
    const aborted = () => {
      // `unknown`: a reason is declared as anything.
      const cause: unknown = signal?.reason;
      return new ConnectionError('ERR_ABORTED', `Waiting for ${what} was aborted${because(cause)}`, { cause, tag });
    };
    if (signal?.aborted === true) return Promise.reject(aborted());
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter);
        stopListening?.();
      };
      const waiter: Waiter<Need, Result> = {
        need,
        resolve: (result) => {
          leave();
          resolve(result);
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      const stopListening = signal && onAbort(signal, () => waiter.reject(aborted()));
      this.#waiters.add(waiter);
    });
  }

  [Symbol.iterator](): Iterator<Waiter<Need, Result>> {
    return this.#waiters.values();
  }

  /** Rejects all promises. */
  reject(error: Error): void {
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
