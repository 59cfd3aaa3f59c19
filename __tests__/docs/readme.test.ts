import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as library from 'reconnecting-connection';

import { transitions } from '../../lib/lifecycle/states';
import { tableUnder } from '../kit/markdown';
import { freePort } from '../kit/ports';
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

/** The README's blocks of one language. */
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(([, text = '']) => text);

/** A line of the log in which numbers of up to three digits, which no port here has, may differ. */
const withOtherNumbers = (line: string) =>
  new RegExp(line.replace(/[.()]/g, '\\$&').replace(/(?<![\d.])\d{1,3}(?![\d.]|\\\.)/g, '\\d+'));

test('it is a page: at most 1,100 words, code and tables included', () => {
  expect(readme.split(/\s+/).length).toBeLessThan(1_100);
});

test('the first example begins within the first thirty lines', () => {
  expect(readme.split('\n').indexOf('```js')).toBeLessThan(30);
});

test('the first example says why it cannot connect, then opens a session with the server of one line, and exits on SIGINT', async () => {
  const [first] = snippetsIn(readme, 'README.md');
  const [, serve = ''] = /^node -e "(.*)"$/m.exec(readme) ?? [];
  const port = await freePort();
  const own = (code = '') => code.replaceAll('7000', String(port));
  // Within the repository, so that Node resolves the package by its own name.
  mkdirSync(join(root, 'temp'), { recursive: true });
  const folder = mkdtempSync(join(root, 'temp', 'readme-'));
  let server: ChildProcess | undefined;
  try {
    writeFileSync(join(folder, 'hello.mjs'), own(first?.code));
    const child = spawn(process.execPath, [join(folder, 'hello.mjs')], { stdio: ['ignore', 'pipe', 'pipe'] });
    const exited = once(child, 'exit');
    let output = '';
    const onText = (text: string) => {
      const isFirst = !output.includes('hello');
      output += text;
      if (output.includes('retry')) server ??= spawn(process.execPath, ['-e', own(serve)], { stdio: 'ignore' });
      if (isFirst && output.includes('hello')) child.kill('SIGINT');
    };
    child.stdout.setEncoding('utf8').on('data', onText);
    child.stderr.setEncoding('utf8').on('data', onText);

    expect(await exited).toEqual([0, null]);
    const [refused = '', opened = '', hello = ''] = blocks('text')[0]!.split('\n');
    for (const line of [refused, opened, hello]) expect(output).toMatch(withOtherNumbers(own(line)));
  } finally {
    server?.kill('SIGKILL');
    rmSync(folder, { recursive: true });
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
  ['the diagram of what happens when', read('docs/behavior.md'), /^ {2}(\w+) --> (\w+)/gm],
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
  expect(new Set(columns).size).toBe(6);
  expect(columns).not.toContain(-1);

  const rows = tableUnder(readme, 'How it compares');
  expect(rows).toHaveLength(4);
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
