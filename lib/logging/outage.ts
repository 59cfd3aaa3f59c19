import type { DropInfo, OpenInfo } from '../events/events';
import { type LogLine, counted, duration } from './lines';
import type { LogFields } from './logger';

/** How much of a storm is told. Milliseconds. */
export interface OutageSettings {
  readonly interval: number;
  readonly maxInterval: number;
  readonly settleTime: number;
}

/** What a storm is for: a line to log. */
export type WriteLine = (line: LogLine) => void;

/** Kinds of lines of a storm that are told at once. */
const MOST_KINDS = 50;

/** That all is well is told at once the first time; after that it may not last, and is told when it has. */
const BACK = 'back';

/** The trouble of one target, told in few lines. */
export class Outage {
  readonly tag: string;
  /** The connections that were in trouble, without those that have closed. */
  readonly involved = new Set<object>();
  readonly #down = new Set<object>();
  readonly #settings: OutageSettings;
  readonly #write: WriteLine;
  readonly #onEnd: (storm: Outage) => void;
  readonly #startedAt = performance.now();
  #openedAt = this.#startedAt;
  #attempts = 0;
  #retries = 0;
  #losses = 0;
  #closes = 0;
  #writes = 0;
  #bytes = 0;
  /** Lines held back since the last that was told. */
  #held = 0;
  /** The latest line that was held back. */
  #last: LogLine | undefined;
  readonly #kinds = new Set<string>();
  #interval = 0;
  #nextAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(tag: string, settings: OutageSettings, write: WriteLine, onEnd: (storm: Outage) => void) {
    this.tag = tag;
    this.#settings = settings;
    this.#write = write;
    this.#onEnd = onEnd;
  }

  /** Whether a connection of it has no session. */
  get isDown(): boolean {
    return this.#down.size > 0;
  }

  addOpen(connection: object, { attempts }: OpenInfo): void {
    this.#down.delete(connection);
    this.#attempts += attempts;
    this.#openedAt = performance.now();
  }

  addLoss(connection: object): void {
    this.#add(connection);
    this.#losses += 1;
  }

  addRetry(connection: object): void {
    this.#add(connection);
    this.#retries += 1;
  }

  addDrop({ bytes }: DropInfo): void {
    this.#writes += 1;
    this.#bytes += bytes;
  }

  addClose(connection: object): void {
    this.#down.delete(connection);
    this.involved.delete(connection);
    this.#closes += 1;
  }

  /** Logs `line` if it is the first of its kind, or if it is time for a summary; else counts it. */
  tell(line: LogLine): void {
    const now = performance.now();
    if (this.#kinds.size < MOST_KINDS && !this.#kinds.has(line.kind)) {
      this.#kinds.add(line.kind);
      // News: what repeats from here on is new as well.
      this.#interval = this.#settings.interval;
      this.#nextAt = now + this.#interval;
      const isLast = line.event === 'close' || line.event === 'giveUp';
      const account = isLast && this.#held > 0 ? `; ${this.#account(now)}` : '';
      this.#log({ ...line, text: `${line.text}${account}` });
    } else if (now >= this.#nextAt && line.kind !== BACK) {
      this.#interval = Math.min(this.#interval * 2, this.#settings.maxInterval);
      this.#nextAt = now + this.#interval;
      this.#log({ ...line, text: `${this.#account(now)}; latest: ${line.text}`, fields: this.#summary(line, now) });
    } else {
      this.#held += 1;
      this.#last = line;
    }
  }

  /** What is told when nothing is down any more. */
  backLine(tag: string): LogLine {
    const count = this.involved.size;
    const who = count === 1 ? 'back' : `all ${count} connections are back`;
    const downtime = Math.round(this.#openedAt - this.#startedAt);
    const text = `${who} after ${counted(this.#attempts, 'attempt')} in ${duration(downtime)}`;
    const fields = { attempts: this.#attempts, downtime, ...(count > 1 && { connections: count }) };
    return { event: 'open', tag, text, fields, kind: BACK };
  }

  /** The storm ends when nothing more happens for `settleTime`. */
  settle(): void {
    clearTimeout(this.#timer);
    if (!this.isDown) this.#timer = setTimeout(() => this.end(), this.#settings.settleTime).unref();
  }

  end(): void {
    this.clear();
    const last = this.#last;
    if (this.#held > 0 && last !== undefined) this.#log(this.#endLine(last));
    this.#onEnd(this);
  }

  /** Leaves no timer. */
  clear(): void {
    clearTimeout(this.#timer);
  }

  #add(connection: object): void {
    this.#down.add(connection);
    this.clear();
  }

  #endLine(last: LogLine): LogLine {
    const now = performance.now();
    if (this.involved.size > 0 && this.#attempts > 0) return this.backLine(last.tag);
    return { ...last, text: `${this.#account(now)}; latest: ${last.text}`, fields: this.#summary(last, now) };
  }

  #log(line: LogLine): void {
    const held = this.#held;
    this.#held = 0;
    this.#write(held === 0 ? line : { ...line, fields: { ...line.fields, heldBack: held } });
  }

  /** The storm so far, for people: `in 62 s 14 retries, 3 lost sessions`. */
  #account(now: number): string {
    const parts = [
      this.#retries > 0 && counted(this.#retries, 'retry', 'retries'),
      this.#losses > 0 && counted(this.#losses, 'lost session'),
      this.#writes > 0 && `${counted(this.#writes, 'dropped write')} of ${this.#bytes} bytes`,
      this.#closes > 1 && `${this.#closes} connections closed`,
      this.#down.size > 1 && `${this.#down.size} connections down`,
    ];
    return `in ${duration(now - this.#startedAt)} ${parts.filter((part) => part !== false).join(', ')}`;
  }

  /** The storm so far, for machines. */
  #summary({ fields }: LogLine, now: number): LogFields {
    return {
      ...fields,
      duration: Math.round(now - this.#startedAt),
      retries: this.#retries,
      losses: this.#losses,
      ...(this.#down.size > 1 && { down: this.#down.size }),
      ...(this.#writes > 0 && { droppedWrites: this.#writes, droppedBytes: this.#bytes }),
    };
  }
}
