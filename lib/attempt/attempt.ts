import { type ConnectorHost, Connector } from './connector';
import { type Refable, Deadline } from '../timers/deadline';
import { unverified } from '../socket/open-socket';
import { AttemptFailure, failureOf, givenUp, isLocal, timedOut, wasConnected } from './failure';
import type { Guest, Refusal } from './dial-gate';
import { runHandshake } from './handshake';
import { type Transport, checkDecoder } from '../socket/transport';
import type { AttemptContext, AttemptResult } from './attempt-result';
import { Cancellable } from './cancellable';
import { type Settings, resolveTarget } from '../options/settings';
import { type ResolvedTarget, tagOf } from '../options/target';

export type { AttemptObserver, AttemptResult } from './attempt-result';

/**
 * One dial, from the target to a link that is ready for use: name resolution, TCP, TLS and handshake under one deadline.
 * Each step calls the next; where the application is asked, it may be in a turn of its own.
 */
export class Attempt implements Refable, Guest, ConnectorHost {
  readonly settings: Settings;
  readonly #context: AttemptContext;
  #controller: AbortController | undefined;
  #deadline: Deadline | undefined;
  /** When the deadline is, on the clock of `performance.now()`. */
  #dueAt = Infinity;
  /** What was left of its time when the gate held it up. */
  #leftForDial = Infinity;
  #target: ResolvedTarget | undefined;
  #connector: Connector | undefined;
  /** What the application was asked for. */
  #pending: { cancel(): void } | undefined;
  /** Whether it has been told as a dial, or never will be, for another was refused in its place. */
  #isCounted = false;
  #held: boolean;
  #phase: 'waiting' | 'target' | 'dial' | 'handshake' | 'decode' | 'over' = 'waiting';

  constructor(context: AttemptContext) {
    this.#context = context;
    this.settings = context.settings;
    this.#held = context.held;
    this.#target = context.settings.target;
  }

  get tag(): string {
    return this.#target === undefined ? 'the target' : tagOf(this.#target);
  }

  /** Dials as soon as the gate lets it, in a microtask of its own: what called this is done by then. */
  start(): void {
    if (this.#context.pass.enter(this, this.#held)) this.admit();
  }

  /**
   * Gives up without an outcome: destroys the link, stops the timer, aborts what the application was asked to do. Does
   * nothing when the attempt is over.
   */
  release(): void {
    if (!this.isOver()) this.#finish(undefined);
  }

  setRef(held: boolean): void {
    this.#held = held;
    this.#context.pass.hold(held);
    this.#deadline?.setRef(held);
    this.#connector?.setRef(held);
  }

  // What the gate asks and tells.

  get timeLeft(): number {
    const { connectTimeout } = this.settings;
    if (connectTimeout === 0) return Infinity;
    return this.#phase === 'waiting' ? connectTimeout : Math.max(0, this.#dueAt - performance.now());
  }

  admit(): void {
    queueMicrotask(() => {
      this.#step(() => (this.#phase === 'waiting' ? this.#begin() : this.#goOnToDial()));
    });
  }

  refuse(refusal: Refusal | undefined): void {
    this.#isCounted = true;
    const failure =
      refusal === undefined
        ? timedOut(this.tag, this.settings.connectTimeout, 'dial')
        : new AttemptFailure(refusal.reason, refusal.error);
    queueMicrotask(() => this.#end(failure));
  }

  hedge(): void {
    this.#connector?.openHedge();
  }

  // What the connector asks and tells.

  /** A method, so that the compiler does not remember the answer. */
  isOver(): boolean {
    return this.#phase === 'over';
  }

  /** Made when it is asked for: most dials need none. */
  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  get isShakingHands(): boolean {
    return this.#phase === 'handshake';
  }

  get patience(): number | undefined {
    return this.#context.pass.patience;
  }

  goOnWith<T>(work: T | PromiseLike<T>, next: (value: T) => void): void {
    this.#pending = new Cancellable(
      work,
      (value) => this.#step(() => next(value)),
      (reason) => this.#fail(reason),
    );
    // What was called for the work may have ended it.
    if (this.isOver()) this.#pending.cancel();
  }

  onOverdue(took: number): boolean {
    return this.#context.pass.overdue(took);
  }

  onConnected(took: number): void {
    this.#context.pass.connected(took);
  }

  onLink(link: Transport): void {
    // Node begins to read when it has told that the socket is connected. And who awaits `whenOpen()` goes on in a
    // microtask too: before the stream, which goes by `process.nextTick`, delivers the first byte.
    queueMicrotask(() => this.#step(() => this.#shakeHands(link)));
  }

  onBroken(): void {
    this.#deadline?.clear();
  }

  onFailure(failure: AttemptFailure): void {
    this.#end(failure);
  }

  // From one step to the next.

  /** Takes a step, unless it is over. What a step throws ends it. */
  #step(step: () => void): void {
    if (this.isOver()) return;
    try {
      step();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #begin(): void {
    const { nextTarget, target, tls, connectTimeout } = this.settings;
    this.#startDeadline(connectTimeout);
    this.#phase = 'target';
    // Options without either do not pass.
    if (nextTarget === undefined) this.#dial(target!);
    else this.goOnWith(nextTarget(this.#context.number), (answer) => this.#approach(resolveTarget(answer, tls)));
  }

  /** Waits until the gate lets it dial. That does not count against the deadline, which is for the dial. */
  #approach(target: ResolvedTarget): void {
    this.#target = target;
    this.#context.host.onTarget(target);
    if (this.#context.pass.approach(target)) return this.#dial(target);
    this.#leftForDial = Math.max(1, this.timeLeft);
    this.#deadline?.clear();
  }

  #goOnToDial(): void {
    this.#startDeadline(this.#leftForDial);
    this.#dial(this.#target!);
  }

  #dial(target: ResolvedTarget): void {
    this.#phase = 'dial';
    this.#countDial();
    this.#connector = new Connector(target, this, this.#held);
    this.#connector.connect();
  }

  #shakeHands(link: Transport): void {
    const defect = unverified(link, this.#target!);
    if (defect !== undefined) throw defect;
    const { handshake } = this.settings;
    if (handshake === undefined) return this.#establish(link);
    this.#phase = 'handshake';
    const { signal } = this;
    const { generation } = this.#context;
    this.goOnWith(
      runHandshake(link, () => handshake(link, { generation, signal })),
      () => this.#establish(link),
    );
  }

  #establish(link: Transport): void {
    this.#connector?.checkUsable(link);
    if (this.isOver()) return;
    this.#phase = 'decode';
    const { decoder } = this.settings;
    this.#end({ ok: true, transport: link, decoder: decoder && checkDecoder(decoder()) });
  }

  #startDeadline(milliseconds: number): void {
    if (milliseconds === 0 || milliseconds === Infinity) return;
    this.#dueAt = performance.now() + milliseconds;
    this.#deadline = new Deadline(milliseconds, this.#held, () => {
      const what = this.isShakingHands ? 'handshake' : 'dial';
      this.#end(timedOut(this.tag, this.settings.connectTimeout, what));
    });
  }

  #countDial(): void {
    if (!this.#isCounted) this.#context.host.onDial();
    this.#isCounted = true;
  }

  #fail(thrown: unknown): void {
    this.#end(failureOf(thrown, this.tag, this.isShakingHands));
  }

  #end(outcome: AttemptResult): void {
    if (this.isOver()) return;
    if (!outcome.ok) this.#tellGate(outcome);
    // What the gate did with it may have ended it.
    if (this.isOver()) return;
    // Only now, in the tick in which the receiver takes over, does the link lose the watch that guards it.
    this.#finish(outcome);
    this.#context.host.onOutcome(outcome);
  }

  #tellGate(failure: Refusal): void {
    this.#countDial();
    const took = this.#connector?.dialledFor;
    if (took === undefined) return;
    if (wasConnected(failure.error)) this.onConnected(took);
    else if (!isLocal(failure.error)) this.#context.pass.failed(took, failure);
  }

  /** Hands over what it has, or where there is no such outcome leaves nothing behind. */
  #finish(outcome: AttemptResult | undefined): void {
    this.#phase = 'over';
    this.#deadline?.clear();
    this.#pending?.cancel();
    if (outcome?.ok === true) {
      this.#connector?.stop();
      this.#context.pass.leave();
      return;
    }
    this.#connector?.destroy();
    this.#context.pass.leave();
    this.#controller?.abort(outcome?.error ?? givenUp(this.tag));
  }
}
