import type { Socket } from 'node:net';

import { load } from '../project';
import type { Connector } from './endpoint';

interface ConnmanConnection {
  backoff: number;
}

interface ConnmanPool {
  /** Its declaration swaps the names of the last two, but it calls them in this order. */
  addConnection(
    port: number,
    host: string,
    onOpen: (socket: Socket) => void,
    onData: (chunk: Buffer) => void,
    onReset: (this: ConnmanConnection) => void,
  ): void;
}

interface Connman {
  createPool(name: string): ConnmanPool;
}

/** It doubles its wait before each use, and sets it to 50 ms when a session opens. */
export const connman: Connector = ({ port, host }, handlers, wait) => {
  // `as`: the package has no types.
  const pool = (load('connman') as Connman).createPool('benchmark');
  const onOpen = (socket: Socket) => {
    socket.setNoDelay();
    handlers.onOpen(socket);
  };
  function onReset(this: ConnmanConnection): void {
    if (wait !== 'default') this.backoff = (this.backoff === 50 ? wait.first : wait.then) / 2;
    handlers.onWait?.();
  }
  return () => pool.addConnection(port, host, onOpen, handlers.onData, onReset);
};
