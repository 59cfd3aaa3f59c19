import { Duplex } from 'node:stream';

import { ConnectionError, because } from '../errors';
import type { CloseInfo, ResetInfo } from '../events/events';
import { checkRecord, integer, oneOf } from '../options/checks';
import { ignore } from '../socket/transport';
import { type Bytes, toBytes } from '../writes/chunk';
import type { WriteCallback } from '../writes/write';
import type { ReadControl } from './read-control';

/** Options of `toDuplex()`. */
export interface DuplexOptions {
  /**
   * What happens to the stream when a session is lost. `'continue'`: nothing; writes that may be lost are counted in
   * `reset.uncertain`, and their callbacks receive the error. `'end'`: the stream and the connection end. `'destroy'`:
   * both are destroyed, the stream with `ERR_SESSION_ENDED`. Default: `'continue'`.
   */
  readonly onReset?: 'continue' | 'end' | 'destroy' | undefined;
  /** Bytes, or messages where there is a `decoder`, buffered for the reader. Default: that of Node's streams. */
  readonly readableHighWaterMark?: number | undefined;
  /** Bytes buffered behind the write in progress. Default: that of Node's streams. */
  readonly writableHighWaterMark?: number | undefined;
}

type Done = (error?: Error | null) => void;

/** A connection as one stream over all its sessions. When the stream ends the connection ends, and vice versa. */
export class ConnectionDuplex extends Duplex {
  readonly #control: ReadControl;
  /** The results of writes whose callbacks Node has still to call, in order. */
  readonly #fates: (Error | undefined)[] = [];
  /** Repeats the write that the queue had no room for. */
  #retry: (() => void) | undefined;
  /** Counts the `drain` and `close` events. */
  #drains = 0;
  /** Removes the listeners from the connection; undefined after that. */
  #detach: (() => void) | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(control: ReadControl, options: DuplexOptions) {
    const { onReset = 'continue', ...marks } = checkRecord<DuplexOptions>('toDuplex', options, {
      onReset: oneOf('continue', 'end', 'destroy'),
      readableHighWaterMark: integer(1),
      writableHighWaterMark: integer(1),
    });
    const allowHalfOpen = control.isHalfOpen && onReset !== 'continue';
    super({ ...marks, readableObjectMode: control.isDecoded, allowHalfOpen });
    this.#control = control;
    this.#detach = this.#attach(onReset);
    const { closeInfo } = control.source;
    if (closeInfo !== undefined) this.#onClose(closeInfo);
  }

  /**
   * As of any stream, but a write that was dropped from the queue, or is uncertain, passes its error to its callback
   * without destroying the stream.
   *
   * @throws ConnectionError `ERR_INVALID_CHUNK` for a string that is not what its encoding says
   */
  override write(chunk: unknown, encoding?: BufferEncoding | Done, callback?: Done): boolean {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    const tell: Done = (error) => {
      const fate = error ?? this.#fates.shift();
      callback?.(fate);
    };
    return super.write(encoded(chunk, encoding), tell);
  }

  override end(chunk?: unknown, encoding?: BufferEncoding | (() => void), callback?: () => void): this {
    if (typeof encoding === 'function') return super.end(chunk, encoding);
    return super.end(encoded(chunk, encoding), callback);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, 1, done);
  }

  override _writev(writes: readonly { readonly chunk: Buffer }[], done: Done): void {
    const chunks = writes.map(({ chunk }) => chunk);
    this.#send(toBytes(chunks, undefined), writes.length, done);
  }

  override _final(done: Done): void {
    if (this.#detach === undefined) return done();
    void this.#control.source.disconnect().then(() => done());
  }

  override _read(): void {
    this.#control.resume(this);
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#detach !== undefined) {
      this.#detach();
      this.#control.source.destroy();
    }
    done(error);
  }

  #attach(onReset: NonNullable<DuplexOptions['onReset']>): () => void {
    const { connection, source } = this.#control;
    const onLost = (info: ResetInfo) => {
      if (onReset === 'end') void source.disconnect();
      else if (info.willRetry) this.destroy(this.#sessionEndedError(info));
    };
    const onDrain = () => this.#onDrain();
    const onClose = (info: CloseInfo) => this.#onClose(info);
    const removeReceived = this.#control.onReceived((received) => {
      if (!this.push(received)) this.#control.pause(this);
    });
    // Over several sessions, the end of one is not the stream's.
    const removePeerEnd = onReset === 'continue' ? ignore : this.#control.onPeerEnd(() => this.push(null));
    connection.on('drain', onDrain).on('close', onClose);
    if (onReset !== 'continue') connection.on('reset', onLost);
    return () => {
      this.#detach = undefined;
      removeReceived();
      removePeerEnd();
      connection.off('drain', onDrain).off('close', onClose).off('reset', onLost);
      this.#control.resume(this);
    };
  }

  #onClose({ reason, error }: CloseInfo): void {
    this.#detach?.();
    if (error !== undefined || reason === 'destroyed') this.destroy(error);
    else this.push(null);
    // A write that waits for room is refused now.
    this.#onDrain();
  }

  #onDrain(): void {
    const retry = this.#retry;
    this.#drains += 1;
    this.#retry = undefined;
    retry?.();
  }

  /** Hands over one `_write` or `_writev` of the stream, which Node calls one at a time. */
  #send(bytes: Bytes, writes: number, done: Done): void {
    const { outbox } = this.#control.source;
    const drains = this.#drains;
    const { refusals } = outbox;
    const onSettled: WriteCallback = (error) => {
      if (error?.code === 'ERR_QUEUE_FULL' && isRefused) {
        const retry = () => this.#send(bytes, writes, done);
        // There may have been room between the refusal and this call.
        if (this.#drains !== drains) return retry();
        this.#retry = retry;
        return;
      }
      if (error && !isSurvived(error)) return done(error);
      for (let write = 0; write < writes; write++) this.#fates.push(error ?? undefined);
      done();
    };
    outbox.write(bytes, onSettled);
    // What was accepted, and dropped later for want of room, is not written again.
    const isRefused = outbox.refusals > refusals;
  }

  #sessionEndedError({ generation, reason, error }: ResetInfo): ConnectionError {
    const { tag } = this.#control.source;
    const message = `Session ${generation} with ${tag} has ended (${reason})${because(error)}`;
    return new ConnectionError('ERR_SESSION_ENDED', message, { cause: error, tag });
  }
}

/** A string as bytes, where an encoding is named: Node would leave out what does not belong to it. */
function encoded(chunk: unknown, encoding: BufferEncoding | undefined): unknown {
  return typeof chunk === 'string' && typeof encoding === 'string' ? toBytes(chunk, encoding) : chunk;
}

/** Whether the stream goes on after a write has failed so. */
function isSurvived({ code }: ConnectionError): boolean {
  switch (code) {
    case 'ERR_DELIVERY_UNCERTAIN':
    case 'ERR_EXPIRED':
    case 'ERR_CLEARED':
    case 'ERR_QUEUE_FULL':
      return true;
    default:
      return false;
  }
}
