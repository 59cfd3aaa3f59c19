import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { compiled } from '../kit/compiled';

async function chaos(
  ...args: readonly string[]
): Promise<{ readonly code: unknown; readonly lines: readonly string[] }> {
  const command = [await compiled('chaos/main'), ...args];
  const { code, stdout } = await promisify(execFile)(process.execPath, command, { maxBuffer: 2 ** 26 }).then(
    (done) => ({ ...done, code: 0 }),
    // `as`: a program that ends with another code than 0 is an error with its output.
    (error: unknown) => error as { readonly code: unknown; readonly stdout: string },
  );
  return { code, lines: stdout.trim().split('\n') };
}

// `.ci/run` runs 2000 seeds, and so also checks that whatever may occur does.
test('the contract holds in long runs and in those of pools', async () => {
  const { code, lines } = await chaos('--seeds', '60', '--steps', '300');
  expect(lines.filter((line) => /violation|^seed \d/i.test(line))).toEqual([]);
  expect(lines).toContain('pools: 2');
  expect([code, lines.at(-1)]).toEqual([0, '60 seeds, 0 failed']);
}, 180_000);

test('a library that breaks the contract makes the run fail, and its last line count the failures', async () => {
  const { code, lines } = await chaos(
    '--seeds',
    '100',
    '--steps',
    '40',
    '--most',
    '2',
    '--sabotage',
    'a write is sent twice',
  );
  expect(lines.join('\n')).toMatch(/^seed \d+, step \d+: (?:at most once|sent): /m);
  expect(code).toBe(1);
  expect(lines.at(-1)).toMatch(/^\d+ seeds, 2 failed$/);
}, 120_000);

test('an unknown sabotage is no run', async () => {
  expect(await chaos('--sabotage', 'nothing')).toMatchObject({ code: 1 });
});
