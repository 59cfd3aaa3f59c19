import { healthyIn } from '../connection';
import type { WriteCount } from '../events/events';
import { type LogLine, type OutageTotals, RECOVERY, recoveryLine, summaryOf } from './lines';
import { type OutageSettings, Repeats } from './repeats';

/**
 * The outage of one target, and which of its lines are logged. It lasts from the first loss or failed attempt until all its
 * connections have healthy sessions and have been open for `settleTime`, or have closed. The first line of each kind is
 * logged at once, repeated lines are summarized at growing intervals, and the end is logged if any line was suppressed.
 */
export class Outage {
  /** The connections that it affects, except closed ones. */
  readonly connections = new Set<object>();
  /** Those without a session. */
  readonly #down = new Set<object>();
  readonly #settings: OutageSettings;
  readonly #repeats: Repeats;
  readonly #onEnd: (outage: Outage) => void;
  readonly #startedAt = performance.now();
  #openedAt = this.#startedAt;
  #lastEventAt = this.#startedAt;
  /** Dials of all openings. */
  #attempts = 0;
  readonly #totals = {
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
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: OutageSettings, write: (line: LogLine) => void, onEnd: (outage: Outage) => void) {
    this.#settings = settings;
    this.#repeats = new Repeats(settings, write, (latest) => this.#summaryLine(latest));
    this.#onEnd = onEnd;
  }

  /** A connection has opened. */
  onOpen(line: LogLine, connection: object, attempts: number, trial: number): void {
    this.#up(connection);
    this.#attempts += attempts;
    this.#openedAt = this.#lastEventAt;
    // Where it is the last one and needs no trial, the line of the recovery says it all.
    if (this.#down.size > 0 || trial > 0) this.log(line);
    this.settle(line.tag);
  }

  /** A connection has lost its session, with its unconfirmed writes, or a wait for its next attempt begins. */
  onDown(line: LogLine, connection: object, uncertain?: WriteCount): void {
    clearTimeout(this.#timer);
    this.#down.add(connection);
    this.#isUnrecovered = true;
    if (uncertain === undefined) this.#totals.retries += 1;
    else {
      this.#totals.losses += 1;
      this.#addUncertain(uncertain);
    }
    this.log(line);
  }

  addDropped(bytes: number): void {
    this.#totals.droppedWrites += 1;
    this.#totals.droppedBytes += bytes;
  }

  /** A connection has closed, which a line is to say. */
  leave(connection: object): void {
    this.#up(connection);
    this.connections.delete(connection);
  }

  /** Logs that connections have closed, and ends the outage with the last of them. */
  onClosed(line: LogLine): void {
    this.log(line);
    const { connections = 1, uncertainWrites = 0, uncertainBytes = 0 } = line.fields;
    this.#totals.closes += Number(connections);
    this.#addUncertain({ writes: Number(uncertainWrites), bytes: Number(uncertainBytes) });
    if (this.connections.size === 0) this.end();
    else this.settle(line.tag);
  }

  /** Logs `line`, unless it repeats another. The last one says what was suppressed before it. */
  log(line: LogLine): void {
    const isLast = (line.event === 'close' || line.event === 'giveUp') && this.#repeats.isNew(line);
    this.#repeats.log(isLast && this.#repeats.hasSuppressed ? this.#withSummary(line) : line);
  }

  /**
   * Unless a connection is down: logs the recovery when all sessions are healthy, and ends the outage when `settleTime`
   * has passed too without further events.
   */
  settle(tag: string): void {
    clearTimeout(this.#timer);
    if (this.#down.size > 0 || this.connections.size === 0) return;
    const trial = Math.max(...[...this.connections].map(healthyIn));
    if (trial > 0) return this.#settleIn(tag, trial);
    if (this.#isUnrecovered) this.log(this.#recoveryLine(tag));
    this.#isUnrecovered = false;
    const rest = this.#settings.settleTime - (performance.now() - this.#lastEventAt);
    if (rest > 0) this.#settleIn(tag, rest);
    else this.end();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#repeats.end();
    this.#onEnd(this);
    this.connections.clear();
  }

  #up(connection: object): void {
    this.#down.delete(connection);
    this.#lastEventAt = performance.now();
  }

  #addUncertain({ writes, bytes }: WriteCount): void {
    this.#totals.uncertainWrites += writes;
    this.#totals.uncertainBytes += bytes;
  }

  #settleIn(tag: string, milliseconds: number): void {
    // The logger may have ended it: the logging was stopped.
    if (this.connections.size === 0) return;
    // Rounded up, so that it is not found unhealthy for a fraction of a millisecond.
    this.#timer = setTimeout(() => this.settle(tag), Math.ceil(milliseconds)).unref();
  }

  #recoveryLine(tag: string): LogLine {
    const downtime = Math.round(this.#openedAt - this.#startedAt);
    const line = recoveryLine(tag, this.connections.size, this.#attempts, downtime, this.#totalsNow);
    return { ...line, connection: this.#only };
  }

  /** Its connection, if there is only one: what is said of the outage is said of that one. */
  get #only(): object | undefined {
    return this.connections.size === 1 ? [...this.connections][0] : undefined;
  }

  get #totalsNow(): OutageTotals {
    return { ...this.#totals, duration: performance.now() - this.#startedAt, down: this.#down.size };
  }

  #summaryLine(latest: LogLine): LogLine {
    if (latest.kind === RECOVERY) return this.#recoveryLine(latest.tag);
    const { text, fields } = summaryOf(this.#totalsNow);
    const summary = { text: `${text}; latest: ${latest.text}`, fields: { ...latest.fields, ...fields } };
    return { ...latest, ...summary, connection: this.#only };
  }

  /** `line`, and what was suppressed before it. */
  #withSummary(line: LogLine): LogLine {
    const { text, fields } = summaryOf(this.#totalsNow);
    return { ...line, text: `${line.text}; ${text}`, fields: { ...line.fields, ...fields } };
  }
}
