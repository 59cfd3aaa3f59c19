import { invalidOption } from '../errors';
import { type Transport, checkStream, isTaken } from '../socket/transport';
import { isWrapped } from '../socket/wrapped';
import { take } from './given-stream';

/** The functions of the application that prepare a stream. */
export type Preparation = 'beforeTls' | 'handshake';

/**
 * Runs `handshake` on a stream and sees to it that no byte is lost on the way. A stream that has begun to flow goes on
 * flowing when its last `data` listener leaves, and what it then emits is lost: so `await once(stream, 'data')`
 * would lose whatever follows that chunk. Here the stream stands still for as long as it has no listener.
 *
 * @returns the stream that takes the place of this one, if there is one. It is taken from then on.
 */
export async function runHandshake(
  stream: Transport,
  handshake: () => unknown,
  name: Preparation = 'handshake',
): Promise<Transport | undefined> {
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
    const outer = checkAnswer(await handshake(), stream, name);
    // A stream whose last `readable` listener has left starts to flow a tick later: not behind our back.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    if (outer === undefined && isWrapped(stream)) {
      throw new Error(
        `TLS was laid over the socket, and \`${name}\` did not return it: nothing else may be written to`,
      );
    }
    return outer;
  } finally {
    stream.off('newListener', onAdded).off('removeListener', onRemoved).off('resume', onResume);
    stream.off('data', sentinel);
  }
}

/** The stream that `answer` is, unless it is the one that was prepared. Throws for anything else but undefined. */
function checkAnswer(answer: unknown, stream: Transport, name: Preparation): Transport | undefined {
  if (answer === undefined || answer === stream) return undefined;
  const what = `what \`${name}\` resolves with`;
  // `as`: the check follows.
  const outer = checkStream(answer as Transport, what, 'a stream or undefined');
  if (isTaken(outer)) throw invalidOption(what, 'a stream of its own, and not one that a connection has had', outer);
  if (outer.destroyed || outer.readableEnded || outer.writableEnded) {
    throw invalidOption(what, 'a stream that is not used up', outer);
  }
  take(outer);
  return outer;
}

function sentinel(): void {
  // What it hears, others hear too.
}
