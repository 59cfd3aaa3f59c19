import type { Duplex, Transform } from 'node:stream';

import { ignoreRejection, invalidOption } from '../errors';

/** Throws unless `value`, which a function of the application's returned, is a stream. */
export function checkStream<T extends Duplex>(value: T, name: string): T {
  // By its members: a stream of another realm, or of a package of its own, is as good as Node's.
  const stream = value as Partial<T> | null | undefined;
  if (typeof stream?.on === 'function' && typeof stream.write === 'function' && typeof stream.destroy === 'function') {
    return value;
  }
  ignoreRejection(value);
  throw invalidOption(name, 'a stream', value);
}

/** Throws unless `decoder` is a stream that nobody has used yet. */
export function checkDecoder(decoder: Transform): Transform {
  checkStream(decoder, 'what `decoder` returns');
  if (decoder.writable && decoder.readable) return decoder;
  throw invalidOption('what `decoder` returns', 'a stream that is not used up', decoder);
}
