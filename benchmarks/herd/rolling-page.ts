import { markdown } from '../table';
import { others, ours } from './policies';
import { type Restart, type RestartOutcome, restart } from './rolling';
import { CAPACITY } from './scenarios';
import { count, duration, figure, span } from './words';

/** How many clients, and on how many targets. */
export interface RestartSize {
  readonly clients: number;
  readonly targets: number;
}

export const RESTART_SIZE: RestartSize = { clients: 1_000_000, targets: 100 };

/** Milliseconds for which a target is down. */
const OUTAGE = 1_000;

/** Members that a pool has at each target. */
const MEMBERS = 100;

/** A section of the page: all targets of a fleet are restarted, one after the other and all at once. */
export function restartPage({ clients, targets }: RestartSize, seed: number, onRun?: (text: string) => void): string {
  const share = clients / targets;
  const processes = Math.max(1, Math.round(share / MEMBERS));
  const tables = [true, false].map((isRolling) => {
    const options: Restart = { clients, targets, outage: OUTAGE, isRolling, seed };
    const pools = `${ours.name}, ${count(processes)} pools of ${count(clients / processes)}`;
    const rows = [
      row(pools, restart(ours, { ...options, processes }), clients),
      ...[ours, ...others].map((policy) => row(policy.name, restart(policy, options), clients)),
    ];
    const order = isRolling ? 'one after the other' : 'all at once';
    onRun?.(`${count(clients)} clients, ${targets} targets, ${order}`);
    return `### ${count(targets)} targets, ${order}\n\n${markdown(HEAD, rows)}`;
  });
  const least = span((1_000 * share) / CAPACITY);
  return `## A rolling restart

${count(clients)} clients, ${count(share)} at each of ${targets} targets, every one of which is a server as above. Each target is down for ${duration(OUTAGE)}, and can
serve its clients within ${least}. In the first table the next one goes down when the one before listens again, so that the restarts take
${span(OUTAGE * targets)}; in the second, all go down at once. \`busiest second\` is the most dials of all clients within one second, \`away\` the
most clients that are without a session at a time. \`99 % of a target\` is the time from a target's return until it has served 99 % of its clients,
of half of the targets and of the slowest; \`99 % of all\` counts from the first restart. Every client is simulated: none is extrapolated.
This section alone, or a smaller one (\`--clients 10000 --targets 10\`), is printed by

\`\`\`sh
npm run bench:herd -- --rolling
\`\`\`

${tables.join('\n\n')}`;
}

const HEAD = ['clients', 'dials each', 'busiest second', 'away', '99 % of a target', 'the slowest', '99 % of all'];

function row(name: string, { attempts, peak, away, t99, slowest, whole }: RestartOutcome, clients: number): string[] {
  const share = (dials: number) => `${count(dials)} (${figure(dials / clients, 3)} each)`;
  return [name, figure(attempts, 2), share(peak), count(away), time(t99), time(slowest), time(whole ?? Infinity)];
}

function time(milliseconds: number): string {
  return milliseconds === Infinity ? 'never' : span(milliseconds);
}
