import type { ConnectionError } from '../errors';

/** Why an attempt or a session failed. */
export type FailureReason =
  /** The peer ended the session gracefully (FIN). */
  | 'peer-end'
  /** The socket, TLS, `target`, `dial` or `decoder` failed: see `error`. */
  | 'error'
  /** The attempt took longer than `connectTimeout`. */
  | 'connect-timeout'
  /** `beforeTls` or `handshake` threw or rejected, or its socket closed. */
  | 'handshake-failed'
  /** Nothing was received for `idleTimeout`. */
  | 'idle'
  /** Nothing was received within `timeout` after a heartbeat's ping. */
  | 'heartbeat'
  /** The kernel took no byte of what was written for `writeTimeout`. */
  | 'stalled'
  /** The application called `fail()`. */
  | 'failed'
  /** The application called `reconnect()`. */
  | 'forced'
  /** The kernel connected the socket to itself, as it can on loopback if no server listens on the port. */
  | 'self-connect';

/** Why a connection closed, if the application asked for it. */
export type FinalReason =
  /** `disconnect()` was called. */
  | 'disconnected'
  /** `destroy()` was called. */
  | 'destroyed'
  /** The `signal` was aborted. */
  | 'aborted';

/** Why a connection closed by itself. */
export type GiveUpReason =
  /** `maxRetries` retries failed. */
  | 'max-retries'
  /** The next retry would have come later than `maxElapsed` after the outage began. */
  | 'max-elapsed'
  /** `shouldRetry` returned false. */
  | 'not-retryable'
  /** The `backoff` function returned undefined. */
  | 'backoff-ended';

/** Why a session ended. */
export type ResetReason =
  | FailureReason
  | FinalReason
  /** It was ended for the next session: by `replace()`, `maxLifetime` or `failback`. */
  | 'replaced';

/** Whether a session ended because it was to be replaced, by `reconnect()`, `replace()` or its age, and not because it failed. */
export function isRequested(reason: string): boolean {
  return reason === 'forced' || reason === 'replaced';
}

/** Why a connection closed. */
export type CloseReason = FinalReason | GiveUpReason;

/**
 * Why a write will never be sent: the connection closed before it was passed to a socket, or its `signal` was aborted
 * (a {@link CloseReason}), or one of the others.
 */
export type DropReason =
  | CloseReason
  /** It waited longer than `maxAge`. */
  | 'expired'
  /** A newer write of the same `key` took its place. */
  | 'replaced'
  /** `clearQueue()` was called. */
  | 'cleared'
  /** With `overflow: 'drop-oldest'`, newer writes needed its place in the queue. */
  | 'overflow'
  /** It was refused, and had no callback to report that to. */
  | 'refused';

/** All reasons. */
export type Reason = ResetReason | CloseReason | DropReason;

/**
 * Payload of `open`. The socket is asked for the remote address when that is first read. If it was not read while the
 * session lasted, it is the address that was dialled; absent where that was a name.
 */
export interface OpenInfo {
  /** Number of the session: 1 for the first session of a connection, and never used twice. */
  readonly generation: number;
  /** Whether this lifecycle, from `connect()` to `close`, had a session before. */
  readonly reopened: boolean;
  /** Number of dials since the last session or `connect()`, including the successful one. */
  readonly attempts: number;
  /** Milliseconds since the last reset; 0 for the first session of a lifecycle. */
  readonly downtime: number;
  /** Local address; absent on Unix sockets. */
  readonly localAddress?: string;
  /** Local port; absent on Unix sockets. */
  readonly localPort?: number;
  /** Remote address, after name resolution; absent on Unix sockets. */
  readonly remoteAddress?: string;
  /** Remote port; absent on Unix sockets. */
  readonly remotePort?: number;
}

/** A number of writes and their size. */
export interface WriteCount {
  /** Number of writes. */
  readonly writes: number;
  /** Bytes of all of them together. */
  readonly bytes: number;
}

/** Payload of `reset`. */
export interface ResetInfo {
  /** Number of the session that ended. */
  readonly generation: number;
  /** Why it ended. */
  readonly reason: ResetReason;
  /** The error that ended it; absent if there was none. */
  readonly error?: NodeJS.ErrnoException;
  /** Milliseconds that the session was open. */
  readonly uptime: number;
  /** Whether the connection dials again: after a wait, or at once if `reconnect()` has ended a healthy session; or has the next session already, if this one was `'replaced'`. */
  readonly willRetry: boolean;
  /** Writes that were passed to the lost socket and not confirmed: they may or may not have been sent. */
  readonly uncertain: WriteCount;
}

/** Payload of `backoff`. */
export interface BackoffInfo {
  /** Number of the retry that follows this wait: 1 for the first of an outage. */
  readonly attempt: number;
  /** Length of the wait in milliseconds, from the end of the failed attempt or session. */
  readonly delay: number;
  /** When the retry is due, in milliseconds since the epoch. */
  readonly retryAt: number;
  /** Why there is a wait. */
  readonly reason: FailureReason;
  /** The error of the failed attempt or session; absent if there was none. */
  readonly error?: NodeJS.ErrnoException;
  /** Set if the `backoff` or `shouldRetry` function threw or returned an invalid value, and a safe one was used instead. */
  readonly fault?: Error;
}

/** Payload of `drop`. */
export interface DropInfo {
  /** The bytes of the write. */
  readonly chunk: Buffer;
  /** Their number. */
  readonly bytes: number;
  /** Why the write will not be sent. */
  readonly reason: DropReason;
  /** The error that is passed to the write's callback. */
  readonly error: ConnectionError;
}

/** Payload of `close`. */
export interface CloseInfo {
  /** Why the connection closed. */
  readonly reason: CloseReason;
  /** `ERR_GAVE_UP` with the last failure as its `cause`, or `ERR_ABORTED` with the signal's reason; absent otherwise. */
  readonly error?: ConnectionError;
}

/** Names of the states: see the diagram in `docs/behavior.md`. */
export type StateName = 'idle' | 'connecting' | 'open' | 'backoff' | 'closing' | 'closed';

/**
 * The event that tells logs of `markHealthy()`. To the compiler it is `drain`, which has no arguments either: it is in no
 * public map of events.
 */
export const HEALTHY = Symbol('healthy') as unknown as 'drain';

/**
 * The events of a connection. `data` passes the chunk itself because it is the hot path; `state` passes two names, and
 * the others one readonly object, so that fields can be added.
 *
 * When a session is lost, the order is `state`, `reset`, then `backoff` or `close`. An event that a listener causes is
 * delivered after all listeners of the current event have run, so that every listener sees the same order.
 */
export type ConnectionEvents<Message = unknown> = {
  /** A session is usable: TLS and `handshake` are done. Writes of its listeners are sent before those in the queue. */
  open: (info: OpenInfo) => void;
  /**
   * Bytes arrived. The listener may keep the chunk, unless `reuseReadBuffer` is set. What arrives while nobody listens
   * waits for a listener, up to 64 KiB a session, and is delivered in the tick after that was added.
   */
  data: (chunk: Buffer) => void;
  /** One output of the session's `decoder`, with which `data` is not emitted. It waits for a listener as `data` does. */
  message: (message: Message) => void;
  /** An open session ended, for any reason: exactly one for each `open`. */
  reset: (info: ResetInfo) => void;
  /** A wait begins, after a reset or a failed attempt. */
  backoff: (info: BackoffInfo) => void;
  /** There is room again after `write()` returned false, possibly in a later session. */
  drain: () => void;
  /** A write will never be sent. */
  drop: (info: DropInfo) => void;
  /** The connection changed its state. */
  state: (next: StateName, previous: StateName) => void;
  /** The connection closed: the last event, unless `connect()` starts it again. */
  close: (info: CloseInfo) => void;
};
