import { StatsRecorder } from '../../lib/lifecycle/stats';
import type { WriteTotals } from '../../lib/writes/counts';
import type { Session } from '../../lib/session/session';
import { useFakeClock } from '../kit/scripted';

const TAG = '127.0.0.1:6379';
const START = new Date('2026-01-01T00:00:00Z').getTime();
const none = { writes: 0, bytes: 0 };
const writes: WriteTotals = {
  accepted: none,
  confirmed: none,
  uncertain: none,
  dropped: none,
  queued: none,
  refused: none,
};

beforeEach(() => {
  useFakeClock();
  jest.setSystemTime(START);
});
afterEach(() => jest.useRealTimers());

/** As much of a session as a history looks at. */
function session(generation: number, parts: { transport?: object; received?: number; uptime?: number } = {}): Session {
  // `as`: what it does not look at is not there.
  return { generation, transport: {}, received: 0, uptime: 0, ...parts } as object as Session;
}

const addresses = { localAddress: '127.0.0.1', localPort: 50_000, remoteAddress: '127.0.0.2', remotePort: 6379 };

describe('stats()', () => {
  it('has nothing to tell at first', () => {
    expect(new StatsRecorder().stats('idle', TAG, undefined, writes)).toStrictEqual({
      state: 'idle',
      tag: TAG,
      generation: 0,
      dials: 0,
      failures: 0,
      resets: 0,
      bytesReceived: 0,
      writes,
      transitions: [],
    });
  });

  it('adds up over sessions and lifecycles', () => {
    const history = new StatsRecorder();
    for (let lifecycle = 0; lifecycle < 2; lifecycle++) {
      history.begin();
      history.addDial();
      history.addFailure();
      history.addError(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
      history.addDial();
      const current = session(lifecycle + 1, { received: 100, uptime: 50 });
      const info = history.addOpen(current);
      history.addReset(Object.assign(current, { info }), 'peer-end', undefined, true, none);
    }
    // One that ended before anyone heard of it.
    history.addReset(session(3, { received: 0, uptime: 0 }), 'destroyed', undefined, false, none);
    const open = session(3, { received: 7, uptime: 12.6 });
    history.addDial();
    history.addOpen(open);
    expect(history.stats('open', TAG, open, writes)).toStrictEqual({
      state: 'open',
      tag: TAG,
      generation: 3,
      dials: 5,
      failures: 2,
      resets: 2,
      uptime: 13,
      bytesReceived: 207,
      writes,
      lastError: { message: 'refused', code: 'ECONNREFUSED', at: START },
      transitions: [],
    });
  });

  it('counts the bytes of a session once, while it is open and when it is over', () => {
    const history = new StatsRecorder();
    const current = session(1, { received: 100 });
    history.addOpen(current);
    expect(history.stats('open', TAG, current, writes).bytesReceived).toBe(100);
    history.addReset(current, 'error', undefined, true, none);
    expect(history.stats('backoff', TAG, undefined, writes).bytesReceived).toBe(100);
  });

  it('remembers the latest eight transitions, oldest first', () => {
    const history = new StatsRecorder();
    for (let round = 0; round < 5; round++) {
      history.addTransition('backoff', 'connecting');
      jest.setSystemTime(START + 2 * round + 1);
      history.addTransition('connecting', 'backoff');
      jest.setSystemTime(START + 2 * round + 2);
    }
    const { transitions } = history.stats('backoff', TAG, undefined, writes);
    expect(transitions).toEqual(
      [2, 3, 4, 5, 6, 7, 8, 9].map((since) =>
        since % 2 === 0
          ? { from: 'backoff', to: 'connecting', at: START + since }
          : { from: 'connecting', to: 'backoff', at: START + since },
      ),
    );
  });

  it('returns a list of its own, which later transitions do not change', () => {
    const history = new StatsRecorder();
    const { transitions } = history.stats('idle', TAG, undefined, writes);
    history.addTransition('idle', 'connecting');
    expect(transitions).toEqual([]);
  });

  it('can be written as JSON and read again', () => {
    const history = new StatsRecorder();
    history.addTransition('idle', 'connecting');
    history.addError(new Error('refused'));
    const stats = history.stats('connecting', TAG, undefined, writes);
    expect(JSON.parse(JSON.stringify(stats))).toEqual(stats);
  });
});

describe('addError()', () => {
  it.each<[Error, object]>([
    [new Error('lost'), { message: 'lost' }],
    [Object.assign(new Error('lost'), { code: 'ECONNRESET' }), { message: 'lost', code: 'ECONNRESET' }],
    [Object.assign(new Error('lost'), { code: 5 }), { message: 'lost' }],
    [Object.assign(new Error('lost', { cause: 'secret' }), { options: { key: 'secret' } }), { message: 'lost' }],
  ])('keeps the words and the code of %p, and nothing it refers to', (error, summary) => {
    const history = new StatsRecorder();
    history.addError(error);
    expect(history.stats('backoff', TAG, undefined, writes).lastError).toStrictEqual({ ...summary, at: START });
  });

  it('keeps the latest', () => {
    const history = new StatsRecorder();
    history.addError(new Error('first'));
    jest.setSystemTime(START + 5);
    history.addError(new Error('second'));
    const { lastError } = history.stats('backoff', TAG, undefined, writes);
    expect(lastError).toStrictEqual({ message: 'second', at: START + 5 });
  });
});

describe('addOpen()', () => {
  it('words the first opening', () => {
    const history = new StatsRecorder();
    history.addDial();
    expect(history.addOpen(session(1, { transport: addresses }))).toStrictEqual({
      generation: 1,
      reopened: false,
      attempts: 1,
      downtime: 0,
      ...addresses,
    });
    expect(history.generation).toBe(1);
  });

  it('leaves out the addresses of a link that has none', () => {
    expect(new StatsRecorder().addOpen(session(1))).toStrictEqual({
      generation: 1,
      reopened: false,
      attempts: 0,
      downtime: 0,
    });
  });

  it('counts the dials that this opening took, and not those of the last', () => {
    const history = new StatsRecorder();
    const attempts = [3, 1, 2].map((dials, index) => {
      for (let dial = 0; dial < dials; dial++) history.addDial();
      return history.addOpen(session(index + 1)).attempts;
    });
    expect(attempts).toEqual([3, 1, 2]);
    expect(history.stats('open', TAG, undefined, writes).dials).toBe(6);
  });

  it('measures the time since the last reset, in whole milliseconds', () => {
    const history = new StatsRecorder();
    const first = session(1);
    history.addOpen(first);
    jest.advanceTimersByTime(10_000);
    history.addReset(first, 'error', undefined, true, none);
    jest.advanceTimersByTime(1_234);
    expect(history.addOpen(session(2))).toMatchObject({ reopened: true, downtime: 1_234 });
  });

  it('begins a lifecycle afresh: nothing was lost in it, and no dial was in vain', () => {
    const history = new StatsRecorder();
    const first = session(1);
    history.addDial();
    history.addOpen(first);
    history.addReset(first, 'disconnected', undefined, false, none);
    history.addDial();
    jest.advanceTimersByTime(5_000);
    history.begin();
    history.addDial();
    expect(history.addOpen(session(2))).toStrictEqual({ generation: 2, reopened: false, attempts: 1, downtime: 0 });
  });
});

describe('addReset()', () => {
  const uncertain = { writes: 2, bytes: 20 };

  it('words the end of a session', () => {
    const error = new Error('lost');
    const reset = new StatsRecorder().addReset(session(4, { uptime: 99.5 }), 'error', error, true, uncertain);
    expect(reset).toStrictEqual({ generation: 4, reason: 'error', error, uptime: 100, willRetry: true, uncertain });
    expect(reset.error).toBe(error);
  });

  it('has no error where there was none', () => {
    const reset = new StatsRecorder().addReset(session(4), 'peer-end', undefined, false, uncertain);
    expect(reset).toStrictEqual({ generation: 4, reason: 'peer-end', uptime: 0, willRetry: false, uncertain });
  });
});
