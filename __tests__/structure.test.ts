import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const lib = join(__dirname, '..', 'lib');
const rooms = readdirSync(lib)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

/** What a room imports, types included. */
function importsOf(room: string): Import[] {
  const source = readFileSync(join(lib, `${room}.ts`), 'utf8');
  const found = source.matchAll(/^(?:import|export)\s+(type\s+)?(?:[\s\S]*?\sfrom\s+)?'([^']+)';/gm);
  return [...found].map(([, type, from]) => ({ from: from ?? '', typeOnly: type !== undefined }));
}

/** The rooms from which a room imports. */
function roomsBelow(room: string): string[] {
  return importsOf(room)
    .filter(({ from }) => from.startsWith('./'))
    .map(({ from }) => from.slice('./'.length));
}

test('imports in lib/ run one way: there is no cycle, types included', () => {
  const done = new Set<string>();
  const visit = (room: string, path: readonly string[]) => {
    expect([...path, room]).toEqual([...new Set([...path, room])]);
    if (done.has(room)) return;
    for (const below of roomsBelow(room)) visit(below, [...path, room]);
    done.add(room);
  };
  for (const room of rooms) visit(room, []);
  expect(done.size).toBe(rooms.length);
});

test('nothing in lib/ imports the index', () => {
  expect(rooms.filter((room) => roomsBelow(room).includes('index'))).toEqual([]);
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
