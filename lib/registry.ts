import { ReconnectingConnection } from './connection';
import type { EventObserver } from './events/delivery-queue';
import { ConnectionError, fromCaller, invalidOption } from './errors';
import type { CommonOptions, ConnectionOptions, MemberOptions } from './options/options';
import { resolveOptions } from './options/settings';
import { tagOf } from './options/target';
import { checkArguments } from './options/url';
import { type PoolOptions, ConnectionPool } from './pool/pool';

/**
 * Connections that can be looked up by their tag, and pools by their name.
 *
 * @example
 * ```ts
 * const registry = new ConnectionRegistry();
 * registry.connect({ port: 6379 }).on('data', (chunk) => console.log(chunk.toString()));
 * registry.getConnection('127.0.0.1:6379')?.write('Hello');
 * await registry.disconnectAll();
 * ```
 */
export class ConnectionRegistry {
  readonly #connections = new Set<ReconnectingConnection>();
  readonly #pools = new Map<string, ConnectionPool>();
  readonly #observer: EventObserver<ReconnectingConnection> = {
    observe: (connection, event, [next, previous]) => {
      if (event !== 'state') return;
      if (next === 'closed') this.#connections.delete(connection);
      if (previous === 'closed') this.#connections.add(connection);
    },
    hasListeners: () => false,
  };

  /**
   * Creates a connection that can be looked up until it closes, and again when it is restarted.
   *
   * @param target - Options, or a URL and options, as for `new ReconnectingConnection`.
   * @throws ConnectionError `ERR_DUPLICATE_TARGET` while a connection that has not closed has the tag;
   *   `ERR_INVALID_OPTION`
   */
  connect<Message = unknown>(
    target: ConnectionOptions | string,
    options?: CommonOptions,
  ): ReconnectingConnection<Message> {
    return fromCaller([this, 'connect'], () => this.#connect(checkArguments(target, options)));
  }

  #connect<Message>(options: MemberOptions): ReconnectingConnection<Message> {
    const resolved = resolveOptions(options);
    const { target } = resolved;
    const tag = target && tagOf(target);
    if (tag !== undefined && this.getConnection(tag) !== undefined) {
      throw new ConnectionError('ERR_DUPLICATE_TARGET', `There is a connection to ${tag} already`, { tag });
    }
    const connection = new ReconnectingConnection<Message>(undefined, { observer: this.#observer, resolved });
    this.#connections.add(connection);
    return connection;
  }

  /** The connection to a port of `host`, if there is one that has not closed. Default host: `'127.0.0.1'`. */
  getConnection<Message = unknown>(port: number, host?: string): ReconnectingConnection<Message> | undefined;
  /** The connection with a tag (`host:port`, `[v6]:port` or `unix:/path`), if there is one that has not closed. */
  getConnection<Message = unknown>(tag: string): ReconnectingConnection<Message> | undefined;
  getConnection(portOrTag: number | string, host?: string): ReconnectingConnection | undefined {
    const tag =
      typeof portOrTag === 'string' ? portOrTag : tagOf({ port: portOrTag, ...(host !== undefined && { host }) });
    for (const connection of this.#connections) {
      // A connection that has closed while an event is being delivered is removed only when its `state` is delivered.
      if (connection.tag === tag && connection.state !== 'closed') return connection;
    }
    return undefined;
  }

  /**
   * Creates an empty pool that can be looked up.
   *
   * @throws ConnectionError `ERR_DUPLICATE_TARGET` when there is a pool of that name; `ERR_INVALID_OPTION`
   */
  createPool<Message = unknown>(name: string, options: PoolOptions<Message> = {}): ConnectionPool<Message> {
    return fromCaller([this, 'createPool'], () => this.#createPool(name, options));
  }

  #createPool<Message>(name: string, options: PoolOptions<Message>): ConnectionPool<Message> {
    if (typeof name !== 'string' || name === '') throw invalidOption('the name of a pool', 'a string', name);
    if (this.#pools.has(name)) {
      throw new ConnectionError('ERR_DUPLICATE_TARGET', `There is a pool called ${JSON.stringify(name)} already`);
    }
    const pool = new ConnectionPool<Message>(options);
    this.#pools.set(name, pool);
    return pool;
  }

  /** The pool with this name. */
  getPool<Message = unknown>(name: string): ConnectionPool<Message> | undefined {
    return this.#pools.get(name);
  }

  /** Disconnects all connections and all members of the pools. The pools stay, empty. */
  async disconnectAll(): Promise<void> {
    await Promise.all([
      ...[...this.#connections].map((connection) => connection.disconnect()),
      ...[...this.#pools.values()].map((pool) => pool.disconnect()),
    ]);
  }
}

/** The default registry: one per process, also when the library is loaded as CommonJS and as ES module. */
export const registry: ConnectionRegistry = new ConnectionRegistry();
