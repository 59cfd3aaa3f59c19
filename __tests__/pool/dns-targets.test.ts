import { Resolver } from 'node:dns/promises';

import { type DnsResolver, type DnsTargetsOptions, dnsTargets } from 'reconnecting-connection';

import { until } from '../kit/until';

/** A resolver that answers with what a test says, and counts its queries. */
class Answers implements DnsResolver {
  queries = 0;
  #answer: () => unknown = () => [];

  is(answer: unknown): void {
    this.#answer = () => answer;
  }

  fails(code: string): void {
    this.#answer = () => {
      throw Object.assign(new Error(`query failed: ${code}`), { code });
    };
  }

  readonly #resolve = async () => {
    this.queries += 1;
    await Promise.resolve();
    return this.#answer() as never; // `as`: a resolver may answer anything.
  };

  resolveSrv = this.#resolve;
  resolve4 = this.#resolve;
  resolve6 = this.#resolve;
}

const srv = (name: string, port: number, priority = 0, weight = 0) => ({ name, port, priority, weight });
const a = (address: string, ttl: number) => ({ address, ttl });

function asking(options: Partial<DnsTargetsOptions> = {}) {
  const resolver = new Answers();
  const record = options.record ?? 'SRV';
  const port = record === 'SRV' ? undefined : 7_000;
  const source = dnsTargets({ name: 'db.example', record, port, interval: 30_000, resolver, ...options });
  return { resolver, source, iterator: source[Symbol.asyncIterator]() };
}

/** What an iterator gives next, as text; '…' while it waits. */
async function settled(next: Promise<IteratorResult<readonly object[]>>): Promise<string> {
  const text = next.then(
    ({ done, value }) => (done === true ? 'done' : shown(value as object[])), // `as`: it is not done.
    (error: unknown) => (error as Error).message,
  );
  const waits = jest.advanceTimersByTimeAsync(0).then(() => '…');
  return await Promise.race([text, waits.then(() => waits)]);
}

const shown = (list: readonly object[]) =>
  // `as`: each is a target.
  (list as { host: string; port: number }[]).map(({ host, port }) => `${host}:${port}`).join(' ');

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
  jest.spyOn(Math, 'random').mockReturnValue(0.5);
});

afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.restoreAllMocks();
  jest.useRealTimers();
});

test('gives a list at once, and another when an answer differs', async () => {
  const { resolver, iterator } = asking();
  resolver.is([srv('b', 2), srv('a', 9), srv('a', 1)]);
  expect(await settled(iterator.next())).toBe('a:1 a:9 b:2');
  const next = iterator.next();
  expect(await settled(next)).toBe('…');
  // The same in another order.
  resolver.is([srv('a', 1), srv('b', 2), srv('a', 9)]);
  await jest.advanceTimersByTimeAsync(90_000);
  expect([await settled(next), resolver.queries]).toEqual(['…', 4]);
  resolver.is([srv('a', 1)]);
  await jest.advanceTimersByTimeAsync(30_000);
  expect(await settled(next)).toBe('a:1');
  await iterator.return?.();
});

test('spreads its queries over a fifth of the interval', async () => {
  const waits: number[] = [];
  for (const random of [0, 0.5, 0.999]) {
    jest.mocked(Math.random).mockReturnValue(random);
    const { resolver, iterator } = asking();
    await settled(iterator.next());
    void iterator.next();
    const start = Date.now();
    await jest.advanceTimersToNextTimerAsync();
    expect(resolver.queries).toBe(2);
    waits.push(Date.now() - start);
    await iterator.return?.();
  }
  expect(waits).toEqual([27_000, 30_000, 33_000].map((each) => expect.closeTo(each, -2) as number));
});

test.each<[ttls: number[], wait: number]>([
  [[300, 5], 5_000],
  [[0, 300], 1_000],
  [[300], 30_000],
])('asks for addresses of which the times to live are %p s again after %p ms', async (ttls, wait) => {
  const { resolver, iterator } = asking({ record: 'A' });
  resolver.is(ttls.map((ttl, index) => a(`10.0.0.${index + 1}`, ttl)));
  await settled(iterator.next());
  void iterator.next();
  await jest.advanceTimersByTimeAsync(wait - 1);
  expect(resolver.queries).toBe(1);
  await jest.advanceTimersByTimeAsync(1);
  expect(resolver.queries).toBe(2);
  await iterator.return?.();
});

test('gives addresses with the port, of either family', async () => {
  const four = asking({ record: 'A' });
  four.resolver.is([a('10.0.0.2', 9), a('10.0.0.1', 9)]);
  expect(await settled(four.iterator.next())).toBe('10.0.0.1:7000 10.0.0.2:7000');
  const six = asking({ record: 'AAAA' });
  six.resolver.is([a('fe80::1', 9)]);
  expect(await settled(six.iterator.next())).toBe('fe80::1:7000');
});

test.each<[what: string, records: object[], list: string]>([
  ['the lowest priority alone', [srv('a', 1, 2, 9), srv('b', 2, 1), srv('c', 3, 1)], 'b:2 c:3'],
  ['a member for each of equal weights', [srv('a', 1, 0, 33), srv('b', 2, 0, 33)], 'a:1 b:2'],
  ['members by weight', [srv('a', 1, 0, 20), srv('b', 2, 0, 60)], 'a:1 b:2 b:2 b:2'],
  ['rounded weights', [srv('a', 1, 0, 20), srv('b', 2, 0, 49)], 'a:1 b:2 b:2'],
  ['one for a weight of 0', [srv('a', 1, 0, 0), srv('b', 2, 0, 5), srv('c', 3, 0, 10)], 'a:1 b:2 c:3 c:3'],
  ['ten at most', [srv('a', 1, 0, 1), srv('b', 2, 0, 65_535)], `a:1${' b:2'.repeat(10)}`],
  ['none of a service that is not there', [srv('.', 1)], ''],
])('uses %s of SRV records', async (_what, records, list) => {
  const { resolver, iterator } = asking();
  resolver.is(records);
  expect(await settled(iterator.next())).toBe(list);
  void iterator.return?.();
});

test('ignores weights where it is asked to', async () => {
  const { resolver, iterator } = asking({ mostPerRecord: 1 });
  resolver.is([srv('a', 1, 0, 1), srv('b', 2, 0, 50)]);
  expect(await settled(iterator.next())).toBe('a:1 b:2');
});

test.each(['ENOTFOUND', 'ENODATA'])('gives an empty list for %s, and asks again', async (code) => {
  const { resolver, iterator } = asking();
  resolver.fails(code);
  expect(await settled(iterator.next())).toBe('');
  const next = iterator.next();
  await settled(next);
  resolver.is([srv('a', 1)]);
  await jest.advanceTimersByTimeAsync(30_000);
  expect(await settled(next)).toBe('a:1');
});

test.each<[what: string, answer: unknown, message: string]>([
  ['is no list', 'x', 'Expected the answer of the resolver to be an array, got "x" (string)'],
  ['has no record', [null], 'Expected a DNS record to be an object, got null'],
  ['has a bad name', [srv('a b', 1)], 'Expected the name of a DNS record to be '],
  [
    'has a bad port',
    [srv('a', 0)],
    'Expected the port of a DNS record to be an integer from 1 to 65535, got 0 (number)',
  ],
  ['has a bad priority', [srv('a', 1, NaN)], 'Expected the priority of a DNS record to be an integer from 0 to 65535'],
  ['has a bad weight', [srv('a', 1, 0, -1)], 'Expected the weight of a DNS record to be an integer from 0 to 65535'],
])('fails when the answer %s', async (_what, answer, message) => {
  const { resolver, iterator } = asking();
  resolver.is(answer);
  expect(await settled(iterator.next())).toContain(message);
});

test('ends with the error of a query that fails, and begins anew with another iterator', async () => {
  const { resolver, iterator, source } = asking();
  resolver.fails('ESERVFAIL');
  expect(await settled(iterator.next())).toBe('query failed: ESERVFAIL');
  expect(await settled(iterator.next())).toBe('done');
  resolver.is([srv('a', 1)]);
  const other = source[Symbol.asyncIterator]();
  expect(await settled(other.next())).toBe('a:1');
});

test('ends while it waits, and while it asks', async () => {
  const { resolver, iterator, source } = asking();
  await settled(iterator.next());
  const next = iterator.next();
  await settled(next);
  expect(jest.getTimerCount()).toBe(1);
  await iterator.return?.();
  expect([await settled(next), resolver.queries]).toEqual(['done', 1]);

  const asked = source[Symbol.asyncIterator]();
  const answer = asked.next();
  void asked.return?.();
  expect([await settled(answer), resolver.queries]).toEqual(['done', 2]);
  // A loop that is left ends it as well.
  for await (const list of source) {
    expect(list).toEqual([]);
    break;
  }
});

test('cancels a query of its own resolver', async () => {
  jest.useRealTimers();
  const cancel = jest.spyOn(Resolver.prototype, 'cancel');
  const query = jest
    .spyOn(Resolver.prototype, 'resolveSrv')
    .mockImplementation(
      () => new Promise((_, reject) => cancel.mockImplementation(() => reject(new Error('ECANCELLED')))),
    );
  const iterator = dnsTargets({ name: 'a.example', record: 'SRV', interval: 1 })[Symbol.asyncIterator]();
  const next = iterator.next();
  expect(query).toHaveBeenCalledTimes(1);
  void iterator.return?.();
  expect(await next).toEqual({ done: true, value: undefined });
  jest.useFakeTimers();
});

test('its timer keeps the process alive only while the last list was empty', async () => {
  jest.useRealTimers();
  const timers: NodeJS.Timeout[] = [];
  const { resolver, iterator } = asking();
  const original = setTimeout;
  jest.spyOn(globalThis, 'setTimeout').mockImplementation((run: () => void) => {
    const timer = original(run, 0);
    timers.push(timer);
    return timer;
  });
  await iterator.next();
  const next = iterator.next();
  await until(() => timers.length > 0);
  expect(timers[0]?.hasRef()).toBe(true);
  resolver.is([srv('a', 1)]);
  await next;
  const last = iterator.next();
  const count = timers.length;
  await until(() => timers.length > count);
  expect(timers.at(-1)?.hasRef()).toBe(false);
  await iterator.return?.();
  expect(await last).toEqual({ done: true, value: undefined });
  jest.useFakeTimers();
});

test.each<[options: object, message: RegExp]>([
  [{ record: 'SRV', interval: 1 }, /`name` to be given/],
  [{ name: 'a', interval: 1 }, /`record` to be given/],
  [{ name: 'a', record: 'SRV' }, /`interval` to be given/],
  [{ name: 'a', record: 'MX', interval: 1 }, /`record` to be 'SRV', 'A', 'AAAA'/],
  [{ name: 'a b', record: 'A', interval: 1 }, /`name`/],
  [{ name: 'a', record: 'A', interval: 1 }, /`port` to be given for addresses/],
  [{ name: 'a', record: 'SRV', port: 1, interval: 1 }, /`port` to be absent for SRV records, got 1/],
  [{ name: 'a', record: 'SRV', interval: 0 }, /`interval` to be a number ≥ 1/],
  [{ name: 'a', record: 'SRV', interval: 1, mostPerRecord: 0 }, /`mostPerRecord` to be an integer from 1 to 1000/],
  [{ name: 'a', record: 'SRV', interval: 1, resolver: {} }, /`resolver` to be an object with the method `resolveSrv`/],
  [{ name: 'a', record: 'SRV', interval: 1, ttl: 1 }, /Unknown option `ttl`/],
])('refuses %p', (options, message) => {
  // `as`: a mistake.
  expect(() => dnsTargets(options as DnsTargetsOptions)).toThrow(message);
});
