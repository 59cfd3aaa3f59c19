import type { EventMap } from 'typed-emitter';

import { type Emitter, shielded } from './emitter';

/** Called with every event of an emitter, before its listeners. */
export type Publish<Source> = (emitter: Source, event: PropertyKey, args: readonly unknown[]) => void;

/** Passes the events of several emitters on. One object for all of them. */
export interface EventObserver<Source> {
  /** Called after the listeners of each event, and also when there are none. */
  observe(emitter: Source, event: PropertyKey, args: readonly unknown[]): void;
  /** Whether it has listeners for an event. */
  hasListeners(event: PropertyKey): boolean;
}

/** Shared by all queues that deliver something while no task waits, and never written to. */
const NO_TASKS: (() => void)[] = [];

/**
 * Delivers the events of an emitter in one order for all its listeners: an event that a listener causes is delivered
 * after the present one has reached every listener. The cause itself, a state change say, takes effect at once.
 */
export class DeliveryQueue<Events extends EventMap> {
  readonly #emitter: Emitter<Events>;
  readonly #observer: EventObserver<unknown> | undefined;
  readonly #publish: Publish<unknown> | undefined;
  /** Undefined while nothing is being delivered. */
  #tasks: (() => void)[] | undefined;

  constructor(emitter: Emitter<Events>, observer?: EventObserver<unknown>, publish?: Publish<unknown>) {
    this.#emitter = emitter;
    this.#observer = observer;
    this.#publish = publish;
  }

  /** Whether `event` has listeners, here or where the observer passes it on. */
  hasListeners(event: keyof Events): boolean {
    return this.#emitter.listenerCount(event) > 0 || this.#observer?.hasListeners(event) === true;
  }

  /** Emits `event` after everything that was queued before it. */
  deliver<E extends keyof Events>(event: E, ...args: Parameters<Events[E]>): void {
    if (this.#tasks !== undefined) return this.enqueue(() => this.#emit(event, args));
    this.#tasks = NO_TASKS;
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
    if (this.#tasks === undefined) return this.transaction(task);
    if (this.#tasks === NO_TASKS) this.#tasks = [];
    this.#tasks.push(task);
  }

  /** Runs `change` now, and delivers the events it queued only when it is complete: listeners never see half a change. */
  transaction(change: () => void): void {
    if (this.#tasks !== undefined) return change();
    this.#tasks = NO_TASKS;
    try {
      change();
    } finally {
      this.#runTasks();
    }
  }

  #emit<E extends keyof Events>(event: E, args: Parameters<Events[E]>): void {
    this.#publish?.(this.#emitter, event, args);
    this.#emitter.emit(event, ...args);
    this.#observer?.observe(this.#emitter, event, args);
  }

  #runTasks(): void {
    for (let tasks = this.#tasks; tasks !== NO_TASKS && tasks !== undefined; tasks = this.#tasks) {
      this.#tasks = NO_TASKS;
      // Shielded, so that a task that throws does not take the others with it.
      for (const task of tasks) shielded(task);
    }
    this.#tasks = undefined;
  }
}
