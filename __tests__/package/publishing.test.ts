import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');
const REPOSITORY = 'https://github.com/somebody/something';
const MANIFEST = {
  name: 'something',
  version: '1.2.3',
  files: ['dist'],
  scripts: { prepublishOnly: 'node etc/check-publishing.mjs' },
};
const FIELDS = {
  repository: { type: 'git', url: `git+${REPOSITORY}.git` },
  homepage: `${REPOSITORY}#readme`,
  bugs: `${REPOSITORY}/issues`,
};
const PAGES = {
  'README.md': [
    '# Something',
    '[a page](docs/page.md#a-heading-of-it), [itself](#something), [the docs](docs), [elsewhere](https://example.org/)',
    '<picture><source srcset="docs/dark.png"><img src="docs/light.png"></picture>',
    '```md',
    '[no link](docs/page.md)',
    '```',
    '[changes](./CHANGELOG.md)',
    '',
  ].join('\n'),
  'docs/page.md': '# A page\n\n## A heading, of `it`\n\n[the next](next.md#next)\n',
  'docs/next.md': '# Next\n\n[back](../README.md)\n',
  'docs/dark.png': '',
  'docs/light.png': '',
  'CHANGELOG.md': '# Changelog\n\n## 1.2.3\n',
  LICENSE: 'MIT\n',
  '.gitignore': 'dist/\ntemp/\n',
  'dist/index.js': '',
};

let copy: string;

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), 'publishing-'));
  for (const script of ['check-publishing.mjs', 'links.js', 'stage.mjs']) {
    cpSync(join(ROOT, 'etc', script), join(copy, 'etc', script));
  }
  for (const [path, text] of Object.entries(PAGES)) write(path, text);
  git('init', '-q');
});
afterEach(() => rmSync(copy, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(copy, path)), { recursive: true });
  writeFileSync(join(copy, path), text);
}

function git(...args: string[]): void {
  const author = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org', '-c', 'commit.gpgsign=false'];
  execFileSync('git', [...author, ...args], { cwd: copy });
}

function commit(manifest: object): void {
  write('package.json', JSON.stringify(manifest));
  git('add', '-A');
  git('commit', '-q', '-m', 'Make a copy');
  git('tag', '-f', 'v1.2.3');
}

/** Runs the check, and returns its problems. */
function check(env: Record<string, string> = {}): { status: number | null; problems: string[]; stdout: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['etc/check-publishing.mjs'], {
    cwd: copy,
    env: { ...process.env, npm_lifecycle_event: undefined, ...env },
    encoding: 'utf8',
  });
  return { status, problems: [...stderr.matchAll(/^- (.*)$/gm)].map(([, problem = '']) => problem), stdout };
}

test('a package without repository, homepage, bugs, changes and tag is refused, and each is named', () => {
  write('CHANGELOG.md', '# Changelog\n\n## Unreleased\n');
  commit({ ...MANIFEST, version: '1.2.4' });
  write('README.md', '# Changed\n');

  expect(check()).toEqual({
    status: 1,
    problems: [
      expect.stringContaining('`repository`'),
      expect.stringContaining('`homepage`'),
      expect.stringContaining('`bugs`'),
      'CHANGELOG.md: there is no section `## 1.2.4`',
      expect.stringContaining('the working tree has changes'),
      'git: the commit has no tag v1.2.4',
    ],
    stdout: '',
  });
});

test('a package that has them is accepted, with or without what npm adds to the address', () => {
  commit({ ...MANIFEST, ...FIELDS });
  const stdout = '8 links of 4 pages resolve; 1 to other hosts were not fetched\n';
  expect(check()).toEqual({ status: 0, problems: [], stdout });

  commit({ ...MANIFEST, ...FIELDS, repository: REPOSITORY, bugs: { url: FIELDS.bugs } });
  expect(check()).toEqual({ status: 0, problems: [], stdout });
});

test('a repository whose addresses are not known is refused', () => {
  commit({ ...MANIFEST, ...FIELDS, repository: 'https://example.org/somebody/something' });
  expect(check().problems).toEqual([expect.stringContaining('`repository`')]);
});

test('dead links are refused: of the README, of pages that it leads to, to headings, and to what is not committed', () => {
  write(
    'README.md',
    '# Something\n\n[a page](docs/page.md#no-heading), <img src="docs/none.png">, [built](dist/index.js)\n',
  );
  write('docs/page.md', '# A page\n\n[gone](gone.md), [outside](../../outside.md)\n');
  commit({ ...MANIFEST, ...FIELDS });

  expect(check().problems).toEqual([
    'README.md: docs/page.md#no-heading leads to no heading',
    'README.md: docs/none.png leads to no file of the repository',
    'README.md: dist/index.js leads to no file of the repository',
    'docs/page.md: gone.md leads to no file of the repository',
    'docs/page.md: ../../outside.md leads to no file of the repository',
  ]);
});

test('`npm publish` in the repository itself is refused, and names the folder to publish', () => {
  commit({ ...MANIFEST, ...FIELDS });
  expect(check({ npm_lifecycle_event: 'prepublishOnly' }).problems).toEqual([
    expect.stringContaining('npm publish ./temp/package'),
  ]);
});

test('the folder to publish has links to the repository at the tag, and the repository stays as it was', () => {
  commit({ ...MANIFEST, ...FIELDS });
  // Twice: what a run before has left does not matter.
  for (let run = 0; run < 2; run++) execFileSync(process.execPath, ['etc/stage.mjs'], { cwd: copy });
  const staged = (path: string) => readFileSync(join(copy, 'temp/package', path), 'utf8');

  expect(staged('README.md')).toBe(
    [
      '# Something',
      `[a page](${REPOSITORY}/blob/v1.2.3/docs/page.md#a-heading-of-it), [itself](#something), [the docs](${REPOSITORY}/blob/v1.2.3/docs), [elsewhere](https://example.org/)`,
      `<picture><source srcset="${REPOSITORY}/raw/v1.2.3/docs/dark.png"><img src="${REPOSITORY}/raw/v1.2.3/docs/light.png"></picture>`,
      '```md',
      '[no link](docs/page.md)',
      '```',
      `[changes](${REPOSITORY}/blob/v1.2.3/CHANGELOG.md)`,
      '',
    ].join('\n'),
  );
  expect(JSON.parse(staged('package.json'))).toEqual({
    name: 'something',
    version: '1.2.3',
    files: ['dist'],
    ...FIELDS,
  });
  expect(['LICENSE', 'dist/index.js', 'etc'].map((path) => existsSync(join(copy, 'temp/package', path)))).toEqual([
    true,
    true,
    false,
  ]);
  expect(check().status).toBe(0);
});

test('without a repository the folder to publish keeps the links as they are', () => {
  commit(MANIFEST);
  execFileSync(process.execPath, ['etc/stage.mjs'], { cwd: copy });
  expect(readFileSync(join(copy, 'temp/package/README.md'), 'utf8')).toBe(PAGES['README.md']);
});
