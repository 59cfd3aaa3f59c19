import { type AttemptFailure, isRefused } from '../attempt/failure';
import { Deadline } from '../timers/deadline';
import { ConnectWindow } from './connect-window';
import type { EndpointStats } from './endpoint-stats';

/** A member that waits for its dial, as the parts of the gate see it: a `DialSlot`, which imports these files. */
export interface WaitingMember {
  /** When it stops waiting for a sign of life, on the clock of `performance.now()`. */
  readonly waitsUntil: number;
  /** It may dial, or open a second socket beside its slow dial: the endpoint counts that as begun. */
  grant(): void;
  /** It fails without dialling: another member's dial just failed, or (undefined) it has waited for too long. */
  reject(failure: AttemptFailure | undefined): void;
  /** It may end its backoff and dial: the endpoint counts that as begun. */
  retryNow(): void;
  /** The burst limiter, or the bound on dials at a time, lets it go on. */
  advance(): void;
}

/** The members of an endpoint that wait, in the order in which they came. */
class Crowd {
  /** Their dial is slow, and they wait for a second socket. */
  readonly slow = new Set<WaitingMember>();
  /** They wait for their dial. */
  readonly queue = new Set<WaitingMember>();
  /** They are in backoff after a failed dial. */
  readonly inBackoff = new Set<WaitingMember>();
  /** Their backoff ends as soon as the window allows. */
  readonly retrying = new Set<WaitingMember>();
}

/**
 * An endpoint that several members dial, and what they know of it together. While it is not known to be there, one of
 * them dials at a time: the members that wait follow if it connects, and fail with it if it fails. When a dial connects,
 * the members in backoff after a failed dial may dial too. A slow dial may have a second socket, before all others.
 */
export class Endpoint {
  readonly key: string;
  readonly tag: string;
  /** Members that dial it now and then: a single one never waits. */
  members = 0;
  /** When a dial was last refused, on the clock of `performance.now()`. */
  refusedAt = 0;
  readonly #window = new ConnectWindow();
  readonly #hedge: boolean;
  /** While a member waits or is in backoff: an endpoint with a single member seldom needs it. */
  #crowd: Crowd | undefined;
  #isAdvancing = false;
  #timer: Deadline | undefined;
  #dueAt = Infinity;

  /** @param hedge - Whether a slow dial may have a second socket. */
  constructor(key: string, tag: string, hedge: boolean) {
    this.key = key;
    this.tag = tag;
    this.#hedge = hedge;
  }

  get stats(): EndpointStats {
    const { phase, dialling, size, connectTime } = this.#window;
    return {
      phase,
      waiting: this.waiting,
      dialling: dialling + (this.#crowd?.slow.size ?? 0),
      window: size,
      connectTime: connectTime === undefined ? null : Math.round(connectTime * 10) / 10,
    };
  }

  /** Members that wait for their dial. */
  get waiting(): number {
    return this.#crowd?.queue.size ?? 0;
  }

  /**
   * Milliseconds without an answer after which a dial counts as slow; undefined where nothing is known, or where a second
   * socket would not be opened.
   */
  get slowAfter(): number | undefined {
    return this.#mayHedge ? this.#window.slowAfter : undefined;
  }

  /** Whether `member` may dial at once: its dial has begun then. Otherwise it is granted or rejected later. */
  acquire(member: WaitingMember): boolean {
    const now = performance.now();
    if (!this.#isAwaited && this.#mayDial(now) === 0) {
      this.#window.begun(now);
      return true;
    }
    this.#crowded.queue.add(member);
    this.#arm();
    return false;
  }

  /**
   * Whether `member`, whose latest socket has had no answer for `slowFor`, may open another at once. If not, it is granted
   * later, unless it is the only member by now.
   */
  acquireSecond(member: WaitingMember, slowFor: number): boolean {
    if (!this.#mayHedge) return false;
    const now = performance.now();
    this.#window.slow(now, slowFor);
    const { slow } = this.#crowded;
    if (slow.size === 0 && this.#window.mayDial(now) === 0) {
      this.#window.begun(now);
      return true;
    }
    slow.add(member);
    this.advance();
    return false;
  }

  /** A member has left. One that is alone from now on waits for no second socket: its dial takes its place again. */
  memberLeft(): void {
    const slow = this.#crowd?.slow;
    if (slow !== undefined && !this.#mayHedge) {
      for (let count = slow.size; count > 0; count--) this.#window.begun(performance.now());
      slow.clear();
    }
    this.advance();
  }

  /** `member` neither waits for its dial any more nor is in backoff. */
  withdraw(member: WaitingMember): void {
    this.#crowd?.queue.delete(member);
    this.#crowd?.inBackoff.delete(member);
    this.#crowd?.retrying.delete(member);
    if (!this.#isAwaited) this.#disarm();
  }

  /** `member` is in backoff after a failed dial. */
  backoffStarted(member: WaitingMember): void {
    this.#crowded.inBackoff.add(member);
  }

  connected(member: WaitingMember, took: number): void {
    const wasSlow = this.#crowd?.slow.delete(member);
    this.#window.connected(performance.now(), took);
    const crowd = this.#crowd;
    for (const each of crowd?.inBackoff ?? []) crowd?.retrying.add(each);
    crowd?.inBackoff.clear();
    // While the dial still takes its place: otherwise the window might close although members wait.
    this.advance();
    this.#window.ended(wasSlow);
    this.advance();
  }

  /** A dial has failed before it was connected. */
  failed(member: WaitingMember, took: number, failure: AttemptFailure): void {
    // One failure among many dials that connect says nothing yet. Nor does a timeout: other members may wait longer.
    const isForAll = this.#window.phase === 'probing' && failure.reason !== 'connect-timeout';
    const now = performance.now();
    if (isRefused(failure.error)) this.refusedAt = now;
    this.#window.failed(now, took);
    const queue = isForAll ? this.#crowd?.queue : undefined;
    for (const each of queue ?? []) {
      queue?.delete(each);
      each.reject(failure);
    }
    this.ended(member);
  }

  /** A dial is over. */
  ended(member: WaitingMember): void {
    this.#window.ended(this.#crowd?.slow.delete(member));
    this.advance();
  }

  /** Lets members dial as far as the window allows. They may call back meanwhile, which the next round takes into account. */
  advance(): void {
    const crowd = this.#crowd;
    if (crowd === undefined || this.#isAdvancing) return;
    const { slow, queue, inBackoff, retrying } = crowd;
    this.#isAdvancing = true;
    for (;;) {
      const now = performance.now();
      const waiting = first(slow) ?? first(queue);
      const next = waiting ?? (this.#window.phase === 'probing' ? undefined : first(retrying));
      if (next === undefined || this.#mayDial(now) > 0) break;
      this.#window.begun(now);
      slow.delete(next);
      queue.delete(next);
      retrying.delete(next);
      if (next === waiting) next.grant();
      else next.retryNow();
    }
    this.#isAdvancing = false;
    if (slow.size + queue.size + inBackoff.size + retrying.size === 0) this.#crowd = undefined;
    this.#arm();
  }

  get #crowded(): Crowd {
    return (this.#crowd ??= new Crowd());
  }

  /** A single member dials as it likes. */
  #mayDial(now: number): number {
    return this.members > 1 ? this.#window.mayDial(now) : 0;
  }

  /** Not for a single member: some devices drop their first session when a second arrives. */
  get #mayHedge(): boolean {
    return this.#hedge && this.members > 1;
  }

  /** Whether a member waits for the window. */
  get #isAwaited(): boolean {
    return this.#crowd !== undefined && this.#crowd.queue.size + this.#crowd.slow.size > 0;
  }

  /** Rejects members that have waited for as long as they can without a sign of life. */
  #expire(): void {
    const now = performance.now();
    const queue = this.#window.phase === 'probing' ? this.#crowd?.queue : undefined;
    for (const member of queue ?? []) {
      if (member.waitsUntil > now) continue;
      queue?.delete(member);
      member.reject(undefined);
    }
  }

  /** Sets the timer for the next dial. */
  #arm(): void {
    if (!this.#isAwaited) return this.#disarm();
    const now = performance.now();
    const dueAt = now + this.#mayDial(now);
    if (this.#timer !== undefined && this.#dueAt <= dueAt) return;
    this.#disarm();
    this.#dueAt = dueAt;
    // The attempts that wait keep the process alive, not this timer. As a deadline, it judges by what has arrived.
    this.#timer = new Deadline(Math.max(1, Math.ceil(dueAt - now)), false, () => {
      this.#disarm();
      this.#expire();
      this.advance();
    });
  }

  #disarm(): void {
    this.#timer?.clear();
    this.#timer = undefined;
    this.#dueAt = Infinity;
  }
}

function first<Item>(items: ReadonlySet<Item>): Item | undefined {
  for (const item of items) return item;
  return undefined;
}
