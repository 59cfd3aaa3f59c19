import type { ReadControl } from './read-control';

/** A call of `next()` that waits for a chunk. */
interface PendingRead<Chunk> {
  readonly iterator: ReceiveIterator<Chunk>;
  readonly resolve: (result: IteratorResult<Chunk, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The chunks that one session has received and no iterator has taken yet. It pauses the connection when they reach
 * `highWaterMark`, until half of that is left. Several iterators share the chunks: each chunk goes to one of them.
 */
export class ReceiveQueue<Chunk> {
  readonly #control: ReadControl;
  readonly #highWaterMark: number;
  /** The iterators that are in use: neither returned nor finished. */
  readonly #iterators = new Set<ReceiveIterator<Chunk>>();
  /** Empty while there are chunks, and after the end. */
  #pendingReads: PendingRead<Chunk>[] = [];
  #chunks: Chunk[] = [];
  #size = 0;
  /** Set when no more chunks will come. Those in the queue can still be taken, unless there is an error. */
  #end: { readonly error?: Error } | undefined;

  constructor(control: ReadControl, highWaterMark: number) {
    this.#control = control;
    this.#highWaterMark = highWaterMark;
  }

  /** Whether an iterator is in use. */
  get isRead(): boolean {
    return this.#iterators.size > 0;
  }

  push(chunk: Chunk): void {
    if (this.#end !== undefined) return;
    const read = this.#pendingReads.shift();
    if (read !== undefined) {
      read.resolve({ value: chunk, done: false });
      return;
    }
    this.#chunks.push(chunk);
    this.#size += this.#control.sizeOf(chunk);
    if (this.#size >= this.#highWaterMark) this.#control.pause(this);
  }

  /** Takes no more chunks. */
  end(): void {
    if (this.#end !== undefined) return;
    this.#end = {};
    this.#control.resume(this);
    this.#settlePendingReads(this.#end);
  }

  /** Rejects pending and later reads with `error`, and discards the chunks. */
  fail(error: Error): void {
    // Nothing is lost when all chunks of a session that has ended were taken.
    if (this.#end !== undefined && this.#chunks.length === 0) return;
    this.#end = { error };
    this.#chunks = [];
    this.#size = 0;
    this.#control.resume(this);
    this.#settlePendingReads(this.#end);
  }

  iterate(): AsyncIterableIterator<Chunk, undefined> {
    const iterator = new ReceiveIterator(this);
    this.#iterators.add(iterator);
    return iterator;
  }

  /** The `next()` of an iterator. */
  next(iterator: ReceiveIterator<Chunk>): Promise<IteratorResult<Chunk, undefined>> {
    if (!this.#iterators.has(iterator)) return Promise.resolve({ value: undefined, done: true });
    if (this.#chunks.length > 0) return Promise.resolve({ value: this.#shift(), done: false });
    return new Promise((resolve, reject) => {
      this.#pendingReads.push({ iterator, resolve, reject });
      if (this.#end !== undefined) this.#settlePendingReads(this.#end);
    });
  }

  /** The `return()` of an iterator. The chunks stay for other iterators. */
  return(iterator: ReceiveIterator<Chunk>): void {
    this.#iterators.delete(iterator);
    const own = this.#pendingReads.filter((read) => read.iterator === iterator);
    this.#pendingReads = this.#pendingReads.filter((read) => read.iterator !== iterator);
    for (const { resolve } of own) resolve({ value: undefined, done: true });
  }

  #shift(): Chunk {
    // `as`: there is a chunk; a message may be undefined.
    const chunk = this.#chunks.shift() as Chunk;
    this.#size -= this.#control.sizeOf(chunk);
    if (this.#size <= this.#highWaterMark / 2) this.#control.resume(this);
    return chunk;
  }

  #settlePendingReads({ error }: { readonly error?: Error }): void {
    for (const { iterator, resolve, reject } of this.#pendingReads.splice(0)) {
      this.#iterators.delete(iterator);
      if (error === undefined) resolve({ value: undefined, done: true });
      else reject(error);
    }
  }
}

class ReceiveIterator<Chunk> implements AsyncIterableIterator<Chunk, undefined> {
  readonly #queue: ReceiveQueue<Chunk>;

  constructor(queue: ReceiveQueue<Chunk>) {
    this.#queue = queue;
  }

  next(): Promise<IteratorResult<Chunk, undefined>> {
    return this.#queue.next(this);
  }

  return(): Promise<IteratorResult<Chunk, undefined>> {
    this.#queue.return(this);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
