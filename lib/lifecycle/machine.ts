import type { AttemptResult } from '../attempt/attempt-result';
import { type AttemptFailure, calledBad } from '../attempt/failure';
import type { ConnectionError } from '../errors';
import { debug, failureText } from '../events/debug-log';
import type { DeliveryQueue } from '../events/delivery-queue';
import type { CloseInfo, ConnectionEvents, FailureReason, OpenInfo, ResetReason } from '../events/events';
import { HEALTHY } from '../events/events';
import type { HeartbeatConnection } from '../options/options';
import type { Settings } from '../options/settings';
import { type ResolvedTarget, type Target, tagOf } from '../options/target';
import type { Established } from '../socket/transport';
import { WriteCounts } from '../writes/counts';
import { Outbox } from '../writes/outbox';
import { Attempts } from './attempts';
import type { End, Handlers, Inputs, MachineContext } from './inputs';
import { LifecycleEnd } from './lifecycle-end';
import type { MachineCore } from './machine-core';
import type { OpenSession } from './open-session';
import { FORCED, Outage } from './outage';
import { Replacement } from './replacement';
import { type NewSession, SessionLifecycle } from './session-lifecycle';
import { type Closing, type State, release, setStateRef, transitions } from './states';
import type { ConnectionStats } from './stats';
import type { WhenOpenOptions } from './when-open';

const DISCONNECTED: End = { reason: 'disconnected' };

/**
 * The state machine of a connection. Every input is a transaction: the state with all that it holds is set first, and the
 * events are delivered afterwards. Code that has called the application's functions compares the identity of the state
 * object before it goes on.
 */
export class Machine implements MachineCore {
  /** The whole machine, state by state. An input that is not named changes nothing in that state. */
  static readonly #handlers: { readonly [Name in State['name']]: Handlers<Machine, Name> } = {
    idle: {
      connect: (machine) => machine.#outage.start(),
      reconnect: (machine, _state, delay) => machine.#outage.redial(delay),
      replace: (machine) => machine.#outage.start(),
      disconnect: (machine) => machine.finish(DISCONNECTED),
      destroy: (machine, _state, end) => machine.finish(end),
    },

    connecting: {
      established: (machine, _state, established) => machine.#open(established),
      failed: (machine, _state, failure) => machine.#outage.retryOrGiveUp(failure),
      reconnect: (machine, attempt, delay) => {
        if (attempt.hasBegun || delay > 0) machine.#outage.redial(Math.max(delay, machine.#outage.policy.abandon()));
      },
      disconnect: (machine, attempt) => {
        if (machine.sessions.outbox?.hasWaiting === true) machine.#end.close(attempt);
        else machine.finish(DISCONNECTED);
      },
      destroy: (machine, _state, end) => machine.finish(end),
    },

    open: {
      failed: (machine, session, failure) => {
        const { replacement } = session;
        const reason = replacement?.isDraining === true ? 'replaced' : failure.reason;
        const established = replacement?.take();
        if (established !== undefined) return machine.#goOnWith(session, established, reason, failure.error);
        machine.#outage.noteEnd();
        machine.#outage.retryOrGiveUp(failure, 0, reason);
      },
      replace: (machine, session) => {
        if (session.info !== undefined) (session.replacement ??= new Replacement(machine)).begin();
      },
      replaceable: (machine, session) => {
        machine.sendNow();
        session.replacement?.drain(session);
      },
      reconnect: (machine, _state, delay) => {
        if (machine.#outage.noteEnd()) machine.#outage.redial(delay);
        else machine.#outage.retryOrGiveUp(FORCED, delay);
      },
      disconnect: (machine, session) => {
        // A socket that is gone already has nothing to flush.
        if (session.transport.destroyed && !machine.sessions.needsNext(session)) return machine.finish(DISCONNECTED);
        machine.#end.close(session);
        session.failback?.release();
        session.end();
        if (!machine.sessions.needsNext(session)) session.replacement?.release();
      },
      destroy: (machine, _state, end) => machine.finish(end),
    },

    backoff: {
      retry: (machine, { failure }) => machine.#outage.dial(failure),
      reconnect: (machine, { isNew }, delay) => {
        if (!isNew) machine.#outage.redial(delay);
      },
      // Not at once: a `dial` in which this is called is still to return its stream.
      replace: (machine, { failure }) => machine.#outage.dial(failure, true),
      disconnect: (machine, { failure }) => {
        if (machine.sessions.outbox?.hasWaiting !== true) return machine.finish(DISCONNECTED);
        const attempt = machine.attempts.create(machine, failure, machine.#outage.ending);
        machine.#end.close(attempt);
        attempt.start();
      },
      destroy: (machine, _state, end) => machine.finish(end),
    },

    closing: {
      established: (machine, state, established) => machine.#openWhileClosing(state, established),
      failed: (machine, state, { error }) => {
        const { work } = state;
        const established =
          work.name === 'open' && machine.sessions.needsNext(work) ? work.replacement?.take() : undefined;
        if (work.name !== 'open' || established === undefined) {
          return machine.finish({ reason: 'disconnected', lastError: error });
        }
        machine.#openWhileClosing(state, established, machine.sessions.end(work, 'replaced', error, true));
        work.release();
      },
      closeTimeout: (machine) => machine.finish(DISCONNECTED),
      connect: (_machine, state) => {
        state.restart = true;
      },
      disconnect: (machine, state) => machine.#end.cancelRestart(state),
      destroy: (machine, state, end) => {
        machine.#end.cancelRestart(state);
        machine.finish(end);
      },
    },

    closed: {
      connect: (machine) => {
        machine.#end.reopen();
        machine.#outage.start();
      },
      disconnect: (machine, state) => machine.#end.cancelRestart(state),
      destroy: (machine, state) => machine.#end.cancelRestart(state),
    },
  };

  readonly settings: Settings;
  readonly delivery: DeliveryQueue<ConnectionEvents>;
  readonly connection: HeartbeatConnection;
  readonly attempts: Attempts;
  readonly sessions: SessionLifecycle;
  /** Whether the application has paused it. */
  isPaused = false;
  /** Whether its socket and timers keep the process alive. */
  isRef = true;

  readonly #outage: Outage;
  /** Created by the first call that needs it, and at once where there is a `signal`. */
  #endSoFar: LifecycleEnd | undefined;
  /** Created by the first reader of a connection with `allowHalfOpen`. */
  #peerEndListeners: Set<() => void> | undefined;
  #state: State = { name: 'idle' };

  constructor(context: MachineContext) {
    const { settings, delivery, connection } = context;
    this.settings = settings;
    this.delivery = delivery;
    this.connection = connection;
    this.attempts = new Attempts(context, this);
    this.sessions = new SessionLifecycle(this);
    this.#outage = new Outage(this);
    // It watches the signal.
    if (settings.signal !== undefined) this.#endSoFar = new LifecycleEnd(this);
  }

  get state(): State['name'] {
    return this.#state.name;
  }

  /** The present state, with what it holds. */
  get current(): State {
    return this.#state;
  }

  get session(): OpenSession | undefined {
    const state = this.#state.name === 'closing' ? this.#state.work : this.#state;
    return state.name === 'open' ? state : undefined;
  }

  /** The target of the options; undefined where only the `target` function knows one. */
  get target(): ResolvedTarget | undefined {
    return this.attempts.target;
  }

  get tag(): string {
    return this.attempts.tag;
  }

  get outbox(): Outbox {
    return (this.sessions.outbox ??= this.#newOutbox());
  }

  get pendingBytes(): number {
    return this.sessions.outbox?.pendingBytes ?? 0;
  }

  get generation(): number {
    return this.sessions.stats.generation;
  }

  /** How the lifecycle ended, once it has. */
  get closeInfo(): CloseInfo | undefined {
    return this.#state.name === 'closed' && !this.#state.restart ? this.#state.info : undefined;
  }

  get stats(): ConnectionStats {
    const writes = this.sessions.outbox?.totals ?? new WriteCounts().totals({ writes: 0, bytes: 0 });
    return this.sessions.stats.snapshot(this.state, this.tag, this.session, writes);
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
    const after = this.generation - (isNew ? 1 : 0);
    const opened = this.#end.waitForOpen((waiters) => waiters.addNext(after, this.tag));
    this.#handle('replace');
    return opened;
  }

  fail(given: unknown): void {
    const failure = calledBad(given, this.tag);
    if (this.state === 'connecting') this.onResult(failure);
    else if (this.state === 'open') this.onLost(failure.reason, failure.error);
  }

  disconnect(): Promise<CloseInfo> {
    const closed = this.#end.whenClosed();
    this.#handle('disconnect');
    return closed;
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
    return this.#outage.healthyIn;
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
    return this.#end.waitForOpen((waiters) => waiters.add(options, this.tag));
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
    return this.#outage.policy.countAttempt();
  }

  onTarget(target: ResolvedTarget, answer: Target): void {
    this.attempts.onTarget(target, answer);
  }

  onDial(): void {
    debug?.(this.connection, 'dial');
    this.sessions.stats.recordDial();
  }

  onResult(result: AttemptResult): void {
    if (result.ok) return this.#handle('established', result);
    debug?.(this.connection, `attempt failed (${result.reason}): ${failureText(result.error)}`);
    this.sessions.stats.recordFailure();
    this.#endSoFar?.waiters?.countFailure(result.error);
    this.onLost(result.reason, result.error);
  }

  onLost(reason: FailureReason, error: Error | undefined): void {
    if (error !== undefined) this.sessions.stats.recordError(error);
    this.#handle('failed', error === undefined ? { reason } : { reason, error });
  }

  sendNow(): void {
    this.sessions.outbox?.sendNow();
  }

  onUnheard(bytes: number): void {
    this.sessions.stats.recordUnheard(bytes);
  }

  onPeerEnd(): void {
    for (const listener of this.#peerEndListeners ?? []) this.delivery.enqueue(listener);
  }

  // Called by what ends the lifecycle.

  onAborted(error: ConnectionError | undefined): void {
    this.#handle('destroy', { reason: 'aborted', error });
  }

  onCloseTimeout(): void {
    this.#handle('closeTimeout');
  }

  // Called by the replacement of a session.

  onReplacementReady(): void {
    this.#handle('replaceable');
  }

  onReplacementFailed({ reason, error }: AttemptFailure): void {
    debug?.(this.connection, `replacement failed (${reason}): ${failureText(error)}`);
    this.sessions.stats.recordFailure();
    this.sessions.stats.recordError(error);
    this.#endSoFar?.waiters?.rejectNext(error);
  }

  onMoveFailed(): void {
    this.session?.failback?.onMoveFailed();
  }

  onReplacementDue(): void {
    this.#handle('failed', { reason: 'peer-end' });
  }

  // Called by the failback of a session.

  onProbe(tag: string): void {
    debug?.(this.connection, `failback: probe of ${tag}`);
    this.sessions.stats.recordProbe();
  }

  onProbeFailed(tag: string, { reason, error }: AttemptFailure): void {
    debug?.(this.connection, `failback: ${tag} has failed (${reason}): ${failureText(error)}`);
    this.sessions.stats.recordFailure();
    this.sessions.stats.recordError(error);
  }

  moveTo(to: ResolvedTarget): boolean {
    const { session } = this;
    if (session === undefined) return false;
    debug?.(this.connection, `failback: moves to ${tagOf(to)}`);
    return (session.replacement ??= new Replacement(this)).moveTo(to);
  }

  get #end(): LifecycleEnd {
    return (this.#endSoFar ??= new LifecycleEnd(this));
  }

  #handle<Input extends keyof Inputs>(input: Input, ...args: Inputs[Input]): void {
    const state = this.#state;
    // `as`: the handlers of a state take that state.
    const handler = Machine.#handlers[state.name][input] as
      ((machine: Machine, state: State, ...args: Inputs[Input]) => void) | undefined;
    if (handler !== undefined) this.delivery.transaction(() => handler(this, state, ...args));
  }

  // What the handlers are made of. Each runs within a transaction.

  enter(next: State): void {
    const previous = this.#state;
    const legal: readonly string[] = transitions[previous.name];
    if (!legal.includes(next.name)) throw new TypeError(`No way from ${previous.name} to ${next.name}`);
    this.#state = next;
    if (next.name !== previous.name) {
      this.sessions.stats.recordTransition(previous.name, next.name);
      this.delivery.deliver('state', next.name, previous.name);
    }
    // Last: it aborts a signal, a listener of which may call a method.
    release(previous, next);
  }

  finish(end: End): void {
    this.#end.finish(end);
  }

  /** An outbox in the phase of the present state. Nothing waits in it. */
  #newOutbox(): Outbox {
    const outbox = new Outbox(this.settings.queue, this.delivery, this);
    const { session } = this;
    if (session !== undefined) outbox.attach(session.transport, session.isOwn);
    if (session?.hasBegun === true) outbox.flush();
    const state = this.#state;
    if (state.name === 'closing') outbox.seal();
    if (state.name === 'closed') outbox.drop(state.info.reason, () => this.#end.errorFor(state.info.error));
    return outbox;
  }

  #open(established: Established): void {
    const next = this.sessions.begin(established);
    this.#outage.noteOpen();
    this.enter(next.session);
    this.#announce(next);
  }

  #announce(next: NewSession): void {
    this.sessions.announce(next, () => {
      this.#endSoFar?.waiters?.resolve(next.info);
      // `disconnect()` in an `open` listener has sealed it.
      if (this.state === 'open') this.sessions.outbox?.flush();
    });
  }

  /** The next session takes the place of one that is over. Writes wait until `open` is delivered, behind `reset`. */
  #goOnWith(session: OpenSession, established: Established, reason: ResetReason, error: Error | undefined): void {
    if (this.healthyIn === 0) this.#outage.end();
    const reportReset = this.sessions.end(session, reason, error, true);
    const next = this.sessions.begin(established, true);
    this.#outage.noteOpen();
    this.enter(next.session);
    reportReset();
    this.#announce(next);
  }

  /**
   * The dial that `disconnect()` waited for: sends what was queued, and ends.
   *
   * @param reportReset - Reports the end of the session before.
   */
  #openWhileClosing(state: Closing, established: Established, reportReset?: () => void): void {
    const next = this.sessions.begin(established, reportReset !== undefined);
    state.work = next.session;
    reportReset?.();
    this.sessions.announce(next, () => {
      this.sessions.outbox?.seal();
      next.session.end();
    });
  }
}
