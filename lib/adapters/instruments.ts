/** A metric. */
export interface Instrument {
  /** The parts of its name, which Prometheus and OpenTelemetry join in different ways. */
  readonly words: readonly string[];
  /** Its description. */
  readonly help: string;
  /** Its unit in the notation of UCUM. */
  readonly unit: string;
  /** The label that its series have besides the target. */
  readonly by?: 'reason' | 'state';
}

/** Metrics that only grow. */
export const counters = {
  dials: { words: ['dials'], help: 'Dials begun', unit: '{dial}' },
  failures: { words: ['failed', 'dials'], help: 'Dials that failed before there was a session', unit: '{dial}' },
  opens: { words: ['opens'], help: 'Sessions that opened', unit: '{session}' },
  resets: { words: ['resets'], help: 'Sessions that ended', unit: '{session}', by: 'reason' },
  backoffs: { words: ['backoffs'], help: 'Waits that began after a failure', unit: '{wait}', by: 'reason' },
  closes: { words: ['closes'], help: 'Lifecycles that ended', unit: '{connection}', by: 'reason' },
  drops: { words: ['dropped', 'writes'], help: 'Writes that will never be sent', unit: '{write}', by: 'reason' },
  droppedBytes: { words: ['dropped', 'bytes'], help: 'Bytes that will never be sent', unit: 'By', by: 'reason' },
  uncertain: { words: ['uncertain', 'writes'], help: 'Writes that a lost session did not confirm', unit: '{write}' },
  received: { words: ['received', 'bytes'], help: 'Bytes received', unit: 'By' },
  unheard: { words: ['unheard', 'bytes'], help: 'Bytes received while nobody listened, and let go', unit: 'By' },
  ejections: { words: ['ejections'], help: 'Times that a member of a pool was ejected', unit: '{ejection}' },
  sourceFailures: {
    words: ['source', 'failures'],
    help: 'Times that a source a pool follows failed, or its list was refused',
    unit: '{failure}',
    by: 'reason',
  },
  sent: { words: ['sent', 'bytes'], help: 'Bytes that the kernel took', unit: 'By' },
} as const satisfies Record<string, Instrument>;

/** Metrics of the current state. */
export const gauges = {
  connections: { words: ['connections'], help: 'Connections by their state', unit: '{connection}', by: 'state' },
  pending: { words: ['pending', 'bytes'], help: 'Bytes that are written and not yet confirmed', unit: 'By' },
  waiting: { words: ['waiting', 'connections'], help: 'Members of a pool that wait to dial', unit: '{connection}' },
  ejected: { words: ['ejected', 'connections'], help: 'Members of a pool that are ejected', unit: '{connection}' },
  listed: { words: ['source', 'entries'], help: 'Entries of the lists that a pool follows', unit: '{entry}' },
  followed: { words: ['followed', 'entries'], help: 'Entries of them that have a member', unit: '{entry}' },
  listAge: { words: ['source', 'list', 'age'], help: 'Time since the oldest of these lists came', unit: 's' },
} as const satisfies Record<string, Instrument>;

/** Durations in seconds, counted in buckets. Sessions last from a moment to days, outages less, answers less again. */
export const histograms = {
  uptime: {
    words: ['session', 'duration'],
    help: 'Duration of sessions that have ended',
    unit: 's',
    buckets: [0.1, 1, 5, 30, 60, 300, 900, 3600, 21_600, 86_400],
  },
  downtime: {
    words: ['downtime'],
    help: 'Time from the end of a session to the next session',
    unit: 's',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200],
  },
  roundTrip: {
    words: ['round', 'trip'],
    help: 'Time to the answer of a heartbeat: the latest of each connection at each collection',
    unit: 's',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
} as const satisfies Record<string, Instrument & { readonly buckets: readonly number[] }>;

export type CounterName = keyof typeof counters;
export type GaugeName = keyof typeof gauges;
export type HistogramName = keyof typeof histograms;

/** A record with the same keys as `table` and the results of `map`. */
export function mapValues<Name extends string, Entry, Result>(
  table: Readonly<Record<Name, Entry>>,
  map: (entry: Entry) => Result,
): Record<Name, Result> {
  // `as`: the keys are those of the table.
  const names = Object.keys(table) as Name[];
  return Object.fromEntries(names.map((name) => [name, map(table[name])])) as Record<Name, Result>;
}
