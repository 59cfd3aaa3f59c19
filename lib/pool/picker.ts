import { type ReconnectingConnection, machineOf } from '../connection';
import { Latencies } from './latencies';
import type { Ejection } from './ejection';
import type { SelectMember } from './options';
import { type Selector, type SelectorName, selector } from './selection';

type Member<Message> = ReconnectingConnection<Message>;

const anyMember = () => true;

/** With more changes than this between two picks, all members are looked at: each change costs a search for its place. */
const MOST_CHANGES = 8;

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
  readonly #ejection: Ejection<Message> | undefined;
  /** Whether a key may lead to an ejected member. */
  readonly #keepsKeys: boolean;
  /** Cache of the open members that were not replaced, as they were before those of `#changed` changed. */
  #open: readonly Member<Message>[] | undefined;
  /** Members whose state has changed since then: only these are looked at again. */
  readonly #changed = new Set<Member<Message>>();
  /** Cache of those of them that may be chosen: the same array unless some are ejected. */
  #eligible: readonly Member<Message>[] | undefined;
  /** Members that were found to have no room since their last change of state or `drain`. */
  readonly #full = new Set<Member<Message>>();

  constructor(
    members: ReadonlySet<Member<Message>>,
    select: SelectorName | SelectMember<Message>,
    ejection?: Ejection<Message>,
  ) {
    this.#members = members;
    this.#ejection = ejection;
    this.#keepsKeys = typeof select === 'function' || select === 'rendezvous';
    if (typeof select === 'function') {
      this.#function = select;
      return;
    }
    const latencies = select === 'peak-ewma' ? new Latencies() : undefined;
    this.#latencies = latencies;
    this.#selector = selector(select, Math.random, latencies && ((member) => latencies.cost(member)));
  }

  /** Counts the open members. */
  get count(): number {
    return this.#openMembers.length;
  }

  /** Chooses a member; undefined when none is open, or where the application's function chooses none. */
  pick(key: string | undefined): Member<Message> | undefined {
    let chosen = this.#select(key);
    if (chosen !== undefined && !this.isOpen(chosen)) {
      // Its `state` event is queued behind one that is being delivered, so the cache is out of date.
      this.#forgetCandidates();
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
    // The caches are not to keep a member that has left.
    this.#forgetCandidates();
  }

  /** Whether `member` may be chosen without a key. */
  isCandidate(member: Member<Message>): boolean {
    return this.isOpen(member) && !this.#isPassedOver(member);
  }

  /** The state of `member` has changed, or it was ejected or restored. */
  changed(member: Member<Message>): void {
    this.#eligible = undefined;
    if (this.#open !== undefined) this.#changed.add(member);
    if (this.#changed.size > MOST_CHANGES) this.#forgetCandidates();
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

  get #openMembers(): readonly Member<Message>[] {
    if (this.#open === undefined) this.#open = [...this.#members].filter((member) => this.isOpen(member));
    else if (this.#changed.size > 0) this.#open = this.#updated(this.#open);
    this.#changed.clear();
    return this.#open;
  }

  /** `before`, brought up to date for the members that have changed; all others are in their places. */
  #updated(before: readonly Member<Message>[]): readonly Member<Message>[] {
    // The application's function may have kept the one before.
    const open = before.slice();
    for (const member of this.#changed) {
      const place = open.indexOf(member);
      const isOpen = this.isOpen(member);
      if (!isOpen && place !== -1) open.splice(place, 1);
      else if (isOpen && place === -1) open.splice(this.#placeOf(member, open), 0, member);
    }
    return open;
  }

  /** How many of the open members have joined before `member`. */
  #placeOf(member: Member<Message>, open: readonly Member<Message>[]): number {
    let place = 0;
    for (const each of this.#members) {
      if (each === member) break;
      if (open[place] === each) place += 1;
    }
    return place;
  }

  get #candidates(): readonly Member<Message>[] {
    return (this.#eligible ??= this.#findEligible());
  }

  #findEligible(): readonly Member<Message>[] {
    const open = this.#openMembers;
    const eligible = this.#ejection?.eligible(open) ?? open;
    // Only candidates count there.
    if (eligible !== open) for (const member of this.#full) if (this.#ejection?.has(member)) this.#full.delete(member);
    return eligible;
  }

  #forgetCandidates(): void {
    this.#open = undefined;
    this.#changed.clear();
    this.#eligible = undefined;
  }

  /** Whether `member` is ejected, and enough others are left. */
  #isPassedOver(member: Member<Message>): boolean {
    return this.#ejection?.has(member) === true && this.#candidates !== this.#openMembers;
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
    const open = key !== undefined && this.#keepsKeys ? this.#openMembers : this.#candidates;
    if (open.length === 0) return undefined;
    if (this.#function !== undefined) return this.#ask(this.#function, open, key);
    return this.#selector?.(open, key, this.#full.size < open.length ? this.#hasRoom : anyMember);
  }

  /**
   * Asks the application's function: among the members with room, unless there is a key or no other member will do, and among
   * ejected ones last.
   */
  #ask(
    select: SelectMember<Message>,
    open: readonly Member<Message>[],
    key: string | undefined,
  ): Member<Message> | undefined {
    while (key === undefined && this.#full.size < open.length) {
      const candidates = this.#full.size === 0 ? open : open.filter((member) => !this.#full.has(member));
      const chosen = select(candidates);
      if (!chosen || !this.#isMember(chosen) || has(this.#full, chosen) || this.#isPassedOver(chosen)) break;
      if (this.#hasRoom(chosen)) return chosen;
    }
    const all = this.#openMembers;
    const chosen = select(open, key);
    if (chosen && this.#isMember(chosen) && (open === all || !this.#isPassedOver(chosen))) return chosen;
    const last = open === all ? undefined : select(all, key);
    return last && this.#isMember(last) ? last : undefined;
  }

  /** The application's function may return anything. */
  #isMember(chosen: Member<Message>): boolean {
    return this.#members.has(chosen) && !has(this.#leaving, chosen);
  }
}

/** The same as `set.has(item)`, but an empty set costs nothing: these are looked up for each write. */
function has<Item>(set: ReadonlySet<Item>, item: Item): boolean {
  return set.size > 0 && set.has(item);
}
