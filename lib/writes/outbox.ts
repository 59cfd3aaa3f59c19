import { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import { shielded } from '../events/emitter';
import type { ConnectionEvents, DropReason, WriteCount } from '../events/events';
import { WriteCounts, type WriteTotals } from './counts';
import type { Transport } from '../socket/transport';
import type { QueueOptions } from '../options/options';
import { LEAST_WRITES, Queue, type QueueHost, highWaterMark, mostWrites } from './queue';
import { type Batch, Sender, type SenderHost } from './sender';
import { type Write, type WriteCallback, Counter } from './write';

/**
 * `holding`: no session, writes wait. `greeting`: a session has opened and its `open` listeners write ahead of those
 * that wait. `flowing`: writes go to the socket. `sealed`: no more writes are taken. `closed`: the lifecycle is over.
 */
type Phase = 'holding' | 'greeting' | 'flowing' | 'sealed' | 'closed';

/** Where a write's fate is decided: sent at most once, and its callback called exactly once. */
export class Outbox implements QueueHost, SenderHost {
  readonly #bounds: Required<QueueOptions>;
  readonly #delivery: DeliveryQueue<ConnectionEvents>;
  readonly #connection: { readonly tag: string };
  /** There is one from the first write on that has to wait. */
  #waiting: Queue | undefined;
  /** There is one from the first write on: many connections only listen. */
  #ledger: WriteCounts | undefined;
  #phase: Phase = 'holding';
  #link: Transport | undefined;
  #gathers = false;
  /** There is one from the first write of a session on: many sessions only listen. */
  #sender: Sender | undefined;
  #wantsRoom = false;
  /** Whether a refusal is being told of. */
  #isTelling = false;

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
    const writes = (this.#waiting?.writes ?? 0) + (this.#sender?.writes ?? 0);
    return (this.#ledger ?? new WriteCounts()).totals({ writes, bytes: this.pendingBytes });
  }

  /** Bytes accepted whose fate is open. */
  get pendingBytes(): number {
    return (this.#waiting?.bytes ?? 0) + (this.#sender?.bytes ?? 0);
  }

  /** Whether writes wait for a session. */
  get hasWaiting(): boolean {
    return this.#waiting !== undefined && this.#waiting.writes > 0;
  }

  /** Whether a write goes to a socket, and not into the queue. */
  get isConnected(): boolean {
    return this.#canSend(this.#link);
  }

  /** Takes a write. Returns false when the writer should wait for room, or when the write was refused. */
  write(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    const link = this.#canSend(this.#link) ? this.#link : undefined;
    const refusal = this.#refusal(chunk, link);
    if (refusal !== undefined) {
      this.refuse(chunk, callback, refusal);
      return false;
    }
    this.#books.accepted.add(1, chunk.length);
    const room = link === undefined ? this.#wait(chunk, callback) : this.#senderTo(link).send(chunk, callback);
    if (!room) this.#wantsRoom = true;
    return room;
  }

  /** Does not take a write, and says why: to its callback, or else in a `drop`. */
  refuse(chunk: Buffer, callback: WriteCallback | undefined, error: ConnectionError): void {
    this.#books.refused.add(1, chunk.length);
    if (callback !== undefined) {
      process.nextTick(() => this.#settle([callback], error));
      return;
    }
    const tell = () => {
      this.#isTelling = true;
      // After the end the writer has its `false`, and no event follows `close`.
      if (this.#phase !== 'closed')
        this.#delivery.deliver('drop', { chunk, bytes: chunk.length, reason: 'refused', error });
      this.#isTelling = false;
    };
    // A listener that writes again what was dropped must not keep the process from everything else.
    if (this.#isTelling) setImmediate(tell);
    else tell();
  }

  /**
   * A session has opened: from now on writes go to `link`, ahead of those that wait.
   *
   * @param gathers - Whether it is a socket of Node's, which has done with the bytes of a write when it says so.
   */
  attach(link: Transport, gathers: boolean): void {
    this.#link = link;
    this.#gathers = gathers;
    this.#phase = 'greeting';
    this.#waiting?.unwatch();
  }

  /** The session has been greeted: sends what waits, and then what is written. */
  flush(): void {
    this.#phase = 'flowing';
    this.#flush();
    this.sendNow();
    this.onDrain();
  }

  /** Takes no more writes. Those that wait go out if there is a session, else wait for the one being dialled. */
  seal(): void {
    this.#phase = 'sealed';
    this.#flush();
    this.sendNow();
  }

  /** Hands to the socket what this turn of the loop has brought so far: its writing side is about to end. */
  sendNow(): void {
    this.#sender?.flush();
  }

  /** The socket has room again. */
  onDrain(): void {
    const link = this.#link;
    if (this.#phase !== 'flowing' || !this.#canSend(link) || link.writableNeedDrain) return;
    if ((this.#sender?.backlog ?? 0) < link.writableHighWaterMark || link.writableHighWaterMark === 0) this.#tellRoom();
  }

  /**
   * The session is over: what it did not confirm has become uncertain.
   *
   * @returns how much that is, and a function that tells the callbacks
   */
  detach(cause: Error | undefined): { readonly uncertain: WriteCount; readonly settle: () => void } {
    const lost = this.#sender?.takeAll() ?? [];
    const uncertain = new Counter();
    for (const { writes, bytes } of lost) uncertain.add(writes, bytes);
    const { writes, bytes } = uncertain.count;
    if (writes > 0) this.#books.uncertain.add(writes, bytes);
    this.#link = undefined;
    this.#sender = undefined;
    if (!this.#isSealed) this.#phase = 'holding';
    this.#waiting?.watch();
    return { uncertain: uncertain.count, settle: () => this.#settleUncertain(lost, cause) };
  }

  /**
   * The lifecycle is over: what still waits will never be sent.
   *
   * @returns a function that tells about it
   */
  drop(reason: DropReason, error: ConnectionError): () => void {
    this.#phase = 'closed';
    this.#waiting?.unwatch();
    const writes = this.#waiting?.takeAll() ?? [];
    for (const { chunk } of writes) this.#books.dropped.add(1, chunk.length);
    return () => {
      for (const write of writes) this.#tellDropped(write, reason, error);
    };
  }

  /** A new lifecycle begins. */
  reopen(): void {
    this.#phase = 'holding';
    this.#wantsRoom = false;
  }

  get #isSealed(): boolean {
    return this.#phase === 'sealed' || this.#phase === 'closed';
  }

  get #books(): WriteCounts {
    return (this.#ledger ??= new WriteCounts());
  }

  #tellRoom(): void {
    if (!this.#wantsRoom || (this.hasWaiting && !this.#isBelowMark)) return;
    this.#wantsRoom = false;
    this.#delivery.deliver('drain');
  }

  get #isBelowMark(): boolean {
    return (this.#waiting?.bytes ?? 0) < highWaterMark(this.#bounds.maxBytes);
  }

  #refusal(chunk: Buffer, link: Transport | undefined): ConnectionError | undefined {
    const { maxBytes } = this.#bounds;
    if (link !== undefined && !this.#isSealed && this.#isFarFromFull(maxBytes)) return undefined;
    const { tag } = this.#connection;
    if (this.#isSealed) {
      return new ConnectionError('ERR_CLOSED', `The connection to ${tag} is closed for writing`, { tag });
    }
    // A socket is full when its bound is reached, so that one large chunk passes; the queue never exceeds its bound.
    const maxWrites = mostWrites(maxBytes);
    const { writes = 0, bytes = 0 } = this.#waiting ?? {};
    const full =
      link === undefined
        ? bytes + chunk.length > maxBytes || writes >= maxWrites || maxBytes === 0
        : this.#isFull(link, maxWrites);
    if (!full) return undefined;
    this.#wantsRoom = true;
    const message = `The queue for ${tag} has no room for ${chunk.length} bytes: its bound is ${maxBytes} bytes and ${maxWrites} writes`;
    return new ConnectionError('ERR_QUEUE_FULL', message, { tag });
  }

  /** What holds for almost every write, found out at little cost. */
  #isFarFromFull(maxBytes: number): boolean {
    const sender = this.#sender;
    return sender !== undefined && sender.writes < LEAST_WRITES && sender.backlog < maxBytes;
  }

  #isFull(link: Transport, maxWrites: number): boolean {
    const sender = this.#sender;
    if (sender === undefined || !this.#isOver(sender, link, maxWrites)) return false;
    // The kernel may have room for what this turn has brought so far.
    sender.flush();
    return this.#isOver(sender, link, maxWrites);
  }

  #isOver({ backlog, writes }: Sender, link: Transport, maxWrites: number): boolean {
    return (
      backlog >= Math.max(this.#bounds.maxBytes, link.writableHighWaterMark) || (backlog > 0 && writes >= maxWrites)
    );
  }

  #canSend(link: Transport | undefined): link is Transport {
    return link?.writable === true;
  }

  #senderTo(link: Transport): Sender {
    return (this.#sender ??= new Sender(link, this.#gathers, this));
  }

  /** The kernel has taken a batch. */
  onConfirmed({ writes, bytes, callbacks }: Batch): void {
    this.#books.confirmed.add(writes, bytes);
    if (callbacks !== undefined) this.#settle(callbacks);
    // The stream says that it has room only where it has said that it had none.
    if (this.#wantsRoom) this.onDrain();
  }

  /** The kernel has taken a write of which nobody else wants to hear. */
  onTaken(bytes: number): void {
    this.#books.confirmed.add(1, bytes);
  }

  /** A write has waited for too long. */
  onExpired(write: Write): void {
    this.#books.dropped.add(1, write.chunk.length);
    const { tag } = this.#connection;
    const message = `A write for ${tag} waited longer than ${this.#bounds.maxAge} ms`;
    this.#tellDropped(write, 'expired', new ConnectionError('ERR_EXPIRED', message, { tag }));
  }

  /** The time of some writes is over. */
  onExpiry(): void {
    if (this.#phase === 'holding') this.#tellRoom();
  }

  #wait(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    this.#waiting ??= new Queue(this.#bounds.maxAge, this);
    this.#waiting.put(chunk, callback);
    if (this.#link === undefined) this.#waiting.watch();
    return this.#isBelowMark;
  }

  #flush(): void {
    const link = this.#link;
    const waiting = this.#waiting;
    if (!this.#canSend(link) || waiting === undefined || waiting.writes === 0) return;
    waiting.expire();
    const sender = this.#senderTo(link);
    sender.expectMore();
    // It may break on the way: what was not handed to it keeps waiting.
    while (link.writable) {
      const write = waiting.take();
      if (write === undefined) return;
      sender.send(write.chunk, write.callback);
    }
  }

  /** Calls back after everything that was queued before, and never while `write()` runs. */
  #settle(callbacks: readonly WriteCallback[], error?: ConnectionError): void {
    this.#delivery.enqueue(() => {
      for (const callback of callbacks) shielded(() => callback(error));
    });
  }

  #tellDropped({ chunk, callback }: Write, reason: DropReason, error: ConnectionError): void {
    this.#delivery.deliver('drop', { chunk, bytes: chunk.length, reason, error });
    if (callback !== undefined) this.#settle([callback], error);
  }

  #settleUncertain(lost: readonly Batch[], cause: Error | undefined): void {
    // An error is costly to make, and most sessions leave nothing behind.
    if (lost.every(({ callbacks }) => callbacks === undefined)) return;
    const { tag } = this.#connection;
    const message = `The session with ${tag} ended before it confirmed this write, which may or may not have arrived`;
    const error = new ConnectionError('ERR_DELIVERY_UNCERTAIN', message, { cause, tag });
    for (const { callbacks } of lost) if (callbacks !== undefined) this.#settle(callbacks, error);
  }
}
