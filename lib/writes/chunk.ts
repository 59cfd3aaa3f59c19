import { ConnectionError, describe, isArray } from '../errors';
import { type WriteOptions, checkWriteOptions } from '../options/write-options';
import type { WriteCallback } from './write';

/** The bytes of one write: several buffers where they are too many to be copied into one. */
export type Bytes = Buffer | Buffer[];

/** The arguments of `write(chunk, encoding? | options?, callback?)`, checked, with the chunk as bytes. */
export interface WriteArguments {
  readonly bytes: Bytes;
  readonly callback: WriteCallback | undefined;
  readonly options: WriteOptions | undefined;
}

/** An array of fewer bytes is copied into one chunk: it costs less than an entry for each in the system call. */
const LARGEST_JOINED = 16_384;

/**
 * Checks the arguments of a `write()`, which may leave out the encoding; strings are encoded at once.
 *
 * @throws ConnectionError `ERR_INVALID_CHUNK`, `ERR_INVALID_OPTION`
 */
export function toWrite(chunk: unknown, encoding: unknown, callback: unknown): WriteArguments {
  if (typeof encoding === 'function') return toWrite(chunk, undefined, encoding);
  checkCallback(callback);
  const options = typeof encoding === 'object' && encoding !== null ? checkWriteOptions(encoding) : undefined;
  const bytes = toBytes(chunk, options === undefined ? encoding : options.encoding);
  // `as`: it was checked; its parameters cannot be.
  return { bytes, callback: callback as WriteCallback | undefined, options };
}

/**
 * A chunk, or an array of them, as bytes; strings are encoded at once.
 *
 * @throws ConnectionError `ERR_INVALID_CHUNK`
 */
export function toBytes(chunk: unknown, encoding: unknown): Bytes {
  // The common cases come first.
  if (typeof chunk === 'string' && encoding === undefined) return Buffer.from(chunk);
  if (isBuffer(chunk)) return chunk;
  if (!isArray(chunk)) return toBuffer(chunk, encoding, 'chunk', 'a string, bytes, or an array of them');
  const parts = Array.from(chunk, (each, index) => toBuffer(each, encoding, `chunk[${index}]`, 'a string or bytes'));
  return parts.length > 1 && sizeOf(parts) > LARGEST_JOINED ? parts : Buffer.concat(parts);
}

export function sizeOf(bytes: Bytes): number {
  return Array.isArray(bytes) ? bytes.reduce((sum, { length }) => sum + length, 0) : bytes.length;
}

/** As one buffer: a copy, where there are several. */
export function joined(bytes: Bytes): Buffer {
  return Array.isArray(bytes) ? Buffer.concat(bytes) : bytes;
}

/** Throws `ERR_INVALID_CHUNK` unless `callback` is a function or undefined. */
export function checkCallback(callback: unknown): void {
  if (callback === undefined || typeof callback === 'function') return;
  throw new ConnectionError('ERR_INVALID_CHUNK', `Expected \`callback\` to be a function, got ${describe(callback)}`);
}

/** The global `Buffer` is a getter, which costs as much as copying a small chunk. */
const NodeBuffer = Buffer;

/** `Buffer.isBuffer`, but false for a Proxy, whose traps that would call: they may throw. */
function isBuffer(chunk: unknown): chunk is Buffer {
  return ArrayBuffer.isView(chunk) && NodeBuffer.isBuffer(chunk);
}

function toBuffer(chunk: unknown, encoding: unknown, name: string, expected: string): Buffer {
  if (typeof chunk === 'string') return encoding === undefined ? Buffer.from(chunk) : encode(chunk, encoding, name);
  if (isBuffer(chunk)) return chunk;
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new ConnectionError('ERR_INVALID_CHUNK', `Expected \`${name}\` to be ${expected}, got ${describe(chunk)}`);
}

/** Encodes a string. What does not belong to its encoding, Node leaves out silently; here it is refused. */
function encode(text: string, encoding: unknown, name: string): Buffer {
  if (typeof encoding !== 'string' || !Buffer.isEncoding(encoding)) {
    throw new ConnectionError(
      'ERR_INVALID_CHUNK',
      `Expected \`encoding\` to be one of Buffer's, got ${describe(encoding)}`,
    );
  }
  switch (encoding.toLowerCase()) {
    case 'hex': {
      // Node stops at the first pair that is none, and takes the low byte of a character for the character.
      const index = text.search(/[^0-9A-Fa-f]/);
      if (index >= 0) throw notEncoded(name, 'pairs of hex digits', text, index);
      if (text.length % 2 !== 0) throw notEncoded(name, 'pairs of hex digits', text, text.length - 1);
      break;
    }
    case 'base64':
    case 'base64url':
      if (!isBase64(text)) throw notEncoded(name, 'base64', text, text.search(/[^A-Za-z0-9+/_=\t\n\f\r -]/));
      break;
    case 'latin1':
    case 'binary':
    case 'ascii': {
      // Node keeps the low byte of each character.
      const index = text.search(/[\u0100-\uffff]/);
      if (index >= 0) throw notEncoded(name, `characters up to U+00FF, as it is '${encoding}'`, text, index);
    }
  }
  return Buffer.from(text, encoding);
}

/** The text itself is left out: it may be a secret. */
function notEncoded(name: string, expected: string, { length }: string, index: number): ConnectionError {
  const where = index < 0 ? '' : `, wrong from index ${index} on`;
  const got = `a string of ${length} characters${where}`;
  return new ConnectionError('ERR_INVALID_CHUNK', `Expected \`${name}\` to be ${expected}, got ${got}`);
}

/** Base64 of either alphabet, as Node and `atob` accept it: with white space, and with or without its padding. */
function isBase64(text: string): boolean {
  const compact = text.replace(/[\t\n\f\r ]+/g, '');
  const padding = compact.endsWith('==') ? 2 : compact.endsWith('=') ? 1 : 0;
  const digits = compact.length - padding;
  if (digits % 4 === 1 || (padding > 0 && compact.length % 4 !== 0)) return false;
  return !/[^A-Za-z0-9+/_-]/.test(compact.slice(0, digits));
}
