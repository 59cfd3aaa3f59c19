import type { Duplex } from 'node:stream';

/**
 * Runs `handshake` on a stream and sees to it that no byte is lost on the way. A stream that has begun to flow goes on
 * flowing when its last `data` listener leaves, and what it then emits nobody hears: so `await once(stream, 'data')`
 * would lose whatever follows that chunk. Here the stream stands still for as long as nobody listens.
 */
export async function runHandshake(stream: Duplex, handshake: () => unknown): Promise<void> {
  const isHeard = () => stream.listeners('data').some((listener) => listener !== sentinel);
  const onAdded = (event: string | symbol) => {
    if (event === 'data') stream.resume();
  };
  const onRemoved = (event: string | symbol) => {
    if (event === 'data' && !isHeard()) stream.pause();
  };
  // A stream resumes by itself when its last `readable` listener leaves.
  const onResume = () => {
    if (!isHeard()) stream.pause();
  };

  stream.pause();
  // Node 20 does not tell of a stream's only listener being removed: with this one there, none is the only one.
  stream.on('data', sentinel);
  stream.on('newListener', onAdded).on('removeListener', onRemoved).on('resume', onResume);
  try {
    await handshake();
    // A stream whose last `readable` listener has left starts to flow a tick later: not behind our back.
    await new Promise<void>((resolve) => process.nextTick(resolve));
  } finally {
    stream.off('newListener', onAdded).off('removeListener', onRemoved).off('resume', onResume);
    stream.off('data', sentinel);
  }
}

function sentinel(): void {
  // What it hears, others hear too.
}
