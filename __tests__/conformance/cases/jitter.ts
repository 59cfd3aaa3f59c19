import { strict as assert } from 'node:assert';

import {
  type Backoff,
  type ExponentialBackoffOptions,
  constantBackoff,
  defaultBackoff,
  exponentialBackoff,
} from 'reconnecting-connection';

import { type Case, within } from '../lab';

const DRAWS = 10_000;
const CLIENTS = 1_000;

/** A source of chance that repeats itself: the seed decides. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** One jitter, and between what a wait has to lie. */
interface Bounds {
  readonly name: string;
  readonly make: (random?: () => number) => Backoff;
  readonly least: (attempt: number, previousDelay: number) => number;
  readonly most: (attempt: number, previousDelay: number) => number;
}

const range = { initialDelay: 100, maxDelay: 20_000, multiplier: 2 };
const capped = (attempt: number) => Math.min(100 * 2 ** (attempt - 1), 20_000);
const exponential = (jitter: ExponentialBackoffOptions['jitter']) => (random?: () => number) =>
  exponentialBackoff({ ...range, ...(jitter && { jitter }), ...(random && { random }) });

const jitters: readonly Bounds[] = [
  { name: 'full', make: exponential('full'), least: () => 10, most: capped },
  { name: 'equal', make: exponential('equal'), least: (attempt) => capped(attempt) / 2, most: capped },
  {
    name: 'decorrelated',
    make: exponential('decorrelated'),
    least: () => 100,
    most: (_attempt, previous) => Math.min(Math.max(100, previous) * 2, 20_000),
  },
  {
    name: 'constant with full jitter',
    make: (random) => constantBackoff(5_000, { jitter: 'full', ...(random && { random }) }),
    least: () => 10,
    most: () => 5_000,
  },
  {
    name: 'the default',
    make: (random) => defaultBackoff(random && { random }),
    least: (attempt) => (attempt === 1 ? 10 : 1_000),
    most: (attempt, previous) => (attempt === 1 ? 250 : Math.min(Math.max(1_000, previous) * 3, 8_000)),
  },
];

/** Section B: chance. */
export const jitter: readonly Case[] = [
  {
    id: 'C20',
    title: 'jitter keeps its bounds and uses all of them, and the same chance gives the same waits',
    needs: ['own'],
    run: () => {
      for (const bounds of jitters) keepsBounds(bounds);
      for (const { name, make } of jitters) {
        const sequence = (seed: number) => outage(make(seeded(seed)), 100);
        assert.deepEqual(sequence(1), sequence(1), name);
        assert.notDeepEqual(sequence(1), sequence(2), name);
      }
      return Promise.resolve();
    },
  },
  {
    id: 'C21',
    title: 'clients that lost their server together do not come back together',
    limit: 60_000,
    run: async (lab) => {
      if (lab.has('own')) inTheory();

      const clients = 200;
      const server = await lab.serve();
      // Chance as the library has it when nobody asks for anything.
      const backoff = { initialDelay: 1_000, maxDelay: 1_000 };
      const subjects = Array.from({ length: clients }, () => lab.create({ ...server.target, backoff }));
      for (const subject of subjects) await subject.waitFor('open', 1, 30_000);
      await server.session(clients);
      // A server that stands still for a moment sees many at once: one good round will do.
      let worst = Infinity;
      for (let round = 0; round < 3 && worst > 0.6 * clients; round++) {
        const before = server.accepted;
        server.drop();
        await within(
          server.until(() => server.accepted >= before + clients),
          'all are back',
          30_000,
        );
        worst = fullest(server.acceptedAt.slice(before), 200);
      }
      await Promise.all(subjects.map(({ client }) => client.disconnect()));

      assert(worst <= 0.6 * clients, `${worst} of ${clients} came back within the same 200 ms`);
    },
  },
];

/** What 1,000 clients of one start do: in the first retry, and after half a minute. */
function inTheory(): void {
  const policies: Record<string, (random: () => number) => Backoff> = {
    'the default': (random) => defaultBackoff({ random }),
    'full jitter': (random) => exponentialBackoff({ initialDelay: 1_000, jitter: 'full', random }),
    'decorrelated jitter': (random) => exponentialBackoff({ initialDelay: 1_000, jitter: 'decorrelated', random }),
    'equal jitter': (random) => exponentialBackoff({ initialDelay: 1_000, jitter: 'equal', random }),
  };
  for (const [name, policy] of Object.entries(policies)) {
    const chance = seeded(2_026);
    const arrivals = fleet(() => policy(chance));
    const first = arrivals.map(([at]) => at!);
    const width = Math.max(...first) / 10;
    assert(fullest(first, width) <= 0.3 * CLIENTS, `${name}: ${fullest(first, width)} in a tenth of the first wait`);
    const late = arrivals.flat().filter((at) => at > 30_000 && at < 60_000);
    assert(late.length > CLIENTS / 2, `${name}: ${late.length} arrivals in the second half minute`);
    assert(fullest(late, 100) <= 0.06 * CLIENTS, `${name}: ${fullest(late, 100)} within 100 ms`);
  }

  // What it looks like where nothing is left to chance, to know that the count would tell.
  const lockstep = fleet(() => exponentialBackoff({ jitter: 'none' }));
  assert.equal(
    fullest(
      lockstep.map(([at]) => at!),
      1,
    ),
    CLIENTS,
  );
}

/** When each of the clients dials, in milliseconds since all of them lost their server, for a minute. */
function fleet(make: () => Backoff): number[][] {
  return Array.from({ length: CLIENTS }, () => {
    const arrivals: number[] = [];
    let at = 0;
    for (const delay of outage(make(), 200)) {
      at += delay;
      if (at > 60_000) break;
      arrivals.push(at);
    }
    return arrivals;
  });
}

/** The most that fall into one bin of `width` milliseconds. */
function fullest(times: readonly number[], width: number): number {
  const start = Math.min(...times);
  const bins = new Map<number, number>();
  for (const at of times) {
    const bin = Math.floor((at - start) / width);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  }
  return Math.max(...bins.values());
}

/** The waits of the first `count` retries of an outage. */
function outage(backoff: Backoff, count: number): number[] {
  const delays: number[] = [];
  for (let attempt = 1; attempt <= count; attempt++) {
    const previousDelay = delays.at(-1);
    delays.push(backoff({ attempt, ...(previousDelay !== undefined && { previousDelay }) })!);
  }
  return delays;
}

/** Draws for the first, a middle and a late retry. */
function keepsBounds({ name, make, least, most }: Bounds): void {
  const backoff = make();
  const cases = [
    { attempt: 1, previousDelay: 0 },
    { attempt: 4, previousDelay: 1_500 },
    { attempt: 40, previousDelay: 20_000 },
  ];
  for (const { attempt, previousDelay } of cases) {
    const from = least(attempt, previousDelay);
    const to = most(attempt, previousDelay);
    const drawn = Array.from({ length: DRAWS }, () => backoff({ attempt, previousDelay })!);
    const [low, high] = [Math.min(...drawn), Math.max(...drawn)];
    const what = `${name}, retry ${attempt}: ${low} to ${high}`;
    assert(low >= from && high <= to, `${what}, and not from ${from} to ${to}`);
    assert(drawn.every(Number.isInteger), `${what}: whole milliseconds`);
    // At the cap, decorrelated jitter draws from its last quarter only: half of that is spread enough.
    assert(high - low > (to - from) / 10 && high > 0.98 * to, `${what} leaves much of ${from} to ${to} unused`);
  }
}
