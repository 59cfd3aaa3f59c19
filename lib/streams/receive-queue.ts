import type { ReadControl } from './read-control';

/** What a reader of an inbox waits with. */
interface Waiter<Chunk> {
  readonly loop: Loop<Chunk>;
  readonly resolve: (result: IteratorResult<Chunk, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * What one session has received and no loop has taken yet. When that is much, it stops the reading until half of it is
 * gone. Several loops share what comes: each chunk goes to one of them.
 */
export class ReceiveQueue<Chunk> {
  readonly #control: ReadControl;
  readonly #highWaterMark: number;
  readonly #loops = new Set<Loop<Chunk>>();
  #waiters: Waiter<Chunk>[] = [];
  #chunks: Chunk[] = [];
  #size = 0;
  /** Set when nothing more will come: what was kept can still be taken, unless there is an error. */
  #end: { readonly error?: Error } | undefined;

  constructor(control: ReadControl, highWaterMark: number) {
    this.#control = control;
    this.#highWaterMark = highWaterMark;
  }

  /** Whether a loop is under way. */
  get isRead(): boolean {
    return this.#loops.size > 0;
  }

  add(chunk: Chunk): void {
    if (this.#end !== undefined) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ value: chunk, done: false });
      return;
    }
    this.#chunks.push(chunk);
    this.#size += this.#control.sizeOf(chunk);
    if (this.#size >= this.#highWaterMark) this.#control.stop(this);
  }

  /** The session is over. */
  end(): void {
    if (this.#end !== undefined) return;
    this.#end = {};
    this.#control.resume(this);
    this.#dismiss((waiter) => this.#finish(waiter.loop, waiter.resolve));
  }

  /** Nobody is to read any more, and who does all the same is told why not. What is kept is discarded. */
  fail(error: Error): void {
    // What has all been taken is complete.
    if (this.#end !== undefined && this.#chunks.length === 0) return;
    this.#end = { error };
    this.#chunks = [];
    this.#size = 0;
    this.#control.resume(this);
    this.#dismiss((waiter) => {
      this.#loops.delete(waiter.loop);
      waiter.reject(error);
    });
  }

  /** A loop that begins. */
  open(): AsyncIterableIterator<Chunk, undefined> {
    const loop = new Loop(this);
    this.#loops.add(loop);
    return loop;
  }

  take(loop: Loop<Chunk>): Promise<IteratorResult<Chunk, undefined>> {
    if (!this.#loops.has(loop)) return Promise.resolve({ value: undefined, done: true });
    if (this.#chunks.length > 0) return Promise.resolve({ value: this.#takeFirst(), done: false });
    return new Promise((resolve, reject) => {
      if (this.#end === undefined) this.#waiters.push({ loop, resolve, reject });
      else if (this.#end.error === undefined) this.#finish(loop, resolve);
      else {
        this.#loops.delete(loop);
        reject(this.#end.error);
      }
    });
  }

  /** Ends a loop; what comes next waits for another. */
  leave(loop: Loop<Chunk>): void {
    this.#loops.delete(loop);
    const [its, others] = [[] as Waiter<Chunk>[], [] as Waiter<Chunk>[]];
    for (const waiter of this.#waiters) (waiter.loop === loop ? its : others).push(waiter);
    this.#waiters = others;
    for (const { resolve } of its) this.#finish(loop, resolve);
  }

  #takeFirst(): Chunk {
    // `as`: there is one. A message may be undefined.
    const chunk = this.#chunks.shift() as Chunk;
    this.#size -= this.#control.sizeOf(chunk);
    if (this.#size <= this.#highWaterMark / 2) this.#control.resume(this);
    return chunk;
  }

  #finish(loop: Loop<Chunk>, resolve: Waiter<Chunk>['resolve']): void {
    this.#loops.delete(loop);
    resolve({ value: undefined, done: true });
  }

  #dismiss(tell: (waiter: Waiter<Chunk>) => void): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) tell(waiter);
  }
}

/** A `for await` over an inbox. */
class Loop<Chunk> implements AsyncIterableIterator<Chunk, undefined> {
  readonly #inbox: ReceiveQueue<Chunk>;

  constructor(inbox: ReceiveQueue<Chunk>) {
    this.#inbox = inbox;
  }

  next(): Promise<IteratorResult<Chunk, undefined>> {
    return this.#inbox.take(this);
  }

  return(): Promise<IteratorResult<Chunk, undefined>> {
    this.#inbox.leave(this);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
