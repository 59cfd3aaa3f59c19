import type { Attempt } from '../attempt/attempt';
import { unreachable } from '../errors';
import type { BackoffInfo, CloseInfo, StateName } from '../events/events';
import { EndingTransport } from '../socket/ending-transport';
import { type Deadline, setRef } from '../timers/deadline';
import type { OpenSession } from './open-session';

/**
 * The machine. `disconnect()`, `destroy()` and an aborted `signal` end it from every state; it gives up by itself in
 * those states in which something can fail.
 *
 * ```text
 *   idle       ──► connecting   connect(), by itself unless `autoConnect` is false
 *   idle       ──► backoff      reconnect() with a delay
 *   idle       ──► closed       ended before it began
 *   connecting ──► connecting   reconnect(): another attempt takes the place of this one
 *   connecting ──► open         the socket is connected, encrypted, and has shaken hands
 *   connecting ──► backoff      the attempt failed, and is to be retried; reconnect() with a delay
 *   connecting ──► closing      disconnect() with writes queued: the dial may still finish
 *   connecting ──► closed       ended, or given up
 *   open       ──► backoff      the session was lost, and is to be retried; reconnect() before it was healthy, or with a delay
 *   open       ──► connecting   reconnect(), or lost while replace() dials
 *   open       ──► open         replace(), `maxLifetime`, `failback`: the next session takes the place of this one
 *   open       ──► closing      disconnect(): what was written goes out first
 *   open       ──► closed       ended at once, or lost and given up
 *   backoff    ──► connecting   the wait is over, or reconnect()
 *   backoff    ──► backoff      reconnect() with a delay: another wait takes the place of this one
 *   backoff    ──► closing      disconnect() with writes queued: one last dial
 *   backoff    ──► closed       ended
 *   closing    ──► closed       the socket has closed, or `closeTimeout` has passed
 *   closed     ──► connecting   connect(): a new lifecycle
 * ```
 *
 * From a state to itself there is no `state` event.
 */
export const transitions = {
  idle: ['connecting', 'backoff', 'closed'],
  connecting: ['connecting', 'open', 'backoff', 'closing', 'closed'],
  open: ['open', 'backoff', 'connecting', 'closing', 'closed'],
  backoff: ['connecting', 'backoff', 'closing', 'closed'],
  closing: ['closed'],
  closed: ['connecting'],
} as const satisfies Record<StateName, readonly StateName[]>;

/** A state with everything that it holds. No other object holds a socket or a timer of a connection, but for the queue's timer. */
export type State = { readonly name: 'idle' } | Attempt | OpenSession | Waiting | Closing | Closed;

/** One of the states. */
export type StateOf<Name extends StateName> = Extract<State, { readonly name: Name }>;

/** A wait before the next attempt. */
export interface Waiting {
  readonly name: 'backoff';
  readonly timer: NodeJS.Timeout;
  /** What the next attempt follows, for a `target` function; absent where the application has asked for it. */
  readonly failure?: Pick<BackoffInfo, 'reason' | 'error'> | undefined;
  /** What has to close before the next dial. */
  readonly ending?: EndingTransport | undefined;
  /** Whether `reconnect()` has begun it in this turn of the event loop: a further call does not cut it short. */
  isNew?: boolean;
}

/** A session that flushes and ends, or a dial that may still finish so that queued writes go out. */
export interface Closing {
  readonly name: 'closing';
  /** A dial that finishes is replaced by its session. */
  work: Attempt | OpenSession;
  readonly deadline: Deadline;
  /** Whether `connect()` was called meanwhile. */
  restart: boolean;
}

/** The lifecycle is over. */
export interface Closed {
  readonly name: 'closed';
  readonly info: CloseInfo;
  /** Whether a new lifecycle begins after `close` has been delivered. */
  restart: boolean;
}

/** A wait that `reconnect()` begins. */
export function forcedWait(timer: NodeJS.Timeout, ending: EndingTransport | undefined): Waiting {
  const state: Waiting = { name: 'backoff', timer, ending, isNew: true };
  setImmediate(() => (state.isNew = false));
  return state;
}

/**
 * What a call of `reconnect()` leaves of `state`, and has to close before the next dial. The next state is to hold it. Runs
 * no code of the application's.
 */
export function endingOf(state: State, tag: string, closeTimeout: number, ref: boolean): EndingTransport | undefined {
  if (state.name === 'connecting') return state.takeEnding();
  if (state.name === 'backoff') return state.ending;
  if (state.name !== 'open') return undefined;
  return new EndingTransport(state.transport, tag, closeTimeout, ref);
}

/** Releases what `state` holds, except what `next` takes over: `closing` goes on with the attempt or the session. */
export function release(state: State, next: State): void {
  switch (state.name) {
    case 'connecting':
    case 'open':
      if (next.name !== 'closing') state.release();
      return;
    case 'backoff':
      clearTimeout(state.timer);
      // Otherwise the next attempt or wait holds it.
      if (next.name === 'closed') state.ending?.release();
      return;
    case 'closing':
      state.deadline.clear();
      state.work.release();
      return;
    case 'idle':
    case 'closed':
      return;
    default:
      unreachable(state);
  }
}

/** Sets whether what `state` holds keeps the process alive. */
export function setStateRef(state: State, on: boolean): void {
  switch (state.name) {
    case 'connecting':
    case 'open':
      return state.setRef(on);
    case 'backoff':
      state.ending?.setRef(on);
      return setRef(on, state.timer);
    case 'closing':
      state.deadline.setRef(on);
      return state.work.setRef(on);
    case 'idle':
    case 'closed':
      return;
    default:
      unreachable(state);
  }
}
