import {
  type ConnectionEvents,
  type ConnectionOptions,
  type MemberOptions,
  type ConnectionPool,
  type PoolEvents,
  ReconnectingConnection,
} from 'reconnecting-connection';
import type { EventMap, default as TypedEventEmitter } from 'typed-emitter';

import { track } from './clean-up';

/** Short delays without jitter. */
export const QUICK = {
  backoff: { initialDelay: 10, maxDelay: 40, jitter: 'none' },
} as const satisfies MemberOptions;

/** A connection to `server` with short delays, destroyed after the test. */
export function connectTo<Message = unknown>(
  server: { readonly target: MemberOptions },
  options: MemberOptions = {},
): ReconnectingConnection<Message> {
  // `as`: one of the two names the target.
  return track(new ReconnectingConnection<Message>({ ...QUICK, ...server.target, ...options } as ConnectionOptions));
}

type EventsOf<T> =
  T extends ConnectionPool<infer Message>
    ? PoolEvents<Message>
    : T extends ReconnectingConnection<infer Message>
      ? ConnectionEvents<Message>
      : never;

type Args<T, E extends keyof EventsOf<T>> = EventsOf<T>[E] extends (...args: infer Values) => void ? Values : never;

/** The arguments of the next `event` that `matches`. */
export function next<T extends ReconnectingConnection | ConnectionPool, E extends keyof EventsOf<T> & string>(
  emitter: T,
  event: E,
  matches: (...args: Args<T, E>) => boolean = () => true,
): Promise<Args<T, E>> {
  // `as`: what is emitted under `event` has these arguments, says the map.
  const any = emitter as unknown as TypedEventEmitter<EventMap>;
  return new Promise((settle) => {
    const listener = (...args: unknown[]) => {
      if (!matches(...(args as Args<T, E>))) return;
      any.off(event, listener);
      settle(args as Args<T, E>);
    };
    any.on(event, listener);
  });
}

/** The payload of the next `event`, for events that have one. */
export async function payload<T extends ReconnectingConnection | ConnectionPool, E extends keyof EventsOf<T> & string>(
  emitter: T,
  event: E,
  matches?: (...args: Args<T, E>) => boolean,
): Promise<Args<T, E>[0]> {
  const args = await next(emitter, event, matches);
  return args[0];
}

/** The payloads of the next `count` events. */
export async function payloads<T extends ReconnectingConnection | ConnectionPool, E extends keyof EventsOf<T> & string>(
  emitter: T,
  event: E,
  count: number,
): Promise<Args<T, E>[0][]> {
  const seen: Args<T, E>[0][] = [];
  await next(emitter, event, (...args) => seen.push(args[0]) === count);
  return seen;
}

/** Collects what `connection` receives; resolves when that ends with, or holds, `text`. */
export async function receives(connection: ReconnectingConnection, text: string): Promise<string> {
  let received = '';
  await next(connection, 'data', (chunk) => (received += chunk.toString('latin1')).includes(text));
  return received;
}

/** The error that a write's callback is called with. */
export function written(
  target: { write(chunk: string | Uint8Array, callback: (error?: Error | null) => void): boolean },
  chunk: string | Uint8Array,
): Promise<Error | undefined> {
  return new Promise((settle) => target.write(chunk, (error) => settle(error ?? undefined)));
}

/** Blocks the event loop for `milliseconds`. */
export function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
