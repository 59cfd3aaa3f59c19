// node etc/stage.mjs
//
// Makes temp/package/, the folder to publish: what package.json lists, a README whose links lead to the repository at the
// tag of the version, and a package.json without what only a clone needs. It needs dist/.
//
// A script `prepack` cannot rewrite the README instead: npm reads what its page shows after `postpack`, when the file has to
// be as it was, and it runs no `postpack` when packing fails.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { makeAbsolute, repositoryOf } from './links.js';

const root = resolve(import.meta.dirname, '..');
const stage = join(root, 'temp/package');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
for (const field of ['scripts', 'devDependencies', 'overrides', 'allowScripts', 'prettier']) {
  Reflect.deleteProperty(manifest, field);
}

rmSync(stage, { recursive: true, force: true });
mkdirSync(stage, { recursive: true });
for (const path of [...manifest.files, 'LICENSE']) cpSync(join(root, path), join(stage, path), { recursive: true });
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const repository = repositoryOf(manifest);
writeFileSync(
  join(stage, 'README.md'),
  repository === undefined ? readme : makeAbsolute(readme, repository, `v${manifest.version}`),
);
writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
