import type { LookupFunction, TcpSocketConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Backoff, ExponentialBackoffOptions } from './backoff';
import type { FailureReason } from '../events/events';
import type { ResolvedTarget, Target, TlsOptions } from './target';
import type { WriteChunk, WriteOptions } from './write-options';

/** Options of the Node socket of each session. */
export interface SocketOptions extends Partial<
  Pick<TcpSocketConnectOpts, 'localAddress' | 'localPort' | 'family' | 'hints'>
> {
  /**
   * Finds the addresses of `host` before each dial, unless that is an address, as in Node. It may answer with one address
   * where a list was asked for, and may return or resolve with its answer in place of calling back. Default: `dns.lookup`.
   */
  readonly lookup?: LookupFunction | undefined;
  /**
   * Dial all addresses of a name side by side until one connects, as RFC 8305 says: the next one when the one before has
   * failed, or has given no answer for `autoSelectFamilyAttemptTimeout`; the families in turns. `connectTimeout` bounds
   * them together. With `family` or `localAddress`, the addresses of that family. False: the first address alone.
   * Default: true.
   */
  readonly autoSelectFamily?: boolean | undefined;
  /**
   * Milliseconds without an answer after which the next address of a name is dialled too: at least 10. Default: 250, or less
   * where all would not be dialled in the first half of `connectTimeout`.
   */
  readonly autoSelectFamilyAttemptTimeout?: number | undefined;
  /** Send small writes at once (`TCP_NODELAY`). Default: true. */
  readonly noDelay?: boolean | undefined;
  /**
   * Let the kernel probe an idle peer (`SO_KEEPALIVE`). It supplements `idleTimeout` and `heartbeat` and replaces
   * neither. Default: true.
   */
  readonly keepAlive?: boolean | undefined;
  /** Milliseconds of idleness before the first probe: from 1000 to 32,767,000, rounded up to whole seconds. Default: 30,000. */
  readonly keepAliveInitialDelay?: number | undefined;
  /** Milliseconds from one probe to the next, in whole seconds, where Node has it (26.4). Default: the system's. */
  readonly keepAliveInterval?: number | undefined;
  /** Probes without an answer after which the kernel resets the socket, where Node has it (26.4). Default: the system's. */
  readonly keepAliveCount?: number | undefined;
  /**
   * As in Node: after the peer's end the session goes on for writes, until the application ends it or it breaks. By
   * default the session ends with the peer's end.
   */
  readonly allowHalfOpen?: boolean | undefined;
}

/** The second argument of `beforeTls`. */
export interface BeforeTlsContext extends HandshakeContext {
  /** Where the socket is connected to. */
  readonly target: ResolvedTarget;
}

/**
 * Prepares a connected socket before TLS: STARTTLS, a Postgres SSLRequest, HTTP CONNECT, SOCKS, a PROXY header. It may
 * resolve with a stream, which takes the socket's place; with `tls`, TLS is laid over that, even if it is TLS already.
 * `connectTimeout` limits its duration. The socket is destroyed if the attempt fails. If it throws, rejects or resolves
 * with another value, the attempt fails with `ERR_HANDSHAKE_FAILED`, whose `cause` is the error; so it does if bytes are
 * unread when TLS begins, for they came in clear.
 */
export type BeforeTls = (socket: Duplex, context: BeforeTlsContext) => Prepared | Promise<Prepared>;

/** The second argument of a `handshake`. */
export interface HandshakeContext {
  /** Number that the session will have. */
  readonly generation: number;
  /** Aborted when the attempt times out or is abandoned; its `reason` says why. */
  readonly signal: AbortSignal;
}

/**
 * Prepares a new socket, and resolves when the socket is ready for use, or with a stream over it, which the session then
 * is: with `tls`, verified TLS or a stream over the verified socket. `connectTimeout` limits its duration. If it throws,
 * rejects, resolves with another value, or lays TLS over the socket without returning it, the attempt fails with
 * `ERR_HANDSHAKE_FAILED`, whose `cause` is the error.
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
export type Handshake = (socket: Duplex, context: HandshakeContext) => Prepared | Promise<Prepared>;

/** A stream that takes the socket's place, or nothing: `void`, so that a function without a `return` fits too. */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type
export type Prepared = Duplex | void | undefined;

/**
 * Opens a new stream to `target`, unless `signal` is aborted first. The attempt waits until the stream is connected; it
 * fails if this function throws or rejects, or if the stream emits `error` before it is connected.
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

/** The second argument of a `target` function. */
export interface TargetContext {
  /** The failure that this dial follows; absent for the first of a lifecycle, and after `reconnect()`. */
  readonly failure?: Pick<Failure, 'reason' | 'error'>;
  /** The target that was dialled last, as the function returned it; absent for the first of a lifecycle. */
  readonly previous?: Target;
  /** Number that the session will have. */
  readonly generation: number;
}

/** Returns the target of a dial. */
export type NextTarget = (attempt: number, context: TargetContext) => Target | Promise<Target>;

/** The argument of a heartbeat's `ping`. */
export interface HeartbeatConnection {
  /** The target as text: `host:port`, `[v6]:port` or `unix:/path`. */
  readonly tag: string;
  /** Number of the session. */
  readonly generation: number;
  /** Sends a ping, as `ReconnectingConnection.write` does. */
  write(chunk: WriteChunk, encoding?: BufferEncoding | WriteOptions): boolean;
}

/**
 * Sends pings that the peer has to answer, and ends the session with `'heartbeat'` if no answer comes in time.
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
  /**
   * Milliseconds after a ping within which a byte, any byte, has to arrive; Infinity expects none. The time runs from
   * the later of the ping and the last time that the kernel took bytes. Default: `interval`.
   */
  readonly timeout?: number | undefined;
  /** Ping only when nothing was written for `interval`. Default: false. */
  readonly idle?: boolean | undefined;
  /** Sends a ping. */
  readonly ping: (connection: HeartbeatConnection) => void;
}

/**
 * The way back to a preferred server, where `target` is a list.
 *
 * @example
 * ```ts
 * const failback: FailbackOptions = { interval: 30_000 };
 * const connection = new ReconnectingConnection({ target: [{ port: 6379 }, { port: 6380 }], failback });
 * ```
 */
export interface FailbackOptions {
  /**
   * Milliseconds from the end of one probe to the next, and from the opening of a session to its first one, more or less a
   * quarter at random, so that many clients do not probe together.
   */
  readonly interval: number;
  /** Probes of one target that must have succeeded in a row before the connection moves there. Default: 2. */
  readonly successes?: number | undefined;
}

/** Limits of the queue of writes. */
export interface QueueOptions {
  /**
   * Bytes that are queued while the connection is not open; with 0, such writes are refused. While it is open, a write
   * is refused if this many bytes (or the socket's high-water mark, if that is more) already wait for a slow peer. The
   * number of writes is limited too: to one per 16 bytes, but at least 1024. Default: 1,048,576.
   */
  readonly maxBytes?: number | undefined;
  /** Milliseconds after which a write that is queued for a session is dropped. Default: Infinity. */
  readonly maxAge?: number | undefined;
  /**
   * What happens to a write for which the queue has no room: it is refused, or the writes that have waited longest are
   * dropped in its favour, an urgent one only for another. A write larger than `maxBytes` is refused in any case. Default:
   * `'refuse'`.
   */
  readonly overflow?: 'refuse' | 'drop-oldest' | undefined;
}

/**
 * The argument of `shouldRetry`.
 *
 * @example
 * ```ts
 * const connection = new ReconnectingConnection({
 *   port: 6379,
 *   // Wrong credentials would fail again.
 *   shouldRetry: ({ reason }) => reason !== 'handshake-failed',
 * });
 * ```
 */
export interface Failure {
  /** Why the attempt or the session failed. */
  readonly reason: FailureReason;
  /** The error; absent if the attempt or the session ended without one. */
  readonly error?: NodeJS.ErrnoException;
  /** Number of failures of this outage, including this one. */
  readonly attempt: number;
}

/** Options of a connection beside its target. `undefined` is the same as absent. Durations are in milliseconds. */
export interface CommonOptions {
  /**
   * TLS: `true`, or options of `tls.connect` (`ALPNProtocols` as strings only). Keys and certificates are parsed at
   * construction. The options of a pool's member are merged over the pool's, property by property. The peer's certificate
   * is verified unless `rejectUnauthorized` is `false`; the environment variable `NODE_TLS_REJECT_UNAUTHORIZED` is
   * ignored. Default: off.
   */
  readonly tls?: boolean | TlsOptions | undefined;
  /** Options of the Node socket. Default: `{ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }`. */
  readonly socket?: SocketOptions | undefined;
  /**
   * Opens the stream, instead of `net.connect` and `tls.connect`: for proxies, tunnels or tests. The target has `host` and
   * `port`, or `path`: in TypeScript, `if ('path' in target) throw …` leaves the former. It has to return a new stream each time;
   * one that a connection has, or has had, fails the attempt. `socket.noDelay` and `keepAlive` are applied where it has the
   * methods. If `tls` is set, a stream that is not encrypted is wrapped in TLS.
   */
  readonly dial?: Dial | undefined;
  /** The waits between attempts: options of `exponentialBackoff`, or a function. Default: `defaultBackoff()`. */
  readonly backoff?: ExponentialBackoffOptions | Backoff | undefined;
  /**
   * A session that is shorter than this, or than the wait before it, counts as a failed attempt. Where a dial was refused
   * before it, the server had been restarted: then the waits start afresh after a tenth of this, but at least 500. The
   * retries count on. Default: 5000.
   */
  readonly minUptime?: number | undefined;
  /** Number of retries in an outage after which the connection closes with `'max-retries'`. Default: Infinity. */
  readonly maxRetries?: number | undefined;
  /** Duration of an outage after which no retry may begin: the connection closes with `'max-elapsed'`. Default: Infinity. */
  readonly maxElapsed?: number | undefined;
  /**
   * Milliseconds after which a session is replaced as by `replace()`, less up to a tenth at random, so that many do not come
   * together; Infinity for never. Where `target` is a list, the next session is with the same target. Default: Infinity.
   */
  readonly maxLifetime?: number | undefined;
  /**
   * Goes back to a preferred target of a list: while the session is with another one, those before it in the list are probed
   * by dials of their own, the most preferred first, each next one only if the one before has failed. A probe is a dial with
   * all that belongs to it, TLS and `handshake` included, whose socket then has to last for `minUptime`, but no longer than
   * `interval`; what its peer says is discarded. After enough successes in a row the connection moves as by `replace()`. If
   * that fails, the session stays, and the count of that target starts over. Not for a peer that has room for one session
   * only. Default: off.
   */
  readonly failback?: FailbackOptions | undefined;
  /** Whether to retry after a failure; false closes the connection with `'not-retryable'`. Default: always. */
  readonly shouldRetry?: ((failure: Failure) => boolean) | undefined;
  /** Time limit for `target`, name resolution, TCP, `beforeTls`, TLS and `handshake` together; 0 for none. Default: 10,000. */
  readonly connectTimeout?: number | undefined;
  /** Runs on every new socket when it is connected and before TLS: for STARTTLS, proxies and PROXY headers. */
  readonly beforeTls?: BeforeTls | undefined;
  /**
   * Runs on every new socket before `open`: for authentication, a greeting or a negotiation. If it throws or rejects,
   * the attempt fails. Bytes that it leaves unread are emitted as `data`.
   */
  readonly handshake?: Handshake | undefined;
  /** Returns a new Transform, or another stream that decodes, for each session; its output is emitted as `message`. */
  readonly decoder?: (() => Duplex) | undefined;
  /** The session is reset if nothing is received for this long; 0 or Infinity for never. Default: 0. */
  readonly idleTimeout?: number | undefined;
  /**
   * The session is reset with `'stalled'` if bytes wait in the socket and the kernel takes none of them for this long; 0
   * or Infinity for never. Default: 0.
   */
  readonly writeTimeout?: number | undefined;
  /** Pings the peer at an interval. Default: off. */
  readonly heartbeat?: HeartbeatOptions | undefined;
  /** Limits of the queue of writes. Default: `{ maxBytes: 1_048_576, maxAge: Infinity, overflow: 'refuse' }`. */
  readonly queue?: QueueOptions | undefined;
  /** How long `disconnect()` waits until everything is written and the peer has ended its side. Default: 2000. */
  readonly closeTimeout?: number | undefined;
  /** Closes the connection with `'aborted'` when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Whether to dial without a call of `connect()`. Default: true. */
  readonly autoConnect?: boolean | undefined;
  /**
   * Read into the same buffer each time: a chunk, of up to 256 KiB, is valid only while its listener runs. This saves a
   * copy on plain TCP and Unix sockets without `handshake` and `decoder`, and has no effect otherwise. Default: false.
   */
  readonly reuseReadBuffer?: boolean | undefined;
}

/** Options of a member of a pool: none is required, for those of the pool are the defaults. */
export interface MemberOptions extends CommonOptions {
  /** Port to connect to, an integer from 1 to 65535. */
  readonly port?: number | undefined;
  /** Name or address to connect to. Default: `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /**
   * Unix socket, an abstract one (`'\0name'`) on Linux, or Windows named pipe, instead of `port` and `host`. Node 20 fills
   * the name of an abstract socket up with NULs, and so reaches only servers that do the same, as those of Node 20.
   */
  readonly path?: string | undefined;
  /**
   * Targets in order of preference, or a function that is called before every dial for the target to connect to: for
   * failover, service discovery or rotated certificates.
   *
   * An outage goes through a list, one target per dial, and begins again after the last. It starts with the one after the
   * target that failed; after a session that was healthy, with the target of that session.
   *
   * Of the function, `attempt` is 1 for the first dial of an outage, then 2, and so on; a session that was not healthy does
   * not start it afresh. If the function throws or rejects, the attempt fails. `port` or `path` may be set too: they give
   * the connection its `tag` until the function has returned a target.
   */
  readonly target?: NextTarget | readonly Target[] | undefined;
}

/**
 * Options of a connection, of which one of `port`, `path` and `target` is required.
 *
 * @example
 * ```ts
 * const options: ConnectionOptions = { port: 6379, host: process.env['REDIS_HOST'], idleTimeout: 60_000 };
 * const connection = new ReconnectingConnection(options);
 * ```
 */
export type ConnectionOptions = MemberOptions &
  (
    | {
        /** Port to connect to. */
        readonly port: number;
      }
    | {
        /** Unix socket or Windows named pipe. */
        readonly path: string;
      }
    | {
        /** Called before every dial, or targets in order of preference. */
        readonly target: NextTarget | readonly Target[];
      }
  );
