import type { Transform } from 'node:stream';

import type { Established } from './attempt';
import { type Holdable, Deadline, hold } from './deadline';
import { type Link, destroyLink, ignore } from './dial';
import { toError } from './errors';
import type { FailureReason, OpenInfo } from './events';
import { Heartbeat, IdleWatch } from './liveness';
import type { Reader } from './reader';
import type { Settings } from './settings';

/** Who a session reports to. */
export interface SessionHost {
  readonly tag: string;
  onChunk(chunk: Buffer): void;
  onMessage(message: unknown): void;
  /** The socket has room again. */
  onDrain(): void;
  /** Its writing side is about to end: what is to go out has to go now. */
  onEnding(): void;
  /** Asks the peer for a sign of life. */
  ping(): void;
  /** Told once that the session is over, unless it was released before. */
  onLost(reason: FailureReason, error: Error | undefined): void;
}

/** The life of one established socket: reads it, watches over it, and tells when and why it ended. */
export class Session implements Holdable {
  readonly generation: number;
  readonly link: Link;
  readonly openedAt: number = performance.now();
  /** Whether the application vouched for it. */
  healthy = false;
  /** What its `open` said, from then on: a session that was not announced has no `reset` either. */
  info: OpenInfo | undefined;

  readonly #reader: Reader | undefined;
  readonly #decoder: Transform | undefined;
  readonly #closeTimeout: number;
  readonly #host: SessionHost;
  readonly #watches: (IdleWatch | Heartbeat)[] = [];
  #held: boolean;
  #paused = false;
  #counted = 0;
  #error: Error | undefined;
  #decoded = false;
  #windUp: Deadline | undefined;
  /** Set by `release()`, which a listener may call while the decoder is still at work on a chunk. */
  #released = false;

  constructor(established: Established, generation: number, settings: Settings, host: SessionHost, held: boolean) {
    this.generation = generation;
    this.link = established.link;
    this.#reader = established.reader;
    this.#decoder = established.decoder;
    this.#closeTimeout = settings.closeTimeout;
    this.#host = host;
    this.#held = held;
    this.link.on('error', this.#onError).on('end', this.#onEnd).on('close', this.#onClose).on('drain', this.#onDrain);

    const watched = { tag: host.tag, received: () => this.received, onDead: this.#lose };
    if (settings.idleTimeout > 0) this.#watches.push(new IdleWatch(settings.idleTimeout, watched, held));
    if (settings.heartbeat !== undefined) {
      this.#watches.push(new Heartbeat(settings.heartbeat, () => host.ping(), watched, held));
    }
  }

  /** Bytes received in this session. */
  get received(): number {
    return this.link.bytesRead ?? this.#counted;
  }

  /** Milliseconds since it opened. */
  get uptime(): number {
    return performance.now() - this.openedAt;
  }

  /** Begins to read. Until then every byte waits in the socket. */
  read(paused: boolean): void {
    if (this.#decoder !== undefined) {
      this.#decoder.on('data', this.#onMessage).on('error', this.#onError);
      this.#decoder.on('end', this.#onDecoded).on('close', this.#onDecoderClose).on('drain', this.#onDecoderDrain);
    }
    if (paused) this.pause();
    if (this.link.bytesRead === undefined) this.link.on('data', this.#count);
    if (this.#reader !== undefined) this.#reader.deliver = this.#onChunk;
    if (this.#decoder === undefined) this.link.on('data', this.#onChunk);
    // A decoder takes what it has room for, whether or not its messages are wanted yet.
    else this.link.on('data', this.#decode).resume();
    if (!paused) this.resume();
  }

  /** Stops reading. */
  pause(): void {
    this.#paused = true;
    this.#watch();
    if (this.#reader === undefined) (this.#decoder ?? this.link).pause();
    else this.#reader.pause();
    if (this.link.closed) this.#onClose();
  }

  resume(): void {
    this.#paused = false;
    this.#watch();
    (this.#decoder ?? this.link).resume();
    if (this.link.closed) this.#onClose();
  }

  /** Ends the writing side in good order. From then on another deadline bounds the peer's silence. */
  end(): void {
    for (const watch of this.#watches.splice(0)) watch.stop();
    this.link.end();
  }

  /** Lets go of everything; nothing is reported from then on. */
  release(): void {
    this.#released = true;
    for (const watch of this.#watches.splice(0)) watch.stop();
    this.#windUp?.clear();
    this.link
      .off('error', this.#onError)
      .off('end', this.#onEnd)
      .off('close', this.#onClose)
      .off('drain', this.#onDrain);
    this.link.off('data', this.#onChunk).off('data', this.#decode).off('data', this.#count);
    if (this.#reader !== undefined) this.#reader.deliver = undefined;
    if (this.#decoder !== undefined) {
      this.#decoder
        .off('drain', this.#onDecoderDrain)
        .off('data', this.#onMessage)
        .off('end', this.#onDecoded)
        .off('close', this.#onDecoderClose);
      this.#decoder.off('error', this.#onError).on('error', ignore).destroy();
    }
    destroyLink(this.link);
  }

  ref(): void {
    this.#hold(true);
  }

  unref(): void {
    this.#hold(false);
  }

  #hold(held: boolean): void {
    this.#held = held;
    hold(held, this.link);
    for (const watch of this.#watches) hold(held, watch);
    if (this.#windUp !== undefined) hold(held, this.#windUp);
  }

  /** A peer is judged by its silence only while what it sends is read. */
  #watch(): void {
    const isRead = !this.#paused && this.#decoder?.writableNeedDrain !== true;
    for (const watch of this.#watches) {
      watch.stop();
      if (isRead) watch.start();
    }
  }

  readonly #onChunk = (chunk: Buffer): void => this.#host.onChunk(chunk);

  /** As `pipe` does, but for a decoder that throws: that is a failure like any other. */
  readonly #decode = (chunk: Buffer): void => {
    try {
      if (this.#decoder?.write(chunk) !== false) return;
    } catch (error) {
      return this.#onError(toError(error));
    }
    this.link.pause();
    this.#watch();
  };

  readonly #onDecoderDrain = (): void => {
    this.link.resume();
    this.#watch();
  };

  readonly #onMessage = (message: unknown): void => {
    // A decoder that is slow and gets on with it is given time.
    if (this.link.closed) this.#restartWindUp();
    this.#host.onMessage(message);
  };

  readonly #onDrain = (): void => this.#host.onDrain();

  readonly #count = (chunk: Buffer): void => {
    this.#counted += chunk.length;
  };

  readonly #onError = (error: Error): void => {
    this.#error ??= toError(error);
    // Most sockets do this themselves; a decoder's error and a custom stream need it.
    destroyLink(this.link);
    this.#startWindUp();
  };

  /** The peer will send no more. What was written before may still go out, but not for ever. */
  readonly #onEnd = (): void => {
    this.#host.onEnding();
    this.link.end();
    this.#startWindUp();
    try {
      this.#decoder?.end();
    } catch (error) {
      this.#onError(toError(error));
    }
  };

  readonly #onDecoded = (): void => {
    this.#decoded = this.link.readableEnded;
    if (!this.#decoded) this.#onDecoderClose();
    else if (this.link.closed) this.#onClose();
  };

  readonly #onDecoderClose = (): void => {
    if (!this.#decoded) this.#onError(new Error('The decoder ended before its input did'));
  };

  readonly #onClose = (): void => {
    const { readableEnded } = this.link;
    if (this.#decoder !== undefined && readableEnded && this.#error === undefined && !this.#decoded) {
      // The last messages are on their way through the decoder, or wait there until the application resumes.
      return this.#restartWindUp();
    }
    this.#over();
  };

  /** Bounds what is left to do before the session is over. */
  #startWindUp(): void {
    if (this.#released) return;
    this.#windUp ??= new Deadline(this.#closeTimeout, this.#held, () => {
      if (this.#decoder !== undefined && this.link.readableEnded && !this.#decoded) {
        const message = `The decoder put nothing out for ${this.#closeTimeout} ms after the peer had ended`;
        this.#error ??= new Error(message);
      }
      this.#over();
    });
  }

  /** Bounds it anew, or not at all while the application does not want to read. */
  #restartWindUp(): void {
    this.#windUp?.clear();
    this.#windUp = undefined;
    if (!this.#paused) this.#startWindUp();
  }

  #over(): void {
    this.#lose(this.#error === undefined ? 'peer-end' : 'error', this.#error);
  }

  readonly #lose = (reason: FailureReason, error: Error | undefined): void => {
    this.release();
    this.#host.onLost(reason, error);
  };
}
