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
import { type Refable, Deadline, now } from '../timers/deadline';
import type { Outbox } from '../writes/outbox';
import { type DecoderHandler, SessionDecoder } from './decoder';
import { type Liveness, livenessOf } from './liveness';
import type { RoundTrip } from './round-trip';
import { type UnheardHost, Unheard } from './unheard';
import { type Watched, outflowOf } from './watches';

/** What a session works with, and reports its end to. */
export interface SessionOwner {
  readonly tag: string;
  readonly isPaused: boolean;
  readonly isRef: boolean;
  readonly settings: Settings;
  readonly delivery: DeliveryQueue<ConnectionEvents>;
  readonly outbox: Outbox;
  /** Hands over what this tick has brought so far: the writing side of the transport is about to end. */
  sendNow(): void;
  /** Handed to the `ping` of a heartbeat. */
  readonly connection: HeartbeatConnection;
  /** Called once, unless the session is released first. The transport is destroyed by then; the owner releases the rest. */
  onLost(reason: FailureReason, error: Error | undefined): void;
  /** Bytes were received and will not be delivered, since there is no listener. */
  onUnheard(bytes: number): void;
  /** The peer has ended, everything it sent has been delivered, and the session goes on for writes. */
  onPeerEnd(): void;
}

/** The payload of an `open`, which may ask the transport while the session lasts. */
export type SessionInfo = OpenInfo & { release(): void };

/** The life of one established socket: reads and decodes it, finds out that the peer is dead, and reports how it ended. */
export class Session implements Refable, TransportHandler, DecoderHandler, UnheardHost {
  readonly transport: Transport;
  /** Whether the transport is a socket that this library has opened. */
  readonly isOwn: boolean;
  /** Whether `read()` was called: its `open` has been delivered. */
  hasBegun = false;
  readonly decoder: SessionDecoder | undefined;
  readonly openedAt: number = now();
  /** Whether the application vouched for it. */
  healthy = false;
  /** The payload of its `open`, once that has been delivered. */
  info: SessionInfo | undefined;
  /** The payload of its `reset`. */
  resetInfo: ResetInfo | undefined;

  readonly #owner: SessionOwner;
  #liveness: Liveness | undefined;
  /** What waits for a listener; undefined while there is one and nothing waits. */
  #unheard: Unheard | undefined;
  /** Bytes received, where the transport does not count them. */
  #counted = 0;
  #error: Error | undefined;
  /** Bounds the time from the peer's end, or from an error, to the end of the session. */
  #endDeadline: Deadline | undefined;

  constructor({ transport, isOwn, decoder }: Established, owner: SessionOwner) {
    const { settings, connection, isRef } = owner;
    this.transport = transport;
    this.#owner = owner;
    this.isOwn = isOwn;
    this.decoder = decoder && new SessionDecoder(decoder, transport, this);
    setHandler(transport, this);
    enableEvents(transport, 'end', 'drain');
    this.#liveness = livenessOf(settings, connection, () => this.#watched(), isRef);
    this.#liveness?.start();
  }

  /** It is its connection's state. */
  // eslint-disable-next-line @typescript-eslint/class-literal-property-style -- A field would take memory.
  get name(): 'open' {
    return 'open';
  }

  /** Bytes received in this session. */
  get received(): number {
    return this.transport.bytesRead ?? this.#counted;
  }

  /** Whether the peer has ended, and all that it sent has been delivered. */
  get isReadToEnd(): boolean {
    return this.transport.readableEnded && this.#unheard?.isGivenUp !== false && this.decoder?.isDone !== false;
  }

  /** From a heartbeat's pings; null before the first answer. */
  get roundTrip(): RoundTrip | null {
    return this.#liveness?.roundTrip ?? null;
  }

  /** Milliseconds since it opened. */
  get uptime(): number {
    return now() - this.openedAt;
  }

  /** Begins to read. Until then every byte waits in the socket. */
  read(): void {
    const { isPaused } = this;
    this.hasBegun = true;
    this.decoder?.start(isPaused);
    // A stream begins to flow with its first `data` listener, unless it was paused.
    if (this.decoder !== undefined) this.transport.resume();
    else if (isPaused) this.#pauseTransport();
    enableEvents(this.transport, 'data');
    if (isPaused) this.pause();
    else this.resume();
  }

  /** Stops reading. */
  pause(): void {
    this.#restartLiveness();
    if (this.decoder === undefined) this.#pauseTransport();
    else this.decoder.pause();
    if (this.transport.closed) this.onClose();
  }

  resume(): void {
    this.#restartLiveness();
    (this.decoder ?? this.transport).resume();
    this.onListener();
    if (this.transport.closed) this.onClose();
  }

  /** A listener was added. If it is still there in the next tick, it gets what has waited for one. */
  onListener(): void {
    if (this.#unheard !== undefined) process.nextTick(() => this.#deliverUnheard());
  }

  /** Ends the writing side in good order. From then on `closeTimeout` bounds the peer's silence. */
  end(): void {
    this.#stopLiveness();
    this.transport.end();
  }

  /** Releases everything it holds. It reports nothing from then on. */
  release(): void {
    // Otherwise the transport has another owner by now, or is destroyed.
    const isHeld = isHandledBy(this.transport, this);
    this.#stopLiveness();
    this.#endDeadline?.clear();
    if (isHeld) clearHandler(this.transport);
    this.decoder?.release();
    if (isHeld) destroyTransport(this.transport);
    this.#unheard?.release();
    this.info?.release();
  }

  setRef(on: boolean): void {
    setTransportRef(on, this.transport);
    this.#liveness?.setRef(on);
    this.#endDeadline?.setRef(on);
  }

  // Events of the transport.

  onData(chunk: Buffer): void {
    if (!this.isOwn) this.#counted += chunk.length;
    this.#liveness?.onBytes();
    // A decoder gets bytes until it puts out a message that nobody listens to: what is wrong with them shows at once.
    const isHeard = this.#unheard === undefined && (this.decoder !== undefined || this.isHeard);
    if (isHeard) this.pass(chunk);
    else if ((this.#unheard ??= new Unheard(this)).add(chunk)) this.#unheard = undefined;
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

  /**
   * The peer will send no more. What was written before still goes out, within `closeTimeout`. With `allowHalfOpen` the
   * session goes on for writes.
   */
  onEnd(): void {
    // It can neither answer nor speak.
    this.#liveness?.setReceiving(false);
    this.#owner.sendNow();
    if (!this.#isHalfOpen) {
      // Node makes an error of a second end, with a stack, even if nothing gets it.
      if (!this.transport.writableEnded) this.transport.end();
      this.#startEndDeadline();
      if (this.decoder !== undefined && this.#isUnheard) this.#unheard?.giveUp();
    }
    if (this.#unheard?.isGivenUp !== false) this.#endInput();
    else this.#deliverUnheard();
  }

  onClose(): void {
    this.#deliverUnheard();
    // The last messages are still in the decoder, or wait there until the application resumes.
    if (this.#isDecoding && this.#error === undefined) this.#restartEndDeadline();
    else this.#reportEnd();
  }

  // Events of the decoder.

  onMessage(message: unknown): void {
    // A decoder that is slow but makes progress gets more time.
    if (this.transport.closed) this.#restartEndDeadline();
    if (!this.isHeard && this.#unheard?.isGivenUp !== true && !this.#isEnding) {
      this.#unheard ??= new Unheard(this);
      this.decoder?.putBack(message);
      return;
    }
    this.#owner.delivery.deliver('message', message);
  }

  onRoom(): void {
    this.#restartLiveness();
    if (this.decoder?.hasRoom === true) this.#deliverUnheard();
    // What comes then waits in front of the decoder, so that the peer's end is noticed.
    else if (this.#isUnheard && !this.isPaused) this.transport.resume();
  }

  onDecoded(): void {
    if (this.transport.closed) this.onClose();
    else if (this.#isHalfOpen) this.#owner.onPeerEnd();
  }

  #watched(): Watched {
    const owner = this.#owner;
    return {
      tag: owner.tag,
      received: () => this.received,
      writes: () => owner.outbox.totals.accepted.writes,
      outflow: () => outflowOf(this.transport, owner.outbox),
      onDead: (reason, error) => this.#reportLost(reason, error),
    };
  }

  #stopLiveness(): void {
    this.#liveness?.stop();
    this.#liveness = undefined;
  }

  /** The peer's silence counts only while this side reads, and the peer has not ended. */
  #restartLiveness(): void {
    const isReading = !this.isPaused && (this.decoder?.hasRoom !== false || this.#isUnheard);
    this.#liveness?.setReceiving(isReading && !this.transport.readableEnded);
  }

  // What nobody listens to waits for a listener.

  get areChunksLent(): boolean {
    return this.#owner.settings.reuseReadBuffer;
  }

  get isPaused(): boolean {
    return this.#owner.isPaused;
  }

  get isHeard(): boolean {
    return this.#owner.delivery.hasListeners(this.decoder === undefined ? 'data' : 'message');
  }

  /** A listener may have paused, ended or left the session. */
  canDeliver(): boolean {
    return !this.isPaused && this.isHeard && isHandledBy(this.transport, this);
  }

  pass(chunk: Buffer): void {
    if (this.decoder === undefined) this.#owner.delivery.deliver('data', chunk);
    else this.decoder.write(chunk);
  }

  onUnheard(bytes: number): void {
    this.#owner.onUnheard(bytes);
  }

  /** Whether something waits for a listener, and there is none. */
  get #isUnheard(): boolean {
    return this.#unheard?.isGivenUp === false && !this.isHeard;
  }

  #deliverUnheard(): void {
    if (this.#unheard?.deliver() !== true) return;
    this.#unheard = undefined;
    if (this.transport.readableEnded) this.#endInput();
  }

  /** Everything up to the peer's end has been passed on. */
  #endInput(): void {
    if (this.decoder !== undefined) this.decoder.end();
    else if (this.#isHalfOpen) this.#owner.onPeerEnd();
  }

  // The peer's end, and the end of the session.

  /** Whether the session goes on for writes after the peer's end. A stream that ends both its sides does not. */
  get #isHalfOpen(): boolean {
    // A stream of the application's may end itself with the peer's end.
    const { allowHalfOpen, writable } = this.transport;
    return this.#owner.settings.socket.allowHalfOpen === true && allowHalfOpen && writable;
  }

  get #isEnding(): boolean {
    return this.transport.readableEnded && !this.#isHalfOpen;
  }

  #pauseTransport(): void {
    if (this.isOwn) pauseDelivery(this.transport);
    else this.transport.pause();
  }

  /** Whether bytes from before the peer's end are still in the decoder. */
  get #isDecoding(): boolean {
    return this.decoder?.isDone === false && this.transport.readableEnded;
  }

  #startEndDeadline(): void {
    // A listener may have released the session while the decoder was still at work on a chunk.
    if (!isHandledBy(this.transport, this)) return;
    const { closeTimeout } = this.#owner.settings;
    this.#endDeadline ??= new Deadline(closeTimeout, this.#owner.isRef, () => {
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
    if (!this.isPaused) this.#startEndDeadline();
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
