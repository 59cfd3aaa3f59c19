// The JavaScript of dist/: lib/ joined to one file for each entry, and one for what they share, and the command. Names and statements stay
// those of lib/, each on its own line, so that a stack trace can be looked up there: source maps would double the package.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { rollup } from '@rollup/wasm-node';
import ts from 'typescript';

/** The modules that more than one entry holds; `__tests__/structure.test.ts` allows no others. */
const COMMON = /\/lib\/(errors|options\/(checks|hints)|timers\/deadline|events\/on-abort)\.ts$/;

/**
 * @param {string} root
 * @param {string[]} entries paths in lib/, without extension
 */
export async function bundle(root, entries) {
  const lib = join(root, 'lib');
  const dist = join(root, 'dist');
  const bundled = await rollup({
    input: {
      ...Object.fromEntries(entries.map((entry) => [entry, join(lib, `${entry}.ts`)])),
      command: join(lib, 'command/main.ts'),
    },
    external: /^(?:node:|eventemitter3$|reconnecting-connection$)/,
    plugins: [{ name: 'typescript', resolveId, load: transpile }],
    // As package.json says.
    treeshake: { moduleSideEffects: false },
    onLog(_level, { message }) {
      throw new Error(message);
    },
  });
  await bundled.write({
    dir: dist,
    format: 'cjs',
    // What only the adapters share has a file of its own.
    chunkFileNames: ({ name }) => (name === 'common' ? 'common.js' : 'adapters/common.js'),
    banner: ({ name }) => (name === 'command' ? '#!/usr/bin/env node' : ''),
    manualChunks: (id) => (COMMON.test(id) ? 'common' : undefined),
    // What is imported is CommonJS, and whole when it is imported: no cycles.
    interop: 'default',
    externalLiveBindings: false,
  });
  await bundled.close();
  for (const entry of entries) {
    const wrapper = join(lib, `${entry}.mts`);
    writeFileSync(join(dist, `${entry}.mjs`), transpile(wrapper));
  }
}

/**
 * @param {string} path
 * @param {string | undefined} importer
 */
function resolveId(path, importer) {
  return path.startsWith('.') && importer !== undefined ? `${resolve(dirname(importer), path)}.ts` : null;
}

/** JavaScript without comments, indented by tabs, and in ASCII: V8 keeps any other text in twice the memory. */
function transpile(/** @type {string} */ file) {
  const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), {
    fileName: file,
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, removeComments: true },
  });
  return outputText
    .replace(/^(?: {4})+/gm, (spaces) => '\t'.repeat(spaces.length / 4))
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
