import { writeSync } from 'node:fs';

import { cleanUp } from '../kit/clean-up';
import { adapters } from './adapters';
import { cases } from './cases';
import { Lab } from './lab';
import { reason } from './reason';
import { states } from './states/play';
import type { Verdict } from './verdict';

// One case against one library, in a process of its own: node run-case.js <library> <case>. The verdict goes to
// descriptor 3. The parent sees to the time limit, and to it that the process ends by itself.

const [library = '', id = ''] = process.argv.slice(2);

let judged = false;
let lab: Lab | undefined;

function judge(error?: unknown): void {
  if (judged) return;
  judged = true;
  const verdict: Verdict =
    error === undefined ? { passed: true } : { passed: false, error: tell(error), reason: reason(error) };
  writeSync(3, JSON.stringify(verdict));
}

function tell(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : `thrown: ${String(error)}`;
}

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (lab?.expectsFaults === true) {
      lab.surfaced.push(error);
      return;
    }
    judge(error);
    process.stderr.write(tell(error));
    process.exit(1);
  });
}

async function main(): Promise<void> {
  const adapter = adapters[library]?.();
  const found = [...cases, ...states].find((one) => one.id === id);
  if (adapter === undefined || found === undefined) throw new Error(`Nothing is called ${library} ${id}`);

  try {
    lab = new Lab(adapter);
    await found.run(lab);
  } finally {
    await cleanUp();
  }
}

main().then(() => judge(), judge);
