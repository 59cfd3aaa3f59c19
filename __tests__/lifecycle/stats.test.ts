import type { OpenInfo } from '../../lib/events/events';
import { StatsRecorder } from '../../lib/lifecycle/stats';
import type { WriteTotals } from '../../lib/writes/counts';
import type { Session } from '../../lib/session/session';
import type { Established } from '../../lib/socket/transport';
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

/** The parts of a session that the recorder reads. */
function session(parts: { transport?: object; received?: number; uptime?: number } = {}): Session {
  // `as`: the recorder does not read the other parts.
  return { transport: {}, received: 0, uptime: 0, ...parts } as object as Session;
}

/** The same as what its attempt has brought; a stream of the application's, whose addresses are read at once. */
function established({ transport }: Session): Established {
  return { transport, isOwn: false, target: { host: '127.0.0.2', port: 6379 }, decoder: undefined };
}

/** Records that `current` opens. */
function open(recorder: StatsRecorder, current: Session): OpenInfo {
  return recorder.recordOpen(established(current));
}

const addresses = { localAddress: '127.0.0.1', localPort: 50_000, remoteAddress: '127.0.0.2', remotePort: 6379 };

describe('snapshot()', () => {
  it('is all zeros at first', () => {
    expect(new StatsRecorder().snapshot('idle', TAG, undefined, writes)).toStrictEqual({
      state: 'idle',
      tag: TAG,
      generation: 0,
      dials: 0,
      failures: 0,
      resets: 0,
      bytesReceived: 0,
      unheardBytes: 0,
      roundTrip: null,
      writes,
      transitions: [],
    });
  });

  it('counts over all sessions and lifecycles', () => {
    const recorder = new StatsRecorder();
    for (let lifecycle = 0; lifecycle < 2; lifecycle++) {
      recorder.startLifecycle();
      recorder.recordDial();
      recorder.recordFailure();
      recorder.recordError(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
      recorder.recordDial();
      const current = session({ received: 100, uptime: 50 });
      const info = open(recorder, current);
      recorder.recordReset(Object.assign(current, { info }), 'peer-end', undefined, true, none);
    }
    // A session that ended before its `open` was delivered does not count.
    recorder.recordReset(session({ received: 0, uptime: 0 }), 'destroyed', undefined, false, none);
    const current = session({ received: 7, uptime: 12.6 });
    recorder.recordDial();
    open(recorder, current);
    expect(recorder.snapshot('open', TAG, current, writes)).toStrictEqual({
      state: 'open',
      tag: TAG,
      generation: 3,
      dials: 5,
      failures: 2,
      resets: 2,
      uptime: 13,
      bytesReceived: 207,
      unheardBytes: 0,
      roundTrip: null,
      writes,
      lastError: { message: 'refused', code: 'ECONNREFUSED', at: START },
      transitions: [],
    });
  });

  it('counts the bytes of a session once, while it is open and when it is over', () => {
    const recorder = new StatsRecorder();
    const current = session({ received: 100 });
    open(recorder, current);
    expect(recorder.snapshot('open', TAG, current, writes).bytesReceived).toBe(100);
    recorder.recordReset(current, 'error', undefined, true, none);
    expect(recorder.snapshot('backoff', TAG, undefined, writes).bytesReceived).toBe(100);
  });

  it('has the latest eight transitions, oldest first', () => {
    const recorder = new StatsRecorder();
    for (let round = 0; round < 5; round++) {
      recorder.recordTransition('backoff', 'connecting');
      jest.setSystemTime(START + 2 * round + 1);
      recorder.recordTransition('connecting', 'backoff');
      jest.setSystemTime(START + 2 * round + 2);
    }
    const { transitions } = recorder.snapshot('backoff', TAG, undefined, writes);
    expect(transitions).toEqual(
      [2, 3, 4, 5, 6, 7, 8, 9].map((since) =>
        since % 2 === 0
          ? { from: 'backoff', to: 'connecting', at: START + since }
          : { from: 'connecting', to: 'backoff', at: START + since },
      ),
    );
  });

  it('returns a new list that later transitions do not change', () => {
    const recorder = new StatsRecorder();
    const { transitions } = recorder.snapshot('idle', TAG, undefined, writes);
    recorder.recordTransition('idle', 'connecting');
    expect(transitions).toEqual([]);
  });

  it('can be written as JSON and read again', () => {
    const recorder = new StatsRecorder();
    recorder.recordTransition('idle', 'connecting');
    recorder.recordError(new Error('refused'));
    const stats = recorder.snapshot('connecting', TAG, undefined, writes);
    expect(JSON.parse(JSON.stringify(stats))).toEqual(stats);
  });
});

describe('recordError()', () => {
  it.each<[Error, object]>([
    [new Error('lost'), { message: 'lost' }],
    [Object.assign(new Error('lost'), { code: 'ECONNRESET' }), { message: 'lost', code: 'ECONNRESET' }],
    [Object.assign(new Error('lost'), { code: 5 }), { message: 'lost' }],
    [Object.assign(new Error('lost', { cause: 'secret' }), { options: { key: 'secret' } }), { message: 'lost' }],
  ])('keeps only the message and the code of %p', (error, summary) => {
    const recorder = new StatsRecorder();
    recorder.recordError(error);
    expect(recorder.snapshot('backoff', TAG, undefined, writes).lastError).toStrictEqual({ ...summary, at: START });
  });

  it('keeps the latest error', () => {
    const recorder = new StatsRecorder();
    recorder.recordError(new Error('first'));
    jest.setSystemTime(START + 5);
    recorder.recordError(new Error('second'));
    const { lastError } = recorder.snapshot('backoff', TAG, undefined, writes);
    expect(lastError).toStrictEqual({ message: 'second', at: START + 5 });
  });
});

it('keeps the text of errors that are alike once for all connections', () => {
  const fail = (message: string, code?: string) => {
    const recorder = new StatsRecorder();
    recorder.recordError(Object.assign(new Error(message), { code }));
    return recorder.snapshot('backoff', TAG, undefined, writes).lastError;
  };
  expect([fail('same', 'A'), fail('same', 'A'), fail('same'), fail('same', 'B'), fail('other', 'B')]).toStrictEqual([
    { message: 'same', code: 'A', at: START },
    { message: 'same', code: 'A', at: START },
    { message: 'same', at: START },
    { message: 'same', code: 'B', at: START },
    { message: 'other', code: 'B', at: START },
  ]);
});

describe('recordOpen()', () => {
  it('returns the payload of the first `open`', () => {
    const recorder = new StatsRecorder();
    recorder.recordDial();
    const info: OpenInfo = open(recorder, session({ transport: addresses }));
    expect({ ...info }).toStrictEqual({
      generation: 1,
      reopened: false,
      attempts: 1,
      downtime: 0,
      ...addresses,
    });
    expect(recorder.generation).toBe(1);
  });

  it('leaves out addresses that the transport does not have', () => {
    const info: OpenInfo = open(new StatsRecorder(), session());
    expect({ ...info }).toStrictEqual({
      generation: 1,
      reopened: false,
      attempts: 0,
      downtime: 0,
    });
  });

  it('counts the dials since the last `open`', () => {
    const recorder = new StatsRecorder();
    const attempts = [3, 1, 2].map((dials) => {
      for (let dial = 0; dial < dials; dial++) recorder.recordDial();
      return open(recorder, session()).attempts;
    });
    expect(attempts).toEqual([3, 1, 2]);
    expect(recorder.snapshot('open', TAG, undefined, writes).dials).toBe(6);
  });

  it('measures the downtime since the last `reset`, in whole milliseconds', () => {
    const recorder = new StatsRecorder();
    const first = session();
    open(recorder, first);
    jest.advanceTimersByTime(10_000);
    recorder.recordReset(first, 'error', undefined, true, none);
    jest.advanceTimersByTime(1_234);
    expect(open(recorder, session())).toMatchObject({ reopened: true, downtime: 1_234 });
  });

  it('counts no dial and no downtime of an earlier lifecycle', () => {
    const recorder = new StatsRecorder();
    const first = session();
    recorder.recordDial();
    open(recorder, first);
    recorder.recordReset(first, 'disconnected', undefined, false, none);
    recorder.recordDial();
    jest.advanceTimersByTime(5_000);
    recorder.startLifecycle();
    recorder.recordDial();
    const info: OpenInfo = open(recorder, session());
    expect({ ...info }).toStrictEqual({ generation: 2, reopened: false, attempts: 1, downtime: 0 });
  });
});

describe('recordReset()', () => {
  const uncertain = { writes: 2, bytes: 20 };

  it('returns the payload of `reset`', () => {
    const error = new Error('lost');
    const recorder = new StatsRecorder();
    recorder.generation = 4;
    const reset = recorder.recordReset(session({ uptime: 99.5 }), 'error', error, true, uncertain);
    expect(reset).toStrictEqual({ generation: 4, reason: 'error', error, uptime: 100, willRetry: true, uncertain });
    expect(reset.error).toBe(error);
  });

  it('leaves out the error when there is none', () => {
    const recorder = new StatsRecorder();
    recorder.generation = 4;
    const reset = recorder.recordReset(session(), 'peer-end', undefined, false, uncertain);
    expect(reset).toStrictEqual({ generation: 4, reason: 'peer-end', uptime: 0, willRetry: false, uncertain });
  });
});

test('`lastError` is one short line, without the control characters that a peer may have sent', () => {
  const recorder = new StatsRecorder();
  recorder.recordError(new Error(`-ERR \u001b[2J\r\nFAKE LOG LINE \u202e ${'x'.repeat(300)}`));
  const { lastError } = recorder.snapshot('open', 'a:1', undefined, writes);
  expect(lastError?.message).toMatch(/^-ERR {1,2}\[2J FAKE LOG LINE {1,3}x+…$/);
  expect(lastError?.message.length).toBeLessThan(210);
});
