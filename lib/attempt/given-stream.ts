import type { Duplex } from 'node:stream';

import { invalidOption } from '../errors';
import { type Transport, checkStream, clearHandler, destroyTransport, isTaken } from '../socket/transport';

// What an attempt asks of the streams that `dial`, `beforeTls` and `handshake` return or are given.

/** Takes the stream that `dial` has returned or promised, which is a new one. */
export async function takeDialled(answer: Duplex | Promise<Duplex>): Promise<Transport> {
  const name = 'what `dial` returns';
  const stream = checkStream<Transport>(await answer, name);
  if (isTaken(stream)) throw invalidOption(name, 'a new stream, and not one that a connection has had', stream);
  take(stream);
  return stream;
}

/** Takes a stream of the application's: it may fail from now on, and no byte of it gets lost. */
export function take(stream: Transport): void {
  clearHandler(stream);
  // It flows on after `await once(stream, 'data')`, say, and what it then emits is lost.
  if (stream.readableFlowing === true && stream.listenerCount('data') === 0) stream.pause();
}

/** Throws if bytes wait in a stream over which TLS is to be laid. The server says nothing more in clear by then. */
export function checkUnread(stream: Transport): void {
  const { readableLength } = stream;
  if (readableLength === 0) return;
  throw new Error(`${readableLength} bytes were unread when TLS was to begin: they came in clear, perhaps injected`);
}

/** `tls` is set, and the session would be neither TLS nor on top of it. */
export function unencrypted(): Error {
  return new Error(
    'What `handshake` resolves with is neither a TLS socket nor a stream that reads the one it was given',
  );
}

/** Destroys a stream that was taken for an attempt that is over. */
export function discard(stream: Transport | undefined): void {
  if (stream === undefined) return;
  clearHandler(stream);
  destroyTransport(stream);
}
