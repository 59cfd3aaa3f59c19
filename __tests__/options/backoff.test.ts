import {
  type Backoff,
  type ConstantBackoffOptions,
  type ExponentialBackoffOptions,
  type Jitter,
  MIN_DELAY,
  clampDelay,
  connmanBackoff,
  constantBackoff,
  defaultBackoff,
  exponentialBackoff,
} from '../../lib/options/backoff';
import { refusal } from '../kit/refusal';

const LONGEST = 2 ** 31 - 1;
const DRAWS = 10_000;
/** Invalid results of a `random` function. */
const invalidRandoms = [Number.NaN, -1, -Infinity, Infinity, 2, undefined, null, 'x', {}];

/** A random number generator that returns the same sequence in each run (mulberry32). */
function seeded(seed = 20_26): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The waits of the first `count` retries of an outage. */
function outage(backoff: Backoff, count: number, generation?: number): number[] {
  const delays: number[] = [];
  for (let attempt = 1; attempt <= count; attempt++) {
    const previousDelay = delays.at(-1);
    const context = { attempt, ...(previousDelay !== undefined && { previousDelay }) };
    delays.push(backoff({ ...context, ...(generation !== undefined && { generation }) })!);
  }
  return delays;
}

/** Many waits for the same retry. */
function draws(backoff: Backoff, attempt: number, previousDelay?: number): number[] {
  const context = { attempt, ...(previousDelay !== undefined && { previousDelay }) };
  return Array.from({ length: DRAWS }, () => backoff(context)!);
}

function isTimerDelay(delay: number | undefined): boolean {
  return Number.isInteger(delay) && delay! >= MIN_DELAY && delay! <= LONGEST;
}

describe('clampDelay()', () => {
  it.each([
    [100, 100],
    [10, 10],
    [9.99, 10],
    [10.4, 10],
    [10.5, 11],
    [0, 10],
    [-0, 10],
    [-5, 10],
    [Number.NaN, 10],
    [-Infinity, 10],
    [LONGEST, LONGEST],
    [LONGEST + 1, LONGEST],
    [Number.MAX_VALUE, LONGEST],
    [Infinity, LONGEST],
  ])('turns %p into %p ms', (value, delay) => {
    expect(clampDelay(value)).toBe(delay);
  });
});

describe('exponentialBackoff()', () => {
  it('doubles up to its cap when there is no jitter', () => {
    const backoff = exponentialBackoff({ initialDelay: 100, maxDelay: 1_000, jitter: 'none' });
    expect(outage(backoff, 6)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it.each<[ExponentialBackoffOptions, number[]]>([
    [{}, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]],
    [{ multiplier: 1 }, [100, 100, 100]],
    [{ multiplier: 1.5 }, [100, 150, 225, 338, 506]],
    [{ multiplier: 10, maxDelay: 5_000 }, [100, 1_000, 5_000, 5_000]],
    [{ initialDelay: 0 }, [10, 10, 10]],
    [{ initialDelay: 3 }, [10, 10, 12, 24]],
    [{ initialDelay: 500, maxDelay: 500 }, [500, 500]],
    // A given delay limits the default of the other.
    [{ maxDelay: 50 }, [50, 50]],
    [{ initialDelay: 60_000 }, [60_000, 60_000]],
    [{ maxDelay: 0 }, [10, 10]],
    [{ maxDelay: LONGEST, initialDelay: LONGEST }, [LONGEST, LONGEST]],
    [{ maxDelay: LONGEST, multiplier: Number.MAX_VALUE }, [100, LONGEST, LONGEST]],
    [{ initialDelay: undefined, maxDelay: undefined }, [100, 200]],
  ])('with %j returns %j', (options, delays) => {
    expect(outage(exponentialBackoff({ ...options, jitter: 'none' }), delays.length)).toEqual(delays);
  });

  it('depends on the attempt only, so that connections can share it', () => {
    const backoff = exponentialBackoff({ jitter: 'none' });
    expect([3, 1, 2].map((attempt) => backoff({ attempt }))).toEqual([400, 100, 200]);
  });

  it.each<[Jitter, least: number, most: number]>([
    ['full', 10, 800],
    ['equal', 400, 800],
    ['none', 800, 800],
  ])('with %s jitter returns %i to %i ms for the fourth retry, and reaches both ends', (jitter, least, most) => {
    const delays = draws(exponentialBackoff({ jitter, random: seeded() }), 4);
    expect(delays.every(isTimerDelay)).toBe(true);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(least);
    expect(Math.min(...delays)).toBeLessThanOrEqual(least + 1);
    expect(Math.max(...delays)).toBeLessThanOrEqual(most);
    expect(Math.max(...delays)).toBeGreaterThanOrEqual(most - 1);
  });

  it.each<[Jitter, mean: number]>([
    ['full', 400],
    ['equal', 600],
  ])('with %s jitter is uniform', (jitter, mean) => {
    const delays = draws(exponentialBackoff({ jitter, random: seeded() }), 4);
    const average = delays.reduce((sum, delay) => sum + delay, 0) / DRAWS;
    expect(Math.abs(average - mean)).toBeLessThan(10);
  });

  it.each<Jitter>(['full', 'equal', 'decorrelated'])('with %s jitter is still random at the cap', (jitter) => {
    const delays = draws(exponentialBackoff({ jitter, random: seeded(), maxDelay: 10_000 }), 50, 10_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(10_000);
    expect(new Set(delays).size).toBeGreaterThan(3_000);
    // A cap that is applied after the jitter would return the cap itself most of the time.
    expect(delays.filter((delay) => delay === 10_000).length).toBeLessThan(20);
  });

  it('uses full jitter by default', () => {
    const delays = draws(exponentialBackoff({ random: seeded() }), 4);
    expect(delays).toEqual(draws(exponentialBackoff({ jitter: 'full', random: seeded() }), 4));
  });

  it('uses Math.random by default', () => {
    const random = jest.spyOn(Math, 'random').mockReturnValue(0.5);
    try {
      expect(exponentialBackoff()({ attempt: 2 })).toBe(100);
      expect(random).toHaveBeenCalledTimes(1);
    } finally {
      random.mockRestore();
    }
  });

  describe('with decorrelated jitter', () => {
    it('returns the initial delay to three times the previous wait', () => {
      const backoff = exponentialBackoff({ jitter: 'decorrelated', initialDelay: 1_000, random: seeded() });
      for (const [previousDelay, most] of [
        [undefined, 3_000],
        [200, 3_000],
        [2_000, 6_000],
        [20_000, 30_000],
      ] as const) {
        const delays = draws(backoff, 2, previousDelay);
        expect(Math.min(...delays)).toBeGreaterThanOrEqual(1_000);
        expect(Math.min(...delays)).toBeLessThan(1_020);
        expect(Math.max(...delays)).toBeLessThanOrEqual(most);
        expect(Math.max(...delays)).toBeGreaterThan(most * 0.99);
      }
    });

    it('grows by its multiplier', () => {
      const options = { jitter: 'decorrelated', initialDelay: 1_000, random: () => 1 } as const;
      expect(outage(exponentialBackoff(options), 4)).toEqual([3_000, 9_000, 27_000, 30_000]);
      expect(outage(exponentialBackoff({ ...options, multiplier: 2 }), 4)).toEqual([2_000, 4_000, 8_000, 16_000]);
      expect(outage(exponentialBackoff({ ...options, multiplier: 1 }), 2)).toEqual([1_000, 1_000]);
    });

    it.each<[initialDelay: number, chances: number[], delay: number]>([
      [1_000, [0.3], 27_700],
      [1_000, [0.5, 0], 22_500],
      [1_000, [0.5, 0.5], 26_250],
      [1_000, [0.5, 1], 30_000],
      [29_000, [0.5, 0], 29_000],
      [30_000, [0.5, 0.5], 30_000],
    ])(
      'after %i ms, with the random numbers %j and a cap of 30 s, returns %i ms: above the cap it draws again from its last quarter',
      (initialDelay, chances, delay) => {
        const left = [...chances];
        const backoff = exponentialBackoff({ jitter: 'decorrelated', initialDelay, random: () => left.shift()! });
        expect(backoff({ attempt: 9, previousDelay: 30_000 })).toBe(delay);
        expect(left).toEqual([]);
      },
    );

    it('may decrease, and is never below the initial delay', () => {
      const backoff = exponentialBackoff({ jitter: 'decorrelated', initialDelay: 1_000, random: () => 0 });
      expect(backoff({ attempt: 9, previousDelay: 30_000 })).toBe(1_000);
    });
  });

  it('returns the same delays for the same random numbers', () => {
    for (const jitter of ['full', 'equal', 'decorrelated'] as const) {
      const run = () => outage(exponentialBackoff({ jitter, random: seeded(7) }), 50);
      expect(run()).toEqual(run());
    }
  });

  it('stays within its limits when `random` returns an invalid value', () => {
    for (const [chance, delay] of [
      [7, 1_000],
      [-7, 500],
      [Number.NaN, 500],
    ] as const) {
      expect(exponentialBackoff({ jitter: 'equal', maxDelay: 1_000, random: () => chance })({ attempt: 9 })).toBe(
        delay,
      );
    }
  });

  it('spreads out a thousand clients that fail at the same moment', () => {
    const random = seeded();
    const arrivals = Array.from({ length: 1_000 }, () =>
      outage(exponentialBackoff({ random, maxDelay: 10_000 }), 8).reduce((sum, delay) => sum + delay, 0),
    );
    const crowds = new Map<number, number>();
    for (const arrival of arrivals) {
      const bin = Math.floor(arrival / 100);
      crowds.set(bin, (crowds.get(bin) ?? 0) + 1);
    }
    expect(Math.max(...crowds.values())).toBeLessThan(40);
  });

  it.each<[option: string, value: unknown]>([
    ['initialDelay', -1],
    ['initialDelay', Number.NaN],
    ['initialDelay', 2 ** 31],
    ['initialDelay', '100'],
    ['initialDelay', null],
    ['maxDelay', -1],
    ['maxDelay', Infinity],
    ['multiplier', 0.5],
    ['multiplier', Infinity],
    ['jitter', 'some'],
    ['random', 0.5],
    ['randomness', () => 0],
  ])('refuses `%s`: %p', (option, value) => {
    expect(refusal(() => exponentialBackoff({ [option]: value }))).toContain(`option \`backoff.${option}\``);
  });

  it.each([null, 5, 'full', []])('refuses %p instead of options', (options) => {
    expect(refusal(() => exponentialBackoff(options as object))).toMatch(
      /^Expected option `backoff` to be an object, got /,
    );
  });

  it('refuses an initial delay above the cap', () => {
    expect(refusal(() => exponentialBackoff({ initialDelay: 11, maxDelay: 10 }))).toBe(
      'Expected option `backoff.initialDelay` to be at most `maxDelay` (10), got 11 (number)',
    );
  });
});

describe('constantBackoff()', () => {
  it.each([
    [500, 500],
    [10, 10],
    [0, 10],
    [0.4, 10],
    [LONGEST, LONGEST],
  ])('(%p) returns %p each time', (milliseconds, delay) => {
    expect(outage(constantBackoff(milliseconds), 3)).toEqual([delay, delay, delay]);
  });

  it.each<[NonNullable<ConstantBackoffOptions['jitter']>, least: number]>([
    ['full', 10],
    ['equal', 500],
    ['none', 1_000],
  ])('with %s jitter returns %i ms to the given delay', (jitter, least) => {
    const delays = draws(constantBackoff(1_000, { jitter, random: seeded() }), 1);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(least);
    expect(Math.min(...delays)).toBeLessThanOrEqual(least + 1);
    expect(Math.max(...delays)).toBeGreaterThanOrEqual(999);
    expect(Math.max(...delays)).toBeLessThanOrEqual(1_000);
  });

  it.each([-1, Number.NaN, 2 ** 31, Infinity, '5', null, undefined])('refuses the delay %p', (milliseconds) => {
    expect(refusal(() => constantBackoff(milliseconds as number))).toMatch(
      /^Expected the delay of `constantBackoff` to be a number . \d+, got /,
    );
  });

  it.each([{ jitter: 'decorrelated' }, { random: 1 }, { jitters: 'full' }, null])(
    'refuses %j for options',
    (options) => {
      expect(refusal(() => constantBackoff(1, options as ConstantBackoffOptions))).toContain('option `backoff');
    },
  );
});

describe('connmanBackoff()', () => {
  it('doubles from 10 ms to 128 s before the first session', () => {
    expect(outage(connmanBackoff(), 16)).toEqual([
      10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_240, 20_480, 40_960, 81_920, 128_000, 128_000,
    ]);
    expect(outage(connmanBackoff(), 3, 0)).toEqual([10, 20, 40]);
  });

  it('doubles from 50 ms after a session', () => {
    expect(outage(connmanBackoff(), 14, 1)).toEqual([
      50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 128_000, 128_000,
    ]);
    expect(outage(connmanBackoff(), 3, 7)).toEqual([50, 100, 200]);
  });
});

describe('defaultBackoff()', () => {
  it('returns up to 250 ms for the first retry', () => {
    const delays = draws(defaultBackoff({ random: seeded() }), 1);
    expect(Math.min(...delays)).toBe(10);
    expect(Math.max(...delays)).toBeGreaterThan(248);
    expect(Math.max(...delays)).toBeLessThanOrEqual(250);
  });

  it('then grows from 1 s to 8 s, and is random there', () => {
    const backoff = defaultBackoff({ random: seeded() });
    const second = draws(backoff, 2, 250);
    expect(Math.min(...second)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...second)).toBeLessThanOrEqual(3_000);
    const late = draws(backoff, 100, 8_000);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...late)).toBeLessThanOrEqual(8_000);
    expect(new Set(late).size).toBeGreaterThan(3_000);
  });

  it('uses Math.random by default', () => {
    const random = jest.spyOn(Math, 'random').mockReturnValue(0.5);
    try {
      expect(outage(defaultBackoff(), 3)).toEqual([125, 2_000, 3_500]);
    } finally {
      random.mockRestore();
    }
  });

  it('refuses unknown options', () => {
    expect(refusal(() => defaultBackoff({ maxDelay: 5 } as object))).toBe(
      'Unknown option `backoff.maxDelay`, expected one of: random',
    );
    expect(refusal(() => defaultBackoff({ random: 0.5 } as object))).toBe(
      'Expected option `backoff.random` to be a function, got 0.5 (number)',
    );
  });
});

describe.each<[string, (random: () => number) => Backoff]>([
  ['exponentialBackoff() with full jitter', (random) => exponentialBackoff({ jitter: 'full', random })],
  ['exponentialBackoff() with equal jitter', (random) => exponentialBackoff({ jitter: 'equal', random })],
  ['exponentialBackoff() with decorrelated jitter', (random) => exponentialBackoff({ jitter: 'decorrelated', random })],
  ['exponentialBackoff() without jitter', (random) => exponentialBackoff({ jitter: 'none', random })],
  [
    'exponentialBackoff() that starts from nothing',
    (random) => exponentialBackoff({ initialDelay: 0, multiplier: 1e300, jitter: 'decorrelated', random }),
  ],
  [
    'exponentialBackoff() at the bounds of its options',
    (random) => exponentialBackoff({ initialDelay: 0, maxDelay: LONGEST, multiplier: Number.MAX_VALUE, random }),
  ],
  ['constantBackoff()', (random) => constantBackoff(5, { jitter: 'full', random })],
  ['connmanBackoff()', () => connmanBackoff()],
  ['defaultBackoff()', (random) => defaultBackoff({ random })],
])('%s', (_title, make) => {
  it('always returns a delay that a timer can wait (10,000 calls)', () => {
    const backoff = make(seeded());
    for (let attempt = 1; attempt <= 100; attempt++) {
      for (let draw = 0; draw < 100; draw++) {
        const delay = backoff({ attempt, ...(draw % 2 === 1 && { previousDelay: draw * 1_000, generation: draw }) });
        if (!isTimerDelay(delay)) throw new Error(`attempt ${attempt} would wait for ${delay} ms`);
      }
    }
    expect(outage(backoff, 200).every(isTimerDelay)).toBe(true);
  });

  it.each([1_025, 10_000, Number.MAX_SAFE_INTEGER, Infinity])('does not overflow at attempt %p', (attempt) => {
    const backoff = make(seeded());
    expect(isTimerDelay(backoff({ attempt }))).toBe(true);
    expect(isTimerDelay(backoff({ attempt, previousDelay: LONGEST, generation: attempt }))).toBe(true);
  });

  it.each([0, -1, Number.NaN])('returns a valid delay for the impossible attempt %p', (attempt) => {
    expect(isTimerDelay(make(seeded())({ attempt }))).toBe(true);
  });

  it.each(invalidRandoms)('returns a valid delay when `random` returns %p', (chance) => {
    const backoff = make(() => chance as number);
    expect(outage(backoff, 20).every(isTimerDelay)).toBe(true);
  });
});
