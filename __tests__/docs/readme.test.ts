import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';

import * as library from 'reconnecting-connection';

import { transitions } from '../../lib/lifecycle/states';
import { tableUnder } from '../kit/markdown';
import { EVENTS } from '../kit/record';
import { snippetsIn } from '../kit/snippets';

const root = join(__dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const readme = read('README.md');
const api = read('docs/api.md');

/** The names in the first cells of a table: `name(arguments)` and `name` alike. */
function namesUnder(heading: string): string[] {
  return tableUnder(api, heading).flatMap(([cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replace(/\(.*$/, '')),
  );
}

/** The properties of an interface in a source file, with their doc comments; not those of what it extends. */
function propertiesOf(path: string, name: string): Map<string, string> {
  const [, body = ''] = read(path).split(new RegExp(`export interface ${name} (?:extends \\w+ )?{`));
  const properties = body.slice(0, body.indexOf('\n}')).matchAll(/\/\*\*([\s\S]*?)\*\/\s+readonly (\w+)\??:/g);
  return new Map([...properties].map(([, doc = '', property = '']) => [property, doc.replace(/\s+\*?\s*/g, ' ')]));
}

/** The options of a connection: where to, then how. */
function documentedOptions(): Map<string, string> {
  const path = 'lib/options/options.ts';
  return new Map([...propertiesOf(path, 'MemberOptions'), ...propertiesOf(path, 'CommonOptions')]);
}

function membersOf(constructor: { readonly prototype: object }): string[] {
  return (
    Reflect.ownKeys(constructor.prototype)
      .filter((key) => key !== 'constructor')
      .map((key) => {
        if (typeof key === 'string') return key;
        return key === Symbol.asyncDispose ? '[Symbol.asyncDispose]' : `[${key.description ?? ''}]`;
      })
      // Other symbols are for `util.inspect`, or internal.
      .filter((key) => !key.startsWith('[') || key.startsWith('[Symbol.'))
  );
}

test('the first example begins within the first thirty lines', () => {
  expect(readme.split('\n').indexOf('```js')).toBeLessThan(30);
});

test('the first example opens a session, receives the answer, and exits on SIGTERM', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => socket.write('+PONG\r\n'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [first] = snippetsIn(readme, 'README.md');
  // Within the repository, so that Node resolves the package by its own name.
  mkdirSync(join(root, 'temp'), { recursive: true });
  const folder = mkdtempSync(join(root, 'temp', 'readme-'));
  try {
    writeFileSync(join(folder, 'example.mjs'), (first?.code ?? '').replace('port: 6379', `port: ${port}`));
    const child = spawn(process.execPath, [join(folder, 'example.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let output = '';
    for await (const chunk of child.stdout.setEncoding('utf8')) {
      output += String(chunk);
      if (output.endsWith('PONG\n')) child.kill('SIGTERM');
    }

    expect(await exited).toEqual([0, null]);
    expect(output).toBe('session 1\n+PONG\nlost: disconnected\n');
  } finally {
    rmSync(folder, { recursive: true });
    server.close();
  }
});

test('the table of events lists every event', () => {
  expect(namesUnder('Events').sort()).toEqual([...EVENTS].sort());
});

test.each(['OpenInfo', 'ResetInfo', 'BackoffInfo', 'DropInfo', 'CloseInfo'])(
  'the table of events lists every field of %s',
  (info) => {
    const event = info.replace('Info', '').toLowerCase();
    const [, payload = ''] = tableUnder(api, 'Events').find(([cell]) => cell === `\`${event}\``) ?? [];
    for (const field of propertiesOf('lib/events/events.ts', info).keys())
      expect(payload).toMatch(new RegExp(`\\b${field}\\b`));
  },
);

test('the page on the API names every reason', () => {
  const reasons = [...read('lib/events/events.ts').matchAll(/^ {2}\| '([a-z-]+)'/gm)].map(([, reason]) => reason ?? '');
  expect(reasons.length).toBeGreaterThan(10);
  for (const reason of [...reasons, 'forced', 'expired', 'refused']) expect(api).toContain(`'${reason}'`);
});

test('the table of options lists every option, with the default that its doc comment gives', () => {
  const documented = documentedOptions();
  const rows = tableUnder(api, 'Options');
  expect(rows.map(([name = '']) => name.replaceAll('`', ''))).toEqual([...documented.keys()]);
  for (const [name = '', value = ''] of rows) {
    const doc = documented.get(name.replaceAll('`', '')) ?? '';
    if (value === '–') expect(doc).not.toContain('Default:');
    else expect(doc).toContain(`Default: ${value}.`);
  }
});

test('the documented options are the ones that the constructor accepts', () => {
  const error = expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error;
  const unknown = () => new library.ReconnectingConnection({ unknown: 1 } as never);
  expect(unknown).toThrow(error);
  for (const name of documentedOptions().keys()) {
    expect(unknown).toThrow(new RegExp(`\\b${name}\\b`));
  }
});

test('the tables of methods list every member', () => {
  const connection = membersOf(library.ReconnectingConnection);
  expect(namesUnder('Methods and properties').sort()).toEqual(connection.sort());
  const pool = membersOf(library.ConnectionPool).filter((key) => !['toJSON', '[Symbol.iterator]'].includes(key));
  expect(namesUnder('Pools').sort()).toEqual(pool.sort());
});

test('the table of errors lists every code', () => {
  const codes = [...read('lib/errors.ts').matchAll(/^ {2}\| '(ERR_[A-Z_]+)'/gm)].map(([, code]) => code);
  expect(namesUnder('Errors')).toEqual(codes);
});

test('the table of backoff policies lists those that are exported', () => {
  const exported = Object.keys(library).filter((name) => name.endsWith('Backoff'));
  expect(namesUnder('Backoff').sort()).toEqual(exported.sort());
});

test.each([
  ['the README’s diagram', readme, /^ {2}(\w+) --> (\w+)/gm],
  ['the diagram beside the table', read('lib/lifecycle/states.ts'), /^ \* {3}(\w+)\s+──► (\w+)/gm],
])('%s draws exactly the transitions of the table', (_name, text, arrows) => {
  const drawn = [...text.matchAll(arrows)].map(([, from, to]) => `${from} → ${to}`);
  const table = Object.entries(transitions).flatMap(([from, all]) => all.map((to) => `${from} → ${to}`));
  expect(drawn.sort()).toEqual(table.sort());
});

test('the comparison in the README agrees with docs/conformance.md in every cell', () => {
  const page = read('docs/conformance.md');
  const cellsOf = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const libraries = cellsOf(/^\|  \|.*$/m.exec(page)?.[0] ?? '');
  const header = cellsOf(/^\| case \|.*$/m.exec(readme)?.[0] ?? '').slice(1);
  /** For each column of the README, its index on the page. */
  const columns = header.map((name) => {
    const plain = name.replaceAll('`', '').replace('this library', 'reconnecting-connection');
    return libraries.findIndex((library) => library === plain || new RegExp(`^${plain}[ .][\\d.]+$`).test(library));
  });
  expect(new Set(columns).size).toBe(8);
  expect(columns).not.toContain(-1);

  const rows = tableUnder(readme, 'How it compares');
  expect(rows).toHaveLength(19);
  for (const [name = '', ...cells] of rows.slice(0, -1)) {
    const [, id = ''] = /\[(C\d+)\]/.exec(name) ?? [];
    const line = page.split('\n').find((each) => each.startsWith(`| **${id}** `)) ?? '';
    expect([id, cells]).toEqual([id, columns.map((column) => cellsOf(line)[column])]);
  }
  const totals = columns.map((column) => {
    const line = page.split('\n').find((each) => each.startsWith(`| ${libraries[column]!} | `)) ?? '';
    const [, asked, passed] = cellsOf(line);
    return `${passed!} of ${asked!}`;
  });
  expect(rows.at(-1)?.slice(1)).toEqual(totals);
});
