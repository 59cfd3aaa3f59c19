import type { EventEmitter } from 'node:events';
import type { NetConnectOpts, Socket } from 'node:net';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { Sessions } from './sessions';
import { firstWait, longestWait } from './waits';

interface DurableConnection extends EventEmitter {
  /** Null while it waits. */
  readonly socket: Socket | null;
  reconnectMillis: number;
  maxReconnectMillis: number;
  log: () => void;
  connect(): void;
  close(): void;
}

type Library = new (options: NetConnectOpts) => DurableConnection;

class NetReconnect extends Sessions {
  readonly #connection: DurableConnection;

  constructor(Durable: Library, options: ClientOptions) {
    super();
    const { port = 0, host = '127.0.0.1', path, socket } = options;
    this.#connection = new Durable(path === undefined ? { ...socket, port, host } : { path });
    this.#connection.reconnectMillis = firstWait(options);
    this.#connection.maxReconnectMillis = longestWait(options);
    this.#connection.log = () => {};
    this.#connection.on('connect', () => this.onConnect());
    this.#connection.on('data', (chunk) => this.emit('data', chunk));
    this.#connection.on('close', () => this.onClose());
    this.#connection.on('error', () => {});
    this.#connection.connect();
  }

  get state(): string {
    return this.#connection.socket?.readyState ?? 'closed';
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    if (this.#connection.socket !== null) return this.#connection.socket.write(chunk, callback);
    callback?.(new Error('there is no socket'));
    return false;
  }

  disconnect(): Promise<void> {
    this.leave(this.#connection.socket !== null);
    this.#connection.close();
    return Promise.resolve();
  }
}

export function netReconnect(): Adapter {
  const { version, load } = peer('net-reconnect');
  return {
    name: 'net-reconnect',
    version,
    features: new Set(['bytes', 'backoff options', 'unix', 'lookup', 'socket options', 'write callback']),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new NetReconnect(load() as Library, options),
  };
}
