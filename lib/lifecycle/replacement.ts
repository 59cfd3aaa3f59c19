import type { Attempt } from '../attempt/attempt';
import type { AttemptObserver, AttemptResult } from '../attempt/attempt-result';
import { AttemptFailure, closedEarly } from '../attempt/failure';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { ConnectionEvents, StateName } from '../events/events';
import type { Settings } from '../options/settings';
import type { ResolvedTarget, Target } from '../options/target';
import type { Session } from '../session/session';
import { outflowOf } from '../session/watches';
import { pauseDelivery } from '../socket/fast-read';
import {
  type Established,
  type TransportHandler,
  clearHandler,
  destroyTransport,
  ignore,
  setHandler,
  setTransportRef,
} from '../socket/transport';
import { type Refable, Deadline, now, setRef } from '../timers/deadline';
import type { Outbox } from '../writes/outbox';
import type { Attempts } from './attempts';
import { RetryPolicy } from './retry-policy';

/** The machine around a session that is replaced. It observes the attempt itself if the session is lost meanwhile. */
export interface ReplacementHost extends AttemptObserver {
  readonly state: StateName;
  readonly tag: string;
  readonly generation: number;
  readonly isPaused: boolean;
  readonly isRef: boolean;
  readonly settings: Settings;
  readonly attempts: Attempts;
  readonly delivery: DeliveryQueue<ConnectionEvents>;
  readonly outbox: Outbox;
  /** The next session is there: the old one may be ended. */
  onReplacementReady(): void;
  onReplacementFailed(failure: AttemptFailure): void;
  /** The same, of one that `moveTo()` had asked for. */
  onMoveFailed(): void;
  /** The peer of the old session did not end within `closeTimeout`. */
  onReplacementDue(): void;
}

/** How far the next session is. */
type Phase =
  /** There is none. With a `maxLifetime`, `timer` asks for one. */
  | { readonly name: 'resting'; readonly timer: NodeJS.Timeout | undefined }
  /** It waits for its turn in the pool. */
  | { readonly name: 'queued' }
  | { readonly name: 'dialling'; readonly attempt: Attempt }
  /** The attempt has failed, and another follows. */
  | { readonly name: 'waiting'; readonly timer: NodeJS.Timeout }
  /** It is open, and nothing reads it. `onEnd` listens to the peer's end. */
  | { readonly name: 'ready'; readonly established: Established; readonly onEnd: () => void }
  /** The old session was lost, and the attempt is the connection's state. */
  | { readonly name: 'adopted' }
  | { readonly name: 'over' };

/** A session is replaced up to this share of `maxLifetime` early, so that many do not come together. */
const SPREAD = 0.1;

/**
 * Replaces a session that is open: dials beside it, and when the next one is ready, ends the old one in good order and
 * waits for its peer's end. An attempt that fails changes nothing for the old session, and is followed by another.
 */
export class Replacement implements AttemptObserver, TransportHandler, Refable {
  readonly #host: ReplacementHost;
  #phase: Phase = { name: 'resting', timer: undefined };
  /** Its failures are counted apart from those of the connection. */
  readonly #policy: RetryPolicy;
  #failure: AttemptFailure | undefined;
  /** Whether this attempt knows its target: the `target` function was asked, or need not be. */
  #isCounted = false;
  /** Which session is wanted, whatever else happens: with the target of this one by age, with any by `replace()`. */
  #wanted: 'none' | 'same' | 'any' = 'none';
  /** The preferred target with which the next session is to be. */
  #move: ResolvedTarget | undefined;
  /** What the `target` function has returned for the next session. */
  #answer: readonly [ResolvedTarget, Target] | undefined;
  /** What it has returned for the attempt before, which has failed. */
  #previous: Target | undefined;
  /** When `maxLifetime` is over, on the clock of `now()`. */
  #dueAt = Infinity;
  #endTurn: (() => void) | undefined;
  /** The old session, once it was ended. */
  #draining: Session | undefined;
  /** Bounds the time until its peer, which takes no more writes, ends too; undefined while the application does not read. */
  #deadline: { readonly timer: Deadline; readonly since: number } | undefined;
  /** Milliseconds that are left of that time. */
  #left: number;

  constructor(host: ReplacementHost) {
    this.#host = host;
    this.#policy = new RetryPolicy(host.settings);
    this.#left = host.settings.closeTimeout;
    this.#rest();
  }

  /** Whether the next session is there. */
  get isReady(): boolean {
    return this.#phase.name === 'ready';
  }

  /** Whether the old session was ended to be replaced. */
  get isDraining(): boolean {
    return this.#draining !== undefined;
  }

  /** The application asks for another session: dials, unless it does so already. */
  begin(): void {
    this.#wanted = 'any';
    this.dial();
  }

  /** Replaces the session by one with a preferred target. Returns false where another attempt is under way. */
  moveTo(target: ResolvedTarget): boolean {
    if (!this.#isFree) return false;
    this.#move = target;
    this.dial();
    return true;
  }

  /** The session is as old as `maxLifetime` allows. */
  expire(): void {
    if (this.#wanted === 'none') this.#wanted = 'same';
    this.dial();
  }

  /** Dials when it is its turn, unless it does so already. */
  dial(): void {
    if (!this.#isFree) return;
    this.#enter({ name: 'queued' });
    this.#endTurn = this.#host.attempts.takeTurn(() => this.#dial());
  }

  /**
   * Ends the old session, when the next is ready. While the application does not read, the old one goes on: what its peer
   * has sent would be lost.
   */
  drain(session: Session): void {
    if (!this.isReady || this.isDraining || this.#host.isPaused) return;
    this.#draining = session;
    this.#startDeadline();
    // One that is gone has its last bytes still to be decoded.
    if (!session.transport.destroyed) session.end();
  }

  /** The application reads, or does not: only then does the old peer's time run. */
  setReading(isReading: boolean): void {
    this.#stopDeadline();
    if (!isReading) return;
    if (this.isDraining) this.#startDeadline();
    else if (this.isReady) this.#host.onReplacementReady();
  }

  /** Hands over the next session, if it is ready. */
  take(): Established | undefined {
    const phase = this.#phase;
    if (phase.name !== 'ready') return undefined;
    phase.established.transport.off('end', phase.onEnd);
    this.#handOver({ name: 'over' });
    return phase.established;
  }

  /** Hands over the attempt, if there is one: the old session is lost. */
  adopt(): Attempt | undefined {
    const phase = this.#phase;
    if (phase.name !== 'dialling') return undefined;
    // The connection's outage begins with this dial.
    if (this.#isCounted) this.#host.countAttempt();
    this.#handOver({ name: 'adopted' });
    return phase.attempt;
  }

  release(): void {
    const phase = this.#phase;
    if (phase.name === 'adopted') return;
    this.#stopDeadline();
    this.#phase = { name: 'over' };
    if (phase.name === 'resting' || phase.name === 'waiting') clearTimeout(phase.timer);
    if (phase.name === 'ready') discard(phase);
    if (phase.name === 'dialling') phase.attempt.release();
    this.#leaveTurn();
  }

  setRef(on: boolean): void {
    const phase = this.#phase;
    this.#deadline?.timer.setRef(on);
    if (phase.name === 'dialling') phase.attempt.setRef(on);
    else if (phase.name === 'ready') setTransportRef(on, phase.established.transport);
    else if ('timer' in phase && phase.timer !== undefined) setRef(on, phase.timer);
  }

  // Called by the attempt.

  countAttempt(): number {
    this.#isCounted = true;
    return this.#phase.name === 'adopted' ? this.#host.countAttempt() : this.#policy.countAttempt();
  }

  onTarget(target: ResolvedTarget, answer: Target): void {
    if (this.#phase.name === 'adopted') this.#host.onTarget(target, answer);
    // Until then the connection has the target of its session.
    else this.#answer = [target, answer];
  }

  onDial(): void {
    this.#host.onDial();
  }

  onResult(result: AttemptResult): void {
    if (this.#phase.name === 'adopted') this.#host.onResult(result);
    else if (result.ok) this.#hold(result);
    else this.#fail(result);
  }

  // Called by the transport of the next session.

  onError(error: Error): void {
    this.#lose(new AttemptFailure('error', error));
  }

  onClose(): void {
    this.#lose(closedEarly(this.#host.tag, undefined, undefined));
  }

  #enter(next: Phase): void {
    const previous = this.#phase;
    this.#phase = next;
    if (previous.name === 'resting' || previous.name === 'waiting') clearTimeout(previous.timer);
  }

  /** Whether no attempt is under way. */
  get #isFree(): boolean {
    return this.#phase.name === 'resting' || this.#phase.name === 'waiting';
  }

  /** Waits for the end of `maxLifetime`, if there is one. */
  #rest(delay = this.#host.settings.maxLifetime * (1 - Math.random() * SPREAD)): void {
    this.#dueAt = now() + delay;
    const timer = delay === Infinity ? undefined : setTimeout(expire, delay, this);
    if (timer !== undefined) setRef(this.#host.isRef, timer);
    this.#enter({ name: 'resting', timer });
  }

  #dial(): void {
    const { attempts } = this.#host;
    const to = this.#move ?? (this.#wanted === 'same' ? attempts.present : undefined);
    const attempt = attempts.createBeside(this, { failure: this.#failure, previous: this.#previous, to });
    this.#isCounted = to !== undefined;
    this.#enter({ name: 'dialling', attempt });
    attempt.start();
  }

  /** Keeps what the attempt has brought. What its peer says waits in the socket. */
  #hold(established: Established): void {
    const { transport, isOwn } = established;
    const onEnd = (): void => this.onClose();
    setHandler(transport, this);
    // Not by the handler: the session is to enable that event itself.
    transport.on('end', onEnd);
    if (isOwn) pauseDelivery(transport);
    else transport.pause();
    this.#enter({ name: 'ready', established, onEnd });
    this.#host.onReplacementReady();
  }

  /** The next session is over before it has begun. */
  #lose(failure: AttemptFailure): void {
    const phase = this.#phase;
    if (phase.name !== 'ready') return;
    this.#enter({ name: 'over' });
    discard(phase);
    this.#fail(failure);
  }

  #fail(failure: AttemptFailure): void {
    this.#leaveTurn();
    const host = this.#host;
    const policy = this.#policy;
    const isMove = this.#move !== undefined;
    if (!isMove) this.#previous = this.#answer?.[1] ?? this.#previous;
    this.#failure = failure;
    this.#answer = undefined;
    this.#move = undefined;
    // The old session was ended, and needs a next one.
    if (this.isDraining) this.#wanted = 'any';
    host.delivery.transaction(() => {
      host.onReplacementFailed(failure);
      if (isMove) host.onMoveFailed();
      const failed: Phase = { name: 'resting', timer: undefined };
      this.#enter(failed);
      // The old session flushes and ends: nothing is to follow it.
      if (host.state !== 'open') return this.release();
      if (this.#wanted === 'none') return this.#rest(Math.max(1, this.#dueAt - now()));
      const decision = policy.next(failure, host.generation, host.tag, now());
      // The application's own `shouldRetry` or `backoff` may have ended it, or asked for another.
      if (this.#phase !== failed) return;
      if (!decision.retry) {
        policy.reset();
        this.#wanted = 'none';
        this.#previous = undefined;
        return this.#rest();
      }
      const timer = setTimeout(dial, decision.delay, this);
      setRef(host.isRef, timer);
      this.#enter({ name: 'waiting', timer });
    });
  }

  #startDeadline(): void {
    const host = this.#host;
    const taken = this.#taken;
    const timer = new Deadline(this.#left, host.isRef, () => {
      // When its transport has closed, the session bounds the rest itself: a slow decoder gets more time.
      if (this.#draining?.transport.closed === true) return;
      if (this.#taken === taken) return host.onReplacementDue();
      this.#left = host.settings.closeTimeout;
      this.#startDeadline();
    });
    this.#deadline = { timer, since: now() };
  }

  /** Grows while the old peer takes what was written, however slowly: as long as it does, none of that is to be lost. */
  get #taken(): number {
    return this.#draining === undefined ? 0 : outflowOf(this.#draining.transport, this.#host.outbox).taken;
  }

  #stopDeadline(): void {
    if (this.#deadline === undefined) return;
    this.#deadline.timer.clear();
    this.#left = Math.max(0, this.#left - (now() - this.#deadline.since));
    this.#deadline = undefined;
  }

  #handOver(next: Phase): void {
    this.#stopDeadline();
    this.#enter(next);
    this.#leaveTurn();
    if (this.#answer !== undefined) this.#host.onTarget(...this.#answer);
  }

  #leaveTurn(): void {
    const endTurn = this.#endTurn;
    this.#endTurn = undefined;
    endTurn?.();
  }
}

/** Module-level, so that the timer does not keep a closure's scope alive. */
function dial(replacement: Replacement): void {
  replacement.dial();
}

function expire(replacement: Replacement): void {
  replacement.expire();
}

function discard({ established: { transport, decoder }, onEnd }: Extract<Phase, { name: 'ready' }>): void {
  transport.off('end', onEnd);
  clearHandler(transport);
  destroyTransport(transport);
  decoder?.on('error', ignore).destroy();
}
