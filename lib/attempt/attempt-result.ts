import type { DialGate } from './dial-gate';
import type { AttemptFailure } from './failure';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';
import type { Established } from '../socket/transport';

/** How an attempt ends. */
export type AttemptResult = ({ readonly ok: true } & Established) | AttemptFailure;

/** The connection that makes an attempt. */
export interface AttemptObserver {
  /** The `target` function has answered. */
  onTarget(target: ResolvedTarget): void;
  /** The attempt dials, or has failed to find its target. Not called when it fails with another member's dial. */
  onDial(): void;
  /** Called once, unless the attempt is cancelled first. The observer owns an established transport from then on. */
  onResult(result: AttemptResult): void;
}

export interface AttemptContext {
  readonly settings: Settings;
  /** Undefined for a connection that belongs to no pool. */
  readonly gate: DialGate | undefined;
  readonly observer: AttemptObserver;
  /** Number of this attempt since the last session, from 1. */
  readonly number: number;
  /** Number that the session will have. */
  readonly generation: number;
  readonly ref: boolean;
}
