import type { RequestKey } from './options';
import { Line, type Pending } from './pending';

/** The number of keys that are remembered because their answers are late. */
const MOST_OWED = 1024;

/** The requests of a session that were sent: pairs them with their answers, and limits the peer's time. */
export class Exchanges {
  /** Those without a key: they are answered in this order. */
  readonly #ordered = new Line();
  readonly #keyed = new Map<RequestKey, Pending>();
  /** Keys of requests that were given up, and whose answers may still come. */
  readonly #owed = new Set<RequestKey>();
  readonly #onSilence: (pending: Pending) => void;
  /** When the first of `#ordered` became the first: the peer could not have answered it before. */
  #firstSince = 0;

  /** @param onSilence - Called when the peer's time for an answer is over. */
  constructor(onSilence: (pending: Pending) => void) {
    this.#onSilence = onSilence;
  }

  get size(): number {
    return this.#ordered.size + this.#keyed.size;
  }

  expects(key: RequestKey): boolean {
    return this.#keyed.has(key);
  }

  /** Whether an answer with this key may come for a request that was given up. */
  owes(key: RequestKey): boolean {
    return this.#owed.has(key);
  }

  add(pending: Pending, now: number): void {
    pending.sentAt = now;
    if (pending.key === undefined) this.#ordered.add(pending);
    else this.#keyed.set(pending.key, pending);
    if (this.#ordered.first === pending) this.#firstSince = now;
    if (pending.isPing) this.judge(pending);
  }

  remove(pending: Pending): void {
    const { first } = this.#ordered;
    const { key } = pending;
    // Another may have its key by now.
    if (key !== undefined && this.#keyed.get(key) === pending) this.#keyed.delete(key);
    pending.leave();
    const next = this.#ordered.first;
    if (next === undefined || next === first) return;
    this.#firstSince = performance.now();
    if (!next.hasTimer) this.judge(next);
  }

  /** Removes the request that is answered. The answer is late if its promise is settled. */
  answer(key: RequestKey | boolean): { readonly pending?: Pending; readonly late: boolean } {
    if (key === false) return { late: false };
    const pending = key === true ? this.#ordered.first : this.#keyed.get(key);
    if (pending === undefined) return { late: key !== true && this.#owed.delete(key) };
    this.remove(pending);
    return { pending, late: pending.isSettled };
  }

  /** Gives the peer `timeout` from the moment at which it could answer, however long the request had waited before. */
  judge(pending: Pending): void {
    const { key, timeout, sentAt = 0 } = pending;
    // The peer answers others first: it is judged when it becomes the first.
    if (key === undefined && pending !== this.#ordered.first) return;
    const since = key === undefined ? this.#firstSince : sentAt;
    const left = Math.ceil(since + timeout - performance.now());
    if (left > 0) return pending.startTimer(left, () => this.judge(pending));
    // One without a key stays: its answer may still come, and would be taken for that of the next.
    if (key !== undefined) {
      this.remove(pending);
      const [oldest] = this.#owed;
      if (this.#owed.size === MOST_OWED && oldest !== undefined) this.#owed.delete(oldest);
      this.#owed.add(key);
    }
    this.#onSilence(pending);
  }

  /** The session is over. */
  takeAll(): Pending[] {
    const all = [...this.#ordered, ...this.#keyed.values()];
    for (const pending of all) pending.leave();
    this.#keyed.clear();
    this.#owed.clear();
    return all;
  }
}
