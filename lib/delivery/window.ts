import { EventEmitter } from 'node:events';

import type { ErrorCode, ReconnectingConnection, WriteChunk } from 'reconnecting-connection';

import { ConnectionError, because, fromCaller, invalidOption } from '../errors';
import { type FeedSource, Feed } from './feed';
import { MessageLog, sizeOf } from './log';
import type { DeliveryOptions, DeliveryState, DeliveryStats, DeliveryWindowEvents, Unacknowledged } from './options';
import { checkConnection, resolveOptions } from './options';
import type { DeliveryMessage } from './spool';
import { Spooler } from './spooler';

/**
 * Delivers messages at least once over a connection. It numbers them, keeps each until the peer has acknowledged it, and
 * sends those that are left again, in order, after each `open`. A peer that ignores the positions that it knows gets each
 * message once.
 *
 * What `open` listeners write, such as a log-in, goes first, and so do writes that wait in the connection. The window keeps
 * its messages when the connection closes, and goes on after `connection.connect()`. One connection may have several
 * windows, if the peer can tell their messages apart.
 *
 * @typeParam Message - What is sent: strings by default, or bytes.
 */
export class DeliveryWindow<Message extends DeliveryMessage = string> extends EventEmitter<DeliveryWindowEvents> {
  /**
   * Resolves when messages are taken: at once, or when the spool is replayed. It rejects when the replay fails; a rejection
   * that is not handled is no error.
   */
  readonly ready: Promise<void>;
  readonly #connection: ReconnectingConnection;
  readonly #options: DeliveryOptions<Message>;
  readonly #log = new MessageLog();
  readonly #spooler: Spooler | undefined;
  #state: DeliveryState;
  #error: Error | undefined;
  /** Writes to the present session. */
  #feed: Feed | undefined;
  /** The position behind the last message that some session was given. */
  #sentEnd = 1;
  /** Whether some session had been given the message that was written last. */
  #isResent = false;
  /** Bytes of the largest message: there is room while another of this size fits. */
  #largest = 1;
  /** Whether `drain` is due. */
  #wantsRoom = false;
  #taken = 0;
  #refused = 0;
  #acknowledged = 0;
  #sent = 0;
  #resent = 0;

  /**
   * @param connection - Of a pool, one member.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  constructor(connection: ReconnectingConnection<never>, options: DeliveryOptions<Message>) {
    super();
    this.#options = fromCaller(DeliveryWindow, () => {
      checkConnection(connection);
      return resolveOptions<Message>(options);
    });
    this.#connection = connection;
    const { spool } = this.#options;
    this.#spooler = spool && new Spooler(spool, this.#log, this.#onKept, this.#report, this.#spoolError);
    this.#state = spool === undefined ? 'ready' : 'starting';
    this.ready = this.#replay();
    this.ready.catch(() => undefined);
    this.#connection.on('open', this.#onOpen).on('reset', this.#onReset).on('drain', this.#onRoom);
    if (this.#connection.state === 'open') this.#onOpen();
  }

  /** The position of the oldest message that is not acknowledged, or `next` if all are. The first message has 1. */
  get first(): number {
    return this.#log.first;
  }

  /** The position of the next message. */
  get next(): number {
    return this.#log.next;
  }

  /** Counts, as a plain object. */
  get stats(): DeliveryStats {
    const { first, next, bytes } = this.#log;
    return {
      state: this.#state,
      taken: this.#taken,
      replayed: this.#spooler?.replayed ?? 0,
      acknowledged: this.#acknowledged,
      unacknowledged: { messages: next - first, bytes },
      unspooled: this.#spooler === undefined ? 0 : next - this.#spooler.end,
      refused: this.#refused,
      sent: this.#sent,
      resent: this.#resent,
    };
  }

  /**
   * Takes a message, which gets the position `next`, and sends it now, or as soon as a session has room. It is copied, so
   * the caller may use its bytes again.
   *
   * @returns false when the writer should wait for `drain`: there is no room for another message as large as the largest
   *   so far
   * @throws ConnectionError `ERR_QUEUE_FULL` when there is no room for it, `ERR_INVALID_CHUNK`, `ERR_CLOSED` after
   *   `close()`: the message is not taken. `ERR_FAILED` when the window has stopped; see `error`.
   */
  send(message: Message): boolean {
    const size = fromCaller([this, 'send'], () => this.#check(message));
    this.#log.add(message, size);
    this.#taken += 1;
    this.#largest = Math.max(this.#largest, size);
    if (this.#spooler === undefined) this.#feed?.write();
    else this.#spooler.start();
    if (this.#state === 'failed') throw this.#failure();
    if (this.#hasRoomFor(this.#largest)) return true;
    this.#wantsRoom = true;
    return false;
  }

  /**
   * The peer has the message at `position` and all before it. A position before `first` changes nothing.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION` for a position that no session was given: nothing is changed. It came
   *   from the peer, so `connection.fail(error)` is the answer.
   */
  acknowledge(position: number): void {
    this.#remove('acknowledge', position);
  }

  /**
   * The same for what a peer says at the beginning of a session about the messages it has: also from within a `handshake`.
   * They are then not sent again.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION` for a position that no session was given: the peer has messages of
   *   another sender under the same name, and would ignore those of this one. Thrown on, it fails the handshake.
   */
  forget(position: number): void {
    this.#remove('forget', position);
  }

  /**
   * Resolves when the spool has kept all messages that were taken so far, at once where there is none. It rejects when the
   * window has stopped before that.
   */
  flush(): Promise<void> {
    return this.#spooler?.flush() ?? Promise.resolve();
  }

  /** Stops, and removes its listeners. The connection goes on. Returns what was not acknowledged, in order. */
  close(): Unacknowledged<Message>[] {
    if (this.#state === 'closed') return [];
    this.#state = 'closed';
    this.#feed = undefined;
    this.#spooler?.close();
    this.#connection.off('open', this.#onOpen).off('reset', this.#onReset).off('drain', this.#onRoom);
    const { first, next } = this.#log;
    const positions = Array.from({ length: next - first }, (_, index) => first + index);
    const kept = positions.filter((position) => !this.#source.isLost(position));
    return kept.map((position) => ({ position, message: this.#messageAt(position) }));
  }

  async #replay(): Promise<void> {
    if (this.#spooler === undefined) return;
    try {
      await this.#spooler.replay();
    } catch (error) {
      this.#stop(this.#spoolError(error));
      throw this.#failure();
    }
    // An earlier process may have sent them.
    this.#sentEnd = this.#log.next;
    if (this.#state !== 'starting') return;
    this.#state = 'ready';
    this.#feed?.write();
    // What a listener throws must not reject `ready`.
    process.nextTick(() => this.#reportRoom());
  }

  readonly #onKept = (): void => this.#feed?.write();

  readonly #spoolError = (cause: unknown): ConnectionError =>
    this.#errorOf('ERR_FAILED', `cannot use its spool${because(cause)}`, cause);

  // Events of the connection.

  readonly #onOpen = (): void => {
    const feed = new Feed(this.#connection, this.#source);
    this.#feed = feed;
    // Other listeners are still to be called, and what they write goes first.
    queueMicrotask(() => {
      if (this.#feed === feed) feed.begin();
    });
  };

  readonly #onReset = (): void => {
    this.#feed = undefined;
  };

  readonly #onRoom = (): void => this.#feed?.onRoom();

  readonly #source: FeedSource = {
    first: () => this.#log.first,
    end: () => (this.#state === 'ready' ? (this.#spooler?.end ?? this.#log.next) : 0),
    isLost: (position) => this.#spooler?.lost.has(position) === true,
    encode: (position) => this.#encode(position),
    onSent: (position) => {
      this.#sent += 1;
      this.#isResent = position < this.#sentEnd;
      if (this.#isResent) this.#resent += 1;
      else this.#sentEnd = position + 1;
    },
    onRefused: () => {
      this.#sent -= 1;
      if (this.#isResent) this.#resent -= 1;
      else this.#sentEnd -= 1;
    },
    onBadChunk: (position, error) => this.#stop(this.#encodingError(position, error)),
  };

  #encode(position: number): WriteChunk {
    try {
      return this.#options.encode(position, this.#messageAt(position));
    } catch (error) {
      this.#stop(this.#encodingError(position, error));
      return '';
    }
  }

  #messageAt(position: number): Message {
    // `as`: it is what `send` has taken, as a Buffer where that was bytes.
    return this.#log.at(position) as Message;
  }

  /** Checks that a message can be taken. Returns its size. */
  #check(message: DeliveryMessage): number {
    const size = sizeOf(message);
    if (this.#state === 'closed') throw this.#errorOf('ERR_CLOSED', 'is closed');
    if (this.#state === 'failed') throw this.#failure();
    if (this.#state === 'ready' && this.#hasRoomFor(size)) return size;
    this.#refused += 1;
    if (size <= this.#options.maxBytes) this.#wantsRoom = true;
    const { maxBytes } = this.#options;
    if (this.#state === 'starting') throw this.#errorOf('ERR_QUEUE_FULL', 'waits for its spool: see `ready`');
    const why =
      size > maxBytes
        ? `never takes ${size} bytes: its \`maxBytes\` is ${maxBytes}`
        : `has no room for ${size} bytes: ${this.#log.bytes} of ${maxBytes} are not acknowledged`;
    throw this.#errorOf('ERR_QUEUE_FULL', why);
  }

  /** An empty message counts as one byte. */
  #hasRoomFor(size: number): boolean {
    const { bytes, first, next } = this.#log;
    return Math.max(bytes + size, next - first + 1) <= this.#options.maxBytes;
  }

  #remove(method: 'acknowledge' | 'forget', position: number): void {
    const { first } = this.#log;
    fromCaller([this, method], () => {
      if (Number.isSafeInteger(position) && position < this.#sentEnd) return;
      const last = this.#sentEnd - 1;
      throw invalidOption('`position`', `an integer ≤ ${last}, the last position that a session was given`, position);
    });
    if (position < first || this.#state === 'closed') return;
    const last = this.#spooler?.passLost(position) ?? position;
    this.#log.removeTo(last);
    this.#acknowledged += last + 1 - first;
    this.#spooler?.retry();
    try {
      this.emit('acknowledged', position);
    } finally {
      this.#reportRoom();
    }
  }

  #reportRoom(): void {
    if (!this.#wantsRoom || this.#state !== 'ready' || !this.#hasRoomFor(this.#largest)) return;
    this.#wantsRoom = false;
    this.emit('drain');
  }

  /** It takes and sends no more messages. */
  #stop(error: Error): void {
    if (this.#state === 'failed') return;
    if (this.#state !== 'closed') this.#state = 'failed';
    this.#error = error;
    this.#spooler?.stop(error);
    this.#report(error);
  }

  /** In a tick of its own: a listener that throws interrupts nothing, and is not taken for a failing spool. */
  readonly #report = (error: Error): void =>
    process.nextTick(() => {
      if (this.listenerCount('error') > 0) this.emit('error', error);
      else process.emitWarning(error);
    });

  #encodingError(position: number, cause: unknown): ConnectionError {
    return this.#errorOf('ERR_FAILED', `cannot send message ${position}${because(cause)}`, cause);
  }

  #failure(): ConnectionError {
    return this.#errorOf('ERR_FAILED', `has stopped${because(this.#error)}`, this.#error);
  }

  #errorOf(code: ErrorCode, predicate: string, cause?: unknown): ConnectionError {
    const { tag } = this.#connection;
    return new ConnectionError(code, `The window to ${tag} ${predicate}`, { cause, tag });
  }
}
