import { type AttemptFailure, isRefused } from '../attempt/failure';
import { Deadline } from '../timers/deadline';
import { ConnectWindow, type EndpointPhase } from './connect-window';

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

/** An endpoint in figures. */
export interface EndpointStats {
  /** What is known of it: `healthy`, `probing` (one member finds out) or `ramping` (the others follow). */
  readonly phase: EndpointPhase;
  /** Members that are held back until more is known. */
  readonly waiting: number;
  /** Members that dial and have not connected yet. */
  readonly dialling: number;
  /** Members that may dial at once, not counting slow dials. */
  readonly window: number;
  /** Milliseconds that it takes to connect, on average; null while that is not known. */
  readonly connectTime: number | null;
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
  /** Members whose dial is slow, and that wait for a second socket. */
  readonly #slow = new Set<WaitingMember>();
  /** Members that wait for their dial, in the order in which they asked. */
  readonly #queue = new Set<WaitingMember>();
  /** Members in backoff after a failed dial. */
  readonly #inBackoff = new Set<WaitingMember>();
  /** Members whose backoff ends as soon as the window allows. */
  readonly #retrying = new Set<WaitingMember>();
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
      dialling: dialling + this.#slow.size,
      window: size,
      connectTime: connectTime === undefined ? null : Math.round(connectTime * 10) / 10,
    };
  }

  /** Members that wait for their dial. */
  get waiting(): number {
    return this.#queue.size;
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
    if (this.#queue.size + this.#slow.size === 0 && this.#mayDial(now) === 0) {
      this.#window.begun(now);
      return true;
    }
    this.#queue.add(member);
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
    if (this.#slow.size === 0 && this.#window.mayDial(now) === 0) {
      this.#window.begun(now);
      return true;
    }
    this.#slow.add(member);
    this.advance();
    return false;
  }

  /** A member has left. One that is alone from now on waits for no second socket: its dial takes its place again. */
  memberLeft(): void {
    if (!this.#mayHedge) {
      for (const member of this.#slow) {
        this.#slow.delete(member);
        this.#window.begun(performance.now());
      }
    }
    this.advance();
  }

  /** `member` neither waits for its dial any more nor is in backoff. */
  withdraw(member: WaitingMember): void {
    this.#queue.delete(member);
    this.#inBackoff.delete(member);
    this.#retrying.delete(member);
    if (!this.#isAwaited) this.#disarm();
  }

  /** `member` is in backoff after a failed dial. */
  backoffStarted(member: WaitingMember): void {
    this.#inBackoff.add(member);
  }

  connected(member: WaitingMember, took: number): void {
    const wasSlow = this.#slow.delete(member);
    this.#window.connected(performance.now(), took);
    for (const each of this.#inBackoff) this.#retrying.add(each);
    this.#inBackoff.clear();
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
    for (const each of isForAll ? this.#queue : []) {
      this.#queue.delete(each);
      each.reject(failure);
    }
    this.ended(member);
  }

  /** A dial is over. */
  ended(member: WaitingMember): void {
    this.#window.ended(this.#slow.delete(member));
    this.advance();
  }

  /** Lets members dial as far as the window allows. They may call back meanwhile, which the next round takes into account. */
  advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    for (;;) {
      const now = performance.now();
      const waiting = first(this.#slow) ?? first(this.#queue);
      const next = waiting ?? (this.#window.phase === 'probing' ? undefined : first(this.#retrying));
      if (next === undefined || this.#mayDial(now) > 0) break;
      this.#window.begun(now);
      this.#slow.delete(next);
      this.#queue.delete(next);
      this.#retrying.delete(next);
      if (next === waiting) next.grant();
      else next.retryNow();
    }
    this.#isAdvancing = false;
    this.#arm();
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
    return this.#queue.size + this.#slow.size > 0;
  }

  /** Rejects members that have waited for as long as they can without a sign of life. */
  #expire(): void {
    const now = performance.now();
    for (const member of this.#window.phase === 'probing' ? this.#queue : []) {
      if (member.waitsUntil > now) continue;
      this.#queue.delete(member);
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

/** The figures of two endpoints with one tag, which are reached in different ways: the worse of the two. */
export function merge(one: EndpointStats, other: EndpointStats): EndpointStats {
  const worse = (['probing', 'ramping', 'healthy'] as const).find(
    (phase) => phase === one.phase || phase === other.phase,
  );
  return {
    phase: worse ?? one.phase,
    waiting: one.waiting + other.waiting,
    dialling: one.dialling + other.dialling,
    window: one.window + other.window,
    connectTime: one.connectTime === null ? other.connectTime : Math.max(one.connectTime, other.connectTime ?? 0),
  };
}
