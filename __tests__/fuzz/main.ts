import { parseArgs } from 'node:util';

import { fuzzOptions } from './options';
import { fuzzServers } from './servers';
import { watchSessions } from './tls-sessions';

// node main.js --options <count> | --servers <count> | --sessions <count> [--seed <number>]
// Runs what is asked for, one after the other. Each report is a line of JSON; any fault makes the exit code 1.
const { values } = parseArgs({
  options: {
    options: { type: 'string' },
    servers: { type: 'string' },
    sessions: { type: 'string' },
    seed: { type: 'string' },
  },
});
const seed = Number(values.seed ?? Date.now() % 1e9);

async function main(): Promise<void> {
  const runs = [
    [values.options, fuzzOptions],
    [values.servers, fuzzServers],
    [values.sessions, watchSessions],
  ] as const;
  for (const [count, run] of runs) {
    if (count === undefined) continue;
    const from = performance.now();
    const report = await run(Number(count), seed);
    console.log(JSON.stringify({ ...report, seconds: Math.round((performance.now() - from) / 100) / 10 }));
    if (report.faults > 0) process.exitCode = 1;
  }
}

// A run hears all that nobody catches, and so would hear of its own failure and go on.
main().catch((error: unknown) => {
  console.error(error);
  process.exit(2);
});
