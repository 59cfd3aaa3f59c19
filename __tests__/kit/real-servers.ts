import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chownSync,
  constants,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { track } from './clean-up';

/** Servers as they are found in the world, where they are installed. */
export type ServerName = 'redis' | 'nats' | 'mosquitto' | 'haproxy' | 'stunnel' | 'postgres';

/** Signals that end a server. */
type Ending = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGKILL';

interface Place {
  readonly port: number;
  readonly directory: string;
}

interface Recipe {
  readonly binary: string;
  /** The lines of its configuration that are needed in any case. */
  readonly lines: (place: Place) => readonly string[];
  readonly args: (file: string, place: Place) => readonly string[];
  /** What it says when it is ready, for a server that accepts before it is. */
  readonly ready?: RegExp;
  /** Ends it in good order, with clients connected. Default: SIGTERM. */
  readonly stop?: Ending;
  /** Ends it at once and leaves nothing behind. Default: SIGKILL. */
  readonly destroy?: Ending;
}

const recipes: Record<ServerName, Recipe> = {
  redis: {
    binary: 'redis-server',
    lines: ({ port, directory }) => [
      `bind 127.0.0.1`,
      `port ${port}`,
      `dir ${directory}`,
      `unixsocket ${join(directory, 'socket')}`,
      `save ""`,
    ],
    args: (file) => [file],
  },
  nats: { binary: 'nats-server', lines: ({ port }) => [`listen: "127.0.0.1:${port}"`], args: (file) => ['-c', file] },
  mosquitto: {
    binary: 'mosquitto',
    // It goes on as another user when root starts it, unless told which one: that one may not read the directory.
    lines: ({ port }) => ['user root', `listener ${port} 127.0.0.1`],
    args: (file) => ['-c', file],
  },
  haproxy: {
    binary: 'haproxy',
    lines: ({ port }) => [
      'defaults',
      '  mode tcp',
      '  timeout connect 500ms',
      '  timeout client 60s',
      '  timeout server 60s',
      '  retries 0',
      'listen front',
      `  bind 127.0.0.1:${port}`,
    ],
    args: (file) => ['-db', '-f', file],
  },
  stunnel: {
    binary: 'stunnel',
    lines: ({ port }) => ['foreground = yes', 'pid =', '[front]', `accept = 127.0.0.1:${port}`],
    args: (file) => [file],
  },
  postgres: {
    binary: 'postgres',
    lines: ({ port }) => [
      `port = ${port}`,
      `listen_addresses = '127.0.0.1'`,
      `unix_socket_directories = ''`,
      'superuser_reserved_connections = 0',
      'max_wal_senders = 0',
      'autovacuum = off',
      'fsync = off',
    ],
    args: (file, { directory }) => ['-D', join(directory, 'data'), '-c', `config_file=${file}`],
    ready: /ready to accept connections/,
    // On SIGTERM it waits for its clients to leave; killed, it leaves shared memory behind.
    stop: 'SIGINT',
    destroy: 'SIGQUIT',
  },
};

/** The directory of the database that every postgres starts with: made once, for that takes a second. */
let cluster: string | undefined;

/** Removes what the servers started with. */
export function forgetCluster(): void {
  if (cluster !== undefined) rmSync(cluster, { recursive: true });
  cluster = undefined;
}

/** How often a port that is taken is asked for again, and how many milliseconds lie between. */
const TRIES = 100;
const PAUSE = 20;

/** Why the server cannot be used here; undefined when it can. */
export function missing(name: ServerName): string | undefined {
  const { binary } = recipes[name];
  if (find(binary) === undefined) return `${binary} is not installed`;
  if (name === 'postgres' && owner() === undefined) return 'postgres does not run as root, and there is no user for it';
  return undefined;
}

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
    if (this.#name !== 'postgres') return;
    cluster ??= makeCluster();
    execFileSync('cp', ['-R', join(cluster, 'data'), this.directory], { ...this.#user(), cwd: this.directory });
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

  #user(): { uid?: number; gid?: number } {
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

function makeCluster(): string {
  const directory = mkdtempSync(join(tmpdir(), 'cluster-'));
  const user = owner() ?? {};
  if (user.uid !== undefined && user.gid !== undefined) chownSync(directory, user.uid, user.gid);
  const args = ['-D', join(directory, 'data'), '-U', 'postgres', '-A', 'trust', '--locale=C', '--no-sync'];
  execFileSync(find('initdb') ?? 'initdb', args, { ...user, cwd: directory, stdio: 'pipe' });
  return directory;
}

/** Where a program is: on the path, or where Debian puts servers. */
function find(binary: string): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    ...postgresFolders(),
  ];
  return folders.map((folder) => join(folder, binary)).find(isExecutable);
}

/** One for each version that is installed, the latest first. */
function postgresFolders(): string[] {
  const root = '/usr/lib/postgresql';
  try {
    const versions = readdirSync(root).sort((one, other) => Number(other) - Number(one));
    return versions.map((version) => join(root, version, 'bin'));
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Who runs what does not run as root: nobody else where we are not root, undefined where there is nobody. */
function owner(): { uid?: number; gid?: number } | undefined {
  if (process.getuid?.() !== 0) return {};
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? [];
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

function isAlive({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether somebody accepts there. */
function accepts(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const done = (accepted: boolean) => {
      socket.destroy();
      settle(accepted);
    };
    // Where nobody listens, the kernel may connect a socket to itself.
    socket.on('connect', () => done(socket.localPort !== port)).on('error', () => done(false));
  });
}
