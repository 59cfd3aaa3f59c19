import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { anchorsIn, sortLinks } from '../../etc/links';
import { tableUnder } from '../kit/markdown';
import { examplesIn, installsIn, pattern, runSnippets, runTogether, snippetsIn } from '../kit/snippets';
import { typeErrorsOf } from '../kit/type-errors';

const root = join(__dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** Paths from the root of all files below a folder. */
const filesIn = (folder: string, ending: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file))
    .sort();

/** Every public name, types too. */
const names = [...read('lib/index.ts').matchAll(/(?<=[{,]\s*(?:type )?)\w+(?=\s*[,}])/g)].map(([name]) => name);
const pages = [...filesIn('docs/guides', '.md'), ...filesIn('docs/recipes', '.md')];
const snippets = [
  ...pages.flatMap((page) => snippetsIn(read(page), page)),
  ...filesIn('lib', '.ts').flatMap((file) => examplesIn(read(file), file, names)),
];
const programs = snippets.filter(({ notRun }) => notRun === undefined);

test('every page has code and names what to install, and doc comments have examples', () => {
  for (const page of pages) {
    expect([page, programs.some(({ where }) => where.startsWith(page))]).toEqual([page, true]);
    expect([page, installsIn(read(page))]).toEqual([page, expect.any(Array)]);
  }
  expect(programs.filter(({ where }) => where.startsWith('lib')).length).toBeGreaterThan(10);
});

/** The calls that replace those of other libraries, and declarations that they need. */
const replacements = ['connman 1', 'connman 2', 'reconnect-net', 'a loop of your own'].map((from) => {
  const rows = tableUnder(read('docs/guides/migrating.md'), `From ${from}`);
  return rows.flatMap(([, cell = '']) => /^`([^`]+)`/.exec(cell)?.[1] ?? []);
});
const DECLARATIONS = `
  import { connmanBackoff, registry, ConnectionPool, type Handshake, ReconnectingConnection, type SocketOptions } from 'reconnecting-connection';
  declare const connection: ReconnectingConnection, pool: ConnectionPool, chunk: Buffer, isWanted: boolean;
  declare const port: number, host: string, options: SocketOptions, handshake: Handshake;
  declare const onOpen: () => void, newOnOpen: () => void, onReopen: () => void, greet: (generation: number) => void;
  declare const onReset: (why: unknown) => void, onData: (chunk: Buffer) => void, onClose: (error?: Error) => void;
  declare const onBackoff: (attempt: number, delay: number) => void;
  export {};
`;

test('the code in the README, the pages, the doc comments and the tables of the migration guide compiles', () => {
  expect(replacements.map(({ length }) => length)).toEqual([13, 8, 14, 7]);
  const calls = { code: DECLARATIONS + replacements.flat().join(';\n'), language: 'ts' } as const;
  expect(typeErrorsOf([...snippetsIn(read('README.md'), 'README.md'), ...programs, calls])).toEqual([]);
}, 60_000);

test.each([...pages, 'lib'])(
  'the programs in %s run in an empty folder, print what the page says, and exit',
  async (page) => {
    const shown = programs.filter(({ where }) => where.startsWith(page));
    const expected = shown.map(({ where, prints }) => ({
      where,
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(prints === undefined ? '' : pattern(prints)) as string,
    }));
    const ends = page === 'lib' ? runTogether(shown) : runSnippets(shown, installsIn(read(page))!);
    expect(await ends).toEqual(expected);
  },
  60_000,
);

test.each(['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...filesIn('docs', '.md')])(
  'every link in %s leads to an existing file and heading',
  (page) => {
    for (const { path, anchor } of sortLinks(page, read(page)).inside) {
      expect([path, existsSync(join(root, path))]).toEqual([path, true]);
      if (anchor !== undefined) expect(anchorsIn(read(path))).toContain(anchor);
    }
  },
);

test('docs/README.md links to every page', () => {
  const index = read('docs/README.md');
  for (const page of filesIn('docs', '.md')) {
    if (page === 'docs/README.md' || page.startsWith('docs/reference/')) continue;
    expect(index).toContain(`](${page.slice('docs/'.length)}`);
  }
  expect(index).toContain('](reference/README.md)');
});

test('policy, CI, .nvmrc, package.json and the consumers name the same lines of Node', () => {
  const [, first = '', others = ''] = /^Node (\d+), ([\d, and]+) are supported/m.exec(read('docs/policy.md')) ?? [];
  const lines = [first, ...(others.match(/\d+/g) ?? [])];
  expect(lines.length).toBeGreaterThan(1);
  expect(read('.github/workflows/ci.yml')).toContain(`node: [${lines.join(', ')}]`);
  expect(read('__tests__/package/consumers/main.mjs')).toContain(`NODES = ['${lines.join("', '")}']`);
  expect(read('.nvmrc').trim()).toBe(first);
  expect(read('package.json')).toContain(`"node": ">=${first}"`);
});
