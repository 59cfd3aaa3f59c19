import { Duplex } from 'node:stream';

import { builtins } from '../builtins';
import { type Transport, handlerOf } from './transport';
import type { Settings } from '../options/settings';
import type { ResolvedTarget } from '../options/target';

/** As much as one read brings at the most: libuv's own size. */
const READ_SIZE = 65_536;

/** As much as one read brings of what is lent: fewer reads cost a fifth less, and more memory gains nothing. */
const LENT_SIZE = 262_144;

/** From half a buffer on a chunk is handed over in the memory it was read into, so that half is wasted at the most. */
const LARGE = READ_SIZE / 2;

/** The option `onread` of `net.Socket`: https://nodejs.org/api/net.html#new-netsocketoptions. */
export interface OnRead {
  /** Called after each read. Returns the memory for the next one. */
  readonly buffer: () => Buffer;
  /** Takes the `size` bytes that were read into `buffer`, which is what `buffer()` returned. Returns whether to read on. */
  callback(this: Transport, size: number, buffer: Buffer): boolean;
}

/**
 * Opens a socket by `open`, and reads it by `onread` in place of its stream, whose work costs more than the read itself.
 * What arrives while the stream is paused, or behind such bytes, goes into the stream: it keeps as much as it has room
 * for, and its end behind that.
 */
export function openFast(onread: OnRead, open: (onread: OnRead) => Transport): Transport {
  if (isCalledAsMethod === true) return open(onread);
  const own: OnRead = {
    buffer: onread.buffer,
    callback(size, from) {
      isCalledAsMethod &&= this === transport;
      return onread.callback.call(transport, size, from);
    },
  };
  const transport = open(own);
  // `as`: the property is in no type.
  const properties = transport as unknown as Record<symbol, unknown>;
  isCalledAsMethod ??= Object.getOwnPropertySymbols(transport).some((key) => properties[key] === own.callback);
  return transport;
}

/**
 * Whether `callback` gets its socket as `this`, so that one function serves all sockets: a closure for each is memory for
 * as long as it is open. Node keeps the function under a symbol of the socket, and calls it there:
 * https://github.com/nodejs/node/blob/v20.20.2/lib/internal/stream_base_commons.js#L181 (`kBufferCb`). Tested on Node 20,
 * 22, 24 and 26 by `internals.test.ts`. Where the first socket keeps no such property, as in Bun, or is not called there at
 * its first read, each opened from then on gets a closure.
 */
let isCalledAsMethod: boolean | undefined;

/**
 * The memory into which the sockets of a thread read, one after the other: what is in it is copied, or used up, before
 * the next read. `buffer()` is called after each read, so each socket asks for it anew.
 * https://github.com/nodejs/node/blob/v20.20.2/lib/internal/stream_base_commons.js#L168 (`onStreamRead`)
 */
let shared: Buffer | undefined;
let lent: Buffer | undefined;

function allocate(size: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(size);
  try {
    // Node reads into the address of this memory. If a lent chunk took it along to another thread, that would be freed
    // memory. With the mark Node 20 sends a copy, and later versions throw a `DataCloneError`.
    builtins.threads.markAsUntransferable(buffer.buffer);
  } catch {
    // Bun throws where it has no such mark: https://github.com/oven-sh/bun/issues/22405. It has its own `net` besides.
  }
  return buffer;
}

/**
 * The same memory, or new one at first and where it was detached. workerd's `net` detaches what it reads into, and
 * calls back with memory of its own.
 * https://github.com/cloudflare/workerd/blob/039dc1be8029e0d83fe934368e7aa7c8ec389a11/src/node/internal/internal_net.ts
 */
function attached(buffer: Buffer | undefined, size: number): Buffer {
  return buffer === undefined || buffer.byteLength === 0 ? allocate(size) : buffer;
}

/**
 * Memory of its own for the next read of the socket whose `callback` has just returned: Node asks for it at once.
 * https://github.com/nodejs/node/blob/v20.20.2/lib/internal/stream_base_commons.js#L182, tested on Node 20, 22, 24 and 26
 * by `internals.test.ts`. If another socket got it, that would read into it in its place, and lose nothing.
 */
let next: Buffer | undefined;

function nextBuffer(): Buffer {
  const own = next;
  next = undefined;
  return own ?? (shared = attached(shared, READ_SIZE));
}

/**
 * Chunks belong to the listeners. After a full read more is likely to wait: the next one gets memory of its own, and is
 * handed over as it is, unless it is small. All else is copied, so that an idle socket has no such memory.
 */
const keeping: OnRead = {
  buffer: nextBuffer,
  callback(size, from) {
    const isLarge = size >= LARGE;
    if (isLarge && isDiscarded(this)) return true;
    const isOwned = isLarge && from !== shared;
    const readsOn = deliver(this, !isOwned ? copy(from, size) : size === READ_SIZE ? from : from.subarray(0, size));
    // Only now: a listener may have opened another socket, which asks for memory.
    if (size === READ_SIZE) next = Buffer.allocUnsafeSlow(READ_SIZE);
    return readsOn;
  },
};

/** Chunks are views of the lent memory, valid only while they are delivered. */
const lending: OnRead = {
  buffer: () => (lent = attached(lent, LENT_SIZE)),
  callback(size, from) {
    return deliver(this, isFlowing(this) ? from.subarray(0, size) : copy(from, size));
  },
};

/** How to read where nothing needs a stream; undefined where something does. */
export function fastReadFor(settings: Settings, target: ResolvedTarget): OnRead | undefined {
  const needsStream =
    settings.dial !== undefined ||
    settings.beforeTls !== undefined ||
    settings.handshake !== undefined ||
    settings.decoder !== undefined ||
    target.tls !== undefined;
  if (needsStream) return undefined;
  return settings.reuseReadBuffer ? lending : keeping;
}

/**
 * Pauses the stream of a socket that this library has opened, and not the socket: it reads on for as long as its stream
 * has room, so that it notices when the peer resets it. `socket.pause()` would stop the read of a socket with `onread`.
 * This relies on `Socket.prototype.pause` calling its super class at its end and doing nothing else for the stream.
 * https://github.com/nodejs/node/blob/v20.20.2/lib/net.js#L749, tested on Node 20, 22, 24 and 26 by `internals.test.ts`.
 * If it did more, a paused connection would get data, or learn of a reset only when it resumes.
 */
export function pauseDelivery(transport: Transport): void {
  Duplex.prototype.pause.call(transport);
}

/**
 * To the handler, or into the stream while that is paused or still has bytes from then. Where the stream is full
 * `push()` returns false, the socket stops, and the stream's `_read()` makes it go on.
 */
function deliver(transport: Transport, chunk: Buffer): boolean {
  if (!isFlowing(transport)) return transport.push(chunk);
  handlerOf(transport).onData?.(chunk);
  return true;
}

function isFlowing(transport: Transport): boolean {
  return transport.readableFlowing === true && transport.readableLength === 0;
}

/** Whether nothing takes what arrives: a socket that was ended reads on until its peer ends. */
function isDiscarded(transport: Transport): boolean {
  return isFlowing(transport) && handlerOf(transport).onData === undefined;
}

function copy(bytes: Buffer, size: number): Buffer {
  const chunk = Buffer.allocUnsafe(size);
  bytes.copy(chunk, 0, 0, size);
  return chunk;
}
