import { EventEmitter } from 'eventemitter3';
import type { default as TypedEventEmitter, EventMap } from 'typed-emitter';

import { fromCaller } from '../errors';
import { listenerLimit, setListenerLimit, warnOfMany } from './listener-limit';

type Listener = (...args: unknown[]) => unknown;

/** What eventemitter3 has for each listener. */
interface Entry {
  readonly fn: Listener;
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
 *
 * This class stores the only listener of an event as a bare function, unless it has a context or was added by `once()`. Most
 * events have such a listener, and its entry would take as much memory as the rest of an idle emitter.
 */
interface Internals {
  readonly _events: Record<PropertyKey, Listener | Entry | Entry[] | undefined>;
}

/** Parameters of eventemitter3: what `this` is in the listener, and for removal whether it is for one event. */
interface WithContext<Events extends EventMap> {
  on<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this;
  once<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this;
  removeListener<E extends keyof Events>(event: E, listener: Events[E], context?: unknown, once?: boolean): this;
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
    const listeners = eventsOf(this)[event];
    if (listeners === undefined) return false;
    // Both calls are made here: only then does V8 call a listener without making the array of arguments.
    if (typeof listeners === 'function') {
      try {
        listeners.apply(this, args);
      } catch (error) {
        report(error);
      }
      return true;
    }
    const entries: readonly Entry[] = Array.isArray(listeners) ? listeners : [listeners];
    // Listeners added by a listener get the next event and not this one: eventemitter3 pushes them into this array.
    const count = entries.length;
    for (let index = 0; index < count; index++) {
      const entry = entries[index]!;
      if (entry.once && !takeOnce(this, event, entry)) continue;
      try {
        entry.fn.apply(entry.context, args);
      } catch (error) {
        report(error);
      }
    }
    return true;
  }

  /**
   * Adds a listener.
   *
   * @param context - What `this` is in the listener. Default: this emitter.
   */
  override on<E extends keyof Events>(event: E, listener: Events[E], context?: unknown): this {
    expand(this, event);
    super.on(event, listener, context);
    return added(this, event);
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
    expand(this, event);
    super.once(event, listener, context);
    return added(this, event);
  }

  /**
   * Removes a listener, wherever it was added for `event`.
   *
   * @param context - Only where this is its context.
   * @param once - Whether to remove only those that were added for one event.
   */
  override removeListener<E extends keyof Events>(
    event: E,
    listener: Events[E],
    context?: unknown,
    once?: boolean,
  ): this {
    expand(this, event);
    super.removeListener(event, listener, context, once);
    compact(this, event);
    return this;
  }

  /** The same as `removeListener()`. */
  override off<E extends keyof Events>(event: E, listener: Events[E], context?: unknown, once?: boolean): this {
    return this.removeListener(event, listener, context, once);
  }

  /** @internal For subclasses. */
  [onListenerAdded]?(event: keyof Events): void;

  /** Adds a listener in front of the others. */
  override prependListener<E extends keyof Events>(event: E, listener: Events[E]): this {
    return toFront(this.on(event, listener), event);
  }

  /** Adds a listener for one event, in front of the others. */
  override prependOnceListener<E extends keyof Events>(event: E, listener: Events[E]): this {
    return toFront(this.once(event, listener), event);
  }

  /** The listeners of `event`. */
  override listeners<E extends keyof Events>(event: E): Events[E][] {
    const only = eventsOf(this)[event];
    // `as`: it is a listener of this event.
    return typeof only === 'function' ? [only as Events[E]] : super.listeners(event);
  }

  /** How many listeners `event` has. */
  override listenerCount(event: keyof Events): number {
    return typeof eventsOf(this)[event] === 'function' ? 1 : super.listenerCount(event);
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
}

function eventsOf(emitter: object): Internals['_events'] {
  // `as`: the two declared types of one object, see `TypedEventEmitter3`.
  return (emitter as Internals)._events;
}

/** Gives the only listener of an event an entry: eventemitter3 is about to look at it. */
function expand(emitter: object, event: PropertyKey): void {
  const events = eventsOf(emitter);
  const fn = events[event];
  if (typeof fn === 'function') events[event] = { fn, context: emitter, once: false };
}

/** Takes the entry from an only listener that needs none. */
function compact(emitter: object, event: PropertyKey): void {
  const events = eventsOf(emitter);
  const entry = events[event];
  if (typeof entry === 'object' && !Array.isArray(entry) && !entry.once && entry.context === emitter) {
    events[event] = entry.fn;
  }
}

/** A listener was added. */
function added<E extends { [onListenerAdded]?(event: PropertyKey): void }>(emitter: E, event: PropertyKey): E {
  const entries = eventsOf(emitter)[event];
  if (Array.isArray(entries)) warnOfMany(emitter, event, entries.length);
  else compact(emitter, event);
  emitter[onListenerAdded]?.(event);
  return emitter;
}

function toFront<E extends object>(emitter: E, event: PropertyKey): E {
  const events = eventsOf(emitter);
  const entries = events[event];
  // A new array: a delivery that is under way iterates over the old one.
  if (Array.isArray(entries)) events[event] = [entries.at(-1)!, ...entries.slice(0, -1)];
  return emitter;
}

/**
 * Removes an entry of `once()`: this very one, where eventemitter3 would remove all that have its function. Returns false
 * if it was removed before.
 */
function takeOnce(emitter: object, event: PropertyKey, entry: Entry): boolean {
  if (entry.fired === true) return false;
  entry.fired = true;
  const events = eventsOf(emitter);
  const entries = events[event];
  // `as`: the other declared type of it.
  if (entries === entry) (emitter as EventEmitter).removeListener(event as string, entry.fn);
  if (Array.isArray(entries)) {
    const rest = entries.filter((each) => each !== entry);
    events[event] = rest.length === 1 ? rest[0] : rest;
    compact(emitter, event);
  }
  return true;
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
