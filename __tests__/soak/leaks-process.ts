import { leaks } from './leaks';
import { prepare } from './measure';

// The program of one measurement: node --expose-gc leaks-process.js <name> <count>. Prints what it found as JSON.
async function main([name, count]: readonly string[]): Promise<void> {
  const leak = leaks.find((each) => each.name === name);
  if (leak === undefined) throw new Error(`There is no measurement called ${String(name)}`);
  await prepare();
  process.stdout.write(JSON.stringify(await leak.measure(Number(count))) + '\n');
}

// A way out that peers hear of: one that was stopped would not notice that this process is gone.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(1));
void main(process.argv.slice(2));
