/** What is measured: a name in words, what it means, and its unit as UCUM has it. */
export interface Instrument {
  readonly words: readonly string[];
  readonly help: string;
  readonly unit: string;
  /** What tells its series apart, besides the target. */
  readonly by?: 'reason' | 'state';
}

/** What only grows. */
export const counters = {
  dials: { words: ['dials'], help: 'Dials begun', unit: '{dial}' },
  failures: { words: ['failed', 'dials'], help: 'Dials that failed before there was a session', unit: '{dial}' },
  opens: { words: ['opens'], help: 'Sessions that opened', unit: '{session}' },
  resets: { words: ['resets'], help: 'Sessions that ended', unit: '{session}', by: 'reason' },
  backoffs: { words: ['backoffs'], help: 'Waits that began after a failure', unit: '{wait}', by: 'reason' },
  closes: { words: ['closes'], help: 'Lifecycles that ended', unit: '{connection}', by: 'reason' },
  drops: { words: ['dropped', 'writes'], help: 'Writes that will never be sent', unit: '{write}', by: 'reason' },
  droppedBytes: { words: ['dropped', 'bytes'], help: 'Bytes that will never be sent', unit: 'By', by: 'reason' },
  uncertain: { words: ['uncertain', 'writes'], help: 'Writes that a lost session left in doubt', unit: '{write}' },
  received: { words: ['received', 'bytes'], help: 'Bytes received', unit: 'By' },
  sent: { words: ['sent', 'bytes'], help: 'Bytes that the kernel took', unit: 'By' },
} as const satisfies Record<string, Instrument>;

/** What is so at the moment. */
export const gauges = {
  connections: { words: ['connections'], help: 'Connections by their state', unit: '{connection}', by: 'state' },
  pending: { words: ['pending', 'bytes'], help: 'Bytes written whose fate is open', unit: 'By' },
  waiting: { words: ['waiting', 'connections'], help: 'Members held at the gate of a pool', unit: '{connection}' },
} as const satisfies Record<string, Instrument>;

/** What is spread over buckets, in seconds: whole sessions last from a blink to days, outages not quite as long. */
export const histograms = {
  uptime: {
    words: ['session', 'duration'],
    help: 'How long sessions lasted that have ended',
    unit: 's',
    buckets: [0.1, 1, 5, 30, 60, 300, 900, 3600, 21_600, 86_400],
  },
  downtime: {
    words: ['downtime'],
    help: 'From the end of one session to the next',
    unit: 's',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200],
  },
} as const satisfies Record<string, Instrument & { readonly buckets: readonly number[] }>;

export type CounterName = keyof typeof counters;
export type GaugeName = keyof typeof gauges;
export type HistogramName = keyof typeof histograms;

/** What `make` makes of each entry of a table. */
export function each<Name extends string, Entry, Made>(
  table: Readonly<Record<Name, Entry>>,
  make: (entry: Entry, name: Name) => Made,
): Record<Name, Made> {
  // `as`: the names are the table's own, and each gets what is made of its entry.
  const names = Object.keys(table) as Name[];
  return Object.fromEntries(names.map((name) => [name, make(table[name], name)])) as Record<Name, Made>;
}
