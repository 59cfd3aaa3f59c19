import { onAbort } from '../events/on-abort';
import { Deadline } from '../timers/deadline';
import type { RequestKey } from './options';

/** A request from its call to its answer. */
export class Pending {
  readonly command: unknown;
  readonly key: RequestKey | undefined;
  readonly timeout: number;
  /** Whether it is the ping of a heartbeat. */
  readonly isPing: boolean;
  readonly promise: Promise<unknown>;
  /** Where it waits for its turn, or for its answer if that comes in order. */
  line: Line | undefined;
  /** When it was handed to the connection, on the clock of `performance.now()`; undefined before. */
  sentAt: number | undefined;
  /** Whether the promise is settled. Of one that was sent, the answer may still come. */
  isSettled = false;
  #settlers!: { readonly resolve: (answer: unknown) => void; readonly reject: (error: unknown) => void };
  #timer: Deadline | undefined;
  #stopListening: (() => void) | undefined;

  constructor(command: unknown, key: RequestKey | undefined, timeout: number, isPing = false) {
    this.command = command;
    this.key = key;
    this.timeout = timeout;
    this.isPing = isPing;
    this.promise = new Promise((resolve, reject) => (this.#settlers = { resolve, reject }));
  }

  get hasTimer(): boolean {
    return this.#timer !== undefined;
  }

  /** Calls `onDue` after so many milliseconds. It holds the process only while a caller waits. */
  startTimer(milliseconds: number, onDue: () => void): void {
    if (milliseconds === Infinity) return;
    this.#timer = new Deadline(milliseconds, !this.isSettled && !this.isPing, () => {
      this.#timer = undefined;
      onDue();
    });
  }

  listen(signal: AbortSignal, onAborted: () => void): void {
    this.#stopListening = onAbort(signal, onAborted);
  }

  resolve(answer: unknown): void {
    this.#settle();
    this.#settlers.resolve(answer);
  }

  reject(error: unknown): void {
    this.#settle();
    this.#settlers.reject(error);
  }

  /** Takes it out of its line, and stops its timer. */
  leave(): void {
    this.line?.remove(this);
    this.#timer?.clear();
    this.#timer = undefined;
  }

  #settle(): void {
    this.isSettled = true;
    this.#timer?.setRef(false);
    this.#stopListening?.();
    this.#stopListening = undefined;
  }
}

/** Requests in their order. */
export class Line {
  first: Pending | undefined;
  readonly #all = new Set<Pending>();
  /** Behind `first`. A new iterator would pass over all that have left before, one by one. */
  #rest: Iterator<Pending, undefined> = this.#all.values();

  get size(): number {
    return this.#all.size;
  }

  add(pending: Pending): void {
    pending.line = this;
    this.#all.add(pending);
    if (this.first !== undefined) return;
    this.#rest = this.#all.values();
    this.first = this.#rest.next().value;
  }

  remove(pending: Pending): void {
    pending.line = undefined;
    this.#all.delete(pending);
    if (pending === this.first) this.first = this.#rest.next().value;
  }

  [Symbol.iterator](): Iterator<Pending> {
    return this.#all.values();
  }
}
