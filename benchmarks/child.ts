import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { kill } from '../__tests__/kit/clean-up';

/** Milliseconds that a process may take on a busy machine. */
const TIMEOUT = 120_000;

/** A process that prints lines. It ends when its standard input does, so it does not outlive this process. */
export class Child {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: NodeJS.AsyncIterator<string>;
  readonly #end: Promise<number | NodeJS.Signals>;
  #errors = '';

  constructor([program, ...args]: readonly string[]) {
    const child = spawn(program!, args, { stdio: 'pipe', timeout: TIMEOUT, killSignal: 'SIGKILL' });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#end = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code!)));
  }

  /** Resolves with the next line. Rejects where the process ends without one. */
  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done !== true) return next.value;
    const end = await this.#end;
    if (end === 'SIGKILL') throw new Error(`it was not done within ${TIMEOUT / 1_000} s`);
    throw new Error(`it ended with ${end}${reason(this.#errors)}`);
  }

  send(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  kill(): Promise<void> {
    return kill(this.#process);
  }
}

/** The line of a stack that names the error, or else the last line. */
function reason(errors: string): string {
  const line = /^\w*Error.*/m.exec(errors)?.[0] ?? errors.trim().split('\n').at(-1)!;
  return line === '' ? '' : `: ${line}`;
}
