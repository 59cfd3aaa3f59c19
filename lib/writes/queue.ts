import { getDefaultHighWaterMark } from 'node:stream';

import { type Write, type WriteCallback, WriteList } from './write';

/** Who a queue reports to. */
export interface QueueHost {
  /** A write has waited for too long, and is in the queue no more. */
  onExpired(write: Write): void;
  /** The time of some is over. */
  onExpiry(): void;
}

/** A queue holds one write at the most for so many bytes of its bound: many small writes cost more than their bytes. */
const BYTES_A_WRITE = 16;

/** But so many writes in any case. */
export const LEAST_WRITES = 1_024;

/** How many writes there may be where so many bytes may be. */
export function mostWrites(maxBytes: number): number {
  return Math.max(LEAST_WRITES, Math.floor(maxBytes / BYTES_A_WRITE));
}

/** Bytes waiting for a session from which on a writer should wait for room. */
export function highWaterMark(maxBytes: number): number {
  return Math.min(maxBytes, getDefaultHighWaterMark(false));
}

/** Writes that wait for a session, each for as long as `maxAge` allows. */
export class Queue extends WriteList {
  readonly #maxAge: number;
  readonly #host: QueueHost;
  #timer: NodeJS.Timeout | undefined;

  constructor(maxAge: number, host: QueueHost) {
    super();
    this.#maxAge = maxAge;
    this.#host = host;
  }

  put(chunk: Buffer, callback: WriteCallback | undefined): void {
    const expiresAt = this.#maxAge === Infinity ? Infinity : performance.now() + this.#maxAge;
    this.add({ chunk, callback, expiresAt, next: undefined });
  }

  /** Drops the writes that wait for too long, from now on. One timer, for the oldest write, and only while there is one. */
  watch(): void {
    const { first } = this;
    if (this.#timer !== undefined || first === undefined || first.expiresAt === Infinity) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.expire();
      this.watch();
      this.#host.onExpiry();
    }, first.expiresAt - performance.now());
    // Whatever brings the session holds the process if it is to be held.
    this.#timer.unref();
  }

  /** Drops none until {@link Queue.watch} is called again. */
  unwatch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Drops those that have waited for too long. */
  expire(): void {
    const now = performance.now();
    for (let { first } = this; first !== undefined && first.expiresAt <= now; { first } = this) {
      this.take();
      this.#host.onExpired(first);
    }
  }
}
