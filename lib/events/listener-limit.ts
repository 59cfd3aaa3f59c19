import { EventEmitter } from 'node:events';
import { inspect } from 'node:util';

import { invalidOption } from '../errors';

/** What `setMaxListeners()` was called with, and the events that were warned of. Few emitters have either. */
const limits = new WeakMap<object, number>();
const warnings = new WeakMap<object, Set<PropertyKey>>();

/** How many listeners an event may have without a warning: what was set, or else the default of Node's emitters. */
export function listenerLimit(emitter: object): number {
  return limits.get(emitter) ?? EventEmitter.defaultMaxListeners;
}

/** Sets it; 0 and Infinity are for no limit. */
export function setListenerLimit(emitter: object, limit: unknown): void {
  if (typeof limit !== 'number' || !(limit >= 0)) throw invalidOption('`n`', 'a number ≥ 0', limit);
  limits.set(emitter, limit);
}

/**
 * Warns once if an event has more listeners than its limit, as Node does: they are added again and again, in every `open`
 * for instance, and all of them are called.
 */
export function warnOfMany(emitter: object, event: PropertyKey, count: number): void {
  const limit = listenerLimit(emitter);
  if (limit === 0 || count <= limit) return;
  const warned = warnings.get(emitter) ?? new Set();
  if (warned.has(event)) return;
  warnings.set(emitter, warned.add(event));
  const message =
    `Possible memory leak: ${count} ${String(event)} listeners added to ${inspect(emitter, { depth: -1 })}. ` +
    `MaxListeners is ${limit}. Add a listener once and not in every session, or use setMaxListeners() to raise the limit`;
  // The name and the properties are those of Node's own warning.
  const details = { name: 'MaxListenersExceededWarning', emitter, type: event, count };
  process.emitWarning(Object.assign(new Error(message), details));
}
