// Transpiles the library, the tests and the benchmarks to temp/javascript, for processes that run without jest, and prints that directory. A file
// whose output is up to date is left alone. Types are checked elsewhere (`npm run types`).
'use strict';

const { createHash } = require('node:crypto');
const { mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync, writeFileSync } = require('node:fs');
const { dirname, join, resolve } = require('node:path');

const root = resolve(__dirname, '../..');
const directory = join(root, 'temp/javascript');
/** What the output depends on besides its source. */
const salt = readFileSync(__filename, 'utf8') + readFileSync(require.resolve('typescript/package.json'), 'utf8');

/** Transpiles what has changed since the last call, in any process. */
function compile() {
  const stale = ['lib', '__tests__', 'benchmarks'].flatMap((folder) => sourcesIn(folder).filter(isStale));
  if (stale.length > 0) {
    /** @type {import('typescript')} */
    const ts = require('typescript');
    const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
    // In random order and checked again, so that processes that do this at the same time share the work.
    for (const file of stale.sort(() => Math.random() - 0.5)) {
      if (!isStale(file)) continue;
      const source = readFileSync(join(root, file), 'utf8');
      const { outputText } = ts.transpileModule(source, { compilerOptions });
      write(outputOf(file), `${outputText}\n${stampOf(source)}`);
    }
  }
  // What runs there imports the library by its own name, and finds the dependencies.
  const exports = {
    '.': './lib/index.js',
    './testing': './lib/testing/index.js',
    './requests': './lib/requests/index.js',
    './delivery': './lib/delivery/index.js',
    './*': './lib/adapters/*.js',
  };
  const manifest = JSON.stringify({ name: 'reconnecting-connection', type: 'commonjs', exports });
  if (contentOf(join(directory, 'package.json')) !== manifest) write(join(directory, 'package.json'), manifest);
  try {
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
  }
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function sourcesIn(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sourcesIn(path);
    return path.endsWith('.ts') && !path.endsWith('.test.ts') ? [path] : [];
  });
}

/** @param {string} file */
function isStale(file) {
  const output = contentOf(outputOf(file));
  return output?.endsWith(stampOf(readFileSync(join(root, file), 'utf8'))) !== true;
}

/** @param {string} source */
function stampOf(source) {
  return `// ${createHash('sha1').update(salt).update(source).digest('hex')}\n`;
}

/** @param {string} file */
function outputOf(file) {
  return join(directory, file.replace(/ts$/, 'js'));
}

/** @param {string} file */
function contentOf(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Replaces the file at once: another process may be reading it.
 *
 * @param {string} file
 * @param {string} content
 */
function write(file, content) {
  mkdirSync(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}

compile();
process.stdout.write(directory);
