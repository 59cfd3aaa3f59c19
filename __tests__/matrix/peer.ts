import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';

import type { Pair } from '../kit/certificates';
import { Loopback } from '../kit/server';
import { type Transport, isSecure } from './names';

/** What is asked of a peer, so that heartbeats find it alive. */
export const PING = '?';
/** What it answers; no event that a test is about. */
export const PONG = '!';

/** A server that ends when its clients do, unless it is told not to, and that can hold a TLS handshake up. */
export class Peer {
  readonly loopback: Loopback;
  readonly #held: (() => void)[];
  readonly #flags: { holdsTls: boolean };
  readonly #stubborn: Set<Socket>;

  private constructor(
    loopback: Loopback,
    shared: { held: (() => void)[]; flags: { holdsTls: boolean }; stubborn: Set<Socket> },
  ) {
    this.loopback = loopback;
    this.#held = shared.held;
    this.#flags = shared.flags;
    this.#stubborn = shared.stubborn;
  }

  static async start(transport: Transport, pair: Pair, path: string): Promise<Peer> {
    const held: (() => void)[] = [];
    const flags = { holdsTls: false };
    const stubborn = new Set<Socket>();
    const onSocket = (socket: Socket) => {
      socket.on('end', () => {
        if (!stubborn.has(socket)) socket.end();
      });
      socket.on('data', (chunk) => {
        if (chunk.toString('latin1') === PING && socket.writable) socket.write(PONG);
      });
    };
    const tls: TlsOptions = {
      ...pair,
      SNICallback: (_name, answer) => {
        // No context of its own: the server's will do.
        if (flags.holdsTls) held.push(() => answer(null));
        else answer(null);
      },
    };
    const loopback = await Loopback.start({
      allowHalfOpen: true,
      onSocket,
      ...(transport === 'unix' ? { path } : { host: transport === 'tcp6' ? '::1' : '127.0.0.1' }),
      ...(isSecure(transport) && { tls }),
    });
    return new Peer(loopback, { held, flags, stubborn });
  }

  /** The latest socket at this end. */
  get latest(): Socket {
    return this.loopback.latest;
  }

  /** Says nothing to a client that wants to begin with TLS, until it is told to go on. Resolves when one waits. */
  async holdTls(arrive: () => void): Promise<void> {
    this.#flags.holdsTls = true;
    arrive();
    const before = this.loopback.accepted;
    await this.loopback.until(() => this.loopback.accepted > before);
    // The greeting of the client comes a few turns later.
    while (this.#held.length === 0) await new Promise(setImmediate);
    this.#flags.holdsTls = false;
  }

  /** Goes on with the TLS handshakes that were held up. */
  goOnWithTls(): void {
    for (const answer of this.#held.splice(0)) answer();
  }

  /** Does not answer the end of `socket`'s client with its own. */
  keepOpen(socket: Socket): void {
    this.#stubborn.add(socket);
  }

  /** Reads what is unread and closes what is half closed: who is gone is seen to be gone. */
  async isAlone(): Promise<boolean> {
    this.#stubborn.clear();
    this.goOnWithTls();
    for (const socket of this.loopback.sockets) {
      socket.resume();
      if (socket.readableEnded) socket.end();
    }
    await new Promise(setImmediate);
    // Whose client left in the middle of TLS, that socket is half open for good: Node does not hand it out.
    if (this.loopback.sockets.every(({ destroyed }) => destroyed)) this.loopback.drop();
    return this.loopback.live === 0;
  }
}
