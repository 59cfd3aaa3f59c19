import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { track } from './clean-up';
import { type User, find, owner } from './find-server';
import { accepts, freePort } from './ports';
import { copyCluster } from './postgres-cluster';
import { type Ending, type Recipe, type ServerName, recipes } from './server-recipes';

/** How often a port that is taken is asked for again, and how many milliseconds lie between. */
const TRIES = 100;
const PAUSE = 20;

/** A server of that name in a process and a directory of its own. */
export class RealServer {
  port = 0;
  readonly directory: string;

  readonly #name: ServerName;
  readonly #recipe: Recipe;
  #settings: readonly string[] = [];
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(name: ServerName) {
    this.#name = name;
    this.#recipe = recipes[name];
    this.directory = mkdtempSync(join(tmpdir(), `${name}-`));
  }

  /**
   * Starts it on a free port. `settings` are lines of its own configuration; `files` are written beside that, and found
   * by their names. It is ended after the test.
   */
  static async start(
    name: ServerName,
    settings: readonly string[] = [],
    files: Readonly<Record<string, string>> = {},
  ): Promise<RealServer> {
    const server = track(new RealServer(name));
    server.#prepare();
    server.#configure(settings, files);
    for (let tries = 1; ; tries++) {
      server.port = await freePort();
      if (await server.#launch()) return server;
      if (tries === TRIES) throw server.#failure();
    }
  }

  /** Where it listens, as options of a connection. */
  get target(): { readonly host: string; readonly port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  /** What it has said since it was last started. */
  get output(): string {
    return this.#output;
  }

  /** Ends it in good order, if it runs. */
  async stop(): Promise<void> {
    await this.kill(this.#recipe.stop ?? 'SIGTERM');
  }

  /** Sends a signal, and waits for the end where it is one that ends. */
  async kill(signal: Ending | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const child = this.#child;
    if (child === undefined || !isAlive(child)) return;
    child.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await once(child, 'exit');
  }

  /** Ends it if it runs, and starts it where it was: with other settings and files, where there are any. */
  async restart(settings = this.#settings, files: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.stop();
    this.#configure(settings, files);
    for (let tries = 1; !(await this.#launch()); tries++) {
      if (tries === TRIES) throw this.#failure();
      await delay(PAUSE);
    }
  }

  /** The end, for good. */
  async destroy(): Promise<void> {
    await this.kill('SIGCONT');
    await this.kill(this.#recipe.destroy ?? 'SIGKILL');
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 10 });
  }

  /** Makes what has to be there before the first start. */
  #prepare(): void {
    this.#own(this.directory);
    if (this.#name === 'postgres') copyCluster(this.directory, this.#user());
  }

  #configure(settings: readonly string[], files: Readonly<Record<string, string>>): void {
    this.#settings = settings;
    for (const [name, text] of Object.entries(files)) this.#write(name, text);
  }

  /** Returns the path. */
  #write(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    this.#own(path);
    return path;
  }

  /** Returns whether it has the port; waits until it accepts. Throws when it fails for another reason. */
  async #launch(): Promise<boolean> {
    const { binary, lines, args, ready } = this.#recipe;
    const file = this.#write('configuration', [...lines(this), ...this.#settings, ''].join('\n'));
    this.#output = '';
    const child = spawn(find(binary) ?? binary, args(file, this), {
      ...this.#user(),
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
    const closed = once(child, 'close');
    while (isAlive(child)) {
      if ((ready?.test(this.#output) ?? true) && (await accepts(this.port)) && isAlive(child)) return true;
      await delay(PAUSE / 2);
    }
    await closed;
    // Those that a killed server has left behind may not have gone yet: they use its memory.
    if (/in use/i.test(this.#output)) return false;
    throw this.#failure();
  }

  #user(): User {
    return this.#name === 'postgres' ? (owner() ?? {}) : {};
  }

  #own(path: string): void {
    const { uid, gid } = this.#user();
    if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
  }

  #failure(): Error {
    return new Error(`${this.#name} did not start: ${this.#output}`);
  }
}

function isAlive({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}
