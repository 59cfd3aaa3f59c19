import type { Duplex, Transform } from 'node:stream';

import type { Established } from './attempt';
import { type Holdable, Deadline, hold } from './deadline';
import { type Link, destroyLink, ignore } from './dial';
import { toError } from './errors';
import type { FailureReason, OpenInfo } from './events';
import { type Watched, Heartbeat, IdleWatch } from './liveness';
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

const UNWATCHED: readonly never[] = [];

/** Where the listeners of a stream find their session: all sessions share them. */
const SESSION = Symbol('session');

type Tied<Stream extends Duplex> = Stream & { [SESSION]?: Session | undefined };

/** The life of one established socket: reads it, watches over it, and tells when and why it ended. */
export class Session implements Holdable {
  readonly generation: number;
  readonly link: Tied<Link>;
  readonly openedAt: number = performance.now();
  /** Whether the application vouched for it. */
  healthy = false;
  /** What its `open` said, from then on: a session that was not announced has no `reset` either. */
  info: OpenInfo | undefined;

  readonly #reader: Reader | undefined;
  readonly #decoder: Tied<Transform> | undefined;
  readonly #closeTimeout: number;
  readonly #host: SessionHost;
  #watches: readonly (IdleWatch | Heartbeat)[] = UNWATCHED;
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
    this.link[SESSION] = this;
    this.link.on('error', onError).on('end', onEnd).on('close', onClose).on('drain', onDrain);
    const { idleTimeout, heartbeat } = settings;
    if (idleTimeout > 0 || heartbeat !== undefined) this.#watches = this.#makeWatches(idleTimeout, heartbeat);
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
      this.#decoder[SESSION] = this;
      this.#decoder.on('data', onMessage).on('error', onError);
      this.#decoder.on('end', onDecoded).on('close', onDecoderClose).on('drain', onDecoderDrain);
    }
    if (paused) this.pause();
    if (this.link.bytesRead === undefined) this.link.on('data', count);
    if (this.#reader !== undefined) this.#reader.receiver = this.#host;
    if (this.#decoder === undefined) this.link.on('data', onChunk);
    // A decoder takes what it has room for, whether or not its messages are wanted yet.
    else this.link.on('data', decode).resume();
    if (!paused) this.resume();
  }

  /** Stops reading. */
  pause(): void {
    this.#paused = true;
    this.#watch();
    if (this.#reader === undefined) (this.#decoder ?? this.link).pause();
    else this.#reader.pause();
    if (this.link.closed) this.onClose();
  }

  resume(): void {
    this.#paused = false;
    this.#watch();
    (this.#decoder ?? this.link).resume();
    if (this.link.closed) this.onClose();
  }

  /** Ends the writing side in good order. From then on another deadline bounds the peer's silence. */
  end(): void {
    this.#stopWatching();
    this.link.end();
  }

  /** Lets go of everything; nothing is reported from then on. */
  release(): void {
    this.#released = true;
    this.#stopWatching();
    this.#windUp?.clear();
    this.link[SESSION] = undefined;
    this.link.off('error', onError).off('end', onEnd).off('close', onClose).off('drain', onDrain);
    this.link.off('data', onChunk).off('data', decode).off('data', count);
    if (this.#reader !== undefined) this.#reader.receiver = undefined;
    if (this.#decoder !== undefined) {
      this.#decoder[SESSION] = undefined;
      this.#decoder.off('data', onMessage).off('error', onError);
      this.#decoder.off('end', onDecoded).off('close', onDecoderClose).off('drain', onDecoderDrain);
      this.#decoder.on('error', ignore).destroy();
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

  #makeWatches(idleTimeout: number, heartbeat: Settings['heartbeat']): (IdleWatch | Heartbeat)[] {
    const watched: Watched = {
      tag: this.#host.tag,
      received: () => this.received,
      onDead: (reason, error) => this.#lose(reason, error),
    };
    const watches: (IdleWatch | Heartbeat)[] = [];
    if (idleTimeout > 0) watches.push(new IdleWatch(idleTimeout, watched, this.#held));
    if (heartbeat !== undefined) {
      watches.push(new Heartbeat(heartbeat, () => this.#host.ping(), watched, this.#held));
    }
    return watches;
  }

  #stopWatching(): void {
    for (const watch of this.#watches) watch.stop();
    this.#watches = UNWATCHED;
  }

  /** A peer is judged by its silence only while what it sends is read. */
  #watch(): void {
    const isRead = !this.#paused && this.#decoder?.writableNeedDrain !== true;
    for (const watch of this.#watches) {
      watch.stop();
      if (isRead) watch.start();
    }
  }

  // What the link and the decoder tell.

  onChunk(chunk: Buffer): void {
    this.#host.onChunk(chunk);
  }

  count(chunk: Buffer): void {
    this.#counted += chunk.length;
  }

  onDrain(): void {
    this.#host.onDrain();
  }

  onDecoderDrain(): void {
    this.link.resume();
    this.#watch();
  }

  /** As `pipe` does, but for a decoder that throws: that is a failure like any other. */
  decode(chunk: Buffer): void {
    try {
      if (this.#decoder?.write(chunk) !== false) return;
    } catch (error) {
      return this.onError(toError(error));
    }
    this.link.pause();
    this.#watch();
  }

  onMessage(message: unknown): void {
    // A decoder that is slow and gets on with it is given time.
    if (this.link.closed) this.#restartWindUp();
    this.#host.onMessage(message);
  }

  onError(error: Error): void {
    this.#error ??= toError(error);
    // Most sockets do this themselves; a decoder's error and a custom stream need it.
    destroyLink(this.link);
    this.#startWindUp();
  }

  /** The peer will send no more. What was written before may still go out, but not for ever. */
  onEnd(): void {
    this.#host.onEnding();
    this.link.end();
    this.#startWindUp();
    try {
      this.#decoder?.end();
    } catch (error) {
      this.onError(toError(error));
    }
  }

  onDecoded(): void {
    this.#decoded = this.link.readableEnded;
    if (!this.#decoded) this.onDecoderClose();
    else if (this.link.closed) this.onClose();
  }

  onDecoderClose(): void {
    if (!this.#decoded) this.onError(new Error('The decoder ended before its input did'));
  }

  onClose(): void {
    const { readableEnded } = this.link;
    if (this.#decoder !== undefined && readableEnded && this.#error === undefined && !this.#decoded) {
      // The last messages are on their way through the decoder, or wait there until the application resumes.
      return this.#restartWindUp();
    }
    this.#over();
  }

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

  #lose(reason: FailureReason, error: Error | undefined): void {
    this.release();
    this.#host.onLost(reason, error);
  }
}

// The listeners, one of each for all sessions: a closure for every event of every session would cost more memory than
// all the rest of it.

function onChunk(this: Tied<Duplex>, chunk: Buffer): void {
  this[SESSION]?.onChunk(chunk);
}

function count(this: Tied<Duplex>, chunk: Buffer): void {
  this[SESSION]?.count(chunk);
}

function decode(this: Tied<Duplex>, chunk: Buffer): void {
  this[SESSION]?.decode(chunk);
}

function onDrain(this: Tied<Duplex>): void {
  this[SESSION]?.onDrain();
}

function onError(this: Tied<Duplex>, error: Error): void {
  this[SESSION]?.onError(error);
}

function onEnd(this: Tied<Duplex>): void {
  this[SESSION]?.onEnd();
}

function onClose(this: Tied<Duplex>): void {
  this[SESSION]?.onClose();
}

function onMessage(this: Tied<Duplex>, message: unknown): void {
  this[SESSION]?.onMessage(message);
}

function onDecoderDrain(this: Tied<Duplex>): void {
  this[SESSION]?.onDecoderDrain();
}

function onDecoded(this: Tied<Duplex>): void {
  this[SESSION]?.onDecoded();
}

function onDecoderClose(this: Tied<Duplex>): void {
  this[SESSION]?.onDecoderClose();
}
