import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { runProgram, whole } from '../../__tests__/kit/command-line';
import { project } from '../project';
import { defaultCandidate } from './candidates';
import { measureAll } from './choice';
import { crowd } from './crowd';
import { type CrowdRun, crowdChart } from './crowd-chart';
import { fleet } from './fleet';
import { type Run, fleetChart } from './fleet-chart';
import { lone } from './lone';
import { type Findings, page } from './page';
import { others, ours } from './policies';
import {
  type CrowdScenario,
  type LoneRun,
  type Scenario,
  choiceTable,
  crowdTable,
  fleetHeading,
  fleetTable,
  loneTable,
} from './results';
import { herdOf, CAPACITY, FLEETS, OUTAGES, POOLS } from './scenarios';
import { dark, light } from './theme';
import { span } from './words';

// npm run bench:herd -- [--clients N] [--seed S] [--write]: the fleets, one client, the candidates and the gate, as tables;
// with --write also as docs/herd.md and its charts.

const policies = [ours, ...others];
/** What the charts show: one fleet and one outage. */
const SHOWN = { clients: FLEETS[0]!, outage: OUTAGES[1]! } as const;

runProgram({ clients: whole, seed: whole, write: 'flag' }, ({ clients, seed = 1, write: isWritten }) => {
  if (isWritten && clients !== undefined) throw new Error('--write is for the whole run, without --clients');

  const fleets = clients === undefined ? FLEETS : [clients];
  const scenarios = fleets.flatMap((clients) => OUTAGES.map((outage) => simulateFleet(clients, outage, seed)));
  const findings: Findings = {
    seed,
    scenarios,
    lone: simulateLone(seed),
    crowds: OUTAGES.map((outage) => simulateCrowds(fleets[0]!, outage, seed, scenarios)),
    ...choose(seed),
  };
  if (isWritten) write(findings);
});

function simulateFleet(clients: number, outage: number, seed: number): Scenario {
  const runs = policies.map((policy): Run => ({ policy, outcome: fleet(policy, herdOf(clients, outage, seed)) }));
  const scenario = { clients, outage, runs };
  print(fleetHeading(scenario), fleetTable(scenario));
  return scenario;
}

function simulateLone(seed: number): LoneRun[] {
  const runs = policies.map((policy) => ({ policy, after: OUTAGES.map((outage) => lone(policy, outage, seed)) }));
  print('One client', loneTable(runs, OUTAGES));
  return runs;
}

/** The same fleet, shared out among processes. */
function simulateCrowds(clients: number, outage: number, seed: number, scenarios: readonly Scenario[]): CrowdScenario {
  const alone = scenarios.find((one) => one.clients === clients && one.outage === outage)!.runs[0]!.outcome;
  const runs = POOLS.filter((processes) => clients % processes === 0).map((processes): CrowdRun => ({
    processes,
    gated: crowd(ours, { ...herdOf(clients, outage, seed), processes }),
    alone,
  }));
  const scenario = { clients, outage, runs };
  print(`Pools, ${fleetHeading({ ...scenario, runs: [] })}`, crowdTable(scenario));
  return scenario;
}

function choose(seed: number): Pick<Findings, 'candidates' | 'chosen'> {
  const candidates = measureAll(seed);
  const { name } = defaultCandidate() ?? {};
  const chosen = candidates.find((row) => row.name === name);
  if (chosen !== undefined) print('The default', choiceTable([{ ...chosen, compared: 1, isDefault: true }]));
  return { candidates, chosen };
}

function write(findings: Findings): void {
  const { runs } = findings.scenarios.find(
    ({ clients, outage }) => clients === SHOWN.clients && outage === SHOWN.outage,
  )!;
  const pools = findings.crowds.find(({ outage }) => outage === SHOWN.outage)!;
  for (const theme of [light, dark]) {
    save(`herd-${theme.name}.svg`, fleetChart({ ...SHOWN, capacity: CAPACITY, runs }, theme));
    save(`herd-gate-${theme.name}.svg`, crowdChart({ ...SHOWN, capacity: CAPACITY, runs: pools.runs }, theme));
  }
  save('herd.md', page(findings));
}

function save(file: string, text: string): void {
  writeFileSync(join(project, 'docs', file), text);
  process.stdout.write(`docs/${file}\n`);
}

let since = performance.now();

/** Prints a table, and how long it took to get there. */
function print(heading: string, text: string): void {
  const now = performance.now();
  process.stdout.write(`${heading} (${span(now - since)})\n\n${text}\n\n`);
  since = now;
}
