import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import * as library from 'reconnecting-connection';
import ts from 'typescript';

import { trackProcess } from './clean-up';

/** A program that the documentation shows: an ES module. */
export interface Snippet {
  /** The file and the line where it begins. */
  readonly where: string;
  readonly language: 'js' | 'ts';
  readonly code: string;
  /** What it prints, where the documentation says so; `…` stands for anything within a line. */
  readonly prints?: string;
  /** Why it is shown and neither compiled nor run, where it is not. */
  readonly notRun?: string;
}

const root = join(__dirname, '..', '..');

const BLOCK = /^(?:<!-- not run: (?<notRun>.+) -->\n)?```(?<language>\w*)\n(?<code>[^]*?)^```$/gm;

/**
 * The programs in a text. A block of `js` or `ts` is one, and a block of `text` right after it is what it prints. The line
 * `<!-- not run: why -->` above a block, which a reader does not see, says that it is no program of ours.
 */
export function snippetsIn(text: string, file: string): Snippet[] {
  const found: Snippet[] = [];
  let mayPrint = false;
  for (const { index, groups = {} } of text.matchAll(BLOCK)) {
    const { notRun, language, code = '' } = groups;
    const isProgram = language === 'js' || language === 'ts';
    if (isProgram) {
      const line = text.slice(0, index).split('\n').length + (notRun === undefined ? 0 : 1);
      found.push({ where: `${file}:${line}`, language, code, ...(notRun !== undefined && { notRun }) });
    } else if (language === 'text' && mayPrint) {
      found.push({ ...found.pop()!, prints: code });
    }
    mayPrint = isProgram;
  }
  return found;
}

/** The packages that a page has its reader install, this one left out; undefined where it names none at all. */
export function installsIn(text: string): string[] | undefined {
  const [, names] = /\bnpm install (reconnecting-connection[^`\n]*)/.exec(text) ?? [];
  return names?.trim().split(/ +/).slice(1);
}

/** The programs after `@example` in the doc comments of a source. They are run beside a server that echoes. */
export function examplesIn(source: string, file: string, names: readonly string[]): Snippet[] {
  return [...source.matchAll(/^ *\/\*\*[\s\S]*?\*\//gm)].flatMap(({ 0: comment, index }) => {
    const from = source.slice(0, index).split('\n').length;
    const text = comment
      .replace(/^ *\/\*\*/, '')
      .replace(/ *\*\/$/, '')
      .replace(/^ *\* ?/gm, '');
    if (!text.includes('@example')) return [];
    return snippetsIn(text, file).map((snippet) => ({
      ...snippet,
      where: snippet.where.replace(/\d+$/, (line) => String(Number(line) + from - 1)),
      code: besideAnEcho(snippet.code, names),
    }));
  });
}

/** What an example leaves out: the imports, a `connection`, a `pool`, and an end for all of them. */
function besideAnEcho(code: string, names: readonly string[]): string {
  const uses = (name: string) => new RegExp(`(?<![\\w.'])${name}\\b`).test(code);
  const declares = (name: string) =>
    new RegExp(`\\b(?:const|using|class) ${name}\\b|\\bimport \\{[^}]*\\b${name}\\b`).test(code);
  const made: Record<string, string> = {
    connection: 'const connection = new ReconnectingConnection({ port });',
    pool: `const pool = new ConnectionPool(); await pool.add({ port }).whenOpen();`,
  };
  const ended: Record<string, string> = {
    // It dials on the next microtask, unless `autoConnect` is false.
    connection: `await null; if (connection.state !== 'idle') await connection.whenOpen({ attempts: 2 }).catch(() => {}); await connection.disconnect();`,
    pool: `await Promise.all(pool.connections.map((each) => each.whenOpen())); await pool.disconnect();`,
  };
  const present = Object.keys(made).filter(uses);
  const setUp = present.filter((name) => !declares(name)).map((name) => made[name]!);
  const all = code + setUp.join('\n');
  const imported = names.filter((name) => new RegExp(`\\b${name}\\b`).test(all) && !declares(name));
  const imports = imported.map((name) => (name in library ? name : `type ${name}`));
  return [
    `import { ${imports.join(', ')} } from 'reconnecting-connection';`,
    `import { LoopbackServer } from 'reconnecting-connection/testing';`,
    `const server = await LoopbackServer.start({ echo: true });`,
    `const { port } = server;`,
    ...setUp,
    code.replace(/\bport: 6379\b/g, 'port: port'),
    ...present.map((name) => ended[name]!),
    `await server.close();`,
  ].join('\n');
}

/** How a snippet's process ended. */
export interface SnippetEnd {
  readonly where: string;
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs each snippet as a reader does: as a file in a folder of its own, with nothing in reach but this package, as it is
 * published, and `packages`. Two run at a time.
 */
export function runSnippets(snippets: readonly Snippet[], packages: readonly string[]): Promise<SnippetEnd[]> {
  return inFolder(packages, async (folder) => {
    const ends: SnippetEnd[] = [];
    const left = snippets.entries();
    const lane = async () => {
      for (const [index, snippet] of left) {
        const file = save(join(folder, String(index)), snippet);
        ends[index] = { where: snippet.where, ...(await run(file)) };
      }
    };
    await Promise.all([lane(), lane()]);
    return ends;
  });
}

/** Runs snippets one after the other in one process, which is quicker. A NUL parts what they print. */
export function runTogether(snippets: readonly Snippet[]): Promise<SnippetEnd[]> {
  return inFolder([], async (folder) => {
    const files = snippets.map((snippet, index) => save(join(folder, String(index)), snippet));
    const main = join(folder, 'main.mjs');
    writeFileSync(
      main,
      files
        .map((file) => `await import(${JSON.stringify(pathToFileURL(file))}); process.stdout.write('\\0');`)
        .join('\n'),
    );
    const { stdout, ...end } = await run(main);
    const printed = stdout.split('\0');
    return snippets.map(({ where }, index) => ({ where, ...end, stdout: printed[index] ?? '' }));
  });
}

/** Makes a folder where this package and `packages` are installed, and removes it after `work`. */
async function inFolder<Result>(
  packages: readonly string[],
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'page-'));
  try {
    install(folder, packages);
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As `npm install` does. Linked packages find what they depend on where they really are. */
function install(folder: string, packages: readonly string[]): void {
  const modules = join(folder, 'node_modules');
  const own = join(modules, 'reconnecting-connection');
  cpSync(join(root, 'dist'), join(own, 'dist'), { recursive: true });
  copyFileSync(join(root, 'package.json'), join(own, 'package.json'));
  for (const name of ['eventemitter3', ...packages]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(realpathSync(join(root, 'node_modules', name)), join(modules, name), 'junction');
  }
}

/** Saves a snippet in a folder of its own, and returns its file. */
function save(folder: string, { language, code }: Snippet): string {
  // Node 20 does not strip types.
  const isStripped = language === 'ts' && !('typescript' in process.features);
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ESNext, verbatimModuleSyntax: true };
  const file = join(folder, language === 'ts' && !isStripped ? 'file.mts' : 'file.mjs');
  mkdirSync(folder);
  writeFileSync(file, isStripped ? ts.transpileModule(code, { compilerOptions }).outputText : code);
  return file;
}

async function run(file: string): Promise<Omit<SnippetEnd, 'where'>> {
  const child = trackProcess(
    spawn(process.execPath, [file], {
      cwd: dirname(file),
      // Settings of the test run must not change what is printed.
      env: { ...process.env, FORCE_COLOR: undefined, NODE_OPTIONS: undefined, NODE_PATH: undefined },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 20_000,
      killSignal: 'SIGKILL',
    }),
  );
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await once(child, 'close');
  return { code: child.exitCode, stdout: stdout.replaceAll('\r\n', '\n'), stderr };
}

/** What a snippet is to print, as an expression: `…` stands for anything within a line. */
export function pattern(prints: string): RegExp {
  const literal = prints.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replaceAll('…', '.*')}$`);
}
