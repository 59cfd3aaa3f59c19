import { Attempt } from '../attempt/attempt';
import type { AttemptObserver } from '../attempt/attempt-result';
import type { DialGate, GateMember, JoinGate } from '../attempt/dial-gate';
import type { TargetContext } from '../options/options';
import type { ResolvedOptions, Settings } from '../options/settings';
import { type ResolvedTarget, type Target, tagOf } from '../options/target';
import type { EndingTransport } from '../socket/ending-transport';

/** The connection whose attempts they are. */
export interface AttemptsHost extends GateMember {
  readonly generation: number;
  readonly isRef: boolean;
  readonly settings: Settings;
}

export interface AttemptsContext extends ResolvedOptions {
  readonly joinGate: JoinGate | undefined;
}

/** A dial beside the session. */
export interface DialBeside {
  /** What it follows; undefined where the application has asked for it. */
  readonly failure?: TargetContext['failure'] | undefined;
  /** What the `target` function returned for the dial before. Default: for the session. */
  readonly previous?: Target | undefined;
  /** Where it goes, in place of asking the `target` function. */
  readonly to?: ResolvedTarget | undefined;
}

interface Dial extends DialBeside {
  readonly observer: AttemptObserver;
  readonly ending?: EndingTransport | undefined;
  readonly gate?: DialGate | undefined;
}

/** Probes are in no backoff that another member's dial could end. */
const NO_MEMBER: GateMember = { retryNow: () => false };

/** Makes the attempts of a connection, and knows where the last one went. */
export class Attempts {
  /** The target of the options; undefined where only the `target` function knows one. */
  readonly target: ResolvedTarget | undefined;
  /** The target as text. */
  tag: string;
  readonly gate: DialGate | undefined;
  readonly #host: AttemptsHost;
  /** Where probes are made, which have gates of their own. */
  readonly #joinGate: JoinGate | undefined;
  /** What the `target` function returned for the last dial. */
  #previous: Target | undefined;

  constructor({ settings, target, joinGate }: AttemptsContext, host: AttemptsHost) {
    this.target = target;
    const first = target ?? settings.targets?.[0];
    this.tag = first === undefined ? 'unresolved' : tagOf(first);
    this.#host = host;
    this.gate = joinGate?.(settings, host);
    this.#joinGate = settings.failback && joinGate;
  }

  /**
   * @param failure - What it follows; undefined where the application has asked for it.
   * @param ending - What has to close before the dial.
   */
  create(
    observer: AttemptObserver,
    failure: TargetContext['failure'] | undefined,
    ending: EndingTransport | undefined,
  ): Attempt {
    return this.#create({ observer, failure, previous: this.#previous, ending });
  }

  /** An attempt beside the session. */
  createBeside(observer: AttemptObserver, { failure, previous = this.#previous, to }: DialBeside): Attempt {
    return this.#create({ observer, failure, previous, to });
  }

  /** The target of the session, where that is one of a list. */
  get present(): ResolvedTarget | undefined {
    return this.#host.settings.targets?.[this.#place];
  }

  /** Those of a list that are preferred to the session's. */
  get preferred(): readonly ResolvedTarget[] {
    return this.#host.settings.targets?.slice(0, Math.max(this.#place, 0)) ?? [];
  }

  joinGateForProbes(): DialGate | undefined {
    return this.#joinGate?.(this.#host.settings, NO_MEMBER);
  }

  createProbe(observer: AttemptObserver, to: ResolvedTarget, gate: DialGate | undefined): Attempt {
    return this.#create({ observer, to, gate });
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

  /** The place of the session's target in a list; −1 where it is in none. */
  get #place(): number {
    return this.#host.settings.targets?.findIndex((each) => each === this.#previous) ?? -1;
  }

  #create({ observer, failure, previous, to, ending, gate = this.gate }: Dial): Attempt {
    const { settings, isRef: ref } = this.#host;
    const generation = this.#host.generation + 1;
    return new Attempt({
      settings,
      target: this.target,
      to,
      gate,
      observer,
      // Only a `target` function reads the rest.
      targetContext: settings.nextTarget
        ? { ...(failure && { failure }), ...(previous && { previous }), generation }
        : { generation },
      ending,
      ref,
    });
  }
}
