import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The folder of the project. What runs here was compiled to somewhere else, with a link to the dependencies. */
export const project = dirname(realpathSync(join(__dirname, '../node_modules')));

/** A file of the benchmarks that is not TypeScript, and so stays where it is. */
export function source(file: string): string {
  return join(project, 'benchmarks', file);
}

/** Whether what the benchmarks compare with is there. */
export function arePeersInstalled(): boolean {
  return existsSync(source('node_modules'));
}

/** Loads one of the packages that are installed for the benchmarks alone. */
export function load(name: string): unknown {
  if (!arePeersInstalled()) throw new Error(`${name} is not installed: run npm ci --prefix benchmarks`);
  return createRequire(source('package.json'))(name) as unknown;
}
