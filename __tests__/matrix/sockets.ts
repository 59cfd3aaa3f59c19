import type { Socket } from 'node:net';
import { createRequire } from 'node:module';

/** The listeners a library may leave on a socket that it has done with: one, so that a late error is nobody's crash. */
const LEFT = 1;

const load = createRequire(__filename);
// `as`: the modules as the library's own JavaScript sees them, so that what is put in there is what it calls.
const net = load('node:net') as { connect: (...args: unknown[]) => Socket };
const tls = load('node:tls') as { connect: (...args: unknown[]) => Socket };

/** Remembers every socket that this process opens from now on. */
export class Sockets {
  readonly #opened: Socket[] = [];

  constructor() {
    for (const module of [net, tls]) {
      const { connect } = module;
      module.connect = (...args) => {
        const socket = connect(...args);
        this.#opened.push(socket);
        return socket;
      };
    }
  }

  /** What is wrong with the sockets opened up to now: all of them must be gone. Forgets them. */
  remains(): string[] {
    return this.#opened.splice(0).flatMap((socket) => {
      const errors = socket.listenerCount('error');
      const others = ['data', 'drain', 'secureConnect', 'readable'].filter((event) => socket.listenerCount(event) > 0);
      return [
        ...(socket.destroyed ? [] : ['a socket is not destroyed']),
        ...(ours(socket, 'error') > LEFT ? [`a socket has ${errors} listeners of error`] : []),
        // A TLS socket that never connected keeps one of Node's own.
        ...(!('encrypted' in socket) && ours(socket, 'close') > 0 ? ['a socket has a listener of close'] : []),
        ...(ours(socket, 'end') > 0 ? ['a socket has a listener of end'] : []),
        ...others.map((event) => `a socket has a listener of ${event}`),
      ];
    });
  }
}

/** The listeners of `event` that Node itself did not put there. */
function ours(socket: Socket, event: string): number {
  return socket.listeners(event).filter((listener) => !NODES_OWN.has(listener.name)).length;
}

/** Names of the listeners that Node puts on its sockets. */
const NODES_OWN = new Set(['onReadableStreamEnd', 'onConnectEnd', 'onSocketClose', 'onerror', 'onceWrapper']);
