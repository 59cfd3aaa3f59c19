import type { DropInfo, DropReason } from '../events/events';
import { type LogLine, dropLine } from './lines';
import type { OutageSettings } from './outage';

/** What was dropped of one target for one reason. */
interface Dropped {
  readonly tag: string;
  readonly reason: DropReason;
  readonly code: string;
  /** Those that no line has counted yet. */
  writes: number;
  bytes: number;
  readonly connections: Set<object>;
  /** Whether a line comes in this tick. */
  isDue: boolean;
  /** Milliseconds from the last line to the next. */
  interval: number;
  /** Runs from one line to the next; undefined before the first. */
  timer: NodeJS.Timeout | undefined;
}

/**
 * Counts every dropped write in exactly one line: the `writes` of the lines add up to all that was dropped. Writes of one
 * target that are dropped for one reason in a tick are one line, which comes in that tick. Those that follow are counted in
 * a line at growing intervals, or before the next other line of the target, of which `close` is the last.
 */
export class DropLog {
  readonly #settings: OutageSettings;
  readonly #write: (line: LogLine) => void;
  readonly #byKind = new Map<string, Dropped>();

  constructor(settings: OutageSettings, write: (line: LogLine) => void) {
    this.#settings = settings;
    this.#write = write;
  }

  add({ bytes, reason, error: { code } }: DropInfo, tag: string, connection: object): void {
    const kind = `${reason} ${tag}`;
    let dropped = this.#byKind.get(kind);
    if (dropped === undefined) {
      const none = { writes: 0, bytes: 0, connections: new Set<object>(), isDue: false, timer: undefined };
      dropped = { tag, reason, code, ...none, interval: this.#settings.interval };
      this.#byKind.set(kind, dropped);
    }
    dropped.writes += 1;
    dropped.bytes += bytes;
    dropped.connections.add(connection);
    if (dropped.timer === undefined && !dropped.isDue) this.#writeInMicrotask(dropped);
  }

  /** Writes what was dropped, of all targets or of one, and no line has counted yet. */
  flush(tag?: string): void {
    for (const dropped of this.#byKind.values()) if (tag === undefined || dropped.tag === tag) this.#count(dropped);
  }

  /** Does the same, and forgets everything. */
  end(): void {
    this.flush();
    for (const { timer } of this.#byKind.values()) clearTimeout(timer);
    this.#byKind.clear();
  }

  #writeInMicrotask(dropped: Dropped): void {
    dropped.isDue = true;
    queueMicrotask(() => {
      dropped.isDue = false;
      this.#count(dropped);
    });
  }

  #count(dropped: Dropped): void {
    const { tag, writes } = dropped;
    if (writes === 0) return;
    const line = dropLine(tag, { ...dropped, connections: new Set(dropped.connections) });
    dropped.writes = 0;
    dropped.bytes = 0;
    dropped.connections.clear();
    this.#startTimer(dropped);
    this.#write(line);
  }

  #startTimer(dropped: Dropped): void {
    const { tag, reason } = dropped;
    const kind = `${reason} ${tag}`;
    clearTimeout(dropped.timer);
    // After `end()` there is nothing to come.
    if (this.#byKind.get(kind) !== dropped) return;
    dropped.timer = setTimeout(() => {
      if (dropped.writes === 0) return void this.#byKind.delete(kind);
      dropped.interval = Math.min(dropped.interval * 2, this.#settings.maxInterval);
      this.#count(dropped);
    }, dropped.interval).unref();
  }
}
