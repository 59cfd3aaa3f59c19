import { type Goal, finding, findingText, goalText, goals } from './goals';
import type { Result } from './contest';
import type { Measurements, Run } from './records';
import { markdown, table } from './table';

const HEAD = `# Benchmarks

Made by \`npm run bench\`; each section has its command. Ratios of one run can be compared, absolute figures of two machines cannot.

- The first row of a table is entered **again** as the second: an A/A control. The **band** of a figure is the largest ratio
  between the two, in either direction, in any round. A goal is *reached* or *missed* only if the figure is further from it than
  the band; otherwise it is *within the band*.
- The first row has the median of its figures over the rounds. Rows below have the median of their ratios to the first row, each
  taken within a round, and in brackets the quartiles (the control: the extremes). Columns without × have figures.
- Each round has fresh processes, and a peer that runs as a process of its own. Where a table says *in slices*, one process has all
  rows: each warms up for at least a second, then they take turns in many short slices, and a round counts the lower quartile of a
  row's slices (user CPU: their sum). CPU is user and system time of the client's process.
- A run during which other work took more than a twentieth of the machine's processors, or the host took them away, is repeated; if
  it was no better then, the table says so.
- The goals name every version of Node that was measured. The tables are those of the oldest and of the newest: what was measured with
  the others is beside this page, in a folder of its name.
`;

/** The page of all versions of Node that were measured. */
export function page(measurements: readonly Measurements[]): string {
  const measured = measurements.toSorted((one, other) => one.node - other.node);
  const shown = measured.filter((_, index) => index === 0 || index === measured.length - 1);
  return [HEAD, goalSection(measured), ...shown.map(section)].filter((part) => part !== '').join('\n');
}

function goalSection(measured: readonly Measurements[]): string {
  const found = measured.map(({ runs }) => runs.flatMap(({ results }) => results));
  const rows = goals.flatMap((goal) => {
    const findings = found.map((results) => finding(goal, results));
    if (findings.every((each) => each === undefined)) return [];
    const cells = findings.map((each) => (each === undefined ? '–' : findingText(goal, each)));
    return [[title(goal), goal.words, goalText(goal), ...cells]];
  });
  if (rows.length === 0) return '';
  const head = ['', 'figure', 'goal', ...measured.map(({ node }) => `Node ${node}`)];
  return `## Goals\n\n${markdown(head, rows, 3)}\n`;
}

function title({ subject, name, entrant = 'ours' }: Goal): string {
  return `${subject}, ${name}: ${entrant}`;
}

function section({ node, runs }: Measurements): string {
  return [`## Node ${node}\n`, ...runs.map(part)].join('\n');
}

function part({ command, day, circumstances, results }: Run): string {
  const head = `Measured on ${day} by

\`\`\`sh
${command}
\`\`\`

${circumstances.map((line) => `- ${line}\n`).join('')}`;
  return [head, ...results.map(contest)].join('\n');
}

function contest(result: Result): string {
  const note = result.note === undefined ? '' : `${result.note}\n\n`;
  return `### ${result.subject}, ${result.name}: ${result.title}\n\n${note}${table(result)}`;
}
