import { EventEmitter } from 'eventemitter3';
import type { default as TypedEventEmitter, EventMap } from 'typed-emitter';

/** What eventemitter3 keeps for each listener, under `_events[name]`: one of these, or an array of several. */
interface Entry {
  readonly fn: (...args: unknown[]) => unknown;
  readonly context: unknown;
  readonly once: boolean;
  /** Ours: that one of `once` has been called, though an event which is under way still holds it. */
  fired?: boolean;
}

/** The parts of eventemitter3 that its types leave out; `emitter.test.ts` fails should they ever change. */
interface Internals {
  readonly _events: Record<PropertyKey, Entry | Entry[] | undefined>;
  removeListener(event: PropertyKey, fn: Entry['fn'], context: undefined, once: boolean): void;
}

// eventemitter3 seen through typed-emitter's type, whose plain `Events[K]` lets generic code compile where
// eventemitter3's conditional types do not. The five methods it adds to eventemitter3 are implemented below.
const TypedEventEmitter3 = EventEmitter as unknown as new <Events extends EventMap>() => TypedEventEmitter<Events>;

/**
 * eventemitter3 with two promises more. A listener that throws is reported once, as an uncaught exception, and the
 * others still hear the event. And the listener methods of `node:events` that eventemitter3 leaves out are there.
 */
export class Emitter<Events extends EventMap> extends TypedEventEmitter3<Events> {
  /** Calls the listeners of `event` now. Returns whether there were any. */
  override emit<E extends keyof Events>(event: E, ...args: Parameters<Events[E]>): boolean {
    const entries = this.#internals._events[event];
    if (entries === undefined) return false;
    if (Array.isArray(entries)) {
      // Listeners added by a listener join from the next event on: eventemitter3 pushes them into this very array.
      const count = entries.length;
      for (let index = 0; index < count; index++) this.#call(event, entries[index]!, args);
    } else {
      this.#call(event, entries, args);
    }
    return true;
  }

  /** Adds a listener in front of the others. */
  override prependListener<E extends keyof Events>(event: E, listener: Events[E]): this {
    return this.#toFront(this.on(event, listener), event);
  }

  /** Adds a listener for one event, in front of the others. */
  override prependOnceListener<E extends keyof Events>(event: E, listener: Events[E]): this {
    return this.#toFront(this.once(event, listener), event);
  }

  /** The listeners of `event`; eventemitter3 wraps none, so these are the functions that were added. */
  override rawListeners<E extends keyof Events>(event: E): Events[E][] {
    return this.listeners(event);
  }

  /** Always Infinity: there is no warning about the number of listeners. */
  override getMaxListeners(): number {
    return Infinity;
  }

  /** Changes nothing: there is no warning about the number of listeners. */
  override setMaxListeners(): this {
    return this;
  }

  get #internals(): Internals {
    // `as`: the two declared types of one object, see `TypedEventEmitter3`.
    return this as unknown as Internals;
  }

  #call(event: keyof Events, entry: Entry, args: unknown[]): void {
    if (entry.once) {
      if (entry.fired === true) return;
      entry.fired = true;
      this.#remove(event, entry);
    }
    try {
      entry.fn.apply(entry.context, args);
    } catch (error) {
      report(error);
    }
  }

  /** Removes this very entry, where eventemitter3 would remove all that have its function. */
  #remove(event: keyof Events, entry: Entry): void {
    const entries = this.#internals._events[event];
    if (entries === entry) this.#internals.removeListener(event, entry.fn, undefined, true);
    if (!Array.isArray(entries)) return;
    const rest = entries.filter((each) => each !== entry);
    this.#internals._events[event] = rest.length === 1 ? rest[0] : rest;
  }

  #toFront(self: this, event: keyof Events): this {
    const entries = this.#internals._events[event];
    if (Array.isArray(entries)) {
      // A new array, for a delivery that is under way iterates over the old one.
      this.#internals._events[event] = [entries.at(-1)!, ...entries.slice(0, -1)];
    }
    return self;
  }
}

/** Calls a function of the application's; what it throws is reported and never unwinds this library. */
export function shielded(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    report(error);
  }
}

/** Makes `error` an uncaught exception of its own, as it would be in a callback of Node's. */
function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
