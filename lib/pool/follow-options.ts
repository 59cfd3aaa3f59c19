import { invalidOption } from '../errors';
import { type Check, type Complete, abortSignal, checkRecord, func, integer, orInfinity } from '../options/checks';
import type { MemberOptions } from '../options/options';
import type { ErrorSummary } from '../lifecycle/stats';

/** One entry of a list of members: what `pool.add()` takes as its first argument. */
export type MemberEntry = MemberOptions | string;

/**
 * Lists of members, each of which replaces the one before: the `source` of `pool.follow()`. Its iterator is asked for the
 * next list as soon as one is obeyed, and should answer when that differs.
 */
export type MemberSource = AsyncIterable<readonly MemberEntry[]>;

/** Options of a pool's `follow()`. */
export interface FollowOptions {
  /** Stops following when it is aborted, as the returned function does. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Follows so many entries of each list, chosen by rendezvous hashing of `client` and each entry's tag: clients choose
   * different ones, and when the list changes by one entry, a client changes one member at most. Default: Infinity, all.
   */
  readonly subset?: number | undefined;
  /** What this client is called where it chooses its `subset`: the same name chooses the same. Default: random, one for each pool. */
  readonly client?: string | undefined;
  /** A list with fewer entries is not obeyed, as a mistake would leave no member. 0 obeys an empty list. Default: 1. */
  readonly minimum?: number | undefined;
  /** Called with the error when the source fails, or a list is refused, before the `source` event. */
  readonly onError?: ((error: Error) => void) | undefined;
}

/** Payload of `source`. */
export interface SourceInfo {
  /**
   * `'list'`: a list is obeyed. `'refused'`: a list is not obeyed, and the one before remains in force. `'failed'`: the
   * source threw or rejected. `'ended'`: its iterator has ended.
   */
  readonly kind: 'list' | 'refused' | 'failed' | 'ended';
  /** What was passed to `follow()`. */
  readonly source: MemberSource;
  /** Members that joined for this list; 0 for other kinds. */
  readonly joined: number;
  /** Members that leave for this list; 0 for other kinds. */
  readonly left: number;
  /** Of `'refused'` (`ERR_INVALID_OPTION`, which names the entry) and `'failed'`. */
  readonly error?: Error;
  /**
   * Of `'failed'` and `'ended'`: milliseconds until the source is asked for a new iterator. Absent where it has none, as a
   * generator object: the members stay as they are.
   */
  readonly delay?: number;
}

/** A followed source in figures. */
export interface SourceStats {
  /** `reading`: the next list is awaited. `retrying`: it failed or ended, and is asked again. `ended`: it has no more lists. */
  readonly state: 'reading' | 'retrying' | 'ended';
  /** Lists that were obeyed. */
  readonly lists: number;
  /** Lists that were refused. */
  readonly refused: number;
  /** How often it failed or ended. */
  readonly failures: number;
  /** Entries that are followed now. */
  readonly entries: number;
  /** Entries of the newest list that was obeyed, of which `subset` may follow fewer. */
  readonly listed: number;
  /** When that list came, in milliseconds since the epoch; absent before the first. */
  readonly listedAt?: number;
  /** The latest error: of a list that was refused, or of the source. */
  readonly lastError?: ErrorSummary;
}

/** Checked options, with all defaults filled in. */
export type ResolvedFollow = Complete<Pick<FollowOptions, 'subset' | 'client' | 'minimum'>> &
  Pick<FollowOptions, 'signal' | 'onError'>;

const text: Check<string> = (value, name) => {
  if (typeof value !== 'string' || value === '') throw invalidOption(name, 'a text that is not empty', value);
  return value;
};

/**
 * Checks the arguments of `follow()`.
 *
 * @param client - The default of the option.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkFollow(source: MemberSource, options: FollowOptions, client: string): ResolvedFollow {
  if (typeof iteratorOf(source) !== 'function') throw invalidOption('the source', 'an AsyncIterable of lists', source);
  const given = checkRecord<FollowOptions>('follow', options, {
    signal: abortSignal,
    subset: orInfinity(integer(1)),
    client: text,
    minimum: integer(0),
    onError: func,
  });
  return { subset: Infinity, client, minimum: 1, ...given };
}

function iteratorOf(source: unknown): unknown {
  try {
    return (source as Partial<MemberSource> | null)?.[Symbol.asyncIterator];
  } catch {
    // A proxy or a getter that throws: it is no source.
    return undefined;
  }
}
