import { toError } from '../errors';
import { type Transport, destroyTransport } from '../socket/transport';
import { Batch, BatchList, GatheredBatch } from './batch';
import { LEAST_WRITES, mostWrites } from './bounds';
import type { WriteCallback } from './write';

/** Called when the kernel has taken writes. */
export type OnConfirmed = (writes: number, bytes: number, callbacks: readonly WriteCallback[] | undefined) => void;

/** After so many single writes, `process.nextTick` ends a tick once: more writes may follow in promises. */
const SINGLES_A_CHECK = 16;

const NOTHING = Buffer.alloc(0);

const resolved = Promise.resolve();

/**
 * Hands writes to the transport of one session. The writes of one tick leave in one system call, by `process.nextTick`,
 * before any other event: small chunks are copied into one, larger ones go out as they are, by `writev`. When the tick
 * before had a single write, the first write of a tick goes out at once, and a microtask ends the tick if no other write came:
 * `process.nextTick` would cost a sixth of a small write.
 */
export class Sender {
  readonly transport: Transport;
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
  /** The writes of this tick that the transport has not got yet. */
  #batch: GatheredBatch | undefined;
  /** Whether a stream from a custom `dial` is corked until the end of the tick. */
  #isCorked = false;
  readonly #unconfirmed = new BatchList();

  constructor(transport: Transport, isOwn: boolean, onConfirmed: OnConfirmed) {
    this.transport = transport;
    this.#isOwn = isOwn;
    this.#showsAll = isOwn && transport.encrypted !== true;
    this.#onConfirmed = onConfirmed;
  }

  /** Writes that are not confirmed yet. */
  get writes(): number {
    return this.#unconfirmed.writes + (this.#batch?.writes ?? 0);
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#unconfirmed.bytes + (this.#batch?.bytes ?? 0);
  }

  /** Bytes that the kernel has not taken yet. */
  get backlog(): number {
    return this.transport.writableLength + (this.#batch?.bytes ?? 0);
  }

  /** Whether the stream needs no `drain` event any more, and so the writer needs none. */
  get hasDrained(): boolean {
    const { writableNeedDrain, writableHighWaterMark: mark } = this.transport;
    return !writableNeedDrain && (this.backlog < mark || mark === 0);
  }

  /** A cheap check that almost every write passes: whether the transport is writable, and far from full. */
  isFarFromFull(maxBytes: number): boolean {
    // The bytes that are not confirmed are at least the backlog.
    return this.writes < LEAST_WRITES && this.bytes < maxBytes && this.transport.writable;
  }

  /** Whether `maxBytes`, or the high-water mark if that is more, or too many writes wait: one large chunk passes. */
  isFull(maxBytes: number): boolean {
    const { backlog } = this;
    if (backlog >= Math.max(maxBytes, this.transport.writableHighWaterMark)) return true;
    return backlog > 0 && this.writes >= mostWrites(maxBytes);
  }

  /** Takes a write. Returns whether there is room for more. */
  send(chunk: Buffer, callback: WriteCallback | undefined): boolean {
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
    return this.#hasRoom();
  }

  /** Takes a write of several chunks, which are not copied. What was written before has been flushed. */
  sendParts(parts: readonly Buffer[], bytes: number, callback: WriteCallback | undefined): boolean {
    this.#handOver(new Batch().add(bytes, callback), parts);
    return this.#hasRoom();
  }

  /** Several writes follow in this tick: the first of them is gathered, too. */
  expectMore(): void {
    this.#isBusy = true;
  }

  /** Hands over what this tick has brought so far. */
  flush(): void {
    const batch = this.#batch;
    if (batch !== undefined) {
      this.#batch = undefined;
      this.#handOver(batch, batch.finish());
      batch.release(this.transport.writableLength === 0);
    }
    if (this.#isCorked) {
      this.#isCorked = false;
      this.#guard(() => this.transport.uncork());
    }
  }

  /** Flushes, and takes back what is not confirmed. */
  takeAll(): Batch {
    this.flush();
    return this.#unconfirmed.takeAll();
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
    if (error || this.transport.destroyed) return;
    const batch = this.#unconfirmed.shift();
    if (batch !== undefined) this.#onConfirmed(batch.writes, batch.bytes, batch.callbacks);
  };

  #hasRoom(): boolean {
    return this.backlog < this.transport.writableHighWaterMark && this.transport.writable;
  }

  #awaitTick(): void {
    this.#isAwaitingTick = true;
    process.nextTick(this.#onTick);
  }

  #sendAtOnce(chunk: Buffer, callback: WriteCallback | undefined): void {
    if (callback !== undefined || !this.#showsAll || !this.#isEmpty()) {
      return this.#handOver(new Batch().add(chunk.length, callback), [chunk]);
    }
    // Without a callback Node schedules no tick of its own, which is a tenth of what a write costs.
    try {
      this.transport.write(chunk);
    } catch (error) {
      this.#destroy(error);
    }
    if (!this.#isEmpty()) return this.#handOver(new Batch().add(chunk.length, undefined), [NOTHING]);
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
    return this.transport.writable && this.transport.writableLength === 0;
  }

  #gather(chunk: Buffer, callback: WriteCallback | undefined): void {
    this.#batch ??= new GatheredBatch();
    // Afterwards, never before: a transport that breaks here was given this chunk too, and gets no later one.
    if (!this.#batch.gather(chunk, callback)) this.flush();
  }

  /** Each with a callback of its own: such a stream may confirm one and fail at the next. */
  #writeCorked(chunk: Buffer, callback: WriteCallback | undefined): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#guard(() => this.transport.cork());
    }
    this.#handOver(new Batch().add(chunk.length, callback), [chunk]);
  }

  /** Writes `chunks`, the last of them with the callback that confirms the batch. */
  #handOver(batch: Batch, chunks: readonly Buffer[]): void {
    this.#unconfirmed.push(batch);
    const transport = this.transport;
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

  #guard(call: () => unknown): void {
    try {
      call();
    } catch (error) {
      this.#destroy(error);
    }
  }

  /** A stream that throws is broken, and what it was given is uncertain: its `close` ends the session. */
  #destroy(error: unknown): void {
    destroyTransport(this.transport, toError(error));
  }
}
