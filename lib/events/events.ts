import type { ConnectionError } from '../errors';

/** Why an attempt or a session failed. */
export type FailureReason =
  /** The peer ended the session in good order (FIN). */
  | 'peer-end'
  /** The socket, the TLS layer, the `target`, the `dial` or the `decoder` failed: see `error`. */
  | 'error'
  /** The attempt took longer than `connectTimeout`. */
  | 'connect-timeout'
  /** The `handshake` threw, rejected, or lost its socket. */
  | 'handshake-failed'
  /** Nothing was received for `idleTimeout`. */
  | 'idle'
  /** No byte came within `timeout` of a heartbeat's ping. */
  | 'heartbeat'
  /** The kernel connected the socket to itself, as it can on loopback when nobody listens. */
  | 'self-connect';

/** Why a lifecycle ended at the application's word. */
export type FinalReason =
  /** `disconnect()` was called. */
  | 'disconnected'
  /** `destroy()` was called. */
  | 'destroyed'
  /** The `signal` was aborted. */
  | 'aborted';

/** Why a lifecycle ended by itself. */
export type GiveUpReason =
  /** `maxRetries` retries failed. */
  | 'max-retries'
  /** The next retry would have come later than `maxElapsed` after the outage began. */
  | 'max-elapsed'
  /** `shouldRetry` returned false. */
  | 'not-retryable'
  /** The `backoff` function returned undefined. */
  | 'backoff-ended';

/** Why a session ended; `'forced'` is `reconnect()`. */
export type ResetReason = FailureReason | FinalReason | 'forced';

/** Why a lifecycle ended. */
export type CloseReason = FinalReason | GiveUpReason;

/**
 * Why a write will never be sent: it outlived `maxAge`, the lifecycle ended before it could be handed to a socket, or
 * (`'refused'`) it was not accepted at all and had no callback to tell.
 */
export type DropReason = CloseReason | 'expired' | 'refused';

/** Every reason there is. */
export type Reason = ResetReason | CloseReason | DropReason;

/** What happened when a session opened. */
export interface OpenInfo {
  /** Number of the session: 1 for the first, never repeated by the same connection. */
  readonly generation: number;
  /** Whether there was a session before this one in the same lifecycle. */
  readonly reopened: boolean;
  /** Dials this opening took, the successful one included. */
  readonly attempts: number;
  /** Milliseconds since the last reset; 0 for the first session of a lifecycle. */
  readonly downtime: number;
  /** Address at this end; absent on Unix sockets. */
  readonly localAddress?: string;
  /** Port at this end; absent on Unix sockets. */
  readonly localPort?: number;
  /** Address at the other end, after name resolution; absent on Unix sockets. */
  readonly remoteAddress?: string;
  /** Port at the other end; absent on Unix sockets. */
  readonly remotePort?: number;
}

/** Writes, counted. */
export interface WriteCount {
  /** How many writes. */
  readonly writes: number;
  /** How many bytes they hold together. */
  readonly bytes: number;
}

/** What happened when a session ended. */
export interface ResetInfo {
  /** Number of the session that ended. */
  readonly generation: number;
  /** Why it ended. */
  readonly reason: ResetReason;
  /** What broke it, where something did. */
  readonly error?: NodeJS.ErrnoException;
  /** Milliseconds the session was open. */
  readonly uptime: number;
  /** Whether the connection goes on: after a wait, or at once when `reason` is `'forced'`. */
  readonly willRetry: boolean;
  /** Writes handed to the lost socket and not confirmed: they may or may not have left. */
  readonly uncertain: WriteCount;
}

/** The wait that begins. */
export interface BackoffInfo {
  /** Number of the retry that follows this wait, 1 for the first of an outage. */
  readonly attempt: number;
  /** Milliseconds to wait, counted from the end of the failed attempt or session. */
  readonly delay: number;
  /** When the retry is due, in milliseconds since the epoch. */
  readonly retryAt: number;
  /** Why there is a wait. */
  readonly reason: FailureReason;
  /** What failed, where there is an error to show. */
  readonly error?: NodeJS.ErrnoException;
  /** Set when the `backoff` or `shouldRetry` function threw or returned junk, and a safe value was used in its place. */
  readonly fault?: Error;
}

/** A write that will never be sent. */
export interface DropInfo {
  /** What would have been sent. */
  readonly chunk: Buffer;
  /** Its length in bytes. */
  readonly bytes: number;
  /** Why it will not be sent. */
  readonly reason: DropReason;
  /** What the write's callback was told. */
  readonly error: ConnectionError;
}

/** How a lifecycle ended. */
export interface CloseInfo {
  /** Why it ended. */
  readonly reason: CloseReason;
  /** What it ended with: `ERR_GAVE_UP` or `ERR_ABORTED`, with what led there as its `cause`. */
  readonly error?: ConnectionError;
}

/** Names of the states, see the diagram in the README. */
export type StateName = 'idle' | 'connecting' | 'open' | 'backoff' | 'closing' | 'closed';

/**
 * The events of a connection. `data` passes its chunk bare, for it is the hot path; every other event passes one
 * readonly object, so that fields can be added.
 *
 * For a lost session the order is `state`, `reset`, then `backoff` or `close`. An event raised from within a listener
 * is delivered when the present one has reached all its listeners, so that every listener sees the same order.
 */
export type ConnectionEvents<Message = unknown> = {
  /** A session is usable: TLS and `handshake` are done. What is written here goes out before the queue. */
  open: (info: OpenInfo) => void;
  /** Bytes arrived. The chunk belongs to the listener, unless `reuseReadBuffer` is set. */
  data: (chunk: Buffer) => void;
  /** One output of the session's `decoder`; `data` is not emitted then. */
  message: (message: Message) => void;
  /** An open session ended, whoever ended it: exactly one for each `open`. */
  reset: (info: ResetInfo) => void;
  /** A wait begins, after a reset or a failed attempt. */
  backoff: (info: BackoffInfo) => void;
  /** There is room again after `write()` returned false; it may come from a later session than the one that was full. */
  drain: () => void;
  /** A write will never be sent. */
  drop: (info: DropInfo) => void;
  /** The connection went from one state to another. */
  state: (next: StateName, previous: StateName) => void;
  /** The end: once a lifecycle, and nothing follows it. */
  close: (info: CloseInfo) => void;
};
