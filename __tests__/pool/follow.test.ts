import { once } from 'node:events';

import {
  type ConnectionOptions,
  type FollowOptions,
  type MemberSource,
  type PoolOptions,
  type SourceInfo,
  ConnectionPool,
} from 'reconnecting-connection';
import { ScriptedDial } from 'reconnecting-connection/testing';

import { resolveList, subsetOf } from '../../lib/pool/follow-list';
import { overDefaults, checkOptions } from '../../lib/options/settings';
import { Loopback, QUICK, track } from '../kit/loopback';
import { until } from '../kit/until';

type List = readonly ConnectionOptions[];

/** A source that a test feeds. Each iterator gets the lists that are pushed while it is the latest. */
class Feed implements AsyncIterable<List> {
  /** How often an iterator was asked for. */
  iterators = 0;
  returned = 0;
  readonly #waiting: ((result: Promise<IteratorResult<List>>) => void)[] = [];
  readonly #lists: Promise<IteratorResult<List>>[] = [];

  push(...lists: unknown[]): void {
    // `as`: a source may give anything.
    for (const value of lists) this.#put(Promise.resolve({ done: false, value: value as List }));
  }

  fail(error: Error): void {
    const failed = Promise.reject<IteratorResult<List>>(error);
    failed.catch(() => undefined);
    this.#put(failed);
  }

  end(): void {
    this.#put(Promise.resolve({ done: true, value: undefined }));
  }

  [Symbol.asyncIterator](): AsyncIterator<List> {
    this.iterators += 1;
    return {
      next: () => {
        const result = this.#lists.shift();
        return result ?? new Promise((resolve) => void this.#waiting.push(resolve));
      },
      return: () => {
        this.returned += 1;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #put(result: Promise<IteratorResult<List>>): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#lists.push(result);
    else waiting(result);
  }
}

const tags = (pool: ConnectionPool) => pool.connections.map(({ tag }) => tag.replace('127.0.0.1:', ''));

/** Waits for immediates: a source is read once in each. */
async function settle(): Promise<void> {
  for (let count = 0; count < 12; count++) await new Promise(setImmediate);
}

function following(options: PoolOptions = {}, follow: FollowOptions = {}) {
  const { dial } = new ScriptedDial();
  const pool = track(new ConnectionPool({ dial, ...options }));
  const feed = new Feed();
  const heard: SourceInfo[] = [];
  pool.on('source', (info) => heard.push(info));
  const stop = pool.follow(feed, follow);
  const give = async (...lists: unknown[]) => {
    feed.push(...lists);
    await settle();
  };
  return { pool, feed, heard, stop, give };
}

const ports = (...each: number[]) => each.map((port) => ({ port }));

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
});

afterEach(() => {
  jest.useRealTimers();
});

describe('a list', () => {
  test('makes members of its entries, and removes those whose entries are gone', async () => {
    const { pool, give, heard, feed } = following();
    await give(ports(1, 2, 3));
    const [one, two, three] = pool.connections;
    expect(tags(pool)).toEqual(['1', '2', '3']);
    await give(ports(4, 3, 1));

    expect(tags(pool)).toEqual(['1', '3', '4']);
    expect([one?.state, two?.state, three?.state]).toEqual(['open', 'closed', 'open']);
    expect(heard).toEqual([
      { kind: 'list', source: feed, joined: 3, left: 0 },
      { kind: 'list', source: feed, joined: 1, left: 1 },
    ]);
    expect(pool.stats.sources).toEqual([
      { state: 'reading', lists: 2, refused: 0, failures: 0, entries: 3, listed: 3, listedAt: Date.now() },
    ]);
  });

  test('has a member for each of several equal entries', async () => {
    const { pool, give } = following();
    await give(ports(1, 1, 1, 2));
    expect(tags(pool)).toEqual(['1', '1', '1', '2']);
    const before = new Set(pool.connections);
    await give(ports(2, 1, 1));
    expect(tags(pool)).toEqual(['1', '1', '2']);
    expect(pool.connections.every((member) => before.has(member))).toBe(true);
  });

  test('keeps the member of an entry that is equal, whatever objects say so', async () => {
    const handshake = () => undefined;
    const entry = () => ({ port: 1, handshake, queue: { maxBytes: 10 }, backoff: { jitter: 'none' as const } });
    const { pool, give, heard } = following();
    await give([entry()]);
    const [member] = pool.connections;
    await give([{ ...entry(), host: '127.0.0.1' }], ['tcp://127.0.0.1:2', entry()]);
    expect(pool.connections[0]).toBe(member);
    expect(heard.map(({ joined, left }) => [joined, left])).toEqual([
      [1, 0],
      [0, 0],
      [1, 0],
    ]);
  });

  test.each<[what: string, changed: object]>([
    ['an option', { queue: { maxBytes: 11 } }],
    ['a function', { handshake: () => undefined }],
    ['TLS', { tls: { servername: 'other' } }],
  ])('replaces the member of an entry of which %s has changed', async (_what, changed) => {
    const handshake = () => undefined;
    const entry = { port: 1, handshake, queue: { maxBytes: 10 }, tls: { servername: 'one' } };
    const { pool, give } = following();
    await give([entry]);
    const [member] = pool.connections;
    await give([structuredClone({ ...entry, handshake: undefined })].map((each) => ({ ...each, handshake })));
    expect(pool.connections).toEqual([member]);
    await give([{ ...entry, ...changed }]);
    expect(pool.size).toBe(1);
    expect(pool.connections[0]).not.toBe(member);
    expect(member?.state).toBe('closed');
  });

  test('compares what its entries held when it was given', async () => {
    const { pool, give } = following();
    const list = [{ port: 1 }];
    await give(list);
    list[0]!.port = 2;
    await give(list);
    expect(tags(pool)).toEqual(['2']);
  });

  test('leaves the members of add() and of another source alone', async () => {
    const { pool, give } = following();
    const other = new Feed();
    pool.follow(other);
    const own = pool.add({ port: 1 });
    other.push(ports(1, 2));
    await give(ports(1, 3));
    expect(tags(pool).sort()).toEqual(['1', '1', '1', '2', '3']);
    await give(ports(4));
    expect(tags(pool).sort()).toEqual(['1', '1', '2', '4']);
    expect(pool.connections).toContain(own);
    expect(pool.stats.sources.map(({ entries }) => entries)).toEqual([1, 2]);
  });

  test('gives an entry whose member has closed or was removed a new one', async () => {
    const { pool, give } = following();
    await give(ports(1, 2, 3));
    const [one, two] = pool.connections;
    one?.destroy();
    await pool.remove(two!);
    expect(tags(pool)).toEqual(['3']);
    await give(ports(1, 2, 3));
    expect(tags(pool)).toEqual(['3', '1', '2']);
  });

  test('keeps the twin of a member that was retired, and removes it with its entry', async () => {
    const { pool, give } = following({ closeTimeout: 0 });
    await give(ports(1, 2));
    const [one] = pool.connections;
    const retired = pool.retire(one!);
    await give(ports(1, 2));
    expect(tags(pool)).toEqual(['1', '2', '1']);
    await jest.advanceTimersByTimeAsync(10);
    await retired;
    await give(ports(1, 2));
    expect(tags(pool)).toEqual(['2', '1']);
    await give(ports(2));
    expect(tags(pool)).toEqual(['2']);
  });

  test('takes both a member and its twin out where it was being retired', async () => {
    const dials: (() => void)[] = [];
    const scripted = new ScriptedDial();
    const { pool, give } = following({
      dial: async (target, signal) => {
        if (pool.size > 2) await new Promise<void>((resolve) => dials.push(resolve));
        return scripted.dial(target, signal);
      },
    });
    await give(ports(1, 2));
    void pool.retire(pool.connections[0]!);
    await settle();
    expect([dials.length, pool.size]).toEqual([1, 3]);
    await give(ports(2));
    await jest.advanceTimersByTimeAsync(5_000);
    expect(tags(pool)).toEqual(['2']);
  });

  test('is not written to in its leavers, while they drain', async () => {
    jest.useRealTimers();
    const server = await Loopback.start();
    const other = await Loopback.start();
    const pool = track(new ConnectionPool({ ...QUICK, host: '127.0.0.1' }));
    const feed = new Feed();
    pool.follow(feed);
    feed.push([server.target, other.target]);
    await pool.whenOpen(2);
    const leaver = pool.connections[0]!;
    leaver.write('the last words');
    const closing = once(leaver, 'state');
    feed.push([other.target]);
    await closing;
    expect(leaver.state).toBe('closing');
    for (let count = 0; count < 10; count++) pool.write('x');
    expect(pool.connections.length).toBe(2);
    await until(() => pool.size === 1);
    await until(() => other.text().length >= 10);
    expect([server.text(), other.text()]).toEqual(['the last words', 'xxxxxxxxxx']);
  });

  test('is obeyed while the leavers of the one before still drain: the newest wins', async () => {
    const { pool, give, heard } = following({ closeTimeout: 1_000 });
    await give(ports(1), ports(2), ports(3), ports(2));
    expect(heard.map(({ joined, left }) => [joined, left])).toEqual([
      [1, 0],
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(tags(pool)).toEqual(['2']);
  });
});

describe('a list that is refused', () => {
  test.each<[what: string, list: unknown, message: RegExp]>([
    ['is empty', [], /^Expected a list of the source to be of at least 1 \(see `minimum`\), got 0/],
    ['is no array', { port: 1 }, /^Expected what the source gave to be an array of members, got an object$/],
    ['is undefined', undefined, /to be an array of members, got undefined$/],
    [
      'has a bad entry',
      [{ port: 2 }, { port: 70_000 }],
      /^Entry 2 of 2 of the source's list is bad: Expected option `port` .* \(in the options of the member 70000\)$/,
    ],
    ['has an unknown option', [{ port: 2, tiemout: 1 }], /^Entry 1 of 1 .* Unknown option `tiemout`/],
    ['has a gap', [{ port: 2 }, , { port: 3 }], /^Entry 2 of 3 .* got undefined/],
    ['has a bad URL', ['http://a:1'], /^Entry 1 of 1 .* scheme/],
  ])('because it %s changes nothing, and is reported', async (_what, list, message) => {
    const errors: Error[] = [];
    const { pool, give, heard } = following({}, { onError: (error) => errors.push(error) });
    await give(ports(1));
    await give(list);
    expect(tags(pool)).toEqual(['1']);
    expect(heard[1]).toMatchObject({ kind: 'refused', joined: 0, left: 0 });
    expect(errors).toEqual([heard[1]?.error]);
    expect(errors[0]).toMatchObject({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(message) as string });
    expect(pool.stats.sources).toMatchObject([{ lists: 1, refused: 1, lastError: { code: 'ERR_INVALID_OPTION' } }]);
    await give(ports(2));
    expect(tags(pool)).toEqual(['2']);
  });

  test('can be an array that throws when it is read', async () => {
    const { pool, give, heard } = following();
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    await give(ports(1), proxy, new Proxy([], { get: () => void thrown() }));
    const thrown = () => {
      throw new Error('trap');
    };
    expect(tags(pool)).toEqual(['1']);
    expect(heard.map(({ kind }) => kind)).toEqual(['list', 'refused', 'refused']);
  });

  test('has fewer than `minimum` entries; with 0, an empty list removes all', async () => {
    const { pool, give } = following({}, { minimum: 2 });
    await give(ports(1, 2), ports(1));
    expect(tags(pool)).toEqual(['1', '2']);
    const other = following({}, { minimum: 0 });
    await other.give(ports(1), []);
    expect(tags(other.pool)).toEqual([]);
  });
});

describe('a source', () => {
  test('that fails keeps its members, and is asked for a new iterator after a growing wait', async () => {
    const errors: Error[] = [];
    const { pool, feed, give, heard } = following({}, { onError: (error) => errors.push(error) });
    await give(ports(1, 2));
    const boom = new Error('boom');
    const delays: number[] = [];
    for (let count = 1; count < 6; count++) {
      feed.fail(boom);
      await settle();
      const { kind, error, delay = -1 } = heard.at(-1)!;
      expect([kind, error, feed.iterators]).toEqual(['failed', boom, count]);
      expect(pool.stats.sources).toMatchObject([
        { state: 'retrying', failures: count, lastError: { message: 'boom' } },
      ]);
      await jest.advanceTimersByTimeAsync(delay - 1);
      expect(feed.iterators).toBe(count);
      await jest.advanceTimersByTimeAsync(1);
      expect(feed.iterators).toBe(count + 1);
      delays.push(delay);
    }
    expect(delays[0]).toBeLessThanOrEqual(250);
    expect(Math.min(...delays.slice(1))).toBeGreaterThanOrEqual(1_000);
    expect(errors).toHaveLength(5);
    expect(tags(pool)).toEqual(['1', '2']);
    await give(ports(2));
    expect(tags(pool)).toEqual(['2']);
  });

  test('begins its waits afresh when it has lasted', async () => {
    const { feed, heard, give } = following();
    for (let count = 0; count < 3; count++) {
      await give(ports(1));
      feed.fail(new Error('boom'));
      await settle();
      await jest.advanceTimersByTimeAsync(heard.at(-1)!.delay!);
    }
    // A list alone does not make it healthy.
    expect(heard.filter(({ kind }) => kind === 'failed').map(({ delay = 0 }) => delay < 1_000)).toEqual([
      true,
      false,
      false,
    ]);
    await jest.advanceTimersByTimeAsync(30_000);
    feed.fail(new Error('boom'));
    await settle();
    expect(heard.at(-1)?.delay).toBeLessThanOrEqual(250);
  });

  test('that ends is asked again; a generator object that ends has no more lists', async () => {
    const { pool, feed, heard } = following();
    feed.end();
    await settle();
    expect(heard).toEqual([{ kind: 'ended', source: feed, joined: 0, left: 0, delay: expect.any(Number) as number }]);
    await jest.advanceTimersByTimeAsync(250);
    expect(feed.iterators).toBe(2);

    async function* once() {
      yield await Promise.resolve(ports(7));
    }
    const generator = once();
    pool.follow(generator);
    await settle();
    expect(heard.slice(1)).toEqual([
      { kind: 'list', source: generator, joined: 1, left: 0 },
      { kind: 'ended', source: generator, joined: 0, left: 0 },
    ]);
    expect(pool.stats.sources.map(({ state }) => state)).toEqual(['reading', 'ended']);
    expect(tags(pool)).toEqual(['7']);
  });

  test.each<[what: string, next: () => unknown, message: RegExp]>([
    ['throws', () => thrown(), /^thrown$/],
    ['answers with nothing', () => undefined, /gave no object/],
    [
      'has a getter that throws',
      () => ({
        done: false,
        get value() {
          return thrown();
        },
      }),
      /^thrown$/,
    ],
    ['rejects', () => Promise.reject(new Error('no')), /^no$/],
  ])('whose iterator %s has failed', async (_what, next, message) => {
    const { pool, heard } = following();
    pool.follow({ [Symbol.asyncIterator]: () => ({ next }) } as MemberSource);
    await settle();
    expect(heard[0]).toMatchObject({ kind: 'failed', error: { message: expect.stringMatching(message) as string } });
    expect(heard).toHaveLength(1);
  });

  test('that has no iterator, or a broken one, has failed', async () => {
    const { pool, heard } = following();
    for (const iterator of [undefined, {}, null]) {
      pool.follow({ [Symbol.asyncIterator]: () => iterator } as unknown as MemberSource);
    }
    pool.follow({ [Symbol.asyncIterator]: thrown });
    await settle();
    expect(heard.map(({ kind }) => kind)).toEqual(['failed', 'failed', 'failed', 'failed']);
  });

  test('that never waits leaves time for everything else', async () => {
    const { pool } = following();
    let given = 0;
    const stop = pool.follow({
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: ports(1 + (given++ % 2)) }),
      }),
    });
    await settle();
    expect(given).toBeLessThan(20);
    stop();
    const before = given;
    await settle();
    expect(given).toBe(before);
  });

  test('keeps the process alive while it is asked again only where it has no members', async () => {
    const refs: boolean[] = [];
    const real = setTimeout;
    jest.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, delay: number) => {
      const timer = real(run, delay);
      const unref = timer.unref.bind(timer);
      refs.push(true);
      timer.unref = () => {
        refs[refs.length - 1] = false;
        return unref();
      };
      return timer;
    }) as typeof setTimeout);
    const { feed, give, heard } = following();
    feed.fail(new Error('boom'));
    await settle();
    expect(refs).toEqual([true]);
    await jest.advanceTimersByTimeAsync(heard[0]!.delay!);
    await give(ports(1));
    refs.length = 0;
    feed.fail(new Error('boom'));
    await settle();
    expect(refs).toEqual([false]);
    jest.restoreAllMocks();
  });
});

const thrown = (): never => {
  throw new Error('thrown');
};

describe('the end of following', () => {
  test.each<[how: string, end: (given: ReturnType<typeof following>, controller: AbortController) => void]>([
    ['the function', ({ stop }) => stop()],
    ['the signal', (_given, controller) => controller.abort()],
  ])('by %s keeps the members, ends the iterator and ignores what it still gives', async (_how, end) => {
    const controller = new AbortController();
    const given = following({}, { signal: controller.signal });
    await given.give(ports(1, 2));
    end(given, controller);
    end(given, controller);
    await given.give(ports(3));
    expect(tags(given.pool)).toEqual(['1', '2']);
    expect([given.feed.returned, given.heard.length, given.pool.stats.sources]).toEqual([1, 1, []]);
  });

  test('while a source waits leaves no timer, and asks no more', async () => {
    const { feed, stop } = following();
    feed.fail(new Error('boom'));
    await settle();
    expect(jest.getTimerCount()).toBe(1);
    stop();
    expect(jest.getTimerCount()).toBe(0);
    await jest.advanceTimersByTimeAsync(60_000);
    expect([feed.iterators, feed.returned]).toEqual([1, 0]);
  });

  test.each(['disconnect', 'destroy'] as const)('comes with %s()', async (method) => {
    const { pool, feed, give } = following();
    await give(ports(1));
    await pool[method]();
    await give(ports(2));
    expect([pool.size, feed.returned, pool.stats.sources]).toEqual([0, 1, []]);
    pool.follow(feed);
    await give(ports(4));
    expect(tags(pool)).toEqual(['4']);
  });

  test('comes before the beginning with a signal that is aborted', async () => {
    const { pool, feed } = following();
    const other = new Feed();
    pool.follow(other, { signal: AbortSignal.abort() })();
    await settle();
    expect([feed.iterators, other.iterators, pool.stats.sources.length]).toEqual([1, 0, 1]);
  });

  test('in a listener of an event of its own is safe', async () => {
    const { pool, feed, give, stop } = following({}, { onError: () => stop() });
    pool.once('source', () => void pool.disconnect());
    await give(ports(1), ports(2));
    expect([pool.size, feed.returned]).toEqual([0, 1]);
    const other = following({}, { onError: () => other.stop() });
    await other.give([], ports(2));
    expect([other.pool.size, other.feed.returned]).toEqual([0, 1]);
  });

  test('whose iterator cannot be ended changes nothing', async () => {
    const { pool } = following();
    const next = () => new Promise<never>(() => undefined);
    for (const end of [thrown, () => Promise.reject(new Error('x')), undefined, 5]) {
      const stop = pool.follow({ [Symbol.asyncIterator]: () => ({ next, return: end }) } as unknown as MemberSource);
      await settle();
      stop();
    }
    await settle();
    expect(pool.stats.sources).toHaveLength(1);
  });
});

describe('arguments', () => {
  const pool = new ConnectionPool();
  test.each<[source: unknown, options: object, message: RegExp]>([
    [[{ port: 1 }], {}, /^Expected the source to be an AsyncIterable of lists, got an array$/],
    [undefined, {}, /got undefined/],
    [new Feed(), { subset: 0 }, /`follow\.subset` to be an integer ≥ 1, got 0/],
    [new Feed(), { minimum: -1 }, /`follow\.minimum`/],
    [new Feed(), { client: '' }, /`follow\.client` to be a text that is not empty/],
    [new Feed(), { onError: 1 }, /`follow\.onError` to be a function/],
    [new Feed(), { signal: {} }, /`follow\.signal` to be an AbortSignal/],
    [new Feed(), { interval: 1 }, /Unknown option `follow\.interval`/],
  ])('that are wrong throw: %p, %p', (source, options, message) => {
    expect(() => pool.follow(source as MemberSource, options)).toThrow(message);
  });

  test('are refused while the pool disconnects', async () => {
    const { pool, feed, give } = following({ closeTimeout: 100 });
    await give(ports(1));
    const done = pool.disconnect();
    expect(() => pool.follow(feed)).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }));
    await jest.advanceTimersByTimeAsync(100);
    await done;
  });
});

describe('a subset', () => {
  const defaults = overDefaults(checkOptions({}));
  const listOf = (count: number) =>
    resolveList(
      Array.from({ length: count }, (_, index) => ({ host: `10.0.${index >> 8}.${index & 255}`, port: 9_000 })),
      defaults,
      1,
    );
  const chosen = (list: ReturnType<typeof listOf>, size: number, client: number) =>
    new Set(subsetOf(list, size, `client ${client}`).map(({ tag }) => tag));

  test('follows so many, the same for the same client, and all where there are no more', async () => {
    const list = ports(...Array.from({ length: 30 }, (_, index) => index + 1));
    const [one, other] = [following({}, { subset: 5, client: 'a' }), following({}, { subset: 5, client: 'a' })];
    await one.give(list);
    await other.give([...list].reverse());
    expect(one.pool.size).toBe(5);
    expect(tags(one.pool).sort()).toEqual(tags(other.pool).sort());
    await one.give(ports(1, 2, 3));
    expect(tags(one.pool).sort()).toEqual(['1', '2', '3']);
  });

  test('is another for each pool, by default', async () => {
    const list = ports(...Array.from({ length: 30 }, (_, index) => index + 1));
    const pools = Array.from({ length: 4 }, () => following({}, { subset: 5 }));
    for (const { give } of pools) await give(list);
    expect(new Set(pools.map(({ pool }) => tags(pool).sort().join())).size).toBeGreaterThan(1);
  });

  // The table of docs/guides/membership.md: `CLIENTS=1000 npx jest pool/follow -t 'as even as chance'`.
  test('is as even as chance, and a change of one entry changes one member at most', () => {
    const [servers, size, clients] = [100, 20, Number(process.env['CLIENTS'] ?? 200)];
    const list = listOf(servers);
    const load = new Map<string, number>();
    let [changedByLoss, changedByGain, most] = [0, 0, 0];
    const fewer = list.slice(1);
    const more = [...list, ...listOf(servers + 1).slice(-1)];
    for (let client = 0; client < clients; client++) {
      const now = chosen(list, size, client);
      for (const tag of now) load.set(tag, (load.get(tag) ?? 0) + 1);
      const changes = [fewer, more].map((other) => {
        const next = chosen(other, size, client);
        return [...next].filter((tag) => !now.has(tag)).length;
      });
      changedByLoss += changes[0]!;
      changedByGain += changes[1]!;
      most = Math.max(most, ...changes);
    }
    const loads = [...load.values()];
    const figures = { least: Math.min(...loads), highest: Math.max(...loads), changedByLoss, changedByGain, most };
    if (process.env['CLIENTS'] !== undefined) process.stdout.write(`${JSON.stringify(figures)}\n`);
    expect(load.size).toBe(servers);
    const even = (clients * size) / servers;
    const deviation = Math.sqrt(even * (1 - size / servers));
    for (const each of [figures.least, figures.highest]) expect(Math.abs(each - even)).toBeLessThan(4 * deviation);
    // A fifth of the clients had the server that went, or get the one that came.
    expect(most).toBe(1);
    for (const changed of [changedByLoss, changedByGain]) expect(Math.abs(changed - even)).toBeLessThan(4 * deviation);
  });
});
