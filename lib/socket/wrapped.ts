import type { Duplex } from 'node:stream';

/**
 * Whether TLS was laid over this stream, by the option `socket` of Node's or as a `TLSSocket`. What is then written to
 * the stream itself goes out as plain text, in the middle of the TLS records.
 *
 * Node does not say so, and shows it in two ways. A socket has a handle, whose `reading` becomes an accessor of the TLS
 * socket's: https://github.com/nodejs/node/blob/v20.20.2/lib/_tls_wrap.js (`defineHandleReading`). Any other stream gets
 * a `data` listener: https://github.com/nodejs/node/blob/v20.20.2/lib/internal/js_stream_socket.js (`ondata`).
 * Tested on Node 20, 22, 24 and 26 by `internals.test.ts`. If Node showed neither, a TLS layer that a handshake does not
 * return would not be noticed.
 */
export function isWrapped(stream: Duplex): boolean {
  // `as`: `_handle` is in no type.
  const { _handle: handle } = stream as { _handle?: unknown };
  if (typeof handle === 'object' && handle !== null) {
    return Object.getOwnPropertyDescriptor(handle, 'reading')?.get !== undefined;
  }
  return stream.listeners('data').some(isOfWrapper);
}

/** Node's listener throws this error for a stream of strings or objects. Other listeners have the same name. */
function isOfWrapper(listener: { readonly name: string }): boolean {
  return listener.name === 'ondata' && Function.prototype.toString.call(listener).includes('ERR_STREAM_WRAP');
}
