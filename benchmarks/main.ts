import { writeFileSync } from 'node:fs';

import { runProgram, text, whole } from '../__tests__/kit/command-line';
import { circumstances } from './circumstances';
import { type Contest, type Entrant, runContests } from './contest';
import { Lab } from './lab';
import { page } from './page';
import { subjects } from './subjects';

// npm run bench -- [--only SUBJECT[/NAME],…] [--entrants NAME,…] [--rounds N] [--quick] [--library DIR]… [--write FILE]
//
// Measures this library, Node's own socket and other libraries, and prints a table for each subject. `--library` adds
// another version of this library, from its directory. `--entrants` keeps the entrants whose names begin so, and the first
// of each table, with which the others are compared.

/** After Ctrl-C the results so far are printed. */
const interruption = new AbortController();

const options = { only: text, entrants: text, rounds: whole, quick: 'flag', library: [text], write: text } as const;

runProgram(options, async ({ only, entrants, quick, rounds = quick ? 3 : 7, library = [], write }) => {
  const lab = await Lab.open(quick ? 0.3 : 1, library);
  try {
    const contests = chosen(
      Object.values(subjects).flatMap((make) => make(lab)),
      only?.split(','),
      entrants?.split(','),
    );
    if (contests.length === 0) {
      throw new Error(`Expected --only to be one of ${Object.keys(subjects).join(', ')}, got ${only ?? ''}`);
    }
    const origin = {
      command: command(),
      day: new Date().toISOString().slice(0, 10),
      rounds,
      circumstances: circumstances(),
    };
    const results = await runContests(contests, rounds, report, interruption.signal);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    const printed = page(results, origin);
    process.stdout.write(printed);
    if (interruption.signal.aborted) throw new Error('Interrupted: the rounds are incomplete, so nothing is written');
    if (write !== undefined) writeFileSync(write, printed);
    const failed = results.flatMap(({ entries }) => entries.filter(({ failure }) => failure !== undefined));
    if (failed.some(({ name }) => name.startsWith('ours'))) process.exitCode = 1;
  } finally {
    lab.close();
  }
});

function report({ subject, title }: Contest, { name }: Entrant, round: number, failure?: string): void {
  if (failure !== undefined) console.error(`${subject}, ${title}: ${name} failed: ${failure}`);
  else if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round + 1}: ${subject}, ${title}: ${name}`);
}

/** The contests that `--only` and `--entrants` select. */
function chosen(contests: readonly Contest[], only?: readonly string[], names?: readonly string[]): Contest[] {
  return contests
    .filter(
      ({ subject, name }) =>
        only?.some((wish) => {
          const [wanted, part = ''] = wish.split('/');
          return subject === wanted && name.startsWith(part);
        }) ?? true,
    )
    .map((contest) => {
      const named = contest.entrants.filter(({ name }) => names?.some((each) => name.startsWith(each)) ?? true);
      // The entrants of `small` have other names: all of them run.
      const entrants = named.length === 0 ? contest.entrants : [...new Set([contest.entrants[0]!, ...named])];
      return { ...contest, entrants };
    });
}

function command(): string {
  return ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ');
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => interruption.abort());
