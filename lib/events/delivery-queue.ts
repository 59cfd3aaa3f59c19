import type { EventMap } from 'typed-emitter';

import { type Emitter, shielded } from './emitter';

/** Called with every event of an emitter, before or after its listeners. */
export type EventHook = (emitter: unknown, event: PropertyKey, args: readonly unknown[]) => void;

/** Whether an emitter that passes events on has listeners for one. */
export type HeardElsewhere = (event: PropertyKey) => boolean;

/** Shared by all queues in which no task waits, and never written to. */
const NO_TASKS: (() => void)[] = [];

/**
 * Delivers the events of an emitter in one order for all its listeners: an event that a listener causes is delivered
 * after the present one has reached every listener. The cause itself, a state change say, takes effect at once.
 */
export class DeliveryQueue<Events extends EventMap> {
  readonly #emitter: Emitter<Events>;
  readonly #before: EventHook | undefined;
  readonly #after: EventHook | undefined;
  readonly #heardElsewhere: HeardElsewhere | undefined;
  #delivering = false;
  #tasks: (() => void)[] = NO_TASKS;

  /**
   * @param before - Called before the listeners of each event.
   * @param after - Called after the listeners of each event, and also when there are none.
   * @param heardElsewhere - Whether the emitter to which `after` passes an event has listeners for it.
   */
  constructor(emitter: Emitter<Events>, before?: EventHook, after?: EventHook, heardElsewhere?: HeardElsewhere) {
    this.#emitter = emitter;
    this.#before = before;
    this.#after = after;
    this.#heardElsewhere = heardElsewhere;
  }

  /** Whether anybody listens to `event`. */
  isHeard(event: keyof Events): boolean {
    return this.#emitter.listenerCount(event) > 0 || this.#heardElsewhere?.(event) === true;
  }

  /** Emits `event` after everything that was queued before it. */
  deliver<E extends keyof Events>(event: E, ...args: Parameters<Events[E]>): void {
    if (this.#delivering) {
      this.enqueue(() => this.#emit(event, args));
      return;
    }
    this.#delivering = true;
    this.#emit(event, args);
    this.#runTasks();
  }

  /** Emits `event` in its turn, if `isTrue()` by then: a listener may have ended what the event reports. */
  deliverIf<E extends keyof Events>(isTrue: () => boolean, event: E, ...args: Parameters<Events[E]>): void {
    this.enqueue(() => {
      if (isTrue()) this.#emit(event, args);
    });
  }

  /**
   * Runs `task` after everything that was queued before it; at once when nothing is being delivered. An error that a
   * queued task throws becomes an uncaught exception.
   */
  enqueue(task: () => void): void {
    if (!this.#delivering) {
      this.transaction(task);
      return;
    }
    if (this.#tasks === NO_TASKS) this.#tasks = [];
    this.#tasks.push(task);
  }

  /** Runs `change` now, and delivers the events it queued only when it is complete: listeners never see half a change. */
  transaction(change: () => void): void {
    if (this.#delivering) {
      change();
      return;
    }
    this.#delivering = true;
    try {
      change();
    } finally {
      this.#runTasks();
    }
  }

  #emit<E extends keyof Events>(event: E, args: Parameters<Events[E]>): void {
    this.#before?.(this.#emitter, event, args);
    this.#emitter.emit(event, ...args);
    this.#after?.(this.#emitter, event, args);
  }

  #runTasks(): void {
    while (this.#tasks !== NO_TASKS) {
      const tasks = this.#tasks;
      this.#tasks = NO_TASKS;
      // Shielded, so that a task that throws does not take the others with it.
      for (const task of tasks) shielded(task);
    }
    this.#delivering = false;
  }
}
