import { toError } from '../errors';
import { type Transport, destroyTransport } from '../socket/transport';
import { type Batch, addTo, batchOf, newBatch } from './batch';
import { LEAST_WRITES, mostWrites } from './bounds';
import { type WriteBuffer, returnBuffer, takeBuffer } from './write-buffer';
import type { WriteCallback } from './write';

/** Called when the kernel has taken writes. */
export type OnConfirmed = (writes: number, bytes: number, callbacks: readonly WriteCallback[] | undefined) => void;

/** Larger chunks are not copied: an entry of their own in the system call costs less. */
const LARGEST_COPIED = 512;

/** A batch of so many bytes does not wait for the end of the tick: the kernel may have room for it now. */
const LARGEST_BATCH = 1_048_576;

/** After so many single writes, `process.nextTick` ends a tick once: more writes may follow in promises. */
const SINGLES_A_CHECK = 16;

const NOTHING = Buffer.alloc(0);

const resolved = Promise.resolve();

/**
 * Hands writes to the transport of one session. The writes of one tick leave in one system call, by `process.nextTick`,
 * before any other event: small chunks are copied into one, larger ones go out as they are, by `writev`. When the tick
 * before had a single write, the first write of a tick goes out at once, and a microtask finds out that no other followed:
 * `process.nextTick` would cost a sixth of a small write.
 */
export class Sender {
  /** Writes that are not confirmed yet. */
  writes = 0;
  /** Their bytes. */
  bytes = 0;

  readonly #transport: Transport;
  /** Whether it is a socket of Node's. A stream from a custom `dial` may keep the memory that it was given. */
  readonly #isOwn: boolean;
  /** Whether `writableLength` shows all that it holds. A TLS socket does not count what it has encrypted. */
  readonly #showsAll: boolean;
  readonly #onConfirmed: OnConfirmed;
  #writesThisTick = 0;
  /** Whether `process.nextTick` will call `#onTick`. */
  #isAwaitingTick = false;
  /** Whether the tick before had several writes. */
  #isBusy = false;
  #singles = 0;
  /** The writes of this tick that the transport has not got yet, and their chunks. */
  #batch: Batch | undefined;
  #chunks: Buffer[] = [];
  #buffer: WriteBuffer | undefined;
  /** Whether a stream from a custom `dial` is corked until the end of the tick. */
  #isCorked = false;
  /** The oldest and the newest batch that the transport has got and not confirmed. */
  #first: Batch | undefined;
  #last: Batch | undefined;

  constructor(transport: Transport, isOwn: boolean, onConfirmed: OnConfirmed) {
    this.#transport = transport;
    this.#isOwn = isOwn;
    this.#showsAll = isOwn && transport.encrypted !== true;
    this.#onConfirmed = onConfirmed;
  }

  /** Bytes that the kernel has not taken yet. */
  get backlog(): number {
    return this.#transport.writableLength + (this.#batch?.bytes ?? 0);
  }

  /** A cheap check that almost every write passes: whether the transport is writable, and far from full. */
  isFarFromFull(maxBytes: number): boolean {
    // The bytes that are not confirmed are at least the backlog.
    return this.writes < LEAST_WRITES && this.bytes < maxBytes && this.#transport.writable;
  }

  /** Whether `maxBytes`, or the high-water mark if that is more, or too many writes wait: one large chunk passes. */
  isFull(maxBytes: number): boolean {
    const { backlog } = this;
    if (backlog >= Math.max(maxBytes, this.#transport.writableHighWaterMark)) return true;
    return backlog > 0 && this.writes >= mostWrites(maxBytes);
  }

  /** Takes a write. Returns whether there is room for more. */
  send(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    this.writes += 1;
    this.bytes += chunk.length;
    this.#writesThisTick += 1;
    if (this.#writesThisTick === 1 && !this.#isBusy) {
      if (++this.#singles % SINGLES_A_CHECK === 0) this.#awaitTick();
      else void resolved.then(this.#onMicrotask);
      this.#sendAtOnce(chunk, callback);
    } else {
      if (!this.#isAwaitingTick) this.#awaitTick();
      if (this.#isOwn) this.#gather(chunk, callback);
      else this.#writeCorked(chunk, callback);
    }
    const hasRoom = this.backlog < this.#transport.writableHighWaterMark;
    // A write that was gathered has not changed whether the transport is writable.
    return hasRoom && (this.#batch !== undefined || this.#transport.writable);
  }

  /** Takes a write of several chunks, which are not copied. What was written before has been flushed. */
  sendParts(parts: readonly Buffer[], bytes: number, callback: WriteCallback | undefined): boolean {
    this.writes += 1;
    this.bytes += bytes;
    this.#handOver(batchOf(bytes, callback), parts);
    return this.backlog < this.#transport.writableHighWaterMark && this.#transport.writable;
  }

  /** Several writes follow in this tick: the first of them is gathered, too. */
  expectMore(): void {
    this.#isBusy = true;
  }

  /** Hands over what this tick has brought so far. */
  flush(): void {
    const batch = this.#batch;
    if (batch !== undefined) {
      this.#cutChunk();
      const chunks = this.#chunks;
      this.#batch = undefined;
      this.#chunks = [];
      this.#handOver(batch, chunks);
      this.#returnBuffer();
    }
    if (this.#isCorked) {
      this.#isCorked = false;
      this.#guard(() => this.#transport.uncork());
    }
  }

  /** Flushes, and takes back what is not confirmed. */
  takeAll(): Batch[] {
    this.flush();
    const batches: Batch[] = [];
    for (let batch = this.#takeFirst(); batch !== undefined; batch = this.#takeFirst()) batches.push(batch);
    return batches;
  }

  // One function for all ticks and one for all writes: on a busy machine a closure for each costs as much as the write.

  readonly #onTick = (): void => {
    this.#isBusy = this.#writesThisTick > 1;
    this.#writesThisTick = 0;
    this.#isAwaitingTick = false;
    this.flush();
  };

  readonly #onMicrotask = (): void => {
    if (!this.#isAwaitingTick) this.#writesThisTick = 0;
  };

  readonly #onWritten = (error?: Error | null): void => {
    // What failed stays unconfirmed until the session ends, which is soon. When a socket is destroyed, Node calls back
    // for the write under way without an error, although it may be half sent.
    if (error || this.#transport.destroyed) return;
    const batch = this.#takeFirst();
    if (batch !== undefined) this.#onConfirmed(batch.writes, batch.bytes, batch.callbacks);
  };

  #awaitTick(): void {
    this.#isAwaitingTick = true;
    process.nextTick(this.#onTick);
  }

  #sendAtOnce(chunk: Buffer, callback: WriteCallback | undefined): void {
    if (callback !== undefined || !this.#showsAll || !this.#isEmpty()) {
      return this.#handOver(batchOf(chunk.length, callback), [chunk]);
    }
    // Without a callback Node schedules no tick of its own, which is a tenth of what a write costs.
    try {
      this.#transport.write(chunk);
    } catch (error) {
      this.#destroy(error);
    }
    if (!this.#isEmpty()) return this.#handOver(batchOf(chunk.length, undefined), [NOTHING]);
    this.writes -= 1;
    this.bytes -= chunk.length;
    this.#onConfirmed(1, chunk.length, undefined);
  }

  /**
   * Whether the kernel has taken all that the transport was given. What this relies on: `net.Socket` calls back within
   * `write()` where libuv could write everything at once (`req.async` is false), and a stream no longer counts a chunk
   * whose write has called back.
   * https://github.com/nodejs/node/blob/v20.20.2/lib/internal/stream_base_commons.js#L156 (`afterWriteDispatched`).
   * Tested on Node 20, 22, 24 and 26 by `internals.test.ts`. If a socket ever counted less than it holds, memory would
   * be used again that the kernel has yet to read; if it counted more, writes would be slower and nothing else.
   */
  #isEmpty(): boolean {
    return this.#transport.writable && this.#transport.writableLength === 0;
  }

  #gather(chunk: Buffer, callback: WriteCallback | undefined): void {
    const batch = (this.#batch ??= newBatch());
    addTo(batch, chunk.length, callback);
    if (chunk.length <= LARGEST_COPIED && (this.#buffer ??= takeBuffer()) !== undefined) {
      this.#buffer.append(chunk);
    } else {
      this.#cutChunk();
      this.#chunks.push(chunk);
    }
    // Afterwards, never before: a transport that breaks here was given this chunk too, and gets no later one.
    if (batch.bytes >= LARGEST_BATCH || (this.#buffer?.room ?? LARGEST_COPIED) < LARGEST_COPIED) this.flush();
  }

  /** Makes one chunk of the small ones. */
  #cutChunk(): void {
    const chunk = this.#buffer?.cut();
    if (chunk !== undefined) this.#chunks.push(chunk);
  }

  #returnBuffer(): void {
    if (this.#buffer === undefined) return;
    returnBuffer(this.#buffer, this.#transport.writableLength === 0);
    this.#buffer = undefined;
  }

  /** Each with a callback of its own: such a stream may confirm one and fail at the next. */
  #writeCorked(chunk: Buffer, callback: WriteCallback | undefined): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#guard(() => this.#transport.cork());
    }
    this.#handOver(batchOf(chunk.length, callback), [chunk]);
  }

  /** Writes `chunks`, the last of them with the callback that confirms the batch. */
  #handOver(batch: Batch, chunks: readonly Buffer[]): void {
    if (this.#last === undefined) this.#first = batch;
    else this.#last.next = batch;
    this.#last = batch;
    const transport = this.#transport;
    // A stream that has ended would report an error. The session ends soon, and with it the batch is uncertain.
    if (!transport.writable) return;
    const last = chunks.length - 1;
    this.#guard(() => {
      if (last > 0) transport.cork();
      for (let index = 0; index < last; index++) transport.write(chunks[index]!);
      transport.write(chunks[last]!, this.#onWritten);
      if (last > 0) transport.uncork();
    });
  }

  #takeFirst(): Batch | undefined {
    const batch = this.#first;
    if (batch === undefined) return undefined;
    this.#first = batch.next;
    if (this.#first === undefined) this.#last = undefined;
    this.writes -= batch.writes;
    this.bytes -= batch.bytes;
    return batch;
  }

  #guard(call: () => unknown): void {
    try {
      call();
    } catch (error) {
      this.#destroy(error);
    }
  }

  /** A stream that throws is broken, and what it was given is uncertain: its `close` ends the session. */
  #destroy(error: unknown): void {
    destroyTransport(this.#transport, toError(error));
  }
}
