import type { EndpointPhase, EndpointStats, PoolStats, StateName, WriteTotals } from 'reconnecting-connection';

// What the dashboard's process tells its page: JSON over server-sent events. Times are milliseconds since the epoch.

/** How a server behaves: it greets and echoes; says nothing; hangs up soon after its greeting; or is not there. */
export type Mode = 'up' | 'muted' | 'flapping' | 'down';

/** What the page asks for. */
export type Action = 'kill' | 'mute' | 'flap' | 'revive' | 'disconnect' | 'connect';

/** A state, and `waiting`: held at the pool's gate, while the connection itself says `connecting`. */
export type Phase = StateName | 'waiting';

/** A phase begins. */
export interface Step {
  readonly phase: Phase;
  readonly at: number;
  /** When a wait ends; of `backoff` only. */
  readonly until?: number;
  /** Number of the session, once there was one. */
  readonly generation: number;
}

/** A line of the log: who, what kind of thing, and what happened in words. */
export interface Entry {
  readonly at: number;
  readonly who: string;
  readonly kind: 'open' | 'reset' | 'backoff' | 'drop' | 'close' | 'you';
  readonly text: string;
}

export interface MemberFigures {
  readonly id: string;
  /** Bytes a second, written and received together. */
  readonly rate: number;
  readonly queued: number;
  /** Writes that were refused, for the queue was full. */
  readonly refused: number;
}

/** A member from its birth: what the page needs to draw it. */
export interface MemberIntroduction {
  readonly id: string;
  readonly name: string;
  /** The last minute. */
  readonly steps: readonly Step[];
}

export interface ServerIntroduction {
  readonly id: string;
  readonly name: string;
  readonly tag: string;
  readonly mode: Mode;
  readonly members: readonly MemberIntroduction[];
}

/** Dials within a quarter of a second or so, and how many were open at its end. */
export interface Bucket {
  readonly from: number;
  readonly to: number;
  readonly dials: number;
  readonly open: number;
}

/** The latest outage of a crowd. */
export interface Outage {
  /** While the server was down. */
  readonly dials: number;
  /** Most of them in one bucket. */
  readonly busiest: number;
  /** Milliseconds from the revival until all were open; absent until they are. */
  readonly backAfter?: number;
}

export interface CrowdFigures {
  readonly id: string;
  readonly bucket: Bucket;
  readonly waiting: number;
  /** Absent where members know nothing of each other. */
  readonly gate?: EndpointPhase;
  readonly outage?: Outage;
}

export interface CrowdIntroduction {
  readonly id: string;
  readonly size: number;
  readonly buckets: readonly Bucket[];
}

/** From when to when the crowds' servers were down; the last may not be over. */
export interface Downtime {
  readonly from: number;
  readonly to?: number;
}

export interface Tick {
  readonly type: 'tick';
  readonly at: number;
  readonly pool: PoolStats;
  readonly gates: Readonly<Record<string, EndpointStats>>;
  /** Of all members together. */
  readonly writes: Pick<WriteTotals, 'accepted' | 'confirmed' | 'uncertain' | 'dropped' | 'queued' | 'refused'>;
  readonly members: readonly MemberFigures[];
  readonly crowds: readonly CrowdFigures[];
}

export type Message =
  | {
      readonly type: 'hello';
      readonly at: number;
      readonly servers: readonly ServerIntroduction[];
      readonly crowds: readonly CrowdIntroduction[];
      readonly downtimes: readonly Downtime[];
      readonly entries: readonly Entry[];
    }
  | { readonly type: 'step'; readonly at: number; readonly id: string; readonly step: Step }
  | { readonly type: 'mode'; readonly at: number; readonly id: string; readonly mode: Mode }
  | { readonly type: 'downtimes'; readonly at: number; readonly downtimes: readonly Downtime[] }
  | { readonly type: 'entry'; readonly at: number; readonly entry: Entry }
  | Tick;
