import { execFile } from 'node:child_process';

import { compiled } from '../kit/compiled';

/** How a run of the fuzzer ended. */
export interface Run<Report> {
  readonly code: number | string;
  readonly stderr: string;
  readonly report: Report;
}

/**
 * Runs the fuzzer in a process of its own, as a shell would: nothing that it provokes is hidden by a test runner. The
 * environment may ask for more than `count`, or for another seed: FUZZ_COUNT, FUZZ_SEED.
 */
export async function fuzz<Report>(
  what: 'options' | 'servers' | 'sessions',
  count: number,
  ...more: readonly string[]
): Promise<Run<Report>> {
  const { FUZZ_COUNT = String(count), FUZZ_SEED = '1' } = process.env;
  const main = await compiled('fuzz/main');
  return new Promise((resolve, reject) => {
    const args = ['--expose-gc', main, `--${what}`, FUZZ_COUNT, '--seed', FUZZ_SEED, ...more];
    execFile(process.execPath, args, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      const line = stdout.trim().split('\n').at(-1) ?? '';
      if (line === '') {
        reject(new Error(`The fuzzer said nothing (${error?.message ?? 'no error'}): ${stderr}`));
        return;
      }
      // `as`: the report of the run that was asked for.
      resolve({ code: error?.code ?? 0, stderr, report: JSON.parse(line) as Report });
    });
  });
}

/** What a run may say on its standard error output: warnings, of Node's and of the library's, and nothing else. */
export const WARNINGS_ONLY = /^(?:\(node:\d+\) .*Warning: .*\n|\(Use `node .*\n)*$/;
