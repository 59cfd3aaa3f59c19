import type { NetConnectOpts, Socket } from 'node:net';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { Sessions } from './sessions';
import { firstWait } from './waits';

type ReconnectingSocket = Socket & { reconnect(): void; stopReconnect(): void; startReconnect(): void };

type ReconnectOptions = NetConnectOpts & {
  readonly reconnectInterval: number;
  readonly reconnectTimes: number;
  readonly reconnectOnCreate: boolean;
  readonly reconnectOnTimeout: boolean;
};

type Library = (options: ReconnectOptions) => ReconnectingSocket;

class NetSocketReconnect extends Sessions {
  readonly #socket: ReconnectingSocket;

  constructor(reconnect: Library, options: ClientOptions) {
    super();
    const { port = 0, host = '127.0.0.1', path, socket, maxRetries = Infinity, heartbeat } = options;
    this.#socket = reconnect({
      ...(path === undefined ? { ...socket, port, host } : { path }),
      reconnectInterval: firstWait(options),
      reconnectTimes: maxRetries,
      reconnectOnCreate: true,
      reconnectOnTimeout: heartbeat !== undefined,
      ...(heartbeat && { timeout: heartbeat.interval + (heartbeat.timeout ?? heartbeat.interval) }),
    });
    this.#socket.on('connect', () => this.onConnect());
    this.#socket.on('data', (chunk) => this.emit('data', chunk));
    this.#socket.on('close', () => this.onClose());
    this.#socket.on('reconnectFailed', () => this.emit('close'));
    this.#socket.on('error', () => {});
    // Its `reconnectTimes` knows no 0, but it can be told so.
    if (maxRetries === 0) {
      this.leave(true);
      this.#socket.stopReconnect();
    }
  }

  get state(): string {
    return this.#socket.readyState;
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    return this.#socket.write(chunk, callback);
  }

  disconnect(): Promise<void> {
    this.leave(this.#socket.readyState !== 'closed');
    this.#socket.stopReconnect();
    // It is Node's socket in all else, and this ends one whatever its state.
    this.#socket.destroy();
    return Promise.resolve();
  }

  connect(): void {
    this.come();
    this.#socket.startReconnect();
  }

  reconnect(): void {
    this.#socket.reconnect();
  }

  unref(): void {
    this.#socket.unref();
  }
}

export function netSocketReconnect(): Adapter {
  const { version, load } = peer('net-socket-reconnect');
  return {
    name: 'net-socket-reconnect',
    version,
    features: new Set([
      'bytes',
      'backoff options',
      'max retries',
      'unix',
      'lookup',
      'socket options',
      'restart',
      'reconnect',
      'queue',
      'write callback',
      'liveness',
      'unref',
    ]),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new NetSocketReconnect(load() as Library, options),
  };
}
