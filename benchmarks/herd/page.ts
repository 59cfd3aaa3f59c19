import { type Row, CHOICE_CLIENTS, compared, front } from './choice';
import { KERNEL_TIMEOUT, RESENDS, ROUND_TRIP } from './network';
import { type Policy, ours } from './policies';
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
import { table } from './table';
import { count, figure, outage as lasting, span } from './words';

/** All that a run has found. */
export interface Findings {
  readonly seed: number;
  readonly scenarios: readonly Scenario[];
  readonly lone: readonly LoneRun[];
  readonly crowds: readonly CrowdScenario[];
  readonly candidates: readonly Row[];
  /** The candidate that the library's default is; none where it is not among them. */
  readonly chosen: Row | undefined;
}

/** What a default must keep to, in a fleet of {@link CHOICE_CLIENTS} after 30 s. */
export const LIMITS = { t99: 1.15, attempts: 9 } as const;

/** How many candidates are shown beside the default. */
const SHOWN = 12;

/** The whole page. */
export function page(findings: Findings): string {
  return [
    '# The herd',
    `What do many clients do to a server that went away and came back, and what does it do to them? Their waits decide it.
This page is a simulation in virtual time, with seed ${findings.seed}; all of it is made by`,
    '```sh\nnpm run bench:herd -- --write\n```',
    picture('herd', 'Attempts a second over time after an outage, a panel for each policy'),
    model(),
    policies(findings.lone.map(({ policy }) => policy)),
    '## Fleets',
    `\`attempts\` are dials, and \`packets\` what arrives at the server to ask for a connection, both a client. \`busiest second\` is the
most dials within a second, a client. Times count from the server's return, in units of the least that there can be: as many clients
as there are, over ${count(CAPACITY)} a second. \`never\` is more than ${PATIENCE} of them.`,
    ...findings.scenarios.flatMap((scenario) => [`### ${fleetHeading(scenario)}`, fleetTable(scenario)]),
    '## One client',
    'How long it waits after the server is back: on average, and what 99 of 100 do not exceed. The outages are as long as said, give or take a fifth.',
    loneTable(findings.lone, OUTAGES),
    choice(findings),
    '## The gate',
    `Connections of one pool to one endpoint share what they know of it: one dials first, the others follow in a growing window. Each
process has a gate of its own, and knows nothing of the other processes. A hedge is a second dial beside one without an answer.`,
    picture('herd-gate', 'Attempts a second and clients that are back over time, with the gate and without it'),
    ...findings.crowds.flatMap((crowds) => [
      `### Pools: ${count(crowds.clients)} clients, ${lasting(crowds.outage)}`,
      crowdTable(crowds),
    ]),
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
  return `## What is modelled

- **The server** serves ${count(CAPACITY)} clients a second, one after the other: a TLS handshake and the first queries at a fifth of a
  millisecond. ${count(BACKLOG)} wait in its accept queue at most, which is what Linux grants as it comes (\`net.core.somaxconn\`).
- **The outage** is the death of a process: at 0 all sessions end, dials are refused at once, and after 1 s, 30 s or 10 min it listens
  again, with an empty queue.
- **A full queue** drops the SYN without a word. The client's kernel sends it again after ${resends} s (\`tcp_syn_retries\` is 6) until
  the client's connect timeout ends the attempt; where there is none, until the kernel gives up after ${KERNEL_TIMEOUT / 1_000} s.
- **Clients** have all had a healthy session. Their round trips are spread evenly from ${ROUND_TRIP.least} to ${ROUND_TRIP.most} ms. Who is served stays.
- **Left out:** lost packets, hosts that vanish without refusing, servers that slow down under load, and clocks that differ.`;
}

function policies(all: readonly Policy[]): string {
  const rows = all.map(({ name, waits, connectTimeout, origin }) => [name, waits, span(connectTimeout), origin]);
  return `## The policies

${table(['policy', 'waits', 'connect timeout', 'source'], rows, 4)}

Where a policy is published without a connect timeout of its own, it has this library's.`;
}

/** Candidates that keep to the limits, best first, and the default wherever it is. */
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

\`defaultBackoff()\` waits ${ours.waits}. It was sought among ${candidates.length} of its kind: a first wait of up to 0.1, 0.25 or 1 s, then
decorrelated growth (anything from the least wait to three times the wait before) from 0.5, 1 or 2 s to a cap of 5, 8, 10, 20 or 30 s, where a
wait beyond the cap is cut off, or drawn anew from the cap's last quarter or from the whole range.

No one of them is best in everything: ${undominated.length} of the ${candidates.length} are beaten by none. Shorter waits suit a lone client and cost attempts; longer ones
spare a server and idle it when it is back. So there are two limits, for ${count(CHOICE_CLIENTS)} clients after 30 s: 99 % are back within ${LIMITS.t99} of the least
time, with at most ${LIMITS.attempts} attempts each. The default takes ${figure(attempts)} attempts and ${figure(t99, 2)}; a lone client waits ${figure(mean)} s on average.

The table has those that keep to the limits and are beaten by none${within(chosen) ? '' : ', and the default, which does not keep to them'}; the default is in bold. \`together\` is the geometric mean of all costs over the
default's, also those after outages of 1 s and 10 min that are not shown: less is better, and a few hundredths make no difference that could be felt.

${choiceTable(shown)}`;
}
