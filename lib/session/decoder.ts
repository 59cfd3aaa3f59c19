import type { Duplex } from 'node:stream';

import { toError } from '../errors';
import { type Transport, ignore } from '../socket/transport';

/** Handles the events of a session's decoder. */
export interface DecoderHandler {
  onMessage(message: unknown): void;
  /** `hasRoom` has changed. */
  onRoom(): void;
  /** All messages up to the peer's end have been emitted. */
  onDecoded(): void;
  onError(error: Error): void;
}

/**
 * Pipes the bytes of a session into its decoder. Unlike with `pipe`, the handler gets an error when the decoder throws,
 * or ends before its input does.
 */
export class SessionDecoder {
  /** Whether all messages up to the peer's end have been emitted. */
  isDone = false;
  readonly #decoder: Duplex;
  readonly #transport: Transport;
  readonly #handler: DecoderHandler;

  constructor(decoder: Duplex, transport: Transport, handler: DecoderHandler) {
    this.#decoder = decoder;
    this.#transport = transport;
    this.#handler = handler;
  }

  /** Whether the decoder accepts more bytes; the transport is paused while it does not. */
  get hasRoom(): boolean {
    return !this.#decoder.writableNeedDrain;
  }

  /** Begins to put out messages, unless it is paused. */
  start(isPaused: boolean): void {
    this.#decoder.on('data', this.#onMessage).on('error', this.#onError);
    this.#decoder.on('end', this.#onEnd).on('close', this.#onClose).on('drain', this.#onDrain);
    if (isPaused) this.pause();
  }

  /** Passes bytes of the transport to it. While paused, it still accepts bytes until it is full. */
  write(chunk: Buffer): void {
    try {
      if (this.#decoder.write(chunk)) return;
    } catch (error) {
      return this.#handler.onError(toError(error));
    }
    this.#transport.pause();
    this.#handler.onRoom();
  }

  /** Emits no messages until `resume()`. */
  pause(): void {
    this.#decoder.pause();
  }

  resume(): void {
    this.#decoder.resume();
  }

  /** Stops reading until the decoder accepts more bytes, if it does not now. */
  pauseInput(): void {
    if (!this.hasRoom) this.#transport.pause();
  }

  /** Emits no messages until `resume()`, and that one again as the first of them. */
  putBack(message: unknown): void {
    this.#decoder.pause();
    this.#decoder.unshift(message);
  }

  /** Flushes the decoder: the peer has ended. */
  end(): void {
    try {
      this.#decoder.end();
    } catch (error) {
      this.#handler.onError(toError(error));
    }
  }

  release(): void {
    this.#decoder.off('data', this.#onMessage).off('error', this.#onError);
    this.#decoder.off('end', this.#onEnd).off('close', this.#onClose).off('drain', this.#onDrain);
    this.#decoder.on('error', ignore).destroy();
  }

  readonly #onDrain = (): void => {
    this.#transport.resume();
    this.#handler.onRoom();
  };

  readonly #onMessage = (message: unknown): void => this.#handler.onMessage(message);

  readonly #onError = (error: Error): void => this.#handler.onError(error);

  readonly #onEnd = (): void => {
    this.isDone = this.#transport.readableEnded;
    if (this.isDone) this.#handler.onDecoded();
    else this.#onClose();
  };

  readonly #onClose = (): void => {
    if (!this.isDone) this.#handler.onError(new Error('The decoder ended before its input did'));
  };
}
