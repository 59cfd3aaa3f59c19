import type { Duplex } from 'node:stream';

/**
 * Runs `handshake` on a stream and sees to it that no byte is lost on the way. A stream that has begun to flow goes on
 * flowing when its last `data` listener leaves, and what it then emits nobody hears: so `await once(socket, 'data')`
 * would lose whatever follows that chunk. Here the stream stands still whenever nobody listens.
 */
export async function runHandshake(stream: Duplex, handshake: () => Promise<void> | void): Promise<void> {
  let stopped = false;
  const onRemoved = (event: string | symbol) => {
    if (event !== 'data' || stream.listenerCount('data') > 0 || stream.readableFlowing !== true) return;
    stopped = true;
    stream.pause();
  };
  const onAdded = (event: string | symbol) => {
    if (event !== 'data' || !stopped) return;
    stopped = false;
    stream.resume();
  };
  stream.on('removeListener', onRemoved).on('newListener', onAdded);
  try {
    await handshake();
  } finally {
    stream.off('newListener', onAdded).off('removeListener', onRemoved);
    if (!stream.destroyed && stream.listenerCount('data') === 0) stream.pause();
  }
}
