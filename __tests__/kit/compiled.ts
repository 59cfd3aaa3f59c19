import { extname, join } from 'node:path';

import { javascript } from './processes';

/**
 * The directory where the library and the tests are JavaScript, for processes of their own. A kit that runs from such a
 * directory itself, outside jest, stays there.
 */
export async function compiledRoot(): Promise<string> {
  return extname(__filename) === '.ts' ? javascript() : join(__dirname, '..', '..');
}

/** Where `file` of the tests (`kit/server`, say) is as JavaScript. */
export async function compiled(file: string): Promise<string> {
  return join(await compiledRoot(), '__tests__', `${file}.js`);
}
