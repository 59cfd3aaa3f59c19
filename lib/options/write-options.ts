import { types } from 'node:util';

import { abortSignal, checkRecord, delay, oneOf, orInfinity, type Check, type Checks } from './checks';
import { invalidOption } from '../errors';

/** What can be written: a string, bytes, or an array of both that makes one write. */
export type WriteChunk = string | Uint8Array | readonly (string | Uint8Array)[];

/**
 * Options of one write. All but `encoding` apply only while the write waits in the queue: what was handed to a socket
 * cannot be taken back.
 *
 * @example
 * ```ts
 * const connection = new ReconnectingConnection({ port: 6379 });
 * connection.write('DRAIN\r', { maxAge: 1_000 }); // within a second, or never
 * connection.write('COLOUR red\r', { key: 'colour' });
 * connection.write('COLOUR blue\r', { key: 'colour' }); // red is not sent
 * connection.write('STOP\r', { priority: 'urgent' }); // goes first
 * connection.write('LOCK 42\r', { signal: AbortSignal.timeout(300) }, (error) => console.log(error?.code ?? 'sent'));
 * ```
 */
export interface WriteOptions {
  /** Encoding of a string. Default: `'utf8'`. */
  readonly encoding?: BufferEncoding | undefined;
  /**
   * Takes the write out of the queue when it is aborted: it is dropped with `ERR_ABORTED`, whose `cause` is the signal's
   * reason. With a signal that is aborted already, the write is refused with the same error.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds after which the write is dropped with `ERR_EXPIRED` if it still waits. It takes the place of
   * `queue.maxAge`, whichever is longer. With 0, the write is sent now or not at all. Default: `queue.maxAge`.
   */
  readonly maxAge?: number | undefined;
  /**
   * Replaces a waiting write of the same key: this write takes its place in the queue, and the older one is dropped with
   * `ERR_REPLACED`. Of several values of one thing, only the newest is sent. Default: none.
   */
  readonly key?: string | undefined;
  /**
   * `'urgent'`: sent ahead of all waiting writes that are not urgent, and after those that are. A write that replaces an
   * urgent one is urgent too. Default: `'normal'`.
   */
  readonly priority?: 'normal' | 'urgent' | undefined;
}

const encoding: Check<BufferEncoding> = (value, name) => {
  if (typeof value !== 'string' || !Buffer.isEncoding(value))
    throw invalidOption(name, "one of Buffer's encodings", value);
  return value;
};

const string: Check<string> = (value, name) => {
  if (typeof value !== 'string') throw invalidOption(name, 'a string', value);
  return value;
};

const checks: Checks<WriteOptions> = {
  encoding,
  signal: abortSignal,
  maxAge: orInfinity(delay),
  key: string,
  priority: oneOf('normal', 'urgent'),
};

/** The last options that were frozen, and what they were checked to be: the check costs as much as a small write. */
let latest: { readonly given: object; readonly checked: WriteOptions } | undefined;

/**
 * Checks the options of a write.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkWriteOptions(given: object): WriteOptions {
  if (given === latest?.given) return latest.checked;
  const checked = checkRecord<WriteOptions>('write', given, checks);
  if (isConstant(given)) latest = { given, checked };
  return checked;
}

/** Whether a later check finds the same: no getters, nothing inherited. A signal would be kept in memory. */
function isConstant(options: object): boolean {
  // The traps of a Proxy may throw.
  if (types.isProxy(options) || !Object.isFrozen(options)) return false;
  if (Object.getPrototypeOf(options) !== Object.prototype) return false;
  const properties = Object.values(Object.getOwnPropertyDescriptors(options));
  return properties.every((each) => 'value' in each && typeof each.value !== 'object');
}
