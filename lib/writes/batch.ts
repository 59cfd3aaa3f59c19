import { type WriteBuffer, returnBuffer, takeBuffer } from './write-buffer';
import type { WriteCallback } from './write';

/** Larger chunks are not copied: an entry of their own in the system call costs less. */
const LARGEST_COPIED = 512;

/** A batch of so many bytes does not wait for the end of the tick: the kernel may have room for it now. */
const LARGEST_BATCH = 1_048_576;

/** Writes that are handed to the transport together, and confirmed together. */
export class Batch {
  writes = 0;
  bytes = 0;
  callbacks: WriteCallback[] | undefined;
  /** The one behind it in its list. */
  next: Batch | undefined;

  /** Adds a write. Returns this batch. */
  add(bytes: number, callback: WriteCallback | undefined): this {
    this.writes += 1;
    this.bytes += bytes;
    if (callback !== undefined) (this.callbacks ??= []).push(callback);
    return this;
  }
}

/** The writes of a tick that the transport has not got yet, with their chunks. Small ones are copied into one. */
export class GatheredBatch extends Batch {
  readonly #chunks: Buffer[] = [];
  #buffer: WriteBuffer | undefined;

  /** Adds a write with its chunk. Returns whether the batch waits for more. */
  gather(chunk: Buffer, callback: WriteCallback | undefined): boolean {
    this.add(chunk.length, callback);
    if (chunk.length <= LARGEST_COPIED && (this.#buffer ??= takeBuffer()) !== undefined) {
      this.#buffer.append(chunk);
    } else {
      this.#cut();
      this.#chunks.push(chunk);
    }
    return this.bytes < LARGEST_BATCH && (this.#buffer?.room ?? LARGEST_COPIED) >= LARGEST_COPIED;
  }

  /** The chunks to be sent: the batch gets no more. */
  finish(): readonly Buffer[] {
    this.#cut();
    return this.#chunks;
  }

  /** @param isRead - Whether the kernel has read the chunks. */
  release(isRead: boolean): void {
    if (this.#buffer !== undefined) returnBuffer(this.#buffer, isRead);
    this.#buffer = undefined;
  }

  /** Makes one chunk of the small ones. */
  #cut(): void {
    const chunk = this.#buffer?.cut();
    if (chunk !== undefined) this.#chunks.push(chunk);
  }
}

/** Batches that the transport has got and not confirmed, the oldest first. */
export class BatchList {
  writes = 0;
  bytes = 0;
  #first: Batch | undefined;
  #last: Batch | undefined;

  push(batch: Batch): void {
    if (this.#last === undefined) this.#first = batch;
    else this.#last.next = batch;
    this.#last = batch;
    this.writes += batch.writes;
    this.bytes += batch.bytes;
  }

  /** Takes the first. */
  shift(): Batch | undefined {
    const batch = this.#first;
    if (batch === undefined) return undefined;
    this.#first = batch.next;
    if (this.#first === undefined) this.#last = undefined;
    this.writes -= batch.writes;
    this.bytes -= batch.bytes;
    return batch;
  }

  /** Takes all of them as one. */
  takeAll(): Batch {
    const all = new Batch();
    for (let batch = this.shift(); batch !== undefined; batch = this.shift()) {
      all.writes += batch.writes;
      all.bytes += batch.bytes;
      for (const callback of batch.callbacks ?? []) (all.callbacks ??= []).push(callback);
    }
    return all;
  }
}
