import { type Observer, ReconnectingConnection } from './connection';
import { ConnectionError, invalidOption } from './errors';
import type { ConnectionOptions } from './options/options';
import { ConnectionPool, type PoolOptions } from './pool/pool';
import { checkOptions, resolveOptions } from './options/settings';
import { tagOf } from './options/target';

/**
 * Connections and pools that can be looked up: single connections by their tag, pools by their name.
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
  readonly #observe: Observer = (connection, event, [next, previous]) => {
    if (event !== 'state') return;
    if (next === 'closed') this.#connections.delete(connection);
    if (previous === 'closed') this.#connections.add(connection);
  };

  /**
   * Makes a connection that can be looked up until it closes; if it is started again, it is there again.
   *
   * @throws ConnectionError `ERR_DUPLICATE_TARGET` while a live connection holds the tag; `ERR_INVALID_OPTION`
   */
  connect<Message = unknown>(options: ConnectionOptions): ReconnectingConnection<Message> {
    // Checked once: what comes of it passes again as it is, with its key material parsed.
    const checked = checkOptions(options);
    const { target } = resolveOptions(checked);
    const tag = target && tagOf(target);
    if (tag !== undefined && this.getConnection(tag) !== undefined) {
      throw new ConnectionError('ERR_DUPLICATE_TARGET', `There is a connection to ${tag} already`, { tag });
    }
    const connection = new ReconnectingConnection<Message>(checked, { observe: this.#observe });
    // `as`: the caller of `getConnection` names the type of the messages again.
    this.#connections.add(connection);
    return connection;
  }

  /** The live connection to a port, by default of `'127.0.0.1'`, or with a tag. */
  getConnection<Message = unknown>(port: number, host?: string): ReconnectingConnection<Message> | undefined;
  /** The same, by its tag: `host:port`, `[v6]:port` or `unix:/path`. */
  getConnection<Message = unknown>(tag: string): ReconnectingConnection<Message> | undefined;
  getConnection(portOrTag: number | string, host?: string): ReconnectingConnection | undefined {
    const tag =
      typeof portOrTag === 'string' ? portOrTag : tagOf({ port: portOrTag, ...(host !== undefined && { host }) });
    for (const connection of this.#connections) {
      // One that closed within an event that is still being delivered has not left yet.
      if (connection.tag === tag && connection.state !== 'closed') return connection;
    }
    return undefined;
  }

  /**
   * Makes an empty pool that can be looked up.
   *
   * @throws ConnectionError `ERR_DUPLICATE_TARGET` when the name is taken; `ERR_INVALID_OPTION`
   */
  createPool<Message = unknown>(name: string, options: PoolOptions<Message> = {}): ConnectionPool<Message> {
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

  /** Disconnects everything: the connections, and the members of the pools. The pools stay, empty. */
  async disconnectAll(): Promise<void> {
    await Promise.all([
      ...[...this.#connections].map((connection) => connection.disconnect()),
      ...[...this.#pools.values()].map((pool) => pool.disconnect()),
    ]);
  }
}

/** A registry that is ready for use: one a process, in whichever module format it is loaded. */
export const registry: ConnectionRegistry = new ConnectionRegistry();
