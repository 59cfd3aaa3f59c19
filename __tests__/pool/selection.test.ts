import { type Candidate, type Selector, type SelectorName, selector } from '../../lib/pool/selection';

function member(tag: string, pendingBytes = 0): Candidate {
  return { tag, pendingBytes };
}

/** Members `a`, `b`, `c` … with these numbers of pending bytes. */
function members(...pending: number[]): Candidate[] {
  return pending.map((bytes, index) => member(String.fromCharCode(97 + index), bytes));
}

const MANY_KEYS = Array.from({ length: 10_000 }, (_, index) => `user:${index}`);
/** Fewer keys, for tests without statistics. */
const KEYS = MANY_KEYS.slice(0, 1_000);

/** How often each candidate is selected for `keys`. */
function tally(select: Selector, candidates: Candidate[], keys: (string | undefined)[]): Map<Candidate, number> {
  const counts = new Map(candidates.map((candidate) => [candidate, 0]));
  for (const key of keys) {
    const chosen = select(candidates, key)!;
    counts.set(chosen, counts.get(chosen)! + 1);
  }
  return counts;
}

/** A random number generator that returns the same sequence in each run. */
function seeded(): () => number {
  let state = 1;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}

describe.each<SelectorName>(['round-robin', 'least-pending', 'random-two', 'peak-ewma', 'rendezvous'])('%s', (name) => {
  it('selects a single candidate', () => {
    const only = member('a', 5);
    const select = selector(name);
    expect([select([only]), select([only], 'key'), select([only])]).toEqual([only, only, only]);
  });

  it('selects one of the candidates, also when they change', () => {
    const select = selector(name);
    for (const size of [3, 1, 5, 2, 2, 8, 1]) {
      const candidates = members(...Array<number>(size).fill(0));
      expect(candidates).toContain(select(candidates));
      expect(candidates).toContain(select(candidates, 'key'));
    }
  });

  it('does not change the list', () => {
    const candidates = Object.freeze(members(3, 1, 2));
    selector(name)(candidates, 'key');
    expect(candidates).toEqual(members(3, 1, 2));
  });
});

describe.each<SelectorName>(['round-robin', 'least-pending', 'random-two', 'peak-ewma', 'rendezvous'])(
  '%s, where some candidates have no room',
  (name) => {
    it('selects one that has, however many have not', () => {
      const select = selector(name, seeded());
      const candidates = members(0, 0, 1, 2, 3, 4, 5, 6);
      for (const only of candidates) {
        for (let count = 0; count < 20; count++) {
          expect(select(candidates, undefined, (candidate) => candidate === only)).toBe(only);
        }
      }
    });

    it('selects one all the same where none has', () => {
      const candidates = members(0, 1, 2);
      expect(candidates).toContain(selector(name)(candidates, undefined, () => false));
    });
  },
);

describe('round-robin', () => {
  it('asks for the room of one candidate only, where that has some', () => {
    const hasRoom = jest.fn(() => true);
    const candidates = members(...Array<number>(1_000).fill(0));
    for (const name of ['round-robin', 'random-two', 'peak-ewma', 'rendezvous'] as const) {
      hasRoom.mockClear();
      selector(name)(candidates, undefined, hasRoom);
      expect(hasRoom).toHaveBeenCalledTimes(1);
    }
  });

  it('selects the candidates in turn', () => {
    const select = selector('round-robin');
    const candidates = members(0, 0, 0);
    expect(Array.from({ length: 7 }, () => select(candidates)?.tag)).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a']);
  });

  it('selects each candidate equally often, whatever the keys and the loads', () => {
    const candidates = members(0, 1e6, 5, 7);
    const counts = tally(selector('round-robin'), candidates, MANY_KEYS.slice(0, 4_000));
    expect([...counts.values()]).toEqual([1_000, 1_000, 1_000, 1_000]);
  });

  it('stays within the list when it shrinks and grows', () => {
    const select = selector('round-robin');
    const candidates = members(0, 0, 0, 0);
    const turns = [4, 4, 4, 2, 2, 4, 1, 4].map((size) => select(candidates.slice(0, size))?.tag);
    expect(turns).toEqual(['a', 'b', 'c', 'b', 'a', 'b', 'a', 'b']);
  });

  it('has a position of its own for each pool', () => {
    const candidates = members(0, 0);
    const [one, other] = [selector('round-robin'), selector('round-robin')];
    expect([one, one, other].map((select) => select(candidates)?.tag)).toEqual(['a', 'b', 'a']);
  });
});

describe('least-pending', () => {
  it.each<[pending: number[], chosen: string]>([
    [[5, 3, 4], 'b'],
    [[0, 0, 0], 'a'],
    [[2, 1, 1], 'b'],
    [[1, 2, 0], 'c'],
  ])('selects among members with %j pending bytes %s', (pending, chosen) => {
    expect(selector('least-pending')(members(...pending))?.tag).toBe(chosen);
  });
});

describe('random-two', () => {
  it.each<[chance: number[], chosen: string]>([
    // Two different members are drawn, and the less loaded is selected, or the first of equals.
    [[0, 0], 'b'],
    [[0, 0.99], 'c'],
    [[0.34, 0], 'b'],
    [[0.34, 0.99], 'b'],
    [[0.99, 0], 'c'],
    [[0.99, 0.99], 'b'],
    [[1, 1], 'b'],
  ])('selects with the random numbers %j member %s', (chance, chosen) => {
    const chances = [...chance];
    expect(selector('random-two', () => chances.shift()!)(members(30, 10, 20))?.tag).toBe(chosen);
  });

  it.each([0, 0.99])('selects the less loaded of two members, whatever the random number (%p)', (chance) => {
    const select = selector('random-two', () => chance);
    expect([select(members(30, 10))?.tag, select(members(10, 30))?.tag]).toEqual(['b', 'a']);
  });

  it('draws each member with the same probability', () => {
    const candidates = members(0, 0, 0, 0, 0);
    const counts = [...tally(selector('random-two', seeded()), candidates, MANY_KEYS).values()];
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(200);
  });

  it('never selects the most loaded member', () => {
    const candidates = members(1, 2, 3, 4, 5);
    expect(tally(selector('random-two', seeded()), candidates, MANY_KEYS).get(candidates[4]!)).toBe(0);
  });

  it('is better than one random member: the highest load stays close to the mean', () => {
    const fullest = (select: Selector) => {
      const loads = Array.from({ length: 100 }, (_, index) => ({ tag: String(index), pendingBytes: 0 }));
      for (let write = 0; write < 10_000; write++) (select(loads) as { pendingBytes: number }).pendingBytes += 1;
      return Math.max(...loads.map(({ pendingBytes }) => pendingBytes));
    };
    const random = seeded();
    const byChance = fullest((candidates) => candidates[Math.floor(random() * candidates.length)]);
    const byTwo = fullest(selector('random-two', random));
    // The mean is 100. In theory the highest load is about 100 + √(2·100·ln 100) ≈ 130 for one random member, and 102 for two.
    expect(byChance).toBeGreaterThan(115);
    expect(byTwo).toBeLessThan(107);
  });

  it('uses Math.random by default', () => {
    const random = jest.spyOn(Math, 'random').mockReturnValue(0);
    try {
      expect(selector('random-two')(members(1, 0, 0))?.tag).toBe('b');
      expect(random).toHaveBeenCalledTimes(2);
    } finally {
      random.mockRestore();
    }
  });
});

describe('rendezvous', () => {
  const select = selector('rendezvous');
  const ten = Array.from({ length: 10 }, (_, index) => member(`10.0.0.${index}:6379`));

  /** The tag of the selected member for each key. */
  const placesIn = (candidates: Candidate[], by = select) => KEYS.map((key) => by(candidates, key)?.tag);

  /** The tags for all keys while all ten members are open. */
  const home = placesIn(ten);

  it('selects the same member for the same key, whatever the order of the members', () => {
    expect(placesIn(ten)).toEqual(home);
    expect(placesIn([...ten].reverse())).toEqual(home);
    expect(placesIn(ten, selector('rendezvous'))).toEqual(home);
  });

  it('ignores the load', () => {
    expect(placesIn(ten.map(({ tag }, index) => member(tag, index * 1_000)))).toEqual(home);
  });

  it('spreads 10,000 keys evenly over ten members', () => {
    // Binomial: one standard deviation is 30.
    for (const count of tally(select, ten, MANY_KEYS).values()) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  });

  it.each<[string, (index: number) => string, (index: number) => string]>([
    ['a port', (index) => `127.0.0.1:${6370 + index}`, (index) => `user:${index}`],
    ['a letter', (index) => String.fromCharCode(97 + index), (index) => String(index)],
    ['the end of a path', (index) => `unix:/run/db/${index}.sock`, (index) => `tenant-4711/session/${index}/cart`],
    ['length alone', (index) => 'x'.repeat(index + 1), (index) => 'y'.repeat(index % 200) + String(index)],
    ['script', (index) => `db${index}.example:1`, (index) => String.fromCodePoint(0x4e00 + index)],
  ])('spreads members and keys that differ by %s', (_title, tagOf, keyOf) => {
    const some = Array.from({ length: 5 }, (_, index) => member(tagOf(index)));
    const keys = Array.from({ length: 1_000 }, (_, index) => keyOf(index));
    // Binomial: one standard deviation is 13.
    for (const count of tally(select, some, keys).values()) expect(Math.abs(count - 200)).toBeLessThan(60);
  });

  it.each([0, 4, 9])('moves only the keys of member %i when it leaves, and returns them when it returns', (leaver) => {
    const left = ten[leaver]!.tag;
    const without = placesIn(ten.filter(({ tag }) => tag !== left));
    expect(without).toEqual(home.map((tag, index) => (tag === left ? without[index] : tag)));
    expect(without).not.toContain(left);
    // It returns at the end of the list, as a restarted member does.
    expect(placesIn([...ten.filter(({ tag }) => tag !== left), member(left)])).toEqual(home);
  });

  it('spreads the keys of a member that leaves over all others', () => {
    const [leaver, ...rest] = ten;
    // About 200 keys for nine members.
    const orphans = MANY_KEYS.slice(0, 2_000).filter((key) => select(ten, key) === leaver);
    const counts = tally(select, rest, orphans);
    for (const count of counts.values()) expect(Math.abs(count - 22)).toBeLessThan(16);
  });

  it('moves only its share of the keys to a new member, and none between the others', () => {
    const newcomer = '10.0.0.10:6379';
    const places = placesIn([...ten, member(newcomer)]);
    expect(places).toEqual(home.map((tag, index) => (places[index] === newcomer ? newcomer : tag)));
    expect(Math.abs(places.filter((tag) => tag === newcomer).length - 1_000 / 11)).toBeLessThan(30);
  });

  describe('with members that share a target', () => {
    const twins = [member('a:1'), member('b:1'), member('a:1')];

    it('uses both', () => {
      const counts = [...tally(select, twins, KEYS).values()];
      for (const count of counts) expect(Math.abs(count - 333)).toBeLessThan(60);
    });

    it('uses all of them, however many share a target', () => {
      const counts = [...tally(select, [...twins, member('a:1'), member('a:1')], KEYS).values()];
      for (const count of counts) expect(Math.abs(count - 200)).toBeLessThan(60);
    });

    it('moves only the keys of the last when it leaves', () => {
      const alone = twins.slice(0, 2);
      const moved = KEYS.filter((key) => select(twins, key) !== select(alone, key));
      expect(moved).toEqual(KEYS.filter((key) => select(twins, key) === twins[2]));
    });

    it('moves no key from another target when one of them leaves', () => {
      const alone = twins.slice(1);
      const others = KEYS.filter((key) => select(twins, key)?.tag === 'b:1');
      expect(others.filter((key) => select(alone, key)?.tag !== 'b:1')).toEqual([]);
    });
  });

  it('treats an empty key as a key', () => {
    expect(new Set(Array.from({ length: 20 }, () => select(ten, ''))).size).toBe(1);
  });

  it('selects in turn without a key', () => {
    const candidates = members(0, 0, 0);
    const fresh = selector('rendezvous');
    fresh(candidates, 'a key does not count');
    expect(Array.from({ length: 4 }, () => fresh(candidates)?.tag)).toEqual(['a', 'b', 'c', 'a']);
  });
});
