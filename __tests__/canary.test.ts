import * as fc from 'fast-check';

import { Canary, FIRST_WINDOW, LEAST_PATIENCE, LONGEST_WAIT } from '../lib/canary';

/** A canary with chance at its mean, and a dial that has connected. */
function clear({ took = 10, random = () => 0.5 } = {}): Canary {
  const canary = new Canary({ random });
  canary.begun(0);
  canary.connected(0, took);
  canary.ended();
  return canary;
}

/** As many dials as it allows at `now`. */
function dialAll(canary: Canary, now: number, most = 10_000): number {
  let dials = 0;
  for (; dials < most && canary.mayDial(now) === 0; dials++) canary.begun(now);
  return dials;
}

describe('probing', () => {
  it('is where it begins: one may dial, and the next not before a wait of up to 50 ms', () => {
    const canary = new Canary({ random: () => 0.999 });
    expect(canary).toMatchObject({ phase: 'probing', window: 1, dialling: 0, patience: undefined });
    expect(dialAll(canary, 100)).toBe(1);
    expect(canary.mayDial(100)).toBeCloseTo(50, 0);
    expect(canary.mayDial(120)).toBeCloseTo(30, 0);
    expect(canary.mayDial(150)).toBe(0);
  });

  it('waits no shorter for a dial that is never answered than for one that fails', () => {
    const [silent, refused] = [new Canary({ random: () => 0.5 }), new Canary({ random: () => 0.5 })];
    for (const canary of [silent, refused]) canary.begun(0);
    refused.failed(1, 1);
    refused.ended();
    expect([silent.mayDial(1), refused.mayDial(1)]).toEqual([24, 24]);
    expect([silent.dialling, refused.dialling]).toEqual([1, 0]);
  });

  it('waits longer and longer, from 100 ms by up to three times to a second, and never in step', () => {
    const waits = (random: () => number) => {
      const canary = new Canary({ random });
      let now = 0;
      return Array.from({ length: 8 }, () => {
        canary.begun(now);
        canary.failed(now, 0);
        canary.ended();
        const wait = canary.mayDial(now);
        now += wait;
        return Math.round(wait);
      });
    };
    expect(waits(() => 0)).toEqual([0, 100, 100, 100, 100, 100, 100, 100]);
    expect(waits(() => 0.5)).toEqual([25, 200, 350, 575, 913, 875, 875, 875]);
    expect(waits(() => 1)).toEqual([50, 300, 900, 1000, 1000, 1000, 1000, 1000]);
  });

  it('ends with the first that connects, and says that the endpoint is back', () => {
    const canary = new Canary();
    canary.begun(0);
    expect(canary.connected(5, 5)).toBe(true);
    expect(canary).toMatchObject({ phase: 'releasing', window: FIRST_WINDOW, connectTime: 5 });
  });

  it('does not end with a dial that was given up', () => {
    const canary = new Canary({ random: () => 0.5 });
    canary.begun(0);
    canary.ended();
    expect(canary).toMatchObject({ phase: 'probing', dialling: 0 });
    expect(canary.mayDial(0)).toBe(25);
  });
});

describe('releasing', () => {
  it('lets as many dial at once as the window holds, and one more for each that connects', () => {
    const canary = new Canary();
    canary.begun(0);
    canary.connected(1, 1);
    expect(dialAll(canary, 1)).toBe(FIRST_WINDOW - 1);
    canary.ended();
    expect(dialAll(canary, 1)).toBe(1);
    for (let dial = 0; dial < FIRST_WINDOW; dial++) {
      expect(canary.connected(2, 1)).toBe(false);
      canary.ended();
      if (dial < FIRST_WINDOW - 1) expect(dialAll(canary, 2)).toBe(2);
    }
    expect(canary).toMatchObject({ phase: 'releasing', window: 2 * FIRST_WINDOW, dialling: 2 * FIRST_WINDOW - 2 });
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

  it('ends with a dial that fails, and then the waits go on growing', () => {
    const canary = new Canary({ random: () => 0.5 });
    canary.begun(0);
    canary.failed(0, 0);
    canary.ended();
    canary.begun(25);
    canary.connected(25, 0);
    canary.begun(25);
    canary.failed(26, 1);
    expect(canary).toMatchObject({ phase: 'probing', window: 1 });
    expect(canary.mayDial(26)).toBe(350);
  });

  it('does not end with the failure of a dial from before the one that connected', () => {
    const canary = new Canary({ random: () => 0.5 });
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

  it('is none while the endpoint may not be there', () => {
    const canary = clear();
    canary.begun(1);
    canary.failed(1, 0);
    expect(canary.patience).toBeUndefined();
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

/** What may happen to a canary. */
const step = fc.record({
  what: fc.constantFrom('dial', 'dial', 'dial', 'connect', 'fail', 'give up', 'pass'),
  time: fc.integer({ min: 0, max: 2_000 }),
});

test('whatever happens, someone may dial within a second, and what it says of itself is in its bounds', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (steps, chance) => {
        const canary = new Canary({ random: () => chance.next().value as number });
        const begun: number[] = [];
        let now = 0;
        for (const { what, time } of steps) {
          if (what === 'pass') now += time;
          if (what === 'dial' && canary.mayDial(now) === 0) {
            canary.begun(now);
            begun.push(now);
          } else if (what !== 'pass' && begun.length > 0) {
            const took = now - begun.shift()!;
            const before = canary.phase;
            if (what === 'connect') expect(canary.connected(now, took)).toBe(before === 'probing');
            if (what === 'fail') canary.failed(now, took);
            canary.ended();
          }
          expect(canary.dialling).toBe(begun.length);
          expect(canary.mayDial(now)).toBeGreaterThanOrEqual(0);
          expect(canary.mayDial(now)).toBeLessThanOrEqual(LONGEST_WAIT);
          expect(canary.mayDial(now + LONGEST_WAIT)).toBe(0);
          expect(canary.window).toBeGreaterThanOrEqual(canary.phase === 'probing' ? 1 : FIRST_WINDOW);
          if (canary.phase === 'clear') expect(canary.dialling).toBeLessThan(FIRST_WINDOW);
          expect(canary.patience ?? LEAST_PATIENCE).toBeGreaterThanOrEqual(LEAST_PATIENCE);
        }
      },
    ),
  );
});

test('while nothing connects, dials are few however many ask: fewer than one in 100 ms from the second on', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), fc.boolean(), (chance, answers) => {
      const canary = new Canary({ random: () => chance.next().value as number });
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
      expect(dials).toBeLessThanOrEqual(302);
      expect(dials).toBeGreaterThanOrEqual(30);
    }),
    { numRuns: 20 },
  );
});
