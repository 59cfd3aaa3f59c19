import { type SilenceHandler, Silence } from '../../lib/timers/silence';
import { settle, useFakeClock } from '../kit/scripted';

/** A handler that notes what it is told, with its time. */
class Log implements SilenceHandler {
  sign = false;
  readonly events: (readonly [event: string, at: number])[] = [];

  hasSign(): boolean {
    const { sign } = this;
    this.sign = false;
    return sign;
  }

  onSilent(): void {
    this.events.push(['silent', performance.now()]);
  }

  onStandstill(milliseconds: number): void {
    this.events.push([`stood still for ${milliseconds}`, performance.now()]);
  }
}

/** Lets the time pass without a turn of the event loop, as in a process that is stopped. */
function standStill(milliseconds: number): void {
  const before = performance.now();
  clock += milliseconds;
  expect(performance.now()).toBe(before + milliseconds);
}

/** The time that has passed by `performance.now()`. */
let clock = 0;

async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 5) {
    clock += 5;
    jest.advanceTimersByTime(5);
    await settle();
  }
}

beforeEach(() => {
  clock = 0;
  useFakeClock();
  jest.spyOn(performance, 'now').mockImplementation(() => clock);
});

afterEach(() => {
  jest.restoreAllMocks();
  jest.useRealTimers();
});

describe('Silence', () => {
  it('gives the peer its whole time after a standstill of half of it, and says so', async () => {
    const log = new Log();
    const silence = new Silence(800, log, true);
    silence.start();
    await pass(700);
    standStill(2_000);
    await pass(100);
    expect(log.events).toEqual([['stood still for 2000', 2_800]]);
    await pass(795);
    expect(log.events).toHaveLength(1);
    await pass(5);
    expect(log.events[1]).toEqual(['silent', 3_600]);
  });

  it('leaves out the time of a shorter one', async () => {
    const log = new Log();
    const silence = new Silence(800, log, true);
    silence.start();
    await pass(400);
    standStill(300);
    await pass(400);
    expect(log.events).toEqual([['silent', 1_100]]);
  });

  it('takes small delays for none: those of a busy process would add up', async () => {
    const log = new Log();
    const silence = new Silence(800, log, true);
    silence.start();
    for (let round = 0; round < 7; round++) {
      await pass(100);
      standStill(20);
    }
    await pass(100);
    expect(log.events.map(([event]) => event)).toEqual(['silent']);
  });

  it('counts what came during a standstill', async () => {
    const log = new Log();
    const silence = new Silence(800, log, true);
    silence.start();
    await pass(700);
    standStill(300);
    log.sign = true;
    await pass(800);
    expect(log.events).toEqual([]);
    silence.stop();
    expect(jest.getTimerCount()).toBe(0);
  });
});
