import { ConnectionError, because } from '../errors';
import type { CloseInfo, OpenInfo, ResetInfo } from '../events/events';
import { onAbort } from '../events/on-abort';
import { abortSignal, checkRecord, integer } from '../options/checks';
import type { WriteChunk, WriteOptions } from '../options/write-options';
import { toWrite } from '../writes/chunk';
import type { WriteCallback } from '../writes/write';
import type { ReadControl, ReadSource } from './read-control';
import { ReceiveQueue } from './receive-queue';

/** Options of `sessions()`. */
export interface SessionsOptions {
  /**
   * Ends the loop over the sessions, and a loop over a session within it, with `ERR_ABORTED`. The connection goes on.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Bytes, or messages where there is a `decoder`, that a session queues before reading stops; the chunk that reaches
   * this is still queued. Default: that of Node's streams, 65,536 bytes (16,384 in Node 20) or 16 messages.
   */
  readonly highWaterMark?: number | undefined;
}

/** What a session yields: messages of the connection's `Message` type where that is named, otherwise buffers. */
export type SessionChunk<Message> = unknown extends Message ? Buffer : Message;

/**
 * One session of a connection, as an async iterable of all that it receives. After a `break`, another loop over the
 * same session goes on with the next chunk.
 */
export interface ConnectionSession<Chunk = Buffer> extends AsyncIterable<Chunk, undefined> {
  /** The payload of its `open` event. */
  readonly info: OpenInfo;
  /** Number of the session, the same as `info.generation`. */
  readonly generation: number;
  /**
   * Resolves with the payload of its `reset` event when the session is over, and never rejects. While received chunks
   * are not read, the peer's end is not read either: the session may then never be over.
   */
  readonly ended: Promise<ResetInfo>;
  /**
   * Writes in this session or not at all. After the session has ended the write is refused with `ERR_SESSION_ENDED`,
   * which the callback receives, or a `drop` event where there is no callback. Otherwise as the connection's `write()`.
   *
   * @returns false when the writer should wait for the connection's `drain`, or when the write was refused
   * @throws ConnectionError `ERR_INVALID_CHUNK`, `ERR_INVALID_OPTION`
   */
  write(chunk: WriteChunk, encoding?: BufferEncoding | WriteOptions, callback?: WriteCallback): boolean;
  /** The same, without an encoding. */
  write(chunk: WriteChunk, callback?: WriteCallback): boolean;
}

class IterableSession<Chunk> implements ConnectionSession<Chunk> {
  readonly info: OpenInfo;
  readonly received: ReceiveQueue<Chunk>;
  readonly #control: ReadControl;
  /** The session in the machine; undefined when an earlier `open` listener has ended it. */
  readonly #session: ReadSource['session'];
  #ended: Promise<ResetInfo> | undefined;

  constructor(info: OpenInfo, control: ReadControl, highWaterMark: number) {
    this.info = info;
    this.received = new ReceiveQueue(control, highWaterMark);
    this.#control = control;
    const { session } = control.source;
    this.#session = session?.info === info ? session : undefined;
    // Its `reset` is delivered next, and there is no session to read it from later.
    if (this.#session === undefined) this.#ended = this.#nextReset();
  }

  get generation(): number {
    return this.info.generation;
  }

  /** Adds its `reset` listener at the first call, so that there is none where `ended` is not used. */
  get ended(): Promise<ResetInfo> {
    const { resetInfo } = this.#session ?? {};
    return (this.#ended ??= resetInfo === undefined ? this.#nextReset() : Promise.resolve(resetInfo));
  }

  write(
    chunk: WriteChunk,
    encoding?: BufferEncoding | WriteOptions | WriteCallback,
    callback?: WriteCallback,
  ): boolean {
    const write = toWrite(chunk, encoding, callback);
    const { outbox, session, tag } = this.#control.source;
    // A write that would have to wait for the next session is refused.
    if (session?.info === this.info && outbox.takesNow(write.bytes)) {
      return outbox.write(write.bytes, write.callback, write.options);
    }
    const error = new ConnectionError('ERR_SESSION_ENDED', `Session ${this.generation} with ${tag} has ended`, { tag });
    outbox.refuse(write.bytes, write.callback, error);
    return false;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Chunk, undefined> {
    return this.received.iterate();
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

/** A call of `next()` that waits for a session. */
interface PendingNext<Chunk> {
  readonly resolve: (result: IteratorResult<ConnectionSession<Chunk>, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Iterates over the sessions of a connection. While the loop is busy with one, reading of the next is paused; a session
 * that is lost before the loop asks for it is skipped.
 */
export class Sessions<Chunk> implements AsyncIterableIterator<ConnectionSession<Chunk>, undefined> {
  readonly #control: ReadControl;
  readonly #highWaterMark: number;
  readonly #removeListeners: () => void;
  /** The open session. */
  #current: IterableSession<Chunk> | undefined;
  /** The open session, until `next()` returns it. */
  #upcoming: IterableSession<Chunk> | undefined;
  /** The session that `next()` returned last, until the loop asks for another. */
  #returned: IterableSession<Chunk> | undefined;
  #pendingNexts: PendingNext<Chunk>[] = [];
  /** Set when no more sessions will come. One call of `next()` is rejected with the error, if there is one. */
  #end: { readonly error?: Error | undefined } | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(control: ReadControl, options: SessionsOptions) {
    const { signal, highWaterMark = control.defaultHighWaterMark } = checkRecord<SessionsOptions>('sessions', options, {
      signal: abortSignal,
      highWaterMark: integer(1),
    });
    this.#control = control;
    this.#highWaterMark = highWaterMark;
    this.#removeListeners = this.#addListeners(signal);
    const { closeInfo, session } = control.source;
    if (signal?.aborted === true) this.#abort(signal);
    else if (closeInfo !== undefined) this.#finish(closeInfo.error);
    else if (session?.info !== undefined) this.#onOpen(session.info);
  }

  next(): Promise<IteratorResult<ConnectionSession<Chunk>, undefined>> {
    this.#discardReturned();
    const session = this.#upcoming;
    if (session !== undefined) {
      this.#upcoming = undefined;
      this.#returned = session;
      this.#control.resume(this);
      return Promise.resolve({ value: session, done: false });
    }
    return new Promise((resolve, reject) => {
      this.#pendingNexts.push({ resolve, reject });
      if (this.#end !== undefined) this.#settlePendingNexts();
    });
  }

  return(): Promise<IteratorResult<ConnectionSession<Chunk>, undefined>> {
    this.#current?.received.fail(this.#sessionEndedError('The loop over the sessions has ended'));
    this.#finish(undefined);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #addListeners(signal: AbortSignal | undefined): () => void {
    const { connection } = this.#control;
    const onOpen = (info: OpenInfo) => this.#onOpen(info);
    const onReset = () => this.#onReset();
    const onClose = ({ error }: CloseInfo) => this.#finish(error);
    connection.on('open', onOpen).on('reset', onReset).on('close', onClose);
    // `as`: `Chunk` is the caller's claim about what the decoder puts out; without a decoder it is Buffer.
    const removeReceived = this.#control.onReceived((received) => this.#current?.received.push(received as Chunk));
    const removePeerEnd = this.#control.onPeerEnd(() => this.#current?.received.end());
    const removeAbort = signal && onAbort(signal, () => this.#abort(signal));
    return () => {
      connection.off('open', onOpen).off('reset', onReset).off('close', onClose);
      removeReceived();
      removePeerEnd();
      removeAbort?.();
    };
  }

  #onOpen(info: OpenInfo): void {
    const session = new IterableSession<Chunk>(info, this.#control, this.#highWaterMark);
    this.#current = session;
    if (this.#control.source.session?.isReadToEnd === true) session.received.end();
    const pending = this.#pendingNexts.shift();
    if (pending === undefined) {
      this.#upcoming = session;
      this.#control.pause(this);
    } else {
      this.#returned = session;
      pending.resolve({ value: session, done: false });
    }
  }

  #onReset(): void {
    this.#current?.received.end();
    this.#current = undefined;
    this.#upcoming = undefined;
    this.#control.resume(this);
  }

  #abort(signal: AbortSignal): void {
    const { tag } = this.#control.source;
    // `unknown`: a reason is declared as anything.
    const cause: unknown = signal.reason;
    const message = `The loop over the sessions with ${tag} was aborted${because(cause)}`;
    const error = new ConnectionError('ERR_ABORTED', message, { cause, tag });
    this.#current?.received.fail(error);
    this.#finish(error);
  }

  #finish(error: Error | undefined): void {
    this.#onReset();
    this.#removeListeners();
    this.#end = { error };
    this.#settlePendingNexts();
  }

  /** Unless a loop reads it: its chunks would keep the connection paused. */
  #discardReturned(): void {
    const session = this.#returned;
    this.#returned = undefined;
    if (session?.received.isRead !== false) return;
    const message = `Session ${session.generation} was discarded when the loop asked for the next one`;
    session.received.fail(this.#sessionEndedError(message));
  }

  #sessionEndedError(message: string): ConnectionError {
    return new ConnectionError('ERR_SESSION_ENDED', message, { tag: this.#control.source.tag });
  }

  #settlePendingNexts(): void {
    for (const { resolve, reject } of this.#pendingNexts.splice(0)) {
      const error = this.#end?.error;
      this.#end = {};
      if (error === undefined) resolve({ value: undefined, done: true });
      else reject(error);
    }
  }
}
