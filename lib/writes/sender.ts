import { toError } from '../errors';
import { type Transport, destroyTransport } from '../socket/transport';
import { type WriteBuffer, give, release, take } from './write-buffer';
import { Turns, type TurnsHost } from './tick-batching';
import type { WriteCallback } from './write';

/** Writes that were handed to the socket as one, and so share one fate. */
export interface Batch {
  writes: number;
  bytes: number;
  callbacks: WriteCallback[] | undefined;
  /** Where their bytes are, if they were gathered. */
  slab: WriteBuffer | undefined;
  next: Batch | undefined;
}

/** Who a sender reports to. */
export interface SenderHost {
  /** The kernel took a batch. They come in order. */
  onConfirmed(batch: Batch): void;
  /** The kernel took a write without a callback, of so many bytes, as soon as it was handed over. */
  onTaken(bytes: number): void;
}

/** Called by a stream that has done with a write. */
type Written = (error?: Error | null) => void;

/** Larger chunks are not copied: that would cost more than a place of their own in the system call. */
const LARGEST_COPIED = 512;

/** From so many bytes on there is no point in waiting for more: a system call costs less than moving them. */
const MUCH = 1_048_576;

/** Written behind bytes of which it is to be known when the kernel has taken them. */
const NOTHING = Buffer.alloc(0);

/**
 * Hands writes to one session's link, those of one turn of the loop in one system call. Small ones are gathered in a
 * slab, larger ones in the link's own cork. A write that is alone in its turn is not held up: when the turn before had
 * but one, the first goes out at once. Otherwise they leave with `process.nextTick`, before any other event.
 *
 * A lone write asks Node for no word of it where none is needed: a socket whose stream keeps nothing of it has given it
 * to the kernel.
 */
export class Sender implements TurnsHost {
  readonly link: Transport;
  /** Writes handed over, or gathered to be, whose fate is open. */
  writes = 0;
  bytes = 0;

  /** Whether bytes may be gathered: a stream that is no socket may keep the very memory it was handed. */
  readonly #gathers: boolean;
  /** Whether it shows at once when the kernel has taken a write. */
  readonly #shows: boolean;
  readonly #host: SenderHost;
  readonly #turns = new Turns(this);
  readonly #onWritten: Written;
  #first: Batch | undefined;
  #last: Batch | undefined;
  /** The one being gathered. */
  #open: Batch | undefined;
  /** Where its bytes begin in its slab. */
  #start = 0;
  #isCorked = false;
  /** What the cork holds that is to share a batch. */
  #corked: Batch | undefined;

  constructor(link: Transport, gathers: boolean, host: SenderHost) {
    this.link = link;
    this.#gathers = gathers;
    // TLS keeps to itself for a while what it has been given.
    this.#shows = gathers && link.encrypted !== true && link.writableHighWaterMark > 0;
    this.#host = host;
    // One function a session, not one a write.
    this.#onWritten = (error) => {
      // What failed stays until the session ends, which is near. Nor does Node tell of an error when the socket of a
      // write under way is destroyed: it may be half sent.
      if (error || link.destroyed) return;
      // Node says so with `process.nextTick` at the earliest: a turn with one write needs no other end.
      this.#turns.end();
      const batch = this.#takeFirst();
      if (batch !== undefined) host.onConfirmed(batch);
    };
  }

  /** Bytes that the kernel has not taken yet. */
  get backlog(): number {
    return this.link.writableLength + (this.#open?.bytes ?? 0);
  }

  /** Takes a write. Returns whether there is room for more. */
  send(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    const place = this.#turns.add();
    if (place === 'later') {
      if (this.#gather(chunk, callback)) return this.backlog < this.link.writableHighWaterMark;
      this.#handLater(chunk, callback);
    } else {
      const isUnheard = place === 'lone' && callback === undefined && this.#handUnheard(chunk);
      if (!isUnheard) this.#handOne(chunk, callback);
    }
    return this.#hasRoom;
  }

  /** Several writes are to follow in this turn: the first of them need not go out alone. */
  expectMore(): void {
    this.#turns.expectMore();
  }

  /** Hands over what was gathered, now. */
  flush(): void {
    this.#closeBatch();
    this.#closeCork();
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#shield(() => this.link.uncork());
  }

  onTurnEnd(): void {
    this.flush();
  }

  /** Gives up on what is not confirmed: it is the caller's. */
  takeAll(): Batch[] {
    this.flush();
    const batches: Batch[] = [];
    for (let batch = this.#takeFirst(); batch !== undefined; batch = this.#takeFirst()) batches.push(batch);
    return batches;
  }

  get #hasRoom(): boolean {
    // A stream that threw has been destroyed.
    return this.link.writable && this.backlog < this.link.writableHighWaterMark;
  }

  /** Whether the link is well and keeps nothing of what it was handed. */
  #isClear(): boolean {
    return this.link.writable && this.link.writableLength === 0;
  }

  /** Copies a small chunk behind those that were gathered before it. Returns false where it does not fit. */
  #gather(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    const { length } = chunk;
    if (length > LARGEST_COPIED) return false;
    let batch = this.#open;
    if (batch !== undefined && batch.slab!.end + length > batch.slab!.bytes.length) {
      this.#closeBatch();
      batch = undefined;
    }
    batch ??= this.#openBatch();
    if (batch === undefined) return false;
    const slab = batch.slab!;
    slab.bytes.set(chunk, slab.end);
    slab.end += length;
    this.#add(batch, length, callback);
    return true;
  }

  #openBatch(): Batch | undefined {
    // Behind a socket that is slow, the stream keeps the chunks and hands them over together by itself.
    if (!this.#gathers || this.link.writableLength > 0) return undefined;
    const slab = take();
    if (slab === undefined) return undefined;
    this.#start = slab.end;
    this.#open = newBatch(slab);
    return this.#open;
  }

  #closeBatch(): void {
    const batch = this.#open;
    if (batch === undefined) return;
    this.#open = undefined;
    const slab = batch.slab!;
    slab.readers += 1;
    this.#hand(batch, slab.bytes.subarray(this.#start, slab.end));
    if (this.link.writableLength === 0) {
      // The kernel has it all: the slab is as it was before.
      batch.slab = undefined;
      slab.readers -= 1;
      slab.end = this.#start;
    }
    give(slab);
  }

  /** At the end of the turn, together with what else it brings, or as soon as that is much. */
  #handLater(chunk: Buffer, callback: WriteCallback | undefined): void {
    // A stream that is waiting for its socket puts off what comes behind by itself.
    if (!this.#isCorked && (this.#open !== undefined || this.link.writableLength === 0)) {
      this.#isCorked = true;
      this.#shield(() => this.link.cork());
    }
    this.#closeBatch();
    if (this.#isCorked && this.#gathers) this.#putInCork(chunk, callback);
    else this.#handOne(chunk, callback);
    if (this.#isCorked && this.link.writableLength >= MUCH) this.flush();
  }

  /** Hands over a write of which nobody wants to hear, where it shows what became of it. Returns whether it does. */
  #handUnheard(chunk: Buffer): boolean {
    if (!this.#shows || !this.#isClear()) return false;
    this.#write(chunk, undefined);
    if (this.#isClear()) this.#host.onTaken(chunk.length);
    else this.#handOne(chunk, undefined, NOTHING);
    return true;
  }

  /** What leaves the cork together shares one word of the link's: a word for each would cost more than the rest. */
  #putInCork(chunk: Buffer, callback: WriteCallback | undefined): void {
    this.#corked ??= newBatch();
    this.#add(this.#corked, chunk.length, callback);
    this.#write(chunk, undefined);
  }

  #closeCork(): void {
    const batch = this.#corked;
    if (batch === undefined) return;
    this.#corked = undefined;
    this.#hand(batch, NOTHING);
  }

  /** Makes a batch of one write, of which `rest` is still to be written. */
  #handOne(chunk: Buffer, callback: WriteCallback | undefined, rest = chunk): void {
    const batch = newBatch();
    this.#add(batch, chunk.length, callback);
    this.#hand(batch, rest);
  }

  #hand(batch: Batch, chunk: Buffer): void {
    if (this.#last === undefined) this.#first = batch;
    else this.#last.next = batch;
    this.#last = batch;
    // One that has ended meanwhile would complain; its session is about to end, and finds these unconfirmed.
    if (this.link.writable) this.#write(chunk, this.#onWritten);
  }

  #write(chunk: Buffer, onWritten: Written | undefined): void {
    this.#shield(() => this.link.write(chunk, onWritten));
  }

  #add(batch: Batch, bytes: number, callback: WriteCallback | undefined): void {
    this.writes += 1;
    this.bytes += bytes;
    batch.writes += 1;
    batch.bytes += bytes;
    if (callback !== undefined) (batch.callbacks ??= []).push(callback);
  }

  #takeFirst(): Batch | undefined {
    const batch = this.#first;
    if (batch === undefined) return undefined;
    this.#first = batch.next;
    if (this.#first === undefined) this.#last = undefined;
    this.writes -= batch.writes;
    this.bytes -= batch.bytes;
    if (batch.slab !== undefined) release(batch.slab);
    return batch;
  }

  /** A stream that throws is broken, and what it was handed uncertain: its `close` will tell. */
  #shield(call: () => unknown): void {
    try {
      call();
    } catch (error) {
      destroyTransport(this.link, toError(error));
    }
  }
}

function newBatch(slab?: WriteBuffer): Batch {
  return { writes: 0, bytes: 0, callbacks: undefined, slab, next: undefined };
}
