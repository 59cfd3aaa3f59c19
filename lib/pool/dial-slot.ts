import { AsyncResource } from 'node:async_hooks';

import type { Endpoint, Sharer } from './endpoint';
import type { Guest, Member, Pass, Refusal } from '../attempt/dial-gate';
import type { BurstLimiter, Walker } from './burst-limiter';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';

/** What a pass needs of the gate it is for. */
export interface Porter {
  /** Undefined where nobody is paced. */
  readonly pace: BurstLimiter | undefined;
  /** The endpoint that a member means by `target`, where members share what they know: one more does so now. */
  share(target: ResolvedTarget, settings: Settings): Endpoint | undefined;
  /** One fewer shares it. */
  unshare(endpoint: Endpoint): void;
  /** Whether `pass` is inside now; if not, it is told when it is. */
  enter(pass: DialSlot): boolean;
  /** It does not wait to get inside any more. */
  withdraw(pass: DialSlot): void;
  /** One of those inside has left. */
  exit(): void;
  /** One more waits, or one fewer, and holds the process meanwhile or does not. */
  count(change: 1 | -1, held: boolean): void;
  /** One more of those who wait holds the process, or one fewer. */
  hold(change: 1 | -1): void;
}

/**
 * How far an attempt has come. It goes through them in this order, and at once where nothing speaks against it:
 *
 * ```text
 *   away     there is none
 *   paced    with a few others in a millisecond
 *   held     until its endpoint may be dialled
 *   queued   until there are fewer inside than the limit
 *   inside   it dials. One that finds out only here where to may have to go back, and be held
 * ```
 */
type Stage = 'away' | 'paced' | 'held' | 'queued' | 'inside';

/** A member's pass through the gate of its pool. */
export class DialSlot implements Pass, Sharer, Walker {
  waitsUntil = Infinity;
  /** The asynchronous context of its connection: what it is told comes from others, in theirs. */
  readonly #context = new AsyncResource('PoolPass');
  readonly #gate: Porter;
  readonly #member: Member;
  readonly #settings: Settings;
  #endpoint: Endpoint | undefined;
  #guest: Guest | undefined;
  #stage: Stage = 'away';
  /** Whether the endpoint counts a dial of this member's. */
  #dialling = false;
  /** Whether the last attempt failed before it was connected. */
  #failed = false;
  #held = true;

  constructor(gate: Porter, member: Member, settings: Settings) {
    this.#gate = gate;
    this.#member = member;
    this.#settings = settings;
  }

  get patience(): number | undefined {
    return this.#endpoint?.patience;
  }

  // What an attempt asks and tells.

  enter(guest: Guest, held: boolean): boolean {
    this.#guest = guest;
    this.#held = held;
    this.#failed = false;
    // Those who were recalled come one by one as it is.
    if (this.#dialling) return this.#goInside();
    if (this.#gate.pace?.enter(this) !== false) return this.#knock();
    this.#move('paced');
    return false;
  }

  approach(target: ResolvedTarget): boolean {
    if (this.#mayDial(target)) return true;
    this.#move('held');
    // Those who dial elsewhere are not held up by it.
    this.#gate.exit();
    return false;
  }

  overdue(took: number): boolean {
    return this.#dialling && this.#endpoint?.overdue(this, took) === true;
  }

  connected(took: number): void {
    this.#failed = false;
    if (!this.#dialling) return;
    this.#dialling = false;
    this.#endpoint?.connected(this, took);
  }

  failed(took: number, refusal: Refusal): void {
    this.#failed = true;
    if (!this.#dialling) return;
    this.#dialling = false;
    this.#endpoint?.failed(this, took, refusal);
  }

  leave(): void {
    const stage = this.#stage;
    this.#guest = undefined;
    this.#move('away');
    if (stage === 'paced') this.#gate.pace?.leave(this);
    if (stage === 'held') this.#endpoint?.withdraw(this);
    if (stage === 'queued') this.#gate.withdraw(this);
    this.#endDial();
    if (stage === 'inside') this.#gate.exit();
  }

  hold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    if (isWaiting(this.#stage)) this.#gate.hold(held ? 1 : -1);
  }

  // What the connection tells.

  rest(): void {
    if (this.#failed) this.#endpoint?.rest(this);
  }

  rise(): void {
    this.#endpoint?.withdraw(this);
  }

  close(): void {
    this.#failed = false;
    this.#moveTo(undefined);
  }

  // What it is told.

  /** Its turn in the pace. */
  go(): void {
    if (this.#knock()) this.#tell((guest) => guest.admit());
  }

  /** Its endpoint may be dialled. */
  admit(): void {
    this.#dialling = true;
    if (this.#goInside()) this.#tell((guest) => guest.admit());
  }

  refuse(refusal: Refusal | undefined): void {
    this.#failed = true;
    this.#tell((guest) => guest.refuse(refusal));
  }

  hedge(): void {
    this.#tell((guest) => guest.hedge());
  }

  recall(): void {
    this.#dialling = true;
    this.#context.runInAsyncScope(() => this.#member.recall());
    // It was to dial, unless something else came first.
    if (this.#stage === 'away') this.#endDial();
  }

  /** There is room inside, and it is there. */
  proceed(): void {
    this.#move('inside');
    this.#tell((guest) => guest.admit());
  }

  #tell(call: (guest: Guest) => void): void {
    const guest = this.#guest;
    if (guest !== undefined) this.#context.runInAsyncScope(call, undefined, guest);
  }

  #knock(): boolean {
    const { target, nextTarget } = this.#settings;
    if (target === undefined || nextTarget !== undefined || this.#mayDial(target)) return this.#goInside();
    this.#move('held');
    return false;
  }

  #goInside(): boolean {
    const isInside = this.#gate.enter(this);
    this.#move(isInside ? 'inside' : 'queued');
    return isInside;
  }

  /** Whether it may dial, and so has begun; if not, its endpoint tells it. */
  #mayDial(target: ResolvedTarget): boolean {
    // A fixed target is always the same.
    if (this.#endpoint === undefined || this.#settings.nextTarget !== undefined) {
      this.#moveTo(this.#gate.share(target, this.#settings));
    }
    if (this.#endpoint === undefined || this.#dialling) return true;
    this.waitsUntil = performance.now() + this.#guest!.timeLeft;
    this.#dialling = this.#endpoint.enter(this);
    return this.#dialling;
  }

  #moveTo(endpoint: Endpoint | undefined): void {
    const before = this.#endpoint;
    if (before !== endpoint) this.#endDial();
    this.#endpoint = endpoint;
    if (before !== undefined) this.#gate.unshare(before);
  }

  #endDial(): void {
    if (!this.#dialling) return;
    this.#dialling = false;
    this.#endpoint?.ended(this);
  }

  #move(stage: Stage): void {
    const change = Number(isWaiting(stage)) - Number(isWaiting(this.#stage));
    this.#stage = stage;
    if (change !== 0) this.#gate.count(change > 0 ? 1 : -1, this.#held);
  }
}

function isWaiting(stage: Stage): boolean {
  return stage !== 'away' && stage !== 'inside';
}
