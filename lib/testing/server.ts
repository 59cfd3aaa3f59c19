import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { Server as TlsServer, createServer as createTlsServer } from 'node:tls';

import { invalidOption } from '../errors';
import { cutAfter, cutSocket, ignore } from './cut';
import type { Place } from './proxy-options';
import { type Chunk, checkChunk } from './script';
import { type FlapOptions, type LoopbackOptions, checkFlapOptions, checkLoopbackOptions } from './server-options';
import { Waiting, type WaitOptions } from './until';

/** A server on this machine, with the faults that clients have to survive. */
export class LoopbackServer {
  readonly #options: LoopbackOptions;
  readonly #waiting: Waiting;
  /** Sockets that are open, those whose TLS is under way included. */
  readonly #raw = new Set<Socket>();
  readonly #sessions: { readonly socket: Socket; readonly chunks: Buffer[] }[] = [];
  #server: Server | undefined;
  #port = 0;
  #isMuted = false;
  #flapping: FlapOptions | undefined;

  /**
   * Makes a server that does not listen yet: {@link LoopbackServer.accept} starts it.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  protected constructor(options: LoopbackOptions = {}) {
    this.#options = checkLoopbackOptions(options);
    this.#port = this.#options.port ?? 0;
    this.#waiting = new Waiting(this.#options.deadline);
  }

  /**
   * Starts a server.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`; what Node says where it cannot listen
   */
  static async start(options: LoopbackOptions = {}): Promise<LoopbackServer> {
    const server = new LoopbackServer(options);
    await server.accept();
    return server;
  }

  /** Where it listens, to be given to a connection. */
  get target(): Place {
    const { path, host = '127.0.0.1' } = this.#options;
    return path === undefined ? { host, port: this.#port } : { path };
  }

  /** Where it listens; 0 for a Unix socket. */
  get port(): number {
    return this.#port;
  }

  /**
   * The `net.Server` that listens, or the `tls.Server` if there is TLS, to change its certificate or to listen to its
   * events. `undefined` while dials are refused; a new one after `accept()` and `restart()`.
   */
  get server(): Server | undefined {
    return this.#server;
  }

  /** The sockets of all sessions that there ever were, closed ones included. */
  get sockets(): readonly Socket[] {
    return this.#sessions.map(({ socket }) => socket);
  }

  /** How many sessions are open. */
  get open(): number {
    return this.sockets.filter(({ destroyed }) => !destroyed).length;
  }

  /**
   * What it has received.
   *
   * @param session - Of which session, 1 being the first. Default: of all, one after the other.
   */
  received(session?: number): Buffer {
    const sessions = session === undefined ? this.#sessions : this.#sessions.slice(session - 1, session);
    return Buffer.concat(sessions.flatMap(({ chunks }) => chunks));
  }

  /**
   * Waits until `holds` returns true: it is called now, and whenever a socket is accepted, receives, ends or closes.
   *
   * @returns rejects with an Error that says what was waited for when the deadline passes first
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  until(holds: () => boolean, options: WaitOptions = {}): Promise<void> {
    if (typeof holds !== 'function') return Promise.reject(invalidOption('the condition', 'a function', holds));
    return this.#waiting.until(holds, options, () => holds.toString());
  }

  /**
   * Waits until it has received `text` within one session, alone or among other things.
   *
   * @returns rejects with an Error that says what came in its place when it has not by the deadline
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  receives(text: string, options: WaitOptions = {}): Promise<void> {
    const has = () => this.#sessions.some((_session, index) => this.received(index + 1).includes(text));
    const what = () => `the server receives ${JSON.stringify(text)}; it has ${JSON.stringify(String(this.received()))}`;
    return this.#waiting.until(has, options, what);
  }

  /**
   * Waits until there have been so many sessions, and returns the socket of the last of them at this end.
   *
   * @returns rejects with an Error when there have not by the deadline
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  async session(number: number, options: WaitOptions = {}): Promise<Socket> {
    if (!Number.isInteger(number) || number < 1) throw invalidOption('`number`', 'an integer ≥ 1', number);
    const what = () => `session ${number} begins; there were ${this.#sessions.length}`;
    await this.#waiting.until(() => this.#sessions.length >= number, options, what);
    return this.#sessions[number - 1]!.socket;
  }

  /** Waits until so many sessions are open. Errors as with {@link LoopbackServer.session}. */
  opens(count: number, options: WaitOptions = {}): Promise<void> {
    const what = () => `${count} sessions are open; there are ${this.open}`;
    return this.#waiting.until(() => this.open === count, options, what);
  }

  /** Sends to every open session. Returns how many that were. */
  send(chunk: Chunk): number {
    checkChunk(chunk, 'the chunk');
    const open = this.sockets.filter(({ writable }) => writable);
    for (const socket of open) socket.write(chunk);
    return open.length;
  }

  /** Ends all sessions in good order: a FIN each. */
  drop(): void {
    for (const socket of this.#raw) socket.end().destroySoon();
  }

  /** Cuts all sessions: an RST each. On Unix sockets there is no RST, and they end. */
  reset(): void {
    for (const socket of this.#raw) cutSocket(socket, 'reset');
  }

  /** Listens no more: dials are refused. Sessions live on. */
  refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Listens again where it did before. While nobody listens the system may give the port away, which is rare. */
  async accept(): Promise<void> {
    if (this.#server !== undefined) return;
    this.#server = this.#make();
    this.#server.listen(this.target);
    await once(this.#server, 'listening');
    // `as`: what listens on a port has such an address.
    if (this.#options.path === undefined) this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** What a server that is killed and started again looks like: all sessions are cut, and it listens anew. */
  async restart(): Promise<void> {
    this.refuse();
    this.reset();
    await this.accept();
  }

  /** Neither reads nor answers from now on, in sessions that are open and in those to come. */
  mute(): void {
    this.#isMuted = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Reads and answers again. */
  unmute(): void {
    this.#isMuted = false;
    for (const socket of this.sockets) socket.resume();
  }

  /** Accepts every session from now on, and cuts it. */
  flap(options: FlapOptions = {}): void {
    this.#flapping = checkFlapOptions(options);
  }

  /** Cuts no more. */
  steady(): void {
    this.#flapping = undefined;
  }

  /** The end, for good: all sessions are cut. Resolves when they are gone. */
  async close(): Promise<void> {
    this.refuse();
    for (const socket of this.#raw) socket.destroy();
    await this.#waiting.until(
      () => this.#raw.size === 0,
      {},
      () => 'the server is closed',
    );
  }

  /** `await using`: {@link LoopbackServer.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #make(): Server {
    const { tls: secure, allowHalfOpen = false } = this.#options;
    const server =
      secure === undefined ? createServer({ allowHalfOpen }) : createTlsServer({ allowHalfOpen, ...secure });
    server.on('connection', (socket: Socket) => this.#onSocket(socket));
    const begun = server instanceof TlsServer ? 'secureConnection' : 'connection';
    server.on(begun, (socket: Socket) => this.#onSession(socket));
    return server;
  }

  #onSocket(socket: Socket): void {
    this.#raw.add(socket);
    socket.on('error', ignore);
    socket.on('close', () => {
      this.#raw.delete(socket);
      this.#waiting.changed();
    });
    this.#waiting.changed();
  }

  #onSession(socket: Socket): void {
    const chunks: Buffer[] = [];
    const number = this.#sessions.push({ socket, chunks });
    socket.on('error', ignore);
    for (const event of ['end', 'close']) socket.on(event, () => this.#waiting.changed());
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (this.#options.echo === true && socket.writable) socket.write(chunk);
      this.#waiting.changed();
    });
    if (this.#isMuted) socket.pause();
    this.#options.onSession?.(socket, number);
    if (this.#flapping !== undefined) cutAfter(socket, this.#rawOf(socket), this.#flapping);
    this.#waiting.changed();
  }

  /** What a socket with TLS stands on: only that can be reset. */
  #rawOf(socket: Socket): Socket {
    const { remotePort } = socket;
    const same = [...this.#raw].find((raw) => remotePort !== undefined && raw.remotePort === remotePort);
    return same ?? socket;
  }
}
