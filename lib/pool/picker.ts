import { type ReconnectingConnection, machineOf } from '../connection';
import { Latencies } from './latencies';
import type { SelectMember } from './options';
import { type Selector, type SelectorName, selector } from './selection';

type Member<Message> = ReconnectingConnection<Message>;

const anyMember = () => true;

/** Chooses among the open members of a pool, and knows which of them have no room for writes. */
export class Picker<Message> {
  readonly #members: ReadonlySet<Member<Message>>;
  /** Members that are about to be replaced: they are chosen only where no other has room. */
  readonly #retiring = new Set<Member<Message>>();
  /** Members that have been replaced: they are not chosen any more. */
  readonly #leaving = new Set<Member<Message>>();
  /** A built-in selector, or else the application's function. */
  readonly #selector: Selector<Member<Message>> | undefined;
  readonly #function: SelectMember<Message> | undefined;
  /** Only for `'peak-ewma'`. */
  readonly #latencies: Latencies | undefined;
  /** Cache of the members that may be chosen, cleared when a member changes its state. */
  #open: readonly Member<Message>[] | undefined;
  /** Members that were found to have no room since their last change of state or `drain`. */
  readonly #full = new Set<Member<Message>>();

  constructor(members: ReadonlySet<Member<Message>>, select: SelectorName | SelectMember<Message>) {
    this.#members = members;
    if (typeof select === 'function') {
      this.#function = select;
      return;
    }
    const latencies = select === 'peak-ewma' ? new Latencies() : undefined;
    this.#latencies = latencies;
    this.#selector = selector(select, Math.random, latencies && ((member) => latencies.cost(member)));
  }

  /** Counts the members that may be chosen. */
  get count(): number {
    return this.#candidates.length;
  }

  /** Chooses a member; undefined when none is open, or where the application's function chooses none. */
  pick(key: string | undefined): Member<Message> | undefined {
    let chosen = this.#select(key);
    if (chosen !== undefined && !this.isOpen(chosen)) {
      // Its `state` event is queued behind one that is being delivered, so the cache is out of date.
      this.#open = undefined;
      chosen = this.#select(key);
    }
    if (chosen !== undefined) this.#latencies?.chosen(chosen);
    return chosen;
  }

  /** Whether `member` is known to have no room. */
  isFull(member: Member<Message>): boolean {
    return has(this.#full, member);
  }

  /** A member that has room. */
  withRoom(): Member<Message> | undefined {
    return this.#candidates.find(this.#hasRoom);
  }

  /** Whether `member` is open, and was not replaced. */
  isOpen(member: Member<Message>): boolean {
    return member.state === 'open' && !has(this.#leaving, member);
  }

  /** From now on, `member` is chosen only where no other has room. */
  retire(member: Member<Message>): void {
    this.#retiring.add(member);
  }

  /** From now on, `member` is not chosen any more. */
  leave(member: Member<Message>): void {
    this.#leaving.add(member);
    this.changed(member);
  }

  /** `member` is not being replaced any more, or is not a member any more. */
  forget(member: Member<Message>): void {
    this.#retiring.delete(member);
    this.#leaving.delete(member);
    this.changed(member);
  }

  /** The state of `member` has changed. */
  changed(member: Member<Message>): void {
    this.#open = undefined;
    this.#full.delete(member);
    this.#latencies?.forget(member);
  }

  /** `member` has emitted `drain`. */
  drained(member: Member<Message>): void {
    this.#full.delete(member);
  }

  /** Bytes, or a message of its decoder, came from `member`. */
  received(member: Member<Message>): void {
    this.#latencies?.answered(member);
  }

  get #candidates(): readonly Member<Message>[] {
    return (this.#open ??= [...this.#members].filter((member) => this.isOpen(member)));
  }

  /**
   * Looked up where it matters, and not told by each member: so members without room are found when they are chosen, at
   * most once until their `drain`.
   */
  readonly #hasRoom = (member: Member<Message>): boolean => {
    if (has(this.#full, member)) return false;
    if (machineOf(member).outbox.hasRoom() && !has(this.#retiring, member)) return true;
    this.#full.add(member);
    return false;
  };

  #select(key: string | undefined): Member<Message> | undefined {
    const open = this.#candidates;
    if (open.length === 0) return undefined;
    if (this.#function !== undefined) return this.#ask(this.#function, open, key);
    return this.#selector?.(open, key, this.#full.size < open.length ? this.#hasRoom : anyMember);
  }

  /** Asks the application's function: among the members with room, unless there is a key or no other member will do. */
  #ask(
    select: SelectMember<Message>,
    open: readonly Member<Message>[],
    key: string | undefined,
  ): Member<Message> | undefined {
    while (key === undefined && this.#full.size < open.length) {
      const candidates = this.#full.size === 0 ? open : open.filter((member) => !this.#full.has(member));
      const chosen = select(candidates);
      if (!chosen || !this.#isCandidate(chosen) || has(this.#full, chosen)) break;
      if (this.#hasRoom(chosen)) return chosen;
    }
    const chosen = select(open, key);
    return chosen && this.#isCandidate(chosen) ? chosen : undefined;
  }

  /** The application's function may return anything. */
  #isCandidate(chosen: Member<Message>): boolean {
    return this.#members.has(chosen) && !has(this.#leaving, chosen);
  }
}

/** The same as `set.has(item)`, but an empty set costs nothing: these are looked up for each write. */
function has<Item>(set: ReadonlySet<Item>, item: Item): boolean {
  return set.size > 0 && set.has(item);
}
