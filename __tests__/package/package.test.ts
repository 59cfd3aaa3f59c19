import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(__dirname, '../..');
const DIST = join(ROOT, 'dist');
const execute = promisify(execFile);

// npm and the compiler take seconds, and more where much else goes on.
jest.setTimeout(60_000);

/** What package.json says of an entry. */
type Entry = Record<'import' | 'require', { readonly types: string; readonly default: string }>;

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly dependencies: Record<string, string>;
  readonly scripts: Record<string, string>;
  readonly exports: Record<string, Entry | string>;
};

/** The entries that hold code: by what they are imported, and their files. */
const entries = Object.entries(manifest.exports).flatMap(([path, entry]) =>
  typeof entry === 'string' ? [] : [{ name: path.replace(/^\./, 'reconnecting-connection'), ...entry }],
);

/** A project that has this package installed, as packed. */
let project: string;
let tarball: string;
let packed: readonly string[];
let bytes: { readonly size: number; readonly unpackedSize: number };

beforeAll(async () => {
  if (!existsSync(join(DIST, 'index.js'))) throw new Error('There is no dist/: npm run build');
  project = mkdtempSync(join(tmpdir(), 'consumer-'));
  writeFileSync(join(project, 'package.json'), '{ "name": "consumer" }');
  const modules = join(project, 'node_modules');
  mkdirSync(modules);
  for (const name of ['eventemitter3', '@types', 'undici-types', 'typescript']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', project];
  const { stdout } = await execute('npm', pack, { cwd: ROOT });
  const [{ filename, files, ...sizes }] = JSON.parse(stdout) as [
    { filename: string; files: { path: string }[]; size: number; unpackedSize: number },
  ];
  bytes = sizes;
  tarball = join(project, filename);
  packed = files.map(({ path }) => path);
  // A copy and no link, for from the repository the compiler would find what it must not need.
  const own = join(modules, 'reconnecting-connection');
  mkdirSync(own);
  await execute('tar', ['-xzf', tarball, '--strip-components', '1', '-C', own]);
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Runs a script of the project to its end, and returns what it prints, from JSON. */
async function evaluate(name: string, script: string): Promise<unknown> {
  writeFileSync(join(project, name), script);
  const { stdout } = await execute(process.execPath, [join(project, name)], { cwd: project });
  return JSON.parse(stdout);
}

/** The names that exist at run time. */
const NAMES: Record<string, readonly string[]> = {
  'reconnecting-connection': [
    'ConnectionError',
    'ConnectionPool',
    'ConnectionRegistry',
    'ReconnectingConnection',
    'connmanBackoff',
    'constantBackoff',
    'defaultBackoff',
    'dnsTargets',
    'exponentialBackoff',
    'logEvents',
    'registry',
  ],
  'reconnecting-connection/testing': ['FaultProxy', 'LoopbackServer', 'ScriptedDial', 'record', 'until'],
  'reconnecting-connection/requests': ['Requests'],
  'reconnecting-connection/delivery': ['DeliveryWindow', 'FileSpool'],
  'reconnecting-connection/prometheus': ['exportMetrics'],
  'reconnecting-connection/opentelemetry': ['exportMetrics'],
};

describe('the packed package', () => {
  test.each(entries)(
    '$name exports the same names to `require` and to `import`, and nothing else',
    async ({ name }) => {
      const print = 'console.log(JSON.stringify(Object.keys(names).sort()))';
      const [required, imported] = await Promise.all([
        evaluate('names.cjs', `const names = require('${name}'); ${print}`),
        evaluate('names.mjs', `import * as names from '${name}'; ${print}`),
      ]);

      expect(required).toEqual(NAMES[name]);
      expect(imported).toEqual(NAMES[name]);
    },
  );

  test('has one copy of everything, however and by whichever entry it is loaded', async () => {
    const codes = await evaluate(
      'copies.mjs',
      `import { ConnectionError } from 'reconnecting-connection';
       import { createRequire } from 'node:module';
       const require = createRequire(import.meta.url);
       const caught = [];
       for (const { record } of [await import('reconnecting-connection/testing'), require('reconnecting-connection/testing')]) {
         try { record(1); } catch (error) { caught.push(error instanceof ConnectionError && error.code); }
       }
       console.log(JSON.stringify(caught));`,
    );

    expect(codes).toEqual(['ERR_INVALID_OPTION', 'ERR_INVALID_OPTION']);
  });

  test('is one and the same under `require` and `import`: one registry for a process', async () => {
    const same = await evaluate(
      'same.mjs',
      `import * as imported from 'reconnecting-connection';
       import { createRequire } from 'node:module';
       const required = createRequire(import.meta.url)('reconnecting-connection');
       const { registry, ReconnectingConnection } = required;
       const connection = imported.registry.connect({ port: 1, autoConnect: false });
       console.log(JSON.stringify({
         different: Object.keys(imported).filter((name) => imported[name] !== required[name]),
         found: registry.getConnection(1) === connection,
         instance: connection instanceof ReconnectingConnection,
       }));`,
    );

    expect(same).toEqual({ different: [], found: true, instance: true });
  });

  test('opens its package.json, and no file of its inside', async () => {
    const answers = await evaluate(
      'inside.cjs',
      `const codes = ['/package.json', '/dist/index.js', '/dist/machine.js', '/lib/index.ts'].map((path) => {
         try { return require('reconnecting-connection' + path).name ?? 'loaded'; } catch ({ code }) { return code; }
       });
       console.log(JSON.stringify(codes));`,
    );

    expect(answers).toEqual([
      'reconnecting-connection',
      'ERR_PACKAGE_PATH_NOT_EXPORTED',
      'ERR_PACKAGE_PATH_NOT_EXPORTED',
      'ERR_PACKAGE_PATH_NOT_EXPORTED',
    ]);
  });

  test('works: a connection opens, echoes and closes, in either format', async () => {
    const script = `
      const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
        const connection = new ReconnectingConnection({ port: server.address().port });
        connection.on('open', () => connection.write('echo'));
        connection.on('data', async (chunk) => {
          const { reason } = await connection.disconnect();
          server.close();
          console.log(JSON.stringify([String(chunk), reason]));
        });
      });`;
    const answers = await Promise.all([
      evaluate(
        'works.cjs',
        `const net = require('node:net'), { ReconnectingConnection } = require('reconnecting-connection'); ${script}`,
      ),
      evaluate(
        'works.mjs',
        `import net from 'node:net'; import { ReconnectingConnection } from 'reconnecting-connection'; ${script}`,
      ),
    ]);

    expect(answers).toEqual([
      ['echo', 'disconnected'],
      ['echo', 'disconnected'],
    ]);
  });

  test('loads the modules of Node that few programs need when one needs them', async () => {
    const loaded = await evaluate(
      'lazy.cjs',
      `const { ReconnectingConnection } = require('reconnecting-connection');
       const seen = () => ['crypto', 'dns', 'tls', 'worker_threads'].filter((name) => process.moduleLoadList.includes('NativeModule ' + name));
       const before = seen();
       new ReconnectingConnection({ port: 1, tls: true, autoConnect: false });
       console.log(JSON.stringify([before, seen()]));`,
    );

    expect(loaded).toEqual([[], ['crypto', 'tls']]);
  });

  test('shows in a stack trace the names of lib/, and code on lines that can be read', async () => {
    const stack = await evaluate(
      'stack.cjs',
      `const { ReconnectingConnection } = require('reconnecting-connection');
       const connection = new ReconnectingConnection({ port: 1, host: '127.0.0.1', dial: () => { throw new Error('no'); } });
       connection.once('backoff', () => {
         console.log(JSON.stringify(new Error().stack));
         void connection.disconnect();
       });`,
    );
    const frames = [...String(stack).matchAll(/ at (?:new |async )?(?:\w+\.)?(#?\w+) \((.*dist.*):(\d+):\d+\)/g)];
    const sources = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(ROOT, 'lib', name), 'utf8'));

    expect(frames.length).toBeGreaterThan(2);
    for (const [, name, file, line] of frames) {
      expect([name, sources.some((source) => source.includes(`${name}(`))]).toEqual([name, true]);
      expect(readFileSync(file!, 'utf8').split('\n')[Number(line) - 1]!.length).toBeLessThan(240);
    }
  });

  test('holds a file of JavaScript and one of types for each entry and format, two that they share, the command, and its papers', () => {
    const files = entries.flatMap((entry) => [entry.import, entry.require].flatMap((each) => Object.values(each)));

    expect(files).toHaveLength(4 * entries.length);
    expect([...packed].sort()).toEqual(
      [
        ...files.map((path) => path.replace('./', '')),
        'dist/command.js',
        'dist/common.js',
        'dist/adapters/common.js',
        'LICENSE',
        'README.md',
        'package.json',
      ].sort(),
    );
  });

  test('is written in ASCII, of which V8 keeps a byte a character and not two', () => {
    const scripts = packed.filter((path) => /\.m?js$/.test(path));

    expect(scripts.length).toBeGreaterThan(entries.length);
    expect(scripts.filter((path) => /[^\0-\x7f]/.test(readFileSync(join(ROOT, path), 'utf8')))).toEqual([]);
  });

  test('needs eventemitter3 at run time, and no install script of its own', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['eventemitter3']);
    expect(Object.keys(manifest.scripts).filter((name) => name.includes('install'))).toEqual([]);
  });

  test('stays within its budget: 155 kB to download; 645 KiB and 60 files on disk, with eventemitter3', () => {
    const dependency = join(ROOT, 'node_modules/eventemitter3');
    const files = readdirSync(dependency, { recursive: true, encoding: 'utf8' })
      .map((name) => statSync(join(dependency, name)))
      .filter((stats) => stats.isFile());
    const size = files.reduce((sum, each) => sum + each.size, bytes.unpackedSize);

    expect(bytes.size).toBeLessThan(155_000);
    expect(size).toBeLessThan(645 * 1024);
    expect(files.length + packed.length).toBeLessThanOrEqual(60);
  });

  test('is what publint and are-the-types-wrong ask for, entry by entry', async () => {
    const { stdout } = await execute(process.execPath, [join(__dirname, 'consumers/lint.mjs'), tarball]);

    expect(JSON.parse(stdout)).toEqual({ publint: [], problems: [], entries: Object.keys(manifest.exports) });
  });
});

describe('the guide to testing', () => {
  /** The code under a heading of the guide. */
  const codeUnder = (heading: string) => {
    const guide = readFileSync(join(ROOT, 'docs/guides/testing.md'), 'utf8');
    const section = guide.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
    const [, code] = /^```js\n([\s\S]*?)^```/m.exec(section) ?? [];
    if (code === undefined) throw new Error(`There is no code under ${heading}`);
    return code;
  };

  test('shows what runs under node:test', async () => {
    writeFileSync(join(project, 'guide.test.mjs'), codeUnder('Under node:test'));
    // A run of node:test within one would report to that.
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    const { stdout } = await execute(process.execPath, ['--test', 'guide.test.mjs'], { cwd: project, env });

    expect(stdout).toMatch(/^\W+ pass 1$/m);
  });

  test('shows what runs under jest', async () => {
    writeFileSync(join(project, 'guide.test.js'), codeUnder('Under jest'));
    writeFileSync(join(project, 'jest.config.json'), '{ "transform": {}, "testMatch": ["**/guide.test.js"] }');
    const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
    // Without what this jest tells those that it runs in.
    const { NODE_OPTIONS, PATH } = process.env;
    const { stderr } = await execute(process.execPath, [jest, '--watchman=false'], {
      cwd: project,
      env: { NODE_OPTIONS, PATH },
    });

    expect(stderr).toMatch(/^Tests: +1 passed, 1 total$/m);
  });
});

describe('the shipped types', () => {
  test.each(entries)('of $name import nothing but Node, eventemitter3 and the main entry', (entry) => {
    const typesOf = (file: string) => {
      const types = readFileSync(join(ROOT, file), 'utf8');
      return {
        types,
        imported: [...types.matchAll(/(?:from|import\(|require\()\s*['"]([^'"]+)['"]/g)].map(([, name]) => name!),
      };
    };
    const { types, imported } = typesOf(entry.require.types);
    const allowed =
      entry.name === 'reconnecting-connection'
        ? /^node:[a-z]+$|^eventemitter3$/
        : /^node:[a-z]+$|^reconnecting-connection$/;

    expect(imported.filter((name) => !allowed.test(name))).toEqual([]);
    expect(types).not.toMatch(/typed-emitter|\.\.\/|rxjs/);
    expect(types).not.toMatch(
      entry.name === 'reconnecting-connection' ? /class Recorder/ : /class ReconnectingConnection/,
    );
    expect(new Set(typesOf(entry.import.types).imported)).toEqual(new Set([`./${basename(entry.require.default)}`]));
  });

  const CONSUMER = `
    import { ConnectionPool, ConnectionError, ReconnectingConnection, connmanBackoff, exponentialBackoff, registry } from 'reconnecting-connection';
    import type { BackoffInfo, ConnectionEvents, ConnectionOptions, OpenInfo, PoolEvents, StateName, Target } from 'reconnecting-connection';
    import { type NextOptions, type Recorder, ScriptedDial, record } from 'reconnecting-connection/testing';
    import { Requests } from 'reconnecting-connection/requests';
    import { type Spool, DeliveryWindow } from 'reconnecting-connection/delivery';
    import { once } from 'node:events';

    const options: ConnectionOptions = { port: 6379, tls: { servername: 'x' }, backoff: exponentialBackoff({ jitter: 'equal' }), socket: { noDelay: true } };
    const connection = new ReconnectingConnection<string>(options);
    connection
      .on('open', ({ generation, remoteAddress }: OpenInfo) => console.log(generation, remoteAddress?.length))
      .on('data', (chunk) => chunk.subarray(1))
      .on('message', (message) => message.toUpperCase())
      .on('state', (next: StateName, previous) => console.log(next, previous))
      .once('backoff', (info: BackoffInfo) => info.delay.toFixed(1));
    // @ts-expect-error there is no such event
    connection.on('opened', () => {});
    // @ts-expect-error the payload has no such field
    connection.on('reset', ({ nothing }) => nothing);
    const taken: boolean = connection.write('x', 'latin1', (error) => console.log(error?.message));
    const pool = new ConnectionPool({ maxConnecting: 3, select: (open, key) => open[key?.length ?? 0] });
    pool.on('backoff', (info, tag, member) => console.log(info.delay, tag.length, member.state));
    pool.on('data', (chunk, tag) => console.log(chunk.length, tag));
    const target: Target = { path: '/tmp/x' };
    const handlers: Partial<PoolEvents & { other: () => void }> = {};
    const events: Partial<ConnectionEvents<Buffer>> = { message: (message) => message.length };
    // The classes that the other entries take are those of the main entry.
    const recorder: Recorder<ConnectionEvents<string>> = record(connection);
    const scripted = new ReconnectingConnection({ port: 1, dial: new ScriptedDial(['refuse', { deliver: 'x', then: 'drop' }]).dial });
    // @ts-expect-error there is no such outcome
    const unscripted = new ScriptedDial(['refused']);
    const longer: NextOptions = { deadline: 100 };
    const requests = new Requests(connection, { timeout: 100, match: (line) => line.length, send: (command: { x: 1 }) => String(command.x) });
    requests.on('unasked', (line, { key, late }) => console.log(line.toUpperCase(), key, late));
    // @ts-expect-error a request is what \`send\` takes
    void requests.request('x');
    // @ts-expect-error there has to be a timeout
    const timeless = new Requests(new ReconnectingConnection({ port: 1 }), {});
    const bytes: Promise<Buffer> = timeless.request(['x', new Uint8Array(1)]);
    declare const spool: Spool;
    const delivery = new DeliveryWindow(connection, { encode: (position, line) => \`\${position} \${line.toUpperCase()}\`, maxBytes: 5, spool });
    delivery.on('acknowledged', (position) => console.log(position.toFixed(), delivery.close()[0]?.message.length));
    // @ts-expect-error a message is a string unless the type says bytes
    delivery.send(new Uint8Array(1));
    async function main(): Promise<void> {
      console.log((await requests.request({ x: 1 }, { key: 'x', timeout: 5 })).toUpperCase(), await bytes);
      const [heard] = await recorder.next('message', longer);
      const [wait, waiting] = await record(pool).next('backoff', { where: (info, tag) => info.attempt > 1 && tag !== '' });
      console.log(scripted.state, unscripted.attempts, heard.toUpperCase(), wait.delay, waiting.length);
      // @ts-expect-error there is no such event
      void recorder.next('opened');
      const { attempts } = await connection.whenOpen({ attempts: 3 });
      await once(registry.connect({ target: async () => target, backoff: connmanBackoff() }) as never, 'open');
      const { reason } = await connection.disconnect();
      const error = new ConnectionError('ERR_CLOSED', reason);
      // @ts-expect-error there is no such code
      if (error.code === 'ERR_OTHER') throw error;
      console.log(attempts, taken, handlers, events, error.tag);
    }
    void main();
  `;

  test.each([
    [
      'with nodenext, from CommonJS and from ESM',
      ['consumer.cts', 'consumer.mts'],
      { module: 'nodenext', moduleResolution: 'nodenext' },
    ],
    [
      'with node16, from CommonJS and from ESM',
      ['consumer.cts', 'consumer.mts'],
      { module: 'node16', moduleResolution: 'node16' },
    ],
    ['for a bundler', ['consumer.ts'], { module: 'esnext', moduleResolution: 'bundler' }],
  ])('compile in a strict project of their own, libraries checked: %s', async (_what, files, options) => {
    for (const file of files) writeFileSync(join(project, file), CONSUMER);
    const config = join(project, `tsconfig.${options.moduleResolution}.json`);
    const compilerOptions = {
      ...options,
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      // Once is enough for the libraries' own types, and it is what takes the time.
      skipLibCheck: options.module !== 'nodenext',
    };
    writeFileSync(config, JSON.stringify({ compilerOptions, files }));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { stdout } = await execute(process.execPath, [tsc, '-p', config], { cwd: project }).catch(
      (failed: unknown) => failed as { stdout: string },
    );

    expect(stdout).toBe('');
  });

  // With libraries checked and in older compilers too: `npm run consumers`.
  test('bring in the types of Node by themselves, in a project that has the defaults of the compiler', async () => {
    const program = readFileSync(join(__dirname, 'consumers/defaults.mts'), 'utf8');
    const files = ['defaults.cts', 'defaults.mts'];
    for (const file of files) writeFileSync(join(project, file), program);
    const compilerOptions = { module: 'nodenext', exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: true };
    writeFileSync(join(project, 'tsconfig.defaults.json'), JSON.stringify({ compilerOptions, files }));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { stdout } = await execute(process.execPath, [tsc, '-p', 'tsconfig.defaults.json'], { cwd: project }).catch(
      (failed: unknown) => failed as { stdout: string },
    );

    expect(stdout).toBe('');
  });
});
