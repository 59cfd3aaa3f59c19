import type { Attempt } from '../attempt/attempt';
import type { AttemptObserver, AttemptResult } from '../attempt/attempt-result';
import type { DialGate } from '../attempt/dial-gate';
import { AttemptFailure, closedEarly } from '../attempt/failure';
import { debug } from '../events/debug-log';
import { shielded } from '../events/emitter';
import type { HeartbeatConnection } from '../options/options';
import type { Settings } from '../options/settings';
import { type ResolvedTarget, tagOf } from '../options/target';
import { EndingTransport } from '../socket/ending-transport';
import {
  type Transport,
  type TransportHandler,
  clearHandler,
  destroyTransport,
  enableEvents,
  ignore,
  setHandler,
  setTransportRef,
} from '../socket/transport';
import { type Refable, Deadline, LONGEST_DELAY, setRef } from '../timers/deadline';
import type { Attempts } from './attempts';

/** The machine around a session with a less preferred target. */
export interface FailbackHost {
  readonly isPaused: boolean;
  readonly isRef: boolean;
  readonly settings: Settings;
  readonly attempts: Attempts;
  /** For the debug log. */
  readonly connection: HeartbeatConnection;
  /** A probe of the target with `tag` dials. */
  onProbe(tag: string): void;
  onProbeFailed(tag: string, failure: AttemptFailure): void;
  /** The session is to be replaced by one with `to`. Returns false where it is being replaced already. */
  moveTo(to: ResolvedTarget): boolean;
}

/** How far the probes are. */
type Phase =
  /** The next one begins later. */
  | { readonly name: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly name: 'dialling'; readonly attempt: Attempt }
  /** It is open, and has to last. */
  | { readonly name: 'lasting'; readonly transport: Transport; readonly deadline: Deadline }
  /** It has lasted, and is ended in good order. */
  | { readonly name: 'ending'; readonly ending: EndingTransport }
  /** The session is being replaced by one with the preferred target. */
  | { readonly name: 'moving' }
  | { readonly name: 'over' };

/** The time between two probes is more or less `interval` by up to this share of it, so that many do not come together. */
const SPREAD = 0.25;

/**
 * Probes the preferred targets while the session is with another one, and moves the connection back. A round begins with
 * the most preferred target, and goes on with the next one where a probe has failed.
 */
export class Failback implements AttemptObserver, TransportHandler, Refable {
  readonly #host: FailbackHost;
  /** In order of preference. */
  readonly #targets: readonly ResolvedTarget[];
  readonly #gate: DialGate | undefined;
  /** Of each target, the probes that have succeeded since one has failed. */
  readonly #counts: number[];
  /** Which of the targets is probed. */
  #at = 0;
  #phase: Phase;

  /** @param targets - Those that are preferred to the session's. */
  constructor(host: FailbackHost, targets: readonly ResolvedTarget[]) {
    this.#host = host;
    this.#targets = targets;
    this.#gate = host.attempts.joinGateForProbes();
    this.#counts = targets.map(() => 0);
    this.#phase = this.#waiting();
  }

  /** Whether it goes on for another session: the same targets are preferred to that one's. They are of one list. */
  isFor(targets: readonly ResolvedTarget[]): boolean {
    return targets.length === this.#targets.length;
  }

  /** The application may reconnect, close, or lose the session at any time. */
  release(): void {
    const phase = this.#phase;
    if (phase.name === 'over') return;
    this.#phase = { name: 'over' };
    if (phase.name === 'waiting') clearTimeout(phase.timer);
    if (phase.name === 'ending') phase.ending.release();
    if (phase.name === 'lasting') discard(phase);
    // Last: it aborts a signal, a listener of which may call a method.
    if (phase.name === 'dialling') phase.attempt.release();
    this.#gate?.close();
  }

  setRef(on: boolean): void {
    const phase = this.#phase;
    if (phase.name === 'waiting') setRef(on, phase.timer);
    if (phase.name === 'dialling') phase.attempt.setRef(on);
    if (phase.name === 'ending') phase.ending.setRef(on);
    if (phase.name !== 'lasting') return;
    phase.deadline.setRef(on);
    setTransportRef(on, phase.transport);
  }

  /** The preferred target could not be reached when the session was to be replaced. */
  onMoveFailed(): void {
    if (this.#phase.name !== 'moving') return;
    this.#counts[this.#at] = 0;
    this.#wait();
  }

  /** A probe is due. One whose bytes or whose move would have to wait for `resume()` is left out. */
  begin(): void {
    if (this.#host.isPaused) return this.#wait();
    this.#probe(0);
  }

  // Called by the attempt.

  /** No `target` function is asked. */
  countAttempt(): number {
    return 1;
  }

  readonly onTarget = ignore;

  onDial(): void {
    this.#host.onProbe(this.#tag);
  }

  onResult(result: AttemptResult): void {
    const phase = this.#phase;
    if (phase.name !== 'dialling') return;
    if (result.ok) this.#hold(result.transport);
    // Otherwise it would be one of those that another member's dial wakes. What follows may run the application's code.
    this.#gate?.close();
    if (result.ok) result.decoder?.on('error', ignore).destroy();
    else if (this.#phase === phase) this.#fail(result);
  }

  // Called by the transport of a probe.

  onEnd(): void {
    this.onClose();
  }

  onError(error: Error): void {
    this.#lose(new AttemptFailure('error', error));
  }

  onClose(): void {
    this.#lose(closedEarly(this.#tag, undefined, undefined));
  }

  get #target(): ResolvedTarget {
    // `!`: it stays within the list.
    return this.#targets[this.#at]!;
  }

  get #tag(): string {
    return tagOf(this.#target);
  }

  #waiting(): Phase {
    const delay = this.#failback.interval * (1 + SPREAD * (2 * Math.random() - 1));
    const timer = setTimeout(begin, Math.min(delay, LONGEST_DELAY), this);
    setRef(this.#host.isRef, timer);
    return { name: 'waiting', timer };
  }

  #wait(): void {
    this.#phase = this.#waiting();
  }

  #probe(at: number): void {
    this.#at = at;
    const attempt = this.#host.attempts.createProbe(this, this.#target, this.#gate);
    this.#phase = { name: 'dialling', attempt };
    attempt.start();
  }

  /** Reads and discards what the peer says: its end comes behind that. */
  #hold(transport: Transport): void {
    const { minUptime } = this.#host.settings;
    const lasts = Math.min(minUptime, this.#failback.interval);
    setHandler(transport, this);
    enableEvents(transport, 'end');
    const deadline = new Deadline(lasts, this.#host.isRef, () => this.#succeed(transport));
    this.#phase = { name: 'lasting', transport, deadline };
    // A stream of the application's runs its code.
    shielded(() => transport.on('data', ignore).resume());
  }

  #succeed(transport: Transport): void {
    const { isRef, settings, connection } = this.#host;
    // `!`: one for each target.
    const count = ++this.#counts[this.#at]!;
    debug?.(connection, `failback: ${this.#tag} has lasted (${count} in a row)`);
    const ending = new EndingTransport(transport, this.#tag, settings.closeTimeout, isRef);
    const phase: Phase = { name: 'ending', ending };
    this.#phase = phase;
    ending.whenGone(() => {
      if (this.#phase === phase) this.#moveOrWait(count);
    });
  }

  #moveOrWait(count: number): void {
    const isDue = count >= this.#failback.successes && !this.#host.isPaused;
    this.#phase = { name: 'moving' };
    if (!isDue || !this.#host.moveTo(this.#target)) this.#wait();
  }

  #lose(failure: AttemptFailure): void {
    const phase = this.#phase;
    if (phase.name !== 'lasting') return;
    discard(phase);
    // That may have run the application's code.
    if (this.#phase === phase) this.#fail(failure);
  }

  #fail(failure: AttemptFailure): void {
    this.#counts[this.#at] = 0;
    this.#host.onProbeFailed(this.#tag, failure);
    if (this.#at + 1 < this.#targets.length) this.#probe(this.#at + 1);
    else this.#wait();
  }

  get #failback(): NonNullable<Settings['failback']> {
    // `!`: there is no such object without the option.
    return this.#host.settings.failback!;
  }
}

/** Module-level, so that the timer does not keep a closure's scope alive. */
function begin(failback: Failback): void {
  failback.begin();
}

function discard({ transport, deadline }: Extract<Phase, { name: 'lasting' }>): void {
  deadline.clear();
  clearHandler(transport);
  destroyTransport(transport);
}
