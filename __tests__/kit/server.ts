import type { Socket } from 'node:net';
import { type TlsOptions, Server as TlsServer } from 'node:tls';

import type { ReconnectingConnection } from 'reconnecting-connection';
import { type LoopbackOptions, LoopbackServer } from 'reconnecting-connection/testing';

import { track } from './clean-up';

export type { LoopbackOptions };

/** The published server, with counts of its connections. */
export class Loopback extends LoopbackServer {
  /** Connections that were ever accepted, whether they became secure or not. */
  accepted = 0;
  /** When each connection was accepted, on the clock of `performance.now()`. */
  readonly acceptedAt: number[] = [];
  /** Connections that are open now, whether they became secure or not. */
  live = 0;
  /** Why clients failed to become secure. */
  readonly tlsErrors: Error[] = [];

  /** Starts a server on a free port, or on `path`. It is closed after the test. */
  static override async start(options: LoopbackOptions = {}): Promise<Loopback> {
    // Longer than any test, which has a deadline of its own.
    const server = new Loopback({ deadline: 120_000, ...options });
    await server.accept();
    track({ destroy: () => server.close() });
    return server;
  }

  /** The latest socket. */
  get latest(): Socket {
    return this.sockets.at(-1)!;
  }

  /** Bytes received over all sockets. */
  get receivedBytes(): number {
    return this.sockets.reduce((sum, socket) => sum + socket.bytesRead, 0);
  }

  /** What was received, as Latin-1: in the session of that number, the first being 1, or in all of them. */
  text(session?: number): string {
    return this.received(session).toString('latin1');
  }

  /** Waits until `connection` is open and accepted; a client may see it first. Returns the socket at this end. */
  async meets(connection: ReconnectingConnection): Promise<Socket> {
    await connection.whenOpen();
    const port = connection.socket?.localPort;
    const accepted = () => this.sockets.find((socket) => socket.remotePort === port && !socket.destroyed);
    await this.until(() => accepted() !== undefined);
    return accepted()!;
  }

  /** Rotates the certificate. */
  secure(tls: TlsOptions): void {
    if (this.server instanceof TlsServer) this.server.setSecureContext(tls);
  }

  override async accept(): Promise<void> {
    const before = this.server;
    await super.accept();
    if (this.server === before) return;
    // First of all listeners, so that the counts are right in `onSession` and where a wait looks again.
    this.server?.prependListener('connection', (socket) => {
      this.accepted += 1;
      this.acceptedAt.push(performance.now());
      this.live += 1;
      socket.on('close', () => (this.live -= 1));
    });
    this.server?.prependListener('tlsClientError', (error: Error) => this.tlsErrors.push(error));
  }
}
