import { type Candidate, asPolicy, candidates } from './candidates';
import { fleet } from './fleet';
import { lone } from './lone';
import { herdOf } from './scenarios';

/** The default is chosen for a fleet of this size. */
export const CHOICE_CLIENTS = 100_000;

/** The costs of a candidate after outages of 1 s, 30 s and 10 min. Less is better in all of them. */
export interface Costs {
  /** Dials a client, in an outage of 30 s. */
  readonly attempts: number;
  /** Dials of a lone client, in an outage of 10 min. */
  readonly attemptsOfTenMinutes: number;
  /** Dials within the busiest second, a client. */
  readonly peak: number;
  /** When 99 % and all are back after 1 s and 30 s, as multiples of the lower bound. */
  readonly t99After1: number;
  readonly t100After1: number;
  readonly t99: number;
  readonly t100: number;
  /** Waits of a lone client after 1 s, 30 s and 10 min, in seconds: the mean, and the time that 99 of 100 do not exceed. */
  readonly meanAfter1: number;
  readonly p99After1: number;
  readonly mean: number;
  readonly p99: number;
  readonly meanAfter600: number;
  readonly p99After600: number;
}

export interface Row {
  readonly candidate: Candidate;
  readonly name: string;
  readonly costs: Costs;
}

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

export function measureAll(seed: number): Row[] {
  return candidates().map((candidate) => measure(candidate, seed));
}

/** The rows that no other row beats by being as good in all costs and better in one. */
export function front<Of extends { readonly costs: object }>(rows: readonly Of[]): Of[] {
  // `as`: all costs are numbers.
  const vectors = rows.map(({ costs }) => Object.values(costs) as number[]);
  const beats = (a: readonly number[], b: readonly number[]) =>
    a.every((cost, index) => cost <= b[index]!) && a.some((cost, index) => cost < b[index]!);
  return rows.filter((_, index) => !vectors.some((other) => beats(other, vectors[index]!)));
}

/**
 * The geometric mean of the ratios of all costs: it needs no weights and no units. Less than 1 is better than
 * `reference`.
 */
export function compared(row: Row, reference: Row): number {
  const costs = Object.values(row.costs) as number[];
  const others = Object.values(reference.costs) as number[];
  return Math.exp(costs.reduce((sum, cost, index) => sum + Math.log(cost / others[index]!), 0) / costs.length);
}
