import * as fc from 'fast-check';

import { type Gate, type Guest, type Member, type Pass, type Refusal, openGate } from '../../lib/attempt/dial-gate';
import type { ConnectionOptions } from '../../lib/options/options';
import { SharedGate } from '../../lib/pool/shared-gate';
import { resolveOptions, resolveTarget } from '../../lib/options/settings';
import { pass as elapse, useFakeClock } from '../kit/scripted';

const REFUSED: Refusal = { reason: 'error', error: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) };
const SILENCE: Refusal = { reason: 'connect-timeout', error: new Error('no answer') };

/** A connection without a socket: it asks a gate to dial, and writes down what it is told. */
class Caller implements Guest, Member {
  readonly heard: string[] = [];
  timeLeft: number;
  readonly #pass: Pass;

  constructor(gate: Gate, options: ConnectionOptions = { port: 1 }) {
    const settings = resolveOptions(options);
    this.timeLeft = settings.connectTimeout;
    this.#pass = gate.join(this, settings);
  }

  get patience(): number | undefined {
    return this.#pass.patience;
  }

  admit(): void {
    this.heard.push('in');
  }

  refuse(refusal: Refusal | undefined): void {
    this.heard.push(refusal?.error.message ?? 'silence');
  }

  hedge(): void {
    this.heard.push('hedged');
  }

  recall(): void {
    this.heard.push('recalled');
    this.#pass.rise();
    this.dial();
  }

  dial(): this {
    if (this.#pass.enter(this, true)) this.admit();
    return this;
  }

  /** Its target is known. */
  to(port: number): this {
    if (this.#pass.approach(resolveTarget({ port }, undefined))) this.heard.push(`to ${port}`);
    return this;
  }

  connect(took = 1): this {
    this.#pass.connected(took);
    return this.leave();
  }

  /** Its dial has had no answer in `took`. */
  wait(took = 30): this {
    if (this.#pass.overdue(took)) this.hedge();
    return this;
  }

  fail(refusal = REFUSED): this {
    this.#pass.failed(0, refusal);
    return this.leave();
  }

  leave(): this {
    this.#pass.leave();
    return this;
  }

  rest(): this {
    this.#pass.rest();
    return this;
  }

  rise(): this {
    this.#pass.rise();
    return this;
  }

  close(): this {
    this.#pass.close();
    return this;
  }
}

/** Callers to one endpoint, which has been dialled and has connected unless it is `unknown`. */
function callers(gate: Gate, count: number, options: ConnectionOptions = { port: 1 }): Caller[] {
  return Array.from({ length: count }, () => new Caller(gate, options));
}

const told = (all: readonly Caller[]) => all.map(({ heard }) => heard.join(' '));

/** The numbers of those who were let in. */
const inside = (all: readonly Caller[]) => all.flatMap(({ heard }, index) => (heard.includes('in') ? [index] : []));

/** Callers that each dial somewhere else, and so have nothing but the limit and the pace in common. */
function strangers(gate: Gate, count: number): Caller[] {
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

describe('openGate', () => {
  it('lets everyone through at once, wherever they go, and knows nothing', () => {
    const all = callers(openGate, 3).map((caller) => caller.dial().to(1));
    expect(told(all)).toEqual(['in to 1', 'in to 1', 'in to 1']);
    all.map((caller) => caller.fail().rest().rise().dial().connect(5).close());
    expect(all[0]?.patience).toBeUndefined();
    expect(told(all)[2]).toBe('in to 1 in');
  });
});

describe('the limit', () => {
  const bounded = (limit: number) => new SharedGate(limit, false);

  it('lets so many through at a time, the others in the order they came', () => {
    const gate = bounded(2);
    const all = strangers(gate, 4).map((caller) => caller.dial());
    expect([inside(all), gate.waiting]).toEqual([[0, 1], 2]);
    all[1]?.leave();
    expect(inside(all)).toEqual([0, 1, 2]);
    all[0]?.leave();
    expect([inside(all), gate.waiting]).toEqual([[0, 1, 2, 3], 0]);
  });

  it('lets nobody in for one who leaves without having been in, or twice', () => {
    const all = strangers(bounded(1), 4).map((caller) => caller.dial());
    all[1]?.leave().leave();
    expect(inside(all)).toEqual([0]);
    all[0]?.leave().leave();
    expect(inside(all)).toEqual([0, 2]);
  });

  it('lets one who left come again, at the end of the line', () => {
    const [first, second] = strangers(bounded(1), 2).map((caller) => caller.dial());
    first?.leave().dial();
    expect(second?.heard).toEqual(['in']);
    expect(first?.heard).toEqual(['in']);
    second?.leave();
    expect(first?.heard).toEqual(['in', 'in']);
  });

  it('never has more inside than that, nor keeps anyone waiting while there is room', () => {
    const move = fc.record({ enters: fc.boolean(), guest: fc.nat({ max: 30 }) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(move, { maxLength: 60 }), (limit, moves) => {
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
          expect(all.map(({ heard }) => heard.length)).toEqual(all.map((_, index) => (expected.has(index) ? 1 : 0)));
          expect(gate.waiting).toBe(waiting.length);
        }
        for (const caller of all) caller.leave();
      }),
    );
  });
});

describe('the pace', () => {
  const paced = () => new SharedGate(Infinity, true);

  it('lets 20 begin in a millisecond, the others in the milliseconds that follow, in order', async () => {
    const gate = paced();
    const all = strangers(gate, 50).map((caller) => caller.dial());
    expect([inside(all).length, gate.waiting]).toEqual([20, 30]);
    await elapse(1);
    expect(inside(all)).toEqual(Array.from({ length: 40 }, (_, index) => index));
    await elapse(1);
    expect([inside(all).length, gate.waiting]).toEqual([50, 0]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('keeps to the clock where a timer is early, as timers are in a loop that was held up', async () => {
    const clock = jest.spyOn(performance, 'now').mockReturnValue(10);
    const all = strangers(paced(), 21).map((caller) => caller.dial());
    clock.mockReturnValue(10.4);
    await elapse(1);
    expect(inside(all).length).toBe(20);
    clock.mockReturnValue(11);
    await elapse(1);
    expect(inside(all).length).toBe(21);
  });

  it('lets no more begin in one turn of the loop, however long that takes', async () => {
    const all = strangers(paced(), 21);
    for (const caller of all.slice(0, 20)) caller.dial();
    jest.advanceTimersByTime(5);
    all[20]?.dial();
    expect(inside(all).length).toBe(20);
    await elapse(1);
    expect(inside(all).length).toBe(21);
  });

  it('lets nobody in who left while waiting, and then holds no timer', async () => {
    const all = strangers(paced(), 22).map((caller) => caller.dial());
    for (const caller of all.slice(20)) caller.leave();
    expect(jest.getTimerCount()).toBe(0);
    await elapse(5);
    expect(inside(all).length).toBe(20);
  });
});

describe('an endpoint of several', () => {
  const gate = () => new SharedGate(Infinity, true);

  it('is dialled by one at first; when it has connected, the others follow', () => {
    const shared = gate();
    const all = callers(shared, 5).map((caller) => caller.dial());
    expect([inside(all), shared.waiting]).toEqual([[0], 4]);
    expect(shared.endpoints).toEqual({
      '127.0.0.1:1': { phase: 'probing', waiting: 4, dialling: 1, window: 1, connectTime: null },
    });
    all[0]?.connect(2.44);
    expect([inside(all), shared.waiting]).toEqual([[0, 1, 2, 3], 1]);
    expect(shared.endpoints).toEqual({
      '127.0.0.1:1': { phase: 'releasing', waiting: 1, dialling: 3, window: 3, connectTime: 2.4 },
    });
    all[1]?.connect(2.44);
    expect([inside(all), shared.waiting]).toEqual([[0, 1, 2, 3, 4], 0]);
  });

  it('lets so many follow at a time as have shown that it takes them', async () => {
    const all = callers(gate(), 300);
    all[0]?.dial();
    for (const caller of all.slice(1)) caller.dial();
    await elapse(15);
    all[0]?.connect();
    let dialling = inside(all).slice(1);
    const rounds = [dialling.length];
    while (rounds.length < 7) {
      for (const each of dialling) all[each]?.connect();
      const before = dialling.at(-1)!;
      dialling = inside(all).filter((each) => each > before);
      rounds.push(dialling.length);
    }
    // Half as many again each time, in whole places.
    expect(rounds).toEqual([3, 4, 6, 9, 14, 21, 31]);
    for (const caller of all) caller.leave();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('that is refused to one is refused to those who wait for it; they need not dial', () => {
    const all = callers(gate(), 4).map((caller) => caller.dial());
    all[0]?.fail();
    expect(told(all)).toEqual(['in', 'refused', 'refused', 'refused']);
  });

  it('is not given up for one refusal among many that connected', async () => {
    const all = callers(gate(), 200).map((caller) => caller.dial());
    await elapse(15);
    all[0]?.connect();
    all[1]?.fail();
    expect(told(all).filter((each) => each === 'refused')).toEqual([]);
    const before = inside(all).length;
    await elapse(90);
    expect(inside(all).length).toBe(before + 1);
    all[before]?.fail();
    expect(told(all).filter((each) => each === 'refused').length).toBe(200 - before - 1);
  });

  it('that is silent to one may answer another, who dials a moment later', async () => {
    const all = callers(gate(), 3).map((caller) => caller.dial());
    await elapse(24);
    expect(inside(all)).toEqual([0]);
    await elapse(1);
    expect(inside(all)).toEqual([0, 1]);
    all[1]?.connect();
    expect(inside(all)).toEqual([0, 1, 2]);
    all[0]?.fail(SILENCE);
    expect(told(all)).toEqual(['in', 'in', 'in']);
  });

  it('that is silent is given up by each in its own time', async () => {
    const shared = gate();
    const timeouts = [10_000, 10_000, 10_000, 10_000, 2_000, 0];
    const all = timeouts.flatMap((connectTimeout) => callers(shared, 15, { port: 1, connectTimeout }));
    for (const caller of all) {
      if (caller.timeLeft === 0) caller.timeLeft = Infinity;
      caller.dial();
    }
    await elapse(3_000);
    expect(told(all).slice(60, 75)).toEqual(Array(15).fill('silence'));
    await elapse(9_000);
    expect(new Set(told(all).slice(0, 60))).toEqual(new Set(['in', 'silence']));
    await elapse(60_000);
    expect(told(all).slice(75)).toEqual(Array(15).fill('in'));
    for (const caller of all) caller.leave();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('of which there is one only delays nobody: that one dials as it sees fit', () => {
    const [only] = callers(gate(), 1);
    for (let dial = 0; dial < 10; dial++) only?.dial().fail().rest().rise();
    expect(only?.heard).toEqual(Array(10).fill('in'));
  });

  it('is shared from the moment a second member means it, and no longer when one is left', async () => {
    const [one, other] = callers(gate(), 2);
    one?.dial().fail();
    other?.dial();
    expect(other?.heard).toEqual([]);
    one?.dial();
    expect(one?.heard).toEqual(['in']);
    other?.leave().close();
    expect(one?.heard).toEqual(['in', 'in']);
    expect(jest.getTimerCount()).toBe(0);
    await elapse(0);
  });

  it('is forgotten when nobody means it any more', () => {
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
  ])('is another for those who dial it %s', (_how, one, other) => {
    const shared = gate();
    const all = [new Caller(shared, one).dial(), new Caller(shared, other).dial()];
    expect(told(all)).toEqual(['in', 'in']);
    const stats = Object.values(shared.endpoints);
    expect(stats.reduce((sum, { dialling }) => sum + dialling, 0)).toBe(2);
    all[0]?.fail();
    expect(told(all)).toEqual(['in', 'in']);
  });

  it('shows the worse of two that go by one tag', () => {
    const shared = gate();
    const one = new Caller(shared).dial().connect(7);
    new Caller(shared, { port: 1, dial: () => null as never }).dial();
    expect(shared.endpoints).toEqual({
      '127.0.0.1:1': { phase: 'probing', waiting: 0, dialling: 1, window: 4, connectTime: 7 },
    });
    one.close();
  });

  it('is the same for those who dial by one function', () => {
    const dial = () => null as never;
    expect(told(callers(gate(), 2, { port: 1, dial }).map((caller) => caller.dial()))).toEqual(['in', '']);
  });

  it('keeps those who are held back in no place that others could have', () => {
    const shared = new SharedGate(2, true);
    const all = callers(shared, 4).map((caller) => caller.dial());
    const elsewhere = new Caller(shared, { port: 2 }).dial();
    expect([inside(all), elsewhere.heard]).toEqual([[0], ['in']]);
    all[0]?.connect();
    expect(inside(all)).toEqual([0, 1]);
    elsewhere.leave();
    expect(inside(all)).toEqual([0, 1, 2]);
  });

  it('is nobody’s knowledge where members do not share', () => {
    const apart = new SharedGate(Infinity, false);
    const all = callers(apart, 50).map((caller) => caller.dial().to(1));
    expect(inside(all).length).toBe(50);
    all[0]?.fail();
    expect(new Set(told(all))).toEqual(new Set(['in to 1']));
    expect(apart.endpoints).toEqual({});
  });
});

describe('a target that is found out', () => {
  const target = () => ({ port: 1 });

  it('is asked for inside, and only then is the endpoint known', () => {
    const gate = new SharedGate(Infinity, true);
    const all = callers(gate, 3, { target }).map((caller) => caller.dial());
    expect([told(all), gate.endpoints]).toEqual([['in', 'in', 'in'], {}]);
    for (const caller of all) caller.to(1);
    expect(told(all)).toEqual(['in to 1', 'in', 'in']);
    all[0]?.connect();
    expect(told(all)).toEqual(['in to 1', 'in in', 'in in']);
  });

  it('counts for the limit from the start, but not while it is held back', () => {
    const gate = new SharedGate(2, true);
    const all = callers(gate, 4, { target }).map((caller) => caller.dial());
    expect(inside(all)).toEqual([0, 1]);
    all[0]?.to(1);
    all[1]?.to(1);
    expect([inside(all), gate.waiting]).toEqual([[0, 1, 2], 2]);
    all[2]?.to(2);
    expect(told(all)[2]).toBe('in to 2');
    all[0]?.connect();
    expect(told(all)).toEqual(['in to 1', 'in', 'in to 2', 'in']);
    all[3]?.leave();
    expect(told(all)[1]).toBe('in in');
  });

  it('may be another each time; what nobody means any more is forgotten', () => {
    const gate = new SharedGate(Infinity, true);
    const [caller] = callers(gate, 1, { target });
    for (let port = 1; port < 100; port++) {
      caller?.dial().to(port);
      expect(Object.keys(gate.endpoints)).toEqual([`127.0.0.1:${port}`]);
      if (port % 2 === 0) caller?.connect();
      else caller?.fail();
    }
  });
});

describe('one whose dial is overdue', () => {
  const tag = '127.0.0.1:1';

  /** Callers of which the first has connected, and the others are let in as the window allows. */
  async function releasing(gate: Gate, count: number): Promise<Caller[]> {
    const all = callers(gate, count).map((caller) => caller.dial());
    await elapse(15);
    all[0]?.connect(10);
    return all;
  }

  it('has a patience of several times what it takes to connect', async () => {
    const all = await releasing(new SharedGate(Infinity, true), 3);
    expect(all.map(({ patience }) => patience)).toEqual([50, 50, 50]);
  });

  it('may dial again when there is room, and only then is there room for others', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = await releasing(gate, 6);
    expect(inside(all)).toEqual([0, 1, 2, 3]);
    await elapse(50);
    // The window is cut from three to one: two are under way.
    all[1]?.wait(50);
    expect(all[1]?.heard).toEqual(['in']);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'releasing', waiting: 2, dialling: 3, window: 1 });
    all[2]?.wait(50);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'releasing', waiting: 2, dialling: 3, window: 1 });
    all[3]?.connect(60);
    // Both go before those who have not dialled at all.
    expect(told(all)).toEqual(['in', 'in hedged', 'in hedged', 'in', '', '']);
    all[1]?.connect();
    all[2]?.connect();
    expect(inside(all)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('makes the endpoint one that has to be found out, when there was but one place left', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = await releasing(gate, 5);
    await elapse(50);
    for (const caller of all.slice(1, 4)) caller.wait(50);
    expect(told(all)).toEqual(['in', 'in hedged', 'in', 'in', '']);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'releasing', window: 1 });
    await elapse(50);
    all[1]?.wait(50);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'probing', waiting: 1, dialling: 3 });
    await elapse(87);
    expect(told(all)).toEqual(['in', 'in hedged', 'in', 'in', '']);
    await elapse(1);
    expect(told(all)).toEqual(['in', 'in hedged', 'in hedged', 'in', '']);
    // Its first dial may still come through; then all may come.
    all[3]?.connect(188);
    expect(told(all)).toEqual(['in', 'in hedged hedged', 'in hedged', 'in', 'in']);
    expect(gate.endpoints[tag]).toMatchObject({ phase: 'releasing', waiting: 0, dialling: 3 });
  });

  it('dials again by itself when nobody else is there, but not at will', async () => {
    const gate = new SharedGate(Infinity, true);
    const [only] = callers(gate, 1);
    only?.dial().connect(10).dial();
    let overdue = 0;
    const hedged = () => only!.heard.length - 2;
    for (let now = 0; now < 10_000; now += 50) {
      await elapse(50);
      if (hedged() < overdue) continue;
      overdue += 1;
      only?.wait(50);
    }
    expect(only?.heard.slice(0, 3)).toEqual(['in', 'in', 'hedged']);
    // Twenty or so while it has been gone for less than two seconds, and then ever fewer.
    expect(hedged()).toBeGreaterThan(15);
    expect(hedged()).toBeLessThan(45);
    only?.leave().close();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('is not told any more when it has connected, failed or left', async () => {
    for (const end of ['connect', 'fail', 'leave'] as const) {
      const gate = new SharedGate(Infinity, true);
      const all = await releasing(gate, 4);
      all[1]?.wait(15);
      expect(all[1]?.heard).toEqual(['in']);
      all[1]?.[end]();
      all[2]?.connect();
      all[3]?.connect();
      await elapse(2_000);
      expect(all[1]?.heard).toEqual(['in']);
      expect(gate.endpoints[tag]).toMatchObject({ waiting: 0, dialling: 0 });
      expect(jest.getTimerCount()).toBe(0);
    }
  });

  it('is told nothing where members share nothing', () => {
    const [only] = callers(new SharedGate(Infinity, false), 1);
    expect(only?.dial().wait().heard).toEqual(['in']);
  });
});

describe('those who wait after a failed dial', () => {
  /** Callers of which the first connects and the others have failed before, and rest. */
  async function resting(gate: Gate, count: number): Promise<Caller[]> {
    const all = callers(gate, count).map((caller) => caller.dial());
    await elapse(15);
    all[0]?.fail();
    for (const caller of all.slice(1)) caller.leave().rest();
    return all;
  }

  it('are recalled when their endpoint is back, once', async () => {
    const all = await resting(new SharedGate(Infinity, true), 4);
    await elapse(25);
    all[0]?.dial().connect();
    expect(told(all)).toEqual(['in in', ...Array<string>(3).fill('refused recalled in')]);
    for (const caller of all.slice(1)) caller.fail().rest();
    expect(told(all)).toEqual(['in in', ...Array<string>(3).fill('refused recalled in')]);
  });

  it('come as the window allows, behind those whose wait is over', async () => {
    const all = await resting(new SharedGate(Infinity, true), 200);
    await elapse(25);
    all[0]?.dial();
    all[199]?.rise().dial();
    all[0]?.connect();
    expect(all[199]?.heard).toEqual(['refused', 'in']);
    const recalled = () => all.filter(({ heard }) => heard.includes('recalled')).length;
    expect(recalled()).toBe(2);
    all[199]?.connect();
    expect(recalled()).toBe(3);
    for (let next = 1; next <= 3; next++) all[next]?.connect();
    expect(recalled()).toBe(3 + 5);
    // A failure stops it: they go on waiting, and so do those who come.
    all[4]?.fail();
    expect(recalled()).toBe(3 + 5);
  });

  it('are recalled by any that connects, also where the endpoint was not known to be gone', async () => {
    const all = await resting(new SharedGate(Infinity, true), 4);
    await elapse(25);
    all[0]?.dial().connect();
    all[1]?.connect();
    // It was not answered in its time, while others were.
    await elapse(10_000);
    all[2]?.fail(SILENCE).rest();
    expect(all[2]?.heard).toEqual(['refused', 'recalled', 'in']);
    all[3]?.connect();
    expect(all[2]?.heard).toEqual(['refused', 'recalled', 'in', 'recalled', 'in']);
  });

  it('are not those whose session was lost: a server that accepts and hangs up makes no storm', async () => {
    const all = callers(new SharedGate(Infinity, true), 3).map((caller) => caller.dial());
    all[0]?.connect().rest();
    all[1]?.connect().rest();
    all[2]?.fail().rest();
    await elapse(500);
    all[0]?.rise().dial().connect();
    expect(told(all)).toEqual(['in in', 'in', 'in recalled in']);
  });

  it('are not those whose wait is over, or whose life is', async () => {
    const all = await resting(new SharedGate(Infinity, true), 4);
    await elapse(25);
    all[1]?.rise();
    all[2]?.rise().close();
    all[0]?.dial().connect();
    expect(told(all)).toEqual(['in in', 'refused', 'refused', 'refused recalled in']);
  });

  it('are let go for others when something else comes first', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = await resting(gate, 3);
    jest.spyOn(all[1]!, 'recall').mockImplementation(() => undefined);
    await elapse(25);
    all[0]?.dial().connect();
    expect(gate.endpoints['127.0.0.1:1']).toMatchObject({ dialling: 1 });
    expect(told(all)).toEqual(['in in', 'refused', 'refused recalled in']);
  });

  it('are recalled to find out where to, and keep their place if it is there', async () => {
    const gate = new SharedGate(Infinity, true);
    const all = callers(gate, 3, { target: () => ({ port: 1 }) }).map((caller) => caller.dial().to(1));
    all[0]?.fail();
    for (const caller of all.slice(1)) caller.leave().rest();
    await elapse(25);
    all[0]?.dial().to(1).connect();
    expect(told(all).slice(1)).toEqual(Array(2).fill('in refused recalled in'));
    all[1]?.to(1);
    expect(gate.endpoints['127.0.0.1:1']).toMatchObject({ dialling: 2 });
    all[2]?.to(2);
    expect(gate.endpoints).toMatchObject({ '127.0.0.1:1': { dialling: 1 }, '127.0.0.1:2': { dialling: 1 } });
  });
});
