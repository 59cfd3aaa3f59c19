import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import type * as Library from 'reconnecting-connection';
import type { CommonOptions, ReconnectingConnection } from 'reconnecting-connection';

import type { Connector, Handlers, Wait } from './endpoint';

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

/** Connections without a pool. */
export function ours(library: typeof Library, options: CommonOptions): Connector {
  return (address, handlers, wait) => {
    const settings = { ...address, ...options, ...waiting(library, wait) };
    const onOpen = opener(handlers);
    return () => {
      const connection = new library.ReconnectingConnection(settings);
      connection.on('open', onOpen).on('data', handlers.onData);
      if (handlers.onDrain !== undefined) connection.on('drain', handlers.onDrain);
      if (handlers.onWait !== undefined) connection.on('backoff', handlers.onWait);
    };
  };
}

/** The same in a pool, which emits the events of all of them. */
export function pooled(library: typeof Library, options: CommonOptions): Connector {
  return (address, handlers, wait) => {
    const pool = new library.ConnectionPool({ ...options, ...waiting(library, wait) });
    pool.on('open', (_info, _tag, connection) => handlers.onOpen(connection)).on('data', handlers.onData);
    if (handlers.onDrain !== undefined) pool.on('drain', handlers.onDrain);
    if (handlers.onWait !== undefined) pool.on('backoff', handlers.onWait);
    return () => void pool.add(address);
  };
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
