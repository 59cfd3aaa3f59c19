import type { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { ConnectionEvents, DropReason, WriteCount } from '../events/events';
import type { Complete } from '../options/checks';
import type { QueueOptions } from '../options/options';
import type { WriteOptions } from '../options/write-options';
import type { Transport } from '../socket/transport';
import { highWaterMark } from './bounds';
import { type Bytes, joined, sizeOf } from './chunk';
import { WriteCounts, type WriteTotals } from './counts';
import { Fates } from './fates';
import { Queue } from './queue';
import { Sender } from './sender';
import type { WriteCallback } from './write';
import { abortedError, clearedError, closedError, fullError } from './write-errors';

/**
 * `queueing`: there is no session, writes go to the queue. `turning`: a session has taken the place of another, the end of
 * which is being reported, and writes go to the queue. `opening`: a session has opened, and what its `open`
 * listeners write is sent ahead of the queue. `sending`: writes go to the transport. `sealed`: writes are refused. `closed`:
 * the lifecycle is over.
 */
type Phase = 'queueing' | 'turning' | 'opening' | 'sending' | 'sealed' | 'closed';

export const NOTHING_UNCERTAIN = { uncertain: { writes: 0, bytes: 0 }, settle: () => undefined };

/** Takes the writes of a connection: each is sent at most once, and its callback is called exactly once. */
export class Outbox {
  readonly #bounds: Complete<QueueOptions>;
  readonly #delivery: DeliveryQueue<ConnectionEvents>;
  readonly #connection: { readonly tag: string };
  #phase: Phase = 'queueing';
  /** Hands writes to the transport of the session. */
  #sender: Sender | undefined;
  // Both are made by the first write that needs them.
  #queue: Queue | undefined;
  #fatesSoFar: Fates | undefined;
  /** Whether a write returned false, so that `drain` is due. */
  #wantsRoom = false;

  /** @param connection - Named in errors. */
  constructor(
    bounds: Complete<QueueOptions>,
    delivery: DeliveryQueue<ConnectionEvents>,
    connection: { readonly tag: string },
  ) {
    this.#bounds = bounds;
    this.#delivery = delivery;
    this.#connection = connection;
  }

  get totals(): WriteTotals {
    const writes = (this.#queue?.writes ?? 0) + (this.#sender?.writes ?? 0);
    return (this.#fatesSoFar?.counts ?? new WriteCounts()).totals({ writes, bytes: this.pendingBytes });
  }

  /** Bytes of this session's writes that are not confirmed. */
  get handedBytes(): number {
    return this.#sender?.bytes ?? 0;
  }

  /** Bytes that were accepted and are neither confirmed nor uncertain nor dropped. */
  get pendingBytes(): number {
    return (this.#queue?.bytes ?? 0) + (this.#sender?.bytes ?? 0);
  }

  /** Whether writes wait for a session. */
  get hasWaiting(): boolean {
    return this.#queue !== undefined && this.#queue.writes > 0;
  }

  /** Whether a write of these bytes goes to a transport, and not into the queue. */
  takesNow(bytes: Bytes): boolean {
    this.#makeRoomFor(bytes);
    return this.#writableSender !== undefined;
  }

  /** Number of writes that were refused so far. */
  get refusals(): number {
    return this.#fatesSoFar?.counts.refused.count.writes ?? 0;
  }

  /**
   * Whether a write would be handed to a transport that has room for it. Where it would not, `drain` follows, or the
   * session ends.
   */
  hasRoom(): boolean {
    if (this.#wantsRoom || !this.#isSending()) return false;
    const { maxBytes } = this.#bounds;
    if (this.#sender?.isFarFromFull(maxBytes) === true) return true;
    const sender = this.#writableSender;
    if (sender === undefined) return false;
    // Very many small writes: the next would be refused although no write has returned false.
    return this.#wantRoomUnless(!sender.isFull(maxBytes));
  }

  /** Takes a write. Returns false when the writer should wait for room, or when the write was refused. */
  write(bytes: Bytes, callback: WriteCallback | undefined, options?: WriteOptions): boolean {
    const sender = this.#sender;
    const isSimple = options === undefined && !Array.isArray(bytes) && this.#isSending();
    if (!isSimple || sender?.isFarFromFull(this.#bounds.maxBytes) !== true) {
      return this.#writeWithChecks(bytes, callback, options);
    }
    this.#fates().counts.accepted.add(1, bytes.length);
    return this.#wantRoomUnless(sender.send(bytes, callback));
  }

  /** Does not take a write: its callback gets `error`, or else a `drop` event says so. */
  refuse(bytes: Bytes, callback: WriteCallback | undefined, error: ConnectionError): void {
    // After the end the writer has its `false`, and no event follows `close`.
    this.#fates().refused(bytes, callback, error, () => this.#phase !== 'closed');
  }

  /** Drops what waits. */
  clear(): WriteCount {
    const { writes = 0, bytes = 0 } = this.#queue ?? {};
    if (writes > 0) {
      this.#dropAll('cleared', () => clearedError(this.#connection.tag))();
      this.#checkRoom();
    }
    return { writes, bytes };
  }

  /**
   * A session has opened: from now on writes go to `transport`, ahead of the queue.
   *
   * @param isOwn - Whether it is a socket of Node's, and not a stream from a custom `dial`.
   * @param waits - Whether writes go to the queue until `greet()`.
   */
  attach(transport: Transport, isOwn: boolean, waits = false): void {
    this.#sender = new Sender(transport, isOwn, (writes, bytes, callbacks) => {
      this.#fates().confirmed(writes, bytes, callbacks);
      // The stream emits `drain` only if a write to it returned false, which one to the outbox may do earlier.
      if (this.#wantsRoom) this.onDrain();
    });
    this.#phase = waits ? 'turning' : 'opening';
  }

  /** The `open` listeners are about to be called. */
  greet(): void {
    if (this.#phase === 'turning') this.#phase = 'opening';
  }

  /** The `open` listeners have been called: sends the queue, and from then on what is written. */
  flush(): void {
    this.#phase = 'sending';
    this.#sendQueue();
    this.sendNow();
    this.onDrain();
  }

  /** Takes no more writes. The queue is sent if there is a session, else it waits for the one being dialled. */
  seal(): void {
    this.#phase = 'sealed';
    this.#sendQueue();
    this.sendNow();
  }

  /** Hands over what this tick has brought so far: the writing side of the transport is about to end. */
  sendNow(): void {
    this.#sender?.flush();
  }

  /** The transport has room again. */
  onDrain(): void {
    if (this.#phase === 'sending' && this.#writableSender?.hasDrained === true) this.#reportRoom();
  }

  /**
   * The session is over: what it did not confirm is uncertain now.
   *
   * @returns how much that is, and a function that calls the callbacks
   */
  detach(cause: Error | undefined): { readonly uncertain: WriteCount; readonly settle: () => void } {
    const batch = this.#sender?.takeAll();
    this.#sender = undefined;
    if (!this.#isSealed()) this.#phase = 'queueing';
    return batch === undefined || batch.writes === 0 ? NOTHING_UNCERTAIN : this.#fates().uncertain(batch, cause);
  }

  /**
   * The lifecycle is over: what is still queued will never be sent.
   *
   * @returns a function that reports it
   */
  drop(reason: DropReason, error: () => ConnectionError): () => void {
    this.#phase = 'closed';
    return this.#dropAll(reason, error);
  }

  /** A new lifecycle begins. */
  reopen(): void {
    this.#phase = 'queueing';
    this.#wantsRoom = false;
  }

  #isSealed(): boolean {
    return this.#phase === 'sealed' || this.#phase === 'closed';
  }

  #isSending(): boolean {
    return this.#phase === 'sending' || this.#phase === 'opening';
  }

  #fates(): Fates {
    return (this.#fatesSoFar ??= new Fates(this.#delivery, this.#connection));
  }

  get #waiting(): Queue {
    return (this.#queue ??= new Queue(this.#bounds, (writes, reason) => {
      if (this.#fates().droppedByQueue(writes, reason)) this.#checkRoom();
    }));
  }

  get #isBelowMark(): boolean {
    return (this.#queue?.bytes ?? 0) < highWaterMark(this.#bounds.maxBytes);
  }

  get #writableSender(): Sender | undefined {
    return this.#phase !== 'turning' && this.#sender?.transport.writable === true ? this.#sender : undefined;
  }

  #writeWithChecks(bytes: Bytes, callback: WriteCallback | undefined, options: WriteOptions | undefined): boolean {
    this.#makeRoomFor(bytes);
    const size = sizeOf(bytes);
    const sender = this.#writableSender;
    const refusal = this.#refusal(size, options, sender);
    if (refusal !== undefined) {
      this.refuse(bytes, callback, refusal);
      return false;
    }
    this.#fates().counts.accepted.add(1, size);
    if (sender === undefined) {
      this.#waiting.put(joined(bytes), callback, options);
      return this.#wantRoomUnless(this.#isBelowMark);
    }
    // It goes ahead of what waits, as all that `open` listeners write.
    if (options?.key !== undefined) this.#queue?.replace(options.key);
    return this.#wantRoomUnless(
      Array.isArray(bytes) ? sender.sendParts(bytes, size, callback) : sender.send(bytes, callback),
    );
  }

  /**
   * Hands over what this tick has brought so far, where the transport may be full and for parts, which go out behind it.
   * The transport may break here, or its stream call back into the application: all else is asked afterwards.
   */
  #makeRoomFor(bytes: Bytes): void {
    if (Array.isArray(bytes) || this.#sender?.isFull(this.#bounds.maxBytes) === true) this.sendNow();
  }

  #wantRoomUnless(hasRoom: boolean): boolean {
    if (!hasRoom) this.#wantsRoom = true;
    return hasRoom;
  }

  #refusal(bytes: number, options: WriteOptions | undefined, sender: Sender | undefined): ConnectionError | undefined {
    const { tag } = this.#connection;
    const { maxBytes } = this.#bounds;
    if (this.#isSealed()) return closedError(tag);
    if (options?.signal?.aborted === true) {
      // Its `false` says to wait for `drain`, as any other. Not in this tick: a writer that repeats it must not spin.
      this.#wantsRoom = true;
      setImmediate(() => this.#checkRoom());
      return abortedError(tag, options.signal);
    }
    // A transport is full when its bound is reached, so that one large chunk passes; the queue never exceeds its bound.
    if (sender === undefined ? this.#waiting.accepts(bytes, options) : !sender.isFull(maxBytes)) return undefined;
    this.#wantsRoom = true;
    return fullError(tag, bytes, maxBytes, sender !== undefined);
  }

  #sendQueue(): void {
    const queue = this.#queue;
    let sender = this.#writableSender;
    if (sender === undefined || queue === undefined || queue.writes === 0) return;
    queue.expire();
    sender.expectMore();
    // The transport may break on the way: the rest stays in the queue.
    for (; sender !== undefined; sender = this.#writableSender) {
      const write = queue.take();
      if (write === undefined) return;
      sender.send(write.chunk, write.callback);
    }
  }

  #dropAll(reason: DropReason, error: () => ConnectionError): () => void {
    // Nothing was ever written.
    if (this.#fatesSoFar === undefined) return () => undefined;
    return this.#fates().dropped(this.#queue?.takeAll() ?? [], reason, error);
  }

  /** Emits `drain` if it is due: writes have left the queue without being sent. */
  #checkRoom(): void {
    if (this.#phase !== 'queueing') this.onDrain();
    else if (this.#isBelowMark) this.#reportRoom();
  }

  #reportRoom(): void {
    if (!this.#wantsRoom || (this.hasWaiting && !this.#isBelowMark)) return;
    this.#wantsRoom = false;
    this.#delivery.deliver('drain');
  }
}
