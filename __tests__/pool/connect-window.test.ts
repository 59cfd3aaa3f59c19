import * as fc from 'fast-check';

import { ConnectWindow, FIRST_WINDOW, LEAST_PATIENCE, LONGEST_WAIT } from '../../lib/pool/connect-window';

/** A canary with chance at its mean, and a dial that has connected. */
function clear({ took = 10, random = () => 0.5 } = {}): ConnectWindow {
  const canary = new ConnectWindow({ random });
  canary.begun(0);
  canary.connected(0, took);
  canary.ended();
  return canary;
}

/** As many dials as it allows at `now`. */
function dialAll(canary: ConnectWindow, now: number, most = 10_000): number {
  let dials = 0;
  for (; dials < most && canary.mayDial(now) === 0; dials++) canary.begun(now);
  return dials;
}

describe('probing', () => {
  it('is where it begins: one may dial, and the next not before a wait of up to 50 ms', () => {
    const canary = new ConnectWindow({ random: () => 0.999 });
    expect(canary).toMatchObject({ phase: 'probing', window: 1, dialling: 0, patience: undefined });
    expect(dialAll(canary, 100)).toBe(1);
    expect(canary.mayDial(100)).toBeCloseTo(50, 0);
    expect(canary.mayDial(120)).toBeCloseTo(30, 0);
    expect(canary.mayDial(150)).toBe(0);
  });

  it('waits no shorter for a dial that is never answered than for one that fails', () => {
    const [silent, refused] = [new ConnectWindow({ random: () => 0.5 }), new ConnectWindow({ random: () => 0.5 })];
    for (const canary of [silent, refused]) canary.begun(0);
    refused.failed(1, 1);
    refused.ended();
    expect([silent.mayDial(1), refused.mayDial(1)]).toEqual([24, 24]);
    expect([silent.dialling, refused.dialling]).toEqual([1, 0]);
  });

  it('waits for a tenth of the time that it has been gone, from 100 ms to a second, and never in step', () => {
    const dials = (random: () => number, until: number) => {
      const canary = new ConnectWindow({ random });
      const waits: number[] = [];
      for (let now = 0; now < until;) {
        canary.begun(now);
        canary.failed(now, 0);
        canary.ended();
        waits.push(canary.mayDial(now));
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
    const canary = new ConnectWindow();
    canary.begun(0);
    canary.connected(5, 5);
    expect(canary).toMatchObject({ phase: 'releasing', window: FIRST_WINDOW, connectTime: 5 });
  });

  it('does not end with a dial that was given up', () => {
    const canary = new ConnectWindow({ random: () => 0.5 });
    canary.begun(0);
    canary.ended();
    expect(canary).toMatchObject({ phase: 'probing', dialling: 0 });
    expect(canary.mayDial(0)).toBe(25);
  });
});

describe('releasing', () => {
  it('lets as many dial at once as the window holds, and half as many again each time that they have connected', () => {
    const canary = new ConnectWindow();
    canary.begun(0);
    canary.connected(1, 1);
    canary.ended();
    const rounds = [dialAll(canary, 1)];
    while (rounds.length < 6) {
      const round = rounds.at(-1)!;
      for (let dial = 0; dial < round; dial++) canary.connected(2, 1);
      rounds.push(dialAll(canary, 2));
      for (let dial = 0; dial < round; dial++) canary.ended();
      rounds[rounds.length - 1]! += dialAll(canary, 2);
    }
    expect(rounds).toEqual([FIRST_WINDOW, 4, 6, 9, 14, 21]);
    expect(canary).toMatchObject({ phase: 'releasing', window: 21, dialling: 21 });
  });

  it('is over when none is under way any more; then the window is small again', () => {
    const canary = clear();
    expect(canary).toMatchObject({ phase: 'clear', window: FIRST_WINDOW, dialling: 0 });
  });

  it('lets another dial after a second where none is ever answered', () => {
    const canary = clear();
    expect(dialAll(canary, 0)).toBe(FIRST_WINDOW);
    expect(canary.mayDial(0)).toBe(LONGEST_WAIT);
    expect(canary.mayDial(LONGEST_WAIT - 1)).toBe(1);
    expect(dialAll(canary, LONGEST_WAIT)).toBe(1);
    expect(canary.mayDial(LONGEST_WAIT)).toBe(LONGEST_WAIT);
  });

  it('ends with a dial that fails, and then the waits are as long as if it had never been back', () => {
    const canary = new ConnectWindow({ random: () => 0.5 });
    canary.begun(0);
    canary.failed(0, 0);
    canary.ended();
    canary.begun(5_025);
    canary.connected(5_025, 0);
    canary.begun(5_025);
    canary.failed(5_026, 1);
    expect(canary).toMatchObject({ phase: 'probing', window: 1 });
    expect(canary.mayDial(5_026)).toBeCloseTo(0.875 * 502.6);
  });

  it('does not end with the failure of a dial from before the one that connected', () => {
    const canary = new ConnectWindow({ random: () => 0.5 });
    canary.begun(0);
    canary.begun(25);
    canary.connected(30, 5);
    canary.failed(10_000, 10_000);
    expect(canary.phase).toBe('releasing');
    canary.begun(10_000);
    canary.failed(10_001, 1);
    expect(canary.phase).toBe('probing');
  });
});

describe('clear', () => {
  it('lets those dial who wish to, until they are as many as the first window', () => {
    const canary = clear();
    expect(dialAll(canary, 0, FIRST_WINDOW - 1)).toBe(FIRST_WINDOW - 1);
    expect(canary.phase).toBe('clear');
    expect(dialAll(canary, 0)).toBe(1);
    expect(canary.phase).toBe('releasing');
  });

  it('ends with a dial that fails, after which the next waits but a moment', () => {
    const canary = clear();
    canary.begun(1_000);
    canary.failed(1_001, 1);
    expect(canary.phase).toBe('probing');
    expect(canary.mayDial(1_001)).toBe(25);
    canary.ended();
    expect(canary.phase).toBe('probing');
  });
});

describe('patience', () => {
  it('is several times what dials take, and never less than 30 ms', () => {
    expect(clear({ took: 0.2 }).patience).toBe(LEAST_PATIENCE);
    expect(clear({ took: 100 }).patience).toBe(500);
    const canary = clear({ took: 100 });
    for (let dial = 0; dial < 50; dial++) {
      canary.begun(dial);
      canary.connected(dial, 100);
      canary.ended();
    }
    expect(canary.patience).toBeCloseTo(300, 0);
    expect(canary.connectTime).toBe(100);
  });

  it('is none where nothing is known, and is not forgotten while the endpoint may not be there', () => {
    const canary = new ConnectWindow();
    expect(canary.patience).toBeUndefined();
    canary.begun(1);
    canary.connected(1, 100);
    canary.failed(2, 0);
    expect(canary).toMatchObject({ phase: 'probing', patience: 500 });
  });

  it('is not lost for one dial that was, and follows a way that has become longer', () => {
    const canary = clear({ took: 1 });
    const dial = (took: number) => {
      canary.begun(0);
      canary.connected(0, took);
      canary.ended();
    };
    dial(1_000);
    expect(canary.patience).toBeLessThan(80);
    for (let dials = 0; dials < 30; dials++) dial(100);
    expect(canary.patience).toBeGreaterThan(300);
  });

  it('does not follow how long this process takes to see many dials connect', () => {
    const canary = clear({ took: 1 });
    for (let dial = 0; dial < 50; dial++) canary.begun(0);
    for (let dial = 0; dial < 45; dial++) {
      canary.connected(500, 500);
      canary.ended();
    }
    expect(canary.connectTime).toBe(1);
  });
});

describe('a dial that is overdue', () => {
  /** A canary that is releasing, with a window of so many at least, all of them taken at `now`. */
  function releasing(window: number, now = 0): ConnectWindow {
    const canary = clear();
    dialAll(canary, now);
    while (canary.window < window) {
      canary.connected(now, 10);
      canary.ended();
      dialAll(canary, now);
    }
    return canary;
  }

  it('frees its place and halves the window, once for all that began before', () => {
    const canary = releasing(16);
    for (let dial = 0; dial < 7; dial++) canary.overdue(50, 50);
    expect(canary).toMatchObject({ phase: 'releasing', window: 8, dialling: 9 });
    canary.overdue(60, 60);
    expect(dialAll(canary, 60)).toBe(0);
    canary.overdue(60, 60);
    expect(dialAll(canary, 60)).toBe(1);
    expect(canary).toMatchObject({ window: 8, dialling: 8 });
    canary.overdue(100, 40);
    expect(canary).toMatchObject({ window: 4, dialling: 7 });
  });

  it('makes the window grow slowly from then on, by little more than one place a round', () => {
    const canary = releasing(20);
    canary.overdue(50, 50);
    expect(canary.window).toBe(10);
    for (let dial = 0; dial < 10; dial++) canary.connected(60, 10);
    expect(canary.window).toBe(11);
    for (let dial = 0; dial < 11; dial++) canary.connected(70, 10);
    expect(canary.window).toBe(12);
  });

  it('makes the endpoint one that has to be found out, where there was but one place left', () => {
    const canary = releasing(FIRST_WINDOW);
    canary.overdue(50, 50);
    expect(canary).toMatchObject({ phase: 'releasing', window: 1 });
    canary.begun(51);
    canary.overdue(101, 50);
    expect(canary).toMatchObject({ phase: 'probing', window: 1, dialling: FIRST_WINDOW - 1 });
    expect(canary.mayDial(101)).toBe(25);
  });

  it('changes nothing where it has to be found out already', () => {
    const canary = new ConnectWindow({ random: () => 0.5 });
    canary.begun(0);
    canary.overdue(20, 20);
    expect(canary).toMatchObject({ phase: 'probing', dialling: 0 });
    expect(canary.mayDial(20)).toBe(5);
    canary.connected(22, 22);
    canary.ended(true);
    expect(canary).toMatchObject({ phase: 'clear', dialling: 0 });
  });

  it('is forgotten when the endpoint is clear', () => {
    const canary = releasing(FIRST_WINDOW);
    canary.overdue(50, 50);
    canary.ended(true);
    for (let dial = 1; dial < FIRST_WINDOW; dial++) canary.ended();
    expect(canary).toMatchObject({ phase: 'clear', window: FIRST_WINDOW, dialling: 0 });
    dialAll(canary, 60);
    canary.connected(61, 1);
    canary.connected(61, 1);
    expect(canary.window).toBe(FIRST_WINDOW + 1);
  });
});

/** What may happen to a canary. */
const step = fc.record({
  what: fc.constantFrom('dial', 'dial', 'dial', 'connect', 'fail', 'overdue', 'give up', 'pass'),
  time: fc.integer({ min: 0, max: 2_000 }),
});

test('whatever happens, someone may dial within a second, and what it says of itself is in its bounds', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (steps, chance) => {
        const canary = new ConnectWindow({ random: () => chance.next().value as number });
        const begun: number[] = [];
        const late: number[] = [];
        let now = 0;
        for (const { what, time } of steps) {
          if (what === 'pass') now += time;
          if (what === 'dial' && canary.mayDial(now) === 0) {
            canary.begun(now);
            begun.push(now);
          } else if (what === 'overdue' && begun.length > 0) {
            const since = begun.shift()!;
            canary.overdue(now, now - since);
            late.push(since);
          } else if (what !== 'pass' && begun.length + late.length > 0) {
            const isOverdue = late.length > 0;
            const took = now - (late.shift() ?? begun.shift()!);
            if (what === 'connect') {
              canary.connected(now, took);
              expect(canary.phase).not.toBe('probing');
            }
            if (what === 'fail') canary.failed(now, took);
            canary.ended(isOverdue);
          }
          expect(canary.dialling).toBe(begun.length);
          expect(canary.mayDial(now)).toBeGreaterThanOrEqual(0);
          expect(canary.mayDial(now)).toBeLessThanOrEqual(LONGEST_WAIT);
          expect(canary.mayDial(now + LONGEST_WAIT)).toBe(0);
          expect(canary.window).toBeGreaterThanOrEqual(1);
          if (canary.phase === 'clear') expect(canary.dialling).toBeLessThan(FIRST_WINDOW);
          expect(canary.patience ?? LEAST_PATIENCE).toBeGreaterThanOrEqual(LEAST_PATIENCE);
        }
      },
    ),
  );
});

test('while nothing connects, dials are few however many ask: some ten in the first second, and a growing wait later', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), fc.boolean(), (chance, answers) => {
      const canary = new ConnectWindow({ random: () => chance.next().value as number });
      let dials = 0;
      for (let now = 0; now < 30_000; now++) {
        while (canary.mayDial(now) === 0) {
          canary.begun(now);
          dials += 1;
          if (!answers) continue;
          canary.failed(now, 0);
          canary.ended();
        }
      }
      // With the shortest waits that chance can bring, and with the longest.
      expect(dials).toBeLessThanOrEqual(75);
      expect(dials).toBeGreaterThanOrEqual(50);
    }),
    { numRuns: 20 },
  );
});
