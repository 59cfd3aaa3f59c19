import { getDefaultHighWaterMark } from 'node:stream';

import { type Write, type WriteCallback, WriteList } from './write';

/** The queue takes one write for each so many bytes of its bound: a small write costs more than its bytes. */
const BYTES_A_WRITE = 16;

/** So many writes fit in any case. */
export const LEAST_WRITES = 1_024;

/** How many writes fit where `maxBytes` bytes do. */
export function mostWrites(maxBytes: number): number {
  return Math.max(LEAST_WRITES, Math.floor(maxBytes / BYTES_A_WRITE));
}

/** From so many queued bytes on `write()` returns false. */
export function highWaterMark(maxBytes: number): number {
  return Math.min(maxBytes, getDefaultHighWaterMark(false));
}

/** Writes that wait for a session, each no longer than `maxAge` milliseconds. */
export class Queue extends WriteList {
  readonly #maxAge: number;
  readonly #onExpired: (writes: readonly Write[]) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param onExpired - Called with the writes that waited longer, once they are no longer in the queue. */
  constructor(maxAge: number, onExpired: (writes: readonly Write[]) => void) {
    super();
    this.#maxAge = maxAge;
    this.#onExpired = onExpired;
  }

  put(chunk: Buffer, callback: WriteCallback | undefined): void {
    const expiresAt = this.#maxAge === Infinity ? Infinity : performance.now() + this.#maxAge;
    this.add({ chunk, callback, expiresAt, next: undefined });
  }

  /** From now on writes expire. There is a timer for the oldest write only. */
  startTimer(): void {
    const { first } = this;
    if (this.#timer !== undefined || first === undefined || first.expiresAt === Infinity) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.expire();
      this.startTimer();
    }, first.expiresAt - performance.now());
    // The dial or the backoff that the writes wait for keeps the process alive, if it is to stay alive.
    this.#timer.unref();
  }

  /** From now on no write expires. */
  stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Removes the writes that have waited for too long. */
  expire(): void {
    const now = performance.now();
    const expired: Write[] = [];
    for (let { first } = this; first !== undefined && first.expiresAt <= now; { first } = this) {
      this.take();
      expired.push(first);
    }
    if (expired.length > 0) this.#onExpired(expired);
  }
}
