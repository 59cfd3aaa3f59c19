import type { DialGate } from './dial-gate';
import type { AttemptFailure } from './failure';
import type { ResolvedOptions } from '../options/settings';
import type { TargetContext } from '../options/options';
import type { ResolvedTarget, Target } from '../options/target';
import type { EndingTransport } from '../socket/ending-transport';
import type { Established } from '../socket/transport';

/** How an attempt ends. */
export type AttemptResult = ({ readonly ok: true } & Established) | AttemptFailure;

/** The connection that makes an attempt. */
export interface AttemptObserver {
  /** The `target` function is about to be asked. Returns the number of this attempt in the outage, from 1. */
  countAttempt(): number;
  /** The `target` function has returned `answer`. */
  onTarget(target: ResolvedTarget, answer: Target): void;
  /** The attempt dials, or has failed to find its target. Not called when it fails with another member's dial. */
  onDial(): void;
  /** Called once, unless the attempt is cancelled first. The observer owns an established transport from then on. */
  onResult(result: AttemptResult): void;
}

export interface AttemptContext extends ResolvedOptions {
  /** Undefined for a connection that belongs to no pool. */
  readonly gate: DialGate | undefined;
  readonly observer: AttemptObserver;
  /** Where it goes, in place of asking the `target` function. */
  readonly to?: ResolvedTarget | undefined;
  /** For the `target` function. */
  readonly targetContext: TargetContext;
  /** What is left of the session or the attempt before, which `reconnect()` ended. */
  readonly ending: EndingTransport | undefined;
  readonly ref: boolean;
}
