import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { examplesIn, printed, runSnippet, snippetsIn, typeErrorsOf } from './kit/snippets';

const root = join(__dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** The files in a folder and in those within it, from the root on. */
const filesIn = (folder: string, ending: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file))
    .sort();

/** Every public name, types too. */
const names = [...read('lib/index.ts').matchAll(/(?<=[{,]\s*(?:type )?)\w+(?=\s*[,}])/g)].map(([name]) => name);
const guides = filesIn('docs/guides', '.md');
const snippets = [
  ...guides.flatMap((guide) => snippetsIn(read(guide), guide)),
  ...filesIn('lib', '.ts').flatMap((file) => examplesIn(read(file), file, names)),
];
const programs = snippets.filter(({ notRun }) => notRun === undefined);

test('there is code in every guide, and there are examples in doc comments', () => {
  for (const guide of guides)
    expect([guide, programs.some(({ where }) => where.startsWith(guide))]).toEqual([guide, true]);
  expect(programs.filter(({ where }) => where.startsWith('lib')).length).toBeGreaterThan(10);
});

test('every program in the guides and in doc comments compiles', () => {
  expect(typeErrorsOf(programs)).toEqual([]);
}, 60_000);

test.concurrent.each(programs.map((program) => [program.where, program] as const))(
  '%s runs, prints what is said, and ends by itself',
  async (_where, program) => {
    const { code, stdout, stderr } = await runSnippet(program);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    if (program.prints !== undefined) expect(stdout).toMatch(printed(program.prints));
  },
  30_000,
);

/** Headings as the links to them are written: a number parts those that are alike. */
function anchorsIn(text: string): string[] {
  const seen = new Map<string, number>();
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => {
    const plain = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '');
    const anchor = plain.replaceAll(' ', '-');
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
  const ids = [...text.matchAll(/<a id="([^"]+)"/g)].map(([, id = '']) => id);
  return [...headings, ...ids];
}

test.each(['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...filesIn('docs', '.md')])(
  'every link in %s leads to a file and a heading that are there',
  (page) => {
    const text = read(page).replace(/^```[\s\S]*?^```/gm, '');
    for (const [, path = '', anchor] of text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)) {
      const file = path === '' ? page : join(dirname(page), path);
      expect([path, existsSync(join(root, file))]).toEqual([path, true]);
      if (anchor !== undefined) expect(anchorsIn(read(file))).toContain(anchor);
    }
  },
);

test('the index of the docs leads to every page', () => {
  const index = read('docs/README.md');
  for (const page of filesIn('docs', '.md')) {
    if (page === 'docs/README.md' || page.startsWith('docs/reference/')) continue;
    expect(index).toContain(`](${page.slice('docs/'.length)}`);
  }
  expect(index).toContain('](reference/README.md)');
});
