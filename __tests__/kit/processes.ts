import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TlsOptions } from 'node:tls';
import { promisify } from 'node:util';

import { trackProcess } from './clean-up';
import { QUICK } from './connections';

let compiling: Promise<string> | undefined;

/** The directory in which the library and the tests are JavaScript, for processes that run without jest. */
export function javascript(): Promise<string> {
  // In a process of its own: jest would load the compiler anew for each test file.
  compiling ??= promisify(execFile)(process.execPath, [join(__dirname, 'compile.js')]).then(({ stdout }) => stdout);
  return compiling;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Each line of `stdout`, from JSON. */
  readonly said: unknown[];
}

/** The globals of a script in its own process: the library's names, `say(value)`, and a few of Node's modules. */
async function prelude(): Promise<string> {
  return `
    const { ReconnectingConnection, ConnectionPool, ConnectionError, dnsTargets, registry } = require(${JSON.stringify(join(await javascript(), 'lib', 'index.js'))});
    const net = require('node:net'), tls = require('node:tls'), { Duplex, Transform } = require('node:stream');
    const say = (value) => require('node:fs').writeSync(1, JSON.stringify(value) + '\\n');
    const QUICK = ${JSON.stringify(QUICK)};
    const block = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  `;
}

/** Runs a script in its own process to its end. */
export async function run(
  script: string,
  { env = {}, flags = [] }: { readonly env?: Record<string, string>; readonly flags?: readonly string[] } = {},
): Promise<Exit> {
  return ending(start((await prelude()) + script, env, flags));
}

/** Waits for the end of a process that prints lines of JSON. */
export async function ending(child: ChildProcess): Promise<Exit> {
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  const said = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown);
  return { code, stdout, stderr, said };
}

/** Whether the process is stopped; only Linux can tell, and elsewhere the answer is yes. */
export function isStopped({ pid }: ChildProcess): boolean {
  return process.platform !== 'linux' || /^State:\s+T/m.test(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
}

/**
 * A server in its own process, where a blocked loop here does not stop it, and its memory is not ours. `onSocket` is the
 * body of its listener.
 */
export async function serveElsewhere(
  onSocket: string,
  tls?: TlsOptions,
): Promise<{ readonly target: { readonly port: number } }> {
  const make =
    tls === undefined
      ? `require('node:net').createServer(`
      : `require('node:tls').createServer(${JSON.stringify(tls)}, `;
  const child = start(
    `const server = ${make}(socket) => { socket.on('error', () => {}); ${onSocket} });
     server.listen(0, '127.0.0.1', () => process.stdout.write(String(server.address().port)));`,
    {},
    [],
  );
  const [port] = (await once(child.stdout!, 'data')) as [Buffer];
  return { target: { port: Number(port) } };
}

function start(script: string, env: Record<string, string>, flags: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [...flags, '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  return trackProcess(child);
}
