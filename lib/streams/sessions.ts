import { onAbort } from '../events/on-abort';
import { abortSignal, checkRecord, integer } from '../options/checks';
import { ConnectionError } from '../errors';
import type { CloseInfo, OpenInfo, ResetInfo } from '../events/events';
import { ReceiveQueue } from './receive-queue';
import type { ReadControl, ReadSource } from './read-control';
import { type WriteCallback, checkCallback, toBytes } from '../writes/write';

/** Options of `sessions()`. */
export interface SessionsOptions {
  /** Ends the loop, and the one over a session within it, with `ERR_ABORTED`; the connection goes on. */
  readonly signal?: AbortSignal;
  /**
   * Bytes, or messages where there is a `decoder`, that may wait for the loop before reading stops; the chunk that
   * reaches it is still kept. Default: that of Node's streams, 65,536 bytes (16,384 in Node 20) or 16 messages.
   */
  readonly highWaterMark?: number;
}

/** What a session yields: what the decoder puts out, where the connection's `Message` names it, else bytes. */
export type SessionChunk<Message> = unknown extends Message ? Buffer : Message;

/**
 * One session of a connection, to be looped over from its first byte to its end. A loop that is left by `break` may be
 * followed by another, which goes on with the next chunk.
 */
export interface ConnectionSession<Chunk = Buffer> extends AsyncIterable<Chunk, undefined> {
  /** What its `open` said. */
  readonly info: OpenInfo;
  /** Number of the session, the same as `info.generation`. */
  readonly generation: number;
  /**
   * How it ended: resolves when it is over, and never rejects. It may never be over while what was received waits for a
   * loop, for then the peer's end is not read either.
   */
  readonly ended: Promise<ResetInfo>;
  /**
   * Sends in this session or not at all. Once it has ended, the callback is told `ERR_SESSION_ENDED`; without a callback
   * there is a `drop`. Otherwise as the `write()` of the connection.
   *
   * @returns false when the writer should wait for the connection's `drain`, or when the write was refused
   * @throws ConnectionError `ERR_INVALID_CHUNK`
   */
  write(chunk: string | Uint8Array, encoding?: BufferEncoding, callback?: WriteCallback): boolean;
  /** The same, with the encoding left out. */
  write(chunk: string | Uint8Array, callback?: WriteCallback): boolean;
}

class IterableSession<Chunk> implements ConnectionSession<Chunk> {
  readonly info: OpenInfo;
  readonly received: ReceiveQueue<Chunk>;
  readonly #control: ReadControl;
  /** The session that this is about; undefined if it was lost before the loop got its `open`. */
  readonly #session: ReadSource['session'];
  #ended: Promise<ResetInfo> | undefined;

  constructor(info: OpenInfo, control: ReadControl, highWaterMark: number) {
    this.info = info;
    this.received = new ReceiveQueue(control, highWaterMark);
    this.#control = control;
    const { session } = control.source;
    this.#session = session?.info === info ? session : undefined;
    // Its `reset` is still to be delivered, and cannot be asked for later.
    if (this.#session === undefined) this.#ended = this.#nextReset();
  }

  get generation(): number {
    return this.info.generation;
  }

  /** Listens for `reset` from the first call on, so that a session whose end is not asked for costs no listener. */
  get ended(): Promise<ResetInfo> {
    const { resetInfo } = this.#session ?? {};
    return (this.#ended ??= resetInfo === undefined ? this.#nextReset() : Promise.resolve(resetInfo));
  }

  write(chunk: string | Uint8Array, encoding?: BufferEncoding | WriteCallback, callback?: WriteCallback): boolean {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    checkCallback(callback);
    return this.#control.source.writeTo(this.generation, toBytes(chunk, encoding), callback);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Chunk, undefined> {
    return this.received.open();
  }

  #nextReset(): Promise<ResetInfo> {
    const { connection } = this.#control;
    return new Promise((resolve) => {
      const onReset = (reset: ResetInfo) => {
        if (reset.generation !== this.generation) return;
        connection.off('reset', onReset);
        resolve(reset);
      };
      connection.on('reset', onReset);
    });
  }
}

interface Waiter<Chunk> {
  readonly resolve: (result: IteratorResult<ConnectionSession<Chunk>, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The sessions of a connection, one after another. One that begins while the loop is still at work on the last waits,
 * unread, and is left out if it is lost meanwhile.
 */
export class Sessions<Chunk> implements AsyncIterableIterator<ConnectionSession<Chunk>, undefined> {
  readonly #control: ReadControl;
  readonly #highWaterMark: number;
  readonly #stopListening: () => void;
  /** The one that is open. */
  #current: IterableSession<Chunk> | undefined;
  /** The current one, while the loop has not got it yet. */
  #pending: IterableSession<Chunk> | undefined;
  /** The one that the loop got last. */
  #given: IterableSession<Chunk> | undefined;
  #waiters: Waiter<Chunk>[] = [];
  /** Set when no more sessions will come; an error is told once. */
  #end: { readonly error?: Error | undefined } | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(control: ReadControl, options: SessionsOptions) {
    const { signal, highWaterMark = control.highWaterMark } = checkRecord<SessionsOptions>('sessions', options, {
      signal: abortSignal,
      highWaterMark: integer(1),
    });
    this.#control = control;
    this.#highWaterMark = highWaterMark;
    this.#stopListening = this.#listen(signal);
    const { closeInfo, session } = control.source;
    if (signal?.aborted === true) this.#abort(signal);
    else if (closeInfo !== undefined) this.#finish(closeInfo.error);
    else if (session?.info !== undefined) this.#onOpen(session.info);
  }

  /** Asking for the next session lets go of the last one, unless a loop over it is under way. */
  next(): Promise<IteratorResult<ConnectionSession<Chunk>, undefined>> {
    this.#letGo();
    const session = this.#pending;
    if (session !== undefined) {
      this.#pending = undefined;
      this.#given = session;
      this.#control.resume(this);
      return Promise.resolve({ value: session, done: false });
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      if (this.#end !== undefined) this.#dismiss();
    });
  }

  return(): Promise<IteratorResult<ConnectionSession<Chunk>, undefined>> {
    this.#leave(this.#ended('The loop over the sessions was left'));
    this.#end = {};
    this.#dismiss();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #listen(signal: AbortSignal | undefined): () => void {
    const { connection } = this.#control;
    const onOpen = (info: OpenInfo) => this.#onOpen(info);
    const onReset = () => this.#onReset();
    const onClose = ({ error }: CloseInfo) => this.#finish(error);
    connection.on('open', onOpen).on('reset', onReset).on('close', onClose);
    // `as`: what the connection receives is what its type says, or the caller does.
    const stopReceiving = this.#control.receive((received) => this.#current?.received.add(received as Chunk));
    const leaveSignal = signal && onAbort(signal, () => this.#abort(signal));
    return () => {
      connection.off('open', onOpen).off('reset', onReset).off('close', onClose);
      stopReceiving();
      leaveSignal?.();
    };
  }

  #onOpen(info: OpenInfo): void {
    const session = new IterableSession<Chunk>(info, this.#control, this.#highWaterMark);
    this.#current = session;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#pending = session;
      this.#control.stop(this);
    } else {
      this.#given = session;
      waiter.resolve({ value: session, done: false });
    }
  }

  #onReset(): void {
    this.#current?.received.end();
    this.#current = undefined;
    this.#pending = undefined;
    this.#control.resume(this);
  }

  #finish(error: Error | undefined): void {
    this.#onReset();
    this.#stopListening();
    this.#end = { error };
    this.#dismiss();
  }

  #abort(signal: AbortSignal): void {
    const { tag } = this.#control.source;
    const message = `The loop over the sessions with ${tag} was aborted`;
    const error = new ConnectionError('ERR_ABORTED', message, { cause: signal.reason, tag });
    this.#leave(error);
    this.#finish(error);
  }

  /** Wants nothing more of the connection. */
  #leave(error: Error): void {
    this.#current?.received.fail(error);
    this.#onReset();
    this.#stopListening();
  }

  #letGo(): void {
    const given = this.#given;
    this.#given = undefined;
    if (given?.received.isRead === false) {
      given.received.fail(this.#ended(`Session ${given.generation} was let go when the loop asked for the next`));
    }
  }

  #ended(message: string): ConnectionError {
    return new ConnectionError('ERR_SESSION_ENDED', message, { tag: this.#control.source.tag });
  }

  /** Nobody waits any more: the first is told the error, if there is one. */
  #dismiss(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve, reject } of waiters) {
      const error = this.#end?.error;
      this.#end = {};
      if (error === undefined) resolve({ value: undefined, done: true });
      else reject(error);
    }
  }
}
