// node etc/build.mjs [--javascript]
//
// Makes dist/ of lib/: one file of JavaScript and one of types for each entry and format. With `--javascript` it leaves the
// types as they are, which take most of the time: that is enough to run the examples.
// What package.json exports, that is built: a new entry needs no line here.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, relative, resolve } from 'node:path';

const isQuick = process.argv.includes('--javascript');
// Before the bundler is loaded, which takes seconds.
if (isQuick) console.log('Building the library, which takes a few seconds …');
const { bundle } = await import('./bundle.mjs');

const root = resolve(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

const entries = Object.entries(manifest.exports).filter(([, target]) => typeof target !== 'string');
const bundleAll = () =>
  bundle(
    root,
    entries.map(([, target]) => relative('dist', target.require.default).replace('.js', '')),
  );
if (isQuick) {
  await bundleAll();
  process.exit();
}
const { CompilerState, Extractor, ExtractorConfig } = await import('@microsoft/api-extractor');

for (const made of ['dist', 'temp/types', 'temp/node_modules']) {
  rmSync(join(root, made), { recursive: true, force: true });
}
const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'lib')], { stdio: 'inherit' });
if (status !== 0) process.exit(1);

await bundleAll();
const further = entries.slice(1).map(([, target]) => join(root, 'temp/types', relative('dist', target.require.types)));
/** The program of the further entries: they are read once the types of the main entry are there. */
let program;
for (const [name, target] of entries) {
  const types = relative('dist', target.require.types);
  rollUp(name === '.' ? manifest.name : `${manifest.name}-${basename(name)}`, types);
  copyFileSync(join(root, 'temp/types', types.replace(/ts$/, 'mts')), join(root, target.import.types));
  for (const each of [target.require.types, target.import.types]) referToNode(join(root, each));
  if (name === '.') keepAside(target.require.types);
}

/** Puts the types that an entry reaches into one file, and its public names into a report under etc/. */
function rollUp(report, types) {
  const configObject = ExtractorConfig.loadFile(join(root, 'etc/api-extractor.json'));
  configObject.mainEntryPointFilePath = join(root, 'temp/types', types);
  configObject.apiReport.reportFileName = `${report}.api.md`;
  configObject.dtsRollup.untrimmedFilePath = join(root, 'dist', types);
  const config = ExtractorConfig.prepare({
    configObject,
    configObjectFullPath: join(root, 'etc/api-extractor.json'),
    packageJsonFullPath: join(root, 'package.json'),
  });
  const isMain = report === manifest.name;
  if (!isMain) program ??= CompilerState.create(config, { additionalEntryPoints: further });
  const compilerState = isMain ? undefined : program;
  const { succeeded } = Extractor.invoke(config, { localBuild: true, messageCallback: silence, compilerState });
  if (!succeeded) throw new Error(`The types of ${types} cannot be rolled up`);
}

/** @param {import('@microsoft/api-extractor').ExtractorMessage} message only warnings and errors are shown */
function silence(message) {
  if (message.logLevel === 'info' || message.logLevel === 'verbose') message.handled = true;
}

/**
 * Brings in the types of Node by name: without `types` in its tsconfig.json, a project has none by itself from TypeScript 6
 * on, and a Buffer would silently be `any`.
 *
 * @param {string} file
 */
function referToNode(file) {
  writeFileSync(file, `/// <reference types="node" />\n\n${readFileSync(file, 'utf8')}`);
}

/** The types of the main entry where a consumer has them, so that those of the others point there and copy nothing. */
function keepAside(types) {
  const folder = join(root, 'temp/node_modules', manifest.name);
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(root, types), join(folder, 'index.d.ts'));
}
