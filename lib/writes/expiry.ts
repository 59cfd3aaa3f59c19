/** Something that expires. */
export interface Expiring<T> {
  readonly item: T;
  /** On the clock of `performance.now()`. */
  readonly expiresAt: number;
  /** Number in the order of `add()`: of those that expire together, the oldest comes first. */
  readonly order: number;
  /** Its index in the heap, −1 once it has left. */
  index: number;
}

/** What expires, in a heap with the earliest on top, and one timer for that. */
export class Expiry<T> {
  readonly #heap: Expiring<T>[] = [];
  readonly #onDue: () => void;
  #added = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires. */
  #timerAt = 0;

  /** @param onDue - Called when there may be something to take by `takeDue()`. */
  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  /** @param maxAge - Milliseconds from now. */
  add(item: T, maxAge: number): Expiring<T> {
    const expiring = { item, expiresAt: performance.now() + maxAge, order: this.#added++, index: this.#heap.length };
    this.#heap.push(expiring);
    this.#moveUp(expiring);
    if (expiring.index === 0) this.#startTimer();
    return expiring;
  }

  /** Removes it, unless it has left already. */
  remove(expiring: Expiring<T>): void {
    const { index } = expiring;
    if (index < 0) return;
    expiring.index = -1;
    const last = this.#heap.pop();
    if (this.#heap.length === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    if (last === undefined || last === expiring) return;
    this.#put(last, index);
    this.#moveUp(last);
    this.#moveDown(last);
  }

  /** Removes what is due, the earliest first. */
  takeDue(): T[] {
    const now = performance.now();
    const due: T[] = [];
    for (let [first] = this.#heap; first !== undefined && first.expiresAt <= now; [first] = this.#heap) {
      this.remove(first);
      due.push(first.item);
    }
    return due;
  }

  /** The timer is set for the earliest; where that has left since, it fires in vain, and is set again. */
  #startTimer(): void {
    const [first] = this.#heap;
    if (first === undefined || (this.#timer !== undefined && this.#timerAt <= first.expiresAt)) return;
    clearTimeout(this.#timer);
    this.#timerAt = first.expiresAt;
    // It may be due by now, and Node warns of a negative delay.
    const delay = Math.max(0, first.expiresAt - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#onDue();
      this.#startTimer();
    }, delay);
    // The dial or the backoff that the writes wait for keeps the process alive, if it is to stay alive.
    this.#timer.unref();
  }

  #moveUp(expiring: Expiring<T>): void {
    while (expiring.index > 0) {
      const parent = this.#heap[(expiring.index - 1) >> 1]!;
      if (!isBefore(expiring, parent)) return;
      this.#swap(expiring, parent);
    }
  }

  #moveDown(expiring: Expiring<T>): void {
    for (;;) {
      const left = this.#heap[2 * expiring.index + 1];
      const right = this.#heap[2 * expiring.index + 2];
      const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
      if (child === undefined || !isBefore(child, expiring)) return;
      this.#swap(child, expiring);
    }
  }

  #swap(a: Expiring<T>, b: Expiring<T>): void {
    const { index } = a;
    this.#put(a, b.index);
    this.#put(b, index);
  }

  #put(expiring: Expiring<T>, index: number): void {
    expiring.index = index;
    this.#heap[index] = expiring;
  }
}

function isBefore(a: Expiring<unknown>, b: Expiring<unknown>): boolean {
  return a.expiresAt < b.expiresAt || (a.expiresAt === b.expiresAt && a.order < b.order);
}
