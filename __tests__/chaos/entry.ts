import type { WriteOptions } from 'reconnecting-connection';

import type { Link } from './link';
import type { Call } from './plan';

/** A write of the application's and what became of it. */
export interface Entry {
  readonly id: number;
  readonly bytes: Buffer;
  /** Whether it has a callback. */
  readonly told: boolean;
  /** Chunks that it was written in. */
  readonly parts: number;
  readonly at: number;
  /** The session it was written in, and whether that session's `open` had been told to all. */
  readonly session: Link | undefined;
  readonly late: boolean;
  /** Milliseconds that it may wait, if the write itself says. */
  readonly maxAge: number | undefined;
  readonly key: string | undefined;
  readonly controller: AbortController | undefined;
  urgent: boolean;
  /** Its place in the line: its own number, or that of the first of those that it replaces. */
  place: number;
  accepted: boolean;
  answers: number;
  link: Link | undefined;
  dropped: boolean;
  /** Whether `clearQueue()` should have dropped it. */
  cleared: boolean;
  /** The write that went ahead of it and should not have: a fault, unless this one is never sent. */
  overtaken: Entry | undefined;
}

/** Digits of a write's number, with which its bytes begin. */
const DIGITS = 4;

/** Bytes that tell which write they are of, from end to end. */
export function contentOf(id: number, size: number): Buffer {
  if (size === 0) return Buffer.alloc(0);
  const name = id.toString(36).padStart(DIGITS, '0');
  return Buffer.from(name.repeat(Math.ceil(size / DIGITS)).slice(0, size), 'latin1');
}

/** The number of the write that these bytes are of. */
export function numberOf(chunk: Buffer): number {
  return parseInt(chunk.toString('latin1', 0, DIGITS), 36);
}

/** Whether `one`, while it waits, has to be handed to a link ahead of `other`, which waits too. */
export function isBefore(one: Entry, other: Entry, link: Link): boolean {
  const rank = (entry: Entry) => {
    // What `open` listeners write is the session's hello.
    if (entry.session === link && !entry.late) return 0;
    return entry.urgent ? 1 : 2;
  };
  return rank(one) < rank(other) || (rank(one) === rank(other) && one.place < other.place);
}

type WriteCall = Extract<Call, { do: 'write' }>;

/** The bytes in the form that the call asks for. */
export function chunkOf(bytes: Buffer, { as, parts }: WriteCall): string | Buffer | (string | Buffer)[] {
  if (parts === 1) return as === 'buffer' ? bytes : bytes.toString(as === 'hex' ? 'hex' : 'latin1');
  const size = Math.ceil(bytes.length / parts);
  return Array.from({ length: parts }, (_, index) => {
    const part = bytes.subarray(index * size, (index + 1) * size);
    return as === 'buffer' ? part : part.toString(as === 'hex' ? 'hex' : 'latin1');
  });
}

/** The options of the call; undefined where it has none. */
export function optionsOf({ as, will }: WriteCall, controller: AbortController | undefined): WriteOptions | undefined {
  if (will === undefined) return undefined;
  return {
    ...(as === 'hex' && { encoding: 'hex' }),
    ...(will.maxAge !== undefined && { maxAge: will.maxAge }),
    ...(will.key !== undefined && { key: will.key }),
    ...(will.urgent && { priority: 'urgent' }),
    ...(controller && { signal: controller.signal }),
  };
}
