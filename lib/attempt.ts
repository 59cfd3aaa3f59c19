import { Connector, type ConnectorHost } from './connector';
import { type Holdable, Deadline } from './deadline';
import { type Link, ignore, unverified } from './dial';
import { AbandonedError, AttemptFailure, failureOf, givenUp, isLocal, timedOut, wasConnected } from './failure';
import type { Guest, Refusal } from './gate';
import { runHandshake } from './handshake';
import type { AttemptContext, Established, Outcome } from './outcome';
import { race } from './race';
import { type Settings, resolveTarget } from './settings';
import { checkDecoder } from './streams';
import { type ResolvedTarget, tagOf } from './target';

export type { AttemptHost, Established, Outcome } from './outcome';

/** One dial, from the target to a link that is ready for use: name resolution, TCP, TLS and handshake under one deadline. */
export class Attempt implements Holdable, Guest, ConnectorHost {
  readonly settings: Settings;
  readonly #context: AttemptContext;
  #controller: AbortController | undefined;
  /** Never resolves; rejects when the attempt has to stop, whatever it is waiting for. */
  readonly #stopped: Promise<never>;
  #stop!: (failure: AttemptFailure) => void;
  #deadline: Deadline | undefined;
  /** When the deadline is, on the clock of `performance.now()`. */
  #dueAt = Infinity;
  #target: ResolvedTarget | undefined;
  #connector: Connector | undefined;
  #admitted = ignore;
  /** Whether it has been told as a dial, or never will be, for another was refused in its place. */
  #isCounted = false;
  #held: boolean;
  #phase: 'waiting' | 'dial' | 'handshake' | 'decode' | 'over' = 'waiting';

  constructor(context: AttemptContext) {
    this.#context = context;
    this.settings = context.settings;
    this.#held = context.held;
    this.#target = context.settings.target;
    this.#stopped = new Promise<never>((_resolve, reject) => {
      this.#stop = reject;
    });
    this.#stopped.catch(() => undefined);
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
    if (this.isOver()) return;
    const failure = givenUp(this.tag);
    this.#stop(failure);
    this.#finish(failure.error);
  }

  hold(held: boolean): void {
    this.#held = held;
    this.#context.pass.hold(held);
    this.#deadline?.hold(held);
    this.#connector?.hold(held);
  }

  // What the gate asks and tells.

  get timeLeft(): number {
    const { connectTimeout } = this.settings;
    if (connectTimeout === 0) return Infinity;
    return this.#phase === 'waiting' ? connectTimeout : Math.max(0, this.#dueAt - performance.now());
  }

  admit(): void {
    if (this.#phase === 'waiting') queueMicrotask(() => void this.#run());
    else this.#admitted();
  }

  refuse(refusal: Refusal | undefined): void {
    this.#isCounted = true;
    const failure =
      refusal === undefined
        ? timedOut(this.tag, this.settings.connectTimeout, 'dial')
        : new AttemptFailure(refusal.reason, refusal.error);
    if (this.#phase !== 'waiting') this.#stop(failure);
    else queueMicrotask(() => this.#end(failure));
  }

  // What the connector asks and tells.

  /** A method, so that the compiler does not remember the answer across an await. */
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

  checkOn(): void {
    if (this.isOver()) throw new AbandonedError();
  }

  unlessOver<T>(work: T | PromiseLike<T>): Promise<T> {
    return race(this.#stopped, work);
  }

  onConnected(took: number): void {
    this.#context.pass.connected(took);
  }

  onBroken(): void {
    this.#deadline?.clear();
  }

  onFailure(failure: AttemptFailure): void {
    this.#stop(failure);
  }

  // From one step to the next.

  async #run(): Promise<void> {
    if (this.isOver()) return;
    this.#startDeadline(this.settings.connectTimeout);
    this.#phase = 'dial';
    const outcome = await this.#establish().then(
      (established): Outcome => ({ ok: true, ...established }),
      (thrown: unknown) => failureOf(thrown, this.tag, this.isShakingHands),
    );
    this.#end(outcome);
  }

  async #establish(): Promise<Established> {
    const { settings } = this;
    const target = await this.#resolve();
    this.#countDial();
    this.#connector = new Connector(target, this, this.#held);
    const dialled = await this.#connector.connect();
    const defect = unverified(dialled.link, target);
    if (defect !== undefined) throw defect;
    await this.#shakeHands(dialled.link);
    await this.#connector.checkUsable(dialled);
    this.#proceed('decode');
    const decoder = settings.decoder && checkDecoder(settings.decoder());
    return { ...dialled, decoder };
  }

  async #resolve(): Promise<ResolvedTarget> {
    const { settings } = this;
    const { number, host } = this.#context;
    const { nextTarget, target } = settings;
    // Options without either do not pass.
    const resolved =
      nextTarget === undefined ? target! : resolveTarget(await this.unlessOver(nextTarget(number)), settings.tls);
    this.checkOn();
    this.#target = resolved;
    host.onTarget(resolved);
    if (nextTarget !== undefined) await this.#approach(resolved);
    this.checkOn();
    return resolved;
  }

  /** Waits until the gate lets it dial. That does not count against the deadline, which is for the dial. */
  async #approach(target: ResolvedTarget): Promise<void> {
    const admitted = new Promise<void>((resolve) => (this.#admitted = resolve));
    if (this.#context.pass.approach(target)) return;
    const timeLeft = Math.max(1, this.timeLeft);
    this.#deadline?.clear();
    await this.unlessOver(admitted);
    this.checkOn();
    this.#startDeadline(timeLeft);
  }

  async #shakeHands(link: Link): Promise<void> {
    const { handshake } = this.settings;
    if (handshake === undefined) return;
    this.#proceed('handshake');
    const { signal } = this;
    const { generation } = this.#context;
    await this.unlessOver(runHandshake(link, () => handshake(link, { generation, signal })));
  }

  #startDeadline(milliseconds: number): void {
    if (milliseconds === 0 || milliseconds === Infinity) return;
    this.#dueAt = performance.now() + milliseconds;
    this.#deadline = new Deadline(milliseconds, this.#held, () => {
      const what = this.isShakingHands ? 'handshake' : 'dial';
      this.#stop(timedOut(this.tag, this.settings.connectTimeout, what));
    });
  }

  /** To be called before each step: what the last one waited for may come in the very tick in which the attempt ends. */
  #proceed(phase: 'handshake' | 'decode'): void {
    this.checkOn();
    this.#phase = phase;
  }

  #countDial(): void {
    if (!this.#isCounted) this.#context.host.onDial();
    this.#isCounted = true;
  }

  #end(outcome: Outcome): void {
    if (this.isOver()) return;
    if (!outcome.ok) this.#tellGate(outcome);
    // What the gate did with it may have ended it.
    if (this.isOver()) return;
    // Only now, in the tick in which the receiver takes over, does the link lose the listeners that guard it.
    this.#finish(outcome.ok ? undefined : outcome.error);
    this.#context.host.onOutcome(outcome);
  }

  #tellGate(failure: Refusal): void {
    this.#countDial();
    const took = this.#connector?.dialledFor;
    if (took === undefined) return;
    if (wasConnected(failure.error)) this.onConnected(took);
    else if (!isLocal(failure.error)) this.#context.pass.failed(took, failure);
  }

  /** Hands over what it has, or where there is an error leaves nothing behind. */
  #finish(error: Error | undefined): void {
    this.#phase = 'over';
    this.#deadline?.clear();
    if (error === undefined) this.#connector?.stop();
    else this.#connector?.destroy();
    this.#context.pass.leave();
    if (error !== undefined) this.#controller?.abort(error);
  }
}
