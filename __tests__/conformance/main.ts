import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';

import { runProgram, text, whole } from '../kit/command-line';
import type { Adapter } from './adapter';
import { adapters } from './adapters';
import { NotInstalled } from './adapters/peer';
import { cases } from './cases';
import type { Case } from './lab';
import { type Column, type Mark, number, page } from './page';
import { reason } from './reason';
import { states } from './states/play';
import { type Verdict, applies, judge } from './verdict';

// npm run conformance -- [--library NAME]… [--case C1]… [--write FILE] [--jobs N]: every case against every library, as a table.

const javascript = resolve(__dirname, '../..');

runProgram({ library: [text], case: [text], write: text, jobs: whole }, async (values) => {
  const { jobs = 2 * availableParallelism(), write } = values;
  const ids = chosen(
    'case',
    values.case,
    [...cases, ...states].map(({ id }) => id),
  );
  const numbered = cases.filter(({ id }) => ids.includes(id)).sort((a, b) => number(a) - number(b));
  const asked = [...numbered, ...states.filter(({ id }) => ids.includes(id))];
  const libraries = chosen('library', values.library, Object.keys(adapters));
  const columns: Column[] = [];
  for (const library of libraries) {
    const adapter = installed(library);
    if (adapter !== undefined) columns.push(await examine(library, adapter, asked, jobs));
  }
  const table = page(numbered, columns);
  if (numbered.length > 0) process.stdout.write(`\n${table}`);
  if (write !== undefined) {
    if (columns.length < libraries.length) throw new Error(`${write} is not written: libraries are missing`);
    writeFileSync(write, table);
  }
  if (columns.some(({ adapter, faults }) => adapter.features.has('own') && faults.size > 0)) process.exitCode = 1;
});

/** What was asked for by name, or all that there is. */
function chosen(what: string, names: readonly string[] | undefined, all: readonly string[]): readonly string[] {
  const unknown = names?.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`There is no ${what} ${unknown}, but: ${all.join(', ')}`);
  return all.filter((name) => names?.includes(name) ?? true);
}

/** The adapter of a library, unless that is not there. */
function installed(library: string): Adapter | undefined {
  try {
    return adapters[library]!();
  } catch (error) {
    if (!(error instanceof NotInstalled)) throw error;
    process.stdout.write(`${error.message}\n`);
    return undefined;
  }
}

/** Puts all cases to one library, a few at a time. */
async function examine(library: string, adapter: Adapter, asked: readonly Case[], jobs: number): Promise<Column> {
  const marks = new Map<Case['id'], Mark>();
  const faults = new Map<Case['id'], string>();
  const left = [...asked];
  const worker = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) {
      if (!applies(adapter, one)) {
        marks.set(one.id, 'n/a');
        continue;
      }
      const verdict = await trial(library, adapter, one);
      marks.set(one.id, verdict.passed ? 'pass' : 'fail');
      if (!verdict.passed) {
        faults.set(one.id, verdict.reason ?? reason(verdict.error));
        process.stdout.write(`${library} ${one.id} ${one.title}\n    ${verdict.error.replaceAll('\n', '\n    ')}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  const passed = [...marks.values()].filter((mark) => mark === 'pass').length;
  process.stdout.write(`${adapter.name} ${adapter.version}: ${passed} passed, ${faults.size} failed\n`);

  // A failure must be the library's own: one that fails what it is known to do is not connected rightly here.
  const unsound = adapter.sound.find((id) => marks.get(id) === 'fail');
  if (unsound !== undefined) throw new Error(`The adapter of ${adapter.name} is not sound: it fails ${unsound}`);
  return { adapter, marks, faults };
}

/** A peer may fail once for the machine's sake. This library may not. */
async function trial(library: string, adapter: Adapter, one: Case): Promise<Verdict> {
  const verdict = await judge(javascript, library, one);
  return verdict.passed || adapter.features.has('own') ? verdict : judge(javascript, library, one);
}
