import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import type { Result } from './contest';
import { page } from './page';

/** What was measured together. */
export interface Run {
  readonly command: string;
  readonly day: string;
  readonly circumstances: readonly string[];
  readonly results: readonly Result[];
}

/** All that was measured with a major version of Node. */
export interface Measurements {
  readonly node: number;
  readonly runs: readonly Run[];
}

/**
 * Keeps a run in a file of its version of Node beside the page, in place of older results for the same tables, and makes
 * the page of all versions: `docs/benchmarks.md` is made of `docs/benchmarks/node20.json` and others.
 */
export function record(file: string, node: number, run: Run): void {
  const folder = join(dirname(file), basename(file, '.md'));
  mkdirSync(folder, { recursive: true });
  const all = readdirSync(folder)
    .filter((name) => /^node\d+\.json$/.test(name))
    // `as`: written below.
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'), revive) as Measurements);
  const updated = merged(all.find((each) => each.node === node)?.runs ?? [], node, run);
  writeFileSync(join(folder, `node${node}.json`), `${JSON.stringify(updated, shorten)}\n`);
  writeFileSync(file, page([...all.filter((each) => each.node !== node), updated]));
}

function merged(older: readonly Run[], node: number, run: Run): Measurements {
  const isReplaced = (old: Result) =>
    run.results.some(({ subject, name }) => subject === old.subject && name === old.name);
  const kept = older.map((each) => ({ ...each, results: each.results.filter((result) => !isReplaced(result)) }));
  return { node, runs: [...kept.filter(({ results }) => results.length > 0), run] };
}

/** Figures have five digits. JSON has no infinity, and writes it as null. */
function shorten(_key: string, value: unknown): unknown {
  return typeof value === 'number' && Number.isFinite(value) ? Number(value.toPrecision(5)) : value;
}

function revive(_key: string, value: unknown): unknown {
  return value === null ? Infinity : value;
}
