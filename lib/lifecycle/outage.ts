import type { BackoffInfo, ResetReason } from '../events/events';
import type { EndingTransport } from '../socket/ending-transport';
import { now, setRef } from '../timers/deadline';
import type { Failure } from './inputs';
import type { MachineCore } from './machine-core';
import { type Retry, RetryPolicy } from './retry-policy';
import { endingOf, forcedWait } from './states';

/** `reconnect()` has ended a session or an attempt. */
export const FORCED: Failure = { reason: 'forced' };

/**
 * The dials and the waits of a connection, from a loss or the start until a session has proved healthy. Its methods enter
 * the state that follows.
 */
export class Outage {
  readonly #machine: MachineCore;
  /** Created by the first failure, or by the first start where `maxElapsed` counts from there. */
  #policySoFar: RetryPolicy | undefined;

  constructor(machine: MachineCore) {
    this.#machine = machine;
  }

  get policy(): RetryPolicy {
    return (this.#policySoFar ??= new RetryPolicy(this.#machine.settings));
  }

  /** Milliseconds until the session counts as healthy; Infinity without one. */
  get healthyIn(): number {
    const { session, settings } = this.#machine;
    if (session === undefined) return Infinity;
    if (session.healthy) return 0;
    return (this.#policySoFar ?? new RetryPolicy(settings)).healthyIn(session.uptime);
  }

  /** What `reconnect()` leaves of the present state, and has to close before the next dial. */
  get ending(): EndingTransport | undefined {
    const { current, tag, settings, isRef } = this.#machine;
    return endingOf(current, tag, settings.closeTimeout, isRef);
  }

  /** Dials, with all retries before it. */
  start(): void {
    this.end();
    this.#begin();
    this.dial(undefined);
  }

  end(): void {
    this.#policySoFar?.reset();
  }

  /** A session opens. */
  noteOpen(): void {
    const { refusedAt = 0 } = this.#machine.attempts.gate ?? {};
    if (refusedAt > 0) this.policy.opened(this.#machine.tag, refusedAt);
  }

  /** The session is over. If it lived long enough, or the application vouched for it, it has ended the outage before it. */
  noteEnd(): boolean {
    const { session, tag } = this.#machine;
    const wasHealthy = this.healthyIn === 0;
    if (wasHealthy) this.end();
    else this.policy.endedEarly(tag, session?.uptime ?? 0);
    return wasHealthy;
  }

  /** @param failure - What it follows; undefined where the application has asked for it. */
  dial(failure: Failure | undefined, nextTurn = false): void {
    const machine = this.#machine;
    const attempt = machine.attempts.create(machine, failure, this.ending);
    machine.enter(attempt);
    attempt.start(nextTurn);
  }

  /** Dials in place of what there is, after `delay`; calls of one turn of the event loop are one. */
  redial(delay: number): void {
    if (delay > 0) return this.#wait(this.policy.hold(delay), FORCED);
    this.#begin();
    const { session, sessions } = this.#machine;
    const reportReset = session && sessions.end(session, 'forced', undefined, true);
    this.dial(undefined, true);
    reportReset?.();
  }

  /** @param leastDelay - A retry waits for so long at least. */
  retryOrGiveUp(failure: Failure, leastDelay = 0, resetReason: ResetReason = failure.reason): void {
    const machine = this.#machine;
    const before = machine.current;
    const { error } = failure;
    const decision = this.policy.next(failure, machine.generation, machine.tag, now(), leastDelay);
    // The application's own `shouldRetry` or `backoff` may have ended it; a session that was to flush is lost already.
    if (machine.state === 'closing') return machine.finish({ reason: 'disconnected', lastError: error });
    if (machine.current !== before) return;
    if (!decision.retry) {
      return machine.finish({ reason: decision.reason, error: decision.error, resetReason, lastError: error });
    }
    // The dial beside the session is its first retry. Where sessions end early time after time, it is to wait as any other.
    const isFirst = decision.attempt === 1 && failure !== FORCED;
    const attempt = isFirst && before.name === 'open' ? before.replacement?.adopt() : undefined;
    if (attempt === undefined) return this.#wait(decision, failure, resetReason);
    const { session, sessions } = machine;
    const reportReset = session && sessions.end(session, resetReason, error, true);
    machine.enter(attempt);
    reportReset?.();
  }

  #wait({ attempt, delay, fault }: Retry, failure: Failure, resetReason: ResetReason = failure.reason): void {
    const machine = this.#machine;
    const { session, sessions, isRef, settings } = machine;
    const info: BackoffInfo = { attempt, delay, retryAt: Date.now() + delay, ...failure, ...(fault && { fault }) };
    const reportReset = session && sessions.end(session, resetReason, failure.error, true);
    const timer = setTimeout(retryNow, delay, machine);
    setRef(isRef, timer);
    const isForced = failure.reason === 'forced';
    // Only a `target` function is to know the failure: a wait for hours need not hold its error.
    const kept = settings.nextTarget && failure;
    const state = isForced ? forcedWait(timer, this.ending) : { name: 'backoff' as const, timer, failure: kept };
    machine.enter(state);
    reportReset?.();
    machine.delivery.deliverIf(() => machine.current === state, 'backoff', info);
  }

  /** `maxElapsed` counts from now on, unless there is an outage already. */
  #begin(): void {
    if (this.#machine.settings.maxElapsed !== Infinity) this.policy.begin(now());
  }
}

/** Module-level, so that the timer does not keep a closure's scope alive. */
function retryNow(machine: MachineCore): void {
  machine.retryNow();
}
