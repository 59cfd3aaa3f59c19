import type { MemberSource, SourceInfo } from '../pool/follow-options';
import type { LogLine } from './lines';
import { endLine, listLine, sourceBackLine, troubleLine, troublesLine } from './pool-lines';
import { type OutageSettings, Repeats } from './repeats';

/**
 * Logs what happens to the lists that a pool follows: the first list of each source, those that change members, and its
 * trouble. That lasts from a failure, or a list that is refused, until its lists have been obeyed for `settleTime`.
 */
export class SourceLog {
  readonly #settings: OutageSettings;
  readonly #write: (line: LogLine) => void;
  /** The tags in their lines, in the order of their first events. */
  readonly #tags = new Map<MemberSource, string>();
  /** Sources that have ended, and are asked again. */
  readonly #ended = new WeakSet<MemberSource>();
  readonly #troubles = new Map<MemberSource, Trouble>();

  constructor(settings: OutageSettings, write: (line: LogLine) => void) {
    this.#settings = settings;
    this.#write = write;
  }

  add(info: SourceInfo): void {
    const { source, kind, joined, left, delay } = info;
    const isFirst = !this.#tags.has(source);
    const tag = this.#tags.get(source) ?? (this.#tags.size === 0 ? 'source' : `source #${this.#tags.size + 1}`);
    this.#tags.set(source, tag);
    const trouble = this.#troubles.get(source);
    if (kind === 'list') {
      const line = listLine(tag, info);
      if (trouble?.isUnrecovered === true) trouble.recover(line);
      else if (isFirst || joined + left > 0) this.#write(line);
    } else if (kind === 'ended') {
      // A source may end after each list, to be asked again.
      if (delay === undefined || !this.#ended.has(source)) this.#write(endLine(tag, info));
      this.#ended.add(source);
    } else {
      const present = trouble ?? new Trouble(this.#settings, this.#write, () => this.#troubles.delete(source));
      this.#troubles.set(source, present);
      present.add(troubleLine(tag, info));
    }
  }

  /** Logs what was only counted so far, and clears the timers. */
  end(): void {
    for (const trouble of this.#troubles.values()) trouble.end();
  }
}

/** The trouble of one source. */
class Trouble {
  isUnrecovered = true;
  readonly #settleTime: number;
  readonly #repeats: Repeats;
  readonly #onEnd: () => void;
  readonly #startedAt = performance.now();
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: OutageSettings, write: (line: LogLine) => void, onEnd: () => void) {
    this.#settleTime = settings.settleTime;
    this.#onEnd = onEnd;
    // That of a recovery says it all.
    const summarize = (latest: LogLine) => (latest.event === 'source' ? latest : this.#with(troublesLine, latest));
    this.#repeats = new Repeats(settings, write, summarize);
  }

  add(line: LogLine): void {
    clearTimeout(this.#timer);
    this.isUnrecovered = true;
    this.#failures += 1;
    this.#repeats.log(line);
  }

  /** A list was obeyed. */
  recover(line: LogLine): void {
    this.isUnrecovered = false;
    this.#repeats.log(this.#with(sourceBackLine, line));
    this.#timer = setTimeout(() => this.end(), this.#settleTime).unref();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#onEnd();
    this.#repeats.end();
  }

  #with(makeLine: typeof troublesLine, line: LogLine): LogLine {
    return makeLine(line, this.#failures, performance.now() - this.#startedAt);
  }
}
