import { runProgram, text, whole } from '../kit/command-line';
import { COUNTED, Coverage } from './coverage';
import { runDelivery } from './delivery';
import { planOf } from './plan';
import { runPool } from './pool';
import { type Sabotage, run } from './run';
import { sabotages } from './sabotage';
import { shrink } from './shrink';

/** Lines of a trace that are shown. */
const SHOWN = 120;
/** One in so many seeds is that of a pool too. */
const POOLS = 30;

/** One in so many seeds is that of a delivery window too. */
const DELIVERIES = 20;

const totals = { seeds: 0, pools: 0, deliveries: 0, messages: 0, steps: 0, writes: 0, dials: 0, 'simulated hours': 0 };
const coverage = new Coverage();

// npm run chaos -- [--seeds N] [--from S] [--seed S] [--steps N] [--most N] [--trace] [--sabotage WHAT]: runs the seeds
// asked for, and of some a pool and a delivery window too; a line for each that fails, the figures, and the count at the
// end. In a run that is long enough, whatever of the contract never occurred is a failure too. A sabotage breaks the
// library on purpose. npm run chaos -- --messages N: delivery windows alone, until so many messages have arrived.
const options = {
  seeds: whole,
  from: whole,
  seed: whole,
  steps: whole,
  most: whole,
  trace: 'flag',
  sabotage: text,
  messages: whole,
} as const;

runProgram(options, async ({ seeds, from = 1, steps = 300, seed, most = 5, trace, sabotage: named, messages }) => {
  const sabotage = named === undefined ? undefined : sabotageCalled(named);
  const first = seed ?? from;
  const count = seed !== undefined ? 1 : (seeds ?? (messages === undefined ? 1_000 : Infinity));
  // What the simulated process throws is caught within; this is for what gets past it.
  const accidents: unknown[] = [];
  process.on('unhandledRejection', (reason) => accidents.push(reason));
  process.on('uncaughtException', (error) => accidents.push(error));
  const began = process.hrtime.bigint();
  let failures = 0;
  const isAsked = (next: number) => next < first + count && totals.messages < (messages ?? Infinity);
  for (let next = first; isAsked(next) && failures < most; next++) {
    const isWell =
      messages !== undefined
        ? await deliveryPasses(next, steps, trace)
        : (await passes(next, steps, trace, sabotage)) &&
          (next % POOLS > 0 || (await poolPasses(next, steps))) &&
          (next % DELIVERIES > 0 || (await deliveryPasses(next, steps)));
    if (!isWell || accidents.length > 0) failures += 1;
    if (accidents.length > 0) console.log(`seed ${next}: not caught`, accidents.splice(0));
  }
  const missing = totals.steps >= COUNTED ? coverage.missing : [];
  report(Number(process.hrtime.bigint() - began) / 1e9);
  for (const what of missing) console.log(`never occurred in ${totals.steps} steps: ${what}`);
  const failed = failures + missing.length;
  console.log(`${totals.seeds || totals.deliveries} seeds, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
});

function sabotageCalled(name: string): Sabotage {
  const found = Object.entries(sabotages).find(([what]) => what === name);
  if (found === undefined) throw new Error(`There is no sabotage ${name}, but: ${Object.keys(sabotages).join(', ')}`);
  return found[1].sabotage;
}

async function passes(seed: number, steps: number, showsTrace: boolean, sabotage?: Sabotage): Promise<boolean> {
  const plan = planOf(seed, steps);
  const result = await run(plan, sabotage);
  totals.seeds += 1;
  totals.steps += result.steps;
  totals.writes += result.writes;
  totals.dials += result.dials;
  totals['simulated hours'] += result.simulated / 3_600_000;
  coverage.add(result);
  if (showsTrace) console.log(result.trace.join('\n'));
  if (result.violation === undefined) return true;

  console.log(`seed ${seed}, step ${result.steps}: ${result.violation.rule}: ${result.violation.message}`);
  const shortest = await shrink(plan, result, sabotage);
  const { setup, impulses, steps: left } = shortest.plan;
  console.log(JSON.stringify(setup, (_key, value: unknown) => (value === Infinity ? 'Infinity' : value)));
  console.log(`${left.length} steps, ${impulses.length} impulses ${JSON.stringify(impulses)}`);
  console.log(shortest.result.trace.slice(-SHOWN).join('\n'), '\n');
  return false;
}

async function poolPasses(seed: number, steps: number): Promise<boolean> {
  const { violation, trace, seldom } = await runPool(seed, steps);
  coverage.add({ seldom });
  totals.pools += 1;
  if (violation === undefined) return true;
  console.log(`pool of seed ${seed}: ${violation.rule}: ${violation.message}`);
  console.log(trace.slice(-SHOWN).join('\n'), '\n');
  return false;
}

async function deliveryPasses(seed: number, steps: number, showsTrace = false): Promise<boolean> {
  const { violation, trace, seldom, messages } = await runDelivery(seed, steps);
  coverage.add({ seldom: new Map([...seldom].map(([what, times]) => [`${what} of a delivery`, times])) });
  totals.deliveries += 1;
  totals.messages += messages;
  if (showsTrace) console.log(trace.join('\n'));
  if (violation === undefined) return true;
  console.log(`delivery of seed ${seed}: ${violation.rule}: ${violation.message}`);
  console.log(trace.slice(-SHOWN).join('\n'), '\n');
  return false;
}

function report(seconds: number): void {
  for (const [name, figure] of Object.entries(totals)) console.log(`${name}: ${Math.round(figure)}`);
  console.log(coverage.toString());
  console.log(`${(totals.seeds / seconds).toFixed(1)} seeds/s, ${Math.round(totals.steps / seconds)} steps/s`);
}
