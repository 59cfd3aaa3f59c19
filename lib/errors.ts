import { types } from 'node:util';

/** Every code a {@link ConnectionError} can carry. Codes are API: they change only with a major version. */
export type ErrorCode =
  /** Thrown: an option is not what it must be. The message names it, what was expected, and what came. */
  | 'ERR_INVALID_OPTION'
  /** Thrown by a write: the chunk is neither a string nor bytes, or the encoding is none of Buffer's. */
  | 'ERR_INVALID_CHUNK'
  /** The write was refused: the bound of `queue` is reached. */
  | 'ERR_QUEUE_FULL'
  /** The write waited for a session longer than `queue.maxAge`. */
  | 'ERR_EXPIRED'
  /** The session ended before it confirmed the write, which may or may not have left. */
  | 'ERR_DELIVERY_UNCERTAIN'
  /** The lifecycle has ended, or is ending. */
  | 'ERR_CLOSED'
  /** The session that was written to, or looped over, has ended or was left. */
  | 'ERR_SESSION_ENDED'
  /** The attempt took longer than `connectTimeout`. */
  | 'ERR_CONNECT_TIMEOUT'
  /** The `handshake` failed (see `cause`), or the peer closed before the session was open. */
  | 'ERR_HANDSHAKE_FAILED'
  /** Nothing was received for `idleTimeout`. */
  | 'ERR_IDLE'
  /** Nothing was received within `heartbeat.timeout` of a ping. */
  | 'ERR_HEARTBEAT'
  /** The kernel connected the socket to itself. */
  | 'ERR_SELF_CONNECT'
  /** `maxRetries`, `maxElapsed`, `shouldRetry` or the `backoff` ended the lifecycle; `cause` is the last failure. */
  | 'ERR_GAVE_UP'
  /** A signal was aborted; `cause` is its reason. */
  | 'ERR_ABORTED'
  /** The write was refused: no member of the pool is open. */
  | 'ERR_NO_OPEN_MEMBER'
  /** Thrown by a registry: it has a live connection with that tag, or a pool of that name. */
  | 'ERR_DUPLICATE_TARGET';

/** What a {@link ConnectionError} knows beyond its code and message. */
export interface ConnectionErrorDetails {
  /** What led to this error, untouched. */
  readonly cause?: unknown;
  /** The target it concerns, as text. */
  readonly tag?: string | undefined;
}

/**
 * Every error this library makes itself. Node's own errors (`ECONNREFUSED`, certificate errors …) are passed on as
 * they are, never wrapped, except where a `cause` says so.
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
  /** What went wrong, for code to compare. */
  readonly code: ErrorCode;
  /** The target it concerns, such as `127.0.0.1:6379`, where there is one. */
  readonly tag: string | undefined;

  /** Makes one: of use in tests that play the part of this library. */
  constructor(code: ErrorCode, message: string, details: ConnectionErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.tag = details.tag;
  }

  static {
    // On the prototype, as with the built-in errors, so that it is no own property in logs.
    Object.defineProperty(this.prototype, 'name', { value: 'ConnectionError', configurable: true, writable: true });
  }
}

/** The error for an option that is not what it must be. Objects are named by their kind: never print what they hold. */
export function invalidOption(name: string, expected: string, value: unknown, cause?: unknown): ConnectionError {
  return new ConnectionError('ERR_INVALID_OPTION', `Expected ${name} to be ${expected}, got ${describe(value)}`, {
    cause,
  });
}

/** A value and its type for an error message, short and without secrets: `'6379' (string)`, `an array`, `null`. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return `${quote(value)} (string)`;
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

/** Text in quotes for an error message: short, without the password of a URL, and with nothing that a log obeys. */
function quote(text: string): string {
  const shown = text.replace(/^.*@/s, '…@');
  return `"${escape(shown.length > 40 ? `${shown.slice(0, 40)}…` : shown)}"`;
}

/** Text as it stands in JSON, and with all that is no visible character written as a number. */
export function escape(text: string): string {
  const json = JSON.stringify(text).slice(1, -1);
  return json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (each) => `\\u{${each.codePointAt(0)!.toString(16)}}`);
}

/** Never throws, as `Array.isArray` does for a Proxy that was revoked. */
export function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}

/** For a promise where none belongs: what it rejects with must not end the process. */
export function disown(value: unknown): void {
  if (value instanceof Promise) value.catch(() => undefined);
}

/** Whatever was thrown or rejected with, as an Error with a readable message. */
export function toError(thrown: unknown): Error {
  // `isNativeError` also knows the errors of another realm, which a test runner or a `vm` context brings.
  if (!types.isNativeError(thrown) && !(thrown instanceof Error)) {
    return new Error(`Thrown: ${describe(thrown)}`, { cause: thrown });
  }
  if (thrown.message !== '' || !('errors' in thrown) || !Array.isArray(thrown.errors)) return thrown;
  // Node leaves the message of its AggregateError (several addresses, all failed) empty.
  const messages = thrown.errors.map((error) => (types.isNativeError(error) ? error.message : describe(error)));
  const readable = new AggregateError(thrown.errors, messages.join('; '), { cause: thrown });
  return 'code' in thrown ? Object.assign(readable, { code: thrown.code }) : readable;
}

/** The end of a `switch` over a union: the compiler proves that nothing gets here. */
export function unreachable(value: never): never {
  throw new TypeError(`Unreachable: ${describe(value)}`);
}
