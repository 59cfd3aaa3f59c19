import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Duplex } from 'node:stream';
import { type TlsOptions, Server as TlsServer, createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';

import {
  type ConnectionEvents,
  type ConnectionOptions,
  type ConnectionPool,
  type PoolEvents,
  ReconnectingConnection,
} from 'reconnecting-connection';
import type { EventMap, default as TypedEventEmitter } from 'typed-emitter';

// What is waited for comes in milliseconds, unless the machine has much else to do.
jest.setTimeout(20_000);

// Clean-up.

const tracked: (() => unknown)[] = [];

/** Sees to it that `resource` is destroyed after the test, the latest first. Returns it. */
export function track<T extends { destroy(): unknown }>(resource: T): T {
  tracked.push(() => resource.destroy());
  return resource;
}

afterEach(async () => {
  for (let clean = tracked.pop(); clean !== undefined; clean = tracked.pop()) await clean();
});

// Connections.

/** Small waits, of which none is left to chance. */
export const QUICK = {
  backoff: { initialDelay: 10, maxDelay: 40, jitter: 'none' },
} as const satisfies ConnectionOptions;

/** A connection to `server` with small waits, destroyed after the test. */
export function connectTo<Message = unknown>(
  server: { readonly target: ConnectionOptions },
  options: ConnectionOptions = {},
): ReconnectingConnection<Message> {
  return track(new ReconnectingConnection<Message>({ ...QUICK, ...server.target, ...options }));
}

type EventsOf<T> =
  T extends ConnectionPool<infer Message>
    ? PoolEvents<Message>
    : T extends ReconnectingConnection<infer Message>
      ? ConnectionEvents<Message>
      : never;

type Args<T, E extends keyof EventsOf<T>> = EventsOf<T>[E] extends (...args: infer Values) => void ? Values : never;

/** The arguments of the next `event` that `matches`. */
export function next<T extends ReconnectingConnection | ConnectionPool, E extends keyof EventsOf<T> & string>(
  emitter: T,
  event: E,
  matches: (...args: Args<T, E>) => boolean = () => true,
): Promise<Args<T, E>> {
  // `as`: what is emitted under `event` has these arguments, says the map.
  const any = emitter as unknown as TypedEventEmitter<EventMap>;
  return new Promise((settle) => {
    const listener = (...args: unknown[]) => {
      if (!matches(...(args as Args<T, E>))) return;
      any.off(event, listener);
      settle(args as Args<T, E>);
    };
    any.on(event, listener);
  });
}

/** The payload of the next `event`, for events that have one. */
export async function payload<T extends ReconnectingConnection | ConnectionPool, E extends keyof EventsOf<T> & string>(
  emitter: T,
  event: E,
  matches?: (...args: Args<T, E>) => boolean,
): Promise<Args<T, E>[0]> {
  const args = await next(emitter, event, matches);
  return args[0];
}

/** The payloads of the next `count` events. */
export async function payloads<T extends ReconnectingConnection | ConnectionPool, E extends keyof EventsOf<T> & string>(
  emitter: T,
  event: E,
  count: number,
): Promise<Args<T, E>[0][]> {
  const seen: Args<T, E>[0][] = [];
  await next(emitter, event, (...args) => seen.push(args[0]) === count);
  return seen;
}

/** Collects what `connection` receives; resolves when that ends with, or holds, `text`. */
export async function receives(connection: ReconnectingConnection, text: string): Promise<string> {
  let received = '';
  await next(connection, 'data', (chunk) => (received += chunk.toString('latin1')).includes(text));
  return received;
}

/** What a write's callback was told. */
export function written(
  target: { write(chunk: string | Uint8Array, callback: (error?: Error | null) => void): boolean },
  chunk: string | Uint8Array,
): Promise<Error | undefined> {
  return new Promise((settle) => target.write(chunk, (error) => settle(error ?? undefined)));
}

/** Keeps the event loop from doing anything for `milliseconds`. */
export function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

// Streams.

/** The two ends of a stream in memory: what is written at one is read at the other, and an end that is read ends both. */
export function pair(): [Duplex, Duplex] {
  const one = new End();
  const other = new End();
  one.peer = other;
  other.peer = one;
  return [track(one), track(other)];
}

class End extends Duplex {
  peer!: End;
  #room: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: false });
  }

  override _read(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.peer.push(chunk)) process.nextTick(done);
    else this.peer.#room = done;
  }

  override _final(done: () => void): void {
    this.peer.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.peer.push(null);
    done(error);
  }
}

// Servers.

export interface LoopbackOptions {
  /** A Unix socket in place of a port. */
  readonly path?: string;
  /** Default: `'127.0.0.1'`. */
  readonly host?: string;
  readonly tls?: TlsOptions;
  /** Sends everything back. */
  readonly echo?: boolean;
  /** Keeps its own side open when the client ends. */
  readonly allowHalfOpen?: boolean;
  /** Told of each socket (with TLS, when it is secure), and how many there have been with it. */
  readonly onSocket?: (socket: Socket, number: number) => void;
}

/** A server on this machine that does to its clients what they have to survive. */
export class Loopback {
  /** Every socket that was ever accepted, secure ones where there is TLS. */
  readonly sockets: Socket[] = [];
  /** Connections that were ever accepted, whether they became secure or not. */
  accepted = 0;
  /** When each connection was accepted, on the clock of `performance.now()`. */
  readonly acceptedAt: number[] = [];
  /** Why clients failed to become secure. */
  readonly tlsErrors: Error[] = [];
  port = 0;

  readonly #options: LoopbackOptions;
  readonly #raw = new Set<Socket>();
  readonly #chunks: Buffer[][] = [];
  readonly #changes = new EventEmitter().setMaxListeners(0);
  #server: Server | TlsServer;
  #muted = false;
  #cut: ((socket: Socket) => void) | undefined;

  private constructor(options: LoopbackOptions) {
    this.#options = options;
    this.#server = this.#make();
  }

  /** Starts a server on a free port, or on `path`. It is closed after the test. */
  static async start(options: LoopbackOptions = {}): Promise<Loopback> {
    const server = new Loopback(options);
    await server.#listen();
    return track(server);
  }

  /** Where it listens, as options of a connection. */
  get target(): { port: number; host: string } | { path: string } {
    const { path, host = '127.0.0.1' } = this.#options;
    return path === undefined ? { port: this.port, host } : { path };
  }

  /** Connections that are open now. */
  get live(): number {
    return this.#raw.size;
  }

  /** The latest socket. */
  get latest(): Socket {
    return this.sockets.at(-1)!;
  }

  /** Bytes received over all sockets. */
  get receivedBytes(): number {
    return this.sockets.reduce((sum, socket) => sum + socket.bytesRead, 0);
  }

  /** What was received: by the socket of that number, the first being 1, or by all of them. */
  received(number?: number): string {
    const chunks = number === undefined ? this.#chunks.flat() : (this.#chunks[number - 1] ?? []);
    return Buffer.concat(chunks).toString('latin1');
  }

  /** Waits until `holds` is true: asked again whenever a socket comes, reads or closes. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await once(this.#changes, 'change');
  }

  /** Waits until what was received holds `text`. */
  async gets(text: string, number?: number): Promise<void> {
    await this.until(() => this.received(number).includes(text));
  }

  /** Waits until `count` sockets have come since the start. */
  async has(count: number): Promise<Socket> {
    await this.until(() => this.sockets.length >= count);
    return this.sockets[count - 1]!;
  }

  /** Waits until `connection` is open and was accepted: a client may be earlier to know. Returns the socket at this end. */
  async meets(connection: ReconnectingConnection): Promise<Socket> {
    await connection.whenOpen();
    const port = connection.socket?.localPort;
    const accepted = () => this.sockets.find((socket) => socket.remotePort === port && !socket.destroyed);
    await this.until(() => accepted() !== undefined);
    return accepted()!;
  }

  /** Sends to all live clients. */
  write(chunk: string | Uint8Array): void {
    for (const socket of this.sockets) if (socket.writable) socket.write(chunk);
  }

  /** Cuts all sockets: a FIN each. */
  drop(): void {
    for (const socket of this.#raw) socket.end().destroySoon();
  }

  /** Cuts all sockets: an RST each. */
  reset(): void {
    for (const socket of this.#raw) socket.resetAndDestroy();
  }

  /** Listens no more: dials are refused, sockets live on. */
  refuse(): void {
    this.#server.close();
  }

  /** Listens again, where it did before. */
  async restart(): Promise<void> {
    this.#server.close();
    this.#server = this.#make();
    await this.#listen();
  }

  /** Neither reads nor answers, from now on. */
  mute(): void {
    this.#muted = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Cuts every socket that comes from now on: at once, or so many milliseconds after it was accepted. */
  flap(how: 'end' | 'reset' = 'end', after?: number): void {
    const cut = (socket: Socket) => {
      if (how === 'end') socket.end();
      else socket.resetAndDestroy();
    };
    this.#cut = after === undefined ? cut : (socket) => void setTimeout(cut, after, socket).unref();
  }

  /** Cuts no more. */
  steady(): void {
    this.#cut = undefined;
  }

  /** Rotates the certificate. */
  secure(tls: TlsOptions): void {
    if (this.#server instanceof TlsServer) this.#server.setSecureContext(tls);
  }

  /** The end, for good. */
  async destroy(): Promise<void> {
    this.#server.close();
    for (const socket of this.#raw) socket.destroy();
    await this.until(() => this.#raw.size === 0);
  }

  async #listen(): Promise<void> {
    const { path, host = '127.0.0.1' } = this.#options;
    this.#server.listen(path === undefined ? { port: this.port, host } : { path });
    await once(this.#server, 'listening');
    if (path === undefined) this.port = (this.#server.address() as AddressInfo).port;
  }

  #make(): Server | TlsServer {
    const { tls, allowHalfOpen = false } = this.#options;
    const server = tls === undefined ? createServer({ allowHalfOpen }) : createTlsServer({ ...tls, allowHalfOpen });
    server.on('connection', this.#onConnection);
    server.on(tls === undefined ? 'connection' : 'secureConnection', this.#onSocket);
    server.on('tlsClientError', (error: Error) => {
      this.tlsErrors.push(error);
      this.#changes.emit('change');
    });
    return server;
  }

  readonly #onConnection = (socket: Socket): void => {
    this.accepted += 1;
    this.acceptedAt.push(performance.now());
    this.#raw.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#raw.delete(socket);
      this.#changes.emit('change');
    });
    this.#changes.emit('change');
  };

  readonly #onSocket = (socket: Socket): void => {
    const { echo, onSocket } = this.#options;
    const chunks: Buffer[] = [];
    this.#chunks.push(chunks);
    const number = this.sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (echo === true && !this.#muted && socket.writable) socket.write(chunk);
      this.#changes.emit('change');
    });
    socket.on('end', () => this.#changes.emit('change'));
    if (this.#muted) socket.pause();
    onSocket?.(socket, number);
    this.#cut?.(socket);
    this.#changes.emit('change');
  };
}

// Processes.

/** Where the library is as JavaScript, for processes that run without jest: made once in each test file that asks. */
let library: Promise<string> | undefined;

/** Compiles it beside jest, in which the compiler would take seconds to load. */
async function compile(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'reconnecting-connection-'));
  const root = resolve(__dirname, '../..');
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  const script = `
    const fs = require('node:fs'), path = require('node:path'), ts = require('typescript');
    const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
    for (const file of fs.readdirSync('lib').filter((name) => name.endsWith('.ts'))) {
      const { outputText } = ts.transpileModule(fs.readFileSync(path.join('lib', file), 'utf8'), { compilerOptions });
      fs.writeFileSync(path.join(${JSON.stringify(directory)}, file.replace(/ts$/, 'js')), outputText);
    }`;
  await promisify(execFile)(process.execPath, ['-e', script], { cwd: root });
  return directory;
}

afterAll(async () => {
  if (library !== undefined) rmSync(await library, { recursive: true });
});

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Each line of `stdout`, from JSON. */
  readonly said: unknown[];
}

/** What a script in its own process finds defined: the library's names, `say(value)`, and a few of Node's modules. */
async function prelude(): Promise<string> {
  library ??= compile();
  return `
    const { ReconnectingConnection, ConnectionPool, ConnectionError, registry } = require(${JSON.stringify(join(await library, 'index.js'))});
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
  const child = start((await prelude()) + script, env, flags);
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

/** A server in its own process, where a blocked loop here does not stop it. `onSocket` is the body of its listener. */
export async function serveElsewhere(onSocket: string): Promise<{ readonly target: { readonly port: number } }> {
  const child = start(
    `const server = require('node:net').createServer((socket) => { socket.on('error', () => {}); ${onSocket} });
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
  track({
    async destroy() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  });
  return child;
}
