import { Attempt } from '../attempt/attempt';
import type { AttemptObserver, AttemptResult } from '../attempt/attempt-result';
import type { DialGate, GateMember } from '../attempt/dial-gate';
import { type AttemptFailure, calledBad } from '../attempt/failure';
import { ConnectionError } from '../errors';
import { debug, failureText } from '../events/debug-log';
import type { DeliveryQueue } from '../events/delivery-queue';
import {
  type BackoffInfo,
  type CloseInfo,
  type ConnectionEvents,
  type FailureReason,
  type FinalReason,
  type OpenInfo,
  type ResetReason,
  HEALTHY,
} from '../events/events';
import type { HeartbeatConnection } from '../options/options';
import type { Settings } from '../options/settings';
import { type ResolvedTarget, type Target, tagOf } from '../options/target';
import type { SessionOwner } from '../session/session';
import type { EndingTransport } from '../socket/ending-transport';
import type { Established } from '../socket/transport';
import { Deadline, now, setRef } from '../timers/deadline';
import { WriteCounts } from '../writes/counts';
import { NOTHING_UNCERTAIN, Outbox } from '../writes/outbox';
import { type Deferred, deferred } from './deferred';
import type { End, Failure, Handlers, Inputs, MachineContext } from './inputs';
import { LifecycleSignal } from './lifecycle-signal';
import type { OpenPayload } from './open-payload';
import { OpenSession } from './open-session';
import { type ReplacementHost, Replacement } from './replacement';
import { type Retry, RetryPolicy } from './retry-policy';
import {
  type Closed,
  type Closing,
  type State,
  endingOf,
  forcedWait,
  release,
  setStateRef,
  transitions,
} from './states';
import { type ConnectionStats, StatsRecorder } from './stats';
import { type WhenOpenOptions, OpenWaiters } from './when-open';

const DISCONNECTED: End = { reason: 'disconnected' };
const FORCED: Failure = { reason: 'forced' };

/**
 * The state machine of a connection. Every input is a transaction: the state with all that it holds is set first, and the
 * events are delivered afterwards. Code that has called the application's functions compares the identity of the state
 * object before it goes on.
 */
export class Machine implements GateMember, ReplacementHost, SessionOwner {
  /** The whole machine, state by state. An input that is not named changes nothing in that state. */
  static readonly #handlers: { readonly [Name in State['name']]: Handlers<Machine, Name> } = {
    idle: {
      connect: (machine) => machine.#start(),
      reconnect: (machine, _state, delay) => machine.#redial(delay),
      replace: (machine) => machine.#start(),
      disconnect: (machine) => machine.#finish(DISCONNECTED),
      destroy: (machine, _state, end) => machine.#finish(end),
    },

    connecting: {
      established: (machine, _state, established) => machine.#open(established),
      failed: (machine, _state, failure) => machine.#retryOrGiveUp(failure),
      reconnect: (machine, attempt, delay) => {
        if (attempt.hasBegun || delay > 0) machine.#redial(Math.max(delay, machine.#retryPolicy.abandon()));
      },
      disconnect: (machine, attempt) => {
        if (machine.#outboxSoFar?.hasWaiting === true) machine.#close(attempt);
        else machine.#finish(DISCONNECTED);
      },
      destroy: (machine, _state, end) => machine.#finish(end),
    },

    open: {
      failed: (machine, session, failure) => {
        const { replacement } = session;
        const reason = replacement?.isDraining === true ? 'replaced' : failure.reason;
        const established = replacement?.take();
        if (established !== undefined) return machine.#goOnWith(session, established, reason, failure.error);
        machine.#noteIfHealthy();
        machine.#retryOrGiveUp(failure, 0, reason);
      },
      replace: (machine, session) => {
        if (session.info !== undefined) (session.replacement ??= new Replacement(machine)).begin();
      },
      replaceable: (machine, session) => {
        machine.sendNow();
        session.replacement?.drain(session);
      },
      reconnect: (machine, _state, delay) => {
        if (machine.#noteIfHealthy()) machine.#redial(delay);
        else machine.#retryOrGiveUp(FORCED, delay);
      },
      disconnect: (machine, session) => {
        // A socket that is gone already has nothing to flush.
        if (session.transport.destroyed && !machine.#needsNext(session)) return machine.#finish(DISCONNECTED);
        machine.#close(session);
        session.end();
        if (!machine.#needsNext(session)) session.replacement?.release();
      },
      destroy: (machine, _state, end) => machine.#finish(end),
    },

    backoff: {
      retry: (machine, { failure }) => machine.#dial(failure),
      reconnect: (machine, { isNew }, delay) => {
        if (!isNew) machine.#redial(delay);
      },
      replace: (machine, { failure }) => machine.#dial(failure),
      disconnect: (machine, { failure }) => {
        if (machine.#outboxSoFar?.hasWaiting !== true) return machine.#finish(DISCONNECTED);
        const attempt = machine.#newAttempt(failure);
        machine.#close(attempt);
        attempt.start();
      },
      destroy: (machine, _state, end) => machine.#finish(end),
    },

    closing: {
      established: (machine, state, established) => machine.#openWhileClosing(state, established),
      failed: (machine, state, { error }) => {
        const { work } = state;
        const established = work.name === 'open' && machine.#needsNext(work) ? work.replacement?.take() : undefined;
        if (work.name !== 'open' || established === undefined) {
          return machine.#finish({ reason: 'disconnected', lastError: error });
        }
        machine.#openWhileClosing(state, established, machine.#endSession(work, 'replaced', error, true));
        work.release();
      },
      closeTimeout: (machine) => machine.#finish(DISCONNECTED),
      connect: (_machine, state) => {
        state.restart = true;
      },
      disconnect: (machine, state) => machine.#cancelRestart(state),
      destroy: (machine, state, end) => {
        machine.#cancelRestart(state);
        machine.#finish(end);
      },
    },

    closed: {
      connect: (machine) => machine.#startAgain(),
      disconnect: (machine, state) => machine.#cancelRestart(state),
      destroy: (machine, state) => machine.#cancelRestart(state),
    },
  };

  readonly settings: Settings;
  /** The target of the options; undefined where only the `target` function knows one. */
  readonly target: ResolvedTarget | undefined;
  readonly delivery: DeliveryQueue<ConnectionEvents>;
  readonly connection: HeartbeatConnection;
  tag: string;
  /** Whether the application has paused it. */
  isPaused = false;
  /** Whether its socket and timers keep the process alive. */
  isRef = true;

  readonly #gate: DialGate | undefined;
  readonly #signal: LifecycleSignal | undefined;
  /** Created by the first write, and not to read figures: many connections only listen. */
  #outboxSoFar: Outbox | undefined;
  /** Created by the first failure, or by the first start where `maxElapsed` counts from there. */
  #retryPolicySoFar: RetryPolicy | undefined;
  readonly #stats = new StatsRecorder();
  /** Created by the first `whenOpen()` or `replace()`. */
  #waiters: OpenWaiters | undefined;
  /** Created by the first reader of a connection with `allowHalfOpen`. */
  #peerEndListeners: Set<() => void> | undefined;
  #state: State = { name: 'idle' };
  /** What the `target` function returned for the last dial. */
  #previousTarget: Target | undefined;
  /** Created by the first `disconnect()` of a lifecycle. */
  #disconnected: Deferred<CloseInfo> | undefined;

  constructor({ settings, target, joinGate, delivery, connection }: MachineContext) {
    this.settings = settings;
    this.target = target;
    this.delivery = delivery;
    this.connection = connection;
    this.tag = target === undefined ? 'unresolved' : tagOf(target);
    this.#gate = joinGate?.(settings, this);
    const onAborted = () => this.#handle('destroy', { reason: 'aborted', error: this.#signal?.error(this.tag) });
    this.#signal = settings.signal && new LifecycleSignal(settings.signal, onAborted);
    this.#signal?.start();
  }

  get state(): State['name'] {
    return this.#state.name;
  }

  get session(): OpenSession | undefined {
    const state = this.#state.name === 'closing' ? this.#state.work : this.#state;
    return state.name === 'open' ? state : undefined;
  }

  get outbox(): Outbox {
    return (this.#outboxSoFar ??= this.#newOutbox());
  }

  get pendingBytes(): number {
    return this.#outboxSoFar?.pendingBytes ?? 0;
  }

  get generation(): number {
    return this.#stats.generation;
  }

  /** How the lifecycle ended, once it has. */
  get closeInfo(): CloseInfo | undefined {
    return this.#state.name === 'closed' && !this.#state.restart ? this.#state.info : undefined;
  }

  get stats(): ConnectionStats {
    const writes = this.#outboxSoFar?.totals ?? new WriteCounts().totals({ writes: 0, bytes: 0 });
    return this.#stats.snapshot(this.state, this.tag, this.session, writes);
  }

  // Called by the application.

  connect(): void {
    this.#handle('connect');
  }

  reconnect(delay: number): void {
    this.#handle('reconnect', delay);
  }

  /** Replaces the session while it goes on. Resolves with the next `open`; rejects with the first failure before it. */
  replace(): Promise<OpenInfo> {
    // A session whose `open` is still to be delivered is the next one.
    const isNew = this.#state.name === 'open' && this.#state.info === undefined;
    const opened = this.#openWaiters.addNext(this.generation - (isNew ? 1 : 0), this.tag);
    this.#rejectWaitersIfOver();
    this.#handle('replace');
    return opened;
  }

  fail(given: unknown): void {
    const failure = calledBad(given, this.tag);
    if (this.state === 'connecting') this.onResult(failure);
    else if (this.state === 'open') this.onLost(failure.reason, failure.error);
  }

  disconnect(): Promise<CloseInfo> {
    const { promise } = (this.#disconnected ??= deferred());
    if (this.#state.name === 'closed') this.#disconnected.resolve(this.#state.info);
    this.#handle('disconnect');
    return promise;
  }

  destroy(): void {
    this.#handle('destroy', { reason: 'destroyed' });
  }

  markHealthy(): void {
    if (this.#state.name !== 'open' || this.#state.healthy) return;
    this.#state.healthy = true;
    this.delivery.deliver(HEALTHY);
  }

  /** Milliseconds until the session counts as healthy; Infinity without one. */
  get healthyIn(): number {
    const { session } = this;
    if (session === undefined) return Infinity;
    if (session.healthy) return 0;
    return (this.#retryPolicySoFar ?? new RetryPolicy(this.settings)).healthyIn(session.uptime);
  }

  /**
   * Adds a listener for the peer's end of a session that goes on for writes; it is called after what the peer had sent.
   *
   * @returns a function that removes it
   */
  addPeerEndListener(listener: () => void): () => void {
    const listeners = (this.#peerEndListeners ??= new Set());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  whenOpen(options: WhenOpenOptions): Promise<OpenInfo> {
    const opened = this.#openWaiters.add(options, this.tag);
    const state = this.#state;
    if (state.name === 'open' && state.info !== undefined) this.#waiters?.resolve(state.info);
    this.#rejectWaitersIfOver();
    return opened;
  }

  pause(): void {
    this.isPaused = true;
    this.session?.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.session?.resume();
  }

  setRef(on: boolean): void {
    this.isRef = on;
    setStateRef(this.#state, on);
  }

  // Called by the timer of a wait, by the gate, the attempt and the session.

  /** Ends the backoff. Returns false in another state. */
  retryNow(): boolean {
    const isWaiting = this.state === 'backoff';
    this.#handle('retry');
    return isWaiting;
  }

  countAttempt(): number {
    return this.#retryPolicy.countAttempt();
  }

  onTarget(target: ResolvedTarget, answer: Target): void {
    this.tag = tagOf(target);
    this.#previousTarget = answer;
  }

  onDial(): void {
    debug?.(this.connection, 'dial');
    this.#stats.recordDial();
  }

  onResult(result: AttemptResult): void {
    if (result.ok) return this.#handle('established', result);
    debug?.(this.connection, `attempt failed (${result.reason}): ${failureText(result.error)}`);
    this.#stats.recordFailure();
    this.#waiters?.countFailure(result.error);
    this.onLost(result.reason, result.error);
  }

  onLost(reason: FailureReason, error: Error | undefined): void {
    if (error !== undefined) this.#stats.recordError(error);
    this.#handle('failed', error === undefined ? { reason } : { reason, error });
  }

  sendNow(): void {
    this.#outboxSoFar?.sendNow();
  }

  // Called by the replacement of a session.

  newAttemptBeside(observer: AttemptObserver, failure: Failure | undefined): Attempt {
    return this.#newAttempt(failure, observer);
  }

  takeTurn(begin: () => void): () => void {
    if (this.#gate !== undefined) return this.#gate.takeTurn(this.tag, begin);
    begin();
    return () => undefined;
  }

  onReplacementReady(): void {
    this.#handle('replaceable');
  }

  onReplacementFailed({ reason, error }: AttemptFailure): void {
    debug?.(this.connection, `replacement failed (${reason}): ${failureText(error)}`);
    this.#stats.recordFailure();
    this.#stats.recordError(error);
    this.#waiters?.rejectNext(error);
  }

  onReplacementDue(): void {
    this.#handle('failed', { reason: 'peer-end' });
  }

  onUnheard(bytes: number): void {
    this.#stats.recordUnheard(bytes);
  }

  onPeerEnd(): void {
    for (const listener of this.#peerEndListeners ?? []) this.delivery.enqueue(listener);
  }

  #handle<Input extends keyof Inputs>(input: Input, ...args: Inputs[Input]): void {
    const state = this.#state;
    // `as`: the handlers of a state take that state.
    const handler = Machine.#handlers[state.name][input] as
      ((machine: Machine, state: State, ...args: Inputs[Input]) => void) | undefined;
    if (handler !== undefined) this.delivery.transaction(() => handler(this, state, ...args));
  }

  // What the handlers are made of. Each runs within a transaction.

  #enter(next: State): void {
    const previous = this.#state;
    const legal: readonly string[] = transitions[previous.name];
    if (!legal.includes(next.name)) throw new TypeError(`No way from ${previous.name} to ${next.name}`);
    this.#state = next;
    if (next.name !== previous.name) {
      this.#stats.recordTransition(previous.name, next.name);
      this.delivery.deliver('state', next.name, previous.name);
    }
    // Last: it aborts a signal, a listener of which may call a method.
    release(previous, next);
  }

  #start(): void {
    this.#retryPolicySoFar?.reset();
    this.#beginOutage();
    this.#dial(undefined);
  }

  /** An outbox in the phase of the present state. Nothing waits in it. */
  #newOutbox(): Outbox {
    const outbox = new Outbox(this.settings.queue, this.delivery, this);
    const { session } = this;
    if (session !== undefined) outbox.attach(session.transport, session.isOwn);
    if (session?.hasBegun === true) outbox.flush();
    const state = this.#state;
    if (state.name === 'closing') outbox.seal();
    if (state.name === 'closed') outbox.drop(state.info.reason, this.#closedError(state.info.error));
    return outbox;
  }

  get #retryPolicy(): RetryPolicy {
    return (this.#retryPolicySoFar ??= new RetryPolicy(this.settings));
  }

  /** `maxElapsed` counts from now on, unless there is an outage already. */
  #beginOutage(): void {
    if (this.settings.maxElapsed !== Infinity) this.#retryPolicy.begin(now());
  }

  /** @param failure - What it follows; undefined where the application has asked for it. */
  #dial(failure: Failure | undefined, nextTurn = false): void {
    const attempt = this.#newAttempt(failure);
    this.#enter(attempt);
    attempt.start(nextTurn);
  }

  /** @param beside - Observes it, if it is made beside a session. */
  #newAttempt(failure: Failure | undefined, beside?: AttemptObserver): Attempt {
    const generation = this.generation + 1;
    const previous = this.#previousTarget;
    return new Attempt({
      settings: this.settings,
      target: this.target,
      gate: this.#gate,
      observer: beside ?? this,
      // Only a `target` function reads the rest.
      targetContext: this.settings.nextTarget
        ? { ...(failure && { failure }), ...(previous && { previous }), generation }
        : { generation },
      ending: beside === undefined ? this.#ending() : undefined,
      ref: this.isRef,
    });
  }

  /** What `reconnect()` leaves of this state. */
  #ending(): EndingTransport | undefined {
    return endingOf(this.#state, this.tag, this.settings.closeTimeout, this.isRef);
  }

  /** Dials in place of what there is, after `delay`; calls of one turn of the event loop are one. */
  #redial(delay: number): void {
    if (delay > 0) return this.#wait(this.#retryPolicy.hold(delay), FORCED);
    this.#beginOutage();
    const { session } = this;
    const reportReset = session && this.#endSession(session, 'forced', undefined, true);
    this.#dial(undefined, true);
    reportReset?.();
  }

  #open(established: Established): void {
    const { session, info } = this.#newSession(established);
    this.#enter(session);
    this.#announceSession(session, info, () => this.#onAnnounced(info));
  }

  #onAnnounced(info: OpenPayload): void {
    this.#waiters?.resolve(info);
    // `disconnect()` in an `open` listener has sealed it.
    if (this.state === 'open') this.#outboxSoFar?.flush();
  }

  /** The next session takes the place of one that is over. Writes wait until `open` is delivered, behind `reset`. */
  #goOnWith(session: OpenSession, established: Established, reason: ResetReason, error: Error | undefined): void {
    if (this.healthyIn === 0) this.#retryPolicySoFar?.reset();
    const reportReset = this.#endSession(session, reason, error, true);
    const next = this.#newSession(established, true);
    this.#enter(next.session);
    reportReset();
    this.#announceSession(next.session, next.info, () => this.#onAnnounced(next.info));
  }

  /** Whether a session that was ended to be replaced has a next one, and writes wait for that. */
  #needsNext({ replacement }: OpenSession): boolean {
    return replacement?.isDraining === true && replacement.isReady && this.#outboxSoFar?.hasWaiting === true;
  }

  /**
   * The dial that `disconnect()` waited for: sends what was queued, and ends.
   *
   * @param reportReset - Reports the end of the session before.
   */
  #openWhileClosing(state: Closing, established: Established, reportReset?: () => void): void {
    const { session, info } = this.#newSession(established, reportReset !== undefined);
    state.work = session;
    reportReset?.();
    this.#announceSession(session, info, () => {
      this.#outboxSoFar?.seal();
      session.end();
    });
  }

  /** @param isNext - Whether it takes the place of another, the `reset` of which is still to be delivered. */
  #newSession(established: Established, isNext = false): { session: OpenSession; info: OpenPayload } {
    const session = new OpenSession(established, this);
    const { refusedAt = 0 } = this.#gate ?? {};
    if (refusedAt > 0) this.#retryPolicy.opened(this.tag, refusedAt);
    // A stream of another make may keep the memory of a chunk after it has confirmed it.
    this.#outboxSoFar?.attach(session.transport, established.isOwn, isNext);
    if (this.settings.maxLifetime !== Infinity && this.state !== 'closing') session.replacement = new Replacement(this);
    return { session, info: this.#stats.recordOpen(established) };
  }

  /** Delivers `open`, and then lets the queue go out and bytes come in: what `open` listeners write goes first. */
  #announceSession(session: OpenSession, info: OpenPayload, onAnnounced: () => void): void {
    const isCurrent = () => this.session === session;
    this.delivery.enqueue(() => {
      if (!isCurrent()) return;
      session.info = info;
      this.#outboxSoFar?.greet();
    });
    this.delivery.deliverIf(isCurrent, 'open', info);
    this.delivery.enqueue(() => {
      if (!isCurrent()) return;
      onAnnounced();
      session.read();
    });
  }

  /** A session that lived long enough, or that the application vouched for, ends the outage before it. */
  #noteIfHealthy(): boolean {
    const isHealthy = this.healthyIn === 0;
    if (isHealthy) this.#retryPolicySoFar?.reset();
    else this.#retryPolicy.endedEarly(this.tag, this.session?.uptime ?? 0);
    return isHealthy;
  }

  /** @param leastDelay - A retry waits for so long at least. */
  #retryOrGiveUp(failure: Failure, leastDelay = 0, resetReason: ResetReason = failure.reason): void {
    const before = this.#state;
    const { error } = failure;
    const decision = this.#retryPolicy.next(failure, this.generation, this.tag, now(), leastDelay);
    // The application's own `shouldRetry` or `backoff` may have ended it; a session that was to flush is lost already.
    if (this.state === 'closing') return this.#finish({ reason: 'disconnected', lastError: error });
    if (this.#state !== before) return;
    if (!decision.retry) {
      return this.#finish({ reason: decision.reason, error: decision.error, resetReason, lastError: error });
    }
    // The dial beside the session is its first retry. Where sessions end early time after time, it is to wait as any other.
    const isFirst = decision.attempt === 1 && failure !== FORCED;
    const attempt = isFirst && before.name === 'open' ? before.replacement?.adopt() : undefined;
    if (attempt === undefined) return this.#wait(decision, failure, resetReason);
    const reportReset = this.session && this.#endSession(this.session, resetReason, error, true);
    this.#enter(attempt);
    reportReset?.();
  }

  #wait({ attempt, delay, fault }: Retry, failure: Failure, resetReason: ResetReason = failure.reason): void {
    const { session } = this;
    const info: BackoffInfo = { attempt, delay, retryAt: Date.now() + delay, ...failure, ...(fault && { fault }) };
    const reportReset = session && this.#endSession(session, resetReason, failure.error, true);
    const timer = setTimeout(retryNow, delay, this);
    setRef(this.isRef, timer);
    const isForced = failure.reason === 'forced';
    // Only a `target` function is to know the failure: a wait for hours need not hold its error.
    const kept = this.settings.nextTarget && failure;
    const state = isForced ? forcedWait(timer, this.#ending()) : { name: 'backoff' as const, timer, failure: kept };
    this.#enter(state);
    reportReset?.();
    this.delivery.deliverIf(() => this.#state === state, 'backoff', info);
  }

  /** Counts what the session leaves behind. Returns a function that reports it. */
  #endSession(session: OpenSession, reason: ResetReason, error: Error | undefined, willRetry: boolean): () => void {
    const { uncertain, settle } = this.#outboxSoFar?.detach(error) ?? NOTHING_UNCERTAIN;
    const info = this.#stats.recordReset(session, reason, error, willRetry, uncertain);
    return () => {
      // A session that ended before its `open` was delivered has no `reset` either.
      this.delivery.deliverIf(() => session.info !== undefined, 'reset', info);
      settle();
    };
  }

  /** Goes on with `work` for as long as `closeTimeout` allows, and takes no more writes. */
  #close(work: Attempt | OpenSession): void {
    const deadline = new Deadline(this.settings.closeTimeout, this.isRef, () => this.#handle('closeTimeout'));
    this.#enter({ name: 'closing', work, deadline, restart: false });
    this.#outboxSoFar?.seal();
    this.#waiters?.reject(this.#closedError());
  }

  /** The end of the lifecycle, from any state. */
  #finish({ reason, error, resetReason, lastError }: End): void {
    const state = this.#state;
    const { session } = this;
    const disconnected = this.#disconnected;
    const closedError = this.#closedError(error);
    const restart = state.name === 'closing' && state.restart;
    const closed: Closed = { name: 'closed', info: { reason, ...(error && { error }) }, restart };
    // `as`: giving up has a `resetReason`; the reason of any other end is a reason for a reset too.
    const reportReset = session && this.#endSession(session, resetReason ?? (reason as FinalReason), lastError, false);
    const reportDropped = this.#outboxSoFar?.drop(reason, closedError);
    this.#signal?.stop();
    this.#enter(closed);
    this.#gate?.close();
    if (!restart) this.#waiters?.reject(closedError);
    reportReset?.();
    reportDropped?.();
    this.delivery.deliver('close', closed.info);
    this.delivery.enqueue(() => {
      disconnected?.resolve(closed.info);
      if (!closed.restart || this.#state !== closed) return;
      if (this.#signal?.aborted === true) this.#cancelRestart(closed);
      else this.connect();
    });
  }

  /** Takes back a `connect()` that was to begin a new lifecycle after this one. */
  #cancelRestart(state: Closing | Closed): void {
    if (!state.restart) return;
    state.restart = false;
    this.#waiters?.reject(this.#closedError());
  }

  #startAgain(): void {
    this.#signal?.startAgain(this.tag);
    this.#outboxSoFar?.reopen();
    this.#stats.startLifecycle();
    this.#disconnected = undefined;
    this.#start();
  }

  get #openWaiters(): OpenWaiters {
    return (this.#waiters ??= new OpenWaiters());
  }

  /** No session will follow. */
  #rejectWaitersIfOver(): void {
    const state = this.#state;
    if (state.name === 'closed' && !state.restart) this.#waiters?.reject(this.#closedError(state.info.error));
    if (state.name === 'closing' && !state.restart) this.#waiters?.reject(this.#closedError());
  }

  /** The error for waiters and writes that the end leaves behind: what ended the lifecycle, or that it ended. */
  #closedError(end?: ConnectionError): ConnectionError {
    return end ?? new ConnectionError('ERR_CLOSED', `The connection to ${this.tag} is closed`, { tag: this.tag });
  }
}

/** Module-level, so that the timer does not keep a closure's scope alive. */
function retryNow(machine: Machine): void {
  machine.retryNow();
}
