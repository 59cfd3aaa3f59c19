import { EventEmitter, once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { type TlsOptions, Server as TlsServer, createServer as createTlsServer } from 'node:tls';

import type { ReconnectingConnection } from 'reconnecting-connection';

import { track } from './clean-up';

export interface LoopbackOptions {
  /** A Unix socket in place of a port. */
  readonly path?: string;
  /** Default: `'127.0.0.1'`. */
  readonly host?: string;
  readonly tls?: TlsOptions;
  /** Echoes everything. */
  readonly echo?: boolean;
  /** Keeps its own side open when the client ends. */
  readonly allowHalfOpen?: boolean;
  /** Called with each socket (with TLS, when it is secure) and its number, 1 for the first. */
  readonly onSocket?: (socket: Socket, number: number) => void;
}

/** A server on this machine with the faults that its clients have to survive. */
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

  /** Waits until `holds` is true, asked again whenever a socket opens, reads or closes. */
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

  /** Waits until `connection` is open and accepted; a client may see it first. Returns the socket at this end. */
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

  /** Stops listening, so that dials are refused. Sockets stay open. */
  refuse(): void {
    this.#server.close();
  }

  /** Listens again, where it did before. */
  async restart(): Promise<void> {
    this.#server.close();
    this.#server = this.#make();
    await this.#listen();
  }

  /** Stops reading and answering. */
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
