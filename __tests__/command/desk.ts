import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';

import { LoopbackServer } from '../../lib/testing/server';
import type { LoopbackOptions } from '../../lib/testing/options';
import { kill } from '../kit/clean-up';
import { until } from '../kit/until';

/** The command as built. */
export const COMMAND = join(__dirname, '../../dist/command.js');

const tracked: (() => Promise<void>)[] = [];

/** Ends the servers and the commands of a test file. */
export async function closeAll(): Promise<void> {
  await Promise.all(tracked.splice(0).map((close) => close()));
}

export async function serve(options: LoopbackOptions = {}): Promise<LoopbackServer> {
  const server = await LoopbackServer.start({ deadline: 20_000, ...options });
  tracked.push(() => server.close());
  return server;
}

/** A server that answers `PING` with `+PONG`, as Redis does, and ends when the client has ended. */
export function serveRedis(): Promise<LoopbackServer> {
  return serve({
    onSession: (socket) => {
      socket.on('data', (chunk) => {
        for (let pings = String(chunk).split(/PING\r?\n/).length; pings > 1; pings -= 1) socket.write('+PONG\r\n');
      });
    },
  });
}

/** How a command ended, and all it printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;

  constructor(child: ChildProcess, reads: boolean) {
    this.child = child;
    if (reads) this.read();
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    // What is written to a command that has ended is no error of the test.
    child.stdin?.on('error', () => undefined);
    // `as`: these are its arguments.
    this.ended = once(child, 'close').then((args) => {
      const [code, signal] = args as [number | null, NodeJS.Signals | null];
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    });
    tracked.push(() => kill(child));
  }

  /** Begins to read its standard output. */
  read(): void {
    this.child.stdout?.setEncoding('latin1').on('data', (text: string) => (this.stdout += text));
  }

  write(text: string | Buffer): void {
    this.child.stdin!.write(text);
  }

  end(text = ''): void {
    this.child.stdin!.end(text);
  }

  /** Writes `chunk` so many times, one after the other, and ends. Returns how often it was taken so far. */
  pump(chunk: Buffer, times: number): () => number {
    return pump(this.child.stdin!, chunk, times);
  }

  async prints(text: string): Promise<void> {
    await until(() => this.stdout.includes(text), { what: () => `it prints ${text}; it has ${this.stdout}` });
  }

  async logs(text: string): Promise<void> {
    await until(() => this.stderr.includes(text), { what: () => `it logs ${text}; it has ${this.stderr}` });
  }
}

/** Writes `chunk` so many times to a stream, one after the other, and ends it. Returns how often it was taken so far. */
export function pump(stream: Writable, chunk: Buffer, times: number): () => number {
  let taken = 0;
  const next = () => {
    if (taken === times) return stream.end();
    return stream.write(chunk, (error) => {
      if (error) return;
      taken += 1;
      next();
    });
  };
  next();
  return () => taken;
}

/** Starts the command; `input` is what it gets on a standard input that ends then, `null` is /dev/null. */
export function start(
  args: readonly string[],
  { input, reads = true }: { readonly input?: string | null; readonly reads?: boolean } = {},
): Running {
  if (!existsSync(COMMAND)) throw new Error('There is no dist/: npm run build');
  const stdio: StdioOptions = [input === null ? 'ignore' : 'pipe', 'pipe', 'pipe'];
  const running = new Running(spawn(process.execPath, [COMMAND, ...args], { stdio }), reads);
  if (typeof input === 'string') running.end(input);
  return running;
}

export function urlOf({ target }: LoopbackServer): string {
  return 'path' in target ? `unix://${target.path}` : `tcp://${target.host}:${target.port}`;
}
