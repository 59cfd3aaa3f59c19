/** Someone who waits for a turn. */
export interface Walker {
  /** It may go. */
  go(): void;
}

/**
 * Lets at most `burst` go in the same millisecond, however long a turn of the loop takes: what they go for happens at
 * its end.
 */
export class BurstLimiter {
  readonly #burst: number;
  readonly #line = new Set<Walker>();
  #since = -Infinity;
  #begun = 0;
  #sameTurn = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(burst: number) {
    this.#burst = burst;
  }

  /** Whether `walker` may go on; if not, it is told when it may. */
  enter(walker: Walker): boolean {
    if (this.#line.size === 0 && this.#isOver()) this.#startBurst();
    if (this.#begun < this.#burst) {
      this.#begun += 1;
      return true;
    }
    this.#line.add(walker);
    this.#wait();
    return false;
  }

  /** It waits no longer. */
  leave(walker: Walker): void {
    if (!this.#line.delete(walker) || this.#line.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #isOver(): boolean {
    return !this.#sameTurn && performance.now() - this.#since >= 1;
  }

  #startBurst(): void {
    this.#since = performance.now();
    this.#begun = 0;
    this.#sameTurn = true;
    setImmediate(() => (this.#sameTurn = false));
  }

  #wait(): void {
    if (this.#line.size === 0) return;
    // Whoever waits holds the process, not this.
    this.#timer ??= setTimeout(() => this.#advance(), 1).unref();
  }

  #advance(): void {
    this.#timer = undefined;
    // Timers go by the time at which the loop last woke: where it was held up, this one is early.
    if (this.#isOver()) {
      this.#startBurst();
      for (const walker of this.#line) {
        if (this.#begun === this.#burst) break;
        this.#line.delete(walker);
        this.#begun += 1;
        walker.go();
      }
    }
    this.#wait();
  }
}
