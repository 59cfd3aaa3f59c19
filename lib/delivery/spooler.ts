import { type ConnectionError, invalidOption } from '../errors';
import { integer } from '../options/checks';
import { type MessageLog, sizeOf } from './log';
import type { DeliveryMessage, Replay, Spool } from './spool';

/** Messages of a batch at most, and bytes, or characters, from which on no other message is added to it. */
const LARGEST_BATCH = 4_096;
const FULL_BATCH = 1_048_576;

/** Milliseconds after which a call that has failed is repeated. */
const RETRY_AFTER = 1_000;

/** A caller of `flush()`, and the position behind the last message that it waits for. */
interface Flush {
  readonly end: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Calls a spool, one call at a time: what comes while it is busy goes into the next. */
export class Spooler {
  readonly #spool: Spool;
  readonly #log: MessageLog;
  readonly #onKept: () => void;
  readonly #onFailed: (error: ConnectionError) => void;
  /** The position behind the last message that is kept. */
  end: number;
  /** Messages that earlier processes have left. */
  replayed = 0;
  /** The position behind the last message that the peer has, as far as the spool knows. */
  #acknowledgedEnd: number;
  /** Positions whose messages the spool has lost. */
  readonly lost = new Set<number>();
  readonly #errorOf: (cause: unknown) => ConnectionError;
  #isRunning = false;
  /** Messages of the next batch at most: one after a failure, since a spool that is full may have room for it. */
  #batch = LARGEST_BATCH;
  /** Whether a call has failed, and messages or an acknowledgement still wait for the spool. */
  #isFailing = false;
  /** It calls no more, or not again what fails. */
  #ended: 'stopped' | 'closed' | undefined;
  /** Repeats the call that has failed. */
  #retry: NodeJS.Timeout | undefined;
  #flushes: Flush[] = [];

  /**
   * @param onKept - Called when more messages may be sent.
   * @param onFailed - Called when a call has failed, and not again before the spool has everything.
   */
  constructor(
    spool: Spool,
    log: MessageLog,
    onKept: () => void,
    onFailed: (error: ConnectionError) => void,
    errorOf: (cause: unknown) => ConnectionError,
  ) {
    this.#spool = spool;
    this.#log = log;
    this.#onKept = onKept;
    this.#onFailed = onFailed;
    this.#errorOf = errorOf;
    this.end = log.next;
    this.#acknowledgedEnd = log.first;
  }

  /** Adds what the spool has kept to the log, which is empty. */
  async replay(): Promise<void> {
    const log = this.#log;
    const given: unknown = await this.#spool.replay();
    // `as`: both are checked.
    const { first, messages } = (given ?? {}) as Partial<Replay>;
    log.startAt(integer(1)(first, 'the `first` of a replay'));
    this.#acknowledgedEnd = log.first;
    this.end = log.first;
    for await (const message of iterable(messages)) {
      if (message === undefined) this.lost.add(log.next);
      log.add(message ?? '', sizeOf(message ?? ''));
      this.end = log.next;
      this.replayed += 1;
    }
    const { first: oldest } = log;
    const last = this.passLost(oldest - 1);
    if (last < oldest) return;
    log.removeTo(last);
    this.replayed -= last + 1 - oldest;
  }

  /** The last position after `position` before which all are lost, or `position` itself. */
  passLost(position: number): number {
    let last = position;
    while (this.lost.delete(last + 1)) last += 1;
    return last;
  }

  /** Messages were added to the log. */
  start(): void {
    if (this.#isRunning || this.#retry !== undefined || this.#ended === 'stopped') return;
    this.#isRunning = true;
    // What this tick brings is one batch.
    process.nextTick(() => void this.#run());
  }

  /** Does not wait any longer to repeat what has failed: messages were removed from the log, and the spool may have room. */
  retry(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.start();
  }

  /** Resolves when all messages that the log has now are kept. */
  flush(): Promise<void> {
    const end = this.#log.next;
    return new Promise((resolve, reject) => {
      if (end <= this.end) return resolve();
      this.#flushes.push({ end, resolve, reject });
      if (this.#ended === 'stopped') this.#reject(this.#errorOf('it has stopped'));
      else this.retry();
    });
  }

  /** No messages follow. What was taken is still kept, but what fails is not repeated. */
  close(): void {
    this.#ended ??= 'closed';
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  /** The window has stopped. */
  stop(error: Error): void {
    this.close();
    this.#ended = 'stopped';
    this.#reject(error);
  }

  async #run(): Promise<void> {
    const log = this.#log;
    try {
      while (this.#ended !== 'stopped') {
        // In turn: while there are always more messages, the spool has to make room all the same.
        if (log.first > this.#acknowledgedEnd) await this.#acknowledge();
        else if (log.next === this.end) break;
        if (log.next > this.end) await this.#append();
      }
      this.#isFailing = false;
      this.#isRunning = false;
    } catch (cause) {
      this.#isRunning = false;
      this.#fail(cause);
    }
  }

  #fail(cause: unknown): void {
    if (this.#ended === 'stopped') return;
    const error = this.#errorOf(cause);
    this.#reject(error);
    if (this.#ended === 'closed') return;
    // The connection decides how long the process lives.
    this.#retry = setTimeout(() => this.retry(), RETRY_AFTER).unref();
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#onFailed(error);
  }

  #reject(error: Error): void {
    for (const { reject } of this.#flushes.splice(0)) reject(error);
  }

  async #append(): Promise<void> {
    const first = this.end;
    const messages: DeliveryMessage[] = [];
    for (let size = 0; size < FULL_BATCH && messages.length < this.#batch; size += messages.at(-1)!.length) {
      if (first + messages.length === this.#log.next) break;
      messages.push(this.#log.at(first + messages.length));
    }
    const end = first + messages.length;
    try {
      await this.#spool.append(messages, first);
    } catch (error) {
      this.#batch = 1;
      if (messages.length === 1) throw error;
      return;
    }
    this.#batch = Math.min(2 * this.#batch, LARGEST_BATCH);
    this.end = end;
    this.#flushes = this.#flushes.filter((flush) => {
      if (flush.end <= end) flush.resolve();
      return flush.end > end;
    });
    this.#onKept();
  }

  async #acknowledge(): Promise<void> {
    const { first } = this.#log;
    await this.#spool.acknowledge(first - 1);
    this.#acknowledgedEnd = first;
  }
}

function iterable(messages: Replay['messages'] | undefined): Replay['messages'] {
  const value = Object(messages) as object;
  if (messages !== undefined && (Symbol.iterator in value || Symbol.asyncIterator in value)) return messages;
  throw invalidOption('the `messages` of a replay', 'iterable', messages);
}
