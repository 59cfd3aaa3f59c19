import { toError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { ConnectionEvents, FailureReason, OpenInfo, ResetInfo } from '../events/events';
import type { HeartbeatConnection } from '../options/options';
import type { Settings } from '../options/settings';
import { pauseDelivery } from '../socket/fast-read';
import {
  type Established,
  type Transport,
  type TransportHandler,
  clearHandler,
  destroyTransport,
  enableEvents,
  isHandledBy,
  setHandler,
  setTransportRef,
} from '../socket/transport';
import { type Refable, Deadline } from '../timers/deadline';
import type { Outbox } from '../writes/outbox';
import { type DecoderHandler, SessionDecoder } from './decoder';
import { type Watched, Heartbeat, IdleWatch } from './liveness';

/** What a session works with, and reports its end to. */
export interface SessionOwner {
  readonly tag: string;
  readonly settings: Settings;
  readonly delivery: DeliveryQueue<ConnectionEvents>;
  readonly outbox: Outbox;
  /** Handed to the `ping` of a heartbeat. */
  readonly connection: HeartbeatConnection;
  /** Called once, unless the session is released first. The transport is destroyed by then; the owner releases the rest. */
  onLost(reason: FailureReason, error: Error | undefined): void;
}

const UNWATCHED: readonly never[] = [];

/** The life of one established socket: reads and decodes it, finds out that the peer is dead, and reports how it ended. */
export class Session implements Refable, TransportHandler, DecoderHandler {
  readonly generation: number;
  readonly transport: Transport;
  readonly openedAt: number = performance.now();
  /** Whether the application vouched for it. */
  healthy = false;
  /** The payload of its `open`, once that has been delivered. */
  info: OpenInfo | undefined;
  /** The payload of its `reset`. */
  resetInfo: ResetInfo | undefined;

  readonly #owner: SessionOwner;
  readonly #isOwn: boolean;
  readonly #decoder: SessionDecoder | undefined;
  #watches: readonly (IdleWatch | Heartbeat)[] = UNWATCHED;
  #ref: boolean;
  #paused = false;
  /** Bytes received, where the transport does not count them. */
  #counted = 0;
  #error: Error | undefined;
  /** Bounds the time from the peer's end, or from an error, to the end of the session. */
  #endDeadline: Deadline | undefined;

  constructor({ transport, isOwn, decoder }: Established, generation: number, owner: SessionOwner, ref: boolean) {
    const { settings } = owner;
    this.generation = generation;
    this.transport = transport;
    this.#owner = owner;
    this.#isOwn = isOwn;
    this.#decoder = decoder && new SessionDecoder(decoder, transport, this);
    this.#ref = ref;
    setHandler(transport, this);
    enableEvents(transport, 'end', 'drain');
    if (settings.idleTimeout > 0 || settings.heartbeat !== undefined) this.#watches = this.#makeWatches();
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
    if (this.#decoder === undefined) {
      // A stream begins to flow with its first `data` listener, unless it was paused.
      if (paused) this.#pauseTransport();
      enableEvents(this.transport, 'data');
    } else {
      if (this.transport.bytesRead === undefined) enableEvents(this.transport, 'data');
      this.#decoder.start(paused);
    }
    if (paused) this.pause();
    else this.resume();
  }

  /** Stops reading. */
  pause(): void {
    this.#paused = true;
    this.#restartWatches();
    if (this.#decoder === undefined) this.#pauseTransport();
    else this.#decoder.pause();
    if (this.transport.closed) this.onClose();
  }

  resume(): void {
    this.#paused = false;
    this.#restartWatches();
    (this.#decoder ?? this.transport).resume();
    if (this.transport.closed) this.onClose();
  }

  /** Ends the writing side in good order. From then on `closeTimeout` bounds the peer's silence. */
  end(): void {
    this.#stopWatches();
    this.transport.end();
  }

  /** Releases everything it holds. It reports nothing from then on. */
  release(): void {
    this.#stopWatches();
    this.#endDeadline?.clear();
    clearHandler(this.transport);
    this.#decoder?.release();
    destroyTransport(this.transport);
  }

  setRef(on: boolean): void {
    this.#ref = on;
    setTransportRef(on, this.transport);
    for (const watch of this.#watches) watch.setRef(on);
    this.#endDeadline?.setRef(on);
  }

  // Events of the transport.

  onData(chunk: Buffer): void {
    if (!this.#isOwn) this.#counted += chunk.length;
    if (this.#decoder === undefined) this.#owner.delivery.deliver('data', chunk);
  }

  onDrain(): void {
    this.#owner.outbox.onDrain();
  }

  onError(error: Error): void {
    this.#error ??= toError(error);
    // Most sockets destroy themselves; after an error of the decoder or of a custom stream it has to be done.
    destroyTransport(this.transport);
    this.#startEndDeadline();
  }

  /** The peer will send no more. What was written before still goes out, within `closeTimeout`. */
  onEnd(): void {
    this.#owner.outbox.sendNow();
    this.transport.end();
    this.#startEndDeadline();
    this.#decoder?.end();
  }

  onClose(): void {
    // The last messages are still in the decoder, or wait there until the application resumes.
    if (this.#isDecoding && this.#error === undefined) this.#restartEndDeadline();
    else this.#reportEnd();
  }

  // Events of the decoder.

  onMessage(message: unknown): void {
    // A decoder that is slow but makes progress gets more time.
    if (this.transport.closed) this.#restartEndDeadline();
    this.#owner.delivery.deliver('message', message);
  }

  onRoom(): void {
    this.#restartWatches();
  }

  onDecoded(): void {
    if (this.transport.closed) this.onClose();
  }

  #makeWatches(): (IdleWatch | Heartbeat)[] {
    const { settings, connection, tag } = this.#owner;
    const { idleTimeout, heartbeat } = settings;
    const watched: Watched = {
      tag,
      received: () => this.received,
      onDead: (reason, error) => this.#reportLost(reason, error),
    };
    const watches: (IdleWatch | Heartbeat)[] = [];
    if (idleTimeout > 0) watches.push(new IdleWatch(idleTimeout, watched, this.#ref));
    if (heartbeat !== undefined) {
      watches.push(new Heartbeat(heartbeat, () => heartbeat.ping(connection), watched, this.#ref));
    }
    return watches;
  }

  #stopWatches(): void {
    for (const watch of this.#watches) watch.stop();
    this.#watches = UNWATCHED;
  }

  /** The peer's silence counts only while this side reads. */
  #restartWatches(): void {
    const isRead = !this.#paused && this.#decoder?.hasRoom !== false;
    for (const watch of this.#watches) {
      watch.stop();
      if (isRead) watch.start();
    }
  }

  #pauseTransport(): void {
    if (this.#isOwn) pauseDelivery(this.transport);
    else this.transport.pause();
  }

  /** Whether bytes from before the peer's end are still in the decoder. */
  get #isDecoding(): boolean {
    return this.#decoder?.isDone === false && this.transport.readableEnded;
  }

  #startEndDeadline(): void {
    // A listener may have released the session while the decoder was still at work on a chunk.
    if (!isHandledBy(this.transport, this)) return;
    const { closeTimeout } = this.#owner.settings;
    this.#endDeadline ??= new Deadline(closeTimeout, this.#ref, () => {
      if (this.#isDecoding) {
        this.#error ??= new Error(`The decoder put nothing out for ${closeTimeout} ms after the peer had ended`);
      }
      this.#reportEnd();
    });
  }

  /** Starts the time again; there is no bound while the application does not read. */
  #restartEndDeadline(): void {
    this.#endDeadline?.clear();
    this.#endDeadline = undefined;
    if (!this.#paused) this.#startEndDeadline();
  }

  #reportEnd(): void {
    this.#reportLost(this.#error === undefined ? 'peer-end' : 'error', this.#error);
  }

  #reportLost(reason: FailureReason, error: Error | undefined): void {
    clearHandler(this.transport);
    destroyTransport(this.transport);
    this.#owner.onLost(reason, error);
  }
}
