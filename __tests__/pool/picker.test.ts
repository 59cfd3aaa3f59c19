import { type ReconnectingConnection, type SelectMember, ConnectionPool } from 'reconnecting-connection';

import { QUICK, pair, track } from '../kit/loopback';

// The pool's list of open members follows each change, and is the same as a list that is made anew.

const MEMBERS = 40;

/** A pool whose members are open, in memory, and a function that ends the session of one. */
async function openPool(select: SelectMember) {
  const ends: (() => void)[] = [];
  const pool = track(
    new ConnectionPool({
      ...QUICK,
      select,
      dial: (target) => {
        const [near, far] = pair();
        if ('port' in target) ends[target.port - 1] = () => far.destroy();
        return near;
      },
    }),
  );
  const members = Array.from({ length: MEMBERS }, (_, index) => pool.add({ port: index + 1 }));
  await pool.whenOpen(MEMBERS);
  return { pool, members, end: (index: number) => ends[index]!() };
}

/** Without printing members, of which each is a long text. */
const isSame = (some: readonly unknown[], others: readonly unknown[]) =>
  some.length === others.length && some.every((each, index) => each === others[index]);

const openOf = (pool: ConnectionPool): ReconnectingConnection[] => [...pool].filter(({ state }) => state === 'open');

describe.each([1, 3, 20])('%i sessions end at a time', (count) => {
  test('a pick after each change chooses among the open members, in the order in which they joined', async () => {
    let offered: readonly ReconnectingConnection[] = [];
    const { pool, end } = await openPool((open) => (offered = open)[0]);
    const seen: number[] = [];
    const wrong: number[] = [];
    pool.on('state', () => {
      pool.pick();
      seen.push(offered.length);
      if (!isSame(offered, openOf(pool))) wrong.push(seen.length);
    });
    for (let index = 0; index < count; index++) end((index * 7) % MEMBERS);
    await new Promise((resolve) => pool.once('reset', resolve));
    await pool.whenOpen(MEMBERS);
    pool.removeAllListeners();
    expect(wrong).toEqual([]);
    expect(Math.min(...seen)).toBe(MEMBERS - count);
    expect(seen.at(-1)).toBe(MEMBERS);
  });
});

test('members that leave, join, retire and are restarted between two picks are in their places', async () => {
  let offered: readonly ReconnectingConnection[] = [];
  const { pool, members, end } = await openPool((open) => (offered = open)[0]);
  pool.pick();
  const before = offered;
  await pool.remove(members[3]!);
  await members[5]!.disconnect();
  const joined = pool.add({ port: 1 });
  end(7);
  pool.pick();
  expect(isSame(offered, openOf(pool))).toBe(true);
  members[5]!.connect();
  await Promise.all([joined, members[5]!, members[7]!].map((member) => member.whenOpen()));
  await pool.retire(members[9]!);
  pool.pick();
  expect(isSame(offered, openOf(pool))).toBe(true);
  expect(offered).toHaveLength(MEMBERS);
  expect(offered.slice(-3).map(({ tag }) => tag.split(':').at(-1))).toEqual(['1', '6', '10']);
  // What was offered once stays as it was.
  expect(before).toHaveLength(MEMBERS);
  expect(before[3]).toBe(members[3]);
});
