import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import { ignoreRejection, invalidOption } from '../errors';
import { shielded } from '../events/emitter';
import type { ResolvedTarget } from '../options/target';
import { setRef } from '../timers/deadline';

/** The property of a transport that holds its handler, so that one listener for each event serves all transports. */
const HANDLER = Symbol('handler');

/** The property of a transport that was laid over another stream: what ties the two together. */
export const LAYER = Symbol('layer');

/** Set by `layOver()`. */
interface Layer {
  readonly inner: Transport;
  /** Destroys the inner stream. */
  release(): void;
}

/** A stream to the peer. One that is no socket, from a custom `dial`, has none of the optional members. */
export type Transport = Duplex &
  Partial<
    Pick<
      Socket,
      | 'connecting'
      | 'localAddress'
      | 'localPort'
      | 'remoteAddress'
      | 'remotePort'
      | 'bytesRead'
      | 'ref'
      | 'unref'
      | 'resetAndDestroy'
    > &
      Pick<TLSSocket, 'encrypted' | 'authorized' | 'authorizationError'> & {
        secureConnecting: boolean;
        setNoDelay(noDelay?: boolean): unknown;
        /** The last two from Node 26.4 on. */
        setKeepAlive(enable?: boolean, initialDelay?: number, interval?: number, count?: number): unknown;
      }
  > & { [HANDLER]?: TransportHandler; [LAYER]?: Layer; readonly _handle?: Handle | null };

/**
 * Node's handle of a socket: a libuv stream, or TLS over another handle. `net.Socket` finds by `writeQueueSize` whether a
 * write makes progress, before it emits `timeout`.
 * https://github.com/nodejs/node/blob/v20.20.2/lib/net.js#L618 (`_onTimeout`), `_parent`:
 * https://github.com/nodejs/node/blob/v20.20.2/lib/_tls_wrap.js#L724. Tested on Node 20, 22, 24 and 26 by
 * `internals.test.ts`. Where any of it is missing, progress shows only when a whole write is confirmed.
 */
interface Handle {
  /** Bytes passed to it up to now. */
  readonly bytesWritten?: number;
  /** Those of them that the kernel has not taken yet. */
  readonly writeQueueSize?: number;
  readonly _parent?: Handle | null;
}

/** Bytes in a socket of Node's that wait for the kernel, and those that it has taken; after encryption with TLS. */
export interface KernelQueue {
  readonly waiting: number;
  readonly taken: number;
}

/** Undefined for a stream that is no socket, or lies over one. */
export function kernelQueue({ _handle }: Transport): KernelQueue | undefined {
  let handle = _handle;
  while (handle?._parent) handle = handle._parent;
  const { bytesWritten, writeQueueSize } = handle ?? {};
  if (typeof bytesWritten !== 'number' || typeof writeQueueSize !== 'number') return undefined;
  return { waiting: writeQueueSize, taken: bytesWritten - writeQueueSize };
}

/** A transport that is ready for a session. */
export interface Established {
  readonly transport: Transport;
  /** Whether it is a socket of Node's that this library has opened, and not a stream of the application's. */
  readonly isOwn: boolean;
  /** What was dialled. */
  readonly target: ResolvedTarget;
  /** Made for this session by the `decoder` option. */
  readonly decoder: Duplex | undefined;
}

/** Handles the events of a transport. There is one at a time: while it is dialled, and while it is a session's. */
export interface TransportHandler {
  /** It is connected; TLS is yet to come. */
  onConnect?(): void;
  /** It is encrypted. */
  onSecure?(): void;
  onData?(chunk: Buffer): void;
  /** It has room again. */
  onDrain?(): void;
  /** The peer will send no more. */
  onEnd?(): void;
  onError(error: Error): void;
  onClose(): void;
}

const listeners = { connect: onConnect, secureConnect: onSecure, data: onData, drain: onDrain, end: onEnd };

const NO_HANDLER: TransportHandler = { onError: ignore, onClose: ignore };

/** Makes `handler` the only one that gets the events of a transport: its error and its end, and those enabled. */
export function setHandler(transport: Transport, handler: TransportHandler): void {
  // These listeners stay: a socket may fail after its last handler, and `error` without a listener ends the process.
  if (transport[HANDLER] === undefined) transport.on('error', onError).on('close', onClose);
  transport[HANDLER] = handler;
}

/** Removes the handler. */
export function clearHandler(transport: Transport): void {
  setHandler(transport, NO_HANDLER);
}

export function isHandledBy(transport: Transport, handler: TransportHandler): boolean {
  return transport[HANDLER] === handler;
}

export function handlerOf(transport: Transport): TransportHandler {
  return transport[HANDLER] ?? NO_HANDLER;
}

/** Passes these events to the handler too, from now on. To be called once for each. */
export function enableEvents(transport: Transport, ...events: (keyof typeof listeners)[]): void {
  for (const event of events) transport.on(event, listeners[event]);
}

/** A listener that does nothing. */
export function ignore(): void {
  // No-op.
}

/**
 * Whether a connection has, or has had, this stream. A stream serves one session: its events go to one handler, and once
 * used it may hold unread bytes, or write plain text where it was encrypted.
 */
export function isTaken(transport: Transport): boolean {
  return transport[HANDLER] !== undefined;
}

/** Destroys a transport and what it was laid over; what that throws is reported as an uncaught exception. */
export function destroyTransport(transport: Transport, error?: Error): void {
  shielded(() => transport.destroy(error));
  transport[LAYER]?.release();
}

/** Makes a transport keep the process alive, or not. */
export function setTransportRef(ref: boolean, transport: Transport): void {
  for (let each: Transport | undefined = transport; each !== undefined; each = each[LAYER]?.inner) setRef(ref, each);
}

/** The layer of a transport that knows its addresses; the transport itself where none does. */
export function addressed(transport: Transport): Transport {
  let each: Transport | undefined = transport;
  // The local one first: a socket that was dialled knows it without a system call.
  while (each !== undefined && each.localAddress === undefined && each.remoteAddress === undefined) {
    each = each[LAYER]?.inner;
  }
  return each ?? transport;
}

/**
 * Whether the kernel picked the very port that was dialled: no server listens there, and what is written comes back. Each
 * address is a system call: the first is needed, since the kernel may pick any port.
 *
 * @param remotePort - The port that was dialled, where that is known.
 */
export function isSelfConnected(transport: Transport, remotePort = transport.remotePort): boolean {
  const { localPort } = transport;
  return localPort !== undefined && localPort === remotePort && transport.localAddress === transport.remoteAddress;
}

/**
 * Destroys a transport with an RST: after a FIN, one that was connected to itself would keep the port from its server
 * for a minute. Node can do that to plain sockets only.
 */
export function resetTransport(transport: Transport): void {
  if (transport.encrypted !== true) shielded(() => transport.resetAndDestroy?.());
  destroyTransport(transport);
}

/** Throws unless `value`, which a function of the application's returned, is a stream. */
export function checkStream<T extends Duplex>(value: T, name: string, expected = 'a stream'): T {
  // By its members: a stream of another realm, or of a package of its own, is as good as Node's.
  const stream = value as Partial<T> | null | undefined;
  if (typeof stream?.on === 'function' && typeof stream.write === 'function' && typeof stream.destroy === 'function') {
    return value;
  }
  ignoreRejection(value);
  throw invalidOption(name, expected, value);
}

/** Throws unless `decoder` is a stream that has not ended. */
export function checkDecoder(decoder: Duplex): Duplex {
  checkStream(decoder, 'what `decoder` returns');
  if (decoder.writable && decoder.readable) return decoder;
  throw invalidOption('what `decoder` returns', 'a stream that is not used up', decoder);
}

// At module level: a closure for each event of each transport would cost more memory than the rest of it.

function onError(this: Transport, error: Error): void {
  this[HANDLER]?.onError(error);
}

/** A serial port that was pulled out emits `close` with its error, and no `error`. Node's sockets pass a boolean. */
function onClose(this: Transport, cause: unknown): void {
  if (cause instanceof Error) this[HANDLER]?.onError(cause);
  this[HANDLER]?.onClose();
}

function onConnect(this: Transport): void {
  this[HANDLER]?.onConnect?.();
}

function onSecure(this: Transport): void {
  this[HANDLER]?.onSecure?.();
}

function onData(this: Transport, chunk: Buffer): void {
  this[HANDLER]?.onData?.(chunk);
}

function onDrain(this: Transport): void {
  this[HANDLER]?.onDrain?.();
}

function onEnd(this: Transport): void {
  this[HANDLER]?.onEnd?.();
}
