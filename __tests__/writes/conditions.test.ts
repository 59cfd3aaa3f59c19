import * as fc from 'fast-check';

import type { QueueOptions } from '../../lib/options/options';
import type { WriteOptions } from '../../lib/options/write-options';
import { Desk, SlowLink } from '../kit/desk';
import { settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

/** What a session is handed that opens now. */
function sent(desk: Desk): string[] {
  return desk.open().handed;
}

describe('`maxAge` of a write', () => {
  it('takes the place of the one of the queue, be it shorter or longer', () => {
    const desk = new Desk({ maxAge: 100 });
    desk.ask('short', { maxAge: 50 });
    desk.ask('long', { maxAge: 200 });
    desk.ask('endless', { maxAge: Infinity });
    desk.write('usual');
    const fates = [49, 1, 50, 100].map((milliseconds) => {
      jest.advanceTimersByTime(milliseconds);
      return desk.fates.splice(0);
    });
    expect(fates).toEqual([[], ['short ERR_EXPIRED'], ['usual ERR_EXPIRED'], ['long ERR_EXPIRED']]);
    expect(desk.dropped).toEqual(['short expired', 'usual expired', 'long expired']);
    expect(desk.errors.get('usual')?.message).toContain('waited longer than 100 ms');
    expect(sent(desk)).toEqual(['endless']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('has one timer, for the earliest', () => {
    const desk = new Desk();
    for (const maxAge of [500, 100, 300]) desk.ask(String(maxAge), { maxAge });
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(100);
    expect([desk.fates, jest.getTimerCount()]).toEqual([['100 ERR_EXPIRED'], 1]);
    desk.outbox.clear();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('reports writes that expire together in the order in which they were written', () => {
    const desk = new Desk();
    for (let number = 1; number <= 20; number++) desk.ask(String(number), { maxAge: 10 });
    jest.advanceTimersByTime(10);
    expect(desk.fates.map((fate) => parseInt(fate))).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  it('of 0 sends the write now, or not at all', () => {
    const desk = new Desk();
    desk.ask('late', { maxAge: 0 });
    jest.advanceTimersByTime(1);
    expect(desk.fates).toEqual(['late ERR_EXPIRED']);
    const link = desk.open();
    desk.ask('now', { maxAge: 0 });
    expect(link.handed).toEqual(['now']);
  });

  it('of 0 sets no timer with a negative delay, of which Node warns', () => {
    const setTimer = jest.spyOn(globalThis, 'setTimeout');
    let now = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => (now += 0.5));
    new Desk().ask('late', { maxAge: 0 });
    const delays = setTimer.mock.calls.map(([, delay]) => delay);
    jest.restoreAllMocks();
    expect(delays).toEqual([0]);
  });

  it('has no effect once the write was handed over', () => {
    const desk = new Desk();
    const link = desk.open();
    desk.ask('a', { maxAge: 10 });
    jest.advanceTimersByTime(1_000);
    link.confirm();
    expect(desk.fates).toEqual(['a']);
  });
});

describe('`signal` of a write', () => {
  it('takes a waiting write out of the queue: it is never sent', () => {
    const desk = new Desk();
    const controller = new AbortController();
    desk.write('before');
    desk.ask('LOCK', { signal: controller.signal });
    desk.write('after');
    const reason = new Error('the caller has gone');
    controller.abort(reason);
    expect([desk.fates, desk.dropped]).toEqual([['LOCK ERR_ABORTED'], ['LOCK aborted']]);
    expect(desk.drops[0]!.error).toMatchObject({
      cause: reason,
      message: expect.stringContaining('the caller has gone') as string,
    });
    expect(sent(desk)).toEqual(['before', 'after']);
  });

  it('that is aborted already refuses the write, and `drain` says when to go on', async () => {
    const desk = new Desk();
    expect(desk.ask('a', { signal: AbortSignal.abort() })).toBe(false);
    desk.check();
    expect(desk.fates).toEqual([]);
    await settle();
    expect([desk.fates, desk.rooms, desk.outbox.totals.refused.writes]).toEqual([['a ERR_ABORTED'], 1, 1]);
    expect(sent(desk)).toEqual([]);
  });

  it('that is aborted already refuses the write also while open', async () => {
    const desk = new Desk();
    const link = desk.open();
    expect(desk.ask('a', { signal: AbortSignal.abort() })).toBe(false);
    await settle();
    expect([link.handed, desk.fates, desk.rooms]).toEqual([[], ['a ERR_ABORTED'], 1]);
  });

  it('that is aborted already makes no room where nothing is queued', async () => {
    const desk = new Desk({ maxBytes: 0 });
    desk.ask('a', { signal: AbortSignal.abort() });
    await settle();
    expect(desk.rooms).toBe(0);
  });

  it('has no effect once the write was handed over, and no listener is left on it', () => {
    const desk = new Desk();
    const controller = new AbortController();
    const remove = jest.spyOn(controller.signal, 'removeEventListener');
    desk.ask('a', { signal: controller.signal });
    const link = desk.open();
    expect(remove).toHaveBeenCalledTimes(1);
    controller.abort();
    link.confirm();
    expect([desk.fates, desk.drops]).toEqual([['a'], []]);
  });

  it.each<[string, (desk: Desk) => void]>([
    ['expired', () => jest.advanceTimersByTime(10)],
    ['cleared', (desk) => void desk.outbox.clear()],
    ['replaced', (desk) => void desk.ask('b', { key: 'k' })],
    ['closed', (desk) => desk.drop()],
  ])('loses its listener when the write is %s', (_how, leave) => {
    const desk = new Desk();
    const controller = new AbortController();
    const remove = jest.spyOn(controller.signal, 'removeEventListener');
    desk.ask('a', { signal: controller.signal, maxAge: 10, key: 'k' });
    leave(desk);
    expect(remove).toHaveBeenCalledTimes(1);
  });

  it('may be shared by many writes', () => {
    const desk = new Desk({ maxBytes: 1_000_000 });
    const controller = new AbortController();
    for (let number = 0; number < 1_000; number++) desk.outbox.write(Buffer.from('x'), undefined, controller);
    controller.abort();
    desk.check();
    expect([desk.drops.length, desk.outbox.hasWaiting]).toEqual([1_000, false]);
  });

  it('that is aborted by an `open` listener keeps the write from the session', () => {
    const desk = new Desk();
    const controller = new AbortController();
    desk.ask('a', { signal: controller.signal });
    const link = desk.attach();
    controller.abort();
    desk.flush();
    expect([link.handed, desk.fates]).toEqual([[], ['a ERR_ABORTED']]);
  });
});

describe('`key` of a write', () => {
  it('makes a newer write take the place of the older one, which is reported in the next tick', async () => {
    const desk = new Desk();
    desk.ask('red', { key: 'colour' });
    desk.write('other');
    desk.ask('blue', { key: 'colour' });
    expect([desk.fates, desk.drops, desk.outbox.totals.dropped.writes]).toEqual([[], [], 1]);
    await settle();
    expect([desk.fates, desk.dropped]).toEqual([['red ERR_REPLACED'], ['red replaced']]);
    expect(sent(desk)).toEqual(['blue', 'other']);
  });

  it('does not touch other keys', () => {
    const desk = new Desk();
    for (const key of ['a', 'b', '__proto__', '']) desk.ask(key, { key });
    expect(sent(desk)).toEqual(['a', 'b', '__proto__', '']);
  });

  it('is free again when the write has left', () => {
    const desk = new Desk();
    desk.ask('old', { key: 'k', maxAge: 10 });
    jest.advanceTimersByTime(10);
    desk.ask('new', { key: 'k' });
    expect(sent(desk)).toEqual(['new']);
    expect(desk.dropped).toEqual(['old expired']);
  });

  it('counts the older one as room', () => {
    const desk = new Desk({ maxBytes: 10 });
    desk.ask('1234567890', { key: 'k' });
    desk.ask('abcdefghij', { key: 'k' });
    expect(sent(desk)).toEqual(['abcdefghij']);
  });

  it('keeps the older one where the newer one is refused', async () => {
    const desk = new Desk({ maxBytes: 10 });
    desk.ask('old', { key: 'k' });
    desk.ask('much too long', { key: 'k' });
    await settle();
    expect(desk.fates).toEqual(['much too long ERR_QUEUE_FULL']);
    expect(sent(desk)).toEqual(['old']);
  });

  it('keeps a stale value from being sent after a newer one that an `open` listener writes', async () => {
    const desk = new Desk();
    desk.ask('stale', { key: 'k' });
    const link = desk.attach();
    desk.ask('fresh', { key: 'k' });
    desk.flush();
    await settle();
    expect([link.handed, desk.dropped]).toEqual([['fresh'], ['stale replaced']]);
  });

  it('drops with the terms of the newer write', () => {
    const desk = new Desk();
    desk.ask('old', { key: 'k', maxAge: 10 });
    desk.ask('new', { key: 'k', maxAge: 100 });
    jest.advanceTimersByTime(50);
    expect(sent(desk)).toEqual(['new']);
  });

  it('is reported before `close`, once', () => {
    const desk = new Desk();
    desk.ask('old', { key: 'k' });
    desk.ask('new', { key: 'k' });
    desk.drop();
    expect(desk.fates).toEqual(['old ERR_REPLACED', 'new ERR_CLOSED']);
  });

  it('does not starve the event loop where a listener writes again what was replaced', async () => {
    const desk = new Desk();
    let rewrites = 0;
    let isOver = false;
    const rewrite = (error?: unknown): void => {
      if (!error || isOver) return;
      rewrites += 1;
      desk.outbox.write(Buffer.from('x'), rewrite, { key: 'k' });
    };
    desk.outbox.write(Buffer.from('x'), rewrite, { key: 'k' });
    desk.outbox.write(Buffer.from('y'), rewrite, { key: 'k' });
    await settle();
    isOver = true;
    desk.check();
    expect(rewrites).toBeGreaterThan(0);
  });
});

describe('an urgent write', () => {
  it('goes ahead of all that wait and are not urgent, in order among themselves', () => {
    const desk = new Desk();
    desk.write('a', 'b');
    desk.ask('STOP', { priority: 'urgent' });
    desk.write('c');
    desk.ask('OFF', { priority: 'urgent' });
    expect(sent(desk)).toEqual(['STOP', 'OFF', 'a', 'b', 'c']);
  });

  it('goes behind what `open` listeners write', () => {
    const desk = new Desk();
    desk.write('a');
    desk.ask('STOP', { priority: 'urgent' });
    const link = desk.attach();
    desk.write('hello');
    desk.flush();
    expect(link.handed).toEqual(['hello', 'STOP', 'a']);
  });

  it('moves up where it replaces one that is not, and stays ahead where it is replaced by one that is not', () => {
    const desk = new Desk();
    desk.write('a');
    desk.ask('old', { key: 'k' });
    desk.ask('STOP', { priority: 'urgent' });
    desk.ask('new', { key: 'k', priority: 'urgent' });
    desk.ask('newest', { key: 'k' });
    expect(sent(desk)).toEqual(['STOP', 'newest', 'a']);
  });
});

describe('`clearQueue()`', () => {
  it('drops what waits, and says how much that is', () => {
    const desk = new Desk();
    desk.write('a', 'bcd');
    desk.ask('STOP', { priority: 'urgent' });
    expect(desk.outbox.clear()).toEqual({ writes: 3, bytes: 8 });
    desk.check();
    expect(desk.dropped).toEqual(['STOP cleared', 'a cleared', 'bcd cleared']);
    expect(desk.fates).toEqual(['STOP ERR_CLEARED', 'a ERR_CLEARED', 'bcd ERR_CLEARED']);
    expect(desk.outbox.clear()).toEqual({ writes: 0, bytes: 0 });
  });

  it('leaves what was handed to a socket', () => {
    const desk = new Desk();
    const link = desk.open();
    desk.write('a', 'b');
    expect(desk.outbox.clear()).toEqual({ writes: 0, bytes: 0 });
    link.confirm(2);
    expect(desk.fates).toEqual(['a', 'b']);
  });

  it('drops in an `open` listener what waits for that session', () => {
    const desk = new Desk();
    desk.write('JOG 1', 'JOG 2');
    const link = desk.attach();
    desk.write('STOP');
    expect(desk.outbox.clear()).toEqual({ writes: 2, bytes: 10 });
    desk.flush();
    expect(link.handed).toEqual(['STOP']);
  });

  it('makes room: `drain` comes if it is due', () => {
    const desk = new Desk({ maxBytes: 3 });
    expect(desk.write('abc')).toBe(false);
    desk.outbox.clear();
    expect(desk.rooms).toBe(1);
    desk.write('a');
    desk.outbox.clear();
    expect(desk.rooms).toBe(1);
  });

  it('while sealed drops what waits for the last dial, without a `drain`', () => {
    const desk = new Desk({ maxBytes: 3 });
    desk.write('abc');
    desk.seal();
    expect(desk.outbox.clear()).toEqual({ writes: 1, bytes: 3 });
    expect(desk.rooms).toBe(0);
    desk.drop();
    expect(desk.outbox.clear()).toEqual({ writes: 0, bytes: 0 });
    expect(desk.fates).toEqual(['abc ERR_CLEARED']);
  });

  it('may be called by a `drop` listener that also writes', () => {
    const desk = new Desk();
    desk.outbox.write(Buffer.from('a'), () => {
      desk.write('again');
      desk.outbox.clear();
    });
    desk.write('b');
    desk.outbox.clear();
    expect(desk.fates).toEqual(['b ERR_CLEARED', 'again ERR_CLEARED']);
  });
});

describe("`overflow: 'drop-oldest'`", () => {
  it('drops what has waited longest, until the new write fits', async () => {
    const desk = new Desk({ maxBytes: 10, overflow: 'drop-oldest' });
    desk.write('111', '222', '333');
    desk.write('44444');
    expect(desk.drops).toEqual([]);
    await settle();
    expect(desk.dropped).toEqual(['111 overflow', '222 overflow']);
    expect(desk.fates).toEqual(['111 ERR_QUEUE_FULL', '222 ERR_QUEUE_FULL']);
    expect(desk.errors.get('111')?.message).toContain('newer ones needed its room');
    expect(sent(desk)).toEqual(['333', '44444']);
  });

  it('refuses a write that is larger than the bound, and drops nothing for it', async () => {
    const desk = new Desk({ maxBytes: 10, overflow: 'drop-oldest' });
    desk.write('a', 'x'.repeat(11));
    await settle();
    expect([desk.fates, desk.drops]).toEqual([[`${'x'.repeat(11)} ERR_QUEUE_FULL`], []]);
    expect(sent(desk)).toEqual(['a']);
  });

  it('holds for the number of writes too', async () => {
    const desk = new Desk({ maxBytes: 2_000, overflow: 'drop-oldest' });
    for (let number = 0; number < 1_024; number++) desk.post('');
    desk.write('last');
    await settle();
    expect([desk.drops.length, desk.outbox.totals.queued]).toEqual([1, { writes: 1_024, bytes: 4 }]);
  });

  it('keeps urgent writes: one is dropped for an urgent one only', async () => {
    const desk = new Desk({ maxBytes: 10, overflow: 'drop-oldest' });
    desk.ask('STOP', { priority: 'urgent' });
    desk.write('aaaaaa', 'bbbbbb');
    desk.write('ccccccc');
    desk.ask('OFF', { priority: 'urgent' });
    desk.ask('1234567', { priority: 'urgent' });
    await settle();
    expect(desk.dropped).toEqual(['aaaaaa overflow', 'bbbbbb overflow', 'STOP overflow']);
    expect(desk.fates).toContain('ccccccc ERR_QUEUE_FULL');
    expect(sent(desk)).toEqual(['OFF', '1234567']);
  });

  it('does not drop the write that is replaced, or its successor, to make room', async () => {
    const desk = new Desk({ maxBytes: 10, overflow: 'drop-oldest' });
    desk.ask('kk', { key: 'k' });
    desk.write('aaaa', 'bbbb');
    desk.ask('kkkkkk', { key: 'k' });
    await settle();
    expect(desk.dropped).toEqual(['aaaa overflow', 'kk replaced']);
    expect(sent(desk)).toEqual(['kkkkkk', 'bbbb']);
  });

  it('with `maxBytes: 0` refuses all, and says that there is no connection', async () => {
    const desk = new Desk({ maxBytes: 0, overflow: 'drop-oldest' });
    expect(desk.write('a')).toBe(false);
    await settle();
    expect(desk.errors.get('a')?.message).toBe(
      '127.0.0.1:6379 is not connected, and `queue.maxBytes` is 0: nothing is queued',
    );
  });
});

describe('a write behind one that breaks the transport', () => {
  it('is still queued where the check for room has flushed into the break', () => {
    class Fragile extends SlowLink {
      override _writev(_chunks: unknown, done: (error?: Error) => void): void {
        this.destroy();
        done(new Error('scripted'));
      }
    }
    const desk = new Desk({ maxBytes: 4 });
    desk.write('q');
    const link = desk.open(new Fragile(4)).confirm();
    // Corked together until the end of the tick, or until the check for room.
    desk.outbox.write(Buffer.from('ab'), undefined);
    desk.outbox.write(Buffer.from('cd'), undefined);
    desk.outbox.write(Buffer.from('ef'), undefined);
    expect(link.handed).toEqual(['q', 'ab', 'cd']);
    expect(desk.lose()).toEqual({ writes: 2, bytes: 4 });
    expect(sent(desk)).toEqual(['ef']);
  });
});

describe('after any sequence of writes with conditions', () => {
  interface Waiting {
    readonly id: number;
    readonly size: number;
    readonly isUrgent: boolean;
    readonly key: string | undefined;
    readonly signal: number | undefined;
    readonly expiresAt: number;
  }

  const step = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        size: fc.integer({ min: 1, max: 12 }),
        urgent: fc.boolean(),
        key: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }),
        signal: fc.option(fc.nat({ max: 2 }), { nil: undefined }),
        maxAge: fc.option(fc.integer({ min: 5, max: 40 }), { nil: undefined }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), signal: fc.nat({ max: 2 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), milliseconds: fc.nat({ max: 20 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('clear' as const, 'session' as const) }) },
  );

  it.each<NonNullable<QueueOptions['overflow']>>(['refuse', 'drop-oldest'])(
    'the queue does as an array would: %s',
    async (overflow) => {
      const MAX = 40;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const desk = new Desk({ maxBytes: MAX, overflow });
          const controllers = [0, 1, 2].map(() => new AbortController());
          const fates = new Map<number, string>();
          const expected = new Map<number, string>();
          const handed: number[] = [];
          let ids = 0;
          let queue: Waiting[] = [];
          const bytes = (of: readonly Waiting[]) => of.reduce((sum, { size }) => sum + size, 0);
          const leave = (which: (each: Waiting) => boolean, fate: string) => {
            for (const each of queue) if (which(each)) expected.set(each.id, fate);
            queue = queue.filter((each) => !which(each));
          };

          const write = ({ size, urgent, key, signal, maxAge }: Extract<(typeof steps)[number], { do: 'write' }>) => {
            const id = ids++;
            const older = key === undefined ? undefined : queue.find((each) => each.key === key);
            const isUrgent = urgent || older?.isUrgent === true;
            const others = queue.filter((each) => each !== older);
            const kept = overflow === 'refuse' ? others : isUrgent ? [] : others.filter((each) => each.isUrgent);
            if (signal !== undefined && controllers[signal]!.signal.aborted) expected.set(id, 'ERR_ABORTED');
            else if (bytes(kept) + size > MAX) expected.set(id, 'ERR_QUEUE_FULL');
            else {
              const inLine = [...others.filter((each) => !each.isUrgent), ...others.filter((each) => each.isUrgent)];
              while (bytes(inLine) + size > MAX) {
                const { id: victim } = inLine.shift()!;
                leave((each) => each.id === victim, 'ERR_QUEUE_FULL');
              }
              const next = { id, size, isUrgent, key, signal, expiresAt: performance.now() + (maxAge ?? Infinity) };
              if (older !== undefined) expected.set(older.id, 'ERR_REPLACED');
              if (older?.isUrgent === isUrgent) queue = queue.map((each) => (each === older ? next : each));
              else queue = [...queue.filter((each) => each !== older), next];
            }
            const options: WriteOptions = {
              key,
              maxAge,
              priority: urgent ? 'urgent' : 'normal',
              signal: signal === undefined ? undefined : controllers[signal]!.signal,
            };
            const chunk = Buffer.alloc(size, id);
            desk.outbox.write(
              chunk,
              (error) => fates.set(id, `${fates.get(id) ?? ''}${error?.code ?? 'sent'}`),
              options,
            );
          };

          for (const each of steps) {
            if (each.do === 'write') write(each);
            else if (each.do === 'abort') {
              controllers[each.signal]!.abort();
              leave(({ signal }) => signal === each.signal, 'ERR_ABORTED');
            } else if (each.do === 'pass') {
              jest.advanceTimersByTime(each.milliseconds);
              leave(({ expiresAt }) => expiresAt <= performance.now(), 'ERR_EXPIRED');
            } else if (each.do === 'clear') {
              expect(desk.outbox.clear()).toEqual({ writes: queue.length, bytes: bytes(queue) });
              leave(() => true, 'ERR_CLEARED');
            } else {
              const link = desk.open(new SlowLink(1_000));
              link.confirm(queue.length);
              handed.push(...queue.filter(({ isUrgent }) => isUrgent).map(({ id }) => id));
              handed.push(...queue.filter(({ isUrgent }) => !isUrgent).map(({ id }) => id));
              expect(link.sent.map((chunk) => chunk.charCodeAt(0))).toEqual(handed.splice(0));
              leave(() => true, 'sent');
              desk.lose();
            }
            desk.check();
            expect(desk.outbox.totals.queued).toEqual({ writes: queue.length, bytes: bytes(queue) });
          }
          leave(() => true, 'ERR_CLOSED');
          desk.drop();
          await settle();
          expect(new Map([...fates].sort(([a], [b]) => a - b))).toEqual(
            new Map([...expected].sort(([a], [b]) => a - b)),
          );
          const drops = [...expected.values()].filter((fate) => fate !== 'sent');
          expect(desk.drops.length).toBe(drops.length - desk.outbox.totals.refused.writes);
          expect(jest.getTimerCount()).toBe(0);
        }),
        { numRuns: 300 },
      );
    },
  );
});
