// npm run mutation -- [--mutate FILE,…]: one run of Stryker for each file, so that a mutant that takes a run down costs the
// results of one file only. The default are the files of etc/stryker.json.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const report = join(root, 'temp/mutation/report.json');
const { mutate, thresholds } = JSON.parse(readFileSync(join(root, 'etc/stryker.json'), 'utf8'));
const { values } = parseArgs({ options: { mutate: { type: 'string' }, concurrency: { type: 'string' } } });
/** @type {string[]} */
const files = values.mutate?.split(',') ?? mutate;
const concurrency = values.concurrency === undefined ? [] : ['--concurrency', values.concurrency];

const totals = { noticed: 0, all: 0 };
/** @type {string[]} */
const broken = [];
for (const file of files) {
  rmSync(report, { force: true });
  const incremental = `temp/mutation/${file.replaceAll('/', '-')}.incremental.json`;
  const args = [
    'stryker',
    'run',
    'etc/stryker.json',
    '--mutate',
    file,
    '--incrementalFile',
    incremental,
    ...concurrency,
  ];
  spawnSync('npx', args, { cwd: root, stdio: 'inherit', env: { ...process.env, MUTATED_FILE: file } });
  if (!existsSync(report)) {
    broken.push(file);
    continue;
  }
  /** @type {{ files: Record<string, { mutants: { status: string }[] }> }} */
  const { files: reported } = JSON.parse(readFileSync(report, 'utf8'));
  const [path] = file.split(':');
  const statuses = (reported[path ?? file]?.mutants ?? []).map(({ status }) => status);
  const count = (/** @type {string[]} */ ...which) => statuses.filter((status) => which.includes(status)).length;
  totals.noticed += count('Killed', 'Timeout');
  totals.all += count('Killed', 'Timeout', 'Survived', 'NoCoverage');
  renameSync(report, join(root, `temp/mutation/${file.replaceAll('/', '-')}.json`));
}
const score = (100 * totals.noticed) / totals.all;
console.log(`${totals.noticed} of ${totals.all} mutants noticed: ${score.toFixed(1)} %`);
if (broken.length > 0) console.log(`No result for ${broken.join(', ')}`);
process.exitCode = broken.length > 0 || score < thresholds.break ? 1 : 0;
