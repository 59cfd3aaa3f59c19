import { ConnectionError, because, describe, isError, toError } from '../errors';
import type { FailureReason } from '../events/events';
import type { Preparation } from './handshake';

/** The failure of an attempt. */
export class AttemptFailure {
  readonly ok = false;
  readonly reason: FailureReason;
  readonly error: Error;

  constructor(reason: FailureReason, error: Error) {
    this.reason = reason;
    this.error = error;
  }
}

/** How the parts of an attempt are named in messages. */
const SUBJECT = {
  beforeTls: (tag: string) => `\`beforeTls\` for ${tag}`,
  handshake: (tag: string) => `The handshake with ${tag}`,
};

/** No answer within `milliseconds`, to the dial or in the application's `step`. */
export function timedOut(tag: string, milliseconds: number, step?: Preparation): AttemptFailure {
  const message =
    step === undefined
      ? `No answer from ${tag} within ${milliseconds} ms`
      : `${SUBJECT[step](tag)} was not done within ${milliseconds} ms`;
  return new AttemptFailure('connect-timeout', new ConnectionError('ERR_CONNECT_TIMEOUT', message, { tag }));
}

/** The kernel gave the socket the very port that was dialled. */
export function selfConnected(tag: string): AttemptFailure {
  const message = `The socket for ${tag} was connected to itself`;
  return new AttemptFailure('self-connect', new ConnectionError('ERR_SELF_CONNECT', message, { tag }));
}

/** The transport closed without an error, or during the application's `step`, perhaps with an error (`cause`). */
export function closedEarly(tag: string, step: Preparation | undefined, cause: Error | undefined): AttemptFailure {
  const message = `${tag} closed the connection before it was open${because(cause)}`;
  const error = new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause, tag });
  return new AttemptFailure(step === undefined ? 'peer-end' : 'handshake-failed', error);
}

/** The attempt was cancelled. */
export function givenUp(tag: string): ConnectionError {
  return new ConnectionError('ERR_ABORTED', `The attempt to reach ${tag} was given up`, { tag });
}

/** The failure for a value, which may not be an error, that was thrown in the application's `step` or elsewhere. */
export function failureOf(thrown: unknown, tag: string, step: Preparation | undefined): AttemptFailure {
  const cause = toError(thrown);
  if (step === undefined) return new AttemptFailure('error', cause);
  const message = `${SUBJECT[step](tag)} failed${because(cause)}`;
  return new AttemptFailure('handshake-failed', new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause, tag }));
}

/** Errors of this machine (ports, descriptors, memory); they say nothing about the endpoint. */
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

/** Whether a socket failed for a reason of this machine's. */
export function isLocal(error: Error): boolean {
  return 'code' in error && LOCAL.has(error.code);
}

/** Whether nothing listens there: at a port, or at the path of a Unix socket. */
export function isRefused(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT');
}

/** Whether a socket was connected although it reports a failure to connect: it was reset right afterwards. */
export function wasConnected(error: Error): boolean {
  return 'code' in error && error.code === 'ECONNRESET';
}

/** The application called `fail()`: with an error of its own, or with another value or none. */
export function calledBad(given: unknown, tag: string): AttemptFailure {
  if (isError(given)) return new AttemptFailure('failed', toError(given));
  const why = given === undefined ? '' : `: ${typeof given === 'string' ? given : describe(given)}`;
  const message = `\`fail()\` was called on the connection to ${tag}${why}`;
  return new AttemptFailure('failed', new ConnectionError('ERR_FAILED', message, { cause: given, tag }));
}
