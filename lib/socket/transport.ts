import type { Socket } from 'node:net';
import type { Duplex, Transform } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import { ignoreRejection, invalidOption } from '../errors';
import { shielded } from '../events/emitter';

/** The property of a transport that holds its handler, so that one listener for each event serves all transports. */
const HANDLER = Symbol('handler');

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
      Pick<TLSSocket, 'encrypted' | 'authorized' | 'authorizationError'> & { secureConnecting: boolean }
  > & { [HANDLER]?: TransportHandler };

/** A transport that is ready for a session. */
export interface Established {
  readonly transport: Transport;
  /** Made for this session by the `decoder` option. */
  readonly decoder: Transform | undefined;
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

/** Destroys a transport; what that throws is reported as an uncaught exception. */
export function destroyTransport(transport: Duplex, error?: Error): void {
  shielded(() => transport.destroy(error));
}

/** Whether the kernel picked the very port that was dialled: no server listens there, and what is written comes back. */
export function isSelfConnected({ localAddress, localPort, remoteAddress, remotePort }: Transport): boolean {
  return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress;
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
export function checkStream<T extends Duplex>(value: T, name: string): T {
  // By its members: a stream of another realm, or of a package of its own, is as good as Node's.
  const stream = value as Partial<T> | null | undefined;
  if (typeof stream?.on === 'function' && typeof stream.write === 'function' && typeof stream.destroy === 'function') {
    return value;
  }
  ignoreRejection(value);
  throw invalidOption(name, 'a stream', value);
}

/** Throws unless `decoder` is a stream that has not ended. */
export function checkDecoder(decoder: Transform): Transform {
  checkStream(decoder, 'what `decoder` returns');
  if (decoder.writable && decoder.readable) return decoder;
  throw invalidOption('what `decoder` returns', 'a stream that is not used up', decoder);
}

// At module level: a closure for each event of each transport would cost more memory than the rest of it.

function onError(this: Transport, error: Error): void {
  this[HANDLER]?.onError(error);
}

function onClose(this: Transport): void {
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
