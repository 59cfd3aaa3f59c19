import { AsyncLocalStorage } from 'node:async_hooks';

import * as fc from 'fast-check';

import { ConnectionError } from '../../lib/errors';
import { Heartbeat } from '../../lib/session/heartbeat';
import { type Outflow, type Watched, IdleWatch, StallWatch } from '../../lib/session/watches';
import { settle, useFakeClock } from '../kit/scripted';

const TAG = '127.0.0.1:6379';

/** A peer, as a watch sees it, and when it was taken for dead. */
class Peer implements Watched {
  readonly tag = TAG;
  readonly deaths: { reason: string; error: ConnectionError; at: number }[] = [];
  bytes = 0;
  written = 0;
  /** Bytes in the socket, and those that the kernel has taken. */
  waiting = 0;
  taken = 0;
  heartbeat: Heartbeat | undefined;
  readonly #bornAt = performance.now();

  received(): number {
    return this.bytes;
  }

  writes(): number {
    return this.written;
  }

  outflow(): Outflow {
    return { waiting: this.waiting, isBlocked: this.waiting > 0, taken: this.taken };
  }

  onDead(reason: string, error: ConnectionError): void {
    this.deaths.push({ reason, error, at: this.now });
  }

  send(): void {
    this.bytes += 1;
    this.heartbeat?.onBytes();
  }

  /** Bytes are written, or the kernel takes some of them. */
  write(bytes: number): void {
    this.written += 1;
    this.waiting += bytes;
  }

  take(bytes: number): void {
    this.waiting -= bytes;
    this.taken += bytes;
  }

  get now(): number {
    return performance.now() - this.#bornAt;
  }

  get diedAt(): number | undefined {
    return this.deaths[0]?.at;
  }
}

/** Moves the clock on in steps that no timer misses, with what is due on the way. */
async function pass(milliseconds: number, step = milliseconds): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += step) {
    jest.advanceTimersByTime(Math.min(step, milliseconds - passed));
    await settle();
  }
}

/** Immediates by the test's clock as well: nothing is left to wait for, and long times pass in no time. */
function useSteppedClock(): void {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
}

/** Lets the peer send at the given times, until `end`. */
function live(peer: Peer, end: number, times: readonly number[]): void {
  for (const time of [...times].sort((a, b) => a - b)) {
    jest.advanceTimersByTime(time - peer.now);
    peer.send();
  }
  jest.advanceTimersByTime(end - peer.now);
}

/** Whether each of the timers that are set holds the process. */
function heldTimers(timers: jest.SpyInstance): boolean[] {
  return timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef());
}

beforeEach(useFakeClock);
afterEach(() => {
  jest.restoreAllMocks();
  jest.useRealTimers();
});

describe('IdleWatch', () => {
  it('finds a peer from which nothing was received for as long as that', async () => {
    const peer = new Peer();
    new IdleWatch(800, peer, true).start();
    await pass(799, 1);
    expect(peer.deaths).toEqual([]);
    await pass(1);
    expect(peer.deaths).toEqual([{ reason: 'idle', error: expect.any(ConnectionError) as unknown, at: 800 }]);
    expect(peer.deaths[0]?.error).toMatchObject({
      code: 'ERR_IDLE',
      message: `Nothing was received from ${TAG} for 800 ms`,
      tag: TAG,
    });
  });

  it('reports it once, and has no timer left then', async () => {
    const peer = new Peer();
    new IdleWatch(80, peer, true).start();
    await pass(1_000, 10);
    expect(peer.deaths).toHaveLength(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('counts from its start, whatever was received before', async () => {
    const peer = new Peer();
    peer.bytes = 5_000;
    const watch = new IdleWatch(800, peer, true);
    await pass(5_000);
    watch.start();
    await pass(2_000, 100);
    expect(peer.diedAt).toBe(5_800);
  });

  it('leaves a peer alone that sends now and then', async () => {
    const peer = new Peer();
    const watch = new IdleWatch(800, peer, true);
    watch.start();
    for (let round = 0; round < 50; round++) {
      await pass(700, 100);
      peer.send();
    }
    expect(peer.deaths).toEqual([]);
    watch.stop();
  });

  it('is never early and at most an eighth late, whenever the peer sends', () => {
    useSteppedClock();
    const scene = fc.record({
      timeout: fc.integer({ min: 1, max: 5_000 }),
      times: fc.array(fc.integer({ min: 1, max: 4_000 })),
    });
    fc.assert(
      fc.property(scene, ({ timeout, times }) => {
        const peer = new Peer();
        const watch = new IdleWatch(timeout, peer, true);
        watch.start();
        live(peer, 20_000, times);
        // The first silence that is long enough, by rights and by the samples.
        const instants = [0, ...times].sort((a, b) => a - b);
        const isLong = (silence: number) =>
          instants.find((from, index) => (instants[index + 1] ?? 1e9) - from >= silence)!;
        expect(peer.diedAt).toBeGreaterThanOrEqual(isLong(timeout) + timeout);
        // A timer of this clock takes whole milliseconds, of which there are eight.
        expect(peer.diedAt).toBeLessThanOrEqual(isLong(timeout * 1.125 + 8) + timeout * 1.125 + 8);
        expect(peer.deaths).toHaveLength(1);
        watch.stop();
      }),
    );
  });

  it('asks eight times within its bound, and not for every byte', async () => {
    const peer = new Peer();
    const received = jest.spyOn(peer, 'received');
    new IdleWatch(800, peer, true).start();
    await pass(800, 1);
    expect(received).toHaveBeenCalledTimes(1 + 8);
  });

  it('reads what has arrived before it judges', async () => {
    const peer = new Peer();
    const watch = new IdleWatch(800, peer, true);
    watch.start();
    await pass(799, 1);
    jest.advanceTimersByTime(1);
    // Its timer is due; the bytes that lay in the kernel come now.
    peer.send();
    await settle();
    expect(peer.deaths).toEqual([]);
    await pass(799, 1);
    expect(peer.deaths).toEqual([]);
    await pass(1);
    expect(peer.diedAt).toBe(1_600);
  });

  it('raises no false alarm when the process itself stood still', async () => {
    const peer = new Peer();
    const watch = new IdleWatch(800, peer, true);
    watch.start();
    for (let round = 0; round < 5; round++) {
      // Of a minute in which nothing ran, one timer is left that is due, and what came meanwhile is still to be read.
      jest.advanceTimersByTime(60_000);
      peer.send();
      await settle();
    }
    expect(peer.deaths).toEqual([]);
    watch.stop();
  });

  it('does not judge while it is stopped, and counts afresh when it starts again', async () => {
    const peer = new Peer();
    const watch = new IdleWatch(800, peer, true);
    watch.start();
    await pass(700, 100);
    watch.stop();
    expect(jest.getTimerCount()).toBe(0);
    await pass(10_000);
    watch.start();
    await pass(700, 100);
    expect(peer.deaths).toEqual([]);
    await pass(100);
    expect(peer.diedAt).toBe(11_500);
  });

  it('can be stopped when its time is up and what has arrived is being read', async () => {
    const peer = new Peer();
    const watch = new IdleWatch(800, peer, true);
    watch.start();
    await pass(700, 100);
    jest.advanceTimersByTime(100);
    watch.stop();
    await settle();
    await pass(5_000, 100);
    expect(peer.deaths).toEqual([]);
  });

  it('may be stopped, held and let go before it has started', () => {
    const watch = new IdleWatch(800, new Peer(), true);
    watch.stop();
    watch.setRef(false);
    watch.setRef(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it.each([true, false])('keeps the process alive with its timer, or does not: %p', async (ref) => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    const watch = new IdleWatch(800, new Peer(), ref);
    watch.start();
    expect(heldTimers(timers)).toEqual([ref]);
    watch.setRef(!ref);
    expect(heldTimers(timers)).toEqual([!ref]);
    await pass(700, 100);
    expect(heldTimers(timers).slice(1)).toEqual(Array(7).fill(!ref));
    watch.setRef(ref);
    expect(heldTimers(timers).at(-1)).toBe(ref);
    watch.stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('has one timer at a time', async () => {
    const watch = new IdleWatch(800, new Peer(), true);
    watch.start();
    for (let sample = 0; sample < 7; sample++) {
      expect(jest.getTimerCount()).toBe(1);
      await pass(100);
    }
    watch.stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('is judged by its own silence, whatever others there are', async () => {
    const [silent, late] = [new Peer(), new Peer()];
    const watches = [new IdleWatch(800, silent, true), new IdleWatch(800, late, true)];
    watches[0]!.start();
    await pass(350, 50);
    watches[1]!.start();
    await pass(1_000, 10);
    expect([silent.diedAt, late.diedAt]).toEqual([800, 1_150]);
  });

  it('asks and judges in the asynchronous context in which it was started', async () => {
    // A faked timer keeps no context.
    jest.useRealTimers();
    const names = new AsyncLocalStorage<string>();
    const contextsOf = (name: string) =>
      new Promise<Set<string | undefined>>((resolve) => {
        const contexts = new Set<string | undefined>();
        const note = () => contexts.add(names.getStore());
        const received = () => {
          note();
          return 0;
        };
        const watched: Watched = Object.assign(new Peer(), { received, onDead: () => resolve(note()) });
        names.run(name, () => new IdleWatch(16, watched, true).start());
      });
    const contexts = await Promise.all(['one', 'other'].map(contextsOf));
    expect(contexts).toEqual([new Set(['one']), new Set(['other'])]);
  });
});

describe('Heartbeat', () => {
  /** A heartbeat that notes when it pings, and a peer. */
  function heartbeatOf(
    interval: number,
    timeout: number,
    held = true,
    onPing: (peer: Peer) => void = () => undefined,
    idle = false,
  ) {
    const peer = new Peer();
    const pings: number[] = [];
    const ping = () => {
      pings.push(peer.now);
      onPing(peer);
    };
    const heartbeat = new Heartbeat({ interval, timeout, idle }, ping, peer, held);
    peer.heartbeat = heartbeat;
    return { peer, pings, heartbeat };
  }

  it('pings at its interval, and not at once', async () => {
    const { pings, heartbeat } = heartbeatOf(100, 100, true, (peer) => peer.send());
    heartbeat.start();
    expect(pings).toEqual([]);
    await pass(500, 10);
    expect(pings).toEqual([100, 200, 300, 400, 500]);
    heartbeat.stop();
  });

  it('finds a peer from which no byte comes within the timeout of a ping', async () => {
    const { peer, pings, heartbeat } = heartbeatOf(1_000, 300);
    heartbeat.start();
    await pass(1_299, 1);
    expect(peer.deaths).toEqual([]);
    await pass(1);
    expect(peer.deaths).toEqual([{ reason: 'heartbeat', error: expect.any(ConnectionError) as unknown, at: 1_300 }]);
    expect(peer.deaths[0]?.error).toMatchObject({
      code: 'ERR_HEARTBEAT',
      message: `No byte came from ${TAG} within 300 ms of a ping`,
      tag: TAG,
    });
    expect(pings).toEqual([1_000]);
    heartbeat.stop();
  });

  it('takes any byte for an answer, one that comes while it pings included', async () => {
    const { peer, pings, heartbeat } = heartbeatOf(1_000, 300, true, (each) => each.send());
    heartbeat.start();
    await pass(5_000, 100);
    expect(pings).toHaveLength(5);
    expect(peer.deaths).toEqual([]);
    heartbeat.stop();
  });

  it('does not take for an answer what came before the ping', async () => {
    const { peer, heartbeat } = heartbeatOf(1_000, 300);
    heartbeat.start();
    await pass(990);
    peer.send();
    await pass(400, 10);
    expect(peer.diedAt).toBe(1_300);
    heartbeat.stop();
  });

  it('leaves a slow peer alone that answers within its time', async () => {
    const { peer, heartbeat } = heartbeatOf(1_000, 300);
    heartbeat.start();
    await pass(1_000);
    for (let round = 0; round < 10; round++) {
      await pass(290);
      peer.send();
      await pass(710, 10);
    }
    expect(peer.deaths).toEqual([]);
    heartbeat.stop();
  });

  it('lets the bound of an unanswered ping stand, whatever is pinged meanwhile', async () => {
    const { peer, pings, heartbeat } = heartbeatOf(100, 350);
    heartbeat.start();
    await pass(450, 10);
    expect(pings).toEqual([100, 200, 300, 400]);
    expect(peer.diedAt).toBe(450);
    heartbeat.stop();
  });

  it('finds a peer that answered one ping and not the next, with the timeout as long as the interval', async () => {
    const { peer, heartbeat } = heartbeatOf(1_000, 1_000);
    heartbeat.start();
    await pass(1_500, 100);
    peer.send();
    await pass(1_400, 25);
    expect(peer.deaths).toEqual([]);
    // The ping at 2,000 was not answered.
    await pass(100, 25);
    expect(peer.diedAt).toBe(3_000);
    heartbeat.stop();
  });

  it('finds by its timeout the first ping that is not answered, whenever the peer sends', () => {
    useSteppedClock();
    const hundreds = fc.integer({ min: 1, max: 10 }).map((count) => count * 100);
    const times = fc.array(fc.integer({ min: 1, max: 4_000 }));
    fc.assert(
      fc.property(hundreds, hundreds, times, (interval, timeout, sent) => {
        const { peer, pings, heartbeat } = heartbeatOf(interval, timeout);
        heartbeat.start();
        live(peer, 6_000, sent);
        // An immediate takes a millisecond of this clock, and so the edges are left open.
        const unanswered = (edge: number) =>
          pings.find((ping) => sent.every((time) => time < ping - edge || time > ping + timeout + edge))! + timeout;
        expect(peer.diedAt).toBeGreaterThanOrEqual(unanswered(-2));
        expect(peer.diedAt).toBeLessThanOrEqual(unanswered(2) + 2);
        heartbeat.stop();
      }),
    );
  });

  it('reads what has arrived before it judges', async () => {
    const { peer, heartbeat } = heartbeatOf(1_000, 300);
    heartbeat.start();
    await pass(1_000);
    await pass(299);
    jest.advanceTimersByTime(1);
    // Its timer is due; the answer that lay in the kernel comes now.
    peer.send();
    await settle();
    expect(peer.deaths).toEqual([]);
    heartbeat.stop();
  });

  it('neither pings nor judges while it is stopped, and starts afresh', async () => {
    const { peer, pings, heartbeat } = heartbeatOf(100, 50);
    heartbeat.start();
    await pass(100);
    heartbeat.stop();
    expect(jest.getTimerCount()).toBe(0);
    await pass(10_000, 1_000);
    expect([pings, peer.deaths]).toEqual([[100], []]);
    heartbeat.start();
    await pass(100);
    await pass(49);
    expect([pings, peer.deaths]).toEqual([[100, 10_200], []]);
    await pass(1);
    expect(peer.diedAt).toBe(10_250);
    heartbeat.stop();
  });

  it('keeps nothing of a ping that was answered', async () => {
    const { heartbeat } = heartbeatOf(100, 50, true, (peer) => peer.send());
    heartbeat.start();
    await pass(2_000, 50);
    const clears = jest.spyOn(globalThis, 'clearTimeout');
    heartbeat.stop();
    expect(clears.mock.calls.length).toBeLessThan(4);
  });

  it('can be stopped while several answers are awaited', async () => {
    const { peer, pings, heartbeat } = heartbeatOf(100, 350);
    heartbeat.start();
    await pass(400, 10);
    heartbeat.stop();
    await pass(1_000, 10);
    expect([pings, peer.deaths, jest.getTimerCount()]).toEqual([[100, 200, 300, 400], [], 0]);
  });

  it('can be stopped from within its ping', async () => {
    const { peer, pings, heartbeat } = heartbeatOf(100, 50, true, () => heartbeat.stop());
    heartbeat.start();
    await pass(1_000, 10);
    expect([pings, peer.deaths, jest.getTimerCount()]).toEqual([[100], [], 0]);
  });

  it('goes on when a ping throws, and reports it', async () => {
    const microtasks: (() => void)[] = [];
    jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => void microtasks.push(task));
    const error = new Error('ping');
    const { peer, pings, heartbeat } = heartbeatOf(100, 100, true, () => {
      throw error;
    });
    heartbeat.start();
    jest.advanceTimersByTime(100);
    await settle();
    peer.send();
    jest.advanceTimersByTime(100);
    await settle();
    expect(pings).toEqual([100, 200]);
    expect(microtasks).toHaveLength(2);
    for (const task of microtasks) expect(task).toThrow(error);
    heartbeat.stop();
  });

  it('may be stopped, held and let go before it has started', () => {
    const { heartbeat } = heartbeatOf(100, 50);
    heartbeat.stop();
    heartbeat.setRef(false);
    heartbeat.setRef(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it.each([true, false])('holds the process with every timer, or with none: %p', async (held) => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    const { heartbeat } = heartbeatOf(100, 250, held);
    heartbeat.start();
    await pass(100);
    // The first wait is over; the next beat and the answer are waited for.
    expect(heldTimers(timers)).toEqual([held, held, held]);
    heartbeat.setRef(!held);
    await pass(100);
    expect(new Set(heldTimers(timers).slice(1))).toEqual(new Set([!held]));
    heartbeat.stop();
  });

  describe('while our own bytes wait', () => {
    it('does not judge for as long as the kernel takes more of them', async () => {
      const { peer, heartbeat } = heartbeatOf(1_000, 400);
      heartbeat.start();
      peer.write(10_000);
      await pass(1_000);
      for (let round = 0; round < 20; round++) {
        await pass(300, 25);
        peer.take(100);
      }
      expect(peer.deaths).toEqual([]);
      // From the last progress on: it is seen up to an eighth of the timeout later.
      await pass(400, 25);
      expect(peer.deaths).toEqual([]);
      await pass(75, 25);
      expect(peer.deaths).toMatchObject([{ reason: 'heartbeat' }]);
      expect(peer.deaths[0]?.error.message).toBe(
        `No byte came from ${TAG} within 400 ms of a ping, while bytes waited in the socket and the kernel took none of them: a peer that reads slowly needs a longer \`heartbeat.timeout\``,
      );
    });

    it('counts from the time at which the kernel has taken all of them, with the ping', async () => {
      const { peer, heartbeat } = heartbeatOf(10_000, 400);
      heartbeat.start();
      peer.write(10_000);
      await pass(10_000, 1_000);
      await pass(300, 25);
      peer.take(10_000);
      await pass(400, 25);
      expect(peer.deaths).toEqual([]);
      await pass(75, 25);
      expect(peer.deaths[0]?.error.message).toBe(
        `No byte came from ${TAG} within 400 ms of a ping, which went out behind other bytes: a peer that reads slowly needs a longer \`heartbeat.timeout\``,
      );
    });

    it('is not deceived by a kernel with room, which takes bytes for a peer that is gone', async () => {
      const { peer, heartbeat } = heartbeatOf(1_000, 400);
      heartbeat.start();
      await pass(1_000);
      for (let round = 0; round < 16; round++) {
        peer.write(10);
        peer.take(10);
        await pass(25);
      }
      expect(peer.diedAt).toBe(1_400);
    });
  });

  describe('idle', () => {
    it('pings when nothing was written for the interval, and not before', async () => {
      const { peer, pings, heartbeat } = heartbeatOf(800, 400, true, () => undefined, true);
      heartbeat.start();
      for (let round = 0; round < 10; round++) {
        await pass(500, 25);
        peer.send();
        peer.write(1);
        peer.take(1);
      }
      expect(pings).toEqual([]);
      // A write is seen up to an eighth of the interval later.
      await pass(800, 25);
      expect(pings).toEqual([]);
      await pass(100, 25);
      expect(pings).toHaveLength(1);
      heartbeat.stop();
    });

    it('takes its own ping for no write', async () => {
      const { pings, heartbeat } = heartbeatOf(800, Infinity, true, (peer) => peer.write(0), true);
      heartbeat.start();
      await pass(2_400, 25);
      expect(pings).toEqual([800, 1_600, 2_400]);
      heartbeat.stop();
    });
  });

  it('expects no answer where its timeout is Infinity, and measures none', async () => {
    const { peer, pings, heartbeat } = heartbeatOf(100, Infinity);
    heartbeat.start();
    await pass(1_000, 50);
    peer.send();
    expect([pings.length, peer.deaths, heartbeat.roundTrip]).toEqual([10, [], undefined]);
    heartbeat.stop();
    expect(jest.getTimerCount()).toBe(0);
  });

  describe('roundTrip', () => {
    it('is the time from a ping to the next byte: the last, smoothed as by TCP, the worst', async () => {
      const { peer, heartbeat } = heartbeatOf(1_000, 900);
      heartbeat.start();
      await pass(1_000);
      await pass(80);
      peer.send();
      expect(heartbeat.roundTrip).toEqual({ last: 80, smoothed: 80, worst: 80 });
      await pass(920);
      await pass(16);
      peer.send();
      peer.send();
      expect(heartbeat.roundTrip).toEqual({ last: 16, smoothed: 72, worst: 80 });
      heartbeat.stop();
    });

    it('is of the oldest ping without an answer', async () => {
      const { peer, heartbeat } = heartbeatOf(100, 900);
      heartbeat.start();
      await pass(350, 10);
      peer.send();
      expect(heartbeat.roundTrip?.last).toBe(250);
      heartbeat.stop();
    });

    it('leaves out a ping that waited behind other bytes', async () => {
      const { peer, heartbeat } = heartbeatOf(100, 900);
      heartbeat.start();
      peer.write(1_000);
      await pass(150, 10);
      peer.take(1_000);
      peer.send();
      expect(heartbeat.roundTrip).toBeUndefined();
      heartbeat.stop();
    });
  });
});

describe('StallWatch', () => {
  it('finds bytes of which the kernel takes none', async () => {
    const peer = new Peer();
    new StallWatch(800, peer, true).start();
    await pass(2_000, 25);
    peer.write(100);
    await pass(800, 25);
    expect(peer.deaths).toEqual([]);
    await pass(100, 25);
    expect(peer.deaths).toMatchObject([{ reason: 'stalled', error: { code: 'ERR_STALLED', tag: TAG } }]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('lets bytes wait of which the kernel takes one now and then, whatever the peer says', async () => {
    const peer = new Peer();
    const watch = new StallWatch(800, peer, true);
    watch.start();
    peer.write(100);
    for (let round = 0; round < 10; round++) {
      await pass(700, 25);
      peer.take(1);
    }
    expect(peer.deaths).toEqual([]);
    for (let round = 0; round < 36; round++) {
      await pass(25);
      peer.send();
    }
    expect(peer.deaths).toMatchObject([{ reason: 'stalled' }]);
  });

  it('does not count the time in which nothing waited', async () => {
    const peer = new Peer();
    const watch = new StallWatch(800, peer, true);
    watch.start();
    for (let round = 0; round < 10; round++) {
      peer.write(100);
      await pass(500, 25);
      peer.take(100);
      await pass(500, 25);
    }
    expect(peer.deaths).toEqual([]);
    watch.stop();
  });
});
