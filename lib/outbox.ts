import { getDefaultHighWaterMark } from 'node:stream';

import { type Link, destroyLink } from './dial';
import { ConnectionError, toError } from './errors';
import type { DropInfo, DropReason, WriteCount } from './events';
import type { QueueOptions } from './options';
import { type Write, type WriteCallback, Line, Tally } from './writes';

/** Who an outbox reports to. Each call may run the application's code. */
export interface OutboxHost {
  readonly tag: string;
  settle(callback: WriteCallback, error?: ConnectionError): void;
  onDrop(info: DropInfo): void;
  onRoom(): void;
}

/** Writes by their fate. At every instant `accepted = confirmed + uncertain + dropped + queued`. */
export interface WriteTotals {
  /** Taken by `write()`. */
  readonly accepted: WriteCount;
  /** Taken by the kernel, which is not delivery. */
  readonly confirmed: WriteCount;
  /** Handed to a socket that died before it confirmed them. */
  readonly uncertain: WriteCount;
  /** Never sent. */
  readonly dropped: WriteCount;
  /** Waiting for a session, or for the socket of this one. */
  readonly queued: WriteCount;
  /** Not taken by `write()`, and so in none of the others. */
  readonly refused: WriteCount;
}

/**
 * `holding`: no session, writes wait. `greeting`: a session has opened and its `open` listeners write ahead of those
 * that wait. `flowing`: writes go to the socket. `sealed`: no more writes are taken.
 */
type Phase = 'holding' | 'greeting' | 'flowing' | 'sealed';

/** A queue holds one write at the most for so many bytes of its bound: many small writes cost more than their bytes. */
const BYTES_A_WRITE = 16;

/** But so many writes in any case. */
const LEAST_WRITES = 1_024;

/** Where a write's fate is decided: sent at most once, and its callback called exactly once. */
export class Outbox {
  readonly #bounds: Required<QueueOptions>;
  readonly #host: OutboxHost;
  readonly #waiting = new Line();
  readonly #inFlight = new Line();
  readonly #accepted = new Tally();
  readonly #confirmed = new Tally();
  readonly #uncertain = new Tally();
  readonly #dropped = new Tally();
  readonly #refused = new Tally();
  #phase: Phase = 'holding';
  #link: Link | undefined;
  #onWritten: WriteCallback | undefined;
  #wantsRoom = false;
  /** Whether a refusal is being told of. */
  #isTelling = false;
  #expiry: NodeJS.Timeout | undefined;

  constructor(bounds: Required<QueueOptions>, host: OutboxHost) {
    this.#bounds = bounds;
    this.#host = host;
  }

  get totals(): WriteTotals {
    return {
      accepted: this.#accepted.count,
      confirmed: this.#confirmed.count,
      uncertain: this.#uncertain.count,
      dropped: this.#dropped.count,
      queued: { writes: this.#waiting.writes + this.#inFlight.writes, bytes: this.pendingBytes },
      refused: this.#refused.count,
    };
  }

  /** Bytes accepted whose fate is open. */
  get pendingBytes(): number {
    return this.#waiting.bytes + this.#inFlight.bytes;
  }

  /** Whether writes wait for a session. */
  get hasWaiting(): boolean {
    return this.#waiting.writes > 0;
  }

  /** Takes a write. Returns false when the writer should wait for room, or when the write was refused. */
  write(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    const refusal = this.#refusal(chunk);
    if (refusal !== undefined) {
      this.#refuse(chunk, callback, refusal);
      return false;
    }
    this.#accepted.add(chunk.length);
    const { maxAge } = this.#bounds;
    const expiresAt = maxAge === Infinity ? Infinity : performance.now() + maxAge;
    const write: Write = { chunk, callback, expiresAt, next: undefined };
    const room = this.#canSend(this.#link) ? this.#send(this.#link, write) : this.#wait(write);
    if (!room) this.#wantsRoom = true;
    return room;
  }

  /** A session has opened: from now on writes go to `link`, ahead of those that wait. */
  attach(link: Link): void {
    this.#link = link;
    // One function a session, not one a write; a late word from an earlier session's socket is not for this one.
    this.#onWritten = (error) => {
      // Node tells no error of a write that was under way when its socket was destroyed: it may be half sent.
      if (this.#link === link && !link.destroyed) this.#confirm(error);
    };
    this.#phase = 'greeting';
    this.#stopExpiry();
  }

  /** The session has been greeted: sends what waits, and then what is written. */
  flush(): void {
    this.#phase = 'flowing';
    this.#flush();
    this.onDrain();
  }

  /** Takes no more writes. Those that wait go out if there is a session, else wait for the one being dialled. */
  seal(): void {
    this.#phase = 'sealed';
    this.#flush();
  }

  /** The socket has room again. */
  onDrain(): void {
    const link = this.#link;
    if (this.#phase === 'flowing' && this.#canSend(link) && !link.writableNeedDrain) this.#tellRoom();
  }

  /**
   * The session is over: what it did not confirm has become uncertain.
   *
   * @returns how much that is, and a function that tells the callbacks
   */
  detach(cause: Error | undefined): { readonly uncertain: WriteCount; readonly settle: () => void } {
    const lost = this.#inFlight.takeAll();
    const uncertain = new Tally();
    for (const { chunk } of lost) {
      uncertain.add(chunk.length);
      this.#uncertain.add(chunk.length);
    }
    this.#link = undefined;
    // It knows its session's socket.
    this.#onWritten = undefined;
    if (this.#phase !== 'sealed') this.#phase = 'holding';
    this.#scheduleExpiry();
    return { uncertain: uncertain.count, settle: () => this.#settleUncertain(lost, cause) };
  }

  /**
   * The lifecycle is over: what still waits will never be sent.
   *
   * @returns a function that tells about it
   */
  drop(reason: DropReason, error: ConnectionError): () => void {
    this.#phase = 'sealed';
    this.#stopExpiry();
    const writes = this.#waiting.takeAll();
    for (const { chunk } of writes) this.#dropped.add(chunk.length);
    return () => {
      for (const write of writes) this.#tellDropped(write, reason, error);
    };
  }

  /** A new lifecycle begins. */
  reopen(): void {
    this.#phase = 'holding';
    this.#wantsRoom = false;
  }

  #tellRoom(): void {
    if (!this.#wantsRoom || (this.hasWaiting && this.#waiting.bytes >= this.#highWaterMark)) return;
    this.#wantsRoom = false;
    this.#host.onRoom();
  }

  /** Bytes waiting for a session from which on a writer should wait for room. */
  get #highWaterMark(): number {
    return Math.min(this.#bounds.maxBytes, getDefaultHighWaterMark(false));
  }

  #refusal(chunk: Buffer): ConnectionError | undefined {
    const { tag } = this.#host;
    const { maxBytes } = this.#bounds;
    if (this.#phase === 'sealed') {
      return new ConnectionError('ERR_CLOSED', `The connection to ${tag} is closed for writing`, { tag });
    }
    // A socket is full when its bound is reached, so that one large chunk passes; the queue never exceeds its bound.
    const maxWrites = Math.max(LEAST_WRITES, Math.floor(maxBytes / BYTES_A_WRITE));
    const full = this.#canSend(this.#link)
      ? this.#link.writableLength >= Math.max(maxBytes, this.#link.writableHighWaterMark) ||
        (this.#link.writableLength > 0 && this.#inFlight.writes >= maxWrites)
      : this.#waiting.bytes + chunk.length > maxBytes || this.#waiting.writes >= maxWrites || maxBytes === 0;
    if (!full) return undefined;
    this.#wantsRoom = true;
    const message = `The queue for ${tag} has no room for ${chunk.length} bytes: its bound is ${maxBytes} bytes and ${maxWrites} writes`;
    return new ConnectionError('ERR_QUEUE_FULL', message, { tag });
  }

  #refuse(chunk: Buffer, callback: WriteCallback | undefined, error: ConnectionError): void {
    this.#refused.add(chunk.length);
    if (callback !== undefined) {
      process.nextTick(() => this.#host.settle(callback, error));
      return;
    }
    const tell = () => {
      this.#isTelling = true;
      this.#host.onDrop({ chunk, bytes: chunk.length, reason: 'refused', error });
      this.#isTelling = false;
    };
    // A listener that writes again what was dropped must not keep the process from everything else.
    if (this.#isTelling) setImmediate(tell);
    else tell();
  }

  #canSend(link: Link | undefined): link is Link {
    return link?.writable === true;
  }

  #send(link: Link, write: Write): boolean {
    this.#inFlight.add(write);
    try {
      return link.write(write.chunk, this.#onWritten);
    } catch (error) {
      // A stream that throws is broken, and the write uncertain: its `close` will tell.
      destroyLink(link, toError(error));
      return false;
    }
  }

  /** The socket calls back in the order of the writes, and from the first error on with errors only. */
  #confirm(error: Error | null | undefined): void {
    // What failed stays in flight until the session ends, which is near, and counts its uncertain writes.
    if (error) return;
    const write = this.#inFlight.take();
    if (write === undefined) return;
    this.#confirmed.add(write.chunk.length);
    if (write.callback !== undefined) this.#host.settle(write.callback);
  }

  #wait(write: Write): boolean {
    this.#waiting.add(write);
    if (this.#link === undefined) this.#scheduleExpiry();
    return this.#waiting.bytes < this.#highWaterMark;
  }

  #flush(): void {
    const link = this.#link;
    if (!this.#canSend(link) || this.#waiting.writes === 0) return;
    this.#expire();
    try {
      link.cork();
      // A link may break on the way: what was not handed to it keeps waiting.
      for (
        let write = this.#waiting.take();
        write !== undefined;
        write = link.writable ? this.#waiting.take() : undefined
      ) {
        this.#send(link, write);
      }
      link.uncork();
    } catch (error) {
      destroyLink(link, toError(error));
    }
  }

  /** One timer, for the oldest write, and only while writes wait for a session. */
  #scheduleExpiry(): void {
    const { first } = this.#waiting;
    if (this.#expiry !== undefined || first === undefined || first.expiresAt === Infinity) return;
    this.#expiry = setTimeout(() => {
      this.#expiry = undefined;
      this.#expire();
      this.#scheduleExpiry();
      if (this.#phase === 'holding') this.#tellRoom();
    }, first.expiresAt - performance.now());
    // Whatever brings the session holds the process if it is to be held.
    this.#expiry.unref();
  }

  #stopExpiry(): void {
    clearTimeout(this.#expiry);
    this.#expiry = undefined;
  }

  #expire(): void {
    const now = performance.now();
    const { tag } = this.#host;
    for (let { first } = this.#waiting; first !== undefined && first.expiresAt <= now; { first } = this.#waiting) {
      this.#waiting.take();
      this.#dropped.add(first.chunk.length);
      const message = `A write for ${tag} waited longer than ${this.#bounds.maxAge} ms`;
      this.#tellDropped(first, 'expired', new ConnectionError('ERR_EXPIRED', message, { tag }));
    }
  }

  #tellDropped({ chunk, callback }: Write, reason: DropReason, error: ConnectionError): void {
    this.#host.onDrop({ chunk, bytes: chunk.length, reason, error });
    if (callback !== undefined) this.#host.settle(callback, error);
  }

  #settleUncertain(writes: readonly Write[], cause: Error | undefined): void {
    const { tag } = this.#host;
    const message = `The session with ${tag} ended before it confirmed this write, which may or may not have arrived`;
    const error = new ConnectionError('ERR_DELIVERY_UNCERTAIN', message, { cause, tag });
    for (const { callback } of writes) if (callback !== undefined) this.#host.settle(callback, error);
  }
}
