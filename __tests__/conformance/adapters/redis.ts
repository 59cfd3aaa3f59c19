import type { EventEmitter } from 'node:events';

import type { Adapter, ClientOptions } from '../adapter';
import { peer } from './peer';
import { speakRedis } from './redis-server';
import { Sessions } from './sessions';
import { waits } from './waits';

interface RedisClient extends EventEmitter {
  readonly isReady: boolean;
  readonly isOpen: boolean;
  connect(): Promise<unknown>;
  destroy(): void;
  unref(): void;
}

interface Library {
  createClient(options: {
    /** Beside its own, the options of `net.connect` and `tls.connect`. */
    socket: Record<string, unknown> & { reconnectStrategy(retries: number, cause: Error): number | false };
    pingInterval?: number;
    maintNotifications: 'disabled';
  }): RedisClient;
}

class NodeRedis extends Sessions {
  readonly #redis: RedisClient;

  constructor({ createClient }: Library, options: ClientOptions) {
    super();
    const { port, host = '127.0.0.1', path, tls, socket, connectTimeout, heartbeat } = options;
    const wait = waits(options);
    this.#redis = createClient({
      socket: {
        ...(path === undefined ? { ...socket, host, port } : { path }),
        ...(tls && { ...(tls === true ? {} : tls), tls: true }),
        // It knows no 0: undefined is for none.
        ...('connectTimeout' in options && { connectTimeout: connectTimeout === 0 ? undefined : connectTimeout }),
        ...(heartbeat && { socketTimeout: heartbeat.interval + (heartbeat.timeout ?? heartbeat.interval) }),
        reconnectStrategy: (retries, cause) => wait(retries + 1, cause) ?? false,
      },
      ...(heartbeat && { pingInterval: heartbeat.interval }),
      // A matter of Redis Enterprise, for which it looks names up by itself, past the `lookup` it was given.
      maintNotifications: 'disabled',
    });
    this.#redis.on('ready', () => this.onConnect());
    // A lost session is an error; an error with a session that is still ready is none.
    this.#redis.on('error', () => {
      if (!this.#redis.isReady) this.onClose();
    });
    this.#redis.on('terminated', () => this.#end());
    this.#redis.on('end', () => this.#end());
    this.connect();
  }

  get state(): string {
    if (this.#redis.isReady) return 'open';
    return this.#redis.isOpen ? 'connecting' : 'closed';
  }

  write(): never {
    throw new Error('redis sends commands, not bytes');
  }

  disconnect(): Promise<void> {
    this.#redis.destroy();
    return Promise.resolve();
  }

  connect(): void {
    // Whoever calls it has to take the rejection.
    this.#redis.connect().catch(() => {});
  }

  unref(): void {
    this.#redis.unref();
  }

  #end(): void {
    this.onClose();
    this.emit('close');
  }
}

export function redis(): Adapter {
  const { version, load } = peer('redis');
  return {
    name: 'redis',
    version,
    features: new Set([
      'backoff options',
      'backoff function',
      'max retries',
      'connect timeout',
      'unix',
      'tls',
      'lookup',
      'socket options',
      'restart',
      'liveness',
      'unref',
    ]),
    sound: ['C1', 'C2', 'C39'],
    // `as`: its interface as declared above.
    create: (options) => new NodeRedis(load() as Library, options),
    serve: speakRedis,
  };
}
