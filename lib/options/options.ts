import type { TcpSocketConnectOpts } from 'node:net';
import type { Duplex, Transform } from 'node:stream';

import type { Backoff, ExponentialBackoffOptions } from './backoff';
import type { FailureReason } from '../events/events';
import type { ResolvedTarget, Target, TlsOptions } from './target';

/** How Node's socket is set up, for every session anew. */
export interface SocketOptions extends Partial<
  Pick<
    TcpSocketConnectOpts,
    'localAddress' | 'localPort' | 'family' | 'hints' | 'lookup' | 'autoSelectFamily' | 'autoSelectFamilyAttemptTimeout'
  >
> {
  /** Send small writes at once (`TCP_NODELAY`). Default: true. */
  readonly noDelay?: boolean;
  /** Let the kernel probe an idle peer. It supplements `idleTimeout` and `heartbeat` and replaces neither. Default: true. */
  readonly keepAlive?: boolean;
  /** Idle milliseconds before the first probe, at least 1000, rounded up to seconds. Default: 30,000. */
  readonly keepAliveInitialDelay?: number;
  /**
   * Keep the writing side when the peer ends its own. The session ends all the same, with what was written before the
   * peer's end still going out for up to `closeTimeout`. Default: false.
   */
  readonly allowHalfOpen?: boolean;
}

/** What a `handshake` is told. */
export interface HandshakeContext {
  /** Number the session will have. */
  readonly generation: number;
  /** Aborted when the attempt times out or is given up, with the reason. */
  readonly signal: AbortSignal;
}

/**
 * Prepares a new socket, and resolves when it is ready for use. `connectTimeout` bounds it. What it throws or rejects
 * with is the `cause` of an `ERR_HANDSHAKE_FAILED`, and the attempt has failed.
 *
 * @example
 * ```ts
 * import { once } from 'node:events';
 *
 * const handshake: Handshake = async (socket, { signal }) => {
 *   socket.write('AUTH secret');
 *   const [answer] = await once(socket, 'data', { signal });
 *   if (String(answer) !== 'AUTH secret') throw new Error(`Not let in: ${answer}`);
 * };
 * const connection = new ReconnectingConnection({ port: 6379, handshake });
 * ```
 */
export type Handshake = (socket: Duplex, context: HandshakeContext) => Promise<void> | void;

/**
 * Opens a new stream to `target`, unless `signal` is aborted first. The attempt waits until the stream is connected;
 * what is thrown, and an `error` of the stream before that, is a failed attempt.
 *
 * @example
 * ```ts
 * import net from 'node:net';
 *
 * const dial: Dial = (target, signal) => {
 *   if ('path' in target) throw new Error('No way to a Unix socket');
 *   return net.connect({ host: target.host, port: target.port, signal });
 * };
 * const connection = new ReconnectingConnection({ port: 6379, dial });
 * ```
 */
export type Dial = (target: ResolvedTarget, signal: AbortSignal) => Duplex | Promise<Duplex>;

/** The connection as a heartbeat's `ping` sees it. */
export interface HeartbeatConnection {
  /** Its target as text: `host:port`, `[v6]:port` or `unix:/path`. */
  readonly tag: string;
  /** Number of the session that is being asked. */
  readonly generation: number;
  /** Sends a ping, as `ReconnectingConnection.write` does: a string in `encoding`, by default `'utf8'`, or bytes. */
  write(chunk: string | Uint8Array, encoding?: BufferEncoding): boolean;
}

/**
 * Sends something that the peer answers, and ends the session with `'heartbeat'` when it does not.
 *
 * @example
 * ```ts
 * const heartbeat: HeartbeatOptions = { interval: 10_000, timeout: 3_000, ping: (peer) => peer.write('PING\r\n') };
 * const connection = new ReconnectingConnection({ port: 6379, heartbeat });
 * ```
 */
export interface HeartbeatOptions {
  /** Milliseconds from one ping to the next. */
  readonly interval: number;
  /** Milliseconds within which any byte must come after a ping. Default: `interval`. */
  readonly timeout?: number;
  /** Asks the peer for a sign of life. */
  readonly ping: (connection: HeartbeatConnection) => void;
}

/** Bounds of the writes that wait. */
export interface QueueOptions {
  /**
   * Bytes kept while the connection is not open; 0 refuses such writes. While it is open, writes are refused when this
   * many bytes (but at least the socket's own high-water mark) already wait for a slow peer. It bounds the number of
   * writes too: one for each 16 bytes of it, but at least 1024. Default: 1,048,576.
   */
  readonly maxBytes?: number;
  /** Milliseconds after which a write that waits for a session is dropped. Default: Infinity. */
  readonly maxAge?: number;
}

/**
 * What `shouldRetry` judges.
 *
 * @example
 * ```ts
 * const connection = new ReconnectingConnection({
 *   port: 6379,
 *   // Wrong credentials will not be right the next time.
 *   shouldRetry: ({ reason }) => reason !== 'handshake-failed',
 * });
 * ```
 */
export interface Failure {
  /** Why the attempt or the session failed. */
  readonly reason: FailureReason;
  /** What failed, where there is an error. */
  readonly error?: NodeJS.ErrnoException;
  /** Failures in this outage up to now, this one included. */
  readonly attempt: number;
}

/** Options of a connection. Only `port` (or `path`, or `target`) is required; durations are in milliseconds. */
export interface ConnectionOptions {
  /** Port to connect to, an integer from 1 to 65535. */
  readonly port?: number;
  /** Name or address to connect to. Default: `'127.0.0.1'`. */
  readonly host?: string;
  /** Unix socket or Windows named pipe, in place of `port` and `host`. */
  readonly path?: string;
  /**
   * TLS: `true`, or options of `tls.connect` (`ALPNProtocols` as strings only); key material is parsed at once. Certificates are verified unless
   * `rejectUnauthorized` is literally false, whatever the environment says. Default: off.
   */
  readonly tls?: boolean | TlsOptions;
  /**
   * Asked before every dial where to connect: for failover, service discovery, rotated certificates. `attempt` numbers
   * the dials of this opening from 1. A throw or a rejection is a failed attempt. With `port` or `path` beside it, these name the connection until it has answered.
   */
  readonly target?: (attempt: number) => Target | Promise<Target>;
  /** How Node's socket is set up. Default: `{ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }`. */
  readonly socket?: SocketOptions;
  /**
   * Opens the stream, in place of `net.connect` and `tls.connect`: for proxies, tunnels, tests. It must be a new
   * stream every time. With `tls` set, a stream that is not encrypted is wrapped in TLS.
   */
  readonly dial?: Dial;
  /** Waits between attempts: options of `exponentialBackoff`, or a function. Default: `defaultBackoff()`. */
  readonly backoff?: ExponentialBackoffOptions | Backoff;
  /** A session shorter than this, or than the wait before it, counts as a failed attempt. Default: 5000. */
  readonly minUptime?: number;
  /** Retries of an outage before the connection closes with `'max-retries'`. Default: Infinity. */
  readonly maxRetries?: number;
  /** Duration of an outage before the connection closes with `'max-elapsed'`. Default: Infinity. */
  readonly maxElapsed?: number;
  /** Whether to go on after a failure; false closes the connection with `'not-retryable'`. Default: always. */
  readonly shouldRetry?: (failure: Failure) => boolean;
  /** Bound of `target`, name resolution, TCP, TLS and `handshake` together; 0 for none. Default: 10,000. */
  readonly connectTimeout?: number;
  /**
   * Runs on every new socket before `open`: authentication, a greeting, a negotiation. A throw or a rejection is a
   * failed attempt. Bytes it leaves unread reach `data`.
   */
  readonly handshake?: Handshake;
  /** Makes the Transform whose output is emitted as `message`: a fresh one for every session. */
  readonly decoder?: () => Transform;
  /** The session is reset when nothing is received for this long; 0 for never. Default: 0. */
  readonly idleTimeout?: number;
  /** Asks the peer for signs of life. Default: off. */
  readonly heartbeat?: HeartbeatOptions;
  /** Bounds of the writes that wait. Default: `{ maxBytes: 1_048_576, maxAge: Infinity }`. */
  readonly queue?: QueueOptions;
  /** How long `disconnect()` waits for what was written and for the peer's end. Default: 2000. */
  readonly closeTimeout?: number;
  /** Ends the lifecycle with `'aborted'` when it is aborted. */
  readonly signal?: AbortSignal;
  /** Whether to dial without `connect()` being called. Default: true. */
  readonly autoConnect?: boolean;
  /**
   * Read into one buffer again and again: a chunk is valid only while its listener runs. It saves a copy on plain TCP
   * and Unix sockets without `handshake` and `decoder`, and changes nothing elsewhere. Default: false.
   */
  readonly reuseReadBuffer?: boolean;
}
