import type { EventMap, default as TypedEventEmitter } from 'typed-emitter';

/** One event: its name, then its arguments. */
export type Heard = readonly [event: string, ...args: unknown[]];

/** Every event of a connection. */
export const EVENTS = ['open', 'data', 'message', 'reset', 'backoff', 'drain', 'drop', 'state', 'close'] as const;

/** Records every event of `emitter`, in order. Compare the whole record. */
export function record(emitter: object, events: readonly string[] = EVENTS): Heard[] {
  const heard: Heard[] = [];
  // Any emitter will do, whatever its map.
  const any = emitter as TypedEventEmitter<EventMap>;
  for (const event of events) any.on(event, (...args: unknown[]) => void heard.push([event, ...args]));
  return heard;
}

/** The names of recorded events, for tests of their order. */
export function names(heard: readonly Heard[]): string[] {
  return heard.map(([event]) => event);
}
