import { type Refable, Deadline } from './deadline';

/** What a {@link Silence} asks, and reports to. */
export interface SilenceHandler {
  /** Whether there was a sign of life since the last call. */
  hasSign(): boolean;
  /** There was none for as long as the limit. */
  onSilent(): void;
  /** This process has stood still for `milliseconds`: the limit starts afresh. */
  onStandstill?(milliseconds: number): void;
}

/** How often a sign is looked for within the limit. A silence is found up to one part in this many late, never early. */
const SAMPLES = 8;

/** Milliseconds by which a timer of a busy process may be late. */
const USUAL_DELAY = 50;

/**
 * Measures for how long there was no sign of life. It looks for one at intervals, so that a sign itself costs nothing.
 * The time in which this process was blocked or stopped is left out; after a standstill of half the limit, the whole
 * limit starts afresh.
 */
export class Silence implements Refable {
  readonly #limit: number;
  readonly #handler: SilenceHandler;
  #ref: boolean;
  #next: Deadline | undefined;
  /** When the silence began, later by the time that does not count. */
  #since = 0;
  /** When the next look is due. */
  #dueAt = 0;

  /** @param limit - Milliseconds. */
  constructor(limit: number, handler: SilenceHandler, ref: boolean) {
    this.#limit = limit;
    this.#handler = handler;
    this.#ref = ref;
  }

  /** Whether the next look is overdue: this process was blocked or stopped. */
  get isLate(): boolean {
    return performance.now() - this.#dueAt > USUAL_DELAY;
  }

  start(): void {
    this.#handler.hasSign();
    this.#since = performance.now();
    this.#wait(this.#since);
  }

  stop(): void {
    this.#next?.clear();
    this.#next = undefined;
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#next?.setRef(ref);
  }

  #wait(now: number): void {
    const interval = Math.max(1, Math.floor(this.#limit / SAMPLES));
    // Whole milliseconds, as timers take: a fraction would end before its time.
    const left = Math.ceil(this.#since + this.#limit - now);
    const milliseconds = Math.min(interval, left);
    this.#dueAt = now + milliseconds;
    this.#next = new Deadline(milliseconds, this.#ref, this.#look);
  }

  readonly #look = (): void => {
    const now = performance.now();
    const delay = Math.max(0, now - this.#dueAt);
    const stoodStill = delay >= Math.max(this.#limit / 2, USUAL_DELAY);
    if (this.#handler.hasSign() || stoodStill) this.#since = now;
    else if (delay > USUAL_DELAY) this.#since += delay;
    if (now >= this.#since + this.#limit) return this.#handler.onSilent();
    this.#wait(now);
    if (stoodStill) this.#handler.onStandstill?.(delay);
  };
}
