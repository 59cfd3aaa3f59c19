import { ConnectionError, describe } from '../errors';
import type { WriteCount } from '../events/events';

/** Called without an error when the kernel took the write, else with the reason why not. */
export type WriteCallback = (error?: ConnectionError | null) => void;

/** A write that waits for a session. */
export interface Write {
  readonly chunk: Buffer;
  readonly callback: WriteCallback | undefined;
  /** When it is dropped if it still waits, on the clock of `performance.now()`. */
  readonly expiresAt: number;
  next: Write | undefined;
}

/** The arguments of `write(chunk, encoding?, callback?)`, checked, with the chunk as bytes. */
export interface WriteArguments {
  readonly bytes: Buffer;
  readonly callback: WriteCallback | undefined;
}

/**
 * Checks the arguments of a `write()`, which may leave out the encoding; strings are encoded at once.
 *
 * @throws ConnectionError `ERR_INVALID_CHUNK`
 */
export function toWrite(chunk: unknown, encoding: unknown, callback: unknown): WriteArguments {
  if (typeof encoding === 'function') return toWrite(chunk, undefined, encoding);
  checkCallback(callback);
  // `as`: it was checked; its parameters cannot be.
  return { bytes: toBytes(chunk, encoding), callback: callback as WriteCallback | undefined };
}

/**
 * A chunk as bytes; strings are encoded at once.
 *
 * @throws ConnectionError `ERR_INVALID_CHUNK`
 */
export function toBytes(chunk: unknown, encoding: unknown): Buffer {
  if (typeof chunk === 'string') {
    if (encoding === undefined) return Buffer.from(chunk);
    if (typeof encoding === 'string' && Buffer.isEncoding(encoding)) return Buffer.from(chunk, encoding);
    throw new ConnectionError(
      'ERR_INVALID_CHUNK',
      `Expected \`encoding\` to be one of Buffer's, got ${describe(encoding)}`,
    );
  }
  if (Buffer.isBuffer(chunk)) return chunk;
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new ConnectionError('ERR_INVALID_CHUNK', `Expected \`chunk\` to be a string or bytes, got ${describe(chunk)}`);
}

/** Throws `ERR_INVALID_CHUNK` unless `callback` is a function or undefined. */
export function checkCallback(callback: unknown): void {
  if (callback === undefined || typeof callback === 'function') return;
  throw new ConnectionError('ERR_INVALID_CHUNK', `Expected \`callback\` to be a function, got ${describe(callback)}`);
}

/** A first-in, first-out list of writes that counts them and their bytes. */
export class WriteList {
  first: Write | undefined;
  #last: Write | undefined;
  writes = 0;
  bytes = 0;

  add(write: Write): void {
    if (this.#last === undefined) this.first = write;
    else this.#last.next = write;
    this.#last = write;
    this.writes += 1;
    this.bytes += write.chunk.length;
  }

  take(): Write | undefined {
    const write = this.first;
    if (write === undefined) return undefined;
    this.first = write.next;
    if (this.first === undefined) this.#last = undefined;
    write.next = undefined;
    this.writes -= 1;
    this.bytes -= write.chunk.length;
    return write;
  }

  takeAll(): Write[] {
    const writes: Write[] = [];
    for (let write = this.take(); write !== undefined; write = this.take()) writes.push(write);
    return writes;
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
