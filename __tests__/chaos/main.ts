import { transitions } from '../../lib/lifecycle/states';
import { runProgram, whole } from '../kit/command-line';
import { planOf } from './plan';
import { runPool } from './pool';
import { run } from './run';
import { shrink } from './shrink';

/** Lines of a trace that are shown. */
const SHOWN = 120;
/** One in so many seeds is that of a pool too. */
const POOLS = 30;

const totals = {
  seeds: 0,
  pools: 0,
  steps: 0,
  writes: 0,
  dials: 0,
  'simulated hours': 0,
  faults: new Map<string, number>(),
  events: new Map<string, number>(),
  resets: new Map<string, number>(),
  states: new Map<string, number>(),
  transitions: new Map<string, number>(),
};

// npm run chaos -- [--seeds N] [--from S] [--seed S] [--steps N] [--most N] [--trace]: runs the seeds asked for, and a pool
// of every thirtieth; a line for each that fails, and the figures at the end.
const options = { seeds: whole, from: whole, seed: whole, steps: whole, most: whole, trace: 'flag' } as const;

runProgram(options, async ({ seeds = 1_000, from = 1, steps = 300, seed, most = 5, trace }) => {
  const first = seed ?? from;
  const count = seed === undefined ? seeds : 1;
  // What the simulated process throws is caught within; this is for what gets past it.
  const accidents: unknown[] = [];
  process.on('unhandledRejection', (reason) => accidents.push(reason));
  process.on('uncaughtException', (error) => accidents.push(error));
  const began = process.hrtime.bigint();
  let failures = 0;
  for (let next = first; next < first + count && failures < most; next++) {
    const isWell = (await passes(next, steps, trace)) && (next % POOLS > 0 || (await poolPasses(next, steps)));
    if (!isWell || accidents.length > 0) failures += 1;
    if (accidents.length > 0) console.log(`seed ${next}: not caught`, accidents.splice(0));
  }
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  report(seconds);
  process.exitCode = failures > 0 ? 1 : 0;
});

async function passes(seed: number, steps: number, showsTrace: boolean): Promise<boolean> {
  const plan = planOf(seed, steps);
  const result = await run(plan);
  totals.seeds += 1;
  totals.steps += result.steps;
  totals.writes += result.writes;
  totals.dials += result.dials;
  totals['simulated hours'] += result.simulated / 3_600_000;
  add(totals.faults, result.faults);
  add(totals.events, result.events);
  add(totals.resets, result.resets);
  add(totals.transitions, result.transitions);
  for (const [key, times] of result.transitions) add(totals.states, new Map([[key.split('-')[1]!, times]]));
  if (showsTrace) console.log(result.trace.join('\n'));
  if (result.violation === undefined) return true;

  console.log(`seed ${seed}, step ${result.steps}: ${result.violation.rule}: ${result.violation.message}`);
  const shortest = await shrink(plan, result);
  const { setup, impulses, steps: left } = shortest.plan;
  console.log(JSON.stringify(setup, (_key, value: unknown) => (value === Infinity ? 'Infinity' : value)));
  console.log(`${left.length} steps, ${impulses.length} impulses ${JSON.stringify(impulses)}`);
  console.log(shortest.result.trace.slice(-SHOWN).join('\n'), '\n');
  return false;
}

async function poolPasses(seed: number, steps: number): Promise<boolean> {
  const { violation, trace } = await runPool(seed, steps);
  totals.pools += 1;
  if (violation === undefined) return true;
  console.log(`pool of seed ${seed}: ${violation.rule}: ${violation.message}`);
  console.log(trace.slice(-SHOWN).join('\n'), '\n');
  return false;
}

function add(sums: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, times] of counts) sums.set(name, (sums.get(name) ?? 0) + times);
}

function report(seconds: number): void {
  const { faults, events, resets, states, transitions: covered, ...figures } = totals;
  for (const [name, figure] of Object.entries(figures)) console.log(`${name}: ${Math.round(figure)}`);
  for (const [name, counts] of Object.entries({ faults, events, resets, states, transitions: covered })) {
    const sorted = [...counts].sort(([, one], [, other]) => other - one);
    console.log(`${name}: ${sorted.map(([key, times]) => `${key} ${times}`).join(', ')}`);
  }
  const all = Object.entries(transitions).flatMap(([from, tos]) => tos.map((to) => `${from}-${to}`));
  const missed = all.filter((key) => !covered.has(key));
  console.log(`transitions covered: ${all.length - missed.length} of ${all.length}`, missed.join(' '));
  console.log(`${(totals.seeds / seconds).toFixed(1)} seeds/s, ${Math.round(totals.steps / seconds)} steps/s`);
}
