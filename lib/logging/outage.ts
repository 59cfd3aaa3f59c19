import { healthyIn } from '../connection';
import type { BackoffInfo, CloseInfo, DropInfo, OpenInfo, ResetInfo } from '../events/events';
import {
  type LogLine,
  type OutageTotals,
  RECOVERY,
  backoffLine,
  closeLine,
  dropLine,
  openLine,
  recoveryLine,
  resetLine,
  summaryFields,
  summaryText,
} from './lines';

/** When repeated lines and the end of an outage are logged, in milliseconds. */
export interface OutageSettings {
  readonly interval: number;
  readonly maxInterval: number;
  readonly settleTime: number;
}

/** The number of kinds of lines in an outage that are logged at once; lines of further kinds count as repeated. */
const MAX_KINDS = 50;

/**
 * Decides which lines are logged. An outage of a target lasts from the first loss, failed attempt or dropped write until
 * all its connections have healthy sessions and have been open for `settleTime`, or have closed. The first line of each
 * kind is logged at once, repeated lines are summarized at growing intervals, and the end is logged if any line was
 * suppressed.
 */
export class OutageLog {
  readonly #settings: OutageSettings;
  readonly #write: (line: LogLine) => void;
  readonly #byTag = new Map<string, Outage>();
  /** A connection stays in its outage when its `target` function leads it elsewhere. */
  readonly #byConnection = new Map<object, Outage>();
  /** The reset of the last session of a lifecycle, which is logged with `close`. */
  readonly #lastResets = new WeakMap<object, ResetInfo>();

  constructor(settings: OutageSettings, write: (line: LogLine) => void) {
    this.#settings = settings;
    this.#write = write;
  }

  onOpen(info: OpenInfo, tag: string, connection: object): void {
    const outage = this.#byConnection.get(connection);
    if (outage === undefined) return this.#write(openLine(tag, info));
    outage.setDown(connection, false);
    outage.attempts += info.attempts;
    outage.openedAt = outage.lastEventAt;
    const trial = healthyIn(connection);
    // Where it is the last one and needs no trial, the line of the recovery says it all.
    if (outage.isDown || trial > 0) outage.log(openLine(tag, info, trial));
    outage.settle(tag);
  }

  /** The application has vouched for the session. */
  onHealthy(tag: string, connection: object): void {
    this.#byConnection.get(connection)?.settle(tag);
  }

  onReset(info: ResetInfo, tag: string, connection: object): void {
    if (!info.willRetry) {
      this.#lastResets.set(connection, info);
      return;
    }
    // A session that `reconnect()` ended is no outage, but may be a part of one.
    const isForced = info.reason === 'forced';
    const outage = isForced ? this.#byConnection.get(connection) : this.#outageOf(tag, connection);
    if (outage === undefined) return this.#write(resetLine(tag, info));
    outage.setDown(connection, true);
    outage.totals.losses += 1;
    outage.totals.uncertainWrites += info.uncertain.writes;
    outage.totals.uncertainBytes += info.uncertain.bytes;
    outage.log(resetLine(tag, info));
  }

  onBackoff(info: BackoffInfo, tag: string, connection: object): void {
    const outage = this.#outageOf(tag, connection);
    outage.setDown(connection, true);
    outage.totals.retries += 1;
    outage.log(backoffLine(tag, info));
  }

  onDrop(info: DropInfo, tag: string, connection: object): void {
    const outage = this.#outageOf(tag, connection);
    outage.lastEventAt = performance.now();
    outage.totals.droppedWrites += 1;
    outage.totals.droppedBytes += info.bytes;
    outage.log(dropLine(tag, info));
    outage.settle(tag);
  }

  onClose(info: CloseInfo, tag: string, connection: object): void {
    const line = closeLine(tag, info, this.#lastResets.get(connection));
    this.#lastResets.delete(connection);
    const outage = this.#byConnection.get(connection);
    if (outage === undefined) return this.#write(line);
    this.#byConnection.delete(connection);
    outage.setDown(connection, false);
    outage.connections.delete(connection);
    outage.totals.closes += 1;
    outage.log(line);
    if (outage.connections.size === 0) outage.end();
    else outage.settle(tag);
  }

  /** Forgets all outages without logging anything, and clears their timers. */
  clear(): void {
    for (const outage of this.#byTag.values()) outage.clearTimer();
    this.#byTag.clear();
    this.#byConnection.clear();
  }

  #outageOf(tag: string, connection: object): Outage {
    let outage = this.#byConnection.get(connection) ?? this.#byTag.get(tag);
    if (outage === undefined) {
      outage = new Outage(this.#settings, this.#write, (ended) => {
        this.#byTag.delete(tag);
        for (const each of ended.connections) this.#byConnection.delete(each);
      });
      this.#byTag.set(tag, outage);
    }
    outage.connections.add(connection);
    this.#byConnection.set(connection, outage);
    return outage;
  }
}

/** The outage of one target. */
class Outage {
  /** The connections that it affects, except closed ones. */
  readonly connections = new Set<object>();
  /** Those without a session. */
  readonly #down = new Set<object>();
  readonly #settings: OutageSettings;
  readonly #write: (line: LogLine) => void;
  readonly #onEnd: (outage: Outage) => void;
  readonly #startedAt = performance.now();
  openedAt = this.#startedAt;
  lastEventAt = this.#startedAt;
  /** Dials of all openings. */
  attempts = 0;
  readonly totals = {
    retries: 0,
    losses: 0,
    uncertainWrites: 0,
    uncertainBytes: 0,
    droppedWrites: 0,
    droppedBytes: 0,
    closes: 0,
  };
  /** Whether any connection was down, and the recovery has not been logged since. */
  #isUnrecovered = false;
  /** Kinds of lines that have been logged. */
  readonly #kinds = new Set<string>();
  /** Number of lines that were not logged since the last one that was. */
  #suppressed = 0;
  #lastSuppressed: LogLine | undefined;
  /** Milliseconds from one summary to the next, and when the next is due. */
  #interval = 0;
  #nextSummaryAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: OutageSettings, write: (line: LogLine) => void, onEnd: (outage: Outage) => void) {
    this.#settings = settings;
    this.#write = write;
    this.#onEnd = onEnd;
  }

  /** Whether any of the connections has no session. */
  get isDown(): boolean {
    return this.#down.size > 0;
  }

  setDown(connection: object, isDown: boolean): void {
    if (isDown) {
      this.#down.add(connection);
      this.#isUnrecovered = true;
      this.clearTimer();
    } else {
      this.#down.delete(connection);
      this.lastEventAt = performance.now();
    }
  }

  /** Logs `line` if it is the first of its kind, logs a summary if one is due, and otherwise suppresses the line. */
  log(line: LogLine): void {
    const now = performance.now();
    if (this.#kinds.size < MAX_KINDS && !this.#kinds.has(line.kind)) {
      this.#kinds.add(line.kind);
      // A new kind of trouble: the intervals start again.
      this.#interval = this.#settings.interval;
      this.#nextSummaryAt = now + this.#interval;
      const isLast = line.event === 'close' || line.event === 'giveUp';
      const summary = isLast && this.#suppressed > 0 ? `; ${summaryText(this.#totalsAt(now))}` : '';
      this.#writeLine({ ...line, text: `${line.text}${summary}` });
    } else if (now >= this.#nextSummaryAt && line.event !== 'open') {
      this.#interval = Math.min(this.#interval * 2, this.#settings.maxInterval);
      this.#nextSummaryAt = now + this.#interval;
      this.#writeLine(this.#summaryLine(line, now));
    } else {
      this.#suppressed += 1;
      this.#lastSuppressed = line;
    }
  }

  /**
   * Unless a connection is down: logs the recovery when all sessions are healthy, and ends the outage when `settleTime`
   * has passed too without further events.
   */
  settle(tag: string): void {
    this.clearTimer();
    if (this.isDown) return;
    const trial = Math.max(0, ...[...this.connections].map(healthyIn));
    if (trial > 0) return this.#settleIn(tag, trial);
    if (this.#isUnrecovered) this.log(this.#recoveryLine(tag));
    this.#isUnrecovered = false;
    const rest = this.#settings.settleTime - (performance.now() - this.lastEventAt);
    if (rest > 0) this.#settleIn(tag, rest);
    else this.end();
  }

  end(): void {
    this.clearTimer();
    const last = this.#lastSuppressed;
    if (this.#suppressed > 0 && last !== undefined) {
      const isRecovery = last.kind === RECOVERY;
      this.#writeLine(isRecovery ? this.#recoveryLine(last.tag) : this.#summaryLine(last, performance.now()));
    }
    this.#onEnd(this);
  }

  clearTimer(): void {
    clearTimeout(this.#timer);
  }

  #settleIn(tag: string, milliseconds: number): void {
    // Rounded up, so that it is not found unhealthy for a fraction of a millisecond.
    this.#timer = setTimeout(() => this.settle(tag), Math.ceil(milliseconds)).unref();
  }

  #recoveryLine(tag: string): LogLine {
    const downtime = Math.round(this.openedAt - this.#startedAt);
    return recoveryLine(tag, this.connections.size, this.attempts, downtime, this.#totalsAt(performance.now()));
  }

  #totalsAt(now: number): OutageTotals {
    return { ...this.totals, duration: now - this.#startedAt, down: this.#down.size };
  }

  #summaryLine(latest: LogLine, now: number): LogLine {
    const totals = this.#totalsAt(now);
    const fields = { ...latest.fields, ...summaryFields(totals) };
    return { ...latest, text: `${summaryText(totals)}; latest: ${latest.text}`, fields };
  }

  #writeLine(line: LogLine): void {
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#write(suppressed === 0 ? line : { ...line, fields: { ...line.fields, heldBack: suppressed } });
  }
}
