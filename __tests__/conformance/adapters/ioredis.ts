import type { EventEmitter } from 'node:events';
import type { ConnectionOptions as TlsConnectOptions } from 'node:tls';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { speakRedis } from './redis-server';
import { Sessions } from './sessions';
import { waits } from './waits';

interface Redis extends EventEmitter {
  readonly status: string;
  connect(): Promise<void>;
  disconnect(reconnect?: boolean): void;
}

interface RedisOptions {
  host?: string;
  port?: number;
  path?: string;
  family?: number;
  tls?: TlsConnectOptions;
  connectTimeout?: number;
  noDelay?: boolean;
  keepAlive?: number;
  socketTimeout?: number;
  retryStrategy(times: number): number | undefined;
}

interface Library {
  readonly Redis: new (options: RedisOptions) => Redis;
}

class IoRedis extends Sessions {
  readonly #redis: Redis;

  constructor({ Redis }: Library, options: ClientOptions) {
    super();
    const { port, host = '127.0.0.1', path, tls, socket = {}, connectTimeout, heartbeat } = options;
    const wait = waits(options);
    this.#redis = new Redis({
      ...(path === undefined ? { host, ...(port !== undefined && { port }) } : { path }),
      ...(socket.family !== undefined && { family: socket.family }),
      ...(tls && { tls: tls === true ? {} : tls }),
      ...(connectTimeout !== undefined && { connectTimeout }),
      ...(socket.noDelay !== undefined && { noDelay: socket.noDelay }),
      ...(socket.keepAlive !== false && { keepAlive: socket.keepAliveInitialDelay ?? 30_000 }),
      // Its only word on silent peers: how long data may fail to come.
      ...(heartbeat && { socketTimeout: heartbeat.interval + (heartbeat.timeout ?? heartbeat.interval) }),
      retryStrategy: (times) => wait(times),
    });
    this.#redis.on('ready', () => this.onConnect());
    this.#redis.on('close', () => this.onClose());
    this.#redis.on('reconnecting', (delay: number) => this.emit('backoff', { delay }));
    this.#redis.on('end', () => this.emit('close'));
    this.#redis.on('error', () => {});
  }

  get state(): string {
    return this.#redis.status === 'ready' ? 'open' : this.#redis.status;
  }

  write(): never {
    throw new Error('ioredis sends commands, not bytes');
  }

  disconnect(): Promise<void> {
    this.#redis.disconnect();
    return Promise.resolve();
  }

  connect(): void {
    // Whoever calls it has to take the rejection.
    this.#redis.connect().catch(() => {});
  }

  reconnect(): void {
    this.#redis.disconnect(true);
  }
}

export function ioredis(): Adapter {
  const { version, load } = peer('ioredis');
  return {
    name: 'ioredis',
    version,
    features: new Set([
      'backoff options',
      'backoff function',
      'backoff event',
      'max retries',
      'connect timeout',
      'unix',
      'tls',
      'socket options',
      'restart',
      'reconnect',
      'liveness',
    ]),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new IoRedis(load() as Library, options),
    serve: speakRedis,
  };
}
