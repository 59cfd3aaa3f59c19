import type { ConnectionError } from '../errors';
import type { WriteCount } from '../events/events';
import type { Expiring } from './expiry';

/** Called without an error when the kernel took the write, else with the reason why not. */
export type WriteCallback = (error?: ConnectionError) => void;

/** A write that waits for a session. */
export interface Write {
  readonly chunk: Buffer;
  readonly callback: WriteCallback | undefined;
  /** Most writes have none. */
  readonly conditions: Conditions | undefined;
  previous: Write | undefined;
  next: Write | undefined;
}

/** What a write that waits depends on, besides a session. */
export interface Conditions {
  readonly isUrgent: boolean;
  readonly key: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds that it may wait. */
  readonly maxAge: number;
  /** Set where `maxAge` is finite. */
  expiring: Expiring<Write> | undefined;
  /** Removes the listener from `signal`. */
  stopListening: (() => void) | undefined;
}

/** A first-in, first-out list of writes that counts them and their bytes. Each can be removed in constant time. */
export class WriteList {
  first: Write | undefined;
  #last: Write | undefined;
  writes = 0;
  bytes = 0;

  /** @param after - The write that it is to stand behind; by default the last. */
  add(write: Write, after: Write | undefined = this.#last): void {
    write.previous = after;
    write.next = after === undefined ? this.first : after.next;
    if (write.previous === undefined) this.first = write;
    else write.previous.next = write;
    if (write.next === undefined) this.#last = write;
    else write.next.previous = write;
    this.writes += 1;
    this.bytes += write.chunk.length;
  }

  /** Removes a write of this list. */
  remove(write: Write): void {
    const { previous, next } = write;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    write.previous = undefined;
    write.next = undefined;
    this.writes -= 1;
    this.bytes -= write.chunk.length;
  }
}

/** A running count. */
export class Counter {
  #writes = 0;
  #bytes = 0;

  get count(): WriteCount {
    return { writes: this.#writes, bytes: this.#bytes };
  }

  add(writes: number, bytes: number): void {
    this.#writes += writes;
    this.#bytes += bytes;
  }
}
