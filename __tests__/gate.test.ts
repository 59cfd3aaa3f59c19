import * as fc from 'fast-check';

import { type Gate, limitedGate, openGate, pacedGate } from '../lib/gate';
import { pass, useFakeClock } from './kit/scripted';

/** Lets guests in through a gate, and knows who is inside. */
class Party {
  readonly #gate: Gate;
  readonly #leave = new Map<string, () => void>();
  /** Who was let in, in that order; a guest that is let in twice is here twice. */
  readonly entered: string[] = [];

  constructor(gate: Gate) {
    this.#gate = gate;
  }

  enter(...guests: string[]): this {
    for (const guest of guests)
      this.#leave.set(
        guest,
        this.#gate.enter(() => void this.entered.push(guest)),
      );
    return this;
  }

  leave(...guests: string[]): this {
    for (const guest of guests) this.#leave.get(guest)?.();
    return this;
  }
}

describe('openGate', () => {
  it('lets everyone through at once', () => {
    const party = new Party(openGate).enter('a', 'b', 'c');
    expect(party.entered).toEqual(['a', 'b', 'c']);
    party.leave('a', 'a', 'c').enter('d');
    expect(party.entered).toEqual(['a', 'b', 'c', 'd']);
  });
});

describe('limitedGate()', () => {
  it('lets at most its limit through at a time, the others in the order they came', () => {
    const party = new Party(limitedGate(2)).enter('a', 'b', 'c', 'd');
    expect(party.entered).toEqual(['a', 'b']);
    party.leave('b');
    expect(party.entered).toEqual(['a', 'b', 'c']);
    party.leave('a');
    expect(party.entered).toEqual(['a', 'b', 'c', 'd']);
    party.leave('c', 'd').enter('e', 'f', 'g');
    expect(party.entered).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('lets nobody in for one who leaves without having been in', () => {
    const party = new Party(limitedGate(1)).enter('a', 'b', 'c').leave('b');
    expect(party.entered).toEqual(['a']);
    party.leave('a');
    expect(party.entered).toEqual(['a', 'c']);
  });

  it('counts one who leaves twice once, before it was in and after', () => {
    const party = new Party(limitedGate(1)).enter('a', 'b', 'c', 'd');
    party.leave('c', 'c', 'a', 'a', 'a');
    expect(party.entered).toEqual(['a', 'b']);
    party.leave('a', 'c').leave('b');
    expect(party.entered).toEqual(['a', 'b', 'd']);
  });

  it('lets one who left come again, at the end of the line', () => {
    const party = new Party(limitedGate(1)).enter('a', 'b').leave('a').enter('a', 'c').leave('b');
    expect(party.entered).toEqual(['a', 'b', 'a']);
  });

  it('may be entered and left from within, and keeps its limit', () => {
    const gate = limitedGate(1);
    const heard: string[] = [];
    const leaveFirst = gate.enter(() => heard.push('first'));
    gate.enter(() => {
      heard.push('second');
      gate.enter(() => heard.push('third'));
    });
    leaveFirst();
    expect(heard).toEqual(['first', 'second']);
  });

  it('never has more inside than its limit, nor keeps anyone waiting while there is room', () => {
    const move = fc.record({ enters: fc.boolean(), guest: fc.nat({ max: 30 }) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(move, { maxLength: 60 }), (limit, moves) => {
        const gate = limitedGate(limit);
        const inside = new Set<number>();
        let waiting: number[] = [];
        const leave: (() => void)[] = [];
        const entered: number[] = [];
        const expected: number[] = [];
        const admit = () => {
          while (inside.size < limit && waiting.length > 0) {
            const next = waiting.shift()!;
            inside.add(next);
            expected.push(next);
          }
        };
        for (const { enters, guest } of moves) {
          if (enters) {
            const newcomer = leave.length;
            waiting.push(newcomer);
            admit();
            leave.push(gate.enter(() => entered.push(newcomer)));
          } else if (leave.length > 0) {
            const leaver = guest % leave.length;
            inside.delete(leaver);
            waiting = waiting.filter((each) => each !== leaver);
            admit();
            leave[leaver]!();
          }
          expect(entered).toEqual(expected);
        }
      }),
    );
  });
});

describe('pacedGate()', () => {
  beforeEach(useFakeClock);
  afterEach(() => jest.useRealTimers());

  it('lets its burst through in a millisecond, the others in the milliseconds that follow, in order', async () => {
    const party = new Party(pacedGate(openGate, 2)).enter('a', 'b', 'c', 'd', 'e');
    expect(party.entered).toEqual(['a', 'b']);
    await pass(1);
    expect(party.entered).toEqual(['a', 'b', 'c', 'd']);
    party.enter('f', 'g');
    expect(party.entered).toEqual(['a', 'b', 'c', 'd']);
    await pass(1);
    expect(party.entered).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await pass(1);
    expect(party.entered).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('keeps to the clock where a timer is early, as timers are in a loop that was held up', async () => {
    const party = new Party(pacedGate(openGate, 1));
    const clock = jest.spyOn(performance, 'now').mockReturnValue(10);
    party.enter('a', 'b');
    clock.mockReturnValue(10.4);
    await pass(1);
    expect(party.entered).toEqual(['a']);
    clock.mockReturnValue(11);
    await pass(1);
    expect(party.entered).toEqual(['a', 'b']);
    clock.mockRestore();
  });

  it('lets no more than its burst through in one turn of the loop, however long that takes', async () => {
    const gate = pacedGate(openGate, 2);
    const party = new Party(gate).enter('a', 'b', 'c');
    jest.advanceTimersByTime(0);
    const clock = jest.spyOn(performance, 'now').mockReturnValue(1_000);
    party.enter('d');
    expect(party.entered).toEqual(['a', 'b']);
    clock.mockRestore();
    const lone = new Party(pacedGate(openGate, 1)).enter('a');
    jest.advanceTimersByTime(1);
    lone.enter('b');
    expect(lone.entered).toEqual(['a']);
    await pass(1);
    expect(lone.entered).toEqual(['a', 'b']);
  });

  it('takes no timer for those who come one by one', async () => {
    const party = new Party(pacedGate(openGate, 1)).enter('a');
    await pass(1);
    party.enter('b');
    expect(party.entered).toEqual(['a', 'b']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('lets nobody in who left while waiting, and then holds no timer', async () => {
    const party = new Party(pacedGate(openGate, 1)).enter('a', 'b', 'c').leave('b', 'c');
    expect(jest.getTimerCount()).toBe(0);
    await pass(5);
    expect(party.entered).toEqual(['a']);
    party.enter('d');
    expect(party.entered).toEqual(['a', 'd']);
  });

  it('lets everyone through whom the gate before it lets through, and tells that one who left', async () => {
    const party = new Party(pacedGate(limitedGate(2), 1)).enter('a', 'b', 'c').leave('b');
    await pass(1);
    expect(party.entered).toEqual(['a', 'c']);
    party.enter('d');
    await pass(5);
    expect(party.entered).toEqual(['a', 'c']);
    party.leave('a');
    expect(party.entered).toEqual(['a', 'c', 'd']);
  });
});
