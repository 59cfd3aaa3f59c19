import type { Attempt } from '../attempt/attempt';
import { type Deadline, setRef } from '../timers/deadline';
import { unreachable } from '../errors';
import type { CloseInfo, StateName } from '../events/events';
import type { Pass } from '../attempt/dial-gate';
import type { Session } from '../session/session';

/**
 * The machine. Ends are reached by `disconnect()`, `destroy()` and an aborted `signal` from every state, and by giving
 * up from those in which something can fail.
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

/** A state and all that it holds. No socket of a connection is anywhere else, and no timer but the queue's own. */
export type State =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly work: Attempt }
  | { readonly name: 'open'; readonly work: Session }
  | Backoff
  | Closing
  | Closed;

/** A wait, which the pass may cut short when others find the endpoint back. */
export interface Backoff {
  readonly name: 'backoff';
  readonly timer: NodeJS.Timeout;
  readonly pass: Pass;
}

/** A session that winds up, or a dial that may still finish so that queued writes go out. */
export interface Closing {
  readonly name: 'closing';
  /** A dial that finishes becomes a session in place. */
  work: Attempt | Session;
  readonly deadline: Deadline;
  /** Whether `connect()` was called meanwhile. */
  restart: boolean;
}

/** The lifecycle is over. */
export interface Closed {
  readonly name: 'closed';
  readonly info: CloseInfo;
  /** Whether a new one is to begin when all have heard `close`. */
  restart: boolean;
}

/** Releases what `state` holds, except the work that `next` goes on with. */
export function release(state: State, next: State): void {
  switch (state.name) {
    case 'connecting':
    case 'open':
      if (!('work' in next) || next.work !== state.work) state.work.release();
      return;
    case 'closing':
      state.deadline.clear();
      state.work.release();
      return;
    case 'backoff':
      clearTimeout(state.timer);
      state.pass.rise();
      return;
    case 'idle':
    case 'closed':
      return;
    default:
      unreachable(state);
  }
}

/** Lets what `state` holds keep the process alive, or not. */
export function setStateRef(state: State, held: boolean): void {
  if ('work' in state) state.work.setRef(held);
  if ('timer' in state) setRef(held, state.timer);
  if ('deadline' in state) state.deadline.setRef(held);
}
