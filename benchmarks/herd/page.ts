import { markdown } from '../table';
import { type Row, CHOICE_CLIENTS, compared, front } from './choice';
import { KERNEL_TIMEOUT, RESENDS, ROUND_TRIP } from './network';
import { ours } from './policies';
import type { Policy } from './policy';
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
import { BACKLOG, CAPACITY, OUTAGES, PATIENCE } from './scenarios';
import { count, duration, figure, span } from './words';

/** The results of a run. */
export interface Findings {
  readonly seed: number;
  readonly scenarios: readonly Scenario[];
  readonly lone: readonly LoneRun[];
  readonly crowds: readonly CrowdScenario[];
  /** The section of the rolling restart. */
  readonly restarts: string;
  readonly candidates: readonly Row[];
  /** The candidate that equals the library's default, if there is one. */
  readonly chosen: Row | undefined;
}

/** Limits for the default, with {@link CHOICE_CLIENTS} clients after 30 s. */
export const LIMITS = { t99: 1.15, attempts: 9 } as const;

/** Rows of the table of candidates. */
const SHOWN = 12;

export function page(findings: Findings): string {
  return [
    '# The herd',
    `When a server comes back after an outage, the backoff of its clients decides how many dials it gets at once, and how soon all
clients are served. This page compares backoff policies by a simulation in virtual time, with seed ${findings.seed}. The whole page is made by`,
    '```sh\nnpm run bench:herd -- --write\n```',
    picture('herd', 'Attempts a second over time after an outage, a panel for each policy'),
    model(),
    policies(findings.lone.map(({ policy }) => policy)),
    '## Fleets',
    `\`attempts\` are dials, \`packets\` are SYN packets that arrive at the server, and \`busiest second\` is the most dials within one second;
all three are divided by the number of clients. \`99 % back\` and \`all back\` are times from the server's return, as multiples of the
least possible time, which is the number of clients over ${count(CAPACITY)} a second. \`never\` means more than ${PATIENCE} times that.`,
    ...findings.scenarios.flatMap((scenario) => [`### ${fleetHeading(scenario)}`, fleetTable(scenario)]),
    '## One client',
    'How long one client waits after the server is back: the mean, and the time that 99 of 100 runs do not exceed. The length of the outage varies by a fifth either way.',
    loneTable(findings.lone, OUTAGES),
    choice(findings),
    '## The gate',
    `The connections of a pool to one endpoint share a gate: one of them dials first, and when it has connected, the others follow in a
growing window. Each process has a gate of its own. A hedge is a second dial, beside one that has had no answer.`,
    picture('herd-gate', 'Attempts a second and clients that are back over time, with the gate and without it'),
    ...findings.crowds.flatMap((crowds) => [
      `### Pools: ${count(crowds.clients)} clients, ${duration(crowds.outage)}`,
      crowdTable(crowds),
    ]),
    findings.restarts,
  ]
    .join('\n\n')
    .concat('\n');
}

function picture(name: string, alt: string): string {
  return `<picture>
  <source media="(prefers-color-scheme: dark)" srcset="${name}-dark.svg">
  <img src="${name}-light.svg" alt="${alt}" width="800">
</picture>`;
}

function model(): string {
  const resends = RESENDS.map((at) => at / 1_000).join(', ');
  return `## The model

- **The server** serves ${count(CAPACITY)} clients a second, one after the other: a fifth of a millisecond for a TLS handshake and the first
  queries. Its accept queue holds at most ${count(BACKLOG)} connections, the default of Linux (\`net.core.somaxconn\`).
- **The outage** is the crash of a process: at time 0 all sessions end, and dials are refused at once. After 1 s, 30 s or 10 min the server
  listens again, with an empty queue.
- **A full queue** drops the SYN, and sends no answer. The client's kernel sends it again after ${resends} s (\`tcp_syn_retries\` is 6) until
  the client's connect timeout ends the attempt; without a connect timeout, until the kernel gives up after ${KERNEL_TIMEOUT / 1_000} s.
- **Clients** have all had a healthy session. Their round trips are distributed evenly from ${ROUND_TRIP.least} to ${ROUND_TRIP.most} ms. A client that is served stays connected.
- **Left out:** lost packets, hosts that vanish without refusing, servers that slow down under load, and clocks that differ.`;
}

function policies(all: readonly Policy[]): string {
  const rows = all.map(({ name, waits, connectTimeout, origin }) => [name, waits, span(connectTimeout), origin]);
  return `## The policies

${markdown(['policy', 'waits', 'connect timeout', 'source'], rows, 4)}

A policy that is published without a connect timeout has this library's.`;
}

/** The candidates within the limits, best first, and the default. */
function choice({ candidates, chosen }: Findings): string {
  if (chosen === undefined) throw new Error('The default is not among the candidates');
  const undominated = front(candidates);
  const within = ({ costs }: Row) => costs.t99 <= LIMITS.t99 && costs.attempts <= LIMITS.attempts;
  const rows = candidates
    .filter((row) => row === chosen || (within(row) && undominated.includes(row)))
    .map((row) => ({ ...row, compared: compared(row, chosen), isDefault: row === chosen }))
    .sort((a, b) => a.compared - b.compared);
  const shown = rows.filter((row, index) => index < SHOWN || row.isDefault);
  const { attempts, t99, mean } = chosen.costs;
  return `## The default, and why

\`defaultBackoff()\` waits ${ours.waits}. It was chosen among ${candidates.length} candidates of the same kind: a first wait of up to 0.1, 0.25 or
1 s, then decorrelated waits (random, between the least wait and three times the previous wait) from 0.5, 1 or 2 s up to a cap of 5, 8, 10, 20 or
30 s. A wait beyond the cap is cut off, or drawn again from the last quarter below the cap or from the whole range.

No candidate is best in every figure: ${undominated.length} of the ${candidates.length} are beaten by none. Shorter waits are better for a lone client, and cost attempts; longer
waits spare the server, and leave it idle when it is back. So there are two limits, for ${count(CHOICE_CLIENTS)} clients after 30 s: 99 % are back within
${LIMITS.t99} times the least possible time, with at most ${LIMITS.attempts} attempts each. The default takes ${figure(t99, 2)} times that and ${figure(attempts)} attempts; a lone client waits ${figure(mean)} s on average.

The table has the candidates within the limits that are beaten by none${within(chosen) ? '' : ', and the default, which is not within them'}; the default is in bold. \`together\` is the geometric mean of
the ratios of all costs to the default's, including those after outages of 1 s and 10 min that are not shown. Less is better; a few hundredths make no practical difference.

${choiceTable(shown)}`;
}
