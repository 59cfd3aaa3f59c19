import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

import { type Pair, loadCertificates } from './certificates';
import { Loopback } from './server';

/** How a server of STARTTLS behaves. */
export interface StartTlsOptions {
  /** The name of its certificate. */
  readonly certificate?: 'server' | 'wrongHost' | 'selfSigned';
  /** Its answer to STARTTLS. By default it agrees. */
  readonly answer?: string;
  /** In place of an answer. */
  readonly onStartTls?: (socket: Socket) => unknown;
}

/** A server that greets, puts TLS over its socket when it is asked to, and then sends back what it reads, after a `+`. */
export class StartTlsServer {
  readonly loopback: Loopback;
  /** What it has read through TLS. */
  secret = '';

  private constructor(loopback: Loopback) {
    this.loopback = loopback;
  }

  static async start(options: StartTlsOptions = {}): Promise<StartTlsServer> {
    const pair = (await loadCertificates())[options.certificate ?? 'server'];
    const server: StartTlsServer = new StartTlsServer(
      await Loopback.start({
        onSession: (socket) => {
          socket.write('220 ready\r\n');
          const onData = (chunk: Buffer) => {
            if (chunk.includes('EHLO')) socket.write('250-localhost\r\n250 STARTTLS\r\n');
            if (!chunk.includes('STARTTLS')) return;
            socket.off('data', onData);
            if (options.onStartTls !== undefined) options.onStartTls(socket);
            else socket.write(options.answer ?? '220 go\r\n');
            if (options.onStartTls === undefined && options.answer === undefined) server.#secure(socket, pair);
          };
          socket.on('data', onData);
        },
      }),
    );
    return server;
  }

  get target(): { readonly host: string; readonly port: number } {
    return { host: 'localhost', port: this.loopback.port };
  }

  /** What it has read in clear. */
  get clear(): string {
    return this.loopback.text();
  }

  #secure(socket: Socket, pair: Pair): void {
    const secure = new TLSSocket(socket, { isServer: true, ...pair });
    secure.on('data', (chunk: Buffer) => {
      this.secret += chunk.toString();
      secure.write(`+${chunk.toString()}`);
    });
    secure.on('error', () => undefined);
  }
}

/** Reads one line, and leaves what follows it in the socket. */
export async function readLine(socket: Duplex): Promise<string> {
  let line = '';
  while (!line.endsWith('\r\n')) {
    // `as`: a socket gives buffers.
    const byte = socket.read(1) as Buffer | null;
    if (byte === null) await new Promise((resolve) => socket.once('readable', resolve));
    else line += byte.toString('latin1');
  }
  return line.trim();
}

/** A client's part. It has no `signal`, so that it never settles where the server is silent. */
export async function startTls(socket: Duplex): Promise<void> {
  const greeting = await readLine(socket);
  if (!greeting.startsWith('220')) throw new Error(`No greeting: ${greeting}`);
  socket.write('STARTTLS\r\n');
  const answer = await readLine(socket);
  if (!answer.startsWith('220')) throw new Error(`No TLS: ${answer}`);
}
