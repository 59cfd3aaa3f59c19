import { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import { shielded } from '../events/emitter';
import type { ConnectionEvents, DropReason, WriteCount } from '../events/events';
import { WriteCounts, type WriteTotals } from './counts';
import type { Transport } from '../socket/transport';
import type { QueueOptions } from '../options/options';
import { LEAST_WRITES, Queue, highWaterMark, mostWrites } from './queue';
import { type Batch, Sender } from './sender';
import { type Write, type WriteCallback, Counter } from './write';

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
  /** Whether a write returned false, so that `drain` is due. */
  #wantsRoom = false;
  /** Whether a listener is being called about a refused write. */
  #isReporting = false;

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
  write(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    const transport = this.#writableTransport();
    const refusal = this.#refusal(chunk, transport);
    if (refusal !== undefined) {
      this.refuse(chunk, callback, refusal);
      return false;
    }
    this.#counted.accepted.add(1, chunk.length);
    const hasRoom =
      transport === undefined ? this.#enqueue(chunk, callback) : this.#senderTo(transport).send(chunk, callback);
    if (!hasRoom) this.#wantsRoom = true;
    return hasRoom;
  }

  /** Does not take a write: its callback gets `error`, or else a `drop` event says so. */
  refuse(chunk: Buffer, callback: WriteCallback | undefined, error: ConnectionError): void {
    this.#counted.refused.add(1, chunk.length);
    if (callback !== undefined) {
      process.nextTick(() => this.#settle([callback], error));
      return;
    }
    const report = () => {
      this.#isReporting = true;
      // After the end the writer has its `false`, and no event follows `close`.
      if (this.#phase !== 'closed') this.#deliverDrop(chunk, 'refused', error);
      this.#isReporting = false;
    };
    // A listener that writes again what was dropped must not starve the event loop.
    if (this.#isReporting) setImmediate(report);
    else report();
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
    this.#queue?.stopTimer();
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
    this.#queue?.startTimer();
    return { uncertain: uncertain.count, settle: () => this.#settleUncertain(batches, cause) };
  }

  /**
   * The lifecycle is over: what is still queued will never be sent.
   *
   * @returns a function that reports it
   */
  drop(reason: DropReason, error: ConnectionError): () => void {
    this.#phase = 'closed';
    this.#queue?.stopTimer();
    const writes = this.#queue?.takeAll() ?? [];
    for (const { chunk } of writes) this.#counted.dropped.add(1, chunk.length);
    return () => {
      for (const write of writes) this.#reportDropped(write, reason, error);
    };
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

  #refusal(chunk: Buffer, transport: Transport | undefined): ConnectionError | undefined {
    const { maxBytes } = this.#bounds;
    if (transport !== undefined && !this.#isSealed && this.#isFarFromFull(maxBytes)) return undefined;
    const { tag } = this.#connection;
    if (this.#isSealed) {
      return new ConnectionError('ERR_CLOSED', `The connection to ${tag} is closed for writing`, { tag });
    }
    // A transport is full when its bound is reached, so that one large chunk passes; the queue never exceeds its bound.
    const maxWrites = mostWrites(maxBytes);
    const { writes = 0, bytes = 0 } = this.#queue ?? {};
    const isFull =
      transport === undefined
        ? bytes + chunk.length > maxBytes || writes >= maxWrites || maxBytes === 0
        : this.#isFull(transport, maxWrites);
    if (!isFull) return undefined;
    this.#wantsRoom = true;
    const message = `The queue for ${tag} has no room for ${chunk.length} bytes: its bound is ${maxBytes} bytes and ${maxWrites} writes`;
    return new ConnectionError('ERR_QUEUE_FULL', message, { tag });
  }

  /** A cheap check that almost every write passes. */
  #isFarFromFull(maxBytes: number): boolean {
    const sender = this.#sender;
    return sender !== undefined && sender.writes < LEAST_WRITES && sender.backlog < maxBytes;
  }

  #isFull(transport: Transport, maxWrites: number): boolean {
    const sender = this.#sender;
    if (sender === undefined || !this.#isOver(sender, transport, maxWrites)) return false;
    // The kernel may have room for what this tick has brought so far.
    sender.flush();
    return this.#isOver(sender, transport, maxWrites);
  }

  #isOver({ backlog, writes }: Sender, transport: Transport, maxWrites: number): boolean {
    const maxBytes = Math.max(this.#bounds.maxBytes, transport.writableHighWaterMark);
    return backlog >= maxBytes || (backlog > 0 && writes >= maxWrites);
  }

  #enqueue(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    this.#queue ??= new Queue(this.#bounds.maxAge, (writes) => this.#onExpired(writes));
    this.#queue.put(chunk, callback);
    if (this.#transport === undefined) this.#queue.startTimer();
    return this.#isBelowMark;
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
    if (callbacks !== undefined) this.#settle(callbacks);
    // The stream emits `drain` only if a write to it returned false, which one to the outbox may do earlier.
    if (this.#wantsRoom) this.onDrain();
  }

  #onExpired(writes: readonly Write[]): void {
    for (const { chunk } of writes) this.#counted.dropped.add(1, chunk.length);
    const { tag } = this.#connection;
    const message = `A write for ${tag} waited longer than ${this.#bounds.maxAge} ms`;
    for (const write of writes) {
      this.#reportDropped(write, 'expired', new ConnectionError('ERR_EXPIRED', message, { tag }));
    }
    if (this.#phase === 'queueing') this.#reportRoom();
  }

  #reportRoom(): void {
    if (!this.#wantsRoom || (this.hasWaiting && !this.#isBelowMark)) return;
    this.#wantsRoom = false;
    this.#delivery.deliver('drain');
  }

  /** Calls back after everything that was queued before, and never while `write()` runs. */
  #settle(callbacks: readonly WriteCallback[], error?: ConnectionError): void {
    this.#delivery.enqueue(() => {
      for (const callback of callbacks) shielded(() => callback(error));
    });
  }

  #deliverDrop(chunk: Buffer, reason: DropReason, error: ConnectionError): void {
    this.#delivery.deliver('drop', { chunk, bytes: chunk.length, reason, error });
  }

  #reportDropped({ chunk, callback }: Write, reason: DropReason, error: ConnectionError): void {
    this.#deliverDrop(chunk, reason, error);
    if (callback !== undefined) this.#settle([callback], error);
  }

  #settleUncertain(batches: readonly Batch[], cause: Error | undefined): void {
    // An error takes time to make, and most sessions leave no callbacks behind.
    if (batches.every(({ callbacks }) => callbacks === undefined)) return;
    const { tag } = this.#connection;
    const message = `The session with ${tag} ended before it confirmed this write, which may or may not have arrived`;
    const error = new ConnectionError('ERR_DELIVERY_UNCERTAIN', message, { cause, tag });
    for (const { callbacks } of batches) if (callbacks !== undefined) this.#settle(callbacks, error);
  }
}
