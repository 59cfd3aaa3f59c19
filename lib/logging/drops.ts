import type { DropInfo, DropReason } from '../events/events';
import { LONGEST_DELAY } from '../timers/deadline';
import type { LogLine } from './lines';
import type { OutageSettings } from './repeats';

/** Writes of one target that were dropped for one reason, and that no line has counted yet. */
export interface DroppedWrites {
  readonly tag: string;
  readonly reason: DropReason;
  readonly code: string;
  writes: number;
  bytes: number;
  /** The connections that they were written to. */
  readonly connections: Set<object>;
}

/** Contains only the length of the writes, never their bytes. */
export function dropLine({ tag, reason, code, writes, bytes, connections }: DroppedWrites): LogLine {
  const what = writes === 1 ? `a write of ${bytes} bytes` : `${writes} writes of ${bytes} bytes in all`;
  const { size } = connections;
  return {
    event: 'drop',
    tag,
    text: `dropped ${what}${size > 1 ? ` on ${size} connections` : ''} (${reason})`,
    fields: { writes, bytes, reason, code, ...(size > 1 && { connections: size }) },
    kind: `drop ${tag} ${reason}`,
    connection: size > 1 ? undefined : [...connections][0],
  };
}

/**
 * Counts every dropped write in exactly one line: the `writes` of the lines add up to all that was dropped. Writes of one
 * target that are dropped for one reason in a tick are one line, which comes in that tick. Those that follow are counted in
 * a line at growing intervals, or before the next other line of the target, of which `close` is the last.
 */
export class DropLog {
  readonly #settings: OutageSettings;
  readonly #write: (line: LogLine) => void;
  /** By reason and target. Those without a write in an interval are forgotten. */
  readonly #kinds = new Map<string, DroppedWrites>();
  /** Runs while there is any. */
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: OutageSettings, write: (line: LogLine) => void) {
    this.#settings = settings;
    this.#write = write;
  }

  add({ bytes, reason, error: { code } }: DropInfo, tag: string, connection: object): void {
    const kind = `${reason} ${tag}`;
    const dropped = this.#kinds.get(kind) ?? { tag, reason, code, writes: 0, bytes: 0, connections: new Set() };
    if (!this.#kinds.has(kind)) {
      this.#kinds.set(kind, dropped);
      queueMicrotask(() => this.#count(dropped));
    }
    dropped.writes += 1;
    dropped.bytes += bytes;
    dropped.connections.add(connection);
    if (this.#timer === undefined) this.#flushIn(this.#settings.interval);
  }

  /** Writes what no line has counted yet, of all targets or of one. */
  flush(tag?: string): void {
    for (const dropped of this.#kinds.values()) if (tag === undefined || dropped.tag === tag) this.#count(dropped);
  }

  /** Does the same, and forgets everything. */
  end(): void {
    this.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#kinds.clear();
  }

  #count(dropped: DroppedWrites): void {
    if (dropped.writes === 0) return;
    const line = dropLine(dropped);
    dropped.writes = 0;
    dropped.bytes = 0;
    dropped.connections.clear();
    this.#write(line);
  }

  #flushIn(interval: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      for (const [kind, { writes }] of this.#kinds) if (writes === 0) this.#kinds.delete(kind);
      this.flush();
      if (this.#kinds.size === 0) return this.end();
      this.#flushIn(Math.min(interval * 2, this.#settings.maxInterval, LONGEST_DELAY));
    }, interval).unref();
  }
}
