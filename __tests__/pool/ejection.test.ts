import {
  type ReconnectingConnection,
  type PoolOptions,
  type SelectMember,
  ConnectionPool,
} from 'reconnecting-connection';

import { track } from '../kit/clean-up';
import { record } from '../kit/record';
import { refusal } from '../kit/refusal';
import { ScriptedLink, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

/** A pool of open members, by number from 1, whose servers the test plays. */
class Fixture {
  readonly pool: ConnectionPool;
  readonly members: ReconnectingConnection[];
  readonly links = new Map<number, ScriptedLink>();
  readonly down = new Set<number>();

  constructor(count: number, options: PoolOptions = {}) {
    this.pool = track(
      new ConnectionPool({
        backoff: () => 10,
        minUptime: 200,
        ejection: { failures: 3, baseTime: 1_000 },
        dial: (target, signal) => {
          const link = new ScriptedLink(signal);
          const number = 'port' in target ? target.port : 0;
          this.links.set(number, link);
          queueMicrotask(() => (this.down.has(number) ? link.fail('ECONNREFUSED') : link.connect()));
          return link;
        },
        ...options,
      }),
    );
    this.members = Array.from({ length: count }, (_, index) => this.pool.add({ port: index + 1 }));
  }

  /** The sessions of these members end, `times` times; each opens again. */
  async flap(numbers: readonly number[], times = 3): Promise<void> {
    for (let time = 0; time < times; time++) {
      for (const number of numbers) this.links.get(number)!.fail();
      await pass(20);
    }
  }

  /** Which members are picked, by number. */
  picks(key?: string, count = 12): string {
    const numbers = Array.from({ length: count }, () => this.members.indexOf(this.pool.pick(key)!) + 1);
    return [...new Set(numbers)].sort().join('');
  }
}

/** When all are open, and were for a second. */
async function start(count: number, options?: PoolOptions): Promise<Fixture> {
  const fixture = new Fixture(count, options);
  await settle();
  await pass(1_000);
  expect(fixture.pool.stats.open).toBe(count);
  return fixture;
}

test('a member whose sessions end one after another is left out of pick(), for longer each time', async () => {
  const fixture = await start(3);
  const { pool, members } = fixture;
  const events = record(pool, ['eject', 'restore']);
  await fixture.flap([1], 2);
  expect([fixture.picks(), pool.stats.ejected]).toEqual(['123', 0]);
  await fixture.flap([1], 1);

  const error = expect.objectContaining({ code: 'ECONNRESET' }) as Error;
  const info = {
    reason: 'error',
    error,
    failures: 3,
    ejections: 1,
    duration: 1_000,
    restoreAt: Date.now() - 20 + 1_000,
  };
  expect(events).toEqual([['eject', info, '127.0.0.1:1', members[0]]]);
  expect([members[0]!.state, fixture.picks(), pool.stats.ejected]).toEqual(['open', '23', 1]);
  await pass(979);
  expect(fixture.picks()).toBe('23');
  await pass(1);
  expect(events.slice(1)).toEqual([['restore', { ejections: 1, duration: 1_000 }, '127.0.0.1:1', members[0]]]);
  expect([fixture.picks(), pool.stats.ejected]).toEqual(['123', 0]);

  await fixture.flap([1], 1);
  expect(events[2]![1]).toMatchObject({ failures: 4, ejections: 2, duration: 2_000 });
  expect(fixture.picks()).toBe('23');
});

test('a member that cannot be dialled is ejected, and restored as soon as its session is healthy', async () => {
  const fixture = await start(3, { ejection: { failures: 3, baseTime: 60_000 } });
  const events = record(fixture.pool, ['eject', 'restore']);
  fixture.down.add(2);
  fixture.links.get(2)!.fail();
  await pass(100);
  expect(events.map(([event, info]) => [event, (info as { reason: string }).reason])).toEqual([['eject', 'error']]);
  fixture.down.clear();
  await pass(30);
  expect([fixture.members[1]!.state, fixture.picks()]).toEqual(['open', '13']);
  await pass(200);
  expect(fixture.picks()).toBe('123');
  expect(events).toHaveLength(2);
});

test('a lost session is one failure, and not another for its backoff', async () => {
  const fixture = await start(3);
  const events = record(fixture.pool, ['eject', 'backoff']);
  await fixture.flap([1], 1);
  expect(events.map(([event]) => event)).toEqual(['backoff']);
  // `reconnect()` in a listener of `reset` leaves no backoff: the failed dial after it counts.
  fixture.down.add(1);
  fixture.pool.once('reset', (_info, _tag, member) => member.reconnect());
  fixture.links.get(1)!.fail();
  await settle();
  expect(events.at(-1)?.[0]).toBe('eject');
});

test.each<[string, number[], number]>([
  ['all members', [1, 2, 3, 4], 4],
  ['most members', [1, 2, 3], 4],
  ['one of two members', [1], 2],
])('%s that fail are not ejected', async (_title, numbers, count) => {
  const fixture = await start(count);
  await fixture.flap(numbers, 10);
  expect(fixture.pool.stats.ejected).toBe(0);
});

test('no more than the share of the members is ejected, and one at least of three', async () => {
  for (const [count, maxShare, most] of [
    [10, 0.1, 1],
    [10, 0.3, 3],
    [10, 0, 1],
    [2, 0.5, 1],
  ] as const) {
    const fixture = await start(count, { ejection: { failures: 2, baseTime: 60_000, maxShare } });
    for (let number = 1; number <= count / 2; number++) await fixture.flap([number], 4);
    expect([count, maxShare, fixture.pool.stats.ejected]).toEqual([count, maxShare, most]);
    fixture.pool.destroy();
  }
});

test('while fewer than the panic share are left, ejected members are picked as well', async () => {
  const fixture = await start(3, { ejection: { failures: 2, baseTime: 60_000 } });
  await fixture.flap([1], 2);
  expect(fixture.picks()).toBe('23');
  fixture.down.add(2);
  fixture.links.get(2)!.fail();
  await pass(20);
  expect([fixture.picks(), fixture.pool.stats.ejected]).toEqual(['13', 1]);
  fixture.down.clear();
  await pass(20);
  expect(fixture.picks()).toBe('23');
});

test('what the application does to a member is no failure', async () => {
  const fixture = await start(3);
  const events = record(fixture.pool, ['eject']);
  for (let time = 0; time < 6; time++) {
    fixture.members[0]!.reconnect();
    await pass(50);
    fixture.members[1]!.reconnect();
    await pass(50);
  }
  expect(events).toEqual([]);
});

test('fail() counts, also for sessions that lasted a while, and silence does', async () => {
  const fixture = await start(3, { heartbeat: { interval: 200, timeout: 100, ping: () => undefined } });
  const feed = setInterval(() => [2, 3].forEach((number) => fixture.links.get(number)!.receive('.')), 50);
  await pass(2_000);
  clearInterval(feed);
  expect(fixture.pool.stats.ejected).toBe(1);
  expect(fixture.picks()).toBe('23');
  fixture.pool.destroy();

  const other = await start(3);
  const events = record(other.pool, ['eject']);
  for (let time = 0; time < 3; time++) {
    other.members[2]!.fail();
    await pass(500);
  }
  expect(events[0]?.[1]).toMatchObject({ reason: 'failed', failures: 3 });
});

test('a healthy session, or one that the application vouches for, ends the row', async () => {
  const fixture = await start(3);
  await fixture.flap([1, 1, 1], 1);
  await fixture.flap([1], 1);
  await pass(250);
  await fixture.flap([1], 2);
  fixture.members[0]!.markHealthy();
  await fixture.flap([1], 2);
  expect(fixture.pool.stats.ejected).toBe(0);
});

test('rendezvous keeps to the member of its key, and without a key passes over an ejected one', async () => {
  const fixture = await start(3, { select: 'rendezvous' });
  const key = ['a', 'b', 'c', 'd', 'e', 'f'].find((each) => fixture.picks(each, 1) === '1')!;
  await fixture.flap([1]);
  expect([fixture.picks(key), fixture.picks()]).toEqual(['1', '23']);
});

test.each(['round-robin', 'least-pending', 'random-two', 'peak-ewma'] as const)(
  '%s passes over an ejected member, with a key too, while another is open',
  async (select) => {
    const fixture = await start(3, { select });
    await fixture.flap([1]);
    expect(fixture.picks('key', 40)).not.toContain('1');
    expect(fixture.picks(undefined, 40)).not.toContain('1');
  },
);

test('a function is given the others without a key, all with one, and all where it takes none of the others', async () => {
  const asked: number[] = [];
  let select: SelectMember = (open) => open[0];
  const fixture = await start(3, {
    select: (open, key) => {
      asked.push(open.length);
      return select(open, key);
    },
  });
  await fixture.flap([1]);
  expect([fixture.picks(undefined, 1), fixture.picks('key', 1)]).toEqual(['2', '1']);
  const leader = fixture.members[0]!;
  select = (open) => open.find((member) => member === leader);
  expect(fixture.picks(undefined, 1)).toBe('1');
  select = () => leader;
  expect(fixture.picks(undefined, 1)).toBe('1');
  expect(Math.max(...asked)).toBe(3);
});

test('when the others have no room, the pool waits for them, and for the restored member', async () => {
  const fixture = await start(3, { queue: { maxBytes: 100 } });
  await fixture.flap([1]);
  for (const number of [2, 3]) fixture.links.get(number)!.stalled = true;
  const results = Array.from({ length: 4 }, () => fixture.pool.write(Buffer.alloc(20_000)));
  expect(results.at(-1)).toBe(false);
  expect(fixture.links.get(1)!.written).toEqual([]);
  const drained = record(fixture.pool, ['drain']);
  await pass(1_000);
  expect(drained).toEqual([['drain', '127.0.0.1:1', fixture.members[0]]]);
  expect(fixture.pool.write('x')).toBe(true);
});

test('broadcast() and whenOpen() count an ejected member, for it is open', async () => {
  const fixture = await start(3);
  await fixture.flap([1]);
  await fixture.pool.whenOpen(3);
  expect(fixture.pool.broadcast('all')).toBe(3);
});

test('an ejected member that leaves is not restored, and not counted', async () => {
  const fixture = await start(3);
  const events = record(fixture.pool, ['restore']);
  await fixture.flap([1]);
  const gone = fixture.pool.remove(fixture.members[0]!);
  await pass(2_500);
  await gone;
  expect([fixture.pool.stats.ejected, events]).toEqual([0, []]);
});

test('an ejected member is restored when so few are left that none may be ejected', async () => {
  const fixture = await start(3);
  const events = record(fixture.pool, ['restore']);
  await fixture.flap([1]);
  fixture.members[1]!.destroy();
  await settle();
  expect(events).toEqual([['restore', expect.objectContaining({ ejections: 1 }), '127.0.0.1:1', fixture.members[0]]]);
});

test('there is a timer only while a member is ejected, it holds no process, and none after the end', async () => {
  const fixture = await start(3, { socket: { keepAlive: false } });
  const before = jest.getTimerCount();
  await fixture.flap([1], 2);
  await pass(300);
  expect(jest.getTimerCount()).toBe(before);
  await fixture.flap([1], 3);
  await pass(300);
  expect(jest.getTimerCount()).toBe(before + 1);
  const events = record(fixture.pool, ['restore']);
  fixture.pool.destroy();
  await settle();
  expect([jest.getTimerCount(), events]).toEqual([0, []]);
});

test('with `ejection: false`, no member is ever left out', async () => {
  const fixture = await start(3, { ejection: false });
  await fixture.flap([1], 10);
  expect([fixture.picks(), fixture.pool.stats.ejected]).toEqual(['123', 0]);
});

test('by default, five failures eject for 30 s', async () => {
  const fixture = await start(3, { ejection: undefined });
  const events = record(fixture.pool, ['eject']);
  await fixture.flap([1], 4);
  expect(events).toEqual([]);
  await fixture.flap([1], 1);
  expect(events[0]?.[1]).toMatchObject({ failures: 5, duration: 30_000 });
});

test.each<[unknown, string]>([
  [true, 'Expected option `ejection` to be an object or false, got true (boolean)'],
  [{ failures: 0 }, 'Expected option `ejection.failures` to be an integer ≥ 1, got 0 (number)'],
  [{ baseTime: 0 }, 'Expected option `ejection.baseTime` to be a number ≥ 1, got 0 (number)'],
  [{ maxShare: 2 }, 'Expected option `ejection.maxShare` to be a number from 0 to 1, got 2 (number)'],
  [{ panicShare: '0.5' }, 'Expected option `ejection.panicShare` to be a number from 0 to 1, got "0.5" (string)'],
])('the option %j is refused', (ejection, message) => {
  // `as`: a program in JavaScript may pass anything.
  expect(refusal(() => new ConnectionPool({ ejection } as PoolOptions))).toContain(message);
});
