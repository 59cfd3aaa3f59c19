import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { runProgram, whole } from '../../__tests__/kit/command-line';
import { project } from '../project';
import { defaultCandidate } from './candidates';
import { measureAll } from './choice';
import { crowd } from './crowd';
import { type CrowdRun, crowdChart } from './crowd-chart';
import { ejectionPage } from './ejection-page';
import { fleet } from './fleet';
import { type Run, fleetChart } from './fleet-chart';
import { lone } from './lone';
import { page } from './page';
import { others, ours } from './policies';
import { RESTART_SIZE, restartPage } from './rolling-page';
import type { CrowdScenario, LoneRun, Scenario } from './results';
import { herdOf, CAPACITY, FLEETS, OUTAGES, POOLS } from './scenarios';
import { dark, light } from './theme';
import { count, duration, span } from './words';

// npm run bench:herd -- [--clients N] [--seed S] [--write]: prints the page with the fleets, one client, the candidates, the
// gate and the restart of many targets; `--write` writes docs/herd.md and its charts, too. `--clients` simulates one fleet of
// that size only. `--rolling` prints the restart of many targets only, of `--clients` with `--targets N`, and `--ejection`
// what the ejection of members does in pools instead.

const policies = [ours, ...others];
/** The fleet and the outage of the charts. */
const SHOWN = { clients: FLEETS[0]!, outage: OUTAGES[1]! } as const;

runProgram(
  { clients: whole, targets: whole, seed: whole, write: 'flag', ejection: 'flag', rolling: 'flag' },
  ({ clients, targets, seed = 1, write, ejection, rolling }) => {
    if (ejection) return void process.stdout.write(ejectionPage(seed));
    if (rolling) {
      const size = { clients: clients ?? RESTART_SIZE.clients, targets: targets ?? RESTART_SIZE.targets };
      return void process.stdout.write(`${restartPage(size, seed, progress)}\n`);
    }
    if (write && clients !== undefined) throw new Error('--write is for the whole run, without --clients');

    const fleets = clients === undefined ? FLEETS : [clients];
    const scenarios = fleets.flatMap((clients) => OUTAGES.map((outage) => simulateFleet(clients, outage, seed)));
    const crowds = OUTAGES.map((outage) => simulateCrowds(fleets[0]!, outage, seed, scenarios));
    const single = simulateLone(seed);
    const candidates = measureAll(seed);
    progress('the candidates');
    const { name } = defaultCandidate() ?? {};
    const text = page({
      seed,
      scenarios,
      lone: single,
      crowds,
      restarts: restartPage(RESTART_SIZE, seed, progress),
      candidates,
      chosen: candidates.find((row) => row.name === name),
    });
    process.stdout.write(text);
    if (!write) return;
    save('herd.md', text);
    saveCharts(scenarios, crowds);
  },
);

function simulateFleet(clients: number, outage: number, seed: number): Scenario {
  const runs = policies.map((policy): Run => ({ policy, outcome: fleet(policy, herdOf(clients, outage, seed)) }));
  progress(`${count(clients)} clients, ${duration(outage)}`);
  return { clients, outage, runs };
}

function simulateLone(seed: number): LoneRun[] {
  return policies.map((policy) => ({ policy, after: OUTAGES.map((outage) => lone(policy, outage, seed)) }));
}

/** The same fleet in pools. */
function simulateCrowds(clients: number, outage: number, seed: number, scenarios: readonly Scenario[]): CrowdScenario {
  const alone = scenarios.find((one) => one.clients === clients && one.outage === outage)!.runs[0]!.outcome;
  const runs = POOLS.filter((processes) => clients % processes === 0).map((processes): CrowdRun => ({
    processes,
    gated: crowd(ours, { ...herdOf(clients, outage, seed), processes }),
    alone,
  }));
  progress(`pools, ${count(clients)} clients, ${duration(outage)}`);
  return { clients, outage, runs };
}

function saveCharts(scenarios: readonly Scenario[], crowds: readonly CrowdScenario[]): void {
  const { runs } = scenarios.find(({ clients, outage }) => clients === SHOWN.clients && outage === SHOWN.outage)!;
  const pools = crowds.find(({ outage }) => outage === SHOWN.outage)!;
  for (const theme of [light, dark]) {
    save(`herd-${theme.name}.svg`, fleetChart({ ...SHOWN, capacity: CAPACITY, runs }, theme));
    save(`herd-gate-${theme.name}.svg`, crowdChart({ ...SHOWN, capacity: CAPACITY, runs: pools.runs }, theme));
  }
}

function save(file: string, text: string): void {
  writeFileSync(join(project, 'docs', file), text);
  progress(`docs/${file}`);
}

/** Says what is done, and the time since the start. */
function progress(text: string): void {
  process.stderr.write(`${span(performance.now())}: ${text}\n`);
}
