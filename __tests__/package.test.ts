import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(__dirname, '..');
const DIST = join(ROOT, 'dist');
const execute = promisify(execFile);

// npm and the compiler take seconds, and more where much else goes on.
jest.setTimeout(60_000);

/** A project that has this package installed, as built. */
let project: string;

beforeAll(() => {
  if (!existsSync(join(DIST, 'index.js'))) throw new Error('There is no dist/: npm run build');
  project = mkdtempSync(join(tmpdir(), 'consumer-'));
  writeFileSync(join(project, 'package.json'), '{ "name": "consumer" }');
  const modules = join(project, 'node_modules');
  mkdirSync(modules);
  for (const name of ['eventemitter3', '@types', 'undici-types', 'typescript']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  // A copy and no link, for from the repository the compiler would find what it must not need.
  const own = join(modules, 'reconnecting-connection');
  cpSync(DIST, join(own, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(own, 'package.json'));
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Runs a script of the project to its end, and returns what it prints, from JSON. */
async function evaluate(name: string, script: string): Promise<unknown> {
  writeFileSync(join(project, name), script);
  const { stdout } = await execute(process.execPath, [join(project, name)], { cwd: project });
  return JSON.parse(stdout);
}

const NAMES = [
  'ConnectionError',
  'ConnectionPool',
  'ConnectionRegistry',
  'ReconnectingConnection',
  'connmanBackoff',
  'constantBackoff',
  'defaultBackoff',
  'exponentialBackoff',
  'registry',
];

describe('the built package', () => {
  test('exports the same names to `require` and to `import`, and nothing else', async () => {
    const required = await evaluate(
      'names.cjs',
      `console.log(JSON.stringify(Object.keys(require('reconnecting-connection')).sort()))`,
    );
    const imported = await evaluate(
      'names.mjs',
      `import * as names from 'reconnecting-connection'; console.log(JSON.stringify(Object.keys(names).sort()))`,
    );

    expect(required).toEqual(NAMES);
    expect(imported).toEqual(NAMES);
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

  test('holds what is built of the present lib/, file by file', () => {
    const sources = readdirSync(join(ROOT, 'lib')).filter((name) => /\.m?ts$/.test(name));
    const built = readdirSync(DIST).filter((name) => /\.m?js$/.test(name));

    expect(built.sort()).toEqual(sources.map((name) => name.replace(/ts$/, 'js')).sort());
  });

  test('packs dist/ and its papers, and nothing else', async () => {
    const { stdout } = await execute('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT });
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    const strangers = paths.filter(
      (path) =>
        !/^dist\/[a-z-]+\.(js|mjs|d\.ts|d\.mts)(\.map)?$|^(README|CHANGELOG)\.md$|^LICENSE$|^package\.json$/.test(path),
    );

    expect(strangers).toEqual([]);
    expect(paths).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'package.json',
        'dist/index.js',
        'dist/index.mjs',
        'dist/index.d.ts',
        'dist/index.d.mts',
      ]),
    );
  });

  test('needs eventemitter3 at run time, and no install script of its own', () => {
    const { dependencies, scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
      scripts: Record<string, string>;
    };

    expect(Object.keys(dependencies)).toEqual(['eventemitter3']);
    expect(Object.keys(scripts).filter((name) => name.includes('install'))).toEqual([]);
  });
});

describe('the shipped types', () => {
  test('import nothing but Node and eventemitter3', () => {
    for (const file of ['index.d.ts', 'index.d.mts']) {
      const types = readFileSync(join(DIST, file), 'utf8');
      const imported = [...types.matchAll(/(?:from|import\(|require\()\s*['"]([^'"]+)['"]/g)].map(([, name]) => name!);
      const allowed = imported.filter((name) => /^node:[a-z]+$|^eventemitter3$/.test(name));

      if (file === 'index.d.ts') expect(imported).toEqual(allowed);
      else expect(new Set(imported)).toEqual(new Set(['./index.js']));
      expect(types).not.toMatch(/typed-emitter|\.\.\/lib|rxjs/);
    }
  });

  const CONSUMER = `
    import { ConnectionPool, ConnectionError, ReconnectingConnection, connmanBackoff, exponentialBackoff, registry } from 'reconnecting-connection';
    import type { BackoffInfo, ConnectionEvents, ConnectionOptions, OpenInfo, PoolEvents, StateName, Target } from 'reconnecting-connection';
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
    async function main(): Promise<void> {
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
      skipLibCheck: false,
    };
    writeFileSync(config, JSON.stringify({ compilerOptions, files }));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { stdout } = await execute(process.execPath, [tsc, '-p', config], { cwd: project }).catch(
      (failed: unknown) => failed as { stdout: string },
    );

    expect(stdout).toBe('');
  });
});
