import { type Candidate, asPolicy, candidates } from './candidates';
import { fleet } from './fleet';
import { lone } from './lone';
import { herdOf } from './scenarios';

/** The default is chosen for a fleet of so many … */
export const CHOICE_CLIENTS = 100_000;

/** … by what each candidate costs after outages of 1 s, 30 s and 10 min. Less is better throughout. */
export interface Costs {
  /** Dials a client, in an outage of 30 s. */
  readonly attempts: number;
  /** Dials of a lone client, in an outage of 10 min. */
  readonly attemptsOfTenMinutes: number;
  /** Dials within the busiest second, a client. */
  readonly peak: number;
  /** When 99 % and all are back after 1 s and 30 s, over the lower bound. */
  readonly t99After1: number;
  readonly t100After1: number;
  readonly t99: number;
  readonly t100: number;
  /** How long a lone client waits after 1 s, 30 s and 10 min, in seconds: the mean, and what one in a hundred exceeds. */
  readonly meanAfter1: number;
  readonly p99After1: number;
  readonly mean: number;
  readonly p99: number;
  readonly meanAfter600: number;
  readonly p99After600: number;
}

/** A candidate and what it costs. */
export interface Row {
  readonly candidate: Candidate;
  readonly name: string;
  readonly costs: Costs;
}

/** Measures a candidate. */
export function measure(candidate: Candidate, seed: number, clients = CHOICE_CLIENTS, runs = 5_000): Row {
  const policy = asPolicy(candidate);
  const short = fleet(policy, herdOf(clients, 1_000, seed));
  const long = fleet(policy, herdOf(clients, 30_000, seed));
  const [after1, after30, after600] = [1_000, 30_000, 600_000].map((outage) => lone(policy, outage, seed, runs));
  return {
    candidate,
    name: policy.name,
    costs: {
      attempts: long.attempts,
      attemptsOfTenMinutes: after600!.attempts,
      peak: long.peak,
      t99After1: (short.t99 ?? Infinity) / short.lowerBound,
      t100After1: (short.t100 ?? Infinity) / short.lowerBound,
      t99: (long.t99 ?? Infinity) / long.lowerBound,
      t100: (long.t100 ?? Infinity) / long.lowerBound,
      meanAfter1: after1!.mean / 1_000,
      p99After1: after1!.p99 / 1_000,
      mean: after30!.mean / 1_000,
      p99: after30!.p99 / 1_000,
      meanAfter600: after600!.mean / 1_000,
      p99After600: after600!.p99 / 1_000,
    },
  };
}

/** Measures all candidates. */
export function measureAll(seed: number, tell: (done: number, of: number) => void = () => undefined): Row[] {
  const all = candidates();
  return all.map((candidate, index) => {
    tell(index + 1, all.length);
    return measure(candidate, seed);
  });
}

/** Those that no other beats: none is as good in everything and better in something. */
export function front<Of extends { readonly costs: object }>(rows: readonly Of[]): Of[] {
  // `as`: costs are numbers, whatever their names.
  const vectors = rows.map(({ costs }) => Object.values(costs) as number[]);
  const beats = (a: readonly number[], b: readonly number[]) =>
    a.every((cost, index) => cost <= b[index]!) && a.some((cost, index) => cost < b[index]!);
  return rows.filter((_, index) => !vectors.some((other) => beats(other, vectors[index]!)));
}

/**
 * How a candidate compares with another in everything together: the geometric mean of the ratios of their costs. It
 * needs no weights and no units; below 1 is better.
 */
export function compared(row: Row, reference: Row): number {
  const costs = Object.values(row.costs) as number[];
  const others = Object.values(reference.costs) as number[];
  return Math.exp(costs.reduce((sum, cost, index) => sum + Math.log(cost / others[index]!), 0) / costs.length);
}
