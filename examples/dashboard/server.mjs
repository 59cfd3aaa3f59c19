// A server that can be killed, muted, made to flap, and revived on the port that it had.
import { once } from 'node:events';
import { createServer } from 'node:net';
/** @import { AddressInfo, Server, Socket } from 'node:net' */
/** @import { Mode } from './messages.js' */

/** Sent first. The handshake of the members expects it. */
export const GREETING = 'hello\n';

/** A flapping server closes a connection after one to two times this, in milliseconds. */
const FLAP = 300;
/** Milliseconds until it tries again to listen on a port that is in use. */
const RETRY = 100;

export class TroubledServer {
  port = 0;
  /** @type {Mode} */
  #mode = 'down';
  /** @type {Server | undefined} */
  #listener;
  /** The connected sockets, and whether they have been greeted. @type {Map<Socket, boolean>} */
  #sockets = new Map();

  /** Listens on a free port of the loopback interface. */
  static async start() {
    const server = new TroubledServer();
    await server.set('up');
    return server;
  }

  get mode() {
    return this.#mode;
  }

  /** @param {Mode} mode */
  async set(mode) {
    this.#mode = mode;
    if (mode === 'down') return this.#die();
    if (this.#listener === undefined) await this.#listen();
    for (const [socket, isGreeted] of this.#sockets) this.#serve(socket, isGreeted);
  }

  /** Like a crash: it stops listening, and resets every connection. */
  #die() {
    this.#listener?.close();
    this.#listener = undefined;
    for (const socket of this.#sockets.keys()) socket.resetAndDestroy();
  }

  async #listen() {
    const listener = (this.#listener = createServer((socket) => this.#onConnection(socket)));
    for (;;) {
      try {
        await once(listener.listen(this.port, '127.0.0.1'), 'listening');
        break;
      } catch (error) {
        // An outgoing connection may have been given the port meanwhile.
        if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EADDRINUSE') throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY));
        if (this.#listener !== listener) return;
      }
    }
    if (this.#listener === listener) this.port = /** @type {AddressInfo} */ (listener.address()).port;
    // It was killed before it listened.
    else listener.close();
  }

  /** @param {Socket} socket */
  #onConnection(socket) {
    this.#sockets.set(socket, false);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk) => {
      if (this.#mode !== 'muted') socket.write(chunk);
    });
    this.#serve(socket, false);
  }

  /** @param {Socket} socket @param {boolean} isGreeted */
  #serve(socket, isGreeted) {
    if (this.#mode === 'muted') return;
    if (!isGreeted) socket.write(GREETING);
    this.#sockets.set(socket, true);
    if (this.#mode !== 'flapping') return;
    const timer = setTimeout(
      () => {
        if (this.#mode === 'flapping') socket.end();
      },
      FLAP * (1 + Math.random()),
    );
    socket.on('close', () => clearTimeout(timer));
  }
}
