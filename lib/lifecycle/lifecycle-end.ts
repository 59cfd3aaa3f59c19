import type { Attempt } from '../attempt/attempt';
import { ConnectionError } from '../errors';
import type { CloseInfo, FinalReason, OpenInfo } from '../events/events';
import { Deadline } from '../timers/deadline';
import { type Deferred, deferred } from './deferred';
import type { End } from './inputs';
import { LifecycleSignal } from './lifecycle-signal';
import type { MachineCore } from './machine-core';
import type { OpenSession } from './open-session';
import type { Closed, Closing } from './states';
import { OpenWaiters } from './when-open';

/** Ends the lifecycle of a connection, and with it the promises that wait for a session. */
export class LifecycleEnd {
  readonly #machine: MachineCore;
  readonly #signal: LifecycleSignal | undefined;
  /** Created by the first `whenOpen()` or `replace()`. */
  #waitersSoFar: OpenWaiters | undefined;
  /** Created by the first `disconnect()` of a lifecycle. */
  #disconnected: Deferred<CloseInfo> | undefined;

  constructor(machine: MachineCore) {
    this.#machine = machine;
    const { signal } = machine.settings;
    this.#signal = signal && new LifecycleSignal(signal, () => machine.onAborted(this.#signal?.error(machine.tag)));
    this.#signal?.start();
  }

  /** Promises that wait for a session; undefined where there was none yet. */
  get waiters(): OpenWaiters | undefined {
    return this.#waitersSoFar;
  }

  /** @param add - Makes a promise, which is rejected at once where no session will follow. */
  waitForOpen(add: (waiters: OpenWaiters) => Promise<OpenInfo>): Promise<OpenInfo> {
    const waiters = (this.#waitersSoFar ??= new OpenWaiters());
    const opened = add(waiters);
    const { current: state } = this.#machine;
    if (state.name === 'open' && state.info !== undefined) waiters.resolve(state.info);
    if (state.name === 'closed' && !state.restart) waiters.reject(() => this.errorFor(state.info.error));
    if (state.name === 'closing' && !state.restart) waiters.reject(() => this.errorFor());
    return opened;
  }

  /** Resolves when the lifecycle has ended. */
  whenClosed(): Promise<CloseInfo> {
    const closed = (this.#disconnected ??= deferred());
    const { current: state } = this.#machine;
    if (state.name === 'closed') closed.resolve(state.info);
    return closed.promise;
  }

  /** Goes on with `work` for as long as `closeTimeout` allows, and takes no more writes. */
  close(work: Attempt | OpenSession): void {
    const machine = this.#machine;
    const deadline = new Deadline(machine.settings.closeTimeout, machine.isRef, () => machine.onCloseTimeout());
    machine.enter({ name: 'closing', work, deadline, restart: false });
    machine.sessions.outbox?.seal();
    this.waiters?.reject(() => this.errorFor());
  }

  /** The end of the lifecycle, from any state. */
  finish({ reason, error, resetReason, lastError }: End): void {
    const machine = this.#machine;
    const { current: state, session, sessions, attempts, delivery } = machine;
    const disconnected = this.#disconnected;
    // Made when something is left behind: an error with its stack is a good part of what a disconnect costs.
    let errorSoFar: ConnectionError | undefined;
    const errorOfRest = () => (errorSoFar ??= this.errorFor(error));
    const restart = state.name === 'closing' && state.restart;
    const closed: Closed = { name: 'closed', info: { reason, ...(error && { error }) }, restart };
    // `as`: giving up has a `resetReason`; the reason of any other end is a reason for a reset too.
    const reportReset = session && sessions.end(session, resetReason ?? (reason as FinalReason), lastError, false);
    const reportDropped = sessions.outbox?.drop(reason, errorOfRest);
    this.#signal?.stop();
    machine.enter(closed);
    attempts.gate?.close();
    if (!restart) this.waiters?.reject(errorOfRest);
    reportReset?.();
    reportDropped?.();
    delivery.deliver('close', closed.info);
    delivery.enqueue(() => {
      disconnected?.resolve(closed.info);
      if (!closed.restart || machine.current !== closed) return;
      if (this.#signal?.aborted === true) this.cancelRestart(closed);
      else machine.connect();
    });
  }

  /** Takes back a `connect()` that was to begin a new lifecycle after this one. */
  cancelRestart(state: Closing | Closed): void {
    if (!state.restart) return;
    state.restart = false;
    this.waiters?.reject(() => this.errorFor());
  }

  /**
   * A new lifecycle is to begin.
   *
   * @throws ConnectionError `ERR_ABORTED`
   */
  reopen(): void {
    const { sessions, attempts, tag } = this.#machine;
    this.#signal?.startAgain(tag);
    sessions.outbox?.reopen();
    sessions.stats.startLifecycle();
    attempts.forget();
    this.#disconnected = undefined;
  }

  /** The error for waiters and writes that the end leaves behind: what ended the lifecycle, or that it ended. */
  errorFor(end?: ConnectionError): ConnectionError {
    const { tag } = this.#machine;
    return end ?? new ConnectionError('ERR_CLOSED', `The connection to ${tag} is closed`, { tag });
  }
}
