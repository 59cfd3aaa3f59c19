import type { EndpointPhase, EndpointStats, PoolStats, StateName, WriteTotals } from 'reconnecting-connection';

// The messages from the dashboard's process to its page: JSON in server-sent events. Times are milliseconds since the epoch.

/** The behaviour of a server: it greets and echoes; sends nothing; closes soon after its greeting; or does not listen. */
export type Mode = 'up' | 'muted' | 'flapping' | 'down';

/** An action of the page. */
export type Action = 'kill' | 'mute' | 'flap' | 'revive' | 'retire' | 'disconnect' | 'connect';

/** A state, or `waiting`: at the pool's gate, while the state of the connection is `connecting`. */
export type Phase = StateName | 'waiting';

/** A phase begins. */
export interface Step {
  readonly phase: Phase;
  readonly at: number;
  /** When the wait ends; of `backoff` only. */
  readonly until?: number;
  /** Number of the session; 0 before the first. */
  readonly generation: number;
  /** The name of the server; only where a connection has several. */
  readonly where?: string;
}

/** A line of the log. */
export interface Entry {
  readonly at: number;
  readonly who: string;
  readonly kind: 'open' | 'reset' | 'backoff' | 'close' | 'eject' | 'restore' | 'you';
  readonly text: string;
}

export interface MemberFigures {
  readonly id: string;
  /** Bytes a second, written and received together. */
  readonly rate: number;
  readonly queued: number;
  /** Writes that a full queue refused. */
  readonly refused: number;
  /** When its ejection ends at the latest; absent unless it is ejected. */
  readonly ejectedUntil?: number;
}

/** A member, for a new page. */
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

/** Dials within about a quarter of a second, and the open connections at its end. */
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
  /** Milliseconds from the revival until all were open; absent before. */
  readonly backAfter?: number;
}

export interface CrowdFigures {
  readonly id: string;
  readonly bucket: Bucket;
  readonly waiting: number;
  /** Absent without a gate. */
  readonly gate?: EndpointPhase;
  readonly outage?: Outage;
}

export interface CrowdIntroduction {
  readonly id: string;
  readonly size: number;
  readonly buckets: readonly Bucket[];
}

/** An outage of the crowds' server; the last one may not have ended. */
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
