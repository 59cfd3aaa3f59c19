import { readable } from '../errors';
import type { ResetInfo, ResetReason, StateName, WriteCount } from '../events/events';
import type { RoundTrip } from '../session/round-trip';
import type { Session } from '../session/session';
import type { Established } from '../socket/transport';
import { now } from '../timers/deadline';
import type { WriteTotals } from '../writes/counts';
import { OpenPayload } from './open-payload';
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
  /** Dials started, those of probes of `failback` included. */
  readonly dials: number;
  /** Attempts that failed before there was a session, and probes of `failback` that failed. */
  readonly failures: number;
  /** Sessions that ended. */
  readonly resets: number;
  /** Milliseconds since the session opened; absent while there is no session. */
  readonly uptime?: number;
  /** Bytes read from the sockets of all sessions, after decryption where there is TLS. */
  readonly bytesReceived: number;
  /** Those of them that were let go, since their session had no listener. */
  readonly unheardBytes: number;
  /** Of the heartbeat of this session; null before the first answer, and while there is no session. */
  readonly roundTrip: RoundTrip | null;
  /** Writes and their bytes by what became of them. */
  readonly writes: WriteTotals;
  /** The latest error of an attempt, a session or a probe of `failback`. */
  readonly lastError?: ErrorSummary;
  /** The latest changes of state, at most eight, oldest first. */
  readonly transitions: readonly Transition[];
}

const MAX_TRANSITIONS = 8;

// `as`: `Object.keys` of an object literal with these keys.
const STATES = Object.keys(transitions) as StateName[];

/**
 * Each transition as one number: the time, and the two states. Objects would be a large part of an idle connection's
 * memory.
 */
type PackedTransitions = number[];

/** Shared by all connections without a transition, and never written to. */
const NO_TRANSITIONS: PackedTransitions = [];

/** Number of pairs of states. */
const PAIRS = STATES.length ** 2;

function pack(from: StateName, to: StateName, at: number): number {
  return at * PAIRS + STATES.indexOf(from) * STATES.length + STATES.indexOf(to);
}

function unpack(packed: number): Transition {
  const at = Math.floor(packed / PAIRS);
  const pair = packed - at * PAIRS;
  return { from: STATES[Math.floor(pair / STATES.length)]!, to: STATES[pair % STATES.length]!, at };
}

type ErrorText = Omit<ErrorSummary, 'at'>;

/** The latest error of any connection, before it was made readable: those that fail alike share the text. */
let latest: { readonly message: string; readonly code: string | undefined; readonly text: ErrorText } | undefined;

/** An error as it happens. */
export function summaryOf(error: Error): ErrorSummary {
  return { ...textOf(error), at: Date.now() };
}

function textOf(error: Error): ErrorText {
  const { message } = error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (message !== latest?.message || code !== latest.code) {
    const text = { message: readable(message), ...(code !== undefined && { code: readable(code) }) };
    latest = { message, code, text };
  }
  return latest.text;
}

/** Whole milliseconds since then are small integers to V8, which take no memory of their own. */
const START = Date.now();

/** What a connection has had from its first failure or reset on. */
class Past {
  failures = 0;
  resets = 0;
  bytesReceived = 0;
  /** Bytes that were received and not delivered, since there was no listener. */
  unheardBytes = 0;
  /** When the last session of this lifecycle ended, by `now()`. */
  lostAt: number | undefined;
  error: ErrorText | undefined;
  /** Milliseconds since `START`. */
  errorAt = 0;
}

/** Shared by all connections without a past, and never written to. */
const NO_PAST: Readonly<Past> = new Past();

/** Counts dials, sessions and bytes, and makes the payloads of `open` and `reset` and the `stats` of a connection. */
export class StatsRecorder {
  /** Number of the latest session. */
  generation = 0;
  /** Dials since the lifecycle began, or since the last session opened. */
  attempts = 0;
  #dials = 0;
  #transitions = NO_TRANSITIONS;
  #pastSoFar: Past | undefined;

  /** Resets what counts per lifecycle; totals go on. */
  startLifecycle(): void {
    this.attempts = 0;
    if (this.#pastSoFar !== undefined) this.#pastSoFar.lostAt = undefined;
  }

  recordTransition(from: StateName, to: StateName): void {
    const packed = pack(from, to, Date.now());
    const kept = this.#transitions;
    // A new array has no spare capacity, unlike one that `push` has grown.
    if (kept.length < MAX_TRANSITIONS) this.#transitions = kept.concat(packed);
    // In place: a new array, or `copyWithin()`, takes longer than all else here.
    else for (let at = 0; at < MAX_TRANSITIONS; at++) kept[at] = kept[at + 1] ?? packed;
  }

  recordDial(): void {
    this.attempts += 1;
    this.#dials += 1;
  }

  /** Of a probe, which no `open` follows. */
  recordProbe(): void {
    this.#dials += 1;
  }

  recordFailure(): void {
    this.#past.failures += 1;
  }

  recordError(error: Error): void {
    this.#past.error = textOf(error);
    this.#past.errorAt = Date.now() - START;
  }

  /** Bytes were received and not delivered, since there was no listener. */
  recordUnheard(bytes: number): void {
    this.#past.unheardBytes += bytes;
  }

  /** Returns the payload of `open`. */
  recordOpen(established: Established): OpenPayload {
    const { lostAt } = this.#pastSoFar ?? NO_PAST;
    const downtime = lostAt === undefined ? 0 : now() - lostAt;
    this.generation += 1;
    const payload = new OpenPayload(established, this.generation, lostAt !== undefined, this.attempts, downtime);
    this.attempts = 0;
    return payload;
  }

  /** Returns the payload of `reset`, and keeps it in `session.resetInfo`. */
  recordReset(
    session: Session,
    reason: ResetReason,
    error: Error | undefined,
    willRetry: boolean,
    uncertain: WriteCount,
  ): ResetInfo {
    const { info, received, uptime } = session;
    const past = this.#past;
    // A session that ended before its `open` was delivered has no `reset` either.
    if (info !== undefined) past.resets += 1;
    past.bytesReceived += received;
    past.lostAt = now();
    session.resetInfo = {
      generation: this.generation,
      reason,
      ...(error && { error }),
      uptime: Math.round(uptime),
      willRetry,
      uncertain,
    };
    return session.resetInfo;
  }

  snapshot(state: StateName, tag: string, session: Session | undefined, writes: WriteTotals): ConnectionStats {
    const { failures, resets, bytesReceived, unheardBytes, error, errorAt } = this.#pastSoFar ?? NO_PAST;
    return {
      state,
      tag,
      generation: this.generation,
      dials: this.#dials,
      failures,
      resets,
      ...(session && { uptime: Math.round(session.uptime) }),
      bytesReceived: bytesReceived + (session?.received ?? 0),
      unheardBytes,
      roundTrip: session?.roundTrip ?? null,
      writes,
      ...(error && { lastError: { ...error, at: START + errorAt } }),
      transitions: this.#transitions.map(unpack),
    };
  }

  get #past(): Past {
    return (this.#pastSoFar ??= new Past());
  }
}
