import { runProgram, text, whole } from '../__tests__/kit/command-line';
import { circumstances } from './circumstances';
import { type Contest, runContests } from './contest';
import { Lab } from './lab';
import { BUSY, foreignLoad } from './machine';
import { page } from './page';
import { record } from './records';
import { subjects } from './subjects';

// npm run bench -- [--only SUBJECT[/NAME],…] [--rounds N] [--quick] [--loaded] [--library DIR]… [--write FILE]
//                  [--members N] [--targets N]
//
// Measures this library as it is built, Node's own socket and other libraries, and prints a table for each subject. By
// another Node: that node temp/javascript/benchmarks/main.js, with the same options.
//
// --library   adds another version of this library, from its directory
// --members   connections of the fleet, in place of 10,000
// --targets   targets of the fleet, in place of 100
// --loaded    also runs on a machine that has other work to do
// --quick     does a tenth of the work, to see that everything runs
// --write     keeps the results for this version of Node beside the page FILE, and makes the page from all that are kept

/** After Ctrl-C the results so far are printed. */
const interruption = new AbortController();

const options = {
  only: text,
  rounds: whole,
  quick: 'flag',
  loaded: 'flag',
  library: [text],
  write: text,
  members: whole,
  targets: whole,
} as const;

/** How often a run is repeated that other work has disturbed. */
const REPEATS = 2;

runProgram(options, async ({ only, quick, loaded, rounds = quick ? 1 : 5, library = [], write, members, targets }) => {
  const started = performance.now();
  const lab = await Lab.open(quick ? 0.1 : 1, library, { ...(members && { members }), ...(targets && { targets }) });
  try {
    const contests = chosen(
      Object.values(subjects).flatMap((make) => make(lab)),
      only?.split(','),
    );
    if (contests.length === 0) {
      throw new Error(`Expected --only to be one of ${Object.keys(subjects).join(', ')}, got ${only ?? ''}`);
    }
    const load = await foreignLoad();
    if (load > BUSY && !loaded) {
      const share = (load * 100).toFixed(0);
      throw new Error(
        `Other work takes ${share} % of the processors' time: wait, or measure all the same with --loaded`,
      );
    }
    const results = await runContests(contests, {
      rounds,
      repeats: loaded ? 0 : REPEATS,
      onRun: report,
      signal: interruption.signal,
    });
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    const node = Number(process.versions.node.split('.')[0]);
    const minutes = ((performance.now() - started) / 60_000).toFixed(1);
    const run = {
      command: command(),
      day: new Date().toISOString().slice(0, 10),
      circumstances: [...circumstances(rounds, load), `${minutes} minutes`],
      results,
    };
    if (write !== undefined && !interruption.signal.aborted) record(write, node, run);
    process.stdout.write(page([{ node, runs: [run] }]));
    if (interruption.signal.aborted) throw new Error('Interrupted: the rounds are incomplete, so nothing is written');
    const failed = results.flatMap(({ entries }) => entries.filter(({ failure }) => failure !== undefined));
    if (failed.some(({ name }) => name.startsWith('ours'))) process.exitCode = 1;
  } finally {
    lab.close();
  }
});

function report({ subject, name }: Contest, entrants: readonly string[], round: number, failure?: string): void {
  const what = `${subject}, ${name}${entrants.length === 1 ? `: ${entrants[0]!}` : ''}`;
  if (failure !== undefined) console.error(`${what} failed: ${failure}`);
  else if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round + 1}: ${what}`);
}

/** The contests that `--only` selects. */
function chosen(contests: readonly Contest[], only?: readonly string[]): Contest[] {
  return contests.filter(
    ({ subject, name }) =>
      only?.some((wish) => {
        const [wanted, part = ''] = wish.split('/');
        return subject === wanted && name.startsWith(part);
      }) ?? true,
  );
}

function command(): string {
  return ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ');
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => interruption.abort());
