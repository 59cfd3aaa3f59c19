import { runProgram, whole } from '../kit/command-line';
import { fuzzOptions } from './options';
import { fuzzServers } from './servers';
import { watchSessions } from './tls-sessions';

// npm run fuzz -- [--options N] [--servers N] [--sessions N] [--seed S]: runs the named parts one after the other, or a
// short form of all. Each report is a line of JSON; any fault makes the exit code 1.

const SHORT = { options: 3_000, servers: 600, sessions: 200 };

runProgram({ options: whole, servers: whole, sessions: whole, seed: whole }, async ({ seed, ...counts }) => {
  const { options, servers, sessions } = Object.values(counts).some(Boolean) ? counts : SHORT;
  const runs = [
    [options, fuzzOptions],
    [servers, fuzzServers],
    [sessions, watchSessions],
  ] as const;
  for (const [count, run] of runs) {
    if (count === undefined) continue;
    const from = performance.now();
    const report = await run(count, seed ?? Date.now() % 1e9);
    console.log(JSON.stringify({ ...report, seconds: Math.round((performance.now() - from) / 100) / 10 }));
    if (report.faults > 0) process.exitCode = 1;
  }
});
