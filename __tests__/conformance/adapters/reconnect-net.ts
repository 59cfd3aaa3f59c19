import type { EventEmitter } from 'node:events';
import type { NetConnectOpts, Socket } from 'node:net';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { Sessions } from './sessions';
import { firstWait, longestWait } from './waits';

interface Reconnecting extends EventEmitter {
  readonly connected: boolean;
  reconnect: boolean;
  connect(options?: NetConnectOpts): Reconnecting;
  disconnect(): Reconnecting;
}

interface ReconnectOptions {
  readonly type: 'exponential';
  readonly initialDelay: number;
  readonly maxDelay: number;
  readonly factor: number;
  readonly failAfter: number;
}

type Reconnect = (options: ReconnectOptions, onConnect: (stream: Socket) => void) => Reconnecting;

class ReconnectNet extends Sessions {
  readonly #connection: Reconnecting;
  #stream: Socket | undefined;
  /** Between the start of a dial and the end of what became of it. */
  #busy = false;

  constructor(reconnect: Reconnect, options: ClientOptions) {
    super();
    const { backoff, maxRetries = Infinity, port = 0, host = '127.0.0.1', path, socket } = options;
    const initialDelay = firstWait(options);
    const maxDelay = longestWait(options);
    const waits = {
      type: 'exponential',
      initialDelay,
      // It wants this to be more.
      maxDelay: maxDelay > initialDelay ? maxDelay : initialDelay + 1,
      factor: typeof backoff === 'object' ? (backoff.multiplier ?? 2) : 2,
      failAfter: maxRetries,
    } as const;
    this.#connection = reconnect(waits, (stream) => {
      this.#stream = stream;
      stream.on('data', (chunk) => this.emit('data', chunk));
      this.onConnect();
    });
    this.#connection.on('reconnect', () => (this.#busy = true));
    this.#connection.on('disconnect', () => {
      this.#busy = false;
      this.onClose();
    });
    this.#connection.on('backoff', (attempt: number, delay: number, error?: Error) =>
      this.emit('backoff', { attempt, delay, error }),
    );
    this.#connection.on('fail', () => this.emit('close'));
    this.#connection.on('error', () => {});
    this.#connection.connect(path === undefined ? { ...socket, port, host } : { path });
    // Its `failAfter` knows no 0, but it can be told so.
    if (maxRetries === 0) {
      this.leave(true);
      this.#connection.reconnect = false;
    }
  }

  get state(): string {
    return this.#connection.connected ? 'open' : 'closed';
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    if (this.#stream !== undefined) return this.#stream.write(chunk, callback);
    callback?.(new Error('there has been no stream'));
    return false;
  }

  disconnect(): Promise<void> {
    this.leave(this.#busy);
    this.#connection.disconnect();
    return Promise.resolve();
  }

  connect(): void {
    this.come();
    this.#connection.connect();
  }
}

export function reconnectNet(): Adapter {
  const { version, load } = peer('reconnect-net');
  return {
    name: 'reconnect-net',
    version,
    features: new Set([
      'bytes',
      'backoff options',
      'backoff event',
      'max retries',
      'unix',
      'lookup',
      'socket options',
      'restart',
      'write callback',
    ]),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new ReconnectNet(load() as Reconnect, options),
  };
}
