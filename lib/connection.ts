import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';

import type { JoinGate } from './attempt/dial-gate';
import { beginAt, fromCaller } from './errors';
import { type EventObserver, type Publish, DeliveryQueue } from './events/delivery-queue';
import { type ChannelEvent, publish } from './events/diagnostics-channel';
import { Emitter, onListenerAdded } from './events/emitter';
import type { CloseInfo, ConnectionEvents, OpenInfo, StateName, WriteCount } from './events/events';
import { Machine } from './lifecycle/machine';
import { type ReconnectOptions, reconnectDelay } from './lifecycle/reconnect-options';
import type { ConnectionStats } from './lifecycle/stats';
import type { WhenOpenOptions } from './lifecycle/when-open';
import type { CommonOptions, ConnectionOptions, MemberOptions } from './options/options';
import { type ResolvedOptions, resolveOptions } from './options/settings';
import { checkArguments } from './options/url';
import type { WriteChunk, WriteOptions } from './options/write-options';
import { type DuplexOptions, ConnectionDuplex } from './streams/duplex';
import { ReadControl } from './streams/read-control';
import { type ConnectionSession, type SessionChunk, type SessionsOptions, Sessions } from './streams/sessions';
import { type WriteArguments, toWrite } from './writes/chunk';
import type { WriteCallback } from './writes/write';

/** The machine of a connection: for pools, and no method, so that it is no part of the public names. */
export let machineOf: <Message>(connection: ReconnectingConnection<Message>) => Machine;

/** What a pool or a registry passes to a connection that it creates. */
export interface ConnectionHost {
  /** Options that are checked already, in place of the first argument. */
  readonly resolved?: ResolvedOptions | undefined;
  readonly joinGate?: JoinGate | undefined;
  /** Gets the connection's events after its own listeners, also when `removeAllListeners()` was called. */
  readonly observer?: EventObserver<ReconnectingConnection> | undefined;
}

/** Milliseconds until the session of a connection counts as healthy, for logs; Infinity without a session. */
export let healthyIn: (connection: object) => number;

/**
 * A TCP, TLS or Unix socket connection that reconnects. It dials on the microtask after its creation. When a session is
 * lost it dials again, until `disconnect()`, `destroy()`, an aborted `signal` or the limits of its options end it.
 *
 * It is an `EventEmitter` of {@link ConnectionEvents}, with all the methods of eventemitter3 and of `node:events`.
 * There is no `error` event: network errors are in the payloads of `reset`, `backoff` and `close`, and programming
 * errors throw.
 *
 * @typeParam Message - What the `decoder` puts out: the payload of `message`.
 *
 * @example
 * ```ts
 * const connection = new ReconnectingConnection({ port: 6379 });
 * connection.on('open', ({ generation }) => console.log(`session ${generation}`));
 * connection.on('data', (chunk) => console.log(chunk.toString()));
 * connection.on('backoff', ({ attempt, delay }) => console.log(`retry ${attempt} in ${delay} ms`));
 * connection.write('Hello'); // waits for the session
 * ```
 * ```text
 * session 1
 * Hello
 * ```
 */
export class ReconnectingConnection<Message = unknown> extends Emitter<ConnectionEvents<Message>> {
  static {
    healthyIn = (connection) => (#machine in connection ? connection.#machine.healthyIn : 0);
  }

  readonly #machine: Machine;
  /** Created by the first call of `pause()`, `sessions()` or `toDuplex()`. */
  #readControl: ReadControl | undefined;

  /**
   * @param target - Options, or a URL in place of the target: `tcp://host:port`, `tls://host:port` or `unix:///path`. Of
   *   a `URL` object pass its `href`.
   * @param options - Options beside a URL.
   * @throws ConnectionError `ERR_INVALID_OPTION`, for a wrong type or range, an unknown name, a contradiction, or a URL
   *   with credentials, a query or another scheme
   *
   * @example
   * ```ts
   * const connection = new ReconnectingConnection('tls://db.example:6380', { autoConnect: false });
   * console.log(connection.tag);
   * ```
   * ```text
   * db.example:6380
   * ```
   */
  constructor(target: ConnectionOptions | string, options?: CommonOptions);
  /** @internal For pools and registries; the published types leave this out. */
  constructor(options: MemberOptions, host: ConnectionHost);
  /** @internal The same, with options that are checked already. */
  constructor(options: undefined, host: ConnectionHost & { readonly resolved: ResolvedOptions });
  constructor(target: MemberOptions | string | undefined, second?: CommonOptions | ConnectionHost) {
    super();
    const host = isHost(second) ? second : undefined;
    const options = isHost(second) ? undefined : second;
    // `!`: only resolved options may take their place.
    const { settings, target: place } =
      host?.resolved ?? fromCaller(ReconnectingConnection, () => resolveOptions(checkArguments(target!, options)));
    const { joinGate, observer } = host ?? {};
    // `as`: the type of messages does not matter here, and the emitter that the queue passes on is `this`.
    const emitter = this as unknown as Emitter<ConnectionEvents>;
    const delivery = new DeliveryQueue(emitter, observer, publish as Publish<unknown>);
    this.#machine = new Machine({ settings, target: place, joinGate, delivery, connection: this });
    if (settings.autoConnect) {
      queueMicrotask(() => {
        if (this.state === 'idle') this.connect();
      });
    }
  }

  /** The present state. */
  get state(): StateName {
    return this.#machine.state;
  }

  /**
   * The target as text: `host:port`, `[v6]:port` or `unix:/path`. Before the first dial the first of a list, and
   * `unresolved` where a `target` function is still to return one.
   */
  get tag(): string {
    return this.#machine.tag;
  }

  /** Number of the latest session, 0 before the first. */
  get generation(): number {
    return this.#machine.generation;
  }

  /** Bytes written that wait for a session, or that the socket of this session has not confirmed yet. */
  get pendingBytes(): number {
    return this.#machine.pendingBytes;
  }

  /**
   * The socket of the session, for methods that this library does not use, such as `getPeerCertificate` and `setTOS`.
   * Do not read from it or write to it. Undefined while there is no session; the stream from `dial` where that is set.
   */
  get socket(): Socket | TLSSocket | undefined {
    // `as`: a socket by default; with `dial`, the application knows what it returned.
    return this.#machine.session?.transport as Socket | undefined;
  }

  /** Counts, queued bytes, the last error and the last transitions, as a plain object without secrets. */
  get stats(): ConnectionStats {
    return this.#machine.stats;
  }

  /**
   * Starts a lifecycle from `idle` or `closed`, with its retries counted from zero. While `closing`, the next lifecycle
   * starts after `close`. Does nothing in other states.
   *
   * @throws ConnectionError `ERR_ABORTED` when it is closed and its `signal` is aborted
   */
  connect(): void {
    this.#machine.connect();
  }

  /**
   * Sends a chunk, or queues it until there is a session. Each write is sent at most once. A confirmed write was taken
   * by the kernel; the peer may not have received it.
   *
   * @param chunk - A string is encoded now. Bytes must not be changed before the callback. An array of chunks is one
   *   write: its parts are sent together or not at all.
   * @param encoding - Encoding of strings, by default `'utf8'`, or the options of this write.
   * @param callback - Called once: without an error when the kernel has taken the chunk, otherwise with the error.
   * @returns false when the writer should wait for `drain`, or when the write was refused
   * @throws ConnectionError `ERR_INVALID_CHUNK` for a chunk that is neither string nor bytes, an unknown encoding, or a
   *   string that is not what its encoding says, such as half a byte of `'hex'`; `ERR_INVALID_OPTION`
   *
   * @example
   * ```ts
   * const hasRoom = connection.write('PING\r\n', (error) => {
   *   console.log(error ? `not sent, or uncertain: ${error.message}` : 'taken by the kernel');
   * });
   * if (!hasRoom) connection.once('drain', () => console.log('there is room again'));
   * connection.write(['SET a ', Buffer.from([1, 2, 3])], { maxAge: 1_000 });
   * ```
   */
  write(chunk: WriteChunk, encoding?: BufferEncoding | WriteOptions, callback?: WriteCallback): boolean;
  /** The same; a string is encoded as `'utf8'`. */
  write(chunk: WriteChunk, callback?: WriteCallback): boolean;
  write(
    chunk: WriteChunk,
    encoding?: BufferEncoding | WriteOptions | WriteCallback,
    callback?: WriteCallback,
  ): boolean {
    let write: WriteArguments;
    // No closure: this is the hot path.
    try {
      write = toWrite(chunk, encoding, callback);
    } catch (error) {
      throw beginAt(error, [this, 'write']);
    }
    return this.#machine.outbox.write(write.bytes, write.callback, write.options);
  }

  /**
   * Drops all writes that wait and were not handed to a socket: each is reported by `drop` with the reason `'cleared'`,
   * and its callback gets `ERR_CLEARED`. While open nothing waits here, except in an `open` listener.
   *
   * @returns how much was dropped
   *
   * @example
   * ```ts
   * connection.clearQueue();
   * connection.write('STOP\r'); // and none of what was written before
   * ```
   */
  clearQueue(): WriteCount {
    return this.#machine.outbox.clear();
  }

  /**
   * Waits for an open session.
   *
   * @returns a promise that resolves with the payload of `open`, at once while open. It rejects with `ERR_CLOSED` or
   *   the error of `close` when the lifecycle ends, with `ERR_ABORTED` when `signal` is aborted, and with the last
   *   attempt's error after `attempts` failed attempts. The connection itself goes on.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   *
   * @example
   * ```ts
   * const { generation, remoteAddress } = await connection.whenOpen({ attempts: 3, signal: AbortSignal.timeout(5_000) });
   * console.log(`session ${generation} with ${remoteAddress}`);
   * ```
   */
  whenOpen(options: WhenOpenOptions = {}): Promise<OpenInfo> {
    return fromCaller([this, 'whenOpen'], () => this.#machine.whenOpen(options));
  }

  /**
   * Ends the session, the attempt or the wait, and dials now, or after `delay` at the earliest. Starts from `idle`. Does
   * nothing while closing or closed. Calls in one turn of the event loop are one. Where attempt after attempt is abandoned,
   * a wait comes between them, of up to a second.
   *
   * The dial begins when the old socket has closed: the peer has until `closeTimeout` for that, unless `target` leads
   * elsewhere. A session that was not healthy (see `minUptime` and {@link ReconnectingConnection.markHealthy}) counts as
   * a failed attempt: its end is followed by a backoff, which grows, and which a further call cuts short. `shouldRetry`
   * is not asked.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   *
   * @example
   * ```ts
   * // The device needs a moment between two sessions.
   * connection.reconnect({ delay: 500 });
   * ```
   */
  reconnect(options: ReconnectOptions = {}): void {
    this.#machine.reconnect(fromCaller([this, 'reconnect'], () => reconnectDelay(options)));
  }

  /**
   * Replaces the session by a new one, make before break: for certificates, tokens or addresses that have changed. The next
   * session is dialled, encrypted and has shaken hands beside the old one. Only then is the old one ended: writes wait, what
   * was written goes out, and what the peer still says is received until it ends too. It has `closeTimeout` for that, and
   * again as long as it takes what was written (the time counts while the application reads). Then come `reset` with the
   * reason `'replaced'`, `open`, and what waited. `state` stays `open`. Not for a peer that has room for one session only.
   *
   * A failure leaves the old session as it is, and is retried as `backoff`, `shouldRetry` and the limits of retries say,
   * counted apart. If the old session is lost meanwhile, the dial that is under way is its retry. A call while it goes on
   * asks for the same replacement; one during a wait dials at once. While connecting, this waits for `open`; in `backoff`
   * and `idle` it dials.
   *
   * @returns a promise that resolves with the payload of the next `open`. It rejects with the error of an attempt that fails
   *   before that, though others follow, and with `ERR_CLOSED` or the error of `close` when the lifecycle has ended or ends.
   *   A rejection that is not handled is no error.
   *
   * @example
   * ```ts
   * // The server sends a notice before it goes away.
   * connection.on('data', (chunk) => {
   *   if (String(chunk) === 'GOODBYE') void connection.replace();
   * });
   * ```
   */
  replace(): Promise<OpenInfo> {
    return this.#machine.replace();
  }

  /**
   * Fails the session, or the attempt under way, because the application finds it bad: a server that says READONLY, an
   * answer that makes no sense. It is a failure as any other, with the reason `'failed'`: the connection backs off, and
   * longer each time until a session is healthy. Does nothing in other states.
   *
   * @param error - The `error` of `reset` and `backoff`. Default: an `ERR_FAILED`, also for a value that is no error.
   *
   * @example
   * ```ts
   * connection.on('data', (chunk) => {
   *   if (chunk.toString().startsWith('-READONLY')) connection.fail(new Error('The server has become a replica'));
   * });
   * ```
   */
  fail(error?: unknown): void {
    this.#machine.fail(error);
  }

  /**
   * Marks this session as healthy: after its loss the backoff starts from its first delay. Without this call, a session
   * that is shorter than `minUptime`, or than the wait before it, counts as a failed attempt.
   *
   * @example
   * ```ts
   * // A peer that answers a ping is healthy.
   * connection.once('data', () => connection.markHealthy());
   * connection.write('PING\r\n');
   * ```
   */
  markHealthy(): void {
    this.#machine.markHealthy();
  }

  /** Stops reading, also in later sessions. The peer's end of the session may not be noticed before `resume()`. */
  pause(): this {
    this.#reading.pause(this);
    return this;
  }

  /** Resumes reading. A loop over `sessions()` or a stream of `toDuplex()` that is full still holds it back. */
  resume(): this {
    this.#readControl?.resume(this);
    return this;
  }

  /**
   * Iterates over the sessions, beginning with the open one: `for await (const session of connection.sessions())`. It
   * receives from this call on. Leaving the loop removes its listeners, and the connection goes on.
   *
   * While the loop is busy, a session that opens is not read, and is skipped if it is lost before the loop asks for it.
   * When the loop asks for the next session, chunks of the last one are discarded unless another loop reads them. The
   * loop ends with the lifecycle: normally after `disconnect()` or `destroy()`, otherwise it throws the error of
   * `close`.
   *
   * @typeParam Chunk - What a session yields. Default: `Message`, or `Buffer` where that is not named.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  sessions<Chunk = SessionChunk<Message>>(
    options: SessionsOptions = {},
  ): AsyncIterableIterator<ConnectionSession<Chunk>, undefined> {
    return fromCaller([this, 'sessions'], () => new Sessions<Chunk>(this.#reading, options));
  }

  /**
   * Makes a stream over all sessions, for `pipeline`. It yields bytes, or messages where there is a `decoder`, and
   * pauses the connection when its buffer is full. It writes as `write()` does, but each write begins when the one
   * before is confirmed or has failed. `end()` disconnects, `destroy()` destroys the connection. The stream ends when
   * the lifecycle ends, and is destroyed with the error of `close` where there is one.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  toDuplex(options: DuplexOptions = {}): Duplex {
    return fromCaller([this, 'toDuplex'], () => new ConnectionDuplex(this.#reading, options));
  }

  /** Makes the socket and the timers keep the process alive, which is the default. */
  ref(): this {
    this.#machine.setRef(true);
    return this;
  }

  /** Makes the socket and the timers not keep the process alive. A name look-up in progress still does. */
  unref(): this {
    this.#machine.setRef(false);
    return this;
  }

  /**
   * Ends the lifecycle gracefully: sends what was written, ends the socket, and destroys it after `closeTimeout`. May
   * be called in every state. Calls share one promise, which resolves with the payload of `close` and never rejects.
   *
   * @example
   * ```ts
   * process.once('SIGTERM', async () => {
   *   const { reason } = await connection.disconnect();
   *   console.log(reason); // disconnected
   * });
   * ```
   */
  disconnect(): Promise<CloseInfo> {
    return this.#machine.disconnect();
  }

  /** Ends the lifecycle at once. */
  destroy(): void {
    this.#machine.destroy();
  }

  /** `await using`: {@link ReconnectingConnection.disconnect}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect();
  }

  /** The connection's {@link ReconnectingConnection.stats}. */
  toJSON(): ConnectionStats {
    return this.stats;
  }

  /** @internal Bytes that have waited for a listener of its own, or of its pool, are delivered. */
  override [onListenerAdded](event: PropertyKey): void {
    if (event === 'data' || event === 'message') this.#machine.session?.onListener();
  }

  get #reading(): ReadControl {
    return (this.#readControl ??= new ReadControl(this, this.#machine));
  }

  static {
    machineOf = (connection) => connection.#machine;
  }

  /** Tag, state and generation. The options are left out: they hold keys. */
  [inspect.custom](): string {
    return `${this.constructor.name} ${inspect({ tag: this.tag, state: this.state, generation: this.generation })}`;
  }
}

function isHost(second: CommonOptions | ConnectionHost | undefined): second is ConnectionHost {
  try {
    return Object.hasOwn(second ?? {}, 'joinGate') || Object.hasOwn(second ?? {}, 'observer');
  } catch {
    // A proxy that throws: the check of the options says so.
    return false;
  }
}

/**
 * The message on the `node:diagnostics_channel` named `reconnecting-connection:connection:` and the event: the payload
 * of the event, with the connection and its tag. It is published once, before the listeners of the connection and of
 * its pool are called.
 */
export type ChannelMessage<E extends ChannelEvent = ChannelEvent> = Parameters<ConnectionEvents[E]>[0] & {
  /** The connection, whether or not it is a member of a pool. */
  readonly connection: ReconnectingConnection;
  /** Its target as text, such as `127.0.0.1:6379`. */
  readonly tag: string;
};
