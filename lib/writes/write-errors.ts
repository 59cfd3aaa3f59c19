import { ConnectionError, because, escape, unreachable } from '../errors';
import { mostWrites } from './bounds';
import type { QueueDropReason } from './queue';
import type { Write } from './write';

/** The error of a write after the end of the lifecycle, or while it ends. */
export function closedError(tag: string): ConnectionError {
  return new ConnectionError('ERR_CLOSED', `The connection to ${tag} is closed for writing`, { tag });
}

/** The error of a write for which there is no room. */
export function fullError(tag: string, bytes: number, maxBytes: number, isConnected: boolean): ConnectionError {
  const message =
    maxBytes === 0 && !isConnected
      ? `${tag} is not connected, and \`queue.maxBytes\` is 0: nothing is queued`
      : `The queue for ${tag} has no room for ${bytes} bytes: its bound is ${maxBytes} bytes and ${mostWrites(maxBytes)} writes`;
  return new ConnectionError('ERR_QUEUE_FULL', message, { tag });
}

/** The error of a write whose signal was aborted before it was handed to a socket. */
export function abortedError(tag: string, signal: AbortSignal | undefined): ConnectionError {
  const cause: unknown = signal?.reason;
  const message = `A write for ${tag} was aborted before it was sent${because(cause)}`;
  return new ConnectionError('ERR_ABORTED', message, { cause, tag });
}

/** The error of writes that `clearQueue()` has dropped. */
export function clearedError(tag: string): ConnectionError {
  return new ConnectionError('ERR_CLEARED', `The queue for ${tag} was cleared`, { tag });
}

/** The error of writes that were handed to a socket which closed before it confirmed them. */
export function uncertainError(tag: string, cause: Error | undefined): ConnectionError {
  const ended = `The session with ${tag} ended before it confirmed this write, which may or may not have arrived`;
  const message = ended + because(cause);
  return new ConnectionError('ERR_DELIVERY_UNCERTAIN', message, { cause, tag });
}

/** The error of a write that the queue itself has dropped. */
export function queueDropError(tag: string, reason: QueueDropReason, { chunk, conditions }: Write): ConnectionError {
  switch (reason) {
    case 'expired':
      return new ConnectionError('ERR_EXPIRED', `A write for ${tag} waited longer than ${conditions?.maxAge} ms`, {
        tag,
      });
    case 'aborted':
      return abortedError(tag, conditions?.signal);
    case 'replaced': {
      const message = `A newer write for ${tag} with the key "${escape(conditions?.key ?? '')}" replaced this one`;
      return new ConnectionError('ERR_REPLACED', message, { tag });
    }
    case 'overflow': {
      const message = `The queue for ${tag} dropped this write of ${chunk.length} bytes: newer ones needed its room`;
      return new ConnectionError('ERR_QUEUE_FULL', message, { tag });
    }
    default:
      return unreachable(reason);
  }
}
