import { AsyncResource } from 'node:async_hooks';

import type { DialGate, DialGrant, DialRequest, GateMember } from '../attempt/dial-gate';
import { type AttemptFailure, timedOut } from '../attempt/failure';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';
import type { Endpoint, WaitingMember } from './endpoint';
import type { SharedGate } from './shared-gate';

/**
 * How far an attempt has come. It goes through the stages in this order, and skips those that do not hold it up:
 *
 * ```text
 *   idle      there is none, or it has been rejected
 *   limited   waits for its turn in the burst limiter
 *   held      waits until its endpoint may be dialled
 *   queued    waits until fewer than `maxConnecting` members dial
 *   granted   dials
 * ```
 */
type Stage = 'idle' | 'limited' | 'held' | 'queued' | 'granted';

/** The gate of one member of a pool. */
export class DialSlot implements DialGate, WaitingMember {
  waitsUntil = Infinity;
  readonly #gate: SharedGate;
  readonly #settings: Settings;
  readonly #member: GateMember;
  /** The context of this member in backoff: another member whose dial connects ends it, in a context of its own. */
  #context: AsyncResource | undefined;
  #stage: Stage = 'idle';
  #endpoint: Endpoint | undefined;
  /** Whether the endpoint counts a dial of this member: since `retryNow()`, even before its attempt asks. */
  #isCounted = false;
  /** Whether the last attempt failed before it was connected. */
  #hasFailed = false;
  /** Settles the promise of `acquire()`. */
  #resolve: ((answer: DialGrant | AttemptFailure) => void) | undefined;

  constructor(gate: SharedGate, settings: Settings, member: GateMember) {
    this.#gate = gate;
    this.#settings = settings;
    this.#member = member;
  }

  get refusedAt(): number {
    return this.#endpoint?.refusedAt ?? 0;
  }

  acquire(target: ResolvedTarget, request: DialRequest): Promise<DialGrant | AttemptFailure> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      if ('slowFor' in request) this.#acquireSecond(request.slowFor);
      else this.#acquireFirst(target, request.timeout);
    });
  }

  connected(took: number): void {
    this.#hasFailed = false;
    this.#resolve = undefined;
    if (this.#uncount()) this.#endpoint?.connected(this, took);
  }

  failed(took: number, failure: AttemptFailure): void {
    this.#hasFailed = true;
    this.#resolve = undefined;
    if (this.#uncount()) this.#endpoint?.failed(this, took, failure);
  }

  release(): void {
    const stage = this.#stage;
    this.#stage = 'idle';
    this.#resolve = undefined;
    if (stage === 'limited') this.#gate.burst?.cancel(this);
    if (stage === 'held') this.#endpoint?.withdraw(this);
    if (stage === 'queued') this.#gate.cancel(this);
    this.#endDial();
    if (stage === 'granted') this.#gate.freePlace();
    if (!this.#hasFailed || this.#endpoint === undefined) return;
    this.#context = new AsyncResource('DialSlot');
    this.#endpoint.backoffStarted(this);
  }

  takeTurn(tag: string, begin: () => void): () => void {
    return this.#gate.turns.take(tag, begin);
  }

  close(): void {
    this.#hasFailed = false;
    this.#context = undefined;
    this.#endpoint?.withdraw(this);
    this.#moveTo(undefined);
  }

  // What the endpoint calls.

  grant(): void {
    if (this.#stage === 'granted') return this.#settle();
    this.#isCounted = true;
    this.#takePlace();
  }

  reject(failure: AttemptFailure | undefined): void {
    this.#hasFailed = true;
    this.#stage = 'idle';
    this.#settle(failure ?? timedOut(this.#endpoint!.tag, this.#settings.connectTimeout));
  }

  retryNow(): void {
    this.#isCounted = true;
    const isDialling = this.#context?.runInAsyncScope(() => this.#member.retryNow());
    if (isDialling !== true) this.#endDial();
  }

  // From stage to stage.

  #acquireFirst(target: ResolvedTarget, timeout: number): void {
    this.#hasFailed = false;
    this.#context = undefined;
    this.waitsUntil = performance.now() + timeout;
    this.#endpoint?.withdraw(this);
    // A fixed target is always the same.
    if (this.#endpoint === undefined || this.#settings.nextTarget !== undefined) {
      this.#moveTo(this.#gate.addMember(target, this.#settings));
    }
    // Members whose backoff the endpoint has ended come one by one, and have its permission.
    if (this.#isCounted) return this.#takePlace();
    this.#stage = 'limited';
    if (this.#gate.burst?.take(this) !== false) this.#askEndpoint();
  }

  #acquireSecond(slowFor: number): void {
    if (this.#isCounted && this.#endpoint?.acquireSecond(this, slowFor) === true) this.#settle();
  }

  /** The burst limiter or `maxConnecting` lets it go on. */
  advance(): void {
    if (this.#stage === 'limited') this.#askEndpoint();
    else this.#grantPlace();
  }

  #askEndpoint(): void {
    this.#stage = 'held';
    if (this.#endpoint?.acquire(this) === false) return;
    this.#isCounted = this.#endpoint !== undefined;
    this.#takePlace();
  }

  #takePlace(): void {
    this.#stage = 'queued';
    if (this.#gate.takePlace(this)) this.#grantPlace();
  }

  #grantPlace(): void {
    this.#stage = 'granted';
    this.#settle();
  }

  #settle(answer: DialGrant | AttemptFailure = { ok: true, slowAfter: this.#endpoint?.slowAfter }): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.(answer);
  }

  #moveTo(endpoint: Endpoint | undefined): void {
    const before = this.#endpoint;
    if (before !== endpoint) this.#endDial();
    this.#endpoint = endpoint;
    if (before !== undefined) this.#gate.removeMember(before);
  }

  #endDial(): void {
    if (this.#uncount()) this.#endpoint?.ended(this);
  }

  #uncount(): boolean {
    const wasCounted = this.#isCounted;
    this.#isCounted = false;
    return wasCounted;
  }
}
