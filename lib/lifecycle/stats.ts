import { readable } from '../errors';
import type { OpenInfo, ResetInfo, ResetReason, StateName, WriteCount } from '../events/events';
import type { RoundTrip } from '../session/round-trip';
import { addressed } from '../socket/transport';
import type { Session } from '../session/session';
import type { WriteTotals } from '../writes/counts';
import { transitions } from './states';

/** A change of state in the past. */
export interface Transition {
  /** The state that was left. */
  readonly from: StateName;
  /** The state that was entered. */
  readonly to: StateName;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The message and the code of an error. Its cause and other properties are left out: they may hold secrets. */
export interface ErrorSummary {
  /** Its message as one line: what a peer has said may hold control characters. At most 200 characters. */
  readonly message: string;
  /** Its code, such as `ECONNREFUSED` or `ERR_IDLE`, where it has one. */
  readonly code?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Figures of a connection. Counts are totals over all its sessions and lifecycles. */
export interface ConnectionStats {
  /** The present state. */
  readonly state: StateName;
  /** Its target as text: `host:port`, `[v6]:port` or `unix:/path`. */
  readonly tag: string;
  /** Number of the latest session: how often the connection has opened. */
  readonly generation: number;
  /** Dials started. */
  readonly dials: number;
  /** Attempts that failed before there was a session. */
  readonly failures: number;
  /** Sessions that ended. */
  readonly resets: number;
  /** Milliseconds since the session opened; absent while there is no session. */
  readonly uptime?: number;
  /** Bytes read from the sockets of all sessions, after decryption where there is TLS. */
  readonly bytesReceived: number;
  /** Those of them that were let go, since nobody listened in their session. */
  readonly unheardBytes: number;
  /** Of the heartbeat of this session; null before the first answer, and while there is no session. */
  readonly roundTrip: RoundTrip | null;
  /** Writes and their bytes by what became of them. */
  readonly writes: WriteTotals;
  /** The latest error of an attempt or a session. */
  readonly lastError?: ErrorSummary;
  /** The latest changes of state, at most eight, oldest first. */
  readonly transitions: readonly Transition[];
}

const MAX_TRANSITIONS = 8;

// `as`: `Object.keys` of an object literal with these keys.
const STATES = Object.keys(transitions) as StateName[];

/**
 * Transitions as pairs of numbers: the two states, the time. Objects would be a large part of an idle connection's
 * memory.
 */
type PackedTransitions = readonly number[];

const NO_TRANSITIONS: PackedTransitions = [];

function pack(from: StateName, to: StateName, at: number): PackedTransitions {
  return [STATES.indexOf(from) * STATES.length + STATES.indexOf(to), at];
}

function* unpack(packed: PackedTransitions): Iterable<Transition> {
  for (let index = 0; index < packed.length; index += 2) {
    const states = packed[index]!;
    const from = STATES[Math.floor(states / STATES.length)]!;
    yield { from, to: STATES[states % STATES.length]!, at: packed[index + 1]! };
  }
}

/** Counts dials, sessions and bytes, and makes the payloads of `open` and `reset` and the `stats` of a connection. */
export class StatsRecorder {
  /** Number of the latest session. */
  generation = 0;
  /** Dials since the lifecycle began, or since the last session opened. */
  attempts = 0;
  /** Bytes that were received and not delivered, since nobody listened. */
  unheardBytes = 0;
  #dials = 0;
  #failures = 0;
  #resets = 0;
  #bytesReceived = 0;
  /** When the last session of this lifecycle ended, on the clock of `performance.now()`. */
  #lostAt: number | undefined;
  #lastError: ErrorSummary | undefined;
  #transitions = NO_TRANSITIONS;

  /** Resets what counts per lifecycle; totals go on. */
  startLifecycle(): void {
    this.attempts = 0;
    this.#lostAt = undefined;
  }

  recordTransition(from: StateName, to: StateName): void {
    // A new array has no spare capacity, unlike one that `push` has grown.
    this.#transitions = this.#transitions.slice(2 * (1 - MAX_TRANSITIONS)).concat(pack(from, to, Date.now()));
  }

  recordDial(): void {
    this.attempts += 1;
    this.#dials += 1;
  }

  recordFailure(): void {
    this.#failures += 1;
  }

  recordError(error: Error): void {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
    this.#lastError = {
      message: readable(error.message),
      at: Date.now(),
      ...(code !== undefined && { code: readable(code) }),
    };
  }

  /** Returns the payload of `open`. */
  recordOpen({ generation, transport }: Session): OpenInfo {
    const { localAddress, localPort, remoteAddress, remotePort } = addressed(transport);
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

  /** Returns the payload of `reset`, and keeps it in `session.resetInfo`. */
  recordReset(
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

  snapshot(state: StateName, tag: string, session: Session | undefined, writes: WriteTotals): ConnectionStats {
    return {
      state,
      tag,
      generation: this.generation,
      dials: this.#dials,
      failures: this.#failures,
      resets: this.#resets,
      ...(session && { uptime: Math.round(session.uptime) }),
      bytesReceived: this.#bytesReceived + (session?.received ?? 0),
      unheardBytes: this.unheardBytes,
      roundTrip: session?.roundTrip ?? null,
      writes,
      ...(this.#lastError && { lastError: this.#lastError }),
      transitions: [...unpack(this.#transitions)],
    };
  }
}
