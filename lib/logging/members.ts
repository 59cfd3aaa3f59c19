import type { ReconnectingConnection } from '../connection';
import type { StateName } from '../events/events';

type Member = Pick<ReconnectingConnection, 'tag' | 'state'>;

/** What is remembered of a member for as long as it exists. */
interface Known {
  readonly number: number;
  tag: string;
  /** Whether its lines have the number: another member has, or had, the same tag. */
  isShown: boolean;
}

/** The members of a pool that its log knows. A lone connection has none. */
export class LogMembers {
  readonly #pool: Iterable<Member>;
  readonly #known = new WeakMap<object, Known>();
  /** Members that have not closed. */
  readonly #byTag = new Map<string, Set<Member>>();
  #count = 0;

  /** @param pool - In the order in which they joined; empty for a lone connection. */
  constructor(pool: Iterable<Member>) {
    this.#pool = pool;
  }

  /** A member has an event. New members are numbered, and it is kept under its present tag. */
  see(connection: object, tag: string): void {
    const known = this.#known.get(connection);
    if (known === undefined) {
      for (const member of this.#pool) {
        if (this.#known.has(member)) continue;
        const added = { number: ++this.#count, tag: member.tag, isShown: false };
        this.#known.set(member, added);
        this.#keep(member, added);
      }
      return;
    }
    if (known.tag !== tag) this.forget(connection);
    known.tag = tag;
    // `as`: what is known is a member.
    this.#keep(connection as Member, known);
  }

  /** A member has closed. It keeps its number, and is kept again if it is restarted. */
  forget(connection: object): void {
    const { tag = '' } = this.#known.get(connection) ?? {};
    const members = this.#byTag.get(tag);
    // `as`: any object may be looked up.
    members?.delete(connection as Member);
    if (members?.size === 0) this.#byTag.delete(tag);
  }

  /**
   * The number of a member, in the order in which the pool got them; undefined for one that was always the only one of its
   * tag.
   */
  numberOf(connection: object): number | undefined {
    const known = this.#known.get(connection);
    return known?.isShown === true ? known.number : undefined;
  }

  /** How many members of this tag have not closed. */
  count(tag: string): number {
    return this.#byTag.get(tag)?.size ?? 0;
  }

  /** Whether all members have closed. */
  get areGone(): boolean {
    return this.#byTag.size === 0;
  }

  /** The last member of this tag that is in `state`: that which probably leaves it last. */
  lastIn(state: StateName, tag: string): Member | undefined {
    let last: Member | undefined;
    for (const member of this.#byTag.get(tag) ?? []) if (member.state === state) last = member;
    return last;
  }

  #keep(member: Member, known: Known): void {
    let twins = this.#byTag.get(known.tag);
    if (twins === undefined) this.#byTag.set(known.tag, (twins = new Set()));
    twins.add(member);
    if (twins.size < 2 || known.isShown) return;
    for (const each of twins.size === 2 ? twins : [member]) this.#known.get(each)!.isShown = true;
  }
}
