import type { ReconnectingConnection } from '../connection';
import type { StateName } from '../events/events';

type Member = Pick<ReconnectingConnection, 'tag' | 'state'>;

interface Known {
  readonly number: number;
  /** Undefined after it has closed. */
  tag: string | undefined;
}

/** The members of a pool, by tag, and their numbers. A lone connection has none. */
export class LogMembers {
  readonly #pool: Iterable<Member>;
  readonly #known = new WeakMap<object, Known>();
  /** Members whose lines have their number: another has, or had, the same tag. */
  readonly #numbered = new WeakSet<object>();
  /** Members that have not closed. */
  readonly #byTag = new Map<string, Set<Member>>();
  #count = 0;

  /** @param pool - In the order in which they joined; empty for a lone connection. */
  constructor(pool: Iterable<Member>) {
    this.#pool = pool;
  }

  /** A member has an event: it is found under its present tag from now on, and so are those that have joined. */
  see(connection: object, tag: string): void {
    const known = this.#known.get(connection);
    if (known === undefined) {
      for (const member of this.#pool) if (!this.#known.has(member)) this.#place(member, member.tag);
    } else if (known.tag !== tag) {
      this.leave(connection);
      // `as`: what is known is a member.
      this.#place(connection as Member, tag);
    }
  }

  /** A member has closed. It keeps its number, also where it is restarted. */
  leave(connection: object): void {
    const known = this.#known.get(connection);
    if (known?.tag === undefined) return;
    const twins = this.#byTag.get(known.tag);
    // `as`: what is known is a member.
    twins?.delete(connection as Member);
    if (twins?.size === 0) this.#byTag.delete(known.tag);
    known.tag = undefined;
  }

  /** In the order in which they joined; undefined for a member that was always the only one of its tag. */
  numberOf(connection: object): number | undefined {
    return this.#numbered.has(connection) ? this.#known.get(connection)?.number : undefined;
  }

  /** Whether another member of this tag has not closed. */
  hasOthers(connection: object | undefined, tag: string): boolean {
    const members = this.#of(tag);
    // `as`: it is looked for, whatever it is.
    return members.size > (members.has(connection as Member) ? 1 : 0);
  }

  /** Whether all members have closed. */
  get areClosed(): boolean {
    return this.#byTag.size === 0;
  }

  /** The last member of this tag that is in `state`: that which probably leaves it last. */
  lastIn(state: StateName, tag: string): Member | undefined {
    return [...this.#of(tag)].findLast((member) => member.state === state);
  }

  #of(tag: string): ReadonlySet<Member> {
    return this.#byTag.get(tag) ?? new Set();
  }

  #place(member: Member, tag: string): void {
    const { number = ++this.#count } = this.#known.get(member) ?? {};
    this.#known.set(member, { number, tag });
    const twins = this.#byTag.get(tag) ?? new Set();
    this.#byTag.set(tag, twins.add(member));
    if (twins.size > 1) for (const each of twins.size === 2 ? twins : [member]) this.#numbered.add(each);
  }
}
