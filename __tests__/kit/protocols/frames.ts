import { once } from 'node:events';
import { type Duplex, Transform } from 'node:stream';

import type { ReconnectingConnection } from 'reconnecting-connection';

import { payload } from '../connections';

// What the client of any protocol is made of.

/** The frame at the start of `bytes`, and how long it is; undefined while it is not complete. */
export type Parse<Frame> = (bytes: Buffer) => readonly [frame: Frame, length: number] | undefined;

/** Frames as a connection's messages. */
export function decoderOf<Frame>(parse: Parse<Frame>): () => Transform {
  return () => {
    let rest: Buffer = Buffer.alloc(0);
    return new Transform({
      readableObjectMode: true,
      transform(chunk: Buffer, _encoding, done) {
        rest = Buffer.concat([rest, chunk]);
        for (let found = parse(rest); found !== undefined; found = parse(rest)) {
          this.push(found[0]);
          rest = rest.subarray(found[1]);
        }
        done();
      },
    });
  };
}

/** Reads one frame in a handshake, and leaves what follows it. */
export async function read<Frame>(socket: Duplex, parse: Parse<Frame>, signal: AbortSignal): Promise<Frame> {
  let received: Buffer = Buffer.alloc(0);
  for (;;) {
    // `as`: a socket's data are buffers.
    const [chunk] = (await once(socket, 'data', { signal })) as [Buffer];
    received = Buffer.concat([received, chunk]);
    const found = parse(received);
    if (found === undefined) continue;
    if (received.length > found[1]) socket.unshift(received.subarray(found[1]));
    return found[0];
  }
}

/** The first message that `holds`, once `ask` was written. */
export async function answer<Frame>(
  connection: ReconnectingConnection<Frame>,
  ask: string | Buffer,
  holds: (frame: Frame) => boolean,
): Promise<Frame> {
  const told = payload(connection, 'message', holds);
  connection.write(ask);
  return told;
}
