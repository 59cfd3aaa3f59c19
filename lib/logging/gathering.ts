import { type LogLine, togetherLine } from './lines';
import type { LogMembers } from './members';
import type { Outage } from './outage';

/** How long lines of members that have opened wait for members that still dial, in milliseconds. */
const LONGEST_WAIT = 1000;

/** The state that a member leaves soon, by what it has done then. */
const AWAITED = { open: 'connecting', close: 'closing' } as const;

/** Lines that differ in the member alone. */
interface Group {
  readonly key: string;
  readonly outage: Outage | undefined;
  readonly lines: [LogLine, ...LogLine[]];
}

/** The lines of one target that wait. */
interface Gathered {
  readonly event: 'open' | 'close';
  readonly groups: Group[];
  /** The member that they wait for; undefined until the end of the tick. */
  awaited: { readonly state: string } | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** A line, and the outage that it belongs to. */
export interface GatheredLine {
  readonly line: LogLine;
  readonly outage: Outage | undefined;
}

/**
 * Makes one line of those of several members of a pool that have opened or closed together, and have the target and all
 * else in common. Lines of members that have opened wait until no member of the target dials, and for a second at most.
 * Lines of members that have closed wait until no member of the target is closing, which `closeTimeout` bounds. A lone
 * connection, and the only member of a target, waits for nothing.
 */
export class Gathering {
  readonly #members: LogMembers;
  readonly #write: (lines: readonly GatheredLine[]) => void;
  readonly #byTag = new Map<string, Gathered>();

  constructor(members: LogMembers, write: (lines: readonly GatheredLine[]) => void) {
    this.#members = members;
    this.#write = write;
  }

  /**
   * @param others - The number of other members of the target.
   * @param outage - That which the line of a closed member belongs to.
   */
  add(event: 'open' | 'close', line: LogLine, others: number, outage?: Outage): void {
    const { tag } = line;
    if (this.#byTag.get(tag)?.event !== event) this.flush(tag);
    let gathered = this.#byTag.get(tag);
    if (gathered === undefined) {
      if (others === 0) return this.#write([{ line, outage }]);
      gathered = { event, groups: [], awaited: undefined, timer: undefined };
      this.#byTag.set(tag, gathered);
      // The others may open, or be destroyed, in this very tick.
      this.#checkInMicrotask(tag, gathered);
    } else if (gathered.awaited !== undefined && gathered.awaited.state !== AWAITED[event]) {
      gathered.awaited = undefined;
      this.#checkInMicrotask(tag, gathered);
    }
    const key = `${line.event} ${line.shared ?? line.text}`;
    const group = gathered.groups.find((each) => each.key === key && each.outage === outage);
    if (group === undefined) gathered.groups.push({ key, outage, lines: [line] });
    else group.lines.push(line);
  }

  /** Writes what waits of a target. */
  flush(tag: string): void {
    const gathered = this.#byTag.get(tag);
    if (gathered === undefined) return;
    this.#byTag.delete(tag);
    clearTimeout(gathered.timer);
    this.#write(gathered.groups.map(({ lines, outage }) => ({ line: togetherLine(lines), outage })));
  }

  flushAll(): void {
    for (const tag of [...this.#byTag.keys()]) this.flush(tag);
  }

  #checkInMicrotask(tag: string, gathered: Gathered): void {
    queueMicrotask(() => {
      if (this.#byTag.get(tag) !== gathered) return;
      gathered.awaited = this.#members.lastIn(AWAITED[gathered.event], tag);
      if (gathered.awaited === undefined) return this.flush(tag);
      // A member that closes has a timer of its own, and once all have closed nothing may keep the process alive.
      if (gathered.event === 'open') gathered.timer ??= setTimeout(() => this.flush(tag), LONGEST_WAIT).unref();
    });
  }
}
