import * as fc from 'fast-check';

import { ConnectWindow, FIRST_WINDOW, LEAST_SLOW_AFTER, LONGEST_WAIT } from '../../lib/pool/connect-window';

/** A window with chance at its mean, and a dial that has connected. */
function healthy({ took = 10, random = () => 0.5 } = {}): ConnectWindow {
  const window = new ConnectWindow({ random });
  window.begun(0);
  window.connected(0, took);
  window.ended();
  return window;
}

/** As many dials as it allows at `now`. */
function dialAll(window: ConnectWindow, now: number, most = 10_000): number {
  let dials = 0;
  for (; dials < most && window.mayDial(now) === 0; dials++) window.begun(now);
  return dials;
}

describe('probing', () => {
  it('is where it begins: one may dial, and the next not before a wait of up to 50 ms', () => {
    const window = new ConnectWindow({ random: () => 0.999 });
    expect(window).toMatchObject({ phase: 'probing', size: 1, dialling: 0, slowAfter: undefined });
    expect(dialAll(window, 100)).toBe(1);
    expect(window.mayDial(100)).toBeCloseTo(50, 0);
    expect(window.mayDial(120)).toBeCloseTo(30, 0);
    expect(window.mayDial(150)).toBe(0);
  });

  it('waits no shorter for a dial that is never answered than for one that fails', () => {
    const [silent, refused] = [new ConnectWindow({ random: () => 0.5 }), new ConnectWindow({ random: () => 0.5 })];
    for (const window of [silent, refused]) window.begun(0);
    refused.failed(1, 1);
    refused.ended();
    expect([silent.mayDial(1), refused.mayDial(1)]).toEqual([24, 24]);
    expect([silent.dialling, refused.dialling]).toEqual([1, 0]);
  });

  it('waits for a tenth of the time that it has been gone, from 100 ms to a second, and never in step', () => {
    const dials = (random: () => number, until: number) => {
      const window = new ConnectWindow({ random });
      const waits: number[] = [];
      for (let now = 0; now < until;) {
        window.begun(now);
        window.failed(now, 0);
        window.ended();
        waits.push(window.mayDial(now));
        now += waits.at(-1)!;
      }
      return waits.map(Math.round);
    };
    expect(dials(() => 0, 300)).toEqual([0, 75, 75, 75, 75]);
    expect(dials(() => 0.5, 300)).toEqual([25, 88, 88, 88, 88]);
    expect(dials(() => 1, 300)).toEqual([50, 100, 100, 100]);
    const half = dials(() => 1, 5_000);
    expect([half.length, half.at(-1)]).toEqual([28, 482]);
    expect(new Set(dials(() => 0, 60_000).slice(-20))).toEqual(new Set([750]));
    expect(new Set(dials(() => 1, 60_000).slice(-20))).toEqual(new Set([LONGEST_WAIT]));
  });

  it('ends with the first that connects', () => {
    const window = new ConnectWindow();
    window.begun(0);
    window.connected(5, 5);
    expect(window).toMatchObject({ phase: 'ramping', size: FIRST_WINDOW, connectTime: 5 });
  });

  it('does not end with a dial that was given up', () => {
    const window = new ConnectWindow({ random: () => 0.5 });
    window.begun(0);
    window.ended();
    expect(window).toMatchObject({ phase: 'probing', dialling: 0 });
    expect(window.mayDial(0)).toBe(25);
  });
});

describe('ramping', () => {
  it('lets as many dial at once as the window holds, and half as many again each time that they have connected', () => {
    const window = new ConnectWindow();
    window.begun(0);
    window.connected(1, 1);
    window.ended();
    const rounds = [dialAll(window, 1)];
    while (rounds.length < 6) {
      const round = rounds.at(-1)!;
      for (let dial = 0; dial < round; dial++) window.connected(2, 1);
      rounds.push(dialAll(window, 2));
      for (let dial = 0; dial < round; dial++) window.ended();
      rounds[rounds.length - 1]! += dialAll(window, 2);
    }
    expect(rounds).toEqual([FIRST_WINDOW, 4, 6, 9, 14, 21]);
    expect(window).toMatchObject({ phase: 'ramping', size: 21, dialling: 21 });
  });

  it('is over when none is under way any more; then the window is small again', () => {
    const window = healthy();
    expect(window).toMatchObject({ phase: 'healthy', size: FIRST_WINDOW, dialling: 0 });
  });

  it('lets another dial after a second where none is ever answered', () => {
    const window = healthy();
    expect(dialAll(window, 0)).toBe(FIRST_WINDOW);
    expect(window.mayDial(0)).toBe(LONGEST_WAIT);
    expect(window.mayDial(LONGEST_WAIT - 1)).toBe(1);
    expect(dialAll(window, LONGEST_WAIT)).toBe(1);
    expect(window.mayDial(LONGEST_WAIT)).toBe(LONGEST_WAIT);
  });

  it('ends with a dial that fails, and then the waits are as long as if it had never been back', () => {
    const window = new ConnectWindow({ random: () => 0.5 });
    window.begun(0);
    window.failed(0, 0);
    window.ended();
    window.begun(5_025);
    window.connected(5_025, 0);
    window.begun(5_025);
    window.failed(5_026, 1);
    expect(window).toMatchObject({ phase: 'probing', size: 1 });
    expect(window.mayDial(5_026)).toBeCloseTo(0.875 * 502.6);
  });

  it('does not end with the failure of a dial from before the one that connected', () => {
    const window = new ConnectWindow({ random: () => 0.5 });
    window.begun(0);
    window.begun(25);
    window.connected(30, 5);
    window.failed(10_000, 10_000);
    expect(window.phase).toBe('ramping');
    window.begun(10_000);
    window.failed(10_001, 1);
    expect(window.phase).toBe('probing');
  });
});

describe('healthy', () => {
  it('lets dials begin at once, until they are as many as the first window', () => {
    const window = healthy();
    expect(dialAll(window, 0, FIRST_WINDOW - 1)).toBe(FIRST_WINDOW - 1);
    expect(window.phase).toBe('healthy');
    expect(dialAll(window, 0)).toBe(1);
    expect(window.phase).toBe('ramping');
  });

  it('ends when the window is full, also when it has grown by a fraction', () => {
    const window = new ConnectWindow();
    const dialled = (count: number) => {
      for (let dial = 0; dial < count; dial++) window.begun(0);
    };
    const connected = () => {
      window.connected(0, 1);
      window.ended();
    };
    dialled(1);
    connected();
    dialled(2);
    connected();
    dialled(2);
    expect([window.size, window.dialling, window.phase]).toEqual([3, 3, 'ramping']);
  });

  it('ends with a dial that fails, after which the next waits but a moment', () => {
    const window = healthy();
    window.begun(1_000);
    window.failed(1_001, 1);
    expect(window.phase).toBe('probing');
    expect(window.mayDial(1_001)).toBe(25);
    window.ended();
    expect(window.phase).toBe('probing');
  });
});

describe('slowAfter', () => {
  it('is several times what dials take, and never less than 30 ms', () => {
    expect(healthy({ took: 0.2 }).slowAfter).toBe(LEAST_SLOW_AFTER);
    expect(healthy({ took: 100 }).slowAfter).toBe(500);
    const window = healthy({ took: 100 });
    for (let dial = 0; dial < 50; dial++) {
      window.begun(dial);
      window.connected(dial, 100);
      window.ended();
    }
    expect(window.slowAfter).toBeCloseTo(300, 0);
    expect(window.connectTime).toBe(100);
  });

  it('is none where nothing is known, and is not forgotten while the endpoint may not be there', () => {
    const window = new ConnectWindow();
    expect(window.slowAfter).toBeUndefined();
    window.begun(1);
    window.connected(1, 100);
    window.failed(2, 0);
    expect(window).toMatchObject({ phase: 'probing', slowAfter: 500 });
  });

  it('is not lost for one dial that was, and follows a way that has become longer', () => {
    const window = healthy({ took: 1 });
    const dial = (took: number) => {
      window.begun(0);
      window.connected(0, took);
      window.ended();
    };
    dial(1_000);
    expect(window.slowAfter).toBeLessThan(80);
    for (let dials = 0; dials < 30; dials++) dial(100);
    expect(window.slowAfter).toBeGreaterThan(300);
  });

  it('does not follow how long this process takes to see many dials connect', () => {
    const window = healthy({ took: 1 });
    for (let dial = 0; dial < 50; dial++) window.begun(0);
    for (let dial = 0; dial < 45; dial++) {
      window.connected(500, 500);
      window.ended();
    }
    expect(window.connectTime).toBe(1);
  });
});

describe('a slow dial', () => {
  /** A window that is ramping, with a window of so many at least, all of them taken at `now`. */
  function ramping(size: number, now = 0): ConnectWindow {
    const window = healthy();
    dialAll(window, now);
    while (window.size < size) {
      window.connected(now, 10);
      window.ended();
      dialAll(window, now);
    }
    return window;
  }

  it('frees its place and halves the window, once for all that began before', () => {
    const window = ramping(16);
    for (let dial = 0; dial < 7; dial++) window.slow(50, 50);
    expect(window).toMatchObject({ phase: 'ramping', size: 8, dialling: 9 });
    window.slow(60, 60);
    expect(dialAll(window, 60)).toBe(0);
    window.slow(60, 60);
    expect(dialAll(window, 60)).toBe(1);
    expect(window).toMatchObject({ size: 8, dialling: 8 });
    window.slow(100, 40);
    expect(window).toMatchObject({ size: 4, dialling: 7 });
  });

  it('makes the window grow slowly from then on, by little more than one place a round', () => {
    const window = ramping(20);
    window.slow(50, 50);
    expect(window.size).toBe(10);
    for (let dial = 0; dial < 10; dial++) window.connected(60, 10);
    expect(window.size).toBe(11);
    for (let dial = 0; dial < 11; dial++) window.connected(70, 10);
    expect(window.size).toBe(12);
  });

  it('makes the endpoint one that has to be found out, where there was but one place left', () => {
    const window = ramping(FIRST_WINDOW);
    window.slow(50, 50);
    expect(window).toMatchObject({ phase: 'ramping', size: 1 });
    window.begun(51);
    window.slow(101, 50);
    expect(window).toMatchObject({ phase: 'probing', size: 1, dialling: FIRST_WINDOW - 1 });
    expect(window.mayDial(101)).toBe(25);
  });

  it('changes nothing where it has to be found out already', () => {
    const window = new ConnectWindow({ random: () => 0.5 });
    window.begun(0);
    window.slow(20, 20);
    expect(window).toMatchObject({ phase: 'probing', dialling: 0 });
    expect(window.mayDial(20)).toBe(5);
    window.connected(22, 22);
    window.ended(true);
    expect(window).toMatchObject({ phase: 'healthy', dialling: 0 });
  });

  it('is forgotten when the endpoint is healthy', () => {
    const window = ramping(FIRST_WINDOW);
    window.slow(50, 50);
    window.ended(true);
    for (let dial = 1; dial < FIRST_WINDOW; dial++) window.ended();
    expect(window).toMatchObject({ phase: 'healthy', size: FIRST_WINDOW, dialling: 0 });
    dialAll(window, 60);
    window.connected(61, 1);
    window.connected(61, 1);
    expect(window.size).toBe(FIRST_WINDOW + 1);
  });
});

/** What may happen to a window. */
const step = fc.record({
  what: fc.constantFrom('dial', 'dial', 'dial', 'connect', 'fail', 'slow', 'give up', 'pass'),
  time: fc.integer({ min: 0, max: 2_000 }),
});

test('whatever happens, a dial may begin within a second, and the figures stay within their bounds', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (steps, chance) => {
        const window = new ConnectWindow({ random: () => chance.next().value as number });
        const begun: number[] = [];
        const late: number[] = [];
        let now = 0;
        for (const { what, time } of steps) {
          if (what === 'pass') now += time;
          if (what === 'dial' && window.mayDial(now) === 0) {
            window.begun(now);
            begun.push(now);
          } else if (what === 'slow' && begun.length > 0) {
            const since = begun.shift()!;
            window.slow(now, now - since);
            late.push(since);
          } else if (what !== 'pass' && begun.length + late.length > 0) {
            const wasSlow = late.length > 0;
            const took = now - (late.shift() ?? begun.shift()!);
            if (what === 'connect') {
              window.connected(now, took);
              expect(window.phase).not.toBe('probing');
            }
            if (what === 'fail') window.failed(now, took);
            window.ended(wasSlow);
          }
          expect(window.dialling).toBe(begun.length);
          expect(window.mayDial(now)).toBeGreaterThanOrEqual(0);
          expect(window.mayDial(now)).toBeLessThanOrEqual(LONGEST_WAIT);
          expect(window.mayDial(now + LONGEST_WAIT)).toBe(0);
          expect(window.size).toBeGreaterThanOrEqual(1);
          if (window.phase === 'healthy') expect(window.dialling).toBeLessThan(FIRST_WINDOW);
          expect(window.slowAfter ?? LEAST_SLOW_AFTER).toBeGreaterThanOrEqual(LEAST_SLOW_AFTER);
        }
      },
    ),
  );
});

test('while nothing connects, dials are few however many ask: some ten in the first second, and a growing wait later', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), fc.boolean(), (chance, answers) => {
      const window = new ConnectWindow({ random: () => chance.next().value as number });
      let dials = 0;
      for (let now = 0; now < 30_000; now++) {
        while (window.mayDial(now) === 0) {
          window.begun(now);
          dials += 1;
          if (!answers) continue;
          window.failed(now, 0);
          window.ended();
        }
      }
      // With the shortest waits that chance can bring, and with the longest.
      expect(dials).toBeLessThanOrEqual(75);
      expect(dials).toBeGreaterThanOrEqual(50);
    }),
    { numRuns: 20 },
  );
});
