// node etc/check-publishing.mjs
//
// Whether this commit may be published: the fields that the owner fills in, a section of CHANGELOG.md, a clean working tree
// with the tag of the version, and no dead link in README.md or in a page that it leads to. Links to other hosts are counted
// and not fetched. Exits with 1 and a line for each problem.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';

import { anchorsIn, repositoryOf, sortLinks } from './links.js';

const root = resolve(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const tag = `v${manifest.version}`;
/** @type {string[]} */
const problems = [];

const isWeb = (/** @type {unknown} */ url) => typeof url === 'string' && /^https:\/\/\S+$/.test(url);
if (repositoryOf(manifest) === undefined) {
  problems.push(
    'package.json: `repository` has to be the https address of a repository on github.com, gitlab.com or codeberg.org',
  );
}
if (!isWeb(manifest.homepage)) problems.push('package.json: `homepage` has to be an https address');
if (!isWeb(manifest.bugs?.url ?? manifest.bugs)) problems.push('package.json: `bugs` has to be an https address');

const sections = readFileSync(join(root, 'CHANGELOG.md'), 'utf8').matchAll(/^## \[?([^\s\]]+)/gm);
if (![...sections].some(([, version]) => version === manifest.version)) {
  problems.push(`CHANGELOG.md: there is no section \`## ${manifest.version}\``);
}

/** What git prints, by lines; undefined if it fails. */
function git(/** @type {string[]} */ ...args) {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.split(/[\n\0]/).filter((line) => line !== '') : undefined;
}
if (git('status', '--porcelain')?.length !== 0) problems.push('git: the working tree has changes, or git cannot tell');
if (!git('tag', '--points-at', 'HEAD')?.includes(tag)) problems.push(`git: the commit has no tag ${tag}`);

/** Files and folders of the repository: what is not committed is not found from npm's page. */
const paths = new Set(['.']);
for (const file of git('ls-files', '-z') ?? []) {
  for (let path = file; path !== '.'; path = posix.dirname(path)) paths.add(path);
}

const pages = ['README.md'];
const external = new Set();
let count = 0;
// `pages` grows while it is walked.
for (const page of pages) {
  const links = sortLinks(page, readFileSync(join(root, page), 'utf8'));
  for (const link of links.external) external.add(link);
  for (const { link, path, anchor } of links.inside) {
    count++;
    const known = paths.has(path.replace(/\/$/, ''));
    const isPage = known && path.endsWith('.md') && existsSync(join(root, path));
    if (!known) problems.push(`${page}: ${link} leads to no file of the repository`);
    else if (anchor !== undefined && isPage && !anchorsIn(readFileSync(join(root, path), 'utf8')).includes(anchor)) {
      problems.push(`${page}: ${link} leads to no heading`);
    }
    if (isPage && !pages.includes(path)) pages.push(path);
  }
}

if (process.env.npm_lifecycle_event === 'prepublishOnly') {
  problems.push(
    'npm: publish the folder that `npm run stage` makes, whose README has links that work on npm: npm publish ./temp/package',
  );
}
if (problems.length > 0) {
  console.error(`${manifest.name} ${manifest.version} cannot be published:\n- ${problems.join('\n- ')}`);
  process.exitCode = 1;
} else {
  console.log(`${count} links of ${pages.length} pages resolve; ${external.size} to other hosts were not fetched`);
}
