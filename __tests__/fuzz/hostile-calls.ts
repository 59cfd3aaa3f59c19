import { ConnectionError, type ReconnectingConnection } from '../../lib/index';

// `as` in this file: whether the value is what the method takes is the question.

/** Every method that takes arguments, each with a value in every place of theirs. */
const calls: readonly ((connection: ReconnectingConnection, value: unknown) => unknown)[] = [
  (connection, value) => connection.write(value as string),
  (connection, value) => connection.write([value as string, 'x', value as string]),
  // A function here is a callback, and what that throws is uncaught, as it should be.
  (connection, value) => typeof value !== 'function' && connection.write('00', value as 'hex'),
  (connection, value) => typeof value !== 'function' && connection.write('00', 'hex', value as () => void),
  (connection, value) => connection.write('00', { encoding: value as 'hex' }),
  (connection, value) => connection.write('x', { signal: value as AbortSignal }),
  (connection, value) => connection.write('x', { maxAge: value as number }),
  (connection, value) => connection.write('x', { key: value as string }),
  (connection, value) => connection.write('x', { priority: value as 'urgent' }),
  (connection, value) => connection.write('x', { [typeof value]: value } as object),
  (connection) => connection.clearQueue(),
  (connection, value) => connection.reconnect({ delay: value as number }),
  (connection, value) => connection.reconnect(value as { delay: number }),
  (connection, value) => connection.fail(value),
];

/** Calls them all. Each does its work, or throws `ERR_INVALID_OPTION` or `ERR_INVALID_CHUNK`. */
export function callWith(connection: ReconnectingConnection, value: unknown): void {
  for (const call of calls) {
    try {
      call(connection, value);
    } catch (error) {
      const isRefusal = error instanceof ConnectionError && /^ERR_INVALID_(?:OPTION|CHUNK)$/.test(error.code);
      if (!isRefusal) throw new Error(`${String(call)} threw`, { cause: error });
    }
  }
}
