import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';

const lib = join(__dirname, '..', 'lib');

/** The folders of lib/ and the files beside them, from the bottom up. What stands in one line does not import each other. */
const LEVELS = [
  ['builtins', 'errors', 'timers'],
  ['events'],
  ['options'],
  ['socket'],
  ['attempt', 'writes'],
  ['session'],
  ['lifecycle'],
  ['streams'],
  ['connection'],
  ['pool'],
  ['logging', 'registry'],
  ['index'],
];

/** Folders of further entries, and the command: they import the public names by the package's own name. */
const ENTRIES = ['adapters', 'command', 'delivery', 'requests', 'testing'];

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();

const folderOf = (file: string) => file.split('/')[0]!;
const levelOf = (file: string) => LEVELS.findIndex((level) => level.includes(folderOf(file)));
const core = files.filter((file) => !ENTRIES.includes(folderOf(file)));

/** What a file imports, types included. */
function importsOf(file: string): Import[] {
  // Not what an example in a comment imports.
  const source = readFileSync(join(lib, `${file}.ts`), 'utf8').replace(/\/\*\*[\s\S]*?\*\//g, '');
  const found = source.matchAll(/^(?:import|export)\s+(type\s+)?(?:[\s\S]*?\sfrom\s+)?'([^']+)';/gm);
  return [...found].map(([, type, from]) => ({ from: from ?? '', typeOnly: type !== undefined }));
}

/** The files of lib/ that a file imports, as `folder/file`. */
function localImportsOf(file: string): string[] {
  return importsOf(file)
    .filter(({ from }) => from.startsWith('.'))
    .map(({ from }) => posix.join(posix.dirname(file), from));
}

test('every file of lib/ is on a level, or belongs to a further entry', () => {
  expect(core.filter((file) => levelOf(file) === -1)).toEqual([]);
});

test.each(core)('%s imports from lower levels and from its own folder only', (file) => {
  const upward = localImportsOf(file).filter(
    (below) => folderOf(below) !== folderOf(file) && levelOf(below) >= levelOf(file),
  );
  expect(upward).toEqual([]);
});

test('there is no cycle between files, types included', () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]) => {
    expect([...path, file]).toEqual([...new Set([...path, file])]);
    if (done.has(file)) return;
    for (const below of localImportsOf(file)) visit(below, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(done.size).toBe(files.length);
});

test('a further entry imports the public names by the name of the package, its own files, and what has no state of its own', () => {
  const entries = files.filter((file) => ENTRIES.includes(folderOf(file)));
  expect(entries.length).toBeGreaterThan(0);
  const allowed =
    /^reconnecting-connection$|^\.\/[a-z-]+$|^\.\.\/(?:options\/checks|errors|timers\/deadline|events\/on-abort)$|^node:[a-z_/]+$/;
  for (const file of entries) {
    expect([file, importsOf(file).filter(({ from }) => !allowed.test(from))]).toEqual([file, []]);
  }
});

test('what package.json exports has its two files in lib/, and the types of both', () => {
  const { exports, typesVersions } = JSON.parse(readFileSync(join(lib, '..', 'package.json'), 'utf8')) as {
    exports: Record<string, unknown>;
    typesVersions: { '*': Record<string, unknown> };
  };
  for (const [name, entry] of Object.entries(exports)) {
    if (name === './package.json') continue;
    // `as`: were it not so, the comparison would fail.
    const path = (entry as { require: { default: string } }).require.default.replace(/^\.\/dist\/|\.js$/g, '');
    expect(entry).toEqual({
      import: { types: `./dist/${path}.d.mts`, default: `./dist/${path}.mjs` },
      require: { types: `./dist/${path}.d.ts`, default: `./dist/${path}.js` },
    });
    for (const extension of ['ts', 'mts']) expect(existsSync(join(lib, `${path}.${extension}`))).toBe(true);
    // For compilers that do not know `exports`.
    if (name !== '.') expect(typesVersions['*'][name.replace('./', '')]).toEqual([`./dist/${path}.d.ts`]);
  }
});

test('only `socket/open-socket` opens sockets', () => {
  const openers = core.filter((file) => {
    const source = readFileSync(join(lib, `${file}.ts`), 'utf8');
    return /\b(?:createConnection|tls\.connect(?=\()|new Socket|new TLSSocket)\b|\bconnect\b[^'\n]*from 'node:(?:net|tls)'/.test(
      source,
    );
  });
  expect(openers).toEqual(['socket/open-socket']);
});

test.each([
  'errors',
  'events/events',
  'options/backoff',
  'options/checks',
  'options/options',
  'options/target',
  'attempt/dial-gate',
  'writes/write',
  'lifecycle/retry-policy',
  'lifecycle/states',
  'pool/connect-window',
  'pool/selection',
])('%s decides and describes, and imports no I/O', (file) => {
  const io = importsOf(file).filter(({ from, typeOnly }) => /^node:(?!util$)/.test(from) && !typeOnly);
  // `isIPv6` looks at a string.
  expect(io.filter(({ from }) => !(file === 'options/target' && from === 'node:net'))).toEqual([]);
});

test('the only package that is imported at run time is eventemitter3', () => {
  const packages = core.flatMap((file) =>
    importsOf(file).filter(({ from, typeOnly }) => !typeOnly && !/^(?:node:|\.)/.test(from)),
  );
  expect(packages.map(({ from }) => from)).toEqual(['eventemitter3']);
});

test('CONTRIBUTING.md has a row for each folder and each file beside them, from the bottom up', () => {
  const guide = readFileSync(join(lib, '..', 'CONTRIBUTING.md'), 'utf8');
  const [, section = ''] = guide.split(/^## The folders of .*$/m);
  const table = section.slice(0, section.indexOf('\n## '));
  const rows = [...table.matchAll(/^\| `([a-z]+)\/?` \|/gm)].map(([, name]) => name ?? '');
  const names = [...new Set(files.map(folderOf))];
  expect([...rows].sort()).toEqual(names.sort());
  const order = LEVELS.flat();
  const core = rows.filter((row) => order.includes(row));
  expect(core.map((row) => LEVELS.findIndex((level) => level.includes(row)))).toEqual(
    core.map((row) => LEVELS.findIndex((level) => level.includes(row))).sort((a, b) => a - b),
  );
});
