import type { SessionChunk, WriteChunk } from 'reconnecting-connection';

import { invalidOption, isArray } from '../errors';
import {
  type Check,
  type Checks,
  abortSignal,
  checkRecord,
  delay,
  frozen,
  func,
  integer,
  interval,
  orInfinity,
} from '../options/checks';

/** What pairs a request with its answer: an id, a transaction number, the name of a command. */
export type RequestKey = string | number | bigint;

/** Options of {@link Requests}. */
export interface RequestsOptions<Message = unknown, Command = WriteChunk> {
  /**
   * Milliseconds from the call of `request()` to its answer; Infinity for no limit. The peer has this long from the moment
   * at which the request was handed over, or was next to be answered.
   */
  readonly timeout: number;
  /**
   * Returns what is written for a request, when its turn has come: with framing, a checksum, the id. What it throws rejects
   * the request. Default: the request itself.
   */
  readonly send?: ((command: Command, key: RequestKey | undefined) => WriteChunk) | undefined;
  /**
   * Returns the key of the request that a message answers, true for the oldest request without a key, or false or
   * undefined for none: the message is then `unasked`. What it throws ends the session as `fail()` does. Default: true.
   */
  readonly match?: ((message: SessionChunk<Message>) => RequestKey | boolean | undefined) | undefined;
  /** The largest number of unanswered requests; Infinity for no limit. Default: 1. */
  readonly concurrency?: number | undefined;
  /** Milliseconds from a request or an answer to the next request. Default: 0. */
  readonly gap?: number | undefined;
}

/** Options of one request. */
export interface RequestOptions {
  /** As in {@link RequestsOptions}, for this request. */
  readonly timeout?: number | undefined;
  /** Rejects the promise with `ERR_ABORTED` when it is aborted. A request that waits is then never written. */
  readonly signal?: AbortSignal | undefined;
  /** What `match` returns for the answer. A request whose key an unanswered one has waits for that answer. */
  readonly key?: RequestKey | undefined;
}

/** Options of {@link Requests.heartbeat}. */
export interface RequestHeartbeatOptions {
  /** Milliseconds without an answer after which a ping is sent. */
  readonly interval: number;
  /** Milliseconds within which the answer to a ping has to come. Default: `interval`. */
  readonly timeout?: number | undefined;
  /** What `match` returns for the answer to a ping. */
  readonly key?: RequestKey | undefined;
}

/** The second argument of `unasked`. */
export interface UnaskedInfo {
  /** The key that `match` has returned; undefined where it returned none. */
  readonly key: RequestKey | undefined;
  /** Whether it is the answer to a request whose promise was rejected before it came. */
  readonly late: boolean;
}

/** The events of {@link Requests}, with their arguments. */
export type RequestsEvents<Message = unknown> = {
  /** A message answers no pending request: news from the peer, or an answer that comes too late. */
  unasked: [message: SessionChunk<Message>, info: UnaskedInfo];
};

/** The options with their defaults. */
export interface Settings<Message, Command> extends RequestsOptions<Message, Command> {
  readonly concurrency: number;
  readonly gap: number;
}

const limit: Check<number> = orInfinity(interval);

const requestKey: Check<RequestKey> = (value, name) => {
  if (isKey(value)) return value;
  throw invalidOption(name, 'a string, a number or a bigint', value);
};

export const requestChecks: Checks<RequestOptions> = { timeout: limit, signal: abortSignal, key: requestKey };
export const heartbeatChecks: Checks<RequestHeartbeatOptions> = { interval, timeout: interval, key: requestKey };

/** Checks the options and fills in the defaults. */
export function resolveOptions<Message, Command>(options: unknown): Settings<Message, Command> {
  const given = checkRecord<RequestsOptions<Message, Command>>('', options, {
    timeout: limit,
    send: func,
    match: func,
    concurrency: orInfinity(integer(1)),
    gap: delay,
  });
  // Required: without it, a request that is never answered would hold up all others for good.
  limit(given.timeout, 'option `timeout`');
  const { concurrency = 1, gap = 0 } = given;
  return frozen({ ...given, concurrency, gap });
}

export function isKey(value: unknown): value is RequestKey {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
}

/** Whether a connection can write it. */
export function isChunk(value: unknown): value is WriteChunk {
  if (isArray(value)) return value.every((part) => typeof part === 'string' || ArrayBuffer.isView(part));
  return typeof value === 'string' || ArrayBuffer.isView(value);
}

/** By its members: a connection may come from another realm, as test runners have them. */
export function checkConnection(connection: unknown): void {
  const { fail, write, on, off } = (connection ?? {}) as Record<string, unknown>;
  if ([fail, write, on, off].every((member) => typeof member === 'function')) return;
  throw invalidOption('`connection`', 'a ReconnectingConnection (of a pool, one of its members)', connection);
}
