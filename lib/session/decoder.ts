import type { Transform } from 'node:stream';

import { toError } from '../errors';
import { type Transport, ignore } from '../socket/transport';

/** Who a decoding reports to. */
export interface DecoderHandler {
  onMessage(message: unknown): void;
  /** The decoder has no more room, or has room again. */
  onRoom(): void;
  /** It has put out everything up to the peer's end. */
  onDecoded(): void;
  onError(error: Error): void;
}

/**
 * Runs what a session receives through its decoder. As `pipe` does, but a decoder that throws, or ends before its input
 * does, is a failure of the session like any other.
 */
export class SessionDecoder {
  /** Whether everything up to the peer's end has been put out. */
  isDone = false;
  readonly #decoder: Transform;
  readonly #link: Transport;
  readonly #host: DecoderHandler;

  constructor(decoder: Transform, link: Transport, host: DecoderHandler) {
    this.#decoder = decoder;
    this.#link = link;
    this.#host = host;
  }

  /** Whether it takes what comes. */
  get hasRoom(): boolean {
    return !this.#decoder.writableNeedDrain;
  }

  /** Takes what it has room for, whether or not its messages are wanted yet. */
  start(isPaused: boolean): void {
    this.#decoder.on('data', this.#onMessage).on('error', this.#onError);
    this.#decoder.on('end', this.#onEnd).on('close', this.#onClose).on('drain', this.#onDrain);
    if (isPaused) this.pause();
    this.#link.on('data', this.#onChunk).resume();
  }

  /** Puts nothing more out for now. */
  pause(): void {
    this.#decoder.pause();
  }

  resume(): void {
    this.#decoder.resume();
  }

  /** The peer has ended: what is still inside comes out. */
  end(): void {
    try {
      this.#decoder.end();
    } catch (error) {
      this.#host.onError(toError(error));
    }
  }

  release(): void {
    this.#link.off('data', this.#onChunk);
    this.#decoder.off('data', this.#onMessage).off('error', this.#onError);
    this.#decoder.off('end', this.#onEnd).off('close', this.#onClose).off('drain', this.#onDrain);
    this.#decoder.on('error', ignore).destroy();
  }

  readonly #onChunk = (chunk: Buffer): void => {
    try {
      if (this.#decoder.write(chunk)) return;
    } catch (error) {
      return this.#host.onError(toError(error));
    }
    this.#link.pause();
    this.#host.onRoom();
  };

  readonly #onDrain = (): void => {
    this.#link.resume();
    this.#host.onRoom();
  };

  readonly #onMessage = (message: unknown): void => this.#host.onMessage(message);

  readonly #onError = (error: Error): void => this.#host.onError(error);

  readonly #onEnd = (): void => {
    this.isDone = this.#link.readableEnded;
    if (this.isDone) this.#host.onDecoded();
    else this.#onClose();
  };

  readonly #onClose = (): void => {
    if (!this.isDone) this.#host.onError(new Error('The decoder ended before its input did'));
  };
}
