import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';
import type { AttemptFailure } from './failure';

/** What an attempt asks for: its dial, or a second socket beside a dial that is slow. */
export type DialRequest =
  /** Milliseconds for which it can wait for a sign of life of the endpoint; Infinity where that is not bounded. */
  | { readonly timeout: number }
  /** Milliseconds for which its latest socket has had no answer. */
  | { readonly slowFor: number };

/** The permission to open a socket. */
export interface DialGrant {
  readonly ok: true;
  /** Milliseconds without an answer after which the socket counts as slow; undefined where nothing is known. */
  readonly slowAfter: number | undefined;
}

/** Bounds the dials of one connection: a pool makes one for each member. A connection has one attempt at a time. */
export interface DialGate {
  /** When a dial to the same endpoint, of any connection, was last refused, on the clock of `performance.now()`; 0 if never. */
  readonly refusedAt: number;
  /**
   * Asks for a dial, or during the dial for a second socket.
   *
   * @returns resolves with a grant. Resolves with a failure when the dial of another member has failed in its place, or
   *   when the endpoint has given no sign of life for `timeout`. Never settles after `release()`; for a second socket,
   *   never with a failure, and not after `connected()` or `failed()` either.
   */
  acquire(target: ResolvedTarget, request: DialRequest): Promise<DialGrant | AttemptFailure>;
  /** The dial has connected, `took` milliseconds after it began. */
  connected(took: number): void;
  /** The dial failed before it connected, `took` milliseconds after it began, and not for a reason of this machine's. */
  failed(took: number, failure: AttemptFailure): void;
  /** The attempt is over. After a failure, the connection is in backoff until its next `acquire()`. */
  release(): void;
  /**
   * Calls `begin` when no other connection with this tag has a turn to replace its session, perhaps at once.
   *
   * @returns a function that ends the turn, or the wait for it
   */
  takeTurn(tag: string, begin: () => void): () => void;
  /** The connection's lifecycle has ended. */
  close(): void;
}

/** A connection, as its gate sees it. An object and not a function, which would cost each member a closure. */
export interface GateMember {
  /** Ends its backoff: it dials at once. Returns false, and does nothing, in another state. */
  retryNow(): boolean;
}

/** Makes the gate of a connection. */
export type JoinGate = (settings: Settings, member: GateMember) => DialGate;
