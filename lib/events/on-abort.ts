const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `callback` when `signal` is aborted. All callbacks of a signal share one listener: a thousand connections may use
 * the same signal, and Node warns of a leak from eleven listeners on.
 *
 * @returns a function that cancels the call
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let callbacks = callbacksOf.get(signal);
  if (callbacks === undefined) {
    callbacks = new Set();
    callbacksOf.set(signal, callbacks);
    signal.addEventListener('abort', callAll);
  }
  const all = callbacks.add(callback);
  return () => {
    all.delete(callback);
    if (all.size > 0 || callbacksOf.get(signal) !== all) return;
    callbacksOf.delete(signal);
    signal.removeEventListener('abort', callAll);
  };
}

function callAll(this: AbortSignal): void {
  const callbacks = callbacksOf.get(this) ?? [];
  callbacksOf.delete(this);
  this.removeEventListener('abort', callAll);
  for (const callback of callbacks) callback();
}
