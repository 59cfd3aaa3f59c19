import type { Socket } from 'node:net';
import { createRequire } from 'node:module';

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
      const twice = socket.eventNames().filter((event) => {
        const listeners = socket.listeners(event);
        return new Set(listeners).size < listeners.length;
      });
      return [
        ...(socket.destroyed ? [] : ['a socket is not destroyed']),
        ...(isHeard(socket) ? ['a socket that is gone is still heard'] : []),
        ...(socket.listenerCount('readable') > 0 ? ['a socket has a listener of readable'] : []),
        ...twice.map((event) => `a socket has a listener of ${String(event)} twice`),
      ];
    });
  }
}

/** Whether its listeners still have someone to tell, or none can be found: nobody is a plain object. */
function isHeard(socket: Socket): boolean {
  const ear = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'ear');
  return ear === undefined || Object.getPrototypeOf(socket[ear as never]) !== Object.prototype;
}
