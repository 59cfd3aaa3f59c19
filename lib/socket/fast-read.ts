import { Duplex } from 'node:stream';

import { type Transport, handlerOf } from './transport';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';

/** As much as one read of the kernel brings at the most (libuv's own size). */
const READ_SIZE = 65_536;

/** From so many bytes on a chunk is handed over in the memory it was read into, for then at most half of that is wasted. */
const LARGE = READ_SIZE / 2;

/**
 * How a socket is read past the machinery of streams, which costs more than the reading itself. Only what comes while
 * nobody reads, or behind such bytes, goes through the stream, for what a stream does then is right: it keeps as much as
 * it has room for, and its end behind that.
 */
export interface FastRead {
  /** Where the next read goes; Node asks a function after each. */
  readonly buffer: Buffer | (() => Buffer);
  /** Takes the `size` bytes that were read into `buffer`. Returns whether the socket may read on. */
  readonly read: (link: Transport, size: number, buffer: Buffer) => boolean;
}

/** One buffer serves all sockets of a thread: what is in it is copied, or used up, before the next read. */
const shared = Buffer.allocUnsafeSlow(READ_SIZE);

/** The memory for the next read, of the socket that was read last: Node asks for it right then. */
let next = shared;

/** Chunks belong to their receivers. While large ones come, each is read into memory of its own. */
const keeping: FastRead = {
  buffer: () => {
    const buffer = next;
    next = shared;
    return buffer;
  },
  read: (link, size, buffer) => {
    const isLarge = size >= LARGE;
    const readsOn = deliver(link, isLarge && buffer !== shared ? buffer.subarray(0, size) : copy(size, buffer));
    next = isLarge ? Buffer.allocUnsafeSlow(READ_SIZE) : shared;
    return readsOn;
  },
};

/** Chunks are views of the shared buffer, valid only while they are delivered. */
const lending: FastRead = {
  buffer: shared,
  read: (link, size, buffer) =>
    isFlowing(link) ? deliver(link, buffer.subarray(0, size)) : link.push(copy(size, buffer)),
};

/** How to read where nothing needs a stream; undefined where something does. */
export function fastReadFor(settings: Settings, target: ResolvedTarget): FastRead | undefined {
  const needsStream =
    settings.dial !== undefined ||
    settings.handshake !== undefined ||
    settings.decoder !== undefined ||
    target.tls !== undefined;
  if (needsStream) return undefined;
  return settings.reuseReadBuffer ? lending : keeping;
}

/**
 * Delivers nothing more for now. A socket reads on as far as its stream has room, and so notices when it breaks: this is
 * the stream's own part, for a socket's would stop reading at once.
 */
export function pauseDelivery(link: Transport): void {
  Duplex.prototype.pause.call(link);
}

function deliver(link: Transport, chunk: Buffer): boolean {
  if (!isFlowing(link)) return link.push(chunk);
  handlerOf(link).onData?.(chunk);
  return true;
}

function isFlowing(link: Transport): boolean {
  return link.readableFlowing === true && link.readableLength === 0;
}

function copy(size: number, buffer: Buffer): Buffer {
  const chunk = Buffer.allocUnsafe(size);
  buffer.copy(chunk, 0, 0, size);
  return chunk;
}
