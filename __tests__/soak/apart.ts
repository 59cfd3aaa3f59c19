import { execFile } from 'node:child_process';

import type { Finding } from './measure';

/** How long a measurement may take before it is given up. */
const LONGEST = 30 * 60_000;

/**
 * Runs one measurement in a process of its own, where nothing else has grown.
 *
 * @param program - A compiled script that takes a name and a count, and prints a finding as JSON.
 */
export function measureApart(program: string, name: string, count: number): Promise<Finding> {
  const args = ['--expose-gc', program, name, String(count)];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { timeout: LONGEST }, (error, stdout, stderr) => {
      process.off('exit', onExit);
      // `as`: that is what it prints when all went well.
      if (error === null) resolve(JSON.parse(stdout) as Finding);
      else resolve({ figures: {}, problems: [stderr === '' ? error.message : stderr] });
    });
    const onExit = () => child.kill();
    process.once('exit', onExit);
  });
}
