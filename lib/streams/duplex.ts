import { Duplex } from 'node:stream';

import { checkRecord, integer, oneOf } from '../options/checks';
import { ConnectionError } from '../errors';
import type { CloseInfo, ResetInfo } from '../events/events';
import type { ReadControl } from './read-control';
import type { WriteCallback } from '../writes/write';

/** Options of `toDuplex()`. */
export interface DuplexOptions {
  /**
   * What a lost session does to the stream. `'continue'`: nothing; what was lost is counted in `reset.uncertain` and
   * told to the callbacks of the writes. `'end'`: it ends, and the connection with it. `'destroy'`: it is destroyed with
   * `ERR_SESSION_ENDED`, and the connection with it. Default: `'continue'`.
   */
  readonly onReset?: 'continue' | 'end' | 'destroy';
  /** Bytes, or messages where there is a `decoder`, that are kept for the reader. Default: that of Node's streams. */
  readonly readableHighWaterMark?: number;
  /** Bytes that are kept behind the write under way. Default: that of Node's streams. */
  readonly writableHighWaterMark?: number;
}

type Done = (error?: Error | null) => void;

/** A connection as one stream over all its sessions. Its end is the connection's, and the other way round. */
export class ConnectionDuplex extends Duplex {
  readonly #control: ReadControl;
  /** What became of writes whose callbacks Node has not called yet, in order. */
  readonly #fates: (Error | undefined)[] = [];
  /** Tries the write again for which there was no room. */
  #retry: (() => void) | undefined;
  /** How often there was room again. */
  #drains = 0;
  /** Lets go of the connection; undefined when that is done. */
  #release: (() => void) | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION` */
  constructor(control: ReadControl, options: DuplexOptions) {
    const { onReset = 'continue', ...marks } = checkRecord<DuplexOptions>('toDuplex', options, {
      onReset: oneOf('continue', 'end', 'destroy'),
      readableHighWaterMark: integer(1),
      writableHighWaterMark: integer(1),
    });
    super({ ...marks, readableObjectMode: control.isDecoded, allowHalfOpen: false });
    this.#control = control;
    this.#release = this.#listen(onReset);
    const { closeInfo } = control.source;
    if (closeInfo !== undefined) this.#onClose(closeInfo);
  }

  /** As any stream's, but a write that did not arrive tells its callback without ending the stream. */
  override write(chunk: unknown, encoding?: BufferEncoding | Done, callback?: Done): boolean {
    if (typeof encoding === 'function') return this.write(chunk, undefined, encoding);
    const tell: Done = (error) => {
      const fate = error ?? this.#fates.shift();
      callback?.(fate);
    };
    return encoding === undefined ? super.write(chunk, tell) : super.write(chunk, encoding, tell);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, 1, done);
  }

  override _writev(writes: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#send(Buffer.concat(writes.map(({ chunk }) => chunk)), writes.length, done);
  }

  override _final(done: Done): void {
    if (this.#release === undefined) return done();
    void this.#control.source.disconnect().then(() => done());
  }

  override _read(): void {
    this.#control.resume(this);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#release !== undefined) {
      this.#release();
      this.#control.source.destroy();
    }
    done(error);
  }

  #listen(onReset: NonNullable<DuplexOptions['onReset']>): () => void {
    const { connection, source } = this.#control;
    const onLost = (info: ResetInfo) => {
      if (onReset === 'end') void source.disconnect();
      else if (info.willRetry) this.destroy(this.#lost(info));
    };
    const onDrain = () => this.#onDrain();
    const onClose = (info: CloseInfo) => this.#onClose(info);
    const stopReceiving = this.#control.receive((received) => {
      if (!this.push(received)) this.#control.stop(this);
    });
    connection.on('drain', onDrain).on('close', onClose);
    if (onReset !== 'continue') connection.on('reset', onLost);
    return () => {
      this.#release = undefined;
      stopReceiving();
      connection.off('drain', onDrain).off('close', onClose).off('reset', onLost);
      this.#control.resume(this);
    };
  }

  #onClose({ reason, error }: CloseInfo): void {
    this.#release?.();
    if (error !== undefined || reason === 'destroyed') this.destroy(error);
    else this.push(null);
    this.#onDrain();
  }

  #onDrain(): void {
    const retry = this.#retry;
    this.#drains += 1;
    this.#retry = undefined;
    retry?.();
  }

  /** Node calls for one write at a time, or for all that came behind it together. */
  #send(bytes: Buffer, writes: number, done: Done): void {
    const drains = this.#drains;
    const told: WriteCallback = (error) => {
      const code = error?.code;
      if (code === 'ERR_QUEUE_FULL') {
        const retry = () => this.#send(bytes, writes, done);
        if (this.#drains !== drains) return retry();
        this.#retry = retry;
        return;
      }
      if (error && code !== 'ERR_DELIVERY_UNCERTAIN' && code !== 'ERR_EXPIRED') return done(error);
      for (let write = 0; write < writes; write++) this.#fates.push(error ?? undefined);
      done();
    };
    this.#control.source.outbox.write(bytes, told);
  }

  #lost({ generation, reason, error }: ResetInfo): ConnectionError {
    const { tag } = this.#control.source;
    const message = `Session ${generation} with ${tag} has ended (${reason})`;
    return new ConnectionError('ERR_SESSION_ENDED', message, { cause: error, tag });
  }
}
