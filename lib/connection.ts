import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';

import { type EventHook, DeliveryQueue } from './events/delivery-queue';
import { type DuplexOptions, ConnectionDuplex } from './streams/duplex';
import { Emitter } from './events/emitter';
import { type ChannelEvent, publish } from './events/diagnostics-channel';
import type { CloseInfo, ConnectionEvents, OpenInfo, StateName } from './events/events';
import { type Gate, openGate } from './attempt/dial-gate';
import { ReadControl } from './streams/read-control';
import { Machine } from './lifecycle/machine';
import type { ConnectionOptions } from './options/options';
import { type ConnectionSession, type SessionChunk, type SessionsOptions, Sessions } from './streams/sessions';
import { resolveOptions } from './options/settings';
import type { ConnectionStats } from './lifecycle/stats';
import type { WhenOpenOptions } from './lifecycle/when-open';
import { type WriteCallback, checkCallback, toBytes } from './writes/write';

/** Gets the events of a connection beside its listeners. */
export type Observer = (
  connection: ReconnectingConnection,
  event: keyof ConnectionEvents,
  args: readonly unknown[],
) => void;

/** What a pool or a registry gives to a connection that it creates. */
export interface ConnectionHost {
  readonly gate?: Gate | undefined;
  /** Called with every event, after the connection's own listeners, and also when the application has removed those. */
  readonly observe?: Observer | undefined;
}

/**
 * A TCP, TLS or Unix socket connection that comes back. It dials on the microtask after its creation and, when a
 * session is lost, dials again until it is told to stop.
 *
 * It is an `EventEmitter` of {@link ConnectionEvents}, with all the methods of eventemitter3 and of `node:events`. There
 * is no `error` event: network trouble rides in `reset`, `backoff` and `close`, and programming errors throw.
 *
 * @typeParam Message - What the `decoder` puts out, and so what `message` carries.
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
  readonly #machine: Machine;
  /** Created by the first reader that may stop the reading. */
  #readControl: ReadControl | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION`, for a wrong type or range, an unknown name, a contradiction */
  constructor(options: ConnectionOptions);
  /** @internal For pools and registries; the published types leave this out. */
  // eslint-disable-next-line @typescript-eslint/unified-signatures
  constructor(options: ConnectionOptions, host: ConnectionHost);
  constructor(options: ConnectionOptions, { gate = openGate, observe }: ConnectionHost = {}) {
    super();
    const settings = resolveOptions(options);
    // `as`: messages have whatever type the decoder gives them, and the hooks get the emitter of the queue, which is this.
    const emitter = this as unknown as Emitter<ConnectionEvents>;
    const delivery = new DeliveryQueue(emitter, publish as EventHook, observe as EventHook | undefined);
    this.#machine = new Machine({ settings, gate, delivery, connection: this });
    if (settings.autoConnect) {
      queueMicrotask(() => {
        if (this.state === 'idle') this.connect();
      });
    }
  }

  /** Where the connection is in its life. */
  get state(): StateName {
    return this.#machine.state;
  }

  /** The target as text: `host:port`, `[v6]:port` or `unix:/path`; `unresolved` until a `target` function has answered. */
  get tag(): string {
    return this.#machine.tag;
  }

  /** Number of the latest session, 0 before the first. */
  get generation(): number {
    return this.#machine.generation;
  }

  /** Bytes written whose fate is open: waiting for a session, or not yet confirmed by this one's socket. */
  get pendingBytes(): number {
    return this.#machine.outbox.pendingBytes;
  }

  /**
   * The session's own socket, for what this library leaves alone: `getPeerCertificate`, `setTOS`. Reading or writing it
   * by hand voids the contract. Undefined while there is no session; what `dial` opened, where that is set.
   */
  get socket(): Socket | TLSSocket | undefined {
    // `as`: by default it is one, and who sets `dial` knows what it returns.
    return this.#machine.session?.transport as Socket | undefined;
  }

  /** Counters, queue depth, the last error and the last transitions: a plain object without secrets. */
  get stats(): ConnectionStats {
    return this.#machine.stats;
  }

  /**
   * Starts from `idle`, or again from `closed` with counters afresh; while closing, as soon as that is done. Does
   * nothing otherwise.
   *
   * @throws ConnectionError `ERR_ABORTED` when it is to start again and its `signal` is aborted
   */
  connect(): void {
    this.#machine.connect();
  }

  /**
   * Sends, or keeps until there is a session to send on. Each write is sent at most once. That it was confirmed says that
   * the kernel took it, not that the peer received it.
   *
   * @param chunk - A string is encoded now; bytes must stay as they are until the callback.
   * @param encoding - Of a string. Default: `'utf8'`.
   * @param callback - Called once: without an error when the kernel took the chunk, else with the reason why not.
   * @returns false when the writer should wait for `drain`, or when the write was refused
   * @throws ConnectionError `ERR_INVALID_CHUNK`, for what is neither a string nor bytes, and for an unknown encoding
   *
   * @example
   * ```ts
   * const hasRoom = connection.write('PING\r\n', (error) => {
   *   console.log(error ? `not sent, or not known to be: ${error.message}` : 'taken by the kernel');
   * });
   * if (!hasRoom) connection.once('drain', () => console.log('room again'));
   * ```
   */
  write(chunk: string | Uint8Array, encoding?: BufferEncoding, callback?: WriteCallback): boolean;
  /** The same, with `'utf8'` as the encoding of a string. */
  write(chunk: string | Uint8Array, callback?: WriteCallback): boolean;
  write(chunk: string | Uint8Array, encoding?: BufferEncoding | WriteCallback, callback?: WriteCallback): boolean {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    checkCallback(callback);
    return this.#machine.outbox.write(toBytes(chunk, encoding), callback);
  }

  /**
   * Waits for a session.
   *
   * @returns resolves at once while open; rejects with `ERR_CLOSED` or what the lifecycle ended with, with
   *   `ERR_ABORTED`, or with the last attempt's error after `attempts` of them. The connection itself goes on.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   *
   * @example
   * ```ts
   * const { generation, remoteAddress } = await connection.whenOpen({ attempts: 3, signal: AbortSignal.timeout(5_000) });
   * console.log(`session ${generation} with ${remoteAddress}`);
   * ```
   */
  whenOpen(options: WhenOpenOptions = {}): Promise<OpenInfo> {
    return this.#machine.whenOpen(options);
  }

  /** Drops the session or cuts the wait short, and dials now. Does nothing while it dials already, or has closed. */
  reconnect(): void {
    this.#machine.reconnect();
  }

  /**
   * Vouches for this session, however short it will be: the backoff starts afresh at its loss. Without it, a session that
   * is shorter than `minUptime`, or than the wait before it, counts as a failed attempt.
   *
   * @example
   * ```ts
   * // Whoever answers a ping is well.
   * connection.once('data', () => connection.markHealthy());
   * connection.write('PING\r\n');
   * ```
   */
  markHealthy(): void {
    this.#machine.markHealthy();
  }

  /** Stops reading, in later sessions too. That the peer has ended the session may not be noticed before `resume()`. */
  pause(): this {
    this.#reading.pause(this);
    return this;
  }

  /** Reads again, unless a loop over `sessions()` or a stream of `toDuplex()` is behind with its reading. */
  resume(): this {
    this.#readControl?.resume(this);
    return this;
  }

  /**
   * The sessions one after another, the present one first, as in `for await (const session of connection.sessions())`.
   * It listens from the call on; leaving the loop ends that, and the connection goes on. While the loop is behind, reading
   * stops: a session that begins meanwhile waits, and is left out if it is lost before its turn. The loop ends when the
   * lifecycle does: quietly after `disconnect()` or `destroy()`, else by throwing the error of `close`.
   *
   * @typeParam Chunk - What a session yields: `Message`, or `Buffer` where that is not named. Name it with a `decoder`.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  sessions<Chunk = SessionChunk<Message>>(
    options: SessionsOptions = {},
  ): AsyncIterableIterator<ConnectionSession<Chunk>, undefined> {
    return new Sessions<Chunk>(this.#reading, options);
  }

  /**
   * A stream over all sessions, for `pipeline`. It reads what the connection does, messages where there is a `decoder`,
   * and stops the reading when it has enough; it writes as `write()` does, one write at a time and the next when the fate
   * of that is known. `end()` disconnects, `destroy()` destroys. It ends with the lifecycle; after giving up, by its error.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  toDuplex(options: DuplexOptions = {}): Duplex {
    return new ConnectionDuplex(this.#reading, options);
  }

  /** Lets socket and timers keep the process alive, as they do by default. */
  ref(): this {
    this.#machine.setRef(true);
    return this;
  }

  /** Lets the process end although there is a connection. A name look-up under way holds it all the same. */
  unref(): this {
    this.#machine.setRef(false);
    return this;
  }

  /**
   * Ends the lifecycle in good order: what was written goes out, and what is not done after `closeTimeout` is destroyed.
   * Legal in every state; calls share one promise, which resolves with what `close` tells and never rejects.
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

  get #reading(): ReadControl {
    return (this.#readControl ??= new ReadControl(this, this.#machine));
  }

  /** Who it is and how it is; never its options, which hold keys. */
  [inspect.custom](): string {
    return `${this.constructor.name} ${inspect({ tag: this.tag, state: this.state, generation: this.generation })}`;
  }
}

/**
 * What a subscriber to the `node:diagnostics_channel` called `reconnecting-connection:connection:` and the event's name
 * is handed: the payload of the event, with the connection and its tag. It is published once, before the listeners of
 * the connection and of its pool hear of it.
 */
export type ChannelMessage<E extends ChannelEvent = ChannelEvent> = Parameters<ConnectionEvents[E]>[0] & {
  /** The connection itself, a member of a pool or not. */
  readonly connection: ReconnectingConnection;
  /** Its target as text, such as `127.0.0.1:6379`. */
  readonly tag: string;
};
