import type { OpenInfo, ResetInfo, ResetReason, StateName, WriteCount } from '../events/events';
import type { WriteTotals } from '../writes/counts';
import type { Session } from '../session/session';
import { transitions } from './states';

/** A change of state, as remembered. */
export interface Transition {
  /** The state that was left. */
  readonly from: StateName;
  /** The state that was entered. */
  readonly to: StateName;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** An error as remembered: its own words and code, and nothing of what it refers to. */
export interface ErrorSummary {
  /** Its message. */
  readonly message: string;
  /** Its code, such as `ECONNREFUSED` or `ERR_IDLE`, where it has one. */
  readonly code?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** A connection in figures. They add up over all its sessions and lifecycles. */
export interface ConnectionStats {
  /** Where the connection is in its life. */
  readonly state: StateName;
  /** Its target as text: `host:port`, `[v6]:port` or `unix:/path`. */
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
  /** Bytes read from the sockets of all sessions, after TLS where there is TLS. */
  readonly bytesReceived: number;
  /** Writes by their fate. */
  readonly writes: WriteTotals;
  /** The latest error of an attempt or a session. */
  readonly lastError?: ErrorSummary;
  /** The latest changes of state, oldest first, eight at the most. */
  readonly transitions: readonly Transition[];
}

/** Changes of state that are remembered. */
const KEPT = 8;

// `as`: `Object.keys` of an object literal with these keys.
const STATES = Object.keys(transitions) as StateName[];

/** Changes of state in bare numbers, two each: an object for each would be a good part of an idle connection's memory. */
type Changes = readonly number[];

const NO_CHANGES: Changes = [];

function newChange(from: StateName, to: StateName, at: number): Changes {
  return [STATES.indexOf(from) * STATES.length + STATES.indexOf(to), at];
}

function* inWords(changes: Changes): Iterable<Transition> {
  for (let index = 0; index < changes.length; index += 2) {
    const fromAndTo = changes[index]!;
    const from = STATES[Math.floor(fromAndTo / STATES.length)]!;
    yield { from, to: STATES[fromAndTo % STATES.length]!, at: changes[index + 1]! };
  }
}

/** Keeps count of what a connection has been through, and words it for `open`, `reset` and `stats`. */
export class StatsRecorder {
  /** Number of the latest session. */
  generation = 0;
  /** Dials of the opening under way. */
  attempts = 0;
  #dials = 0;
  #failures = 0;
  #resets = 0;
  #bytesReceived = 0;
  /** When the last session of this lifecycle ended, on the clock of `performance.now()`. */
  #lostAt: number | undefined;
  #lastError: ErrorSummary | undefined;
  #changes = NO_CHANGES;

  /** A lifecycle begins: its opening is counted afresh. What adds up goes on. */
  begin(): void {
    this.attempts = 0;
    this.#lostAt = undefined;
  }

  addTransition(from: StateName, to: StateName): void {
    // A new array is as long as it has to be; one that grows keeps room for many more.
    this.#changes = this.#changes.slice(2 * (1 - KEPT)).concat(newChange(from, to, Date.now()));
  }

  addDial(): void {
    this.attempts += 1;
    this.#dials += 1;
  }

  addFailure(): void {
    this.#failures += 1;
  }

  addError(error: Error): void {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
    this.#lastError = { message: error.message, at: Date.now(), ...(code !== undefined && { code }) };
  }

  addOpen({ generation, transport }: Session): OpenInfo {
    const { localAddress, localPort, remoteAddress, remotePort } = transport;
    const info: OpenInfo = {
      generation,
      reopened: this.#lostAt !== undefined,
      attempts: this.attempts,
      downtime: this.#lostAt === undefined ? 0 : Math.round(performance.now() - this.#lostAt),
      ...(localAddress !== undefined && { localAddress }),
      ...(localPort !== undefined && { localPort }),
      ...(remoteAddress !== undefined && { remoteAddress }),
      ...(remotePort !== undefined && { remotePort }),
    };
    this.generation = generation;
    this.attempts = 0;
    return info;
  }

  addReset(
    session: Session,
    reason: ResetReason,
    error: Error | undefined,
    willRetry: boolean,
    uncertain: WriteCount,
  ): ResetInfo {
    const { generation, info, received, uptime } = session;
    // A session that ended before its `open` was delivered has no `reset` either.
    if (info !== undefined) this.#resets += 1;
    this.#bytesReceived += received;
    this.#lostAt = performance.now();
    session.resetInfo = {
      generation,
      reason,
      ...(error && { error }),
      uptime: Math.round(uptime),
      willRetry,
      uncertain,
    };
    return session.resetInfo;
  }

  stats(state: StateName, tag: string, session: Session | undefined, writes: WriteTotals): ConnectionStats {
    return {
      state,
      tag,
      generation: this.generation,
      dials: this.#dials,
      failures: this.#failures,
      resets: this.#resets,
      ...(session && { uptime: Math.round(session.uptime) }),
      bytesReceived: this.#bytesReceived + (session?.received ?? 0),
      writes,
      ...(this.#lastError && { lastError: this.#lastError }),
      transitions: [...inWords(this.#changes)],
    };
  }
}
