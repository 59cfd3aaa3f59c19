import type { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { ConnectionEvents, DropReason, WriteCount } from '../events/events';
import type { QueueOptions } from '../options/options';
import type { WriteOptions } from '../options/write-options';
import type { Transport } from '../socket/transport';
import { LEAST_WRITES, highWaterMark, mostWrites } from './bounds';
import { WriteCounts, type WriteTotals } from './counts';
import { type QueueDropReason, Queue } from './queue';
import { Reports } from './reports';
import { type Batch, Sender } from './sender';
import { type Write, type WriteCallback, Counter } from './write';
import { abortedError, clearedError, closedError, fullError, queueDropError, uncertainError } from './write-errors';

/**
 * `queueing`: there is no session, writes go to the queue. `opening`: a session has opened, and what its `open`
 * listeners write is sent ahead of the queue. `sending`: writes go to the transport. `sealed`: writes are refused. `closed`:
 * the lifecycle is over.
 */
type Phase = 'queueing' | 'opening' | 'sending' | 'sealed' | 'closed';

/** Takes the writes of a connection: each is sent at most once, and its callback is called exactly once. */
export class Outbox {
  readonly #bounds: Required<QueueOptions>;
  readonly #delivery: DeliveryQueue<ConnectionEvents>;
  readonly #connection: { readonly tag: string };
  #phase: Phase = 'queueing';
  #transport: Transport | undefined;
  #isOwn = false;
  // Each of these is made by the first write that needs it: many connections only listen.
  #queue: Queue | undefined;
  #sender: Sender | undefined;
  #counts: WriteCounts | undefined;
  #reported: Reports | undefined;
  /** Whether a write returned false, so that `drain` is due. */
  #wantsRoom = false;

  /** @param connection - Named in errors. */
  constructor(
    bounds: Required<QueueOptions>,
    delivery: DeliveryQueue<ConnectionEvents>,
    connection: { readonly tag: string },
  ) {
    this.#bounds = bounds;
    this.#delivery = delivery;
    this.#connection = connection;
  }

  get totals(): WriteTotals {
    const writes = (this.#queue?.writes ?? 0) + (this.#sender?.writes ?? 0);
    return (this.#counts ?? new WriteCounts()).totals({ writes, bytes: this.pendingBytes });
  }

  /** Bytes that were accepted and are neither confirmed nor uncertain nor dropped. */
  get pendingBytes(): number {
    return (this.#queue?.bytes ?? 0) + (this.#sender?.bytes ?? 0);
  }

  /** Whether writes wait for a session. */
  get hasWaiting(): boolean {
    return this.#queue !== undefined && this.#queue.writes > 0;
  }

  /** Whether a write goes to a transport, and not into the queue. */
  get isConnected(): boolean {
    return this.#writableTransport() !== undefined;
  }

  /** Takes a write. Returns false when the writer should wait for room, or when the write was refused. */
  write(chunk: Buffer, callback: WriteCallback | undefined, options?: WriteOptions): boolean {
    const transport = this.#writableTransport();
    if (transport === undefined || options !== undefined || this.#isSealed || !this.#isFarFromFull()) {
      return this.#writeWithChecks(chunk, callback, options);
    }
    this.#counted.accepted.add(1, chunk.length);
    return this.#send(transport, chunk, callback);
  }

  /** Does not take a write: its callback gets `error`, or else a `drop` event says so. */
  refuse(chunk: Buffer, callback: WriteCallback | undefined, error: ConnectionError): void {
    this.#counted.refused.add(1, chunk.length);
    // After the end the writer has its `false`, and no event follows `close`.
    this.#reports.refused(chunk, callback, error, () => this.#phase !== 'closed');
  }

  /** Drops what waits. */
  clear(): WriteCount {
    const count = { writes: this.#queue?.writes ?? 0, bytes: this.#queue?.bytes ?? 0 };
    if (count.writes === 0) return count;
    const error = clearedError(this.#connection.tag);
    this.#reports.dropped(this.#takeAllDropped(), 'cleared', () => error);
    this.#checkRoom();
    return count;
  }

  /**
   * A session has opened: from now on writes go to `transport`, ahead of the queue.
   *
   * @param isOwn - Whether it is a socket of Node's, and not a stream from a custom `dial`.
   */
  attach(transport: Transport, isOwn: boolean): void {
    this.#transport = transport;
    this.#isOwn = isOwn;
    this.#phase = 'opening';
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
    const transport = this.#writableTransport();
    if (this.#phase !== 'sending' || transport === undefined || transport.writableNeedDrain) return;
    const mark = transport.writableHighWaterMark;
    if ((this.#sender?.backlog ?? 0) < mark || mark === 0) this.#reportRoom();
  }

  /**
   * The session is over: what it did not confirm is uncertain now.
   *
   * @returns how much that is, and a function that calls the callbacks
   */
  detach(cause: Error | undefined): { readonly uncertain: WriteCount; readonly settle: () => void } {
    const batches = this.#sender?.takeAll() ?? [];
    const uncertain = new Counter();
    for (const { writes, bytes } of batches) uncertain.add(writes, bytes);
    const { writes, bytes } = uncertain.count;
    if (writes > 0) this.#counted.uncertain.add(writes, bytes);
    this.#transport = undefined;
    this.#sender = undefined;
    if (!this.#isSealed) this.#phase = 'queueing';
    return { uncertain: uncertain.count, settle: () => this.#settleUncertain(batches, cause) };
  }

  /**
   * The lifecycle is over: what is still queued will never be sent.
   *
   * @returns a function that reports it
   */
  drop(reason: DropReason, error: ConnectionError): () => void {
    this.#phase = 'closed';
    const writes = this.#takeAllDropped();
    return () => this.#reports.dropped(writes, reason, () => error);
  }

  /** A new lifecycle begins. */
  reopen(): void {
    this.#phase = 'queueing';
    this.#wantsRoom = false;
  }

  get #isSealed(): boolean {
    return this.#phase === 'sealed' || this.#phase === 'closed';
  }

  get #counted(): WriteCounts {
    return (this.#counts ??= new WriteCounts());
  }

  get #reports(): Reports {
    return (this.#reported ??= new Reports(this.#delivery));
  }

  get #waiting(): Queue {
    return (this.#queue ??= new Queue(this.#bounds, (writes, reason) => this.#onQueueDrop(writes, reason)));
  }

  get #isBelowMark(): boolean {
    return (this.#queue?.bytes ?? 0) < highWaterMark(this.#bounds.maxBytes);
  }

  #writableTransport(): Transport | undefined {
    return this.#transport?.writable === true ? this.#transport : undefined;
  }

  #senderTo(transport: Transport): Sender {
    return (this.#sender ??= new Sender(transport, this.#isOwn, (writes, bytes, callbacks) => {
      this.#onConfirmed(writes, bytes, callbacks);
    }));
  }

  #writeWithChecks(chunk: Buffer, callback: WriteCallback | undefined, options: WriteOptions | undefined): boolean {
    // The transport may break here, or its stream call back into the application: all else is asked afterwards.
    this.#flushIfFull();
    const transport = this.#writableTransport();
    const refusal = this.#refusal(chunk.length, options, transport);
    if (refusal !== undefined) {
      this.refuse(chunk, callback, refusal);
      return false;
    }
    this.#counted.accepted.add(1, chunk.length);
    if (transport === undefined) return this.#enqueue(chunk, callback, options);
    if (options?.key !== undefined) this.#queue?.replace(options.key);
    return this.#send(transport, chunk, callback);
  }

  #send(transport: Transport, chunk: Buffer, callback: WriteCallback | undefined): boolean {
    const hasRoom = this.#senderTo(transport).send(chunk, callback);
    if (!hasRoom) this.#wantsRoom = true;
    return hasRoom;
  }

  #enqueue(chunk: Buffer, callback: WriteCallback | undefined, options: WriteOptions | undefined): boolean {
    this.#waiting.put(chunk, callback, options);
    if (this.#isBelowMark) return true;
    this.#wantsRoom = true;
    return false;
  }

  #refusal(
    bytes: number,
    options: WriteOptions | undefined,
    transport: Transport | undefined,
  ): ConnectionError | undefined {
    const { tag } = this.#connection;
    if (this.#isSealed) return closedError(tag);
    if (options?.signal?.aborted === true) {
      // Its `false` says to wait for `drain`, as any other.
      this.#wantsRoom = true;
      process.nextTick(() => this.#checkRoom());
      return abortedError(tag, options.signal);
    }
    // A transport is full when its bound is reached, so that one large chunk passes; the queue never exceeds its bound.
    const isConnected = transport !== undefined;
    if (isConnected ? !this.#isFull(transport) : this.#waiting.accepts(bytes, options)) return undefined;
    this.#wantsRoom = true;
    return fullError(tag, bytes, this.#bounds.maxBytes, isConnected);
  }

  /** A cheap check that almost every write passes. */
  #isFarFromFull(): boolean {
    const sender = this.#sender;
    return sender !== undefined && sender.writes < LEAST_WRITES && sender.backlog < this.#bounds.maxBytes;
  }

  #isFull(transport: Transport): boolean {
    const sender = this.#sender;
    if (sender === undefined) return false;
    const { backlog, writes } = sender;
    const maxBytes = Math.max(this.#bounds.maxBytes, transport.writableHighWaterMark);
    return backlog >= maxBytes || (backlog > 0 && writes >= mostWrites(this.#bounds.maxBytes));
  }

  /** The kernel may have room for what this tick has brought so far. */
  #flushIfFull(): void {
    const transport = this.#writableTransport();
    if (transport !== undefined && !this.#isSealed && this.#isFull(transport)) this.#sender?.flush();
  }

  #sendQueue(): void {
    const queue = this.#queue;
    let transport = this.#writableTransport();
    if (transport === undefined || queue === undefined || queue.writes === 0) return;
    queue.expire();
    const sender = this.#senderTo(transport);
    sender.expectMore();
    // The transport may break on the way: the rest stays in the queue.
    for (; transport !== undefined; transport = this.#writableTransport()) {
      const write = queue.take();
      if (write === undefined) return;
      sender.send(write.chunk, write.callback);
    }
  }

  #onConfirmed(writes: number, bytes: number, callbacks: readonly WriteCallback[] | undefined): void {
    this.#counted.confirmed.add(writes, bytes);
    if (callbacks !== undefined) this.#reports.settle(callbacks);
    // The stream emits `drain` only if a write to it returned false, which one to the outbox may do earlier.
    if (this.#wantsRoom) this.onDrain();
  }

  /** The queue has dropped writes: by itself, or for the sake of one that is being written. */
  #onQueueDrop(writes: readonly Write[], reason: QueueDropReason): void {
    this.#countDropped(writes);
    const errorOf = (write: Write) => queueDropError(this.#connection.tag, reason, write);
    if (reason === 'replaced' || reason === 'overflow') return this.#reports.droppedLater(writes, reason, errorOf);
    this.#reports.dropped(writes, reason, errorOf);
    this.#checkRoom();
  }

  #takeAllDropped(): Write[] {
    const writes = this.#queue?.takeAll() ?? [];
    this.#countDropped(writes);
    return writes;
  }

  #countDropped(writes: readonly Write[]): void {
    for (const { chunk } of writes) this.#counted.dropped.add(1, chunk.length);
  }

  /** Emits `drain` if it is due: writes have left the queue without being sent. */
  #checkRoom(): void {
    if (this.#phase === 'queueing' && this.#isBelowMark) this.#reportRoom();
    else this.onDrain();
  }

  #reportRoom(): void {
    if (!this.#wantsRoom || (this.hasWaiting && !this.#isBelowMark)) return;
    this.#wantsRoom = false;
    this.#delivery.deliver('drain');
  }

  #settleUncertain(batches: readonly Batch[], cause: Error | undefined): void {
    // An error takes time to make, and most sessions leave no callbacks behind.
    if (batches.every(({ callbacks }) => callbacks === undefined)) return;
    const error = uncertainError(this.#connection.tag, cause);
    for (const { callbacks } of batches) if (callbacks !== undefined) this.#reports.settle(callbacks, error);
  }
}
