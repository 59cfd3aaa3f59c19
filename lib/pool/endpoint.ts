import { ConnectWindow, type EndpointPhase } from './connect-window';
import { Deadline } from '../timers/deadline';
import type { Refusal } from '../attempt/dial-gate';

/** One of those who dial the same endpoint. */
export interface Sharer {
  /** When it gives up waiting for a sign of life, on the clock of `performance.now()`. */
  readonly waitsUntil: number;
  /** It may dial: for the endpoint, its dial has begun. */
  admit(): void;
  /** It need not dial: another was refused, or (undefined) nobody has had an answer for as long as it waits. */
  refuse(refusal: Refusal | undefined): void;
  /** It may dial another time beside its dial, which is overdue: for the endpoint, that has begun anew. */
  hedge(): void;
  /** It may dial before its wait is over: for the endpoint, its dial has begun. */
  recall(): void;
}

/** An endpoint in figures. */
export interface EndpointStats {
  /** What is known of it: `clear`, `probing` (one member finds out) or `releasing` (the others follow). */
  readonly phase: EndpointPhase;
  /** Members that are held back until more is known. */
  readonly waiting: number;
  /** Members that dial and have not connected yet. */
  readonly dialling: number;
  /** Members that may dial at once, those left out whose dial goes unanswered. */
  readonly window: number;
  /** Milliseconds that it takes to connect, on average; null while that is not known. */
  readonly connectTime: number | null;
}

/**
 * Where several dial, and what they know together. While it is not known to be there, one finds out for all: who waits
 * meanwhile follows if it connects, and is refused with it if it is refused. Of those who wait because a dial of their
 * own has failed, all may come when another connects. Whose dial is overdue may dial another time, before all others.
 */
export class Endpoint {
  /** What it is known by among others. */
  readonly key: string;
  readonly tag: string;
  readonly #canary = new ConnectWindow();
  /** Whose dial is overdue, and who asks to dial another time. */
  readonly #overdue = new Set<Sharer>();
  /** Who asks to dial, in the order they came. */
  readonly #line = new Set<Sharer>();
  /** Who waits after a failed dial. */
  readonly #resting = new Set<Sharer>();
  /** Those of them who may come, as soon as there is room. */
  readonly #recalled = new Set<Sharer>();
  #sharers = 0;
  #isAdmitting = false;
  #timer: Deadline | undefined;
  #dueAt = Infinity;

  constructor(key: string, tag: string) {
    this.key = key;
    this.tag = tag;
  }

  get stats(): EndpointStats {
    const { phase, dialling, window, connectTime } = this.#canary;
    const rounded = connectTime === undefined ? null : Math.round(connectTime * 10) / 10;
    const { size } = this.#overdue;
    return { phase, waiting: this.#line.size, dialling: dialling + size, window, connectTime: rounded };
  }

  get patience(): number | undefined {
    return this.#canary.patience;
  }

  /** One more shares it. */
  join(): void {
    this.#sharers += 1;
  }

  /** One fewer. Returns whether any are left. */
  leave(): boolean {
    this.#sharers -= 1;
    this.#admitAll();
    return this.#sharers > 0;
  }

  /** Whether `sharer` may dial at once, and so has begun; if not, it is told what it may do. */
  enter(sharer: Sharer): boolean {
    const now = performance.now();
    if (this.#line.size + this.#overdue.size === 0 && this.#mayDial(now) === 0) {
      this.#canary.begun(now);
      return true;
    }
    this.#line.add(sharer);
    this.#arm();
    return false;
  }

  /** It neither waits to be let in nor to be recalled any more. */
  withdraw(sharer: Sharer): void {
    this.#line.delete(sharer);
    this.#resting.delete(sharer);
    this.#recalled.delete(sharer);
    if (!this.#isAwaited) this.#disarm();
  }

  /** It waits after a failed dial. */
  rest(sharer: Sharer): void {
    this.#resting.add(sharer);
  }

  /** Whether `sharer`, whose dial has had no answer in `took`, may dial another time at once; if not, it is told later. */
  overdue(sharer: Sharer, took: number): boolean {
    const now = performance.now();
    this.#canary.overdue(now, took);
    if (this.#overdue.size === 0 && this.#canary.mayDial(now) === 0) {
      this.#canary.begun(now);
      return true;
    }
    this.#overdue.add(sharer);
    this.#admitAll();
    return false;
  }

  /** A dial has connected. */
  connected(sharer: Sharer, took: number): void {
    const isOverdue = this.#overdue.delete(sharer);
    this.#canary.connected(performance.now(), took);
    this.#recallAll();
    // While its place is still taken: those who wait keep the window open.
    this.#admitAll();
    this.#canary.ended(isOverdue);
    this.#admitAll();
  }

  /** A dial has failed before it was connected. */
  failed(sharer: Sharer, took: number, refusal: Refusal): void {
    // One among many that connect is not the endpoint's word yet. Nor is silence: another may have more time.
    const isWord = this.#canary.phase === 'probing' && refusal.reason !== 'connect-timeout';
    this.#canary.failed(performance.now(), took);
    if (isWord) this.#refuseAll(refusal);
    this.ended(sharer);
  }

  /** A dial is over. */
  ended(sharer: Sharer): void {
    this.#canary.ended(this.#overdue.delete(sharer));
    this.#admitAll();
  }

  /** An only one is its own canary, but hedges by what is known. */
  #mayDial(now: number): number {
    return this.#sharers > 1 || this.#overdue.size > 0 ? this.#canary.mayDial(now) : 0;
  }

  /** Whether anyone is to be told when there is room. */
  get #isAwaited(): boolean {
    return this.#line.size + this.#overdue.size > 0;
  }

  #recallAll(): void {
    for (const sharer of this.#resting) this.#recalled.add(sharer);
    this.#resting.clear();
  }

  #refuseAll(refusal: Refusal): void {
    for (const sharer of this.#line) {
      this.#line.delete(sharer);
      sharer.refuse(refusal);
    }
  }

  /** Lets in whom it may. What that sets off may come back here, and finds it at work. */
  #admitAll(): void {
    if (this.#isAdmitting) return;
    this.#isAdmitting = true;
    for (;;) {
      const now = performance.now();
      const late = first(this.#overdue);
      const waiting = late ?? first(this.#line);
      const next = waiting ?? (this.#canary.phase === 'probing' ? undefined : first(this.#recalled));
      if (next === undefined || this.#mayDial(now) > 0) break;
      this.#canary.begun(now);
      this.#overdue.delete(next);
      this.#line.delete(next);
      this.#recalled.delete(next);
      if (next === late) next.hedge();
      else if (next === waiting) next.admit();
      else next.recall();
    }
    this.#isAdmitting = false;
    this.#arm();
  }

  /** Gives up on those who have waited for as long as they can without a sign of life. */
  #expire(): void {
    const now = performance.now();
    for (const sharer of this.#canary.phase === 'probing' ? this.#line : []) {
      if (sharer.waitsUntil > now) continue;
      this.#line.delete(sharer);
      sharer.refuse(undefined);
    }
  }

  /** Comes back when the next may dial. */
  #arm(): void {
    if (!this.#isAwaited) return this.#disarm();
    const now = performance.now();
    const dueAt = now + this.#mayDial(now);
    if (this.#timer !== undefined && this.#dueAt <= dueAt) return;
    this.#disarm();
    this.#dueAt = dueAt;
    // Whoever waits holds the process, not this. And it judges by what has arrived until then.
    this.#timer = new Deadline(Math.max(1, Math.ceil(dueAt - now)), false, () => {
      this.#disarm();
      this.#expire();
      this.#admitAll();
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

/** The figures of two endpoints that go by one tag, for they are reached in different ways: the worse of the two. */
export function together(one: EndpointStats, other: EndpointStats): EndpointStats {
  const worse = (['probing', 'releasing', 'clear'] as const).find(
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
