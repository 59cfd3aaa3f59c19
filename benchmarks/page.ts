import type { Result } from './contest';
import { goalTable } from './goals';
import { table } from './table';

/** How results came about. */
export interface Origin {
  /** What measured them. */
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
Every client is a process of its own, and so is its peer. The clients of a table take turns in up to ${rounds} rounds.
A cell shows the median of the rounds, with the quarters around it; × is the median of the multiples of the first row,
each taken within a round. CPU is the client's, user and system together unless it says otherwise.
`;
}

function section(subject: string, results: readonly Result[]): string {
  const own = results.filter(({ contest }) => contest.subject === subject);
  return [`## ${subject}\n`, ...own.map((result) => `### ${result.contest.title}\n\n${table(result)}`)].join('\n');
}
