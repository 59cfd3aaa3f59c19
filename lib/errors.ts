import { types } from 'node:util';

/** The codes of {@link ConnectionError}. They change only with a major version. */
export type ErrorCode =
  /** Thrown: an option or an argument is invalid. */
  | 'ERR_INVALID_OPTION'
  /** Thrown by a write: the chunk is neither a string nor bytes, or does not match its encoding. */
  | 'ERR_INVALID_CHUNK'
  /** The write was refused at the limit of `queue`, or with `overflow` dropped for newer ones. */
  | 'ERR_QUEUE_FULL'
  /** The write was queued for longer than its own `maxAge`, or `queue.maxAge`. */
  | 'ERR_EXPIRED'
  /** A newer write with the same `key` has taken the place of this one in the queue. */
  | 'ERR_REPLACED'
  /** `clearQueue()` dropped the write. */
  | 'ERR_CLEARED'
  /** The session ended before the write was confirmed: it may or may not have been sent. */
  | 'ERR_DELIVERY_UNCERTAIN'
  /** The connection is closed or closing. */
  | 'ERR_CLOSED'
  /** The session that was written to or iterated has ended, or its loop was left. */
  | 'ERR_SESSION_ENDED'
  /** The attempt took longer than `connectTimeout`. */
  | 'ERR_CONNECT_TIMEOUT'
  /** `beforeTls` or `handshake` failed (see `cause`), or the peer closed before the session was open. */
  | 'ERR_HANDSHAKE_FAILED'
  /** Nothing was received for `idleTimeout`. */
  | 'ERR_IDLE'
  /** Nothing was received within `heartbeat.timeout` after a ping. */
  | 'ERR_HEARTBEAT'
  /** The kernel took no byte of what was written for `writeTimeout`. */
  | 'ERR_STALLED'
  /** The application called `fail()`, or a function or a spool of the application has failed; `cause` is what it passed. */
  | 'ERR_FAILED'
  /** The kernel connected the socket to itself. */
  | 'ERR_SELF_CONNECT'
  /** Closed because of `maxRetries`, `maxElapsed`, `shouldRetry` or `backoff`; `cause` is the last failure. */
  | 'ERR_GAVE_UP'
  /** A signal was aborted; `cause` is its reason. */
  | 'ERR_ABORTED'
  /** The write was refused: no member of the pool is open. */
  | 'ERR_NO_OPEN_MEMBER'
  /** Thrown by a registry: it already has a live connection with that tag, or a pool of that name. */
  | 'ERR_DUPLICATE_TARGET'
  /** A spool could not read or write its files; `cause` is the error of the file system. */
  | 'ERR_SPOOL_FAILED'
  /** Part of a spool's file is damaged. */
  | 'ERR_SPOOL_CORRUPT';

/** Optional properties of a {@link ConnectionError}. */
export interface ConnectionErrorDetails {
  /** What led to this error. */
  readonly cause?: unknown;
  /** The target as text. */
  readonly tag?: string | undefined;
}

/**
 * The class of this library's errors. Node's own errors (`ECONNREFUSED`, certificate errors …) are passed on unchanged,
 * or as the `cause`.
 *
 * @example
 * ```ts
 * try {
 *   new ReconnectingConnection({ port: 70_000 });
 * } catch (error) {
 *   if (error instanceof ConnectionError) console.log(`${error.code}: ${error.message}`);
 * }
 * ```
 */
export class ConnectionError extends Error {
  /** What went wrong. */
  readonly code: ErrorCode;
  /** The target, such as `127.0.0.1:6379`, if the error concerns one. */
  readonly tag: string | undefined;

  /** For tests that imitate this library. */
  constructor(code: ErrorCode, message: string, details: ConnectionErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.tag = details.tag;
  }

  static {
    // On the prototype, as for the built-in errors, so that logs do not show it as an own property.
    Object.defineProperty(this.prototype, 'name', { value: 'ConnectionError', configurable: true, writable: true });
  }
}

/** The error for an invalid option or argument. `show` words the value, so that the message contains no secret. */
export function invalidOption(
  name: string,
  expected: string,
  value: unknown,
  cause?: unknown,
  show: (value: unknown) => string = describe,
): ConnectionError {
  const message = `Expected ${name} to be ${expected}, got ${show(value)}${because(cause)}`;
  return new ConnectionError('ERR_INVALID_OPTION', message, { cause });
}

/**
 * Runs `check`. The stack of an error that it throws begins where `entry` was called: with the line of the application,
 * and not with ours.
 *
 * @param entry - The public function that is being called, or its object and its name.
 */
export function fromCaller<T>(entry: Entry, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw beginAt(error, entry);
  }
}

/** Makes the stack of an error of ours begin where `entry` was called, and returns it. */
export function beginAt(error: unknown, entry: Entry): unknown {
  if (!(error instanceof ConnectionError)) return error;
  const { stack } = error;
  // `as`: the name is one of a method.
  Error.captureStackTrace(error, typeof entry === 'function' ? entry : (Reflect.get(...entry) as PublicFunction));
  // No line is left if `entry` is not on the stack, which is so when it was replaced, as test runners do.
  if (stack !== undefined && !error.stack?.includes('\n    at ')) error.stack = stack;
  return error;
}

type PublicFunction = NonNullable<Parameters<typeof Error.captureStackTrace>[1]>;

type Entry = PublicFunction | readonly [owner: object, method: string];

/** A value and its type for an error message, short and without the contents of objects: `"6379" (string)`, `an array`. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `"${shorten(value, 40)}" (string)`;
    case 'object':
      if (value === null) return 'null';
      return isArray(value) ? 'an array' : 'an object';
    case 'function':
      return 'a function';
    case 'undefined':
      return 'undefined';
    default:
      return `${String(value)} (${typeof value})`;
  }
}

/** Text for an error message: at most so many characters, without the password of a URL and without control characters. */
export function shorten(text: string, most: number): string {
  const shown = text.replace(/^.*@/s, '…@');
  return escape(shown.length > most ? `${shown.slice(0, most)}…` : shown);
}

/** Escapes text as JSON does, and also all invisible characters: `\u{202e}`. */
export function escape(text: string): string {
  const json = JSON.stringify(text).slice(1, -1);
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (each) => `\\u{${each.codePointAt(0)!.toString(16)}}`);
}

/** The message of an error for a log: one short line without control characters and without the password of a URL. */
export function readable(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').replace(/\/\/[^/\s@]*@/g, '//…@');
  return plain.length > 200 ? `${plain.slice(0, 200)}…` : plain;
}

/** `Array.isArray`, but false for a revoked Proxy, for which `Array.isArray` throws. */
export function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** Handles the rejection of a promise that came instead of another value: unhandled, it would end the process. */
export function ignoreRejection(value: unknown): void {
  if (types.isPromise(value)) value.catch(() => undefined);
}

/** Also for errors of another realm, such as those of a test runner or a `vm` context. */
export function isError(value: unknown): value is Error {
  // The traps of a Proxy may throw.
  return types.isNativeError(value) || (!types.isProxy(value) && value instanceof Error);
}

/** A thrown value as an Error with a readable message. */
export function toError(thrown: unknown): Error {
  if (!isError(thrown)) return new Error(`Thrown: ${describe(thrown)}`, { cause: thrown });
  if (thrown.message !== '' || !('errors' in thrown) || !Array.isArray(thrown.errors)) return thrown;
  // The message of Node's AggregateError is empty.
  return aggregate(thrown.errors, thrown, { cause: thrown });
}

/** Several errors as one, whose message joins theirs, with the `code` of `source`. */
export function aggregate(errors: readonly unknown[], source: object | undefined, options?: ErrorOptions): Error {
  const messages = errors.map((error) => (types.isNativeError(error) ? error.message : describe(error)));
  const all = new AggregateError(errors, messages.join('; '), options);
  return source !== undefined && 'code' in source ? Object.assign(all, { code: source.code }) : all;
}

/**
 * What a cause says, to end the message of the error that wraps it: `: read ECONNRESET`; empty without one. An error
 * without a message has its code or its name.
 */
export function because(cause: unknown): string {
  if (cause === undefined) return '';
  if (!isError(cause)) return `: ${describe(cause)}`;
  const { message, name, code } = cause as NodeJS.ErrnoException;
  // Node names an abstract socket by its NUL.
  return `: ${message === '' ? (code ?? name) : message.replaceAll('\0', '@')}`;
}

/** The default case of a `switch` over a union: it compiles only if all members are handled. */
export function unreachable(value: never): never {
  throw new TypeError(`Unreachable: ${describe(value)}`);
}
