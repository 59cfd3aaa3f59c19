import type { Socket } from 'node:net';

import { clearTimer, setTimer } from './clock';
import type { FlapOptions } from './server-options';

/** How a link is cut: in good order (a FIN to both ends), or not (an RST). On Unix sockets there is no RST. */
export type Cut = 'drop' | 'reset';

/** Milliseconds a side is given to answer a FIN, before it is let go. */
const LINGER = 1_000;

/** Ends a socket with a FIN or an RST. */
export function cutSocket(socket: Socket, how: Cut): void {
  if (socket.destroyed) return;
  if (how === 'drop' && !socket.connecting) {
    socket.end();
    // The kernel makes an RST of a close with bytes unread, so read they are.
    socket.removeAllListeners('data').resume();
    setTimer(() => socket.destroy(), LINGER).unref();
  } else if (how === 'drop' || socket.writableEnded || socket.remotePort === undefined) {
    // Neither after a FIN nor on a Unix socket is there an RST to be had.
    socket.destroy();
  } else {
    socket.resetAndDestroy();
  }
}

/** Cuts a session as `flap()` says; `raw` is what its socket stands on. */
export function cutAfter(socket: Socket, raw: Socket, { after = 0, how = 'drop' }: FlapOptions): void {
  const cut = () => {
    if (how === 'drop') socket.end();
    else cutSocket(raw, 'reset');
  };
  if (after === 0) cut();
  else socket.on('close', clearTimer.bind(undefined, setTimer(cut, after)));
}

/** What a client does to its socket is for the test to judge. */
export function ignore(): void {
  // The `close` that follows says enough.
}
