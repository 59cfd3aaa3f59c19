import { join } from 'node:path';

import { positive, runProgram, text } from '../kit/command-line';
import { deliveries } from '../delivery/delivery-process';
import { measureApart } from './apart';
import { leaks } from './leaks';
import { streams } from './stream';

/** What the long run is made of: measurements, each by its name and its count, and the program that makes them. */
interface Part {
  readonly name: string;
  readonly program: string;
  readonly measurements: readonly { readonly name: string; readonly full: number }[];
  /** Whether the counts are seconds. */
  readonly isTimed?: boolean;
}

const parts: readonly Part[] = [
  { name: 'leaks', program: 'leaks-process.js', measurements: leaks },
  { name: 'delivery', program: '../delivery/delivery-process.js', measurements: deliveries },
  { name: 'stream', program: 'stream-process.js', measurements: streams, isTimed: true },
];

/**
 * Runs all measurements, or those whose part is called `only` or whose name holds it, one after the other, and prints a
 * line for each. Returns how many failed.
 */
async function run(only: string, cycles: number, minutes: number | undefined): Promise<number> {
  let ran = 0;
  let failed = 0;
  for (const part of parts) {
    for (const { name, full } of part.measurements) {
      if (part.name !== only && !name.includes(only)) continue;
      const startedAt = performance.now();
      const seconds = minutes === undefined ? full : (minutes * 60) / part.measurements.length;
      const count = part.isTimed === true ? seconds : Math.min(full, cycles);
      const { figures, problems } = await measureApart(join(__dirname, part.program), name, count);
      const took = ((performance.now() - startedAt) / 1_000).toFixed(1);
      const told = Object.entries(figures).map(([figure, value]) => `${figure} ${worded(value)}`);
      const verdict = problems.length === 0 ? 'pass' : 'FAIL';
      console.log(`${verdict}  ${name.padEnd(40)} ${took.padStart(6)} s  ${told.join(', ')}`);
      for (const problem of problems) console.log(`      ${problem}`);
      ran += 1;
      if (problems.length > 0) failed += 1;
    }
  }
  console.log(`${ran - failed} passed, ${failed} failed`);
  return ran === 0 ? 1 : failed;
}

function worded(value: number): string {
  return new Intl.NumberFormat('en', { maximumFractionDigits: 0 }).format(value);
}

// npm run soak -- [--only NAME] [--cycles N] [--minutes N]: cycles bound how often each is done, or how many mebibytes it
// takes, or its messages; minutes are how long the streams flow together.
// What is being measured ends with this process.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(1));
runProgram({ only: text, cycles: positive, minutes: positive }, async ({ only = '', cycles = Infinity, minutes }) => {
  process.exitCode = (await run(only, cycles, minutes)) > 0 ? 1 : 0;
});
