import type { Row } from './choice';
import type { CrowdRun } from './crowd-chart';
import type { Run } from './fleet-chart';
import type { Lone } from './lone';
import type { Policy } from './policies';
import type { Outcome } from './tally';
import { table } from './table';
import { count, figure, outage as lasting, span } from './words';

/** A fleet after an outage, under every policy. */
export interface Scenario {
  readonly clients: number;
  readonly outage: number;
  readonly runs: readonly Run[];
}

/** One client, after each outage. */
export interface LoneRun {
  readonly policy: Policy;
  readonly after: readonly Lone[];
}

/** Pools after an outage. */
export interface CrowdScenario {
  readonly clients: number;
  readonly outage: number;
  readonly runs: readonly CrowdRun[];
}

/** A time over the least that there can be. */
function over(time: number | undefined, { lowerBound }: Outcome): string {
  return time === undefined ? 'never' : figure(time / lowerBound, 2);
}

/** One scenario. The lower bound is the unit of the times. */
export function fleetTable({ runs }: Scenario): string {
  return table(
    ['policy', 'attempts', 'packets', 'busiest second', '99 % back', 'all back'],
    runs.map(({ policy, outcome }) => [
      policy.name,
      figure(outcome.attempts),
      figure(outcome.syns),
      figure(outcome.peak, 2),
      over(outcome.t99, outcome),
      over(outcome.t100, outcome),
    ]),
  );
}

export function fleetHeading({ clients, outage }: Scenario): string {
  return `${count(clients)} clients, ${lasting(outage)}`;
}

/** How long one client waits, by outage. */
export function loneTable(runs: readonly LoneRun[], outages: readonly number[]): string {
  return table(
    ['policy', ...outages.flatMap((outage) => [`${lasting(outage)}: mean`, '99 of 100'])],
    runs.map(({ policy, after }) => [policy.name, ...after.flatMap(({ mean, p99 }) => [span(mean), span(p99)])]),
  );
}

/** Pools, and below them the same clients without. */
export function crowdTable({ clients, runs }: CrowdScenario): string {
  const row = (name: string, outcome: Outcome, hedges: string) => [
    name,
    figure(outcome.attempts, 2),
    hedges,
    figure(outcome.syns, 2),
    figure(outcome.peak, 2),
    over(outcome.t99, outcome),
    over(outcome.t100, outcome),
  ];
  return table(
    ['clients', 'attempts', 'of them hedges', 'packets', 'busiest second', '99 % back', 'all back'],
    [
      ...runs.map(({ processes, gated }) =>
        row(`${count(processes)} × ${count(clients / processes)}, gated`, gated, figure(gated.hedges, 2)),
      ),
      ...runs.slice(0, 1).map(({ alone }) => row('each for itself', alone, '–')),
    ],
  );
}

/** Candidates beside the default: `compared` is their cost in everything together, over the default's. */
export function choiceTable(
  rows: readonly (Row & { readonly compared: number; readonly isDefault: boolean })[],
): string {
  return table(
    [
      'first wait, then, at the cap',
      'attempts, 30 s',
      '10 min',
      '99 % back',
      'all back',
      'lone, 1 s',
      '30 s',
      '99 of 100',
      'together',
    ],
    rows.map(({ name, costs, compared, isDefault }) => [
      isDefault ? `**${name}**` : name,
      figure(costs.attempts),
      figure(costs.attemptsOfTenMinutes, 0),
      figure(costs.t99, 2),
      figure(costs.t100, 2),
      `${figure(costs.meanAfter1)} s`,
      `${figure(costs.mean)} s`,
      `${figure(costs.p99)} s`,
      figure(compared, 2),
    ]),
  );
}
