import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';

const lib = join(__dirname, '..', 'lib');
const rooms = readdirSync(lib)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));

/** The files of the folders in lib/, each of which is what a further entry is made of: `testing/recorder`, say. */
const furnishings = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter((file) => /^[a-z]+\/.+\.ts$/.test(file))
  .map((file) => file.slice(0, -'.ts'.length));

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

/** What a room imports, types included. */
function importsOf(room: string): Import[] {
  // Not what an example in a comment imports.
  const source = readFileSync(join(lib, `${room}.ts`), 'utf8').replace(/\/\*\*[\s\S]*?\*\//g, '');
  const found = source.matchAll(/^(?:import|export)\s+(type\s+)?(?:[\s\S]*?\sfrom\s+)?'([^']+)';/gm);
  return [...found].map(([, type, from]) => ({ from: from ?? '', typeOnly: type !== undefined }));
}

/** The rooms from which a room imports, or the files beside it for one in a folder. */
function roomsBelow(room: string): string[] {
  return importsOf(room)
    .filter(({ from }) => from.startsWith('./'))
    .map(({ from }) => posix.join(posix.dirname(room), from));
}

test('imports in lib/ run one way: there is no cycle, types included', () => {
  const done = new Set<string>();
  const visit = (room: string, path: readonly string[]) => {
    expect([...path, room]).toEqual([...new Set([...path, room])]);
    if (done.has(room)) return;
    for (const below of roomsBelow(room)) visit(below, [...path, room]);
    done.add(room);
  };
  for (const room of [...rooms, ...furnishings]) visit(room, []);
  expect(done.size).toBe(rooms.length + furnishings.length);
});

test('no room imports the index, nor what is in a folder', () => {
  const index = rooms.filter((room) =>
    importsOf(room).some(({ from }) => /^\.\/index$|\/.*\/|^reconnecting/.test(from)),
  );
  expect(index).toEqual([]);
});

test('what is in a folder imports the public entry by its name, files beside it, `check` and `errors`, and Node', () => {
  expect(furnishings.length).toBeGreaterThan(0);
  const allowed = /^reconnecting-connection$|^\.\/[a-z-]+$|^\.\.\/(?:check|errors)$|^node:[a-z_]+$/;
  for (const file of furnishings) {
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

test('only `dial` opens sockets', () => {
  const openers = rooms.filter((room) => {
    const source = readFileSync(join(lib, `${room}.ts`), 'utf8');
    return /\b(?:createConnection|connectTls|new Socket|new TLSSocket)\b|\bconnect\b[^'\n]*from 'node:(?:net|tls)'/.test(
      source,
    );
  });
  expect(openers).toEqual(['dial']);
});

test.each([
  'backoff',
  'canary',
  'check',
  'errors',
  'events',
  'gate',
  'options',
  'retry',
  'selection',
  'states',
  'target',
  'writes',
])('%s decides and describes, and imports no I/O', (room) => {
  const io = importsOf(room).filter(({ from, typeOnly }) => /^node:(?!util$)/.test(from) && !typeOnly);
  // `isIPv6` looks at a string.
  expect(io.filter(({ from }) => !(room === 'target' && from === 'node:net'))).toEqual([]);
});

test('the only package that is imported at run time is eventemitter3', () => {
  const packages = rooms.flatMap((room) =>
    importsOf(room).filter(({ from, typeOnly }) => !typeOnly && !/^(?:node:|\.\/)/.test(from)),
  );
  expect(packages.map(({ from }) => from)).toEqual(['eventemitter3']);
});

test('CONTRIBUTING.md names every room, once, below all that it imports', () => {
  const guide = readFileSync(join(lib, '..', 'CONTRIBUTING.md'), 'utf8');
  const order = [...guide.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, room]) => room ?? '');
  expect([...order].sort()).toEqual([...rooms].sort());
  for (const room of rooms) {
    const later = roomsBelow(room).filter((below) => order.indexOf(below) > order.indexOf(room));
    expect([room, later]).toEqual([room, []]);
  }
});
