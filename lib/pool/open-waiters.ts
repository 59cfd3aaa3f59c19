import { Waiters } from '../lifecycle/waiters';
import { abortSignal, checkRecord, integer } from '../options/checks';

/** Options of a pool's `whenOpen()`. */
export interface PoolWhenOpenOptions {
  /** Rejects the promise with `ERR_ABORTED` when it is aborted; the members go on. */
  readonly signal?: AbortSignal | undefined;
}

/** The pending promises of a pool's `whenOpen()`. */
export class PoolOpenWaiters {
  /** Each needs a number of open members. */
  readonly #waiters = new Waiters<number, void>();
  /** So many more members have to open before the next promise resolves. */
  #missing = 0;

  /**
   * @returns a promise that resolves when `settle` is called with `count` members
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  add(count: number, options: PoolWhenOpenOptions): Promise<void> {
    integer(1)(count, 'the number of open members');
    const { signal } = checkRecord<PoolWhenOpenOptions>('whenOpen', options, { signal: abortSignal });
    this.#missing = 0;
    return this.#waiters.add(count, signal, `${count} open ${count === 1 ? 'member' : 'members'}`);
  }

  /** A member has opened, or a promise was added. `countOpen()`, which is slow, is called only if it may be enough. */
  settle(countOpen: () => number): void {
    if (this.#waiters.size === 0 || --this.#missing > 0) return;
    const open = countOpen();
    this.#missing = Infinity;
    for (const waiter of this.#waiters) {
      if (waiter.need <= open) waiter.resolve();
      else this.#missing = Math.min(this.#missing, waiter.need - open);
    }
  }

  /** Rejects all promises. */
  reject(error: Error): void {
    this.#waiters.reject(error);
  }
}
