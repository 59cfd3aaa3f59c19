import type { Socket } from 'node:net';

import { setTimer } from './until';

/** How a link is cut: `'drop'` sends a FIN to both ends, `'reset'` an RST. Unix sockets have no RST. */
export type Cut = 'drop' | 'reset';

/** Milliseconds that a peer has to answer a FIN before the socket is destroyed. */
const LINGER = 1_000;

/** Ends a socket with a FIN or an RST. */
export function cutSocket(socket: Socket, how: Cut): void {
  if (socket.destroyed) return;
  if (how === 'drop' && !socket.connecting) {
    socket.end();
    // The kernel sends an RST instead if bytes are unread at the close.
    socket.removeAllListeners('data').resume();
    setTimer(() => socket.destroy(), LINGER).unref();
  } else if (how === 'drop' || socket.writableEnded || socket.remotePort === undefined) {
    // Neither after a FIN nor on a Unix socket is an RST possible.
    socket.destroy();
  } else {
    socket.resetAndDestroy();
  }
}

/** A listener of `error`: the `close` that follows is enough. */
export function ignore(): void {
  // No-op.
}
