import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import ts from 'typescript';

import { trackProcess } from './clean-up';
import { javascript } from './processes';

/** A program that the documentation shows: an ES module, whose code a reader sees but for what sets it up. */
export interface Snippet {
  /** The file and the line where it begins. */
  readonly where: string;
  readonly language: 'js' | 'ts';
  readonly code: string;
  /** What it prints, where the documentation says so; `…` stands for anything within a line. */
  readonly prints: string | undefined;
  /** Why it is shown and neither compiled nor run, where it is not. */
  readonly notRun: string | undefined;
}

const root = join(__dirname, '..', '..');

/** A snippet while it is put together. */
interface Parts extends Omit<Snippet, 'code' | 'prints'> {
  readonly before: string;
  shown: string;
  after: string;
  prints?: string;
}

const FENCE = /^```(\w*)$/;
const COMMENT = /^<!-- (before|after|continues|not run)\b:?/;

/**
 * The programs in a text. A block of `js` or `ts` is one; a block of `text` right after it is what it prints. Comments in
 * HTML, which a reader does not see, say more:
 *
 * - `<!-- before` … `-->` holds code that is put in front of the next block,
 * - `<!-- after` … `-->` code that is added to the block above it,
 * - `<!-- continues -->` says that the next block goes on with the program of the block above it,
 * - `<!-- not run: why -->` that the next block is no program of ours.
 *
 * A `port: 6379` in a block stands for the `port` that the code before it declares.
 */
export function snippetsIn(text: string, file: string): Snippet[] {
  const found: Parts[] = [];
  let before = '';
  let notRun: string | undefined;
  let continues = false;
  let mayPrint = false;
  const lines = text.split('\n');
  /** The lines from the next one up to the one that ends in `end`, which is passed over. */
  const upTo = (index: number, end: string): string[] => {
    const last = lines.findIndex((line, at) => at > index && line.endsWith(end));
    if (last === -1) throw new Error(`${file}:${index + 1} is never closed by ${end}`);
    return lines.slice(index + 1, last);
  };
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index]!;
    const [, comment] = COMMENT.exec(line) ?? [];
    const [, language] = FENCE.exec(line) ?? [];
    const latest = found.at(-1);
    if (comment === 'continues') {
      continues = true;
    } else if (comment === 'not run') {
      notRun = line.replace(COMMENT, '').replace('-->', '').trim();
      if (notRun === '') throw new Error(`${file}:${index + 1} does not say why it is not run`);
    } else if (comment !== undefined) {
      const code = upTo(index, '-->');
      if (comment === 'before') before += `${code.join('\n')}\n`;
      else if (latest === undefined) throw new Error(`${file}:${index + 1} comes after no block`);
      else latest.after += `${code.join('\n')}\n`;
      index += code.length + 1;
    } else if (language !== undefined) {
      const code = upTo(index, '```');
      const shown = `${code.join('\n')}\n`;
      if (language === 'js' || language === 'ts') {
        if (continues && latest !== undefined) latest.shown += `${latest.after}${before}${shown}`;
        else found.push({ where: `${file}:${index + 1}`, language, before, shown, after: '', notRun });
        if (continues && latest !== undefined) latest.after = '';
        before = '';
        notRun = undefined;
        continues = false;
      } else if (language === 'text' && mayPrint && latest !== undefined) {
        latest.prints = shown;
      }
      mayPrint = language === 'js' || language === 'ts';
      index += code.length + 1;
    }
  }
  return found.map(({ before, shown, after, prints, ...rest }) => {
    const port = /\bport\b[^;]*=/.test(before) ? 'port: port' : undefined;
    const code = before + (port === undefined ? shown : shown.replace(/\bport: 6379\b/g, port)) + after;
    return { ...rest, code, prints };
  });
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
  return [
    `import { ${imported.join(', ')} } from 'reconnecting-connection';`,
    `import { Loopback } from './kit/server.js';`,
    `const server = await Loopback.start({ echo: true });`,
    `const { port } = server;`,
    ...setUp,
    code.replace(/\bport: 6379\b/g, 'port: port'),
    ...present.map((name) => ended[name]!),
    `await server.close();`,
  ].join('\n');
}

/** What TypeScript says of a parameter without a type: JavaScript has no way to give it one. */
const IMPLICIT_ANY = [7005, 7006, 7019, 7031, 7034];

/** Type errors in ES modules, as a user's compiler would report them. They stand beside the tests. */
export function typeErrorsOf(snippets: readonly Pick<Snippet, 'code' | 'language'>[]): string[] {
  const nameOf = ({ language }: (typeof snippets)[number], index: number) => `snippet-${index}.${language}.mts`;
  const files = new Map(snippets.map((each, index) => [join(root, '__tests__', nameOf(each, index)), each.code]));
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config as object;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  Object.assign(options, { noUnusedLocals: false, noUnusedParameters: false });
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (path, ...rest) => {
    const source = files.get(path);
    return source === undefined
      ? getSourceFile(path, ...rest)
      : ts.createSourceFile(path, source, {
          languageVersion: ts.ScriptTarget.ES2022,
          impliedNodeFormat: ts.ModuleKind.ESNext,
        });
  };
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  const program = ts.createProgram([...files.keys()], options, host);
  const found = ts
    .getPreEmitDiagnostics(program)
    .filter(({ file, code }) => !(file?.fileName.endsWith('.js.mts') === true && IMPLICIT_ANY.includes(code)));
  return found.map(({ file, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    const line = file?.text.slice(0, start).split('\n').length ?? 0;
    return file === undefined ? text : `${file.text.split('\n')[line - 1]?.trim() ?? ''} // ${text}`;
  });
}

/** How a process that ran snippets ended, and what each of them printed. */
export interface SnippetsEnd {
  readonly code: number | null;
  readonly printed: readonly string[];
  readonly stderr: string;
}

/**
 * Runs snippets one after the other in a process of their own, to its end. They find the library by its own name, and
 * what is in `kit/`.
 */
export async function runSnippets(snippets: readonly Snippet[]): Promise<SnippetsEnd> {
  const folder = join(await javascript(), '__tests__');
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const names = snippets.map(({ where, code }) => {
    const name = `${where.replaceAll(/\W+/g, '-')}.mjs`;
    writeFileSync(join(folder, name), ts.transpileModule(code, { compilerOptions }).outputText);
    return name;
  });
  const main = join(folder, `all-of-${names[0]!}`);
  // Each is over when it has run to its last line; a NUL parts what they print.
  writeFileSync(main, names.map((name) => `await import('./${name}'); process.stdout.write('\\0');`).join('\n'));
  const child = trackProcess(spawn(process.execPath, [main], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 }));
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await once(child, 'close');
  return { code: child.exitCode, printed: stdout.split('\0').slice(0, -1), stderr };
}

/** What a snippet is to print, as an expression: `…` stands for anything within a line. */
export function pattern(prints: string): RegExp {
  const literal = prints.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replaceAll('…', '.*')}$`);
}
