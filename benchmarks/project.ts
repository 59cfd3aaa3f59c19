import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The folder of the project: this file runs from a folder of compiled files that links to its dependencies. */
export const project = dirname(realpathSync(join(__dirname, '../node_modules')));

/** A file of the benchmarks that is not compiled, and so stays in the project. */
export function source(file: string): string {
  return join(project, 'benchmarks', file);
}

/** Whether the packages of the benchmarks are installed. */
export function arePeersInstalled(): boolean {
  return existsSync(source('node_modules'));
}

/** Loads a package that is installed for the benchmarks only. */
export function load(name: string): unknown {
  return createRequire(source('package.json'))(resolved(name)) as unknown;
}

/** The path of such a package. */
export function resolved(name: string): string {
  if (!arePeersInstalled()) throw new Error(`${name} is not installed: run npm ci --prefix benchmarks`);
  return createRequire(source('package.json')).resolve(name);
}
