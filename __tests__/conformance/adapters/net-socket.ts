import type { NetConnectOpts, Socket } from 'node:net';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { Sessions } from './sessions';

interface NetSocket extends Pick<Socket, 'on' | 'write' | 'setNoDelay' | 'setKeepAlive' | 'unref'> {
  /** The one that it reconnects. */
  readonly socket: Socket;
  destroy(): void;
}

interface Library {
  connect(options: NetConnectOpts): NetSocket;
}

/** It is Node's socket in all but `destroy()`, which takes the listeners away: nothing is heard after it. */
class NetSocketClient extends Sessions {
  readonly #socket: NetSocket;

  constructor(library: Library, { port = 0, host = '127.0.0.1', path, socket = {} }: ClientOptions) {
    super();
    this.#socket = library.connect(path === undefined ? { ...socket, port, host } : { path });
    if (socket.noDelay !== undefined) this.#socket.setNoDelay(socket.noDelay);
    if (socket.keepAlive !== undefined) this.#socket.setKeepAlive(socket.keepAlive, socket.keepAliveInitialDelay);
    this.#socket.on('connect', () => this.onConnect());
    this.#socket.on('data', (chunk) => this.emit('data', chunk));
    this.#socket.on('close', () => this.onClose());
    this.#socket.on('error', () => {});
  }

  get state(): string {
    return this.#socket.socket.readyState;
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    return this.#socket.write(chunk, callback);
  }

  disconnect(): Promise<void> {
    this.#socket.destroy();
    this.leave(false);
    return Promise.resolve();
  }

  unref(): void {
    this.#socket.unref();
  }
}

export function netSocket(): Adapter {
  const { version, load } = peer('net-socket');
  return {
    name: 'net-socket',
    version,
    features: new Set(['bytes', 'unix', 'lookup', 'socket options', 'write callback', 'unref']),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new NetSocketClient(load() as Library, options),
  };
}
