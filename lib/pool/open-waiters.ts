import { ConnectionError } from '../errors';
import { onAbort } from '../events/on-abort';
import { abortSignal, checkRecord, integer } from '../options/checks';

/** Options of a pool's `whenOpen()`. */
export interface PoolWhenOpenOptions {
  /** Rejects the promise with `ERR_ABORTED` when it is aborted; the members go on. */
  readonly signal?: AbortSignal | undefined;
}

interface Waiter {
  readonly count: number;
  readonly resolve: () => void;
  readonly reject: (error: ConnectionError) => void;
}

/** The pending promises of a pool's `whenOpen()`. */
export class PoolOpenWaiters {
  readonly #waiters = new Set<Waiter>();

  /**
   * @returns a promise that resolves when `settle` is called with `count` members
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  add(count: number, options: PoolWhenOpenOptions): Promise<void> {
    integer(1)(count, 'the number of open members');
    const { signal } = checkRecord<PoolWhenOpenOptions>('whenOpen', options, { signal: abortSignal });
    const aborted = () =>
      new ConnectionError(
        'ERR_ABORTED',
        `Waiting for ${count} open ${count === 1 ? 'member' : 'members'} was aborted`,
        {
          cause: signal?.reason,
        },
      );
    if (signal?.aborted === true) return Promise.reject(aborted());
    return new Promise((resolve, reject) => {
      const remove = () => {
        this.#waiters.delete(waiter);
        stopListening?.();
      };
      const waiter: Waiter = {
        count,
        resolve: () => {
          remove();
          resolve();
        },
        reject: (error) => {
          remove();
          reject(error);
        },
      };
      const stopListening = signal && onAbort(signal, () => waiter.reject(aborted()));
      this.#waiters.add(waiter);
    });
  }

  /** Resolves the promises that wait for no more members than `countOpen()` returns. */
  settle(countOpen: () => number): void {
    if (this.#waiters.size === 0) return;
    const open = countOpen();
    for (const waiter of this.#waiters) if (waiter.count <= open) waiter.resolve();
  }

  /** Rejects all promises. */
  reject(error: ConnectionError): void {
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
