import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';

import type { Pair } from '../../kit/certificates';
import { Loopback, type LoopbackOptions } from '../../kit/server';
import { type Transport, isSecure } from './table';

/** A heartbeat's ping, and the peer's answer, which is no event that a cell is about. */
export const PING = '?';
export const PONG = '!';

/** A server that ends a session when its client does, unless it is told not to, and that can hold a TLS handshake up. */
export class Peer {
  loopback!: Loopback;
  #options: LoopbackOptions = {};
  /** Continue TLS handshakes that were held up. */
  readonly #held: (() => void)[] = [];
  #holdsTls = false;
  readonly #keptOpen = new Set<Socket>();

  static async start(transport: Transport, pair: Pair, path: string): Promise<Peer> {
    const peer = new Peer();
    const tls: TlsOptions = {
      ...pair,
      SNICallback: (_name, answer) => {
        // No context of its own: the server's is used.
        if (peer.#holdsTls) peer.#held.push(() => answer(null));
        else answer(null);
      },
    };
    peer.#options = {
      allowHalfOpen: true,
      onSession: (socket) => peer.#onSocket(socket),
      ...(transport === 'unix' ? { path } : { host: transport === 'tcp6' ? '::1' : '127.0.0.1' }),
      ...(isSecure(transport) && { tls }),
    };
    peer.loopback = await Loopback.start(peer.#options);
    return peer;
  }

  /** Listens on `port` instead. */
  async moveTo(port: number): Promise<void> {
    await this.loopback.close();
    this.loopback = await Loopback.start({ ...this.#options, port });
  }

  /** Does not answer a client that begins with TLS until `goOnWithTls`. Resolves when one waits. */
  async holdTls(arrive: () => void): Promise<void> {
    this.#holdsTls = true;
    arrive();
    // The greeting of the client comes a few ticks after its connection.
    while (this.#held.length === 0) await new Promise(setImmediate);
    this.#holdsTls = false;
  }

  goOnWithTls(): void {
    for (const answer of this.#held.splice(0)) answer();
  }

  /** Does not answer the end of `socket`'s client with its own. */
  keepOpen(socket: Socket): void {
    this.#keptOpen.add(socket);
  }

  /** Reads what is unread and closes what is half closed, and returns whether every client is gone. */
  async isAlone(): Promise<boolean> {
    this.#keptOpen.clear();
    this.goOnWithTls();
    for (const socket of this.loopback.sockets) {
      socket.resume();
      if (socket.readableEnded) socket.end();
    }
    await new Promise(setImmediate);
    // Node does not hand out a socket whose client left during the TLS handshake: it would stay half open.
    if (this.loopback.sockets.every(({ destroyed }) => destroyed)) this.loopback.drop();
    return this.loopback.live === 0;
  }

  #onSocket(socket: Socket): void {
    socket.on('end', () => {
      if (!this.#keptOpen.has(socket)) socket.end();
    });
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1') === PING && socket.writable) socket.write(PONG);
    });
  }
}
