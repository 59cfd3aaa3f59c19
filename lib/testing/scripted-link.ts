import { Duplex } from 'node:stream';

import { type Chunk, cut } from './script';

/** What the other end of a link is told. */
export interface LinkHost {
  /** The connection has sent something; `taken` confirms it. */
  onWrite(chunk: Buffer, taken: () => void): void;
  /** The connection has ended its side. */
  onEnd(): void;
}

/** The stream that a connection is given in place of a socket. It behaves as a socket does, with the network left out. */
export class ScriptedLink extends Duplex {
  connecting = true;
  /** Of a target with TLS: what matters of TLS is done, and the certificate is right. */
  readonly encrypted: boolean;
  readonly authorized: boolean;
  readonly #host: LinkHost;
  #finished = false;

  constructor(secure: boolean, host: LinkHost) {
    super({ allowHalfOpen: false, autoDestroy: true });
    this.encrypted = secure;
    this.authorized = secure;
    this.#host = host;
  }

  /** The dial succeeds. */
  open(): void {
    if (!this.connecting || this.destroyed) return;
    this.connecting = false;
    this.emit('connect');
  }

  /** The peer sends. */
  deliver(chunk: Chunk): void {
    if (!this.destroyed && !this.#finished) this.push(Buffer.from(chunk));
  }

  /** The peer ends its side in good order. */
  finish(): void {
    if (this.destroyed || this.#finished) return;
    this.#finished = true;
    this.push(null);
  }

  /** The link breaks. */
  break(error: Error = cut()): void {
    this.destroy(error);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    // Whatever the peer sends.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#host.onWrite(chunk, callback);
  }

  override _final(callback: () => void): void {
    this.#host.onEnd();
    callback();
  }
}
