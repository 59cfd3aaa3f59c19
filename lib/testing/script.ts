import { invalidOption, isError } from '../errors';
import { type Check, type Checks, checkRecord, delay } from '../options/checks';

/** A link that opens, and what its peer does then. */
export interface Opening {
  /** What the peer sends, each chunk by itself. Default: nothing. */
  readonly deliver?: Chunk | readonly Chunk[] | undefined;
  /**
   * What happens then: the link stays open, the peer ends it (FIN) or resets it (ECONNRESET), or it fails with the error
   * given. Default: `'stay'`.
   */
  readonly then?: 'stay' | 'drop' | 'reset' | Error | undefined;
  /** Milliseconds before `then`, by the clock of the test. Default: 0. */
  readonly after?: number | undefined;
}

/**
 * The result of one attempt: it opens, is refused (ECONNREFUSED), is never answered (`'hang'`), opens and is ended at once
 * (`'drop'`), fails with the error given, or opens and continues as an {@link Opening}.
 */
export type ScriptedAttempt = 'open' | 'refuse' | 'hang' | 'drop' | Error | Opening;

/** Text, as UTF-8, or bytes. */
export type Chunk = string | Uint8Array;

export function refusal(): Error {
  return Object.assign(new Error('connect ECONNREFUSED (scripted)'), { code: 'ECONNREFUSED', syscall: 'connect' });
}

export function cut(): Error {
  return Object.assign(new Error('read ECONNRESET (scripted)'), { code: 'ECONNRESET', syscall: 'read' });
}

/** An attempt that fails, never ends, or opens. */
export type Played =
  Error | 'hang' | { readonly chunks: readonly Chunk[]; readonly end: Error | 'stay' | 'drop'; readonly after: number };

/** Checks an attempt and fills in the defaults. */
export function checkAttempt(attempt: unknown, name: string): Played {
  if (attempt === 'hang') return 'hang';
  if (attempt === 'refuse') return refusal();
  if (isError(attempt)) return attempt;
  if (attempt === 'open') return { chunks: [], end: 'stay', after: 0 };
  if (attempt === 'drop') return { chunks: [], end: 'drop', after: 0 };
  if (typeof attempt !== 'object') {
    throw invalidOption(`\`${name}\``, "'open', 'refuse', 'hang', 'drop', an Error or an object", attempt);
  }
  const { deliver = [], then = 'stay', after = 0 } = checkRecord<Opening>(name, attempt, checks);
  return { chunks: isChunk(deliver) ? [deliver] : deliver, end: then === 'reset' ? cut() : then, after };
}

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
  if (value === 'stay' || value === 'drop' || value === 'reset' || isError(value)) return value;
  throw invalidOption(name, "'stay', 'drop', 'reset' or an Error", value);
};

const checks: Checks<Opening> = { deliver, then, after: delay };
