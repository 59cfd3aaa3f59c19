import type { Socket } from 'node:net';
import type { Duplex, Transform } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import { shielded } from '../events/emitter';

/** Where a link's listeners find who hears it: one of each serves all links. */
const HANDLER = Symbol('ear');

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

/** A transport that is ready for use: connected, encrypted and greeted, as `tls` and `handshake` ask for it. */
export interface Established {
  readonly transport: Transport;
  readonly decoder: Transform | undefined;
}

/** Who hears what a link tells: one at a time, while it is dialled, and while it is a session's. */
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

/** Lets `ear` hear a link in place of who heard it before, and of its errors and its end from now on. */
export function setHandler(link: Transport, ear: TransportHandler): void {
  // For good: a socket may fail after everyone has left it, and an `error` without a listener ends the process.
  if (link[HANDLER] === undefined) link.on('error', onError).on('close', onClose);
  link[HANDLER] = ear;
}

/** Lets nobody hear a link any more. */
export function clearHandler(link: Transport): void {
  setHandler(link, NO_HANDLER);
}

export function isHandledBy(link: Transport, ear: TransportHandler): boolean {
  return link[HANDLER] === ear;
}

/** Who hears a link that is heard. */
export function handlerOf(link: Transport): TransportHandler {
  return link[HANDLER] ?? NO_HANDLER;
}

/** Lets who hears a link hear these of its events too. To be asked once for each. */
export function enableEvents(link: Transport, ...events: (keyof typeof listeners)[]): void {
  for (const event of events) link.on(event, listeners[event]);
}

/** For what needs a listener and no answer. */
export function ignore(): void {
  // Nothing to do.
}

/** Destroys a link, even one that throws at it. */
export function destroyTransport(link: Duplex, error?: Error): void {
  shielded(() => link.destroy(error));
}

/** Whether the kernel picked the very port that was dialled: nobody listens there, and what is written comes back. */
export function isSelfConnected({ localAddress, localPort, remoteAddress, remotePort }: Transport): boolean {
  return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress;
}

/**
 * Destroys a link with an RST: after a FIN, one that was connected to itself would keep the port from its server for a
 * minute. Node can do that to plain sockets only.
 */
export function resetTransport(link: Transport): void {
  if (link.encrypted !== true) shielded(() => link.resetAndDestroy?.());
  destroyTransport(link);
}

// A closure for every event of every link would cost more memory than all the rest of it.

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
