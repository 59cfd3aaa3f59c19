import type { Duplex } from 'node:stream';

import type { Established } from './attempt';
import { type Holdable, Deadline, hold } from './deadline';
import { Decoding } from './decoding';
import { type Link, destroyLink } from './dial';
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
  readonly #decoding: Decoding | undefined;
  readonly #closeTimeout: number;
  readonly #host: SessionHost;
  #watches: readonly (IdleWatch | Heartbeat)[] = UNWATCHED;
  #held: boolean;
  #paused = false;
  #counted = 0;
  #error: Error | undefined;
  #windUp: Deadline | undefined;

  constructor(established: Established, generation: number, settings: Settings, host: SessionHost, held: boolean) {
    this.generation = generation;
    this.link = established.link;
    this.#reader = established.reader;
    const { decoder } = established;
    this.#decoding = decoder && new Decoding(decoder, this.link, this);
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
    if (this.link.bytesRead === undefined) this.link.on('data', count);
    if (this.#decoding !== undefined) this.#decoding.start(paused);
    if (paused) this.pause();
    if (this.#reader !== undefined) this.#reader.receiver = this.#host;
    if (this.#decoding === undefined) this.link.on('data', onChunk);
    if (!paused) this.resume();
  }

  /** Stops reading. */
  pause(): void {
    this.#paused = true;
    this.#watch();
    (this.#decoding ?? this.#reader ?? this.link).pause();
    if (this.link.closed) this.onClose();
  }

  resume(): void {
    this.#paused = false;
    this.#watch();
    (this.#decoding ?? this.link).resume();
    if (this.link.closed) this.onClose();
  }

  /** Ends the writing side in good order. From then on another deadline bounds the peer's silence. */
  end(): void {
    this.#stopWatching();
    this.link.end();
  }

  /** Lets go of everything; nothing is reported from then on. */
  release(): void {
    this.#stopWatching();
    this.#windUp?.clear();
    this.link[SESSION] = undefined;
    this.link.off('error', onError).off('end', onEnd).off('close', onClose).off('drain', onDrain);
    this.link.off('data', onChunk).off('data', count);
    if (this.#reader !== undefined) this.#reader.receiver = undefined;
    this.#decoding?.release();
    destroyLink(this.link);
  }

  hold(held: boolean): void {
    this.#held = held;
    hold(held, this.link);
    for (const watch of this.#watches) watch.hold(held);
    this.#windUp?.hold(held);
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
    const isRead = !this.#paused && this.#decoding?.hasRoom !== false;
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

  onRoom(): void {
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
    this.#decoding?.end();
  }

  onDecoded(): void {
    if (this.link.closed) this.onClose();
  }

  onClose(): void {
    if (this.#isDecoding && this.#error === undefined) {
      // The last messages are on their way through the decoder, or wait there until the application resumes.
      return this.#restartWindUp();
    }
    this.#over();
  }

  /** Whether what came before the peer's end is still on its way through the decoder. */
  get #isDecoding(): boolean {
    return this.#decoding?.isDone === false && this.link.readableEnded;
  }

  /** Bounds what is left to do before the session is over. */
  #startWindUp(): void {
    // A listener may have released it while the decoder was still at work on a chunk.
    if (this.link[SESSION] !== this) return;
    this.#windUp ??= new Deadline(this.#closeTimeout, this.#held, () => {
      if (this.#isDecoding) {
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
