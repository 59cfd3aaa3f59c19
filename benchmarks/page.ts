import type { Result } from './contest';
import { goalTable } from './goals';
import { table } from './table';

/** How the results were measured. */
export interface Origin {
  readonly command: string;
  readonly day: string;
  readonly rounds: number;
  readonly circumstances: readonly string[];
}

/** All results as a page of Markdown. */
export function page(results: readonly Result[], origin: Origin): string {
  const subjects = [...new Set(results.map(({ contest }) => contest.subject))];
  const goals = goalTable(results);
  const sections = subjects.map((subject) => section(subject, results));
  return [head(origin), ...(goals === '' ? [] : [`## Goals\n\n${goals}`]), ...sections].join('\n');
}

function head({ command, day, rounds, circumstances }: Origin): string {
  return `# Benchmarks

Measured on ${day} by

\`\`\`sh
${command}
\`\`\`

${circumstances.map((line) => `- ${line}\n`).join('')}
Every client runs in a process of its own, and so does its peer. The clients of a table take turns, in up to ${rounds} rounds.
A cell has the median of the rounds, and in brackets the first and third quartiles. × is the median of the ratios to the first row,
each taken within one round. CPU is the client's time in user and system mode, unless the column says otherwise.
`;
}

function section(subject: string, results: readonly Result[]): string {
  const own = results.filter(({ contest }) => contest.subject === subject);
  return [`## ${subject}\n`, ...own.map((result) => `### ${result.contest.title}\n\n${table(result)}`)].join('\n');
}
