import type { SharedLine } from './lines';
import type { LogMembers } from './members';
import type { Outage } from './outage';

/** How long lines of members that have opened wait for members that still dial, in milliseconds. */
const LONGEST_WAIT = 1000;

/** The state that a member leaves soon, by what it has done then. */
const AWAITED = { open: 'connecting', close: 'closing' } as const;

/** Lines that differ in the member alone, and the outage that they belong to. */
export interface LogGroup {
  readonly lines: [SharedLine, ...SharedLine[]];
  readonly outage: Outage | undefined;
}

/** The lines of one target that wait. */
interface Gathered {
  readonly event: 'open' | 'close';
  readonly groups: LogGroup[];
  /** The member that they wait for; undefined until the end of the tick. */
  awaited: { readonly state: string } | undefined;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Holds back the lines of members of a pool that have opened or closed, to make one of those that have the target and all
 * else in common. Lines of members that have opened wait until no member of the target dials, and for a second at most.
 * Lines of members that have closed wait until no member of the target is closing, which `closeTimeout` bounds.
 */
export class Gathering {
  readonly #members: LogMembers;
  readonly #write: (groups: readonly LogGroup[]) => void;
  readonly #byTag = new Map<string, Gathered>();

  constructor(members: LogMembers, write: (groups: readonly LogGroup[]) => void) {
    this.#members = members;
    this.#write = write;
  }

  /** @param outage - That which the line of a closed member belongs to. */
  add(event: 'open' | 'close', line: SharedLine, outage?: Outage): void {
    const { tag } = line;
    if (this.#byTag.get(tag)?.event !== event) this.flush(tag);
    const waiting = this.#byTag.get(tag);
    if (waiting === undefined && !this.#members.hasOthers(line.connection, tag))
      return this.#write([{ lines: [line], outage }]);
    const gathered = waiting ?? { event, groups: [], awaited: undefined, timer: undefined };
    this.#byTag.set(tag, gathered);
    const isAlike = (first: SharedLine) => first.event === line.event && first.shared === line.shared;
    const group = gathered.groups.find(({ lines: [first], outage: its }) => its === outage && isAlike(first));
    if (group === undefined) gathered.groups.push({ lines: [line], outage });
    else group.lines.push(line);
    // Others may open, or be destroyed, in this very tick.
    if (gathered.awaited?.state !== AWAITED[event]) queueMicrotask(() => this.#check(tag, gathered));
  }

  /** Writes what waits, of all targets or of one. */
  flush(tag?: string): void {
    for (const each of tag === undefined ? [...this.#byTag.keys()] : [tag]) {
      const gathered = this.#byTag.get(each);
      if (gathered === undefined) continue;
      this.#byTag.delete(each);
      clearTimeout(gathered.timer);
      this.#write(gathered.groups);
    }
  }

  #check(tag: string, gathered: Gathered): void {
    const state = AWAITED[gathered.event];
    if (this.#byTag.get(tag) !== gathered || gathered.awaited?.state === state) return;
    gathered.awaited = this.#members.lastIn(state, tag);
    if (gathered.awaited === undefined) return this.flush(tag);
    // A member that closes has a timer of its own, and once all have closed nothing may keep the process alive.
    if (gathered.event === 'open') gathered.timer ??= setTimeout(() => this.flush(tag), LONGEST_WAIT).unref();
  }
}
