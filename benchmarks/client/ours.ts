import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import type * as Library from 'reconnecting-connection';
import type { CommonOptions, ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';

import { type Connector, type Handlers, type Own, type Wait, addressOf, ignore } from './endpoint';

/** Where a directory may have the library: compiled for the tests, or built. */
const ENTRIES = ['lib/index.js', 'index.js', 'dist/index.js'];

/** The path of the library in a directory. */
export function libraryIn(directory: string): string {
  const found = ENTRIES.map((entry) => resolve(directory, entry)).find(existsSync);
  if (found !== undefined) return found;
  throw new Error(`There is no library in ${directory}: expected ${ENTRIES.join(', ')}`);
}

export function loadLibrary(directory: string): typeof Library {
  // `as`: it is this library, whatever its version.
  return createRequire(join(__dirname, 'ours.js'))(libraryIn(directory)) as typeof Library;
}

/** Connections without a pool, with the listeners of a bare socket that is dialled again. */
export function ours(library: typeof Library, options: CommonOptions, own: Own): Connector {
  return (address, handlers, wait) => {
    const common = { ...options, ...waiting(library, wait) };
    const shared = { ...address, ...common };
    const { onData, onDrain, onWait = ignore } = handlers;
    const onOpen = opener(handlers);
    let index = 0;
    return () => {
      // As users write it: with an object of options inside.
      const each = own.target
        ? { ...addressOf(address, index++), ...common }
        : own.options
          ? { ...shared, queue: { maxBytes: 1_048_576 } }
          : shared;
      const connection = new library.ReconnectingConnection(each);
      if (own.listeners) {
        connection.on('open', () => handlers.onOpen(connection)).on('data', (chunk) => onData(chunk));
        connection.on('reset', () => ignore()).on('backoff', () => onWait());
      } else {
        connection.on('open', onOpen).on('data', onData).on('reset', ignore).on('backoff', onWait);
      }
      if (onDrain !== undefined) connection.on('drain', onDrain);
    };
  };
}

/** The same in a pool, which emits the events of all of them: one for all addresses, with the handlers of the first. */
export function pooled(library: typeof Library, options: CommonOptions, own: Own): Connector {
  let pool: ConnectionPool | undefined;
  return (address, handlers, wait) => {
    const members = (pool ??= poolOf(library, { ...options, ...waiting(library, wait) }, handlers));
    let index = 0;
    return () => void members.add(own.target ? addressOf(address, index++) : address);
  };
}

function poolOf(library: typeof Library, options: CommonOptions, handlers: Handlers): ConnectionPool {
  const { onData, onDrain, onWait = ignore } = handlers;
  const pool = new library.ConnectionPool(options);
  pool.on('open', (_info, _tag, connection) => handlers.onOpen(connection));
  pool.on('data', onData).on('reset', ignore).on('backoff', onWait);
  if (onDrain !== undefined) pool.on('drain', onDrain);
  return pool;
}

function opener(handlers: Handlers): () => void {
  return function (this: ReconnectingConnection): void {
    handlers.onOpen(this);
  };
}

function waiting({ constantBackoff }: typeof Library, wait: Wait): CommonOptions {
  if (wait === 'default') return {};
  const { first, then } = wait;
  return { backoff: first === then ? constantBackoff(first) : ({ attempt }) => (attempt === 1 ? first : then) };
}
