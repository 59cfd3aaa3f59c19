import type { EventMap } from 'typed-emitter';

import { type Emitter, shielded } from './emitter';

/** Shared by all that have nothing waiting, and never written to. */
const NOTHING: (() => void)[] = [];

/**
 * Puts an emitter's events into one order for all listeners: what is announced from within a listener is delivered when
 * the present event has reached everyone. So nobody hears of an end before the beginning, and whatever a listener
 * calls acts at once and is told of later.
 */
export class DeliveryQueue<Events extends EventMap> {
  readonly #emitter: Emitter<Events>;
  #delivering = false;
  #backlog: (() => void)[] = NOTHING;

  constructor(emitter: Emitter<Events>) {
    this.#emitter = emitter;
  }

  /** Emits `event` after all that was announced before it. */
  deliver<E extends keyof Events>(event: E, ...args: Parameters<Events[E]>): void {
    if (this.#delivering) {
      this.enqueue(() => this.#emitter.emit(event, ...args));
      return;
    }
    this.#delivering = true;
    this.#emitter.emit(event, ...args);
    this.#deliver();
  }

  /** Emits `event` in its turn if it is still true by then: it speaks of something that a listener may have ended. */
  deliverIf<E extends keyof Events>(isTrue: () => boolean, event: E, ...args: Parameters<Events[E]>): void {
    this.enqueue(() => {
      if (isTrue()) this.#emitter.emit(event, ...args);
    });
  }

  /**
   * Runs `task` when all that was announced before it has been delivered; at once when nothing is under way. What a
   * task that had to wait throws becomes an uncaught exception.
   */
  enqueue(task: () => void): void {
    if (!this.#delivering) {
      this.transaction(task);
      return;
    }
    if (this.#backlog === NOTHING) this.#backlog = [];
    this.#backlog.push(task);
  }

  /** Runs `change` to its end and delivers what it announced only then: listeners never see it half done. */
  transaction(change: () => void): void {
    if (this.#delivering) {
      change();
      return;
    }
    this.#delivering = true;
    try {
      change();
    } finally {
      this.#deliver();
    }
  }

  #deliver(): void {
    while (this.#backlog !== NOTHING) {
      const tasks = this.#backlog;
      this.#backlog = NOTHING;
      // One that threw must not take the others with it.
      for (const task of tasks) shielded(task);
    }
    this.#delivering = false;
  }
}
