import { types } from 'node:util';

import { type Check, type Checks, checkRecord, delay } from '../options/checks';
import { invalidOption } from '../errors';

/** A link that opens, and what its peer does then. */
export interface Opening {
  /** What the peer sends, each chunk by itself. Default: nothing. */
  readonly deliver?: Chunk | readonly Chunk[] | undefined;
  /**
   * What the peer does then: it stays, ends the link in good order, resets it (ECONNRESET), or the link fails with an
   * error of yours. Default: `'stay'`.
   */
  readonly then?: 'stay' | 'drop' | 'reset' | Error | undefined;
  /** Milliseconds from what was sent to what comes then, by the clock of the test. Default: 0. */
  readonly after?: number | undefined;
}

/**
 * What becomes of one attempt: it opens and stays (`'open'`), is refused (`'refuse'`), is never answered (`'hang'`),
 * opens and is ended at once (`'drop'`), fails with an error of yours, or opens and goes as an {@link Opening} says.
 */
export type ScriptedAttempt = 'open' | 'refuse' | 'hang' | 'drop' | Error | Opening;

/** Text, as UTF-8, or bytes. */
export type Chunk = string | Uint8Array;

/** What a connection is told when nobody listens. */
export function refusal(): Error {
  return Object.assign(new Error('connect ECONNREFUSED (scripted)'), { code: 'ECONNREFUSED', syscall: 'connect' });
}

/** What a connection is told when the peer cuts it. */
export function cut(): Error {
  return Object.assign(new Error('read ECONNRESET (scripted)'), { code: 'ECONNRESET', syscall: 'read' });
}

/** An attempt as it is played: one that fails, one that never ends, or one that opens. */
export type Played =
  Error | 'hang' | { readonly chunks: readonly Chunk[]; readonly end: Error | 'stay' | 'drop'; readonly after: number };

/** Throws unless `attempt` is one, and returns it with nothing left open. */
export function checkAttempt(attempt: unknown, name: string): Played {
  if (attempt === 'hang') return 'hang';
  if (attempt === 'refuse') return refusal();
  if (types.isNativeError(attempt) || attempt instanceof Error) return attempt;
  if (attempt === 'open' || attempt === 'drop')
    return { chunks: [], end: attempt === 'open' ? 'stay' : 'drop', after: 0 };
  if (typeof attempt !== 'object') {
    throw invalidOption(`\`${name}\``, "'open', 'refuse', 'hang', 'drop', an Error or an object", attempt);
  }
  const { deliver = [], then = 'stay', after = 0 } = checkRecord<Opening>(name, attempt, checks);
  return { chunks: isChunk(deliver) ? [deliver] : deliver, end: then === 'reset' ? cut() : then, after };
}

/** Throws unless `chunk` can be sent. */
export function checkChunk(chunk: unknown, name: string): Chunk {
  if (!isChunk(chunk)) throw invalidOption(name, 'a string or bytes', chunk);
  return chunk;
}

function isChunk(value: unknown): value is Chunk {
  return typeof value === 'string' || value instanceof Uint8Array;
}

const deliver: Check<Chunk | readonly Chunk[]> = (value, name) =>
  Array.isArray(value) ? value.map((each) => checkChunk(each, name)) : checkChunk(value, name);

const then: Check<'stay' | 'drop' | 'reset' | Error> = (value, name) => {
  if (value === 'stay' || value === 'drop' || value === 'reset' || value instanceof Error) return value;
  throw invalidOption(name, "'stay', 'drop', 'reset' or an Error", value);
};

const checks: Checks<Opening> = { deliver, then, after: delay };
