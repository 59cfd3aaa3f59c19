import { runProgram, whole } from '../kit/command-line';
import type { Candidate } from './hostile-options';
import { fuzzOptions } from './options';
import { fuzzServers } from './servers';
import { watchSessions } from './tls-sessions';

// npm run fuzz -- [--options N] [--servers N] [--sessions N] [--seed S] [--sabotage]: runs the named parts one after
// the other, or a short form of all. Each report is a line of JSON. Any fault makes the exit code 1, and so does a socket
// or timer that is left. The sabotage is one option that cannot be right, to be found.

/** Options that throw, said to open. */
const SABOTAGE: Candidate = { options: { port: 70_000 }, kind: 'opens' };

const SHORT = { options: 3_000, servers: 600, sessions: 200 };

const known = { options: whole, servers: whole, sessions: whole, seed: whole, sabotage: 'flag' } as const;

runProgram(known, async ({ seed, sabotage, ...counts }) => {
  const { options, servers, sessions } = Object.values(counts).some(Boolean) ? counts : SHORT;
  const runs = [
    [options, (count: number, from: number) => fuzzOptions(count, from, sabotage ? [SABOTAGE] : [])],
    [servers, fuzzServers],
    [sessions, watchSessions],
  ] as const;
  for (const [count, run] of runs) {
    if (count === undefined) continue;
    const from = performance.now();
    const report = await run(count, seed ?? Date.now() % 1e9);
    console.log(JSON.stringify({ ...report, seconds: Math.round((performance.now() - from) / 100) / 10 }));
    if (report.faults > 0 || ('left' in report && report.left.length > 0)) process.exitCode = 1;
  }
});
