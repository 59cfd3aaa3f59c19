import type { Pass, Refusal } from './dial-gate';
import type { Established } from '../socket/transport';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';

/** What an attempt came to. */
export type AttemptResult = ({ readonly ok: true } & Established) | ({ readonly ok: false } & Refusal);

/** Who an attempt reports to. */
export interface AttemptObserver {
  /** The target is known. */
  onTarget(target: ResolvedTarget): void;
  /** It goes on to dial, or has failed by itself before: not told where another was refused in its place. */
  onDial(): void;
  /** Told once, unless the attempt is cancelled first. A link that comes out well is the host's from then on. */
  onOutcome(outcome: AttemptResult): void;
}

/** What an attempt needs to know of its connection. */
export interface AttemptContext {
  readonly settings: Settings;
  readonly pass: Pass;
  readonly host: AttemptObserver;
  /** Number of this attempt in its opening, the first being 1. */
  readonly number: number;
  /** Number the session will have. */
  readonly generation: number;
  readonly held: boolean;
}
