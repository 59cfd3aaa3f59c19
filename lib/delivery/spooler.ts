import { invalidOption } from '../errors';
import { integer } from '../options/checks';
import { type MessageLog, sizeOf } from './log';
import type { Replay, Spool } from './spool';

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
  readonly #onFailed: (error: unknown) => void;
  /** The position behind the last message that is kept. */
  end: number;
  /** Messages that earlier processes have left. */
  replayed = 0;
  /** The position behind the last message that the peer has, as far as the spool knows. */
  #acknowledgedEnd: number;
  /** Positions whose messages the spool has lost. */
  readonly lost = new Set<number>();
  #isRunning = false;
  #error: Error | undefined;
  #flushes: Flush[] = [];

  /**
   * @param onKept - Called when more messages may be sent.
   * @param onFailed - Called once; from then on it calls the spool no more.
   */
  constructor(spool: Spool, log: MessageLog, onKept: () => void, onFailed: (error: unknown) => void) {
    this.#spool = spool;
    this.#log = log;
    this.#onKept = onKept;
    this.#onFailed = onFailed;
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

  /** Messages were added to the log, or removed from it. */
  start(): void {
    if (this.#isRunning || this.#error !== undefined) return;
    this.#isRunning = true;
    // What this tick brings is one batch.
    process.nextTick(() => void this.#run());
  }

  /** Resolves when all messages that the log has now are kept. */
  flush(): Promise<void> {
    const end = this.#log.next;
    return new Promise((resolve, reject) => {
      if (end <= this.end) resolve();
      else if (this.#error !== undefined) reject(this.#error);
      else this.#flushes.push({ end, resolve, reject });
    });
  }

  /** The window has stopped, for this or another reason. */
  fail(error: Error): void {
    this.#error ??= error;
    for (const { reject } of this.#flushes.splice(0)) reject(error);
  }

  async #run(): Promise<void> {
    const log = this.#log;
    try {
      while (this.#error === undefined) {
        // In turn: while there are always more messages, the spool has to make room all the same.
        if (log.first > this.#acknowledgedEnd) await this.#acknowledge();
        else if (log.next === this.end) break;
        if (log.next > this.end) await this.#append();
      }
    } catch (error) {
      this.#onFailed(error);
    }
    this.#isRunning = false;
  }

  async #append(): Promise<void> {
    const { next } = this.#log;
    const messages = Array.from({ length: next - this.end }, (_, index) => this.#log.at(this.end + index));
    await this.#spool.append(messages, this.end);
    this.end = next;
    this.#flushes = this.#flushes.filter(({ end, resolve }) => {
      if (end <= next) resolve();
      return end > next;
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
