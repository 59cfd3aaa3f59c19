import type { FailureReason } from '../events/events';

/** When members are ejected: the option `ejection` of a pool. */
export interface EjectionOptions {
  /** So many failed dials and lost sessions in a row eject a member. Default: 5. */
  readonly failures?: number | undefined;
  /** The first ejection lasts so many milliseconds, the second twice as long, and so on up to ten times. Default: 30,000. */
  readonly baseTime?: number | undefined;
  /** No more than this share of the members is ejected at a time, but one at least of three. Default: 0.1. */
  readonly maxShare?: number | undefined;
  /**
   * While fewer than this share of the members is open and not ejected, ejected ones are picked as well. And a member is
   * ejected only while so many others are open and not failing: otherwise the cause is not the member. Default: 0.5.
   */
  readonly panicShare?: number | undefined;
}

/** Payload of `eject`. */
export interface EjectInfo {
  /** The reason of the last failure. */
  readonly reason: FailureReason;
  /** Its error; absent if there was none. */
  readonly error?: NodeJS.ErrnoException;
  /** Number of failures in a row. */
  readonly failures: number;
  /** Number of this ejection: 1 for the first since the member was last in good order. */
  readonly ejections: number;
  /** For how long it is ejected at most, in milliseconds. */
  readonly duration: number;
  /** When that is over, in milliseconds since the epoch. */
  readonly restoreAt: number;
}

/** Payload of `restore`. */
export interface RestoreInfo {
  /** Number of the ejection that is over. */
  readonly ejections: number;
  /** For how long it was ejected, in milliseconds. */
  readonly duration: number;
}

export type EjectionSettings = { readonly [K in keyof EjectionOptions]-?: number };

/** Why a session or a dial failed. */
export type Cause = Pick<EjectInfo, 'reason' | 'error'>;

/** What the policy asks of its pool, and reports to it. */
export interface EjectionPool<Member> {
  readonly members: ReadonlySet<Member>;
  isOpen(member: Member): boolean;
  /** Whether its session has lasted long enough, or was vouched for. */
  isHealthy(member: Member): boolean;
  onEject(member: Member, info: Omit<EjectInfo, 'restoreAt'>): void;
  onRestore(member: Member, info: RestoreInfo): void;
}

/** An ejection lasts at most so many times `baseTime`: a member in good order again is found out sometime. */
const LONGEST = 10;

/** The members are not counted more often than once in so many milliseconds for each. */
const LOOK_INTERVAL = 0.1;

/** A member that has failed. */
interface Row {
  /** Failures since the last session that was healthy while the member was not ejected. */
  failures: number;
  /** Whether a session that was not healthy is one of them: failed dials alone say that the server was down. */
  isFlapping: boolean;
  isVouched: boolean;
  ejections: number;
  ejectedAt: number;
  /** Of the latest ejection. */
  duration: number;
  /** When it is over; Infinity unless it lasts. */
  dueAt: number;
  restoredAt: number;
}

/**
 * Decides which members of a pool are ejected, that is left out of `pick()`: those that fail again and again while others
 * do not. It has neither timer nor clock; `now` and every duration are in milliseconds. Only members that have failed take
 * memory.
 */
export class EjectionPolicy<Member> {
  readonly ejected = new Set<Member>();
  readonly #settings: EjectionSettings;
  readonly #pool: EjectionPool<Member>;
  readonly #rows = new Map<Member, Row>();
  /** The members are counted again from then on, after too few of them were in good order. */
  #nextLookAt = -Infinity;

  constructor(settings: EjectionSettings, pool: EjectionPool<Member>) {
    this.#settings = settings;
    this.#pool = pool;
  }

  /** When the next ejection is over; Infinity where none lasts. */
  get dueAt(): number {
    let dueAt = Infinity;
    for (const member of this.ejected) dueAt = Math.min(dueAt, this.#rows.get(member)!.dueAt);
    return dueAt;
  }

  /** Those of the open members that may be picked; the same array where these are all. */
  eligible(open: readonly Member[]): readonly Member[] {
    if (this.ejected.size === 0) return open;
    const rest = open.filter((member) => !this.ejected.has(member));
    return rest.length === 0 || rest.length < this.#panicSize ? open : rest;
  }

  /**
   * A session of `uptime` was lost.
   *
   * @param enough - The time for which a session that ends like this must have been open to be healthy.
   */
  lost(member: Member, now: number, cause: Cause, uptime: number, enough: number): void {
    const row = this.#rowOf(member);
    // What happens to an ejected member, which carries no writes, does not show that it is in good order.
    const served = this.ejected.has(member) ? 0 : Math.min(uptime, now - row.restoredAt);
    if (served >= enough) {
      row.failures = 0;
      row.isFlapping = false;
      if (served >= row.duration) row.ejections = 0;
    } else if (!row.isVouched) {
      row.isFlapping = true;
    }
    row.isVouched = false;
    this.#failed(member, row, now, cause);
  }

  /** A dial has failed. */
  failed(member: Member, now: number, cause: Cause): void {
    this.#failed(member, this.#rowOf(member), now, cause);
  }

  /** The application has vouched for the session. */
  vouched(member: Member, now: number): void {
    const row = this.#rows.get(member);
    if (row === undefined) return;
    row.failures = 0;
    row.isVouched = true;
    if (this.ejected.has(member) && !row.isFlapping) this.#restore(member, row, now);
  }

  /** A session has opened. One that was ejected for failed dials alone is restored as soon as this session is healthy. */
  opened(member: Member, now: number, minUptime: number): void {
    const row = this.#rows.get(member);
    if (row !== undefined && this.ejected.has(member) && !row.isFlapping) {
      row.dueAt = Math.min(row.dueAt, now + minUptime);
    }
  }

  /** Restores the members whose ejection is over. */
  restoreDue(now: number): void {
    for (const member of this.ejected) {
      const row = this.#rows.get(member)!;
      if (row.dueAt <= now) this.#restore(member, row, now);
    }
  }

  /** `member` has left the pool, or begins anew. Others are restored where the fewer members allow fewer ejections. */
  forget(member: Member, now: number): void {
    this.#rows.delete(member);
    this.ejected.delete(member);
    for (const each of this.ejected) {
      if (this.ejected.size <= this.#mostEjected) return;
      this.#restore(each, this.#rows.get(each)!, now);
    }
  }

  get #mostEjected(): number {
    const { size } = this.#pool.members;
    return Math.max(Math.floor(size * this.#settings.maxShare), size < 3 ? 0 : 1);
  }

  get #panicSize(): number {
    return this.#settings.panicShare * this.#pool.members.size;
  }

  #rowOf(member: Member): Row {
    let row = this.#rows.get(member);
    if (row === undefined) {
      const never = { ejectedAt: -Infinity, duration: 0, dueAt: Infinity, restoredAt: -Infinity };
      row = { failures: 0, isFlapping: false, isVouched: false, ejections: 0, ...never };
      this.#rows.set(member, row);
    }
    return row;
  }

  #failed(member: Member, row: Row, now: number, cause: Cause): void {
    row.failures += 1;
    if (this.ejected.has(member)) {
      // The session that was to restore it early was lost.
      row.dueAt = row.ejectedAt + row.duration;
      return;
    }
    if (row.failures < this.#settings.failures) return;
    const isFull = this.ejected.size >= this.#mostEjected;
    // One that cannot be dialled is not picked anyway, so it makes way for one that flaps.
    const gone = isFull && row.isFlapping ? this.#findGone() : undefined;
    if ((isFull && gone === undefined) || !this.#isOutOfLine(now)) return;
    if (gone !== undefined) this.#restore(gone, this.#rows.get(gone)!, now);
    this.#eject(member, row, now, cause);
  }

  #eject(member: Member, row: Row, now: number, { reason, error }: Cause): void {
    row.ejections += 1;
    row.ejectedAt = now;
    row.duration = this.#settings.baseTime * Math.min(row.ejections, LONGEST);
    row.dueAt = now + row.duration;
    this.ejected.add(member);
    const { failures, ejections, duration } = row;
    this.#pool.onEject(member, { reason, ...(error && { error }), failures, ejections, duration });
  }

  #restore(member: Member, row: Row, now: number): void {
    this.ejected.delete(member);
    row.dueAt = Infinity;
    row.restoredAt = now;
    this.#pool.onRestore(member, { ejections: row.ejections, duration: now - row.ejectedAt });
  }

  #findGone(): Member | undefined {
    for (const member of this.ejected) {
      if (!this.#rows.get(member)!.isFlapping && !this.#pool.isOpen(member)) return member;
    }
    return undefined;
  }

  /** Whether enough of the other members are in good order. */
  #isOutOfLine(now: number): boolean {
    if (now < this.#nextLookAt) return false;
    const { members } = this.#pool;
    let sound = 0;
    for (const member of members) if (this.#isSound(member)) sound += 1;
    if (sound >= this.#panicSize) return true;
    this.#nextLookAt = now + members.size * LOOK_INTERVAL;
    return false;
  }

  #isSound(member: Member): boolean {
    if (this.ejected.has(member) || !this.#pool.isOpen(member)) return false;
    const row = this.#rows.get(member);
    return row === undefined || row.failures === 0 || this.#pool.isHealthy(member);
  }
}
