import { Duplex, getDefaultHighWaterMark } from 'node:stream';

import * as fc from 'fast-check';

import { ConnectionError } from '../../lib/errors';
import type { WriteTotals } from '../../lib/writes/counts';
import { Desk, SlowLink, TAG } from '../kit/desk';
import { settle, useFakeClock } from '../kit/scripted';

/** Totals; counts that are not given are 0. */
function totals(counts: Partial<Record<keyof WriteTotals, [writes: number, bytes: number]>>): WriteTotals {
  const count = (name: keyof WriteTotals) => ({ writes: counts[name]?.[0] ?? 0, bytes: counts[name]?.[1] ?? 0 });
  return {
    accepted: count('accepted'),
    confirmed: count('confirmed'),
    uncertain: count('uncertain'),
    dropped: count('dropped'),
    queued: count('queued'),
    refused: count('refused'),
  };
}

beforeEach(useFakeClock);
afterEach(() => {
  jest.useRealTimers();
});

describe('without a session', () => {
  it('writes are queued', () => {
    const desk = new Desk();
    desk.write('a', 'bc');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 3], queued: [2, 3] }));
    expect([desk.outbox.hasWaiting, desk.outbox.pendingBytes, desk.fates]).toEqual([true, 3, []]);
  });

  it('nothing is queued at first', () => {
    const desk = new Desk();
    expect(desk.outbox.totals).toEqual(totals({}));
    expect([desk.outbox.hasWaiting, desk.outbox.pendingBytes]).toEqual([false, 0]);
  });

  it('the bound is exact: one byte more is refused, and no part of it is queued', async () => {
    const desk = new Desk({ maxBytes: 10 });
    desk.write('1234567', '890');
    desk.write('x');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 10], queued: [2, 10], refused: [1, 1] }));
    await settle();
    expect(desk.fates).toEqual(['x ERR_QUEUE_FULL']);
    const link = desk.open();
    link.confirm(2);
    expect(link.sent).toEqual(['1234567', '890']);
  });

  it('a chunk above the bound is refused whole, and a smaller one after it is queued', () => {
    const desk = new Desk({ maxBytes: 10 });
    expect(desk.write('x'.repeat(11))).toBe(false);
    desk.write('y');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [1, 1], queued: [1, 1], refused: [1, 11] }));
  });

  it('an empty write is queued when the queue is full', () => {
    const desk = new Desk({ maxBytes: 3 });
    desk.write('abc', '');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 3], queued: [2, 3] }));
  });

  it('a bound of 0 refuses every write, also an empty one', async () => {
    const desk = new Desk({ maxBytes: 0 });
    expect([desk.write('a'), desk.write('')]).toEqual([false, false]);
    await settle();
    expect(desk.fates).toEqual(['a ERR_QUEUE_FULL', ' ERR_QUEUE_FULL']);
    expect(desk.outbox.totals).toEqual(totals({ refused: [2, 1] }));
  });

  it('the bound of bytes also bounds the number of writes: at least 1024', async () => {
    const desk = new Desk({ maxBytes: 1_000 });
    for (let count = 0; count < 1_024; count++) desk.outbox.write(Buffer.from(''), undefined);
    desk.write('');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [1_024, 0], queued: [1_024, 0], refused: [1, 0] }));
    await settle();
    expect(desk.fates).toEqual([' ERR_QUEUE_FULL']);
  });

  it('the bound of writes is a sixteenth of that of bytes when that is more than 1024', () => {
    const desk = new Desk({ maxBytes: 32_000 });
    for (let count = 0; count < 2_001; count++) desk.outbox.write(Buffer.from('x'), undefined);
    desk.check();
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2_000, 2_000], queued: [2_000, 2_000], refused: [1, 1] }));
  });

  it('an infinite bound refuses nothing', () => {
    const desk = new Desk({ maxBytes: Infinity });
    for (let count = 0; count < 100; count++) desk.post('x'.repeat(100_000));
    expect(desk.outbox.totals).toEqual(totals({ accepted: [100, 1e7], queued: [100, 1e7] }));
  });

  it.each<[maxBytes: number, written: number, room: boolean]>([
    [10, 9, true],
    [10, 10, false],
    [1e9, getDefaultHighWaterMark(false) - 1, true],
    [1e9, getDefaultHighWaterMark(false), false],
  ])('with a bound of %i, `write` of %i bytes returns %p', (maxBytes, written, room) => {
    expect(new Desk({ maxBytes }).post('x'.repeat(written))).toBe(room);
  });
});

describe('a refused write', () => {
  it('has its callback called once, later, with ERR_QUEUE_FULL', async () => {
    const desk = new Desk({ maxBytes: 2 });
    desk.write('abc');
    expect(desk.fates).toEqual([]);
    await settle();
    expect(desk.fates).toEqual(['abc ERR_QUEUE_FULL']);
    const error = desk.errors.get('abc');
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({
      message: `The queue for ${TAG} has no room for 3 bytes: its bound is 2 bytes and 1024 writes`,
      tag: TAG,
    });
    expect(desk.drops).toEqual([]);
  });

  it('is reported as a drop where it has no callback, at once', () => {
    const desk = new Desk({ maxBytes: 2 });
    desk.post('abc');
    const error = expect.objectContaining({ code: 'ERR_QUEUE_FULL', tag: TAG }) as ConnectionError;
    expect(desk.drops).toEqual([{ chunk: Buffer.from('abc'), bytes: 3, reason: 'refused', error }]);
  });

  it('is reported at once each time, unless it was written while another was being reported', () => {
    const desk = new Desk({ maxBytes: 2 });
    desk.post('abc');
    desk.post('abcd');
    expect(desk.drops.map(({ bytes }) => bytes)).toEqual([3, 4]);
  });

  it('is followed by `drain` when a session opens', () => {
    const desk = new Desk({ maxBytes: 2 });
    desk.write('abc');
    desk.open();
    expect(desk.rooms).toBe(1);
  });
});

describe('when a session opens', () => {
  it('queued writes are sent in order, chunk by chunk, and then later writes', () => {
    const desk = new Desk();
    desk.write('a', 'bc', '', 'd');
    const link = desk.open();
    desk.write('e');
    link.confirm(5);
    expect(link.sent).toEqual(['a', 'bc', '', 'd', 'e']);
    expect(desk.fates).toEqual(['a', 'bc', '', 'd', 'e']);
    expect(desk.outbox.totals).toEqual(totals({ accepted: [5, 5], confirmed: [5, 5] }));
  });

  it('what its `open` listeners write goes out ahead of the queue', () => {
    const desk = new Desk();
    desk.write('a', 'b');
    const link = desk.attach();
    desk.write('hello', 'auth');
    expect(link.handed).toEqual(['hello', 'auth']);
    desk.flush();
    desk.write('c');
    expect(link.handed).toEqual(['hello', 'auth', 'a', 'b', 'c']);
  });

  it('queued writes are sent by one _writev', () => {
    const desk = new Desk();
    const pieces: string[][] = [];
    const link = new SlowLink();
    link._writev = (chunks, done) => {
      pieces.push(chunks.map(({ chunk }) => String(chunk)));
      done();
    };
    desk.write('a', 'b', 'c');
    desk.open(link);
    expect(pieces).toEqual([['a', 'b', 'c']]);
  });

  it('queued writes stay queued when the transport has ended or is destroyed', () => {
    for (const spoil of [(link: SlowLink) => link.destroy(), (link: SlowLink) => link.end()]) {
      const desk = new Desk();
      desk.write('a');
      const link = new SlowLink();
      spoil(link);
      desk.open(link);
      expect([link.handed, desk.outbox.hasWaiting]).toEqual([[], true]);
      desk.lose();
      expect(desk.open().handed).toEqual(['a']);
    }
  });

  it('with an empty queue nothing is written, and the transport is not corked', () => {
    const desk = new Desk();
    const link = desk.open();
    expect([link.handed, link.writableCorked]).toEqual([[], 0]);
  });
});

describe('during a session', () => {
  it('a write is queued until the kernel has taken it, and confirmed then', () => {
    const desk = new Desk();
    const link = desk.open();
    desk.write('a', 'bc');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 3], queued: [2, 3] }));
    expect(desk.outbox.hasWaiting).toBe(false);
    link.confirm();
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 3], confirmed: [1, 1], queued: [1, 2] }));
    expect(desk.fates).toEqual(['a']);
  });

  it('the callback of a confirmed write gets no error', () => {
    const desk = new Desk();
    const link = desk.open();
    const callback = jest.fn();
    desk.outbox.write(Buffer.from('a'), callback);
    link.confirm();
    expect(callback.mock.calls).toEqual([[undefined]]);
  });

  it('a write without a callback is counted too', () => {
    const desk = new Desk();
    const link = desk.open();
    desk.post('abc');
    link.confirm();
    expect(desk.outbox.totals).toEqual(totals({ accepted: [1, 3], confirmed: [1, 3] }));
  });

  it('`write` returns what the transport’s write() returns', () => {
    const desk = new Desk();
    desk.open(new SlowLink(4));
    expect([desk.write('abc'), desk.write('d'), desk.write('e')]).toEqual([true, false, false]);
  });

  it.each<[maxBytes: number, highWaterMark: number, bound: number]>([
    [10, 4, 10],
    [4, 10, 10],
    [0, 10, 10],
  ])(
    'with a bound of %i and a high-water mark of %i, writes are refused when %i bytes wait already',
    async (maxBytes, highWaterMark, bound) => {
      const desk = new Desk({ maxBytes });
      const link = desk.open(new SlowLink(highWaterMark));
      desk.write('x'.repeat(bound - 1), 'x');
      desk.write('y');
      await settle();
      expect(desk.fates).toEqual(['y ERR_QUEUE_FULL']);
      link.confirm(2);
      desk.write('z');
      expect(link.handed.at(-1)).toBe('z');
    },
  );

  it('one large chunk is taken as long as the transport has room', () => {
    const desk = new Desk({ maxBytes: 10 });
    const link = desk.open(new SlowLink(4));
    desk.write('x'.repeat(9), 'y'.repeat(1_000_000), 'z');
    expect(link.handed.map((chunk) => chunk.length)).toEqual([9, 1_000_000]);
    expect(desk.outbox.totals.refused).toEqual({ writes: 1, bytes: 1 });
  });

  it('empty writes never fill the transport', () => {
    const desk = new Desk();
    const link = desk.open();
    for (let count = 0; count < 1_024; count++) desk.outbox.write(Buffer.from(''), undefined);
    desk.post('x');
    expect(link.handed.at(-1)).toBe('x');
  });

  it('writes are refused when too many wait for the transport, however small', () => {
    const desk = new Desk({ maxBytes: 10_000 });
    const link = desk.open(new SlowLink(100_000));
    for (let count = 0; count < 1_024; count++) desk.outbox.write(Buffer.from('x'), undefined);
    desk.post('y');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [1_024, 1_024], queued: [1_024, 1_024], refused: [1, 1] }));
    link.confirm();
    desk.post('z');
    expect(link.handed.at(-1)).toBe('z');
  });

  it('a write that fails is settled once, when the session ends', async () => {
    const desk = new Desk();
    const link = desk.open();
    desk.write('a', 'b', 'c');
    link.confirm();
    link.done(new Error('broken pipe'));
    await settle();
    desk.check();
    expect(desk.fates).toEqual(['a']);
    desk.lose(new Error('broken pipe'));
    await settle();
    expect(desk.fates).toEqual(['a', 'b ERR_DELIVERY_UNCERTAIN', 'c ERR_DELIVERY_UNCERTAIN']);
    expect(desk.outbox.totals).toEqual(totals({ accepted: [3, 3], confirmed: [1, 1], uncertain: [2, 2] }));
  });

  it('a second call of a write callback by the transport is ignored', () => {
    const desk = new Desk();
    const link = new SlowLink();
    link.write = (_chunk: unknown, done: unknown) => {
      for (let times = 0; times < 2; times++) (done as () => void)();
      return true;
    };
    desk.open(link);
    desk.write('a', 'b');
    expect(desk.fates).toEqual(['a', 'b']);
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 2], confirmed: [2, 2] }));
  });

  it('writes wait for the next session when the transport has ended or is destroyed', () => {
    for (const spoil of [(link: SlowLink) => link.destroy(), (link: SlowLink) => link.end()]) {
      const desk = new Desk();
      const link = desk.open();
      desk.write('a');
      spoil(link);
      expect(desk.write('b')).toBe(true);
      expect([link.handed, desk.outbox.hasWaiting]).toEqual([['a'], true]);
      desk.lose();
      expect(desk.open().handed).toEqual(['b']);
    }
  });

  it('writes that wait for the next session have the bound of the queue, not of the transport', () => {
    const desk = new Desk({ maxBytes: 3 });
    const link = desk.open();
    link.destroy();
    desk.write('abc', 'd');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [1, 3], queued: [1, 3], refused: [1, 1] }));
  });
});

describe('a transport whose `write` throws', () => {
  class BrokenLink extends SlowLink {
    readonly error = new Error('broken link');

    override write(...args: unknown[]): boolean {
      this.handed.push(String(args[0]));
      throw this.error;
    }
  }

  it('is destroyed, and the write is uncertain', () => {
    const desk = new Desk();
    const link = new BrokenLink();
    desk.open(link);
    expect(desk.write('a')).toBe(false);
    expect([link.destroyed, link.errored]).toEqual([true, link.error]);
    expect(desk.outbox.totals).toEqual(totals({ accepted: [1, 1], queued: [1, 1] }));
    expect(desk.lose(link.error)).toEqual({ writes: 1, bytes: 1 });
    expect(desk.fates).toEqual(['a ERR_DELIVERY_UNCERTAIN']);
    expect(desk.rooms).toBe(0);
  });

  it('is called once during flush(): the other writes stay queued', () => {
    const desk = new Desk();
    desk.write('a', 'b', 'c');
    const link = new BrokenLink();
    desk.open(link);
    expect([link.handed, link.destroyed]).toEqual([['a'], true]);
    desk.lose(link.error);
    expect(desk.fates).toEqual(['a ERR_DELIVERY_UNCERTAIN']);
    expect(desk.open().handed).toEqual(['b', 'c']);
  });

  it.each<[string, (desk: Desk) => void]>([
    ['the queue is flushed', (desk) => desk.flush()],
    ['the outbox is sealed', (desk) => desk.seal()],
  ])('when it is uncorked, as %s, is destroyed; the error is not thrown', (_title, send) => {
    const desk = new Desk();
    desk.write('a', 'b');
    const error = new Error('broken _write');
    const link = new SlowLink();
    link._write = () => {
      throw error;
    };
    desk.attach(link);
    expect(() => send(desk)).not.toThrow();
    expect([link.destroyed, link.errored]).toEqual([true, error]);
    desk.lose(error);
    expect(desk.fates).toEqual(['a ERR_DELIVERY_UNCERTAIN', 'b ERR_DELIVERY_UNCERTAIN']);
  });
});

describe('when a session is lost', () => {
  it('unconfirmed writes are uncertain, and never sent again', () => {
    const desk = new Desk();
    const link = desk.open();
    desk.write('a', 'bc', 'd');
    link.confirm();
    expect(desk.lose()).toEqual({ writes: 2, bytes: 3 });
    expect(desk.fates).toEqual(['a', 'bc ERR_DELIVERY_UNCERTAIN', 'd ERR_DELIVERY_UNCERTAIN']);
    desk.write('e');
    expect(desk.open().handed).toEqual(['e']);
    expect(desk.outbox.totals).toEqual(
      totals({ accepted: [4, 5], confirmed: [1, 1], uncertain: [2, 3], queued: [1, 1] }),
    );
  });

  it('gives the cause', () => {
    const desk = new Desk();
    desk.open();
    desk.write('a');
    const cause = new Error('reset by peer');
    desk.lose(cause);
    const error = desk.errors.get('a');
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({
      message: `The session with ${TAG} ended before it confirmed this write, which may or may not have arrived: reset by peer`,
      tag: TAG,
    });
    expect(error?.cause).toBe(cause);
  });

  it('has counted before it reports', () => {
    const desk = new Desk();
    desk.open();
    desk.write('a');
    desk.post('b');
    const { uncertain, settle: tell } = desk.outbox.detach(undefined);
    expect([uncertain, desk.fates]).toEqual([{ writes: 2, bytes: 2 }, []]);
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 2], uncertain: [2, 2] }));
    tell();
    expect(desk.fates).toEqual(['a ERR_DELIVERY_UNCERTAIN']);
  });

  it('counts only its own writes, not those of earlier sessions', () => {
    const desk = new Desk();
    desk.open();
    desk.write('abc');
    desk.lose();
    desk.open();
    desk.write('d');
    expect(desk.lose()).toEqual({ writes: 1, bytes: 1 });
    expect(desk.outbox.totals.uncertain).toEqual({ writes: 2, bytes: 4 });
  });

  it('writes that were not handed to the transport are not uncertain', () => {
    const desk = new Desk();
    desk.write('a');
    desk.attach();
    expect(desk.lose()).toEqual({ writes: 0, bytes: 0 });
    expect(desk.open().handed).toEqual(['a']);
  });

  it('a late callback of its transport confirms nothing, with or without an error', async () => {
    const desk = new Desk();
    const [old, worse] = [desk.open(), new SlowLink()];
    desk.write('a');
    desk.lose();
    desk.open(worse);
    desk.write('b');
    desk.lose();
    const link = desk.open();
    desk.write('c');
    old.confirm();
    worse.destroy(new Error('late'));
    await settle();
    expect(desk.fates).toEqual(['a ERR_DELIVERY_UNCERTAIN', 'b ERR_DELIVERY_UNCERTAIN']);
    desk.check();
    expect(desk.outbox.totals).toEqual(totals({ accepted: [3, 3], uncertain: [2, 2], queued: [1, 1] }));
    link.confirm();
    expect(desk.fates.at(-1)).toBe('c');
  });

  it('a late callback between two sessions confirms nothing either', () => {
    const desk = new Desk();
    const old = desk.open();
    desk.write('a');
    desk.lose();
    desk.write('b');
    old.confirm();
    desk.check();
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 2], uncertain: [1, 1], queued: [1, 1] }));
  });
});

describe('what a tick has gathered', () => {
  /** A link whose kernel takes everything at once. */
  class QuickLink extends Duplex {
    bytes = 0;

    override _read(): void {
      // Receives nothing.
    }

    override _write(chunk: Buffer, _encoding: string, done: () => void): void {
      this.bytes += chunk.length;
      done();
    }
  }

  it.each([true, false])('is sent before it makes another be refused (gathered: %s)', (gathers) => {
    const { outbox } = new Desk({ maxBytes: 10 });
    const link = new QuickLink({ writableHighWaterMark: 100 });
    outbox.attach(link, gathers);
    outbox.flush();
    for (let write = 0; write < 1_000; write++) outbox.write(Buffer.alloc(30), undefined);
    expect(outbox.totals.refused).toEqual({ writes: 0, bytes: 0 });
    outbox.sendNow();
    expect(link.bytes).toBe(30_000);
  });
});

describe('seal()', () => {
  it('refuses later writes with ERR_CLOSED', async () => {
    const desk = new Desk();
    desk.open();
    desk.seal();
    expect(desk.write('a')).toBe(false);
    desk.post('b');
    await settle();
    expect(desk.fates).toEqual(['a ERR_CLOSED']);
    expect(desk.errors.get('a')).toMatchObject({ message: `The connection to ${TAG} is closed for writing`, tag: TAG });
    expect(desk.dropped).toEqual(['b refused']);
    expect(desk.outbox.totals).toEqual(totals({ refused: [2, 2] }));
  });

  it('lets writes in progress be confirmed', () => {
    const desk = new Desk();
    const link = desk.open();
    desk.write('a');
    desk.seal();
    link.confirm();
    expect(desk.fates).toEqual(['a']);
  });

  it('sends the queue on a session whose `open` listeners are being called', () => {
    const desk = new Desk();
    desk.write('a', 'b');
    const link = desk.attach();
    desk.write('hello');
    desk.seal();
    expect(link.handed).toEqual(['hello', 'a', 'b']);
  });

  it('sends the queue on the session that is being dialled, after what its `open` listeners write', async () => {
    const desk = new Desk();
    desk.write('a', 'b');
    desk.seal();
    expect(desk.outbox.hasWaiting).toBe(true);
    const link = desk.attach();
    desk.write('hello');
    desk.seal();
    desk.write('late');
    await settle();
    expect(link.handed).toEqual(['hello', 'a', 'b']);
    expect(desk.fates).toEqual(['late ERR_CLOSED']);
  });

  it('still applies when the session is lost', async () => {
    const desk = new Desk();
    desk.open();
    desk.seal();
    desk.lose();
    desk.write('a');
    await settle();
    expect(desk.fates).toEqual(['a ERR_CLOSED']);
  });
});

describe('when the lifecycle is over', () => {
  it('the queue is dropped in order, and each write is reported by event and by callback', () => {
    const desk = new Desk();
    desk.write('a');
    desk.post('bc');
    desk.write('d');
    const error = new ConnectionError('ERR_GAVE_UP', 'gave up', { tag: TAG });
    desk.drop('max-retries', error);
    expect(desk.drops).toEqual([
      { chunk: Buffer.from('a'), bytes: 1, reason: 'max-retries', error },
      { chunk: Buffer.from('bc'), bytes: 2, reason: 'max-retries', error },
      { chunk: Buffer.from('d'), bytes: 1, reason: 'max-retries', error },
    ]);
    expect(desk.drops.every((info) => info.error === error)).toBe(true);
    expect(desk.fates).toEqual(['a ERR_GAVE_UP', 'd ERR_GAVE_UP']);
    expect(desk.outbox.totals).toEqual(totals({ accepted: [3, 4], dropped: [3, 4] }));
  });

  it('has counted before it reports', () => {
    const desk = new Desk();
    desk.write('a');
    const tell = desk.outbox.drop('destroyed', () => new ConnectionError('ERR_CLOSED', 'closed'));
    expect([desk.outbox.totals, desk.fates, desk.drops]).toEqual([
      totals({ accepted: [1, 1], dropped: [1, 1] }),
      [],
      [],
    ]);
    tell();
    expect([desk.fates, desk.dropped]).toEqual([['a ERR_CLOSED'], ['a destroyed']]);
  });

  it('writes are refused until reopen()', async () => {
    const desk = new Desk();
    desk.drop();
    desk.write('a');
    desk.outbox.reopen();
    desk.write('b');
    await settle();
    expect(desk.fates).toEqual(['a ERR_CLOSED']);
    expect(desk.open().handed).toEqual(['b']);
  });

  it('the next one reports no room for writes of the one before', () => {
    const desk = new Desk({ maxBytes: 1 });
    desk.write('ab');
    desk.drop();
    desk.outbox.reopen();
    desk.open();
    expect(desk.rooms).toBe(0);
  });

  it('the counts go on in the next one', () => {
    const desk = new Desk();
    desk.write('a');
    desk.drop();
    desk.outbox.reopen();
    desk.write('b');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 2], dropped: [1, 1], queued: [1, 1] }));
  });
});

describe('maxAge', () => {
  it('drops a write when it has waited that long, and not before', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.write('a');
    jest.advanceTimersByTime(99);
    desk.check();
    expect(desk.fates).toEqual([]);
    jest.advanceTimersByTime(1);
    desk.check();
    expect(desk.fates).toEqual(['a ERR_EXPIRED']);
    expect(desk.errors.get('a')).toMatchObject({ message: `A write for ${TAG} waited longer than 100 ms`, tag: TAG });
    expect(desk.drops).toEqual([{ chunk: Buffer.from('a'), bytes: 1, reason: 'expired', error: desk.errors.get('a') }]);
    expect(desk.outbox.totals).toEqual(totals({ accepted: [1, 1], dropped: [1, 1] }));
  });

  it('drops one after the other, with one timer for all', () => {
    const desk = new Desk({ maxAge: 100 });
    for (const text of ['a', 'b', 'c']) {
      desk.write(text);
      expect(jest.getTimerCount()).toBe(1);
      jest.advanceTimersByTime(40);
    }
    expect(desk.fates).toEqual(['a ERR_EXPIRED']);
    jest.advanceTimersByTime(20);
    expect(desk.fates).toEqual(['a ERR_EXPIRED', 'b ERR_EXPIRED']);
    jest.advanceTimersByTime(40);
    expect(desk.fates).toEqual(['a ERR_EXPIRED', 'b ERR_EXPIRED', 'c ERR_EXPIRED']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('reports one without a callback by event alone', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.post('a');
    jest.advanceTimersByTime(100);
    expect([desk.dropped, desk.fates]).toEqual([['a expired'], []]);
  });

  it('makes room in the queue', () => {
    const desk = new Desk({ maxAge: 100, maxBytes: 3 });
    desk.write('abc');
    jest.advanceTimersByTime(100);
    desk.write('def');
    expect(desk.outbox.totals).toEqual(totals({ accepted: [2, 6], dropped: [1, 3], queued: [1, 3] }));
  });

  it('of 0 expires queued writes, and sends writes to an open session', () => {
    const desk = new Desk({ maxAge: 0 });
    desk.write('a');
    jest.advanceTimersByTime(1);
    const link = desk.open();
    desk.write('b');
    expect([link.handed, desk.fates]).toEqual([['b'], ['a ERR_EXPIRED']]);
  });

  it('of Infinity needs no timer', () => {
    const desk = new Desk();
    desk.write('a');
    expect(jest.getTimerCount()).toBe(0);
  });

  it('does not keep the process alive', () => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    new Desk({ maxAge: 100 }).write('a');
    expect(timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false]);
    timers.mockRestore();
  });

  it('does not expire writes that were handed to a session', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.write('a');
    const link = desk.open();
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(1_000);
    link.confirm();
    expect([desk.fates, desk.drops]).toEqual([['a'], []]);
  });

  it('is checked again by flush()', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.write('old');
    jest.advanceTimersByTime(60);
    desk.write('new');
    const link = desk.attach();
    // No timer runs between attach() and flush().
    jest.advanceTimersByTime(60);
    desk.flush();
    expect([link.handed, desk.fates]).toEqual([['new'], ['old ERR_EXPIRED']]);
  });

  it('goes on across a session that was never flushed', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.write('a');
    jest.advanceTimersByTime(60);
    desk.attach();
    desk.lose();
    jest.advanceTimersByTime(39);
    expect(desk.fates).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(desk.fates).toEqual(['a ERR_EXPIRED']);
  });

  it('counts from the write() for writes that wait for the next session while this one is ending', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.open().destroy();
    desk.write('a');
    jest.advanceTimersByTime(99);
    expect(desk.fates).toEqual([]);
    jest.advanceTimersByTime(1);
    desk.check();
    expect(desk.fates).toEqual(['a ERR_EXPIRED']);
  });

  it('has no timer after the lifecycle is over', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.write('a');
    desk.drop();
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(1_000);
    expect(desk.fates).toEqual(['a ERR_CLOSED']);
  });
});

describe('drain', () => {
  it('is emitted once after a `write` that returned false, when the queue has been sent', () => {
    const desk = new Desk({ maxBytes: 2 });
    expect(desk.write('a', 'b')).toBe(false);
    desk.attach();
    expect(desk.rooms).toBe(0);
    desk.flush();
    expect(desk.rooms).toBe(1);
    desk.outbox.onDrain();
    expect(desk.rooms).toBe(1);
  });

  it('does not come unless a `write` returned false', () => {
    const desk = new Desk();
    desk.write('a');
    const link = desk.open();
    desk.write('b');
    link.confirm(2);
    desk.outbox.onDrain();
    expect(desk.rooms).toBe(0);
  });

  it('waits until the transport has room', () => {
    const desk = new Desk({ maxBytes: 5 });
    desk.write('abcde');
    const link = new SlowLink(3);
    link.on('drain', () => desk.outbox.onDrain());
    desk.open(link);
    desk.outbox.onDrain();
    expect(desk.rooms).toBe(0);
    link.confirm();
    expect(desk.rooms).toBe(1);
  });

  it('is emitted each time that the transport was full', () => {
    const desk = new Desk();
    const link = new SlowLink(2);
    link.on('drain', () => desk.outbox.onDrain());
    desk.open(link);
    for (let round = 1; round <= 3; round++) {
      expect(desk.write('ab')).toBe(false);
      link.confirm();
      expect(desk.rooms).toBe(round);
    }
  });

  it('is emitted without a session when expired writes make room in the queue', () => {
    const desk = new Desk({ maxBytes: 3, maxAge: 100 });
    desk.write('');
    jest.advanceTimersByTime(50);
    expect(desk.write('a', 'bc')).toBe(false);
    jest.advanceTimersByTime(50);
    // An expired write of no bytes makes no room.
    expect([desk.fates, desk.rooms]).toEqual([[' ERR_EXPIRED'], 0]);
    jest.advanceTimersByTime(50);
    expect([desk.fates.length, desk.rooms]).toEqual([3, 1]);
    desk.open();
    expect(desk.rooms).toBe(1);
  });

  it('is emitted when some writes have expired and the others are below the mark', () => {
    const desk = new Desk({ maxBytes: 3, maxAge: 100 });
    desk.write('a');
    jest.advanceTimersByTime(50);
    expect(desk.write('bc')).toBe(false);
    jest.advanceTimersByTime(50);
    expect([desk.fates, desk.rooms]).toEqual([['a ERR_EXPIRED'], 1]);
  });

  it('is emitted for expired writes also after a lost session, and in a later lifecycle', () => {
    const desk = new Desk({ maxBytes: 3, maxAge: 100 });
    desk.open();
    desk.lose();
    expect(desk.write('abc')).toBe(false);
    jest.advanceTimersByTime(100);
    expect(desk.rooms).toBe(1);
    desk.seal();
    desk.outbox.reopen();
    expect(desk.write('abc')).toBe(false);
    jest.advanceTimersByTime(100);
    expect(desk.rooms).toBe(2);
  });

  it('does not come when writes have expired and no more are taken', () => {
    const desk = new Desk({ maxBytes: 3, maxAge: 100 });
    expect(desk.write('abc')).toBe(false);
    desk.seal();
    jest.advanceTimersByTime(100);
    expect([desk.fates, desk.rooms]).toEqual([['abc ERR_EXPIRED'], 0]);
  });

  it('comes when a session opens, where the queue takes no writes', () => {
    const desk = new Desk({ maxBytes: 0 });
    expect(desk.write('a')).toBe(false);
    desk.open();
    expect(desk.rooms).toBe(1);
  });

  it('is emitted in a later session than the one that was full', () => {
    const desk = new Desk();
    desk.open(new SlowLink(2));
    expect(desk.write('abc')).toBe(false);
    desk.lose();
    desk.outbox.onDrain();
    expect(desk.rooms).toBe(0);
    desk.open();
    expect(desk.rooms).toBe(1);
  });

  it('is not emitted when the transport is destroyed', () => {
    const desk = new Desk();
    const link = desk.open(new SlowLink(2));
    desk.write('abc');
    link.destroy();
    desk.outbox.onDrain();
    expect(desk.rooms).toBe(0);
  });

  it('does not come when no more writes are taken', () => {
    const desk = new Desk();
    const link = desk.open(new SlowLink(2));
    desk.write('abc');
    desk.seal();
    link.confirm();
    desk.outbox.onDrain();
    expect(desk.rooms).toBe(0);
  });
});

describe('the application, in a callback or a listener', () => {
  it('may write, and what it writes comes last', () => {
    const desk = new Desk();
    const link = desk.open();
    desk.outbox.write(Buffer.from('a'), () => desk.write('c'));
    desk.write('b');
    link.confirm(3);
    expect([link.handed, desk.fates]).toEqual([
      ['a', 'b', 'c'],
      ['b', 'c'],
    ]);
  });

  it('may write when its write expires during flush()', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.outbox.write(Buffer.from('old'), () => desk.write('again'));
    jest.advanceTimersByTime(50);
    desk.write('new');
    const link = desk.attach();
    jest.advanceTimersByTime(50);
    desk.flush();
    expect([...link.handed].sort()).toEqual(['again', 'new']);
  });
});

/** A step of the property test. */
type Step =
  | { readonly do: 'write'; readonly size: number; readonly callback: boolean }
  | { readonly do: 'attach' | 'flush' | 'confirm' | 'fail' | 'end' | 'destroy' | 'lose' | 'seal' | 'drop' }
  | { readonly do: 'pass'; readonly milliseconds: number };

describe('after any sequence of steps', () => {
  const MAX_BYTES = 20;
  const MAX_AGE = 50;
  const write = fc.record({ do: fc.constant('write' as const), size: fc.nat({ max: 12 }), callback: fc.boolean() });
  const happening = fc.record({
    do: fc.constantFrom(...(['attach', 'flush', 'confirm', 'confirm', 'fail', 'end', 'destroy', 'lose'] as const)),
  });
  const ending = fc.record({ do: fc.constantFrom(...(['seal', 'drop'] as const)) });
  const pass = fc.record({ do: fc.constant('pass' as const), milliseconds: fc.nat({ max: 40 }) });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: write },
    { weight: 10, arbitrary: happening },
    { weight: 1, arbitrary: ending },
    { weight: 2, arbitrary: pass },
  );

  type Fate = 'queued' | 'in flight' | 'confirmed' | 'uncertain' | 'dropped' | 'refused';

  /** A simple model of the outbox: writes are numbers, and the queue is an array. */
  class Model {
    readonly fates: Fate[] = [];
    readonly sizes: number[] = [];
    readonly callbacks: number[] = [];
    queue: { id: number; expiresAt: number }[] = [];
    inFlight: number[] = [];
    phase: 'holding' | 'greeting' | 'flowing' | 'sealed' = 'holding';
    link: SlowLink | undefined;
    /** The writes expected on each transport, in order. */
    readonly handed = new Map<SlowLink, number[]>();

    send(id: number): void {
      this.handed.get(this.link!)!.push(id);
      this.inFlight.push(id);
      this.fates[id] = 'in flight';
    }

    expire(now: number): void {
      for (const { id, expiresAt } of this.queue) if (expiresAt <= now) this.fates[id] = 'dropped';
      this.queue = this.queue.filter(({ expiresAt }) => expiresAt > now);
    }

    flush(now: number): void {
      if (this.link?.writable !== true) return;
      this.expire(now);
      for (const { id } of this.queue.splice(0)) this.send(id);
    }

    totals(): WriteTotals {
      const count = (...fates: Fate[]): [number, number] => {
        const ids = this.fates.flatMap((fate, id) => (fates.includes(fate) ? [id] : []));
        return [ids.length, ids.reduce((bytes, id) => bytes + this.sizes[id]!, 0)];
      };
      return totals({
        accepted: count('queued', 'in flight', 'confirmed', 'uncertain', 'dropped'),
        confirmed: count('confirmed'),
        uncertain: count('uncertain'),
        dropped: count('dropped'),
        queued: count('queued', 'in flight'),
        refused: count('refused'),
      });
    }
  }

  it('each write has one fate and is reported once, nothing is sent twice, and the counts add up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const desk = new Desk({ maxBytes: MAX_BYTES, maxAge: MAX_AGE });
        const model = new Model();
        const told: number[] = [];
        const { outbox } = desk;

        const take = (each: Step): void => {
          const { link } = model;
          const now = performance.now();
          switch (each.do) {
            case 'write': {
              const id = model.fates.length;
              const waiting = model.queue.reduce((bytes, queued) => bytes + model.sizes[queued.id]!, 0);
              const full =
                link?.writable === true
                  ? link.writableLength >= Math.max(MAX_BYTES, link.writableHighWaterMark)
                  : waiting + each.size > MAX_BYTES;
              model.sizes.push(each.size);
              model.fates.push(full || model.phase === 'sealed' ? 'refused' : 'queued');
              if (each.callback) model.callbacks.push(id);
              if (model.fates[id] === 'queued') {
                if (link?.writable === true) model.send(id);
                else model.queue.push({ id, expiresAt: now + MAX_AGE });
              }
              // A chunk is the number of its write, repeated, so that each can be recognized whole.
              const chunk = Buffer.from(String.fromCharCode(id).repeat(each.size), 'latin1');
              outbox.write(chunk, each.callback ? () => told.push(id) : undefined);
              outbox.sendNow();
              return;
            }
            case 'attach': {
              if (link !== undefined) return;
              model.link = new SlowLink(8);
              model.handed.set(model.link, []);
              model.phase = 'greeting';
              outbox.attach(model.link, false);
              return;
            }
            case 'flush':
              if (model.phase !== 'greeting') return;
              model.phase = 'flowing';
              model.flush(now);
              outbox.flush();
              return;
            case 'confirm':
              // A destroyed transport calls back with errors only.
              if (link === undefined || link.destroyed || model.inFlight.length === 0) return;
              model.fates[model.inFlight.shift()!] = 'confirmed';
              link.confirm();
              return;
            case 'fail':
              link?.done(new Error('scripted'));
              return;
            case 'end':
              link?.end();
              return;
            case 'destroy':
              link?.destroy();
              return;
            case 'lose':
              if (link === undefined) return;
              for (const id of model.inFlight.splice(0)) model.fates[id] = 'uncertain';
              model.link = undefined;
              if (model.phase !== 'sealed') model.phase = 'holding';
              outbox.detach(undefined).settle();
              link.destroy();
              return;
            case 'seal':
              model.phase = 'sealed';
              model.flush(now);
              outbox.seal();
              return;
            case 'drop':
              take({ do: 'lose' });
              for (const { id } of model.queue.splice(0)) model.fates[id] = 'dropped';
              model.phase = 'holding';
              outbox.drop('disconnected', () => new ConnectionError('ERR_CLOSED', 'closed'))();
              outbox.reopen();
              return;
            case 'pass':
              jest.advanceTimersByTime(each.milliseconds);
              model.expire(performance.now());
              return;
          }
        };

        for (const each of steps) {
          take(each);
          desk.check();
          expect(outbox.totals).toEqual(model.totals());
          if (each.do === 'fail' || each.do === 'destroy') await settle();
        }
        take({ do: 'drop' });
        await settle();
        expect(outbox.totals).toEqual(model.totals());
        expect([...told].sort((a, b) => a - b)).toEqual(model.callbacks);
        for (const [link, ids] of model.handed) {
          const chunks = ids.map((id) => String.fromCharCode(id).repeat(model.sizes[id]!));
          expect(link.handed).toEqual(chunks);
        }
        expect(jest.getTimerCount()).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
