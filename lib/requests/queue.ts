import type { ErrorCode, ReconnectingConnection, WriteChunk } from 'reconnecting-connection';

import { ConnectionError, describe } from '../errors';
import { Exchanges } from './exchanges';
import type { RequestKey, Settings } from './options';
import { Line, Pending } from './pending';

type Pace = Pick<Settings<unknown, never>, 'concurrency' | 'gap' | 'send'>;

/** Sends requests when their turn has come, and rejects those that are not answered. */
export class RequestQueue {
  readonly exchanges: Exchanges = new Exchanges((pending) => this.#onSilence(pending));
  readonly #connection: ReconnectingConnection;
  readonly #pace: Pace;
  /** Requests of this session's `open` listeners, and pings: they go first, and end with the session. */
  readonly #urgent = new Line();
  readonly #waiting = new Line();
  /** Whether the listeners of this session's `open` have been called. */
  #isReady: boolean;
  /** Whether the connection takes more writes. */
  #hasRoom = true;
  #isSending = false;
  /** When the last request was sent or the last answer came, whichever is later. */
  #busyAt = -Infinity;
  #gapTimer: NodeJS.Timeout | undefined;

  constructor(connection: ReconnectingConnection, pace: Pace) {
    this.#connection = connection;
    this.#pace = pace;
    this.#isReady = connection.state === 'open';
  }

  /** Number of requests that were not sent yet. */
  get waiting(): number {
    return this.#waiting.size + this.#urgent.size;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Adds a request. Made while listeners of `open` are called, it belongs to the session. */
  add(pending: Pending, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) return this.#onAborted(pending, signal);
    pending.startTimer(pending.timeout, () => this.#onDue(pending));
    if (signal !== undefined) pending.listen(signal, () => this.#onAborted(pending, signal));
    (this.#connection.state === 'open' && !this.#isReady ? this.#urgent : this.#waiting).add(pending);
    this.sendNext();
  }

  /** Sends a ping as the next request. Resolves when it is answered. */
  ping(command: unknown, key: RequestKey | undefined, timeout: number): Promise<unknown> {
    const ping = new Pending(command, key, timeout, true);
    this.#urgent.add(ping);
    this.sendNext();
    return ping.promise;
  }

  /** All listeners of `open` have been called. */
  onReady(): void {
    this.#isReady = true;
    this.sendNext();
  }

  onRoom(): void {
    this.#hasRoom = true;
    this.sendNext();
  }

  onAnswer(): void {
    this.#busyAt = performance.now();
  }

  sendNext(): void {
    // `send` may make requests.
    if (this.#isSending) return;
    this.#isSending = true;
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#send(next);
    this.#isSending = false;
  }

  /** The request whose turn it is now, if any. */
  #next(): Pending | undefined {
    const { state, socket } = this.#connection;
    // A session whose peer has ended answers nothing more, and one whose socket cannot be written to is about to end.
    if (state !== 'open' || !this.#hasRoom || socket?.writable !== true || socket.readableEnded) return undefined;
    const { concurrency, gap } = this.#pace;
    const next = this.#urgent.first ?? (this.#isReady ? this.#waiting.first : undefined);
    if (next === undefined || this.exchanges.size >= concurrency) return undefined;
    // Of two answers with the same key, nobody could say which is which.
    if (next.key !== undefined && this.exchanges.expects(next.key)) return undefined;
    if (next.key !== undefined && this.exchanges.owes(next.key)) {
      const what = `an earlier request with the key ${describe(next.key)}, which is used again`;
      this.#connection.fail(this.error('ERR_DELIVERY_UNCERTAIN', 'No answer came from', `to ${what}`));
      return undefined;
    }
    const left = Math.ceil(this.#busyAt + gap - performance.now());
    if (left <= 0) return next;
    this.#gapTimer ??= setTimeout(() => {
      this.#gapTimer = undefined;
      this.sendNext();
    }, left).unref();
    return undefined;
  }

  #send(pending: Pending): void {
    const { generation } = this.#connection;
    const { send } = this.#pace;
    try {
      // `as`: without `send`, each command was checked to be a chunk.
      const chunk = send === undefined ? pending.command : send(pending.command as never, pending.key);
      // `send` may have done anything.
      const { state, generation: latest } = this.#connection;
      if (pending.line === undefined || state !== 'open' || latest !== generation) return;
      pending.line.remove(pending);
      this.#busyAt = performance.now();
      this.exchanges.add(pending, this.#busyAt);
      // Now or never: in the next session, it would be answered in place of another.
      this.#hasRoom = this.#connection.write(chunk as WriteChunk, { maxAge: 0 }, (error) => {
        if (error) this.#onNotSent(pending, error);
      });
    } catch (error) {
      this.#onNotSent(pending, error);
    }
  }

  // The ends of requests that are not answered.

  /** The caller's time is over. */
  #onDue(pending: Pending): void {
    if (pending.sentAt === undefined) {
      this.#withdraw(pending, this.error('ERR_EXPIRED', 'A request to', `was not sent within ${pending.timeout} ms`));
    } else {
      pending.reject(this.error('ERR_DELIVERY_UNCERTAIN', 'No answer came from', `within ${pending.timeout} ms`));
      this.exchanges.judge(pending);
    }
  }

  /** The peer's time is over. */
  #onSilence({ key, timeout, isPing }: Pending): void {
    if (key === undefined || isPing) {
      const code = isPing ? 'ERR_HEARTBEAT' : 'ERR_DELIVERY_UNCERTAIN';
      const what = isPing ? 'No answer to a ping came from' : 'No answer came from';
      this.#connection.fail(this.error(code, what, `within ${timeout} ms`));
    } else {
      this.#busyAt = performance.now();
      this.sendNext();
    }
  }

  #onAborted(pending: Pending, { reason }: AbortSignal): void {
    if (pending.sentAt === undefined) {
      this.#withdraw(pending, this.error('ERR_ABORTED', 'A request to', 'was aborted before it was sent', reason));
    } else {
      pending.reject(this.error('ERR_ABORTED', 'A request to', 'was aborted after it was sent', reason));
    }
  }

  #onNotSent(pending: Pending, error: unknown): void {
    this.exchanges.remove(pending);
    this.#withdraw(pending, error);
  }

  #withdraw(pending: Pending, error: unknown): void {
    pending.leave();
    pending.reject(error);
    this.sendNext();
  }

  /** The session is over. */
  endSession(sentError: Error, unsentError: Error): void {
    this.#isReady = false;
    this.#hasRoom = true;
    clearTimeout(this.#gapTimer);
    this.#gapTimer = undefined;
    rejectAll(this.exchanges.takeAll(), sentError);
    rejectAll(this.#urgent, unsentError);
  }

  /** No session will follow. */
  rejectWaiting(error: Error): void {
    rejectAll(this.#waiting, error);
  }

  error(code: ErrorCode, subject: string, predicate: string, cause?: unknown): ConnectionError {
    const { tag } = this.#connection;
    return new ConnectionError(code, `${subject} ${tag} ${predicate}`, { cause, tag });
  }
}

function rejectAll(requests: Iterable<Pending>, error: Error): void {
  for (const pending of requests) {
    pending.leave();
    pending.reject(error);
  }
}
