import { type NetConnectOpts, type Socket, connect } from 'node:net';

import { track } from './clean-up';
import { until } from './until';

/** A bare `net.Socket` that records its events and reads. */
export class PlainSocket {
  readonly socket: Socket;
  /** `connect`, `end`, `close`, and the codes of errors. */
  readonly events: string[] = [];
  /** What was read, read by read. */
  readonly reads: Buffer[] = [];
  receivedBytes = 0;

  constructor(options: object) {
    // `as`: Node's own types ask for a port even where there is a path.
    this.socket = connect({ allowHalfOpen: true, noDelay: true, ...options } as NetConnectOpts);
    for (const event of ['connect', 'end', 'close']) this.socket.on(event, () => this.events.push(event));
    this.socket.on('error', ({ code = 'no code' }: NodeJS.ErrnoException) => this.events.push(code));
    this.socket.on('data', (bytes) => {
      this.reads.push(bytes);
      this.receivedBytes += bytes.length;
    });
    track(this.socket);
  }

  /** Connects, and waits for `connect`. */
  static async open(options: object): Promise<PlainSocket> {
    const plain = new PlainSocket(options);
    await plain.waitFor('connect');
    return plain;
  }

  get received(): string {
    return Buffer.concat(this.reads).toString('latin1');
  }

  write(text: string | Uint8Array): void {
    this.socket.write(text);
  }

  async waitFor(event: string): Promise<void> {
    const what = () => `${event} among ${this.events.join(', ')}`;
    await until(() => this.events.includes(event), { what });
  }

  /** Waits until it has received so many bytes in all. */
  async receives(bytes: number): Promise<void> {
    await until(() => this.receivedBytes >= bytes, { what: () => `${this.receivedBytes} of ${bytes} bytes` });
  }

  /** Writes, waits for as many bytes to come back, and returns the milliseconds that took. */
  async echo(text: string): Promise<number> {
    const from = performance.now();
    const bytes = this.receivedBytes + Buffer.byteLength(text);
    this.write(text);
    await this.receives(bytes);
    return performance.now() - from;
  }

  /** Waits for so many milliseconds. Returns whether there was neither an event nor a byte. */
  async isSilentFor(milliseconds: number): Promise<boolean> {
    const [events, bytes] = [this.events.length, this.receivedBytes];
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    return this.events.length === events && this.receivedBytes === bytes;
  }
}
