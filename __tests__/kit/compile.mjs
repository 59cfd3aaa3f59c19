// Makes JavaScript of the library, the tests and the benchmarks, for processes that run without jest: node compile.mjs <directory>
// Types are checked elsewhere (`npm run types`), so that this takes less than a second.
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const directory = resolve(process.argv[2] ?? join(root, 'temp/javascript'));
const require = createRequire(import.meta.url);
/** @type {import('typescript')} */
const ts = require('typescript');

const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
for (const folder of ['lib', '__tests__', 'benchmarks']) {
  for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file.includes('node_modules')) continue;
    const { outputText } = ts.transpileModule(readFileSync(join(root, folder, file), 'utf8'), { compilerOptions });
    const output = join(directory, folder, file.replace(/ts$/, 'js'));
    mkdirSync(dirname(output), { recursive: true });
    writeFileSync(output, outputText);
  }
}

// What runs there imports the library by its own name, and finds the dependencies.
const exports = { '.': './lib/index.js', './testing': './lib/testing/index.js', './*': './lib/adapters/*.js' };
const manifest = { name: 'reconnecting-connection', type: 'commonjs', exports };
writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
try {
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
} catch (error) {
  if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
}
