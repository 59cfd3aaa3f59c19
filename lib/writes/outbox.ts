import { ConnectionError } from '../errors';
import type { DropInfo, DropReason, WriteCount } from '../events/events';
import { WriteCounts, type WriteTotals } from './counts';
import type { Transport } from '../socket/transport';
import type { QueueOptions } from '../options/options';
import { LEAST_WRITES, Queue, highWaterMark, mostWrites } from './queue';
import { type Batch, Sender } from './sender';
import { type Write, type WriteCallback, Counter } from './write';

/** What an outbox reports. Each call may run the application's code. */
export interface OutboxHost {
  readonly tag: string;
  settle(callbacks: readonly WriteCallback[], error?: ConnectionError): void;
  onDrop(info: DropInfo): void;
  onRoom(): void;
}

/**
 * `queueing`: there is no session, writes go to the queue. `opening`: a session has opened, and what its `open`
 * listeners write is sent ahead of the queue. `sending`: writes go to the transport. `sealed`: writes are refused.
 */
type Phase = 'queueing' | 'opening' | 'sending' | 'sealed';

/** Takes the writes of a connection: each is sent at most once, and its callback is called exactly once. */
export class Outbox {
  readonly #bounds: Required<QueueOptions>;
  readonly #host: OutboxHost;
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

  constructor(bounds: Required<QueueOptions>, host: OutboxHost) {
    this.#bounds = bounds;
    this.#host = host;
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
    return this.#transport?.writable === true;
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
      process.nextTick(() => this.#host.settle([callback], error));
      return;
    }
    const report = () => {
      this.#isReporting = true;
      this.#host.onDrop({ chunk, bytes: chunk.length, reason: 'refused', error });
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
    if (this.#phase !== 'sealed') this.#phase = 'queueing';
    this.#queue?.startTimer();
    return { uncertain: uncertain.count, settle: () => this.#settleUncertain(batches, cause) };
  }

  /**
   * The lifecycle is over: what is still queued will never be sent.
   *
   * @returns a function that reports it
   */
  drop(reason: DropReason, error: ConnectionError): () => void {
    this.#phase = 'sealed';
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
    return (this.#sender ??= new Sender(transport, this.#isOwn, (batch) => this.#onConfirmed(batch)));
  }

  #refusal(chunk: Buffer, transport: Transport | undefined): ConnectionError | undefined {
    const { maxBytes } = this.#bounds;
    if (transport !== undefined && this.#phase !== 'sealed' && this.#isFarFromFull(maxBytes)) return undefined;
    const { tag } = this.#host;
    if (this.#phase === 'sealed') {
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

  #onConfirmed({ writes, bytes, callbacks }: Batch): void {
    this.#counted.confirmed.add(writes, bytes);
    if (callbacks !== undefined) this.#host.settle(callbacks);
    // The stream emits `drain` only if a write to it returned false, which one to the outbox may do earlier.
    if (this.#wantsRoom) this.onDrain();
  }

  #onExpired(writes: readonly Write[]): void {
    for (const { chunk } of writes) this.#counted.dropped.add(1, chunk.length);
    const { tag } = this.#host;
    const message = `A write for ${tag} waited longer than ${this.#bounds.maxAge} ms`;
    for (const write of writes) {
      this.#reportDropped(write, 'expired', new ConnectionError('ERR_EXPIRED', message, { tag }));
    }
    if (this.#phase === 'queueing') this.#reportRoom();
  }

  #reportRoom(): void {
    if (!this.#wantsRoom || (this.hasWaiting && !this.#isBelowMark)) return;
    this.#wantsRoom = false;
    this.#host.onRoom();
  }

  #reportDropped({ chunk, callback }: Write, reason: DropReason, error: ConnectionError): void {
    this.#host.onDrop({ chunk, bytes: chunk.length, reason, error });
    if (callback !== undefined) this.#host.settle([callback], error);
  }

  #settleUncertain(batches: readonly Batch[], cause: Error | undefined): void {
    // An error takes time to make, and most sessions leave no callbacks behind.
    if (batches.every(({ callbacks }) => callbacks === undefined)) return;
    const { tag } = this.#host;
    const message = `The session with ${tag} ended before it confirmed this write, which may or may not have arrived`;
    const error = new ConnectionError('ERR_DELIVERY_UNCERTAIN', message, { cause, tag });
    for (const { callbacks } of batches) if (callbacks !== undefined) this.#host.settle(callbacks, error);
  }
}
