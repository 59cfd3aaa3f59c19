import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import type * as Library from 'reconnecting-connection';
import type { ConnectionOptions, ReconnectingConnection } from 'reconnecting-connection';

import type { Connector, Ears, Wait } from './endpoint';

/** Where a directory may hold the library: compiled for the tests, or built. */
const ENTRIES = ['lib/index.js', 'index.js', 'dist/index.js'];

/** The library as it is in a directory. */
export function libraryIn(directory: string): string {
  const found = ENTRIES.map((entry) => resolve(directory, entry)).find(existsSync);
  if (found !== undefined) return found;
  throw new Error(`There is no library in ${directory}: expected ${ENTRIES.join(', ')}`);
}

export function loadLibrary(directory: string): typeof Library {
  // `as`: it is this library, whatever its version.
  return createRequire(join(__dirname, 'ours.js'))(libraryIn(directory)) as typeof Library;
}

/** The library's connections, each on its own. */
export function ours(library: typeof Library, options: ConnectionOptions): Connector {
  return (place, ears, wait) => {
    const settings = { ...place, ...options, ...waiting(library, wait) };
    const onOpen = opener(ears);
    return () => {
      const connection = new library.ReconnectingConnection(settings);
      connection.on('open', onOpen).on('data', ears.onData);
      if (ears.onDrain !== undefined) connection.on('drain', ears.onDrain);
      if (ears.onWait !== undefined) connection.on('backoff', ears.onWait);
    };
  };
}

/** The same in a pool, which hears for all of them. */
export function pooled(library: typeof Library, options: ConnectionOptions): Connector {
  return (place, ears, wait) => {
    const pool = new library.ConnectionPool({ ...options, ...waiting(library, wait) });
    pool.on('open', (_info, _tag, connection) => ears.onOpen(connection)).on('data', ears.onData);
    if (ears.onDrain !== undefined) pool.on('drain', ears.onDrain);
    if (ears.onWait !== undefined) pool.on('backoff', ears.onWait);
    return () => void pool.add(place);
  };
}

function opener(ears: Ears): () => void {
  return function (this: ReconnectingConnection): void {
    ears.onOpen(this);
  };
}

function waiting({ constantBackoff }: typeof Library, wait: Wait): ConnectionOptions {
  if (wait === 'default') return {};
  const { first, then } = wait;
  return { backoff: first === then ? constantBackoff(first) : ({ attempt }) => (attempt === 1 ? first : then) };
}
