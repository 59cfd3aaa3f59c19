import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { inNamespace } from '../kit/namespace';
import type { Adapter } from './adapter';
import type { Case } from './lab';

/** How a case ended. */
export type Verdict =
  | { readonly passed: true }
  /** `reason` is the error in a line, where it is not one already. */
  | { readonly passed: false; readonly error: string; readonly reason?: string };

/** Milliseconds in which a process ends by itself when all it opened is closed. */
const FAREWELL = 3_000;

/** Whether the library has what the case needs. */
export function applies(adapter: Adapter, one: Case): boolean {
  return (one.needs ?? []).every((feature) => adapter.features.has(feature));
}

/** Runs a case in a process of its own. `javascript` is the directory that `kit/compile.js` wrote. */
export async function judge(
  javascript: string,
  library: string,
  one: Case,
  env: Readonly<Record<string, string>> = {},
): Promise<Verdict> {
  const mustExit = library === 'reconnecting-connection' || one.exits === true;
  const script = join(javascript, '__tests__/conformance/run-case.js');
  const command = [process.execPath, '--expose-gc', script, library, one.id];
  const [file, ...args] = one.inNamespace === true ? inNamespace(command) : command;
  const child = spawn(file!, args, {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...env },
  });

  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let said = '';
  // `as`: descriptor 3 is a pipe.
  const report = child.stdio[3] as Readable;
  let farewell: NodeJS.Timeout | undefined;
  let overdue: string | undefined;
  const end = (why: string) => {
    overdue = why;
    // Its servers live in processes of their own: all of them are in the group.
    process.kill(-child.pid!, 'SIGKILL');
  };
  report.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    farewell ??= setTimeout(end, FAREWELL, `the process was held open for ${FAREWELL} ms after everything was closed`);
  });
  const limit = one.limit ?? 30_000;
  const deadline = setTimeout(end, limit, `no end within ${limit} ms`);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(deadline);
  clearTimeout(farewell);

  const verdict = said === '' ? undefined : (JSON.parse(said) as Verdict);
  if (overdue !== undefined && (verdict === undefined || (verdict.passed && mustExit))) {
    return { passed: false, error: overdue };
  }
  if (verdict?.passed === true && overdue === undefined && code !== 0) {
    return { passed: false, error: `the process crashed afterwards: ${stderr.trim()}` };
  }
  return verdict ?? { passed: false, error: `the process ended without a verdict: ${stderr.trim()}` };
}
