import { EventEmitter } from 'node:events';

import type { CloseInfo, OpenInfo, ReconnectingConnection, ResetInfo } from 'reconnecting-connection';
import type { SessionChunk, WriteChunk } from 'reconnecting-connection';

import { ConnectionError, describe, fromCaller, ignoreRejection, invalidOption } from '../errors';
import { checkRecord } from '../options/checks';
import { Heartbeat } from './heartbeat';
import type { RequestHeartbeatOptions, RequestKey, RequestOptions, RequestsEvents, RequestsOptions } from './options';
import {
  type Settings,
  checkConnection,
  heartbeatChecks,
  isChunk,
  isKey,
  requestChecks,
  resolveOptions,
} from './options';
import { Pending } from './pending';
import { RequestQueue } from './queue';

/** The connections that have Requests: two would each take all answers. */
const taken = new WeakSet<object>();

/**
 * Sends requests over a connection and pairs them with their answers, which come in order or with a key. By default it
 * sends one at a time.
 *
 * Each `message` of the connection (or chunk of `data` if it has no `decoder`) is either an answer or `unasked`. So send
 * everything that the peer answers through here, log-ins and pings too.
 *
 * @typeParam Message - The output of the connection's `decoder`.
 * @typeParam Command - The argument of `request()`: text or bytes, or what `send` takes.
 */
export class Requests<Message = unknown, Command = WriteChunk> extends EventEmitter<RequestsEvents<Message>> {
  readonly #connection: ReconnectingConnection<Message>;
  readonly #settings: Settings<Message, Command>;
  readonly #queue: RequestQueue;
  #heartbeat: Heartbeat | undefined;
  #isClosed = false;

  /**
   * @param connection - Of a pool, one member.
   * @throws ConnectionError `ERR_INVALID_OPTION`, also for a connection that has Requests already
   */
  constructor(connection: ReconnectingConnection<Message>, options: RequestsOptions<Message, Command>) {
    super();
    this.#settings = fromCaller(Requests, () => {
      checkConnection(connection);
      if (taken.has(connection)) throw invalidOption('`connection`', 'one that has no Requests yet', connection);
      return resolveOptions(options);
    });
    taken.add(connection);
    this.#connection = connection;
    this.#queue = new RequestQueue(connection, this.#settings);
    connection.on('open', this.#onOpen).on('reset', this.#onReset).on('close', this.#onClose);
    connection.on('message', this.#onMessage).on('data', this.#onData).on('drain', this.#onDrain);
  }

  /** Number of requests that were not sent yet. */
  get waiting(): number {
    return this.#queue.waiting;
  }

  /** Number of requests that were sent and whose answers may still come. */
  get unanswered(): number {
    return this.#queue.exchanges.size;
  }

  /**
   * Sends a request when its turn has come; without a session it waits for the next. One that is made in a listener of
   * `open` belongs to that session: it goes ahead of those that wait, and is not sent in a later one.
   *
   * @returns a promise of the answer. `ERR_EXPIRED` (not sent within `timeout`), `ERR_SESSION_ENDED` (not sent in the
   *   session that it belongs to), and the errors of a write and of `close` mean that the peer does not have the request.
   *   `ERR_DELIVERY_UNCERTAIN` (no answer within `timeout`, or before the session ended) means that it may have it. With
   *   `ERR_ABORTED` (by `signal`) and `ERR_CLOSED` (by `close()`) the message says which it is.
   * @throws ConnectionError `ERR_INVALID_OPTION`, `ERR_INVALID_CHUNK`
   */
  request(command: Command, options: RequestOptions = {}): Promise<SessionChunk<Message>> {
    const given = fromCaller([this, 'request'], () => {
      const checked = checkRecord<RequestOptions>('', options, requestChecks);
      this.#check(command, checked.key);
      return checked;
    });
    const pending = new Pending(command, given.key, given.timeout ?? this.#settings.timeout);
    const { state } = this.#connection;
    if (this.#isClosed || state === 'closing' || state === 'closed') pending.reject(this.#closedError());
    else this.#queue.add(pending, given.signal);
    // `as`: it resolves with a message.
    return pending.promise as Promise<SessionChunk<Message>>;
  }

  /**
   * Sends `command` as the next request whenever no answer has come for `interval` milliseconds. If it is not answered
   * within `timeout` after it was sent, the session fails with `ERR_HEARTBEAT`. A later call replaces this one.
   *
   * @returns a function that stops it
   * @throws ConnectionError `ERR_INVALID_OPTION`, `ERR_INVALID_CHUNK`
   */
  heartbeat(command: Command, options: RequestHeartbeatOptions): () => void {
    const given = fromCaller([this, 'heartbeat'], () => {
      const checked = checkRecord<RequestHeartbeatOptions>('', options, heartbeatChecks);
      heartbeatChecks.interval(checked.interval, 'option `interval`');
      this.#check(command, checked.key);
      return checked;
    });
    const { interval, timeout = interval, key } = given;
    this.#heartbeat?.stop();
    const heartbeat = new Heartbeat(interval, () => this.#queue.ping(command, key, timeout));
    this.#heartbeat = heartbeat;
    if (this.#queue.isReady) heartbeat.start();
    return () => {
      heartbeat.stop();
      if (this.#heartbeat === heartbeat) this.#heartbeat = undefined;
    };
  }

  /** Rejects all requests with `ERR_CLOSED` and removes its listeners. The connection goes on. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const connection = this.#connection;
    connection.off('open', this.#onOpen).off('reset', this.#onReset).off('close', this.#onClose);
    connection.off('message', this.#onMessage).off('data', this.#onData).off('drain', this.#onDrain);
    taken.delete(connection);
    this.#heartbeat?.stop();
    const sent = this.#queue.error('ERR_CLOSED', 'Requests to', 'were closed after this one was sent');
    this.#queue.endSession(sent, this.#closedError());
    this.#queue.rejectWaiting(this.#closedError());
  }

  /** `using`: {@link Requests.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  // Events of the connection.

  readonly #onOpen = ({ generation }: OpenInfo): void => {
    // Other listeners are still to be called, and what they request goes first.
    queueMicrotask(() => {
      const { state, generation: latest } = this.#connection;
      if (state !== 'open' || latest !== generation || this.#isClosed) return;
      this.#heartbeat?.start();
      this.#queue.onReady();
    });
  };

  readonly #onReset = ({ reason, error }: ResetInfo): void => {
    this.#heartbeat?.stop();
    const ended = `ended (${error?.message ?? reason}) before a request was`;
    this.#queue.endSession(
      this.#queue.error('ERR_DELIVERY_UNCERTAIN', 'The session with', `${ended} answered`, error),
      this.#queue.error('ERR_SESSION_ENDED', 'The session with', `${ended} sent`, error),
    );
  };

  readonly #onClose = ({ error }: CloseInfo): void => {
    this.#queue.rejectWaiting(error ?? this.#closedError());
  };

  readonly #onDrain = (): void => this.#queue.onRoom();

  readonly #onMessage = (message: unknown): void => {
    // `as`: it is what a session of this connection yields.
    const answer = message as SessionChunk<Message>;
    const key = this.#keyOf(answer);
    if (key === null || this.#isClosed) return;
    const { pending, late } = this.#queue.exchanges.answer(key);
    if (pending !== undefined) {
      this.#queue.onAnswer();
      this.#heartbeat?.onAnswer();
      if (!late) pending.resolve(answer);
    }
    this.#queue.sendNext();
    if (pending === undefined || late) this.emit('unasked', answer, { key: isKey(key) ? key : undefined, late });
  };

  // A copy: the connection may read into the same memory again.
  readonly #onData = (chunk: Buffer): void => this.#onMessage(Buffer.from(chunk));

  /** Which request a message answers; null if the application cannot tell, which ends the session. */
  #keyOf(message: SessionChunk<Message>): RequestKey | boolean | null {
    const { match } = this.#settings;
    // What a decoder puts out once the peer has ended may be half an answer.
    if (this.#connection.socket?.readableEnded === true) return false;
    if (match === undefined) return true;
    try {
      const key: unknown = match(message) ?? false;
      if (isKey(key) || typeof key === 'boolean') return key;
      ignoreRejection(key);
      throw invalidOption('the result of `match`', 'a key, a boolean or undefined', key);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : describe(cause);
      this.#connection.fail(this.#queue.error('ERR_FAILED', 'A message of', `made \`match\` fail: ${why}`, cause));
      return null;
    }
  }

  #check(command: Command, key: RequestKey | undefined): void {
    const { send, match } = this.#settings;
    if (key !== undefined && match === undefined) throw invalidOption('option `key`', 'left out without `match`', key);
    if (send !== undefined || isChunk(command)) return;
    const expected = 'a string, bytes, or an array of them';
    throw new ConnectionError('ERR_INVALID_CHUNK', `Expected the request to be ${expected}, got ${describe(command)}`);
  }

  #closedError(): ConnectionError {
    return this.#queue.error('ERR_CLOSED', 'The connection to', 'is closed for requests, and this one was not sent');
  }
}
