import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { Server as TlsServer, createServer as createTlsServer } from 'node:tls';

import { invalidOption } from '../errors';
import { checkRecord } from '../options/checks';
import { cutSocket, ignore } from './cut';
import { type FlapOptions, type LoopbackOptions, type Place, checkLoopbackOptions, flapChecks } from './options';
import { type Chunk, checkChunk } from './script';
import { Waiting, type WaitOptions, clearTimer, setTimer } from './until';

/** A server on this machine with faults that clients have to survive. */
export class LoopbackServer {
  readonly #options: LoopbackOptions;
  readonly #waiting: Waiting;
  /** Open sockets, also before their TLS handshake. */
  readonly #raw = new Set<Socket>();
  readonly #sessions: { readonly socket: Socket; readonly chunks: Buffer[] }[] = [];
  #server: Server | undefined;
  #port = 0;
  #isMuted = false;
  #flapping: FlapOptions | undefined;

  /** For subclasses: creates a server that listens after {@link LoopbackServer.accept}. Throws `ERR_INVALID_OPTION`. */
  protected constructor(options: LoopbackOptions = {}) {
    this.#options = checkLoopbackOptions(options);
    this.#port = this.#options.port ?? 0;
    this.#waiting = new Waiting(this.#options.deadline);
  }

  /**
   * Starts a server.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`; Node's error if it cannot listen
   */
  static async start(options: LoopbackOptions = {}): Promise<LoopbackServer> {
    const server = new LoopbackServer(options);
    await server.accept();
    return server;
  }

  /** Where it listens, as options of a connection. */
  get target(): Place {
    const { path, host = '127.0.0.1' } = this.#options;
    return path === undefined ? { host, port: this.#port } : { path };
  }

  /** The port; 0 for a Unix socket. */
  get port(): number {
    return this.#port;
  }

  /**
   * The `net.Server`, or with TLS the `tls.Server`, to change its certificate or listen to its events. `undefined` while
   * dials are refused; a new one after `accept()` and `restart()`.
   */
  get server(): Server | undefined {
    return this.#server;
  }

  /** The sockets of all sessions so far, closed ones included. */
  get sockets(): readonly Socket[] {
    return this.#sessions.map(({ socket }) => socket);
  }

  /** Number of open sessions. */
  get open(): number {
    return this.sockets.filter(({ destroyed }) => !destroyed).length;
  }

  /**
   * What it has received.
   *
   * @param session - Number of the session, 1 for the first. Default: all, one after the other.
   */
  received(session?: number): Buffer {
    const sessions = session === undefined ? this.#sessions : this.#sessions.slice(session - 1, session);
    return Buffer.concat(sessions.flatMap(({ chunks }) => chunks));
  }

  /**
   * Waits until `holds` returns true. It is called now, and whenever a socket is accepted, receives, ends or closes.
   *
   * @returns rejects with an Error that describes the condition if the deadline passes first
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  until(holds: () => boolean, options: WaitOptions = {}): Promise<void> {
    if (typeof holds !== 'function') return Promise.reject(invalidOption('the condition', 'a function', holds));
    return this.#waiting.until(holds, options, () => holds.toString());
  }

  /**
   * Waits until it has received `text` within one session, alone or among other bytes.
   *
   * @returns rejects with an Error that shows what was received if the deadline passes first
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  receives(text: string, options: WaitOptions = {}): Promise<void> {
    const has = () => this.#sessions.some((_session, index) => this.received(index + 1).includes(text));
    const what = () => `the server receives ${JSON.stringify(text)}; it has ${JSON.stringify(String(this.received()))}`;
    return this.#waiting.until(has, options, what);
  }

  /**
   * Waits for a session, and returns its socket.
   *
   * @param number - 1 for the first.
   * @returns rejects with an Error if the deadline passes first
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

  /** Sends to every open session, and returns their number. */
  send(chunk: Chunk): number {
    checkChunk(chunk, 'the chunk');
    const open = this.sockets.filter(({ writable }) => writable);
    for (const socket of open) socket.write(chunk);
    return open.length;
  }

  /** Ends all sessions with a FIN. */
  drop(): void {
    for (const socket of this.#raw) socket.end().destroySoon();
  }

  /** Cuts all sessions with an RST. Unix sockets have no RST: they end. */
  reset(): void {
    for (const socket of this.#raw) cutSocket(socket, 'reset');
  }

  /** Stops listening, so that dials are refused. Sessions stay open. */
  refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Listens again at the same place. Meanwhile another process may have taken the port, which is rare. */
  async accept(): Promise<void> {
    if (this.#server !== undefined) return;
    this.#server = this.#make().listen(this.target);
    await once(this.#server, 'listening');
    // `as`: it listens on a port.
    if (this.#options.path === undefined) this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Cuts all sessions and listens anew, as a server that is killed and started again. */
  async restart(): Promise<void> {
    this.refuse();
    this.reset();
    await this.accept();
  }

  /** Stops reading and answering, in open sessions and new ones. */
  mute(): void {
    this.#isMuted = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Reads and answers again. */
  unmute(): void {
    this.#isMuted = false;
    for (const socket of this.sockets) socket.resume();
  }

  /** Cuts every new session. */
  flap(options: FlapOptions = {}): void {
    this.#flapping = checkRecord<FlapOptions>('', options, flapChecks);
  }

  /** Ends `flap()`. */
  steady(): void {
    this.#flapping = undefined;
  }

  /** Stops for good and cuts all sessions. Resolves when they are closed. */
  async close(): Promise<void> {
    this.refuse();
    for (const socket of this.#raw) socket.destroy();
    const what = () => 'the server is closed';
    await this.#waiting.until(() => this.#raw.size === 0, {}, what);
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
    if (this.#flapping !== undefined) this.#cutLater(socket, this.#flapping);
    this.#waiting.changed();
  }

  #cutLater(socket: Socket, { after = 0, how = 'drop' }: FlapOptions): void {
    const raw = this.#rawOf(socket);
    const cut = () => {
      if (how === 'drop') socket.end();
      else cutSocket(raw, 'reset');
    };
    if (after === 0) return cut();
    const timer = setTimer(cut, after);
    socket.on('close', () => clearTimer(timer));
  }

  /** The socket under TLS: only that can be reset. */
  #rawOf(socket: Socket): Socket {
    const { remotePort } = socket;
    const same = [...this.#raw].find((raw) => remotePort !== undefined && raw.remotePort === remotePort);
    return same ?? socket;
  }
}
