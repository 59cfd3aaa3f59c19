import type { ReconnectingConnection } from '../connection';
import { toError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import { shielded } from '../events/emitter';
import { onAbort } from '../events/on-abort';
import { type ErrorSummary, summaryOf } from '../lifecycle/stats';
import { defaultBackoff } from '../options/backoff';
import type { CheckedOptions } from '../options/settings';
import { now, setRef } from '../timers/deadline';
import { type Entry, resolveList, subsetOf, takeEqual } from './follow-list';
import {
  type FollowOptions,
  type MemberSource,
  type ResolvedFollow,
  type SourceInfo,
  type SourceStats,
  checkFollow,
} from './follow-options';
import type { Members } from './members';
import type { PoolEvents } from './options';

/** What a source uses of its pool. */
interface Pool<Message> {
  readonly members: Members<Message>;
  readonly defaults: CheckedOptions;
  readonly delivery: DeliveryQueue<PoolEvents<Message>>;
}

/** The sources that a pool follows. */
export class Sources<Message> {
  readonly #pool: Pool<Message>;
  readonly #client = String(Math.random());
  /** Each with what stops it. */
  readonly #sources = new Map<Source<Message>, () => void>();

  constructor(pool: Pool<Message>) {
    this.#pool = pool;
  }

  get stats(): readonly SourceStats[] {
    return [...this.#sources.keys()].map(({ stats }) => stats);
  }

  /**
   * Begins to follow a source.
   *
   * @returns a function that stops it
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  follow(iterable: MemberSource, options: FollowOptions): () => void {
    const given = checkFollow(iterable, options, this.#client);
    if (given.signal?.aborted === true) return () => undefined;
    const source = new Source(iterable, given, this.#pool);
    const stop = () => {
      ignoreSignal?.();
      this.#sources.delete(source);
      source.stop();
    };
    const ignoreSignal = given.signal && onAbort(given.signal, stop);
    this.#sources.set(source, stop);
    return stop;
  }

  stop(): void {
    for (const stop of this.#sources.values()) stop();
  }
}

/** An entry that is followed, and its member. */
interface Followed<Message> {
  readonly entry: Entry;
  readonly member: ReconnectingConnection<Message>;
}

/** Milliseconds after which a source that fails is asked again as soon as one that has not failed before. */
const HEALTHY_AFTER = 5_000;

const backoff = defaultBackoff();

/** One source: its lists are obeyed, and it is asked again when it fails or ends. */
class Source<Message> {
  readonly #iterable: MemberSource;
  readonly #options: ResolvedFollow;
  readonly #pool: Pool<Message>;
  #state: SourceStats['state'] | 'stopped' = 'reading';
  /** That of the state `reading`. */
  #iterator: AsyncIterator<unknown> | undefined;
  /** Ends the wait of the state `retrying`. */
  #endWait: (() => void) | undefined;
  #followed: readonly Followed<Message>[] = [];
  #lists = 0;
  #listed = 0;
  #listedAt: number | undefined;
  #refused = 0;
  #failures = 0;
  #lastError: ErrorSummary | undefined;

  constructor(iterable: MemberSource, options: ResolvedFollow, pool: Pool<Message>) {
    this.#iterable = iterable;
    this.#options = options;
    this.#pool = pool;
    // In a microtask, so that listeners that are added in this tick get all events.
    queueMicrotask(() => void this.#run());
  }

  get stats(): SourceStats {
    return {
      // `as`: the pool forgets a source that it stops.
      state: this.#state as SourceStats['state'],
      lists: this.#lists,
      refused: this.#refused,
      failures: this.#failures,
      entries: this.#followed.length,
      listed: this.#listed,
      ...(this.#listedAt !== undefined && { listedAt: this.#listedAt }),
      ...(this.#lastError && { lastError: this.#lastError }),
    };
  }

  /** Reads no more lists. The members stay. */
  stop(): void {
    const iterator = this.#iterator;
    this.#state = 'stopped';
    this.#iterator = undefined;
    this.#endWait?.();
    // Nothing depends on the clean-up of an iterator that is not read any more, nor on its failure.
    if (iterator !== undefined) void settled(() => iterator.return?.());
  }

  /** A method: the state changes while the callers wait, which the compiler does not see in a property. */
  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  async #run(): Promise<void> {
    let attempt = 0;
    let delay = 0;
    while (!this.#isStopped()) {
      this.#state = 'reading';
      const startedAt = now();
      const error = await settled(() => this.#read());
      if (this.#isStopped()) return;
      // The iterator of a generator object is that object, which has no other.
      const isOver = (this.#iterator as unknown) === this.#iterable;
      this.#iterator = undefined;
      // One that gives a list and fails at once is not healthy.
      if (now() - startedAt >= Math.max(HEALTHY_AFTER, delay)) [attempt, delay] = [0, 0];
      attempt += 1;
      delay = backoff({ attempt, generation: 0, previousDelay: delay }) ?? HEALTHY_AFTER;
      this.#failures += 1;
      this.#state = isOver ? 'ended' : 'retrying';
      this.#report({ kind: error === undefined ? 'ended' : 'failed', error, delay: isOver ? undefined : delay });
      if (isOver || this.#isStopped()) return;
      await this.#wait(delay);
    }
  }

  /** Reads one iterator to its end. */
  async #read(): Promise<void> {
    const iterator = this.#iterable[Symbol.asyncIterator]();
    this.#iterator = iterator;
    while (!this.#isStopped()) {
      const result: unknown = await iterator.next();
      if (this.#isStopped()) return;
      if (typeof result !== 'object' || result === null) throw new TypeError('The iterator gave no object');
      if ('done' in result && result.done === true) return;
      this.#obey('value' in result ? result.value : undefined);
      // A source that never waits does not keep the event loop from everything else.
      await new Promise(setImmediate);
    }
  }

  /** Waits before the source is asked again. It keeps the process alive only while there are no members that do. */
  #wait(delay: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      setRef(this.#followed.length === 0, timer);
      this.#endWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #obey(list: unknown): void {
    const { subset, client, minimum } = this.#options;
    let entries: readonly Entry[];
    try {
      const all = resolveList(list, this.#pool.defaults, minimum);
      entries = subsetOf(all, subset, client);
      this.#listed = all.length;
    } catch (error) {
      this.#refused += 1;
      return this.#report({ kind: 'refused', error: toError(error) });
    }
    this.#lists += 1;
    this.#listedAt = Date.now();
    const { members } = this.#pool;
    const before = new Map<string, Followed<Message>[]>();
    for (const each of this.#followed) {
      const { tag } = each.entry;
      const alike = before.get(tag);
      if (alike === undefined) before.set(tag, [each]);
      else alike.push(each);
    }
    let joined = 0;
    this.#followed = entries.map((entry) => {
      const member = members.successor(takeEqual(before.get(entry.tag), entry)?.member);
      if (member !== undefined) return { entry, member };
      joined += 1;
      return { entry, member: members.join(entry.resolved) };
    });
    const leavers = [...before.values()].flat().flatMap(({ member }) => members.withTwins(member));
    void members.remove(leavers);
    this.#report({ kind: 'list', joined, left: leavers.length });
  }

  #report({ kind, error, delay, joined = 0, left = 0 }: Report): void {
    if (error !== undefined) {
      this.#lastError = summaryOf(error);
      const { onError } = this.#options;
      if (onError !== undefined) shielded(() => onError(error));
    }
    const info = { kind, source: this.#iterable, joined, left, ...(error && { error }), ...(delay && { delay }) };
    this.#pool.delivery.deliver('source', info);
  }
}

/** What a `source` event says. */
interface Report extends Pick<SourceInfo, 'kind'>, Partial<Pick<SourceInfo, 'joined' | 'left'>> {
  readonly error?: Error | undefined;
  readonly delay?: number | undefined;
}

/** Calls a function of the application's, and waits. Returns the error that it throws or rejects with. */
async function settled(run: () => unknown): Promise<Error | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return toError(error);
  }
}
