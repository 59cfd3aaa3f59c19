import type { Established } from '../attempt/attempt';
import { type Refable, Deadline, setRef } from '../timers/deadline';
import { SessionDecoder } from './decoder';
import { toError } from '../errors';
import type { FailureReason, OpenInfo } from '../events/events';
import {
  type TransportHandler,
  type Transport,
  destroyTransport,
  setHandler,
  isHandledBy,
  clearHandler,
  enableEvents,
} from '../socket/transport';
import { type Watched, Heartbeat, IdleWatch } from './liveness';
import { pauseDelivery } from '../socket/fast-read';
import type { Settings } from '../options/settings';

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

/** The life of one established socket: reads it, watches over it, and tells when and why it ended. */
export class Session implements Refable, TransportHandler {
  readonly generation: number;
  readonly transport: Transport;
  readonly openedAt: number = performance.now();
  /** Whether the application vouched for it. */
  healthy = false;
  /** What its `open` said, from then on: a session that was not announced has no `reset` either. */
  info: OpenInfo | undefined;

  /** Whether the link is a socket that this library has opened. */
  readonly #isOwn: boolean;
  readonly #decoding: SessionDecoder | undefined;
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
    this.transport = established.transport;
    this.#isOwn = settings.dial === undefined;
    const { decoder } = established;
    this.#decoding = decoder && new SessionDecoder(decoder, this.transport, this);
    this.#closeTimeout = settings.closeTimeout;
    this.#host = host;
    this.#held = held;
    setHandler(this.transport, this);
    enableEvents(this.transport, 'end', 'drain');
    const { idleTimeout, heartbeat } = settings;
    if (idleTimeout > 0 || heartbeat !== undefined) this.#watches = this.#makeWatches(idleTimeout, heartbeat);
  }

  /** Bytes received in this session. */
  get received(): number {
    return this.transport.bytesRead ?? this.#counted;
  }

  /** Milliseconds since it opened. */
  get uptime(): number {
    return performance.now() - this.openedAt;
  }

  /** Begins to read. Until then every byte waits in the socket. */
  read(paused: boolean): void {
    if (this.#decoding === undefined) {
      // A stream begins to flow with its first `data` listener, unless it was told not to.
      if (paused) this.#pauseLink();
      enableEvents(this.transport, 'data');
    } else {
      if (this.transport.bytesRead === undefined) enableEvents(this.transport, 'data');
      this.#decoding.start(paused);
    }
    if (paused) this.pause();
    else this.resume();
  }

  /** Stops reading. */
  pause(): void {
    this.#paused = true;
    this.#watch();
    if (this.#decoding === undefined) this.#pauseLink();
    else this.#decoding.pause();
    if (this.transport.closed) this.onClose();
  }

  resume(): void {
    this.#paused = false;
    this.#watch();
    (this.#decoding ?? this.transport).resume();
    if (this.transport.closed) this.onClose();
  }

  /** Ends the writing side in good order. From then on another deadline bounds the peer's silence. */
  end(): void {
    this.#stopWatching();
    this.transport.end();
  }

  /** Lets go of everything; nothing is reported from then on. */
  release(): void {
    this.#stopWatching();
    this.#windUp?.clear();
    clearHandler(this.transport);
    this.#decoding?.release();
    destroyTransport(this.transport);
  }

  setRef(held: boolean): void {
    this.#held = held;
    setRef(held, this.transport);
    for (const watch of this.#watches) watch.setRef(held);
    this.#windUp?.setRef(held);
  }

  #pauseLink(): void {
    if (this.#isOwn) pauseDelivery(this.transport);
    else this.transport.pause();
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

  onData(chunk: Buffer): void {
    if (!this.#isOwn) this.#counted += chunk.length;
    if (this.#decoding === undefined) this.#host.onChunk(chunk);
  }

  onDrain(): void {
    this.#host.onDrain();
  }

  onRoom(): void {
    this.#watch();
  }

  onMessage(message: unknown): void {
    // A decoder that is slow and gets on with it is given time.
    if (this.transport.closed) this.#restartWindUp();
    this.#host.onMessage(message);
  }

  onError(error: Error): void {
    this.#error ??= toError(error);
    // Most sockets do this themselves; a decoder's error and a custom stream need it.
    destroyTransport(this.transport);
    this.#startWindUp();
  }

  /** The peer will send no more. What was written before may still go out, but not for ever. */
  onEnd(): void {
    this.#host.onEnding();
    this.transport.end();
    this.#startWindUp();
    this.#decoding?.end();
  }

  onDecoded(): void {
    if (this.transport.closed) this.onClose();
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
    return this.#decoding?.isDone === false && this.transport.readableEnded;
  }

  /** Bounds what is left to do before the session is over. */
  #startWindUp(): void {
    // A listener may have released it while the decoder was still at work on a chunk.
    if (!isHandledBy(this.transport, this)) return;
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
