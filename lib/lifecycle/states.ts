import type { Attempt } from '../attempt/attempt';
import { unreachable } from '../errors';
import type { CloseInfo, StateName } from '../events/events';
import type { Session } from '../session/session';
import { type Deadline, setRef } from '../timers/deadline';

/**
 * The machine. `disconnect()`, `destroy()` and an aborted `signal` end it from every state; it gives up by itself in
 * those states in which something can fail.
 *
 * ```text
 *   idle       ──► connecting   connect(), by itself unless `autoConnect` is false
 *   idle       ──► closed       ended before it began
 *   connecting ──► open         the socket is connected, encrypted, and has shaken hands
 *   connecting ──► backoff      the attempt failed, and is to be retried
 *   connecting ──► closing      disconnect() with writes queued: the dial may still finish
 *   connecting ──► closed       ended, or given up
 *   open       ──► backoff      the session was lost, and is to be retried
 *   open       ──► connecting   reconnect()
 *   open       ──► closing      disconnect(): what was written goes out first
 *   open       ──► closed       ended at once, or lost and given up
 *   backoff    ──► connecting   the wait is over, or reconnect()
 *   backoff    ──► closed       ended
 *   closing    ──► closed       the socket has closed, or `closeTimeout` has passed
 *   closed     ──► connecting   connect(): a new lifecycle
 * ```
 */
export const transitions = {
  idle: ['connecting', 'closed'],
  connecting: ['open', 'backoff', 'closing', 'closed'],
  open: ['backoff', 'connecting', 'closing', 'closed'],
  backoff: ['connecting', 'closed'],
  closing: ['closed'],
  closed: ['connecting'],
} as const satisfies Record<StateName, readonly StateName[]>;

/** A state with everything that it holds. No other object holds a socket or a timer of a connection, but for the queue's timer. */
export type State =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly attempt: Attempt }
  | { readonly name: 'open'; readonly session: Session }
  | { readonly name: 'backoff'; readonly timer: NodeJS.Timeout }
  | Closing
  | Closed;

/** One of the states. */
export type StateOf<Name extends StateName> = Extract<State, { readonly name: Name }>;

/** A session that flushes and ends, or a dial that may still finish so that queued writes go out. */
export interface Closing {
  readonly name: 'closing';
  /** A dial that finishes is replaced by its session. */
  work: Attempt | Session;
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

/** Releases what `state` holds, except what `next` takes over: `closing` goes on with the attempt or the session. */
export function release(state: State, next: State): void {
  switch (state.name) {
    case 'connecting':
      if (next.name !== 'closing') state.attempt.release();
      return;
    case 'open':
      if (next.name !== 'closing') state.session.release();
      return;
    case 'backoff':
      clearTimeout(state.timer);
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
      return state.attempt.setRef(on);
    case 'open':
      return state.session.setRef(on);
    case 'backoff':
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
