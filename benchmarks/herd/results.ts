import type { Row } from './choice';
import type { CrowdRun } from './crowd-chart';
import type { Run } from './fleet-chart';
import { markdown } from '../table';
import type { Lone } from './lone';
import type { Policy } from './policy';
import type { Outcome } from './tally';
import { count, duration, figure, span } from './words';

/** A fleet and an outage, under every policy. */
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

/** The same fleet in pools. */
export interface CrowdScenario {
  readonly clients: number;
  readonly outage: number;
  readonly runs: readonly CrowdRun[];
}

/** A time as a multiple of the lower bound. */
function over(time: number | undefined, { lowerBound }: Outcome): string {
  return time === undefined ? 'never' : figure(time / lowerBound, 2);
}

export function fleetTable({ runs }: Scenario): string {
  return markdown(
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
  return `${count(clients)} clients, ${duration(outage)}`;
}

export function loneTable(runs: readonly LoneRun[], outages: readonly number[]): string {
  return markdown(
    ['policy', ...outages.flatMap((outage) => [`${duration(outage)}: mean`, '99 of 100'])],
    runs.map(({ policy, after }) => [policy.name, ...after.flatMap(({ mean, p99 }) => [span(mean), span(p99)])]),
  );
}

/** The last row has the same clients without pools. */
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
  return markdown(
    ['clients', 'attempts', 'of them hedges', 'packets', 'busiest second', '99 % back', 'all back'],
    [
      ...runs.map(({ processes, gated }) =>
        row(`${count(processes)} × ${count(clients / processes)}, gated`, gated, figure(gated.hedges, 2)),
      ),
      ...runs.slice(0, 1).map(({ alone }) => row('each for itself', alone, '–')),
    ],
  );
}

/** `compared`: all costs of a candidate together, as a multiple of the default's. */
export function choiceTable(
  rows: readonly (Row & { readonly compared: number; readonly isDefault: boolean })[],
): string {
  return markdown(
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
