import { AsyncLocalStorage } from 'node:async_hooks';

import * as fc from 'fast-check';

import type { DialGate, DialRequest } from '../../lib/attempt/dial-gate';
import { AttemptFailure } from '../../lib/attempt/failure';
import type { ConnectionOptions } from '../../lib/options/options';
import { DialSlot } from '../../lib/pool/dial-slot';
import { SharedGate } from '../../lib/pool/shared-gate';
import { resolveTarget } from '../../lib/options/resolve-target';
import { resolveOptions } from '../../lib/options/settings';
import { pass as elapse, useFakeClock } from '../kit/scripted';

const REFUSED = new AttemptFailure('error', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
const SILENCE = new AttemptFailure('connect-timeout', new Error('no answer'));

/** A connection without a socket: it asks its gate for dials, and keeps a record of the answers. */
class Caller {
  readonly heard: string[] = [];
  slowAfter: number | undefined;
  timeout: number;
  /** Whether `retryNow` finds it in backoff. */
  isInBackoff = true;
  readonly #gate: DialGate;
  readonly #options: ConnectionOptions;

  constructor(gate: SharedGate, options: ConnectionOptions = { port: 1 }) {
    const { settings } = resolveOptions(options);
    this.timeout = settings.connectTimeout === 0 ? Infinity : settings.connectTimeout;
    this.#options = options;
    this.#gate = new DialSlot(gate, settings, { retryNow: () => this.#retryNow() });
  }

  dial(port = this.#options.port): this {
    this.isInBackoff = false;
    this.#acquire('in', { timeout: this.timeout }, port);
    return this;
  }

  /** Its latest socket has had no answer for so long. */
  wait(slowFor = 30): this {
    this.#acquire('hedged', { slowFor });
    return this;
  }

  connect(took = 1): this {
    this.#gate.connected(took);
    return this.leave();
  }

  fail(failure = REFUSED): this {
    this.#gate.failed(0, failure);
    return this.leave();
  }

  /** Its attempt is over. */
  leave(): this {
    this.isInBackoff = true;
    this.#gate.release();
    return this;
  }

  close(): this {
    this.#gate.close();
    return this;
  }

  /** A `target` function is asked for another port, and dials by itself. */
  #retryNow(): boolean {
    if (!this.isInBackoff) return false;
    this.heard.push('retried');
    if (this.#options.target === undefined) this.dial();
    return true;
  }

  #acquire(granted: string, request: DialRequest, port = this.#options.port): void {
    const target = resolveTarget({ port: port! }, undefined);
    void this.#gate.acquire(target, request).then((answer) => {
      if (answer.ok) this.slowAfter = answer.slowAfter;
      if (answer.ok) this.heard.push(granted);
      else this.heard.push(answer.reason === 'connect-timeout' ? answer.error.message : 'refused');
    });
  }
}

/** Members that dial one endpoint, which is not known to be there. */
function callers(gate: SharedGate, count: number, options: ConnectionOptions = { port: 1 }): Caller[] {
  return Array.from({ length: count }, () => new Caller(gate, options));
}

/** The answers to a caller. They arrive in a microtask. */
async function heard(caller: Caller | undefined): Promise<readonly string[]> {
  await Promise.resolve();
  return caller!.heard;
}

async function told(all: readonly Caller[]): Promise<string[]> {
  await Promise.resolve();
  return all.map((caller) => caller.heard.join(' '));
}

/** The numbers of the callers that were granted a dial. */
async function inside(all: readonly Caller[]): Promise<number[]> {
  await Promise.resolve();
  return all.flatMap((caller, index) => (caller.heard.includes('in') ? [index] : []));
}

/** Callers that each dial another endpoint, and so share only the bound and the burst limiter. */
function strangers(gate: SharedGate, count: number): Caller[] {
  return Array.from({ length: count }, (_, index) => new Caller(gate, { port: index + 1 }));
}

beforeEach(() => {
  useFakeClock();
  // The least that chance can bring: each first wait is over at once, and the next take 100 ms.
  jest.spyOn(Math, 'random').mockReturnValue(0.5);
});

afterEach(() => {
  jest.restoreAllMocks();
  jest.useRealTimers();
});

describe('the limit', () => {
  const bounded = (limit: number) => new SharedGate(limit, false);

  it('grants so many dials at a time, and the others in the order in which they were asked for', async () => {
    const gate = bounded(2);
    const all = strangers(gate, 4).map((caller) => caller.dial());
    expect([await inside(all), gate.waiting]).toEqual([[0, 1], 2]);
    all[1]?.leave();
    expect(await inside(all)).toEqual([0, 1, 2]);
    all[0]?.leave();
    expect([await inside(all), gate.waiting]).toEqual([[0, 1, 2, 3], 0]);
  });

  it('grants nothing in place of a member that leaves without a grant, or twice', async () => {
    const all = strangers(bounded(1), 4).map((caller) => caller.dial());
    all[1]?.leave().leave();
    expect(await inside(all)).toEqual([0]);
    all[0]?.leave().leave();
    expect(await inside(all)).toEqual([0, 2]);
  });

  it('grants a member that left another dial, at the end of the queue', async () => {
    const [first, second] = strangers(bounded(1), 2).map((caller) => caller.dial());
    first?.leave().dial();
    expect(await heard(second)).toEqual(['in']);
    expect(await heard(first)).toEqual(['in']);
    second?.leave();
    expect(await heard(first)).toEqual(['in', 'in']);
  });

  it('never grants more than that, and keeps no member waiting while there is room', async () => {
    const move = fc.record({ enters: fc.boolean(), guest: fc.nat({ max: 30 }) });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(move, { maxLength: 60 }), async (limit, moves) => {
        const gate = bounded(limit);
        const inside = new Set<number>();
        let waiting: number[] = [];
        const all: Caller[] = [];
        const expected = new Set<number>();
        const admit = () => {
          while (inside.size < limit && waiting.length > 0) {
            const next = waiting.shift()!;
            inside.add(next);
            expected.add(next);
          }
        };
        for (const { enters, guest } of moves) {
          if (enters) {
            waiting.push(all.length);
            admit();
            all.push(new Caller(gate).dial());
          } else if (all.length > 0) {
            const leaver = guest % all.length;
            inside.delete(leaver);
            waiting = waiting.filter((each) => each !== leaver);
            admit();
            all[leaver]!.leave();
          }
          expect((await told(all)).map((each) => each.length / 2)).toEqual(
            all.map((_, index) => (expected.has(index) ? 1 : 0)),
          );
          expect(gate.waiting).toBe(waiting.length);
        }
        for (const caller of all) caller.leave();
      }),
    );
  });
});

describe('the burst limiter', () => {
  const paced = () => new SharedGate(Infinity, true);

  it('grants 20 dials in a millisecond, and the others in the following milliseconds, in order', async () => {
    const gate = paced();
    const all = strangers(gate, 50).map((caller) => caller.dial());
    expect([(await inside(all)).length, gate.waiting]).toEqual([20, 30]);
    await elapse(1);
    expect(await inside(all)).toEqual(Array.from({ length: 40 }, (_, index) => index));
    await elapse(1);
    expect([(await inside(all)).length, gate.waiting]).toEqual([50, 0]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('goes by the clock when a timer is early, as in an event loop that was blocked', async () => {
    const clock = jest.spyOn(performance, 'now').mockReturnValue(10);
    const all = strangers(paced(), 21).map((caller) => caller.dial());
    clock.mockReturnValue(10.4);
    await elapse(1);
    expect((await inside(all)).length).toBe(20);
    clock.mockReturnValue(11);
    await elapse(1);
    expect((await inside(all)).length).toBe(21);
  });

  it('grants no more in one iteration of the event loop, however long that takes', async () => {
    const all = strangers(paced(), 21);
    for (const caller of all.slice(0, 20)) caller.dial();
    jest.advanceTimersByTime(5);
    all[20]?.dial();
    expect((await inside(all)).length).toBe(20);
    await elapse(1);
    expect((await inside(all)).length).toBe(21);
  });

  it('grants nothing to a member that left while it waited, and keeps no timer', async () => {
    const all = strangers(paced(), 22).map((caller) => caller.dial());
    for (const caller of all.slice(20)) caller.leave();
    expect(jest.getTimerCount()).toBe(0);
    await elapse(5);
    expect((await inside(all)).length).toBe(20);
  });
});

describe('an endpoint of several', () => {
  const gate = () => new SharedGate(Infinity, true);

  it('is dialled by one member at first; when that has connected, the others follow', async () => {
    const shared = gate();
    const all = callers(shared, 5).map((caller) => caller.dial());
    expect([await inside(all), shared.waiting]).toEqual([[0], 4]);
    expect(shared.endpoints).toEqual({
      '127.0.0.1:1': { phase: 'probing', waiting: 4, dialling: 1, window: 1, connectTime: null },
    });
    all[0]?.connect(2.44);
    expect([await inside(all), shared.waiting]).toEqual([[0, 1, 2, 3], 1]);
    expect(shared.endpoints).toEqual({
      '127.0.0.1:1': { phase: 'ramping', waiting: 1, dialling: 3, window: 3, connectTime: 2.4 },
    });
    all[1]?.connect(2.44);
    expect([await inside(all), shared.waiting]).toEqual([[0, 1, 2, 3, 4], 0]);
  });

  it('is dialled by more members at a time the more have connected', async () => {
    const all = callers(gate(), 300);
    all[0]?.dial();
    for (const caller of all.slice(1)) caller.dial();
    await elapse(15);
    all[0]?.connect();
    let dialling = (await inside(all)).slice(1);
    const rounds = [dialling.length];
    while (rounds.length < 7) {
      for (const each of dialling) all[each]?.connect();
      const before = dialling.at(-1)!;
      dialling = (await inside(all)).filter((each) => each > before);
      rounds.push(dialling.length);
    }
    // Half as many again each time, in whole places.
    expect(rounds).toEqual([3, 4, 6, 9, 14, 21, 31]);
    for (const caller of all) caller.leave();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('that refuses one member fails the members that wait for it, without their dialling', async () => {
    const all = callers(gate(), 4).map((caller) => caller.dial());
    all[0]?.fail();
    expect(await told(all)).toEqual(['in', 'refused', 'refused', 'refused']);
  });

  it('is not given up for one refusal among many that connected', async () => {
    const all = callers(gate(), 200).map((caller) => caller.dial());
    await elapse(15);
    all[0]?.connect();
    all[1]?.fail();
    expect((await told(all)).filter((each) => each === 'refused')).toEqual([]);
    const before = (await inside(all)).length;
    await elapse(90);
    expect((await inside(all)).length).toBe(before + 1);
    all[before]?.fail();
    expect((await told(all)).filter((each) => each === 'refused').length).toBe(200 - before - 1);
  });

  it('that does not answer one member may answer another, which dials a moment later', async () => {
    const all = callers(gate(), 3).map((caller) => caller.dial());
    await elapse(24);
    expect(await inside(all)).toEqual([0]);
    await elapse(1);
    expect(await inside(all)).toEqual([0, 1]);
    all[1]?.connect();
    expect(await inside(all)).toEqual([0, 1, 2]);
    all[0]?.fail(SILENCE);
    expect(await told(all)).toEqual(['in', 'in', 'in']);
  });

  it('that does not answer fails each member after its own timeout', async () => {
    const shared = gate();
    const timeouts = [10_000, 10_000, 10_000, 10_000, 2_000, 0];
    const all = timeouts.flatMap((connectTimeout) => callers(shared, 15, { port: 1, connectTimeout }));
    for (const caller of all) caller.dial();
    await elapse(3_000);
    expect((await told(all)).slice(60, 75)).toEqual(Array(15).fill('No answer from 127.0.0.1:1 within 2000 ms'));
    await elapse(9_000);
    expect(new Set((await told(all)).slice(0, 60))).toEqual(
      new Set(['in', 'No answer from 127.0.0.1:1 within 10000 ms']),
    );
    await elapse(60_000);
    expect((await told(all)).slice(75)).toEqual(Array(15).fill('in'));
    for (const caller of all) caller.leave();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('with a single member never delays that member', async () => {
    const [only] = callers(gate(), 1);
    for (let dial = 0; dial < 10; dial++) only?.dial().fail();
    expect(await heard(only)).toEqual(Array(10).fill('in'));
  });

  it('is shared as soon as it has a second member, and no longer when one is left', async () => {
    const [one, other] = callers(gate(), 2);
    one?.dial().fail();
    other?.dial();
    expect(await heard(other)).toEqual([]);
    one?.dial();
    expect(await heard(one)).toEqual(['in']);
    other?.leave().close();
    expect(await heard(one)).toEqual(['in', 'in']);
    expect(jest.getTimerCount()).toBe(0);
    await elapse(0);
  });

  it('is forgotten when it has no members', () => {
    const shared = gate();
    const all = callers(shared, 3).map((caller) => caller.dial());
    for (const caller of all) {
      expect(Object.keys(shared.endpoints)).toEqual(['127.0.0.1:1']);
      caller.leave().close();
    }
    expect(shared.endpoints).toEqual({});
    expect(jest.getTimerCount()).toBe(0);
  });

  it.each<[string, ConnectionOptions, ConnectionOptions]>([
    ['by other functions', { port: 1, dial: () => null as never }, { port: 1, dial: () => null as never }],
    ['by a function and without', { port: 1 }, { port: 1, dial: () => null as never }],
    ['by other look-ups', { port: 1 }, { port: 1, socket: { lookup: () => {} } }],
    ['from other addresses', { port: 1 }, { port: 1, socket: { localAddress: '127.0.0.2' } }],
    ['in other families', { port: 1, socket: { family: 4 } }, { port: 1, socket: { family: 6 } }],
    ['at other ports', { port: 1 }, { port: 2 }],
  ])('is another for members that dial it %s', async (_how, one, other) => {
    const shared = gate();
    const all = [new Caller(shared, one).dial(), new Caller(shared, other).dial()];
    expect(await told(all)).toEqual(['in', 'in']);
    const stats = Object.values(shared.endpoints);
    expect(stats.reduce((sum, { dialling }) => sum + dialling, 0)).toBe(2);
    all[0]?.fail();
    expect(await told(all)).toEqual(['in', 'in']);
  });

  it('shows the worse of two with the same tag', () => {
    const shared = gate();
    const one = new Caller(shared).dial().connect(7);
    new Caller(shared, { port: 1, dial: () => null as never }).dial();
    expect(shared.endpoints).toEqual({
      '127.0.0.1:1': { phase: 'probing', waiting: 0, dialling: 1, window: 4, connectTime: 7 },
    });
    one.close();
  });

  it('is the same for members that dial by the same function', async () => {
    const dial = () => null as never;
    expect(await told(callers(gate(), 2, { port: 1, dial }).map((caller) => caller.dial()))).toEqual(['in', '']);
  });

  it('holds members back without taking the places of others', async () => {
    const shared = new SharedGate(2, true);
    const all = callers(shared, 4).map((caller) => caller.dial());
    const elsewhere = new Caller(shared, { port: 2 }).dial();
    expect([await inside(all), elsewhere.heard]).toEqual([[0], ['in']]);
    all[0]?.connect();
    expect(await inside(all)).toEqual([0, 1]);
    elsewhere.leave();
    expect(await inside(all)).toEqual([0, 1, 2]);
  });

  it('is not shared where members do not coordinate their dials', async () => {
    const apart = new SharedGate(Infinity, false);
    const all = callers(apart, 50).map((caller) => caller.dial());
    expect((await inside(all)).length).toBe(50);
    all[0]?.fail();
    expect(new Set(await told(all))).toEqual(new Set(['in']));
    expect(apart.endpoints).toEqual({});
  });
});

describe('a member with a `target` function', () => {
  const target = () => ({ port: 1 });

  it('asks for its dial when the function has answered, and only then is the endpoint known', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = callers(gate, 3, { target });
    expect(gate.endpoints).toEqual({});
    for (const caller of all) caller.dial(1);
    expect([await told(all), Object.keys(gate.endpoints)]).toEqual([['in', '', ''], ['127.0.0.1:1']]);
    all[0]?.connect();
    expect(await told(all)).toEqual(['in', 'in', 'in']);
  });

  it('counts for the limit while it dials, but not while it is held back', async () => {
    const gate = new SharedGate(2, true);
    const all = callers(gate, 4, { target });
    all[0]?.dial(1);
    all[1]?.dial(1);
    all[2]?.dial(2);
    all[3]?.dial(3);
    expect([await inside(all), gate.waiting]).toEqual([[0, 2], 2]);
    all[2]?.leave();
    expect([await inside(all), gate.waiting]).toEqual([[0, 2, 3], 1]);
    all[0]?.connect();
    expect([await told(all), gate.waiting]).toEqual([['in', 'in', 'in', 'in'], 0]);
  });

  it('may dial another endpoint each time; an endpoint without members is forgotten', () => {
    const gate = new SharedGate(Infinity, true);
    const [caller] = callers(gate, 1, { target });
    for (let port = 1; port < 100; port++) {
      caller?.dial(port);
      expect(Object.keys(gate.endpoints)).toEqual([`127.0.0.1:${port}`]);
      if (port % 2 === 0) caller?.connect();
      else caller?.fail();
    }
  });
});

describe('a member whose dial is slow', () => {
  const tag = '127.0.0.1:1';

  /** Callers of which the first has connected, and the others are let in as the window allows. */
  async function ramping(gate: SharedGate, count: number): Promise<Caller[]> {
    const all = callers(gate, count).map((caller) => caller.dial());
    await elapse(15);
    all[0]?.connect(10);
    return all;
  }

  it('is one without an answer for several times what it takes to connect', async () => {
    const all = await ramping(new SharedGate(Infinity, true), 3);
    expect(await inside(all)).toEqual([0, 1, 2]);
    expect(all.map(({ slowAfter }) => slowAfter)).toEqual([undefined, 50, 50]);
  });

  it('may open a second socket when there is room, and only then is there room for others', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = await ramping(gate, 6);
    expect(await inside(all)).toEqual([0, 1, 2, 3]);
    await elapse(50);
    // The window is cut from three to one: two are under way.
    all[1]?.wait(50);
    expect(await heard(all[1])).toEqual(['in']);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'ramping', waiting: 2, dialling: 3, window: 1 });
    all[2]?.wait(50);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'ramping', waiting: 2, dialling: 3, window: 1 });
    all[3]?.connect(60);
    // Both go before those who have not dialled at all.
    expect(await told(all)).toEqual(['in', 'in hedged', 'in hedged', 'in', '', '']);
    all[1]?.connect();
    all[2]?.connect();
    expect(await inside(all)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('makes the endpoint one that is probed, when there was only one place left', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = await ramping(gate, 5);
    await elapse(50);
    for (const caller of all.slice(1, 4)) caller.wait(50);
    expect(await told(all)).toEqual(['in', 'in hedged', 'in', 'in', '']);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'ramping', window: 1 });
    await elapse(50);
    all[1]?.wait(50);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'probing', waiting: 1, dialling: 3 });
    await elapse(87);
    expect(await told(all)).toEqual(['in', 'in hedged', 'in', 'in', '']);
    await elapse(1);
    expect(await told(all)).toEqual(['in', 'in hedged', 'in hedged', 'in', '']);
    // Its first dial may still come through; then all may come.
    all[3]?.connect(188);
    expect(await told(all)).toEqual(['in', 'in hedged hedged', 'in hedged', 'in', 'in']);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'ramping', waiting: 0, dialling: 3 });
  });

  /** Two members of which the second dials anew, and what both heard. */
  async function two(gate: SharedGate): Promise<Caller[]> {
    const both = callers(gate, 2).map((caller) => caller.dial());
    await elapse(15);
    for (const caller of both) caller.connect(10);
    both[1]?.dial();
    await elapse(50);
    return both;
  }

  it('has no second socket where it is the only member', async () => {
    const gate = new SharedGate(Infinity, true);
    const [only] = callers(gate, 1);
    only?.dial().connect(10).dial();
    await elapse(50);
    only?.wait(50);
    await elapse(10_000);
    expect(await heard(only)).toEqual(['in', 'in']);
    expect(only?.slowAfter).toBeUndefined();
    only?.leave().close();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('has no second socket when the other members have gone meanwhile', async () => {
    const [other, slow] = await two(new SharedGate(Infinity, true));
    expect(slow?.slowAfter).toBe(45);
    other?.close();
    slow?.wait(50);
    await elapse(10_000);
    expect(await heard(slow)).toEqual(['in', 'in']);
    slow?.leave().close();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('waits for no second socket any more when the other members go', async () => {
    const gate = new SharedGate(Infinity, true);
    const [other, slow] = await two(gate);
    slow?.wait(50);
    await elapse(50);
    // There is room for one dial only, which is under way.
    slow?.wait(50);
    expect(await heard(slow)).toEqual(['in', 'in', 'hedged']);
    other?.close();
    await elapse(10_000);
    expect(await heard(slow)).toEqual(['in', 'in', 'hedged']);
    expect(gate.endpoints[tag]).toMatchObject({ dialling: 1 });
    slow?.connect(60).close();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('has no second socket where `hedge` is false', async () => {
    const [, slow] = await two(new SharedGate(Infinity, true, false));
    expect(slow?.slowAfter).toBeUndefined();
    slow?.wait(50);
    await elapse(10_000);
    expect(await heard(slow)).toEqual(['in', 'in']);
  });

  it('is not granted one after it has connected, failed or left', async () => {
    for (const end of ['connect', 'fail', 'leave'] as const) {
      const gate = new SharedGate(Infinity, true);
      const all = await ramping(gate, 4);
      all[1]?.wait(15);
      expect(await heard(all[1])).toEqual(['in']);
      all[1]?.[end]();
      all[1]!.isInBackoff = false;
      all[2]?.connect();
      all[3]?.connect();
      await elapse(2_000);
      expect(await heard(all[1])).toEqual(['in']);
      expect(gate.endpoints[tag]).toMatchObject({ waiting: 0, dialling: 0 });
      expect(jest.getTimerCount()).toBe(0);
    }
  });

  it('is granted none where members do not coordinate their dials', async () => {
    const [only] = callers(new SharedGate(Infinity, false), 1);
    only?.dial().wait();
    expect(await heard(only)).toEqual(['in']);
  });
});

describe('members in backoff after a failed dial', () => {
  /** Callers of which the first connects and the others have failed before, and rest. */
  async function resting(gate: SharedGate, count: number): Promise<Caller[]> {
    const all = callers(gate, count).map((caller) => caller.dial());
    await elapse(15);
    all[0]?.fail();
    for (const caller of all.slice(1)) caller.leave();
    return all;
  }

  it('are retried when their endpoint is back, once', async () => {
    const all = await resting(new SharedGate(Infinity, true), 4);
    await elapse(25);
    all[0]?.dial().connect();
    expect(await told(all)).toEqual(['in in', ...Array<string>(3).fill('refused retried in')]);
    for (const caller of all.slice(1)) caller.fail();
    expect(await told(all)).toEqual(['in in', ...Array<string>(3).fill('refused retried in')]);
  });

  it('are retried as the window allows, after those whose backoff is over', async () => {
    const all = await resting(new SharedGate(Infinity, true), 200);
    await elapse(25);
    all[0]?.dial();
    all[199]?.dial();
    all[0]?.connect();
    expect(await heard(all[199])).toEqual(['refused', 'in']);
    const retried = async () => (await told(all)).filter((each) => each.includes('retried')).length;
    expect(await retried()).toBe(2);
    all[199]?.connect();
    expect(await retried()).toBe(3);
    for (let next = 1; next <= 3; next++) all[next]?.connect();
    expect(await retried()).toBe(3 + 5);
    // A failure stops it: they go on waiting, and so do those who come.
    all[4]?.fail();
    expect(await retried()).toBe(3 + 5);
  });

  it('are retried after any dial that connects, also where the endpoint was not known to be gone', async () => {
    const all = await resting(new SharedGate(Infinity, true), 4);
    await elapse(25);
    all[0]?.dial().connect();
    all[1]?.connect();
    // It was not answered in its time, while others were.
    await elapse(10_000);
    all[2]?.fail(SILENCE);
    expect(await heard(all[2])).toEqual(['refused', 'retried', 'in']);
    all[3]?.connect();
    expect(await heard(all[2])).toEqual(['refused', 'retried', 'in', 'retried', 'in']);
  });

  it('are not retried after a lost session: a server that accepts and hangs up causes no burst of dials', async () => {
    const all = callers(new SharedGate(Infinity, true), 3).map((caller) => caller.dial());
    all[0]?.connect();
    all[1]?.connect();
    all[2]?.fail();
    await elapse(500);
    all[0]?.dial().connect();
    expect(await told(all)).toEqual(['in in', 'in', 'in retried in']);
  });

  it('are not retried when their backoff or their lifecycle is over', async () => {
    const all = await resting(new SharedGate(Infinity, true), 4);
    await elapse(25);
    all[1]!.isInBackoff = false;
    all[2]?.close();
    all[0]?.dial().connect();
    expect(await told(all)).toEqual(['in in', 'refused', 'refused', 'refused retried in']);
  });

  it('leave their places to others when their backoff is over by then', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = await resting(gate, 3);
    all[1]!.isInBackoff = false;
    await elapse(25);
    all[0]?.dial().connect();
    expect(gate.endpoints['127.0.0.1:1']).toMatchObject({ dialling: 1 });
    expect(await told(all)).toEqual(['in in', 'refused', 'refused retried in']);
  });

  it('ask their `target` function first, and keep their places if it names the same endpoint', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = callers(gate, 4, { target: () => ({ port: 1 }) }).map((caller) => caller.dial(1));
    all[0]?.fail();
    for (const caller of all.slice(1)) caller.leave();
    await elapse(25);
    all[0]?.dial(1).connect();
    expect((await told(all)).slice(1)).toEqual(Array(3).fill('refused retried'));
    expect(gate.endpoints['127.0.0.1:1']).toMatchObject({ dialling: 3 });
    all[1]?.dial(1);
    expect(gate.endpoints['127.0.0.1:1']).toMatchObject({ dialling: 3 });
    all[2]?.dial(2);
    expect(gate.endpoints).toMatchObject({ '127.0.0.1:1': { dialling: 2 }, '127.0.0.1:2': { dialling: 1 } });
    // Its `target` function has failed.
    all[3]?.leave();
    expect(gate.endpoints['127.0.0.1:1']).toMatchObject({ dialling: 1 });
    expect((await told(all)).slice(1)).toEqual(['refused retried in', 'refused retried in', 'refused retried']);
  });
});

test('the asynchronous context of `retryNow` is that in which the dial of the member failed', async () => {
  const contexts = new AsyncLocalStorage<string>();
  const gate = new SharedGate(Infinity, true);
  const { settings, target } = resolveOptions({ port: 1 });
  const stores: unknown[] = [];
  const retryNow = () => (stores.push(contexts.getStore()), false);
  const slot = new DialSlot(gate, settings, { retryNow });
  await slot.acquire(target!, { timeout: 1_000 });
  slot.failed(1, REFUSED);
  contexts.run('own', () => slot.release());
  const other = new DialSlot(gate, settings, { retryNow: () => false });
  const granted = other.acquire(target!, { timeout: 1_000 });
  await elapse(25);
  await granted;
  contexts.run('other', () => other.connected(1));
  expect(stores).toEqual(['own']);
});
