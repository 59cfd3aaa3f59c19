import { Duplex } from 'node:stream';

import type { Clock } from './clock';
import type { Parcel } from './lane';
import { ByteStream } from './stream';

/** How a link behaves, drawn when it is dialled. */
export interface Manners {
  /** Bytes that its kernel takes before the peer has read any. */
  readonly sendBuffer: number;
  readonly highWaterMark: number;
  readonly allowHalfOpen: boolean;
  /** Whether it takes several writes at once. */
  readonly vectored: boolean;
  /** Whether it counts what it has read, as a socket does. */
  readonly counts: boolean;
  /** Milliseconds by which its word that a write was taken is late. */
  readonly confirmAfter: number;
  /** Milliseconds from its destruction to its `close`. */
  readonly closeAfter: number;
  /** What it still says, once destroyed, of a write that was under way. */
  readonly lastWord: 'none' | 'error' | 'success';
  /** Whether it has the addresses of a socket, and whether they are those of a socket connected to itself. */
  readonly addresses: 'none' | 'own' | 'self';
}

/** Where the kernel of a link sends to. */
export interface Wire {
  send(parcel: Parcel): void;
}

/** The process's end of a simulated connection: a stream that behaves as Node's sockets do. */
export class Link extends Duplex {
  connecting = true;
  referenced = true;
  bytesRead: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;

  readonly number: number;
  readonly port: number;
  /** What the library handed over, for the peer to receive. */
  readonly handed = new ByteStream();
  /** How many writes that was. */
  writes = 0;
  /** How many of them were confirmed. */
  confirmed = 0;
  /** Told of every write that is handed over, before anything else happens to it. */
  onHanded: ((chunk: Buffer) => void) | undefined;
  /** When bytes last reached the process's kernel. */
  arrivedAt = -Infinity;
  /** When the process last read bytes. */
  readAt = -Infinity;
  /** When the stream last said that something written was taken, or was given something while nothing waited. */
  progressAt = 0;
  /** When the stream has told of the peer's end. */
  endedAt = Infinity;

  readonly #clock: Clock;
  readonly #manners: Manners;
  #wire: Wire | undefined;
  #kernel: Parcel[] = [];
  #reading = false;
  #outstanding = 0;
  #slot:
    | {
        bytes: Buffer;
        readonly size: number;
        readonly writes: number;
        readonly callback: (error?: Error | null) => void;
      }
    | undefined;

  constructor(clock: Clock, number: number, port: number, manners: Manners) {
    super({ allowHalfOpen: manners.allowHalfOpen, highWaterMark: manners.highWaterMark });
    this.#clock = clock;
    this.#manners = manners;
    this.number = number;
    this.port = port;
    if (manners.counts) this.bytesRead = 0;
    this.once('end', () => (this.endedAt = clock.now));
    if (manners.addresses !== 'none') {
      this.localAddress = this.remoteAddress = '127.0.0.1';
      this.localPort = manners.addresses === 'self' ? port : 40_000 + (number % 10_000);
      this.remotePort = port;
    }
    if (manners.vectored) {
      this._writev = (chunks, callback) => {
        // `as`: everything written is bytes by then.
        const parts = chunks.map(({ chunk }) => chunk as Buffer);
        this.#transmit(Buffer.concat(parts), parts.length, callback);
      };
    }
  }

  /** Bytes that wait in the kernel for the process to read them. */
  get unread(): number {
    return this.#kernel.reduce((sum: number, parcel) => sum + (Buffer.isBuffer(parcel) ? parcel.length : 0), 0);
  }

  ref(): this {
    this.referenced = true;
    return this;
  }

  unref(): this {
    this.referenced = false;
    return this;
  }

  // What the network does.

  connect(wire: Wire): void {
    this.#clock.arrive(() => {
      if (this.destroyed) return wire.send('rst');
      this.#wire = wire;
      this.connecting = false;
      this.emit('connect');
      this.#pump();
    });
  }

  fail(code: string): void {
    this.#clock.arrive(() => this.destroy(errorOf(code)));
  }

  /** The kernel takes what the peer sent, whatever the process is doing. */
  receive(parcel: Parcel): void {
    if (typeof parcel === 'number') this.#outstanding -= parcel;
    else if (this.destroyed) return parcel === 'rst' ? undefined : this.#wire?.send('rst');
    else this.#kernel.push(parcel);
    if (Buffer.isBuffer(parcel)) this.arrivedAt = this.#clock.now;
    this.#clock.arrive(() => this.#pump());
  }

  // What the stream machinery asks for.

  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    // `as`: the library writes bytes, and so do the handshakes here; the rest is passed on as it came.
    const bytes = Buffer.from(chunk as Buffer);
    this.writes += 1;
    if (this.writableLength === 0 && bytes.length > 0) this.progressAt = this.#clock.now;
    this.handed.append(bytes);
    this.onHanded?.(bytes);
    return super.write(chunk, encoding as BufferEncoding, callback as () => void);
  }

  override _read(): void {
    this.#reading = true;
    if (this.#kernel.length > 0) this.#clock.arrive(() => this.#pump());
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#transmit(chunk, 1, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#wire?.send('fin');
    this.#clock.arrive(() => callback());
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const { lastWord, closeAfter } = this.#manners;
    const slot = this.#slot;
    this.#slot = undefined;
    this.#wire?.send(slot !== undefined || this.#kernel.length > 0 ? 'rst' : 'fin');
    this.#kernel = [];
    if (slot !== undefined && lastWord !== 'none') {
      this.#clock.arrive(() => slot.callback(lastWord === 'error' ? errorOf('ECANCELED') : undefined));
    }
    if (closeAfter === 0) callback(error);
    else this.#clock.after(closeAfter, () => this.#clock.arrive(() => callback(error)));
  }

  #transmit(bytes: Buffer, writes: number, callback: (error?: Error | null) => void): void {
    if (this.#kernel.includes('rst')) return callback(errorOf('EPIPE'));
    this.#slot = { bytes, size: bytes.length, writes, callback };
    this.#send();
    if (this.#slot.bytes.length === 0 && this.#manners.confirmAfter === 0) this.#confirm();
  }

  /** Moves what the process wrote into the kernel, as far as there is room, and so onto the wire. */
  #send(): void {
    const slot = this.#slot;
    const room = this.#manners.sendBuffer - this.#outstanding;
    if (slot === undefined) return;
    if (slot.bytes.length > 0 && room > 0) {
      const taken = Buffer.from(slot.bytes.subarray(0, room));
      slot.bytes = slot.bytes.subarray(room);
      this.#outstanding += taken.length;
      this.#wire?.send(taken);
    }
    if (slot.bytes.length > 0) return;
    const { confirmAfter } = this.#manners;
    if (confirmAfter > 0) this.#clock.after(confirmAfter, () => this.#clock.arrive(() => this.#confirm(slot)));
  }

  #confirm(slot = this.#slot): void {
    if (slot === undefined || slot !== this.#slot) return;
    this.#slot = undefined;
    this.confirmed += slot.writes;
    if (slot.size > 0) this.progressAt = this.#clock.now;
    slot.callback();
  }

  #pump(): void {
    if (this.destroyed || this.connecting) return;
    if (this.#slot !== undefined && this.#slot.bytes.length > 0) {
      this.#send();
      if (this.#slot.bytes.length === 0 && this.#manners.confirmAfter === 0) this.#confirm();
    }
    // A reset is noticed by a socket that does not read too, but not ahead of bytes that came before it.
    if (this.#kernel[0] === 'rst') this.destroy(errorOf('ECONNRESET'));
    // Nothing is left in the kernel of a link that was destroyed on the way.
    while (this.#reading && this.#kernel.length > 0) this.#deliver(this.#kernel.shift()!);
  }

  #deliver(parcel: Parcel): void {
    if (Buffer.isBuffer(parcel)) {
      this.readAt = this.#clock.now;
      if (this.bytesRead !== undefined) this.bytesRead += parcel.length;
      this.#reading = this.push(parcel);
    } else if (parcel === 'fin') {
      this.push(null);
      this.read(0);
    } else {
      this.destroy(errorOf('ECONNRESET'));
    }
  }
}

/** An error as Node makes them. */
export function errorOf(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`simulated ${code}`), { code });
}
