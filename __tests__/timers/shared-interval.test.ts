import { AsyncLocalStorage } from 'node:async_hooks';

import { type Swept, Sweep } from '../../lib/timers/shared-interval';

const INTERVAL = 100;

/** Something that notes in whose name it was looked at, and when. */
class Looked implements Swept {
  readonly looks: { name: string | undefined; now: number }[] = [];

  look(now: number): void {
    this.looks.push({ name: names.getStore(), now });
  }
}

const names = new AsyncLocalStorage<string>();

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe('A sweep', () => {
  it('looks at all that joined, with one timer, until they leave', () => {
    const [one, other] = [new Looked(), new Looked()];
    const sweep = Sweep.every(INTERVAL);
    sweep.join(one, true);
    Sweep.every(INTERVAL).join(other, true);
    expect(Sweep.every(INTERVAL)).toBe(sweep);
    expect(jest.getTimerCount()).toBe(1);

    jest.advanceTimersByTime(INTERVAL);
    sweep.leave(one);
    jest.advanceTimersByTime(INTERVAL);
    expect(one.looks.map(({ now }) => now)).toEqual([expect.any(Number)]);
    expect(other.looks[1]!.now - other.looks[0]!.now).toBe(INTERVAL);

    sweep.leave(other);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('has a timer for each interval', () => {
    const [one, other] = [new Looked(), new Looked()];
    Sweep.every(INTERVAL).join(one, true);
    Sweep.every(2 * INTERVAL).join(other, true);
    jest.advanceTimersByTime(2 * INTERVAL);
    expect([one.looks.length, other.looks.length]).toEqual([2, 1]);
    Sweep.every(INTERVAL).leave(one);
    Sweep.every(2 * INTERVAL).leave(other);
  });

  it('looks at each in the asynchronous context in which it joined', () => {
    const [one, other] = [new Looked(), new Looked()];
    names.run('one', () => {
      Sweep.every(INTERVAL).join(one, true);
    });
    names.run('other', () => {
      Sweep.every(INTERVAL).join(other, true);
    });
    jest.advanceTimersByTime(INTERVAL);
    expect([one.looks[0]?.name, other.looks[0]?.name]).toEqual(['one', 'other']);
    for (const each of [one, other]) Sweep.every(INTERVAL).leave(each);
  });

  it('holds the process while one of those that it looks at does', () => {
    const timers = jest.spyOn(globalThis, 'setInterval');
    const [one, other] = [new Looked(), new Looked()];
    const sweep = Sweep.every(INTERVAL);
    // `as`: what a mocked function returned is typed as anything.
    const timer = timers.mock.results[0]!.value as NodeJS.Timeout;
    sweep.join(one, false);
    sweep.join(other, true);
    expect(timer.hasRef()).toBe(true);
    sweep.hold(other, false);
    expect(timer.hasRef()).toBe(false);
    sweep.hold(one, true);
    expect(timer.hasRef()).toBe(true);
    sweep.leave(one);
    expect(timer.hasRef()).toBe(false);
    sweep.leave(other);
  });
});
