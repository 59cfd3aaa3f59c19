import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { compiled } from '../kit/compiled';

test('the contract holds in long runs and in those of pools, which go everywhere', async () => {
  const args = [await compiled('chaos/main'), '--seeds', '120', '--steps', '300'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 26 });
  expect(stdout).toMatch(/^transitions covered: 14 of 14/m);
  expect(stdout).toMatch(/^pools: 4$/m);
  // Each way to lose a session, liveness included, which needs every timer of the library to be simulated.
  const [, resets = ''] = /^resets: (.*)$/m.exec(stdout) ?? [];
  expect(resets.split(', ').map((each) => each.split(' ')[0])).toEqual(
    expect.arrayContaining([
      'idle',
      'heartbeat',
      'peer-end',
      'error',
      'forced',
      'disconnected',
      'destroyed',
      'aborted',
    ]),
  );
}, 120_000);
