import { ConnectionError, toError } from '../errors';
import type { FailureReason } from '../events/events';

/** What ends an attempt. */
export class AttemptFailure {
  readonly ok = false;
  readonly reason: FailureReason;
  readonly error: Error;

  constructor(reason: FailureReason, error: Error) {
    this.reason = reason;
    this.error = error;
  }
}

/** Nothing came within `milliseconds`; `what` it was that was waited for. */
export function timedOut(tag: string, milliseconds: number, what: 'dial' | 'handshake'): AttemptFailure {
  const message =
    what === 'handshake'
      ? `The handshake with ${tag} was not done within ${milliseconds} ms`
      : `No answer from ${tag} within ${milliseconds} ms`;
  return new AttemptFailure('connect-timeout', new ConnectionError('ERR_CONNECT_TIMEOUT', message, { tag }));
}

/** The kernel picked the very port that was dialled. */
export function selfConnected(tag: string): AttemptFailure {
  const message = `The socket for ${tag} was connected to itself`;
  return new AttemptFailure('self-connect', new ConnectionError('ERR_SELF_CONNECT', message, { tag }));
}

/** The link closed: by itself, or in the course of the handshake, which it may have been broken by `cause` for. */
export function closedEarly(tag: string, inHandshake: boolean, cause: Error | undefined): AttemptFailure {
  const message = `${tag} closed the connection before it was open`;
  const error = new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause, tag });
  return new AttemptFailure(inHandshake ? 'handshake-failed' : 'peer-end', error);
}

/** The handshake threw or rejected. */
function handshakeFailed(tag: string, cause: Error): AttemptFailure {
  const message = `The handshake with ${tag} failed: ${cause.message}`;
  return new AttemptFailure('handshake-failed', new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause, tag }));
}

/** Nobody wants it any more. */
export function givenUp(tag: string): ConnectionError {
  return new ConnectionError('ERR_ABORTED', `The attempt to reach ${tag} was given up`, { tag });
}

/** What an attempt failed with, whatever was thrown. */
export function failureOf(thrown: unknown, tag: string, inHandshake: boolean): AttemptFailure {
  const cause = toError(thrown);
  return inHandshake ? handshakeFailed(tag, cause) : new AttemptFailure('error', cause);
}

/** What this machine had not, or would not: no word from the endpoint. */
const LOCAL: ReadonlySet<unknown> = new Set([
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EINVAL',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
]);

/** Whether a socket failed for want of something at this end, so that it says nothing of the other. */
export function isLocal(error: Error): boolean {
  return 'code' in error && LOCAL.has(error.code);
}

/** Whether a socket was connected although it says that it failed to: a peer that refuses is not one that hangs up. */
export function wasConnected(error: Error): boolean {
  return 'code' in error && error.code === 'ECONNRESET';
}
