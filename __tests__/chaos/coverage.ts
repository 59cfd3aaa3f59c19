import { transitions } from '../../lib/lifecycle/states';
import { EVENTS } from '../kit/record';
import { FAULTS } from './network';
import { CALLS } from './plan';
import type { Result } from './run';

/** Steps of all runs together from which on whatever never occurred is a branch that is never tried. */
export const COUNTED = 60_000;

/** What must occur in runs that are long enough, by kind. */
const EXPECTED = {
  faults: FAULTS,
  calls: [
    ...CALLS,
    ...[
      'reconnect while connecting',
      'reconnect while backoff',
      'reconnect with a delay',
      'replace while open',
      'fail while connecting',
    ],
    ...['fail while open', 'clearQueue while open', 'clearQueue while backoff', 'disconnect while backoff'],
    ...['write of parts', 'write with maxAge', 'write with abortAfter', 'write with key', 'write with urgent'],
  ],
  events: EVENTS,
  // Each way to lose a session: liveness included, which needs every timer of the library to be simulated.
  resets: [
    ...[
      'idle',
      'heartbeat',
      'stalled',
      'peer-end',
      'error',
      'forced',
      'replaced',
      'failed',
      'disconnected',
      'destroyed',
      'aborted',
    ],
  ],
  drops: [
    ...['expired', 'aborted', 'replaced', 'cleared', 'overflow', 'refused', 'disconnected', 'destroyed'],
    ...['max-retries', 'max-elapsed', 'not-retryable', 'backoff-ended'],
  ],
  seldom: [
    ...['halfOpen', 'unheardBytes', 'refusals', 'twins', 'probes', 'moves of one'],
    ...[
      'crash',
      'disk full',
      'duplicate',
      'refused',
      'freeze',
      'stop',
      'reset replaced',
      'reset forced',
      'reset idle',
      'reset error',
    ].map((what) => `${what} of a delivery`),
  ],
  // A state that follows itself says nothing.
  transitions: Object.entries(transitions).flatMap(([from, tos]) =>
    tos.filter((to) => to !== from).map((to) => `${from}-${to}`),
  ),
} as const satisfies Partial<Record<keyof Result, readonly string[]>>;

type Kind = keyof typeof EXPECTED;

// `as`: the names are those of the object above.
const KINDS = Object.keys(EXPECTED) as Kind[];

/** How often each thing occurred, over many runs. */
export class Coverage {
  readonly #counts = new Map(KINDS.map((kind) => [kind, new Map<string, number>()]));

  /** Counts what a run came to, or a part of that. */
  add(result: Partial<Pick<Result, Kind>>): void {
    for (const kind of KINDS) {
      const sums = this.#counts.get(kind)!;
      for (const [name, times] of result[kind] ?? []) sums.set(name, (sums.get(name) ?? 0) + times);
    }
  }

  /** What has never occurred. */
  get missing(): readonly string[] {
    return KINDS.flatMap((kind) =>
      EXPECTED[kind].filter((name) => !this.#counts.get(kind)!.has(name)).map((name) => `${kind} ${name}`),
    );
  }

  toString(): string {
    const lines = KINDS.map((kind) => {
      const sorted = [...this.#counts.get(kind)!].sort(([, one], [, other]) => other - one);
      return `${kind}: ${sorted.map(([key, times]) => `${key} ${times}`).join(', ')}`;
    });
    return lines.join('\n');
  }
}
