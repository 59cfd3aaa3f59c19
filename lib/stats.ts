import type { StateName } from './events';
import type { WriteTotals } from './outbox';

/** A change of state, as remembered. */
export interface Transition {
  readonly from: StateName;
  readonly to: StateName;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** An error as remembered: its own words and code, and nothing of what it refers to. */
export interface ErrorSummary {
  readonly message: string;
  readonly code?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** A connection in figures. They add up over all its sessions and lifecycles. */
export interface ConnectionStats {
  readonly state: StateName;
  readonly tag: string;
  /** Number of the latest session: how often the connection has opened. */
  readonly generation: number;
  /** Dials begun. */
  readonly dials: number;
  /** Attempts that failed before there was a session. */
  readonly failures: number;
  /** Sessions that ended. */
  readonly resets: number;
  /** Milliseconds that this session has been open; absent while there is none. */
  readonly uptime?: number;
  readonly bytesReceived: number;
  readonly writes: WriteTotals;
  /** The latest error of an attempt or a session. */
  readonly lastError?: ErrorSummary;
  /** The latest changes of state, oldest first, eight at the most. */
  readonly transitions: readonly Transition[];
}

const KEPT = 8;

/** What a connection remembers for its `stats`. */
export class History {
  dials = 0;
  failures = 0;
  resets = 0;
  bytesReceived = 0;
  readonly transitions: Transition[] = [];
  lastError: ErrorSummary | undefined;

  addTransition(from: StateName, to: StateName): void {
    if (this.transitions.length === KEPT) this.transitions.shift();
    this.transitions.push({ from, to, at: Date.now() });
  }

  addError(error: Error): void {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
    this.lastError = { message: error.message, at: Date.now(), ...(code !== undefined && { code }) };
  }
}
