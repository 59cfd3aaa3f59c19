import { toUSVString, types } from 'node:util';

import { ConnectionError, describe } from '../errors';
import type { DeliveryMessage } from './spool';

/** Messages share memory in slabs of at most this size; a larger message has a slab of its own. */
const LARGEST_SLAB = 65_536;
const SMALLEST_SLAB = 1_024;
/** Messages of a slab: empty ones would never fill it. */
const MOST_MESSAGES = 8_192;

/** The messages of a window, by position: copied side by side, so that each takes little more than its bytes. */
export class MessageLog {
  /** The position of the oldest message, or `next` if there is none. */
  first = 1;
  /** The position of the next message. */
  next = 1;
  /** The slab of `first`. */
  #oldest = new Slab(1, 0, 0);
  /** The slab that new messages are written to. */
  #newest = this.#oldest;
  /** The slab that was read last. */
  #read = this.#oldest;
  /** The last message, if that is a string: most are read at once, and need not be decoded. */
  #latest: string | undefined;
  /** Bytes of all messages that were added or removed so far. */
  #added = 0;
  #removed = 0;

  /** The first message will have this position. */
  startAt(first: number): void {
    this.first = first;
    this.next = first;
    this.#oldest = new Slab(first, 0, 0);
    this.#newest = this.#oldest;
    this.#read = this.#oldest;
  }

  /** Bytes of all messages. */
  get bytes(): number {
    return this.#added - this.#removed;
  }

  /** Adds a copy of a message of so many bytes. */
  add(message: DeliveryMessage, size: number): void {
    if (!this.#newest.hasRoom(size)) {
      const slabSize = Math.min(Math.max(this.bytes, SMALLEST_SLAB), LARGEST_SLAB);
      // Memory is never written to again: a message that was removed may still be in a socket.
      const slab = new Slab(this.next, this.#added, Math.max(size, slabSize));
      this.#newest.next = slab;
      this.#newest = slab;
    }
    this.#newest.add(message, size);
    this.#added += size;
    // As it comes back from the memory, where half of a surrogate pair becomes U+FFFD.
    this.#latest = typeof message === 'string' ? toUSVString(message) : undefined;
    this.next += 1;
  }

  /** The message at a position from `first` to before `next`: a string, or the memory itself. */
  at(position: number): string | Buffer {
    if (position === this.next - 1 && this.#latest !== undefined) return this.#latest;
    // Most are read in their order.
    if (position < this.#read.first) this.#read = this.#oldest;
    while (position >= this.#read.end) this.#read = this.#read.next!;
    return this.#read.at(position);
  }

  /** Removes the messages up to `position`, which is one of them. */
  removeTo(position: number): void {
    while (position >= this.#oldest.end) this.#oldest = this.#oldest.next!;
    this.#removed = this.#oldest.bytesTo(position);
    this.first = position + 1;
    if (this.first === this.#oldest.end) this.#oldest = this.#oldest.next ?? this.#oldest;
    // It would keep all slabs behind it.
    if (this.#read.first < this.#oldest.first) this.#read = this.#oldest;
  }
}

/** Messages side by side. */
class Slab {
  readonly first: number;
  next: Slab | undefined;
  readonly #memory: Buffer;
  /** Bytes of all messages before this slab. */
  readonly #before: number;
  /** Where each message ends, times two; plus one for a string. */
  readonly #ends: number[] = [];
  #used = 0;

  constructor(first: number, before: number, size: number) {
    this.first = first;
    this.#before = before;
    this.#memory = Buffer.allocUnsafeSlow(size);
  }

  /** The position behind its last message. */
  get end(): number {
    return this.first + this.#ends.length;
  }

  hasRoom(size: number): boolean {
    return this.#used + size <= this.#memory.length && this.#ends.length < MOST_MESSAGES;
  }

  add(message: DeliveryMessage, size: number): void {
    const isText = typeof message === 'string';
    if (isText) this.#memory.write(message, this.#used, size);
    else this.#memory.set(message, this.#used);
    this.#used += size;
    this.#ends.push(this.#used * 2 + (isText ? 1 : 0));
  }

  at(position: number): string | Buffer {
    const index = position - this.first;
    const start = index === 0 ? 0 : Math.floor(this.#ends[index - 1]! / 2);
    const end = this.#ends[index]!;
    if (end % 2 === 1) return this.#memory.toString('utf8', start, (end - 1) / 2);
    return this.#memory.subarray(start, end / 2);
  }

  /** Bytes of all messages up to this one. */
  bytesTo(position: number): number {
    return this.#before + Math.floor(this.#ends[position - this.first]! / 2);
  }
}

/** Bytes of a message. Throws `ERR_INVALID_CHUNK` for anything else. */
export function sizeOf(message: DeliveryMessage): number {
  if (typeof message === 'string') return Buffer.byteLength(message);
  if (types.isUint8Array(message)) return message.byteLength;
  const got = describe(message);
  throw new ConnectionError('ERR_INVALID_CHUNK', `Expected the message to be a string or a Uint8Array, got ${got}`);
}
