import { Attempt } from '../attempt/attempt';
import type { AttemptObserver } from '../attempt/attempt-result';
import type { DialGate } from '../attempt/dial-gate';
import type { Settings } from '../options/settings';
import { type ResolvedTarget, type Target, tagOf } from '../options/target';
import type { EndingTransport } from '../socket/ending-transport';
import type { Failure, MachineContext } from './inputs';
import type { MachineCore } from './machine-core';
import { endingOf } from './states';

/** Makes the attempts of a connection, and knows where the last one went. */
export class Attempts {
  readonly settings: Settings;
  /** The target of the options; undefined where only the `target` function knows one. */
  readonly target: ResolvedTarget | undefined;
  /** The target as text. */
  tag: string;
  readonly gate: DialGate | undefined;
  readonly #machine: MachineCore;
  /** What the `target` function returned for the last dial. */
  #previous: Target | undefined;

  constructor({ settings, target, joinGate }: MachineContext, machine: MachineCore) {
    this.settings = settings;
    this.target = target;
    this.tag = target === undefined ? 'unresolved' : tagOf(target);
    this.#machine = machine;
    this.gate = joinGate?.(settings, machine);
  }

  /** What `reconnect()` leaves of the present state, and has to close before the next dial. */
  get ending(): EndingTransport | undefined {
    const { current, isRef } = this.#machine;
    return endingOf(current, this.tag, this.settings.closeTimeout, isRef);
  }

  /** @param failure - What it follows; undefined where the application has asked for it. */
  create(failure: Failure | undefined): Attempt {
    return this.#create(this.#machine, failure, this.ending);
  }

  /**
   * An attempt beside the session.
   *
   * @param tried - The target of the one before.
   */
  createBeside(observer: AttemptObserver, failure: Failure | undefined, tried: Target | undefined): Attempt {
    return this.#create(observer, failure, undefined, tried);
  }

  /** The `target` function has returned `answer` for a dial of the connection. */
  onTarget(target: ResolvedTarget, answer: Target): void {
    this.tag = tagOf(target);
    this.#previous = answer;
  }

  /** Calls `begin` when no other member of the pool with this target is being replaced. Returns what ends the turn. */
  takeTurn(begin: () => void): () => void {
    if (this.gate !== undefined) return this.gate.takeTurn(this.tag, begin);
    begin();
    return () => undefined;
  }

  /** The next dial is the first of a lifecycle. */
  forget(): void {
    this.#previous = undefined;
  }

  #create(
    observer: AttemptObserver,
    failure: Failure | undefined,
    ending: EndingTransport | undefined,
    previous = this.#previous,
  ): Attempt {
    const generation = this.#machine.generation + 1;
    return new Attempt({
      settings: this.settings,
      target: this.target,
      gate: this.gate,
      observer,
      // Only a `target` function reads the rest.
      targetContext: this.settings.nextTarget
        ? { ...(failure && { failure }), ...(previous && { previous }), generation }
        : { generation },
      ending,
      ref: this.#machine.isRef,
    });
  }
}
