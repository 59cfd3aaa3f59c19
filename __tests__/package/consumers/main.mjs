// Installs the packed package as its users do, on every Node it is for, and prints what works:
// node __tests__/package/consumers/main.mjs [--only TEXT] [--write]   (it needs a network, and takes a few minutes)
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

import { guide } from './guide.mjs';
import { bundled, cjs, esm, types, worker, workerd } from './programs.mjs';

const execute = promisify(execFile);
const { values } = parseArgs({ options: { only: { type: 'string', default: '' }, write: { type: 'boolean' } } });
/** Which rows are tried: those with this in their name. */
const { only } = values;
const root = resolve(import.meta.dirname, '../../..');
const folder = join(root, 'temp/consumers');
const project = join(folder, 'project');

/** What is tried beside Node itself, and which vitest knows which Node. */
const NODES = ['20', '22', '24', '26'];
const TOOLS = ['bun@1', 'deno@2', 'esbuild@0.28', 'typescript@5.9', 'jest@30', 'vitest@3', 'workerd@1'];
/** Test files that need neither compiled processes nor servers of others. */
const CORE = [
  'options/backoff',
  'connection',
  'lifecycle/machine',
  'writes/outbox',
  'pool/pool',
  'system/process',
  'registry',
  'session/session',
  'system/tcp',
  'system/tls',
  'system/unix',
];

/** Bytes of a bundle of the connection alone, minified and gzipped, at the most. */
const CORE_BUDGET = 60_000;

/** @param {string} command @param {string[]} args */
const run = async (command, args, cwd = project) => {
  const env = { ...process.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined };
  const { stdout, stderr } = await execute(command, args, { cwd, env, timeout: 300_000, maxBuffer: 2 ** 26 });
  return stdout + stderr;
};

/** @param {string} where @param {string[]} packages */
async function install(where, ...packages) {
  mkdirSync(where, { recursive: true });
  // The version of unrs-resolver, which jest brings, is the latest that installs everywhere.
  writeFileSync(
    join(where, 'package.json'),
    JSON.stringify({ name: 'consumer', jest: { transform: {} }, overrides: { 'unrs-resolver': '1.12.2' } }),
  );
  await run('npm', ['install', '--silent', '--no-audit', '--no-fund', ...packages], where);
}

/** @param {string} version */
const nodeOf = (version) => join(folder, `node-${version}`, 'node_modules/node/bin/node');
/** @param {string} name */
const binary = (name) => join(project, 'node_modules/.bin', name);
/** @param {string} name */
const script = (name) => join(project, 'node_modules', name);

/** @param {string} file @param {string} text */
function put(file, text) {
  writeFileSync(join(project, file), text);
  return file;
}

/** @param {string} output @param {RegExp} sign */
function expect(output, sign) {
  if (!sign.test(output)) throw new Error(output);
}

const WELL = /^all is well$/m;

/** @param {string} node @param {string} compiler @param {string} resolution @param {string} module @param {string[]} files */
async function compile(node, compiler, resolution, module, files) {
  await check(node, compiler, files, {
    module,
    moduleResolution: resolution,
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    // The libraries' own types are checked in the tests.
    skipLibCheck: true,
  });
}

/** @param {string} node @param {string} compiler @param {string[]} files @param {object} compilerOptions */
async function check(node, compiler, files, compilerOptions) {
  const config = put('tsconfig.json', JSON.stringify({ compilerOptions: { ...compilerOptions, noEmit: true }, files }));
  await run(node, [compiler, '-p', config]);
}

const compilers = {
  '6.0': join(root, 'node_modules/typescript/lib/tsc.js'),
  5.9: script('typescript/lib/tsc.js'),
};

/**
 * The rows of the table: what is tried with the Node of a column.
 *
 * @type {Record<string, (node: string) => Promise<void>>}
 */
const rows = {
  'ESM, `import`': async (node) => expect(await run(node, [put('esm.mjs', esm)]), WELL),
  'CommonJS, `require`': async (node) => expect(await run(node, [put('cjs.cjs', cjs)]), WELL),
  'TypeScript 6.0 and 5.9, nodenext': async (node) => {
    const files = [put('types.cts', types), put('types.mts', types)];
    for (const compiler of Object.values(compilers)) await compile(node, compiler, 'nodenext', 'nodenext', files);
  },
  'TypeScript 6.0 and 5.9, node16': async (node) => {
    const files = [put('types.cts', types), put('types.mts', types)];
    for (const compiler of Object.values(compilers)) await compile(node, compiler, 'node16', 'node16', files);
  },
  'TypeScript 6.0 and 5.9, bundler': async (node) => {
    const files = [put('types.ts', types)];
    for (const compiler of Object.values(compilers)) await compile(node, compiler, 'bundler', 'esnext', files);
  },
  'TypeScript 6.0 and 5.9, no `types` and no `lib` set, libraries checked and not, `exactOptionalPropertyTypes` on and off':
    async (node) => {
      const files = ['defaults.cts', 'defaults.mts'];
      for (const file of files) copyFileSync(join(import.meta.dirname, 'defaults.mts'), join(project, file));
      for (const [version, compiler] of Object.entries(compilers)) {
        // The older one has no `strict` by default, and cannot see an error where `undefined` is in every type.
        const strict = version === '6.0' ? {} : { strict: true };
        for (const skipLibCheck of [true, false]) {
          for (const exactOptionalPropertyTypes of [true, false]) {
            const options = { module: 'nodenext', skipLibCheck, exactOptionalPropertyTypes };
            await check(node, compiler, files, { ...options, ...strict });
          }
        }
      }
    },
  'node:test': async (node) => {
    const output = await run(node, ['--test', put('guide.test.mjs', guide()['Under node:test'] ?? '')]);
    expect(output, /^\W+ pass 1$/m);
  },
  'jest 30': async (node) => {
    put('guide.test.cjs', guide()['Under jest'] ?? '');
    const args = [script('jest/bin/jest.js'), '--watchman=false', '--testMatch', '**/guide.test.cjs'];
    expect(await run(node, args), /^Tests: +1 passed, 1 total$/m);
  },
  'vitest 3': async (node) => {
    put('guide.vitest.mjs', guide()['Under vitest'] ?? '');
    put('vitest.config.mjs', `export default { test: { include: ['guide.vitest.mjs'] } };`);
    expect(await run(node, [script('vitest/vitest.mjs'), 'run']), /Tests +1 passed/);
  },
  'esbuild, one file of CommonJS': async (node) => {
    await bundle(put('bundled.mjs', bundled), 'bundled.cjs', 'cjs');
    expect(await run(node, ['bundled.cjs']), WELL);
  },
  'esbuild, one file of ESM': async (node) => {
    // Of what is CommonJS esbuild makes calls of `require`, which ESM has to be given.
    const banner = `--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;
    await bundle(put('bundled.mjs', bundled), 'bundled.out.mjs', 'esm', banner);
    expect(await run(node, ['bundled.out.mjs']), WELL);
  },
  'the library’s own core tests': async (node) => {
    const args = [
      'node_modules/jest/bin/jest.js',
      '--coverage=false',
      '--silent',
      `__tests__/(${CORE.join('|')})\\.test`,
    ];
    expect(await run(node, args, root), /^Tests: .*\d+ passed/m);
  },
};

/** What runs by itself, without a Node. */
const runtimes = {
  Bun: async () => expect(await run(binary('bun'), [put('esm.mjs', esm)]), WELL),
  Deno: async () =>
    expect(await run(binary('deno'), ['run', '--allow-all', '--node-modules-dir=manual', put('esm.mjs', esm)]), WELL),
  workerd: inWorkerd,
};

/** Three sessions in one request, of which the server ends two. */
async function inWorkerd() {
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (chunk) => (String(chunk) === 'end' ? socket.end() : socket.write(chunk)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // ESM has no `require`, and what is CommonJS asks for Node's modules by it.
  const banner = `--banner:js=import { createRequire } from 'node:module'; const require = createRequire('/');`;
  await bundle(put('worker.mjs', worker), 'worker.bundle.mjs', 'esm', '--external:node:*', banner);
  const serving = spawn(binary('workerd'), ['serve', put('workerd.capnp', workerd), '--control-fd=1'], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    // It prints where it listens, as JSON.
    const [line] = await once(serving.stdout, 'data');
    const { port } = JSON.parse(String(line).split('\n')[0] ?? '');
    const response = await fetch(
      `http://127.0.0.1:${port}/?port=${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`,
    );
    expect(await response.text(), WELL);
  } finally {
    serving.kill();
    server.close();
  }
}

/** @param {string} entry @param {string} output @param {string} format @param {string[]} more */
async function bundle(entry, output, format, ...more) {
  const args = [entry, '--bundle', '--minify', '--platform=node', `--format=${format}`, `--outfile=${output}`, ...more];
  await run(binary('esbuild'), args);
  return gzipSync(readFileSync(join(project, output))).length;
}

/** @param {() => Promise<unknown>} attempt @param {string} what */
async function works(attempt, what) {
  try {
    await attempt();
    return 'yes';
  } catch (error) {
    const { stdout = '', stderr = '', message } = /** @type {Error & { stdout?: string, stderr?: string }} */ (error);
    console.error([`${what}:`, stdout, stderr, message].join('\n'));
    process.exitCode = 1;
    return '**no**';
  }
}

rmSync(project, { recursive: true, force: true });
mkdirSync(project, { recursive: true });
const packed = JSON.parse(
  await run('npm', ['pack', '--json', '--silent', '--ignore-scripts', '--pack-destination', folder], root).then(
    (output) => output.slice(output.indexOf('['), output.lastIndexOf(']') + 1),
  ),
)[0];
await install(project, join(folder, packed.filename), '@types/node@20', ...TOOLS);
for (const version of NODES) await install(join(folder, `node-${version}`), `node@${version}`);

const versions = await Promise.all(
  NODES.map(async (version) => (await run(nodeOf(version), ['--version'])).trim().slice(1)),
);
const lines = [
  `| | ${versions.map((version) => `Node ${version}`).join(' | ')} |`,
  `|---|${'---|'.repeat(NODES.length)}`,
];
for (const [name, attempt] of Object.entries(rows)) {
  if (!name.includes(only)) continue;
  const cells = [];
  for (const version of NODES) cells.push(await works(() => attempt(nodeOf(version)), `${name}, Node ${version}`));
  lines.push(`| ${name} | ${cells.join(' | ')} |`);
  console.error(lines.at(-1));
}

const others = [];
for (const [name, attempt] of Object.entries(runtimes)) {
  const version = /\d+[.-]\d+[.-]\d+/.exec(await run(binary(name.toLowerCase()), ['--version']))?.[0];
  others.push(`| ${name} ${version} | ${await works(attempt, name)} |`);
}

/** @param {number} bytes */
const size = (bytes) => `${(bytes / 1000).toFixed(0)} kB`;
const connectionOnly = `export { ReconnectingConnection } from 'reconnecting-connection';`;
const core = await bundle(put('core.mjs', connectionOnly), 'core.cjs', 'cjs');
await works(async () => expect(String(core <= CORE_BUDGET), /true/), `${core} bytes of ${CORE_BUDGET}`);
const sizes = [
  ['download', size(packed.size)],
  ['on disk, with the types', size(packed.unpackedSize)],
  [
    'one file of `ReconnectingConnection`, minified by esbuild, gzipped',
    `${size(core)} (at most ${size(CORE_BUDGET)})`,
  ],
  [
    'the same with everything else of the main entry',
    size(await bundle(put('all.mjs', `export * from 'reconnecting-connection';`), 'all.cjs', 'cjs')),
  ],
];

const page = `# Where it runs

The package that \`npm pack\` makes is installed in a separate project and used there: the main entry and \`reconnecting-connection/testing\` over real sockets, and the programs of [the testing guide](guides/testing.md). Made by \`npm run consumers -- --write\` on ${new Date().toISOString().slice(0, 10)}, on ${process.platform} (${process.arch}).

${lines.join('\n')}

| other runtimes | |
|---|---|
${others.join('\n')}

In workerd, the runtime of Cloudflare Workers, a socket and a timer belong to the request in which they were made: a connection that a later request finds in a global variable cannot write, does not notice its loss, and its backoff does not go on. Make it in the request that uses it, or in a Durable Object. The worker needs the compatibility date 2026-03-17, or the flag \`enable_nodejs_worker_threads_module\`.

| size | |
|---|---|
${sizes.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}

The only dependency is eventemitter3; the bundles include it.
`;
console.log(page);
if (values.write === true && only === '') writeFileSync(join(root, 'docs/consumers.md'), page);
