import { type Refable, Deadline, LONGEST_DELAY } from '../timers/deadline';
import { ignore } from '../socket/transport';

/** The one timer of an attempt: `connectTimeout`, which stands still at the gate, or what takes its place. */
export class AttemptTimer implements Refable {
  #timer: Deadline | undefined;
  /** What is left of `connectTimeout`, as long as it does not run; Infinity without one. */
  #timeLeft: number;
  /** When `connectTimeout` is over, on the clock of `performance.now()`; undefined as long as it does not run. */
  #dueAt: number | undefined;
  #ref: boolean;

  /** @param connectTimeout - In milliseconds; 0 for none. */
  constructor(connectTimeout: number, ref: boolean) {
    this.#timeLeft = connectTimeout === 0 ? Infinity : connectTimeout;
    this.#ref = ref;
  }

  /** Starts what is left of `connectTimeout`, unless it runs already. */
  startTimeout(expire: () => void): void {
    if (this.#dueAt !== undefined) return;
    this.clear();
    if (this.#timeLeft === Infinity) return;
    this.#dueAt = performance.now() + this.#timeLeft;
    this.start(this.#timeLeft, expire);
  }

  /** Stops `connectTimeout`, and only keeps the process alive. Returns what is left. */
  hold(): number {
    if (this.#dueAt !== undefined) this.#timeLeft = Math.max(1, this.#dueAt - performance.now());
    this.#dueAt = undefined;
    this.start(LONGEST_DELAY, ignore);
    return this.#timeLeft;
  }

  /** Starts another time in place of the present one. */
  start(milliseconds: number, expire: () => void): void {
    this.clear();
    this.#timer = new Deadline(milliseconds, this.#ref, expire);
  }

  clear(): void {
    this.#timer?.clear();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#timer?.setRef(ref);
  }
}
