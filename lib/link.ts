import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

import { shielded } from './emitter';

/** Where a link's listeners find who hears it: one of each serves all links. */
const EAR = Symbol('ear');

/** A stream to the peer. One that is no socket, from a custom `dial`, has none of the optional members. */
export type Link = Duplex &
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
  > & { [EAR]?: Ear };

/** Who hears what a link tells: one at a time, while it is dialled, and while it is a session's. */
export interface Ear {
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

const nobody: Ear = { onError: ignore, onClose: ignore };

/** Lets `ear` hear a link in place of who heard it before, and of its errors and its end from now on. */
export function hear(link: Link, ear: Ear): void {
  // For good: a socket may fail after everyone has left it, and an `error` without a listener ends the process.
  if (link[EAR] === undefined) link.on('error', onError).on('close', onClose);
  link[EAR] = ear;
}

/** Lets nobody hear a link any more. */
export function leave(link: Link): void {
  hear(link, nobody);
}

export function isHeardBy(link: Link, ear: Ear): boolean {
  return link[EAR] === ear;
}

/** Who hears a link that is heard. */
export function earOf(link: Link): Ear {
  return link[EAR] ?? nobody;
}

/** Lets who hears a link hear these of its events too. To be asked once for each. */
export function listen(link: Link, ...events: (keyof typeof listeners)[]): void {
  for (const event of events) link.on(event, listeners[event]);
}

/** For what needs a listener and no answer. */
export function ignore(): void {
  // Nothing to do.
}

/** Destroys a link, even one that throws at it. */
export function destroyLink(link: Duplex, error?: Error): void {
  shielded(() => link.destroy(error));
}

/** Whether the kernel picked the very port that was dialled: nobody listens there, and what is written comes back. */
export function isSelfConnected({ localAddress, localPort, remoteAddress, remotePort }: Link): boolean {
  return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress;
}

/**
 * Destroys a link with an RST: after a FIN, one that was connected to itself would keep the port from its server for a
 * minute. Node can do that to plain sockets only.
 */
export function resetLink(link: Link): void {
  if (link.encrypted !== true) shielded(() => link.resetAndDestroy?.());
  destroyLink(link);
}

// A closure for every event of every link would cost more memory than all the rest of it.

function onError(this: Link, error: Error): void {
  this[EAR]?.onError(error);
}

function onClose(this: Link): void {
  this[EAR]?.onClose();
}

function onConnect(this: Link): void {
  this[EAR]?.onConnect?.();
}

function onSecure(this: Link): void {
  this[EAR]?.onSecure?.();
}

function onData(this: Link, chunk: Buffer): void {
  this[EAR]?.onData?.(chunk);
}

function onDrain(this: Link): void {
  this[EAR]?.onDrain?.();
}

function onEnd(this: Link): void {
  this[EAR]?.onEnd?.();
}
