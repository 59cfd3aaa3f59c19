import { EventEmitter } from 'eventemitter3';
import type { default as TypedEventEmitter, EventMap } from 'typed-emitter';

import { fromCaller } from '../errors';
import { listenerLimit, setListenerLimit, warnOfMany } from './listener-limit';

/** What eventemitter3 has for each listener. */
interface Entry {
  readonly fn: (...args: unknown[]) => unknown;
  readonly context: unknown;
  readonly once: boolean;
  /** Ours: that one of `once` has been called. An event that is being delivered may still have it in its list. */
  fired?: boolean;
}

/**
 * The listeners of an eventemitter3 by event: an entry, or an array of several. Nothing public says which of them were
 * added by `once()`, or inserts one in front of the others; without this, each listener would be registered twice.
 * https://github.com/primus/eventemitter3/blob/5.0.4/index.js#L58, tested with eventemitter3 5.0.4 by
 * `internals.test.ts`. If another version kept its listeners elsewhere, no event would be delivered.
 */
interface Internals {
  readonly _events: Record<PropertyKey, Entry | Entry[] | undefined>;
}

/** A parameter of eventemitter3: what `this` is in the listener. */
interface WithContext<Events extends EventMap> {
  on<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this;
  once<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this;
}

// eventemitter3 seen through typed-emitter's type, whose plain `Events[K]` lets generic code compile where
// eventemitter3's conditional types do not. The five methods it adds to eventemitter3 are implemented below.
const TypedEventEmitter3 = EventEmitter as unknown as new <Events extends EventMap>() => TypedEventEmitter<Events> &
  WithContext<Events>;

/** Called after a listener was added. A symbol, so that it takes no name from subclasses. */
export const onListenerAdded: unique symbol = Symbol('onListenerAdded');

/**
 * eventemitter3 with what `node:events` has besides: its other listener methods, and a warning of too many listeners. A
 * listener that throws is reported once, as an uncaught exception, and the others still get the event.
 */
export class Emitter<Events extends EventMap> extends TypedEventEmitter3<Events> {
  /** Calls the listeners of `event` now. Returns whether there were any. */
  override emit<E extends keyof Events>(event: E, ...args: Parameters<Events[E]>): boolean {
    const entries = this.#internals._events[event];
    if (entries === undefined) return false;
    if (Array.isArray(entries)) {
      // Listeners added by a listener get the next event and not this one: eventemitter3 pushes them into this array.
      const count = entries.length;
      for (let index = 0; index < count; index++) this.#call(event, entries[index]!, args);
    } else {
      this.#call(event, entries, args);
    }
    return true;
  }

  /**
   * Adds a listener.
   *
   * @param context - What `this` is in the listener. Default: this emitter.
   */
  override on<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this {
    super.on(event, listener, context);
    this.#added(event);
    return this;
  }

  /** The same as `on()`. */
  override addListener<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this {
    return this.on(event, listener, context);
  }

  /**
   * Adds a listener for one event.
   *
   * @param context - What `this` is in the listener. Default: this emitter.
   */
  override once<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this {
    super.once(event, listener, context);
    this.#added(event);
    return this;
  }

  /** @internal For subclasses. */
  [onListenerAdded]?(event: keyof Events): void;

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

  /** How many listeners an event may have before the process warns of a leak. Default: that of Node's emitters, 10. */
  override getMaxListeners(): number {
    return listenerLimit(this);
  }

  /**
   * Changes how many listeners an event may have before the process warns of a leak, once for each event.
   *
   * @param n - 0 or Infinity for no limit.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  override setMaxListeners(n: number): this {
    fromCaller([this, 'setMaxListeners'], () => setListenerLimit(this, n));
    return this;
  }

  #added(event: keyof Events): void {
    const entries = this.#internals._events[event];
    if (Array.isArray(entries)) warnOfMany(this, event, entries.length);
    this[onListenerAdded]?.(event);
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
    // `as`: it is a listener of this event.
    if (entries === entry) this.removeListener(event, entry.fn as Events[typeof event]);
    if (!Array.isArray(entries)) return;
    const rest = entries.filter((each) => each !== entry);
    this.#internals._events[event] = rest.length === 1 ? rest[0] : rest;
  }

  #toFront(self: this, event: keyof Events): this {
    const entries = this.#internals._events[event];
    if (Array.isArray(entries)) {
      // A new array: a delivery that is under way iterates over the old one.
      this.#internals._events[event] = [entries.at(-1)!, ...entries.slice(0, -1)];
    }
    return self;
  }
}

/** Calls a function of the application's. What it throws is reported, and never unwinds this library. */
export function shielded(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    report(error);
  }
}

/** Makes `error` an uncaught exception, as it would be in a callback of Node's. */
function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
