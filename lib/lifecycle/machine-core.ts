import type { ConnectionError } from '../errors';
import type { End } from './inputs';
import type { SessionLifecycle, SessionsHost } from './session-lifecycle';
import type { State } from './states';

/** The machine, as those see it that enter its states for it. */
export interface MachineCore extends SessionsHost {
  readonly current: State;
  readonly sessions: SessionLifecycle;
  /** Enters a state, and releases what the one before held. Within a transaction. */
  enter(next: State): void;
  connect(): void;
  /** Ends the backoff. Returns false in another state. */
  retryNow(): boolean;
  /** The end of the lifecycle. */
  finish(end: End): void;
  /** The `signal` of the options was aborted. */
  onAborted(error: ConnectionError | undefined): void;
  onCloseTimeout(): void;
}
