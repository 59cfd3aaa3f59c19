import type { LogLine } from './lines';

/** When repeated lines and the end of an outage are logged, in milliseconds. */
export interface OutageSettings {
  readonly interval: number;
  readonly maxInterval: number;
  readonly settleTime: number;
}

/** The number of kinds of lines that are logged at once; lines of further kinds count as repeated. */
const MAX_KINDS = 50;

/** Good news never makes a summary due. */
const GOOD: readonly LogLine['event'][] = ['open', 'source'];

/** The lines of one trouble: the first of each kind is logged at once, repeated ones are summarized at growing intervals. */
export class Repeats {
  readonly #settings: OutageSettings;
  readonly #write: (line: LogLine) => void;
  readonly #summarize: (latest: LogLine) => LogLine;
  /** Kinds of lines that have been logged. */
  readonly #kinds = new Set<string>();
  /** Number of lines that were not logged since the last one that was. */
  #suppressed = 0;
  #lastSuppressed: LogLine | undefined;
  /** Milliseconds from one summary to the next, and when the next is due. */
  #interval = 0;
  #nextSummaryAt = 0;

  /** @param summarize - The line for all that was suppressed, of which it is given the latest. */
  constructor(settings: OutageSettings, write: (line: LogLine) => void, summarize: (latest: LogLine) => LogLine) {
    this.#settings = settings;
    this.#write = write;
    this.#summarize = summarize;
  }

  /** Whether any line was suppressed since the last one that was logged. */
  get hasSuppressed(): boolean {
    return this.#suppressed > 0;
  }

  isNew({ kind }: LogLine): boolean {
    return this.#kinds.size < MAX_KINDS && !this.#kinds.has(kind);
  }

  /** Logs `line` if it is the first of its kind, logs a summary if one is due, and otherwise suppresses the line. */
  log(line: LogLine): void {
    const now = performance.now();
    if (this.isNew(line)) {
      this.#kinds.add(line.kind);
      // A new kind of trouble: the intervals start again.
      this.#interval = this.#settings.interval;
      this.#nextSummaryAt = now + this.#interval;
      this.#writeLine(line);
    } else if (now >= this.#nextSummaryAt && !GOOD.includes(line.event)) {
      this.#interval = Math.min(this.#interval * 2, this.#settings.maxInterval);
      this.#nextSummaryAt = now + this.#interval;
      this.#writeLine(this.#summarize(line));
    } else {
      this.#suppressed += 1;
      this.#lastSuppressed = line;
    }
  }

  /** Logs a summary of what was suppressed, if anything was. */
  end(): void {
    const last = this.#lastSuppressed;
    if (this.hasSuppressed && last !== undefined) this.#writeLine(this.#summarize(last));
  }

  #writeLine(line: LogLine): void {
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#write(suppressed === 0 ? line : { ...line, fields: { ...line.fields, heldBack: suppressed } });
  }
}
