import { Duplex } from 'node:stream';

import type { Settings } from './settings';
import type { ResolvedTarget } from './target';

/** As much as one read of the kernel brings at the most (libuv's own size). */
const READ_SIZE = 65_536;

/** From so many bytes on a chunk is handed over in the memory it was read into, for then at most half of that is wasted. */
const LARGE = READ_SIZE / 2;

/** One buffer serves all sockets of a thread: what is in it is copied, or used up, before the next read. */
const shared = { buffer: undefined as Buffer | undefined };

/** What `net.connect` takes to read past the machinery of streams. */
interface OnRead {
  readonly buffer: Buffer | (() => Buffer);
  readonly callback: (size: number, buffer: Buffer) => boolean;
}

/**
 * Reads one socket past the machinery of streams, which costs more than the reading itself. Only what comes while nobody
 * reads, or behind such bytes, goes through the stream, for what a stream does then is right: it keeps as much as it has
 * room for, and its end behind that.
 */
export class Reader {
  /** Where chunks go while the stream flows; its own `data` go to the same place. */
  receiver: { onChunk(chunk: Buffer): void } | undefined;
  /** To be set before anything can arrive. */
  link: Duplex | undefined;
  readonly #lends: boolean;
  /** What the next read goes into. */
  #buffer: Buffer;

  /** @param lends - Whether a chunk is a view of the shared buffer, valid only while it is delivered. */
  constructor(lends: boolean) {
    this.#buffer = shared.buffer ??= Buffer.allocUnsafeSlow(READ_SIZE);
    this.#lends = lends;
  }

  /** What `net.connect` is to be given as `onread`. */
  get onread(): OnRead {
    return {
      buffer: this.#lends ? this.#buffer : () => this.#buffer,
      callback: (size, buffer) => this.#read(size, buffer),
    };
  }

  /** Delivers nothing more for now. The socket reads on as far as the stream has room, and so notices when it breaks. */
  pause(): void {
    // The stream's own part: a socket's would stop reading at once.
    if (this.link !== undefined) Duplex.prototype.pause.call(this.link);
  }

  /** Returns whether the socket may read on. */
  #read(size: number, buffer: Buffer): boolean {
    const { receiver, link } = this;
    if (receiver === undefined || link?.readableFlowing !== true || link.readableLength > 0) {
      return link?.push(this.#lends ? copy(size, buffer) : this.#keep(size, buffer)) ?? true;
    }
    receiver.onChunk(this.#lends ? buffer.subarray(0, size) : this.#keep(size, buffer));
    return true;
  }

  /** A chunk that belongs to its receiver. While large ones come, each is read into memory of its own. */
  #keep(size: number, buffer: Buffer): Buffer {
    const isOwn = buffer !== shared.buffer;
    if (size >= LARGE) {
      this.#buffer = Buffer.allocUnsafeSlow(READ_SIZE);
      if (isOwn) return buffer.subarray(0, size);
    } else if (isOwn) {
      this.#buffer = shared.buffer!;
    }
    return copy(size, buffer);
  }
}

function copy(size: number, buffer: Buffer): Buffer {
  const chunk = Buffer.allocUnsafe(size);
  buffer.copy(chunk, 0, 0, size);
  return chunk;
}

/** A reader where nothing needs a stream; undefined where something does. */
export function readerFor(settings: Settings, target: ResolvedTarget): Reader | undefined {
  const needsStream =
    settings.dial !== undefined ||
    settings.handshake !== undefined ||
    settings.decoder !== undefined ||
    target.tls !== undefined;
  return needsStream ? undefined : new Reader(settings.reuseReadBuffer);
}
