import type { WaitingMember } from './endpoint';

/**
 * Lets at most `burst` callers go on in the same millisecond, and in the same iteration of the event loop, however long
 * that takes: what they start happens at its end.
 */
export class BurstLimiter {
  readonly #burst: number;
  readonly #queue = new Set<WaitingMember>();
  #since = -Infinity;
  #started = 0;
  #isSameIteration = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(burst: number) {
    this.#burst = burst;
  }

  /** Callers that wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Whether the caller may go on at once; otherwise `caller.advance()` is called when it may. */
  take(caller: WaitingMember): boolean {
    if (this.#queue.size === 0 && this.#isOver()) this.#startBurst();
    if (this.#started < this.#burst) {
      this.#started += 1;
      return true;
    }
    this.#queue.add(caller);
    this.#wait();
    return false;
  }

  /** Forgets `caller`. */
  cancel(caller: WaitingMember): void {
    if (!this.#queue.delete(caller) || this.#queue.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #isOver(): boolean {
    return !this.#isSameIteration && performance.now() - this.#since >= 1;
  }

  #startBurst(): void {
    this.#since = performance.now();
    this.#started = 0;
    this.#isSameIteration = true;
    setImmediate(() => (this.#isSameIteration = false));
  }

  #wait(): void {
    if (this.#queue.size === 0) return;
    // The attempts that wait keep the process alive, not this timer.
    this.#timer ??= setTimeout(() => this.#advance(), 1).unref();
  }

  #advance(): void {
    this.#timer = undefined;
    // A timer counts from the time at which the event loop last woke: in a blocked loop it is early.
    if (this.#isOver()) {
      this.#startBurst();
      for (const next of this.#queue) {
        if (this.#started === this.#burst) break;
        this.#queue.delete(next);
        this.#started += 1;
        next.advance();
      }
    }
    this.#wait();
  }
}
