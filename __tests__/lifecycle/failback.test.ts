import { type Duplex, PassThrough } from 'node:stream';

import {
  ConnectionPool,
  type ConnectionOptions,
  type MemberOptions,
  ReconnectingConnection,
  constantBackoff,
} from 'reconnecting-connection';

import { type Heard, record } from '../kit/record';
import { ScriptedLink, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(() => {
  useFakeClock();
  // In the middle: intervals are as long as they were given.
  jest.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  for (const connection of connections.splice(0)) connection.destroy();
  expect(jest.getTimerCount()).toBe(0);
  jest.restoreAllMocks();
  jest.useRealTimers();
});

const INTERVAL = 10_000;
const LASTS = 1_000;
const CLOSE_TIMEOUT = 2_000;

const connections: (ReconnectingConnection | ConnectionPool)[] = [];

/** What the dial of a target comes to: it is refused, it connects, or the test plays it. */
type Fate = 'refuse' | 'open' | undefined;

/** So many intervals pass, one by one: what a probe comes to is known in between. */
async function passIntervals(count: number): Promise<void> {
  for (let interval = 0; interval < count; interval++) await pass(INTERVAL);
}

/** A connection with the targets `a`, `b` and `c`, whose dials go as `fates` says. */
class Setup {
  readonly fates = new Map<string, Fate>([
    ['a', 'refuse'],
    ['b', 'refuse'],
    ['c', 'open'],
  ]);
  readonly links: (ScriptedLink & { readonly place?: string })[] = [];
  /** What was dialled since the last call of `takeDials()`. */
  #dialled = '';
  readonly connection: ReconnectingConnection;
  readonly #recorded: Heard[];

  constructor(options: MemberOptions = {}, names = 'ac') {
    this.connection = new ReconnectingConnection(this.options(options, names));
    connections.push(this.connection);
    this.#recorded = record(this.connection);
  }

  options(options: MemberOptions, names: string): ConnectionOptions {
    return {
      target: Array.from(names, (host) => ({ host, port: 1 })),
      dial: (target, signal) => {
        const place = 'host' in target ? target.host : '';
        const link = Object.assign(new ScriptedLink(signal), { place });
        this.links.push(link);
        this.#dialled += place;
        const fate = this.fates.get(place);
        if (fate === 'open') setImmediate(() => link.connect());
        if (fate === 'refuse') setImmediate(() => link.fail('ECONNREFUSED'));
        return link;
      },
      backoff: constantBackoff(10),
      minUptime: LASTS,
      failback: { interval: INTERVAL },
      ...options,
      // `as`: no test sets `target` to undefined.
    } as ConnectionOptions;
  }

  /** The link of that dial, from 1; from the last one if negative. */
  link(number: number): ScriptedLink {
    return this.links.at(number > 0 ? number - 1 : number)!;
  }

  takeDials(): string {
    const dialled = this.#dialled;
    this.#dialled = '';
    return dialled;
  }

  /** The events since the last call, in short. */
  take(): string[] {
    return this.#recorded.splice(0).map(([event, first, second]) => {
      if (event === 'state') return `${String(second)}→${String(first)}`;
      if (Buffer.isBuffer(first)) return `data ${first.toString()}`;
      const { reason, generation } = (first ?? {}) as Record<string, string | number | undefined>;
      return [event, generation, reason].filter((part) => part !== undefined).join(' ');
    });
  }

  /** Opens with `c`, and lets that be healthy. */
  async open(): Promise<this> {
    await settle();
    for (let wait = 0; wait < 5 && this.connection.state !== 'open'; wait++) await pass(10);
    expect([this.connection.state, this.connection.tag]).toEqual(['open', 'c:1']);
    this.connection.markHealthy();
    this.take();
    this.takeDials();
    return this;
  }

  /** The peer of a probe that has lasted ends too. */
  async answerEnd(number = -1): Promise<void> {
    await settle();
    this.link(number).finish();
    await settle();
  }

  /** A probe of a target that accepts lasts, and ends. */
  async probe(): Promise<void> {
    await pass(INTERVAL);
    await pass(LASTS);
    await this.answerEnd();
  }
}

describe('a probe', () => {
  test('is dialled after each interval, and is no event, no state, no session', async () => {
    const setup = await new Setup().open();
    const { generation, failures } = setup.connection.stats;
    await pass(INTERVAL - 11);
    expect(setup.takeDials()).toBe('');
    await pass(11);
    expect(setup.takeDials()).toBe('a');
    await passIntervals(3);
    expect([setup.takeDials(), setup.take(), setup.connection.tag]).toEqual(['aaa', [], 'c:1']);
    expect(setup.connection.stats).toMatchObject({
      generation,
      failures: failures + 4,
      lastError: { code: 'ECONNREFUSED' },
    });
  });

  test.each([
    [0, 0.75],
    [1, 1.25],
  ])('comes within a quarter of the interval (random %p)', async (random, share) => {
    const setup = await new Setup().open();
    jest.mocked(Math.random).mockReturnValue(random);
    await pass(INTERVAL);
    expect(setup.takeDials()).toBe('a');
    await pass(share * INTERVAL - 1);
    expect(setup.takeDials()).toBe('');
    await pass(1);
    expect(setup.takeDials()).toBe('a');
  });

  test('must last for minUptime, is ended in good order, and has nothing written to it', async () => {
    const setup = await new Setup().open();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    setup.connection.write('for c');
    await pass(LASTS - 1);
    const probe = setup.link(-1);
    expect(probe.writableEnded).toBe(false);
    await pass(1);
    expect([probe.writableEnded, probe.destroyed, probe.written]).toEqual([true, false, []]);
    await pass(CLOSE_TIMEOUT);
    expect([probe.destroyed, setup.take()]).toEqual([true, []]);
  });

  test('lasts no longer than the interval', async () => {
    const setup = await new Setup({ minUptime: 60_000 }).open();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    await pass(INTERVAL);
    expect(setup.link(-1).writableEnded).toBe(true);
  });

  test('shakes hands, and what its peer says is read and discarded', async () => {
    const handshake = jest.fn((socket: NodeJS.WritableStream) => void socket.write('LOGIN'));
    const setup = await new Setup({ handshake }).open();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    const probe = setup.link(-1);
    expect(probe.written).toEqual(['LOGIN']);
    for (let count = 0; count < 100; count++) {
      probe.receive('x'.repeat(10_000));
      await settle();
    }
    expect([probe.readableLength, setup.take(), setup.connection.stats.bytesReceived]).toEqual([0, [], 0]);
  });

  test('lasts as the stream that its handshake returns, and is ended by that', async () => {
    const outers: PassThrough[] = [];
    const handshake = (socket: Duplex) => {
      const outer = new PassThrough();
      socket.pipe(outer);
      outers.push(outer);
      return outer;
    };
    const setup = await new Setup({ handshake }).open();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    const ended = setup.link(-1);
    ended.finish();
    await settle();
    expect([outers.at(-1)!.destroyed, ended.destroyed]).toEqual([true, true]);
    await pass(INTERVAL);
    const probe = setup.link(-1);
    expect([setup.takeDials(), outers.at(-1)!.destroyed]).toEqual(['aa', false]);
    await pass(LASTS);
    expect([outers.at(-1)!.writableEnded, probe.written]).toEqual([true, []]);
    await pass(CLOSE_TIMEOUT);
    expect([outers.at(-1)!.destroyed, probe.destroyed, setup.take()]).toEqual([true, true, []]);
  });

  test('does not keep an unref()ed process alive', async () => {
    const setup = await new Setup().open();
    setup.connection.unref();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    expect(setup.link(-1).referenced).toBe(false);
    setup.connection.ref();
    expect(setup.link(-1).referenced).toBe(true);
  });

  test('is left out while the connection is paused', async () => {
    const setup = await new Setup().open();
    setup.connection.pause();
    await passIntervals(3);
    expect(setup.takeDials()).toBe('');
    setup.connection.resume();
    await pass(INTERVAL);
    expect(setup.takeDials()).toBe('a');
  });

  test('asks no target function, and gives its decoder back', async () => {
    const decoders: PassThrough[] = [];
    const decoder = () => {
      const made = new PassThrough();
      decoders.push(made);
      return made;
    };
    const setup = await new Setup({ decoder }).open();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    expect(decoders.map(({ destroyed }) => destroyed)).toEqual([false, true]);
  });
});

describe('the way back', () => {
  test('follows two successes in a row, and never leaves open', async () => {
    const setup = await new Setup().open();
    setup.fates.set('a', 'open');
    await setup.probe();
    expect(setup.take()).toEqual([]);
    await setup.probe();
    // The session moves: the old one ends.
    expect([setup.takeDials(), setup.link(3 - 1).writableEnded]).toEqual(['aaa', true]);
    setup.links.find(({ place }) => place === 'c')!.finish();
    await settle();
    expect([setup.take(), setup.connection.tag]).toEqual([['reset 1 replaced', 'open 2'], 'a:1']);
    // At home nothing is probed any more.
    await passIntervals(5);
    expect(setup.takeDials()).toBe('');
  });

  test('counts the probes as dials, and not as attempts of the opening', async () => {
    const setup = await new Setup({ failback: { interval: INTERVAL, successes: 1 } }).open();
    const { dials } = setup.connection.stats;
    const opened = new Promise((resolve) => setup.connection.on('open', ({ attempts }) => resolve(attempts)));
    setup.fates.set('a', 'open');
    await setup.probe();
    setup.links.find(({ place }) => place === 'c')!.finish();
    expect([await opened, setup.connection.stats.dials]).toEqual([1, dials + 2]);
  });

  test('an outage after it begins with the preferred target', async () => {
    const setup = await new Setup({ failback: { interval: INTERVAL, successes: 1 } }).open();
    setup.fates.set('a', 'open');
    await setup.probe();
    setup.links.find(({ place }) => place === 'c')!.finish();
    await settle();
    setup.connection.markHealthy();
    setup.takeDials();
    setup.link(-1).fail();
    await pass(10);
    expect(setup.takeDials()).toBe('a');
  });

  test('waits for resume()', async () => {
    const setup = await new Setup({ failback: { interval: INTERVAL, successes: 1 } }).open();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    setup.connection.pause();
    await pass(LASTS);
    await setup.answerEnd();
    await passIntervals(3);
    expect(setup.takeDials()).toBe('a');
    setup.connection.resume();
    await setup.probe();
    expect(setup.takeDials()).toBe('aa');
  });

  test('a move that fails leaves the session, and the count starts over', async () => {
    const setup = await new Setup().open();
    setup.fates.set('a', 'open');
    await setup.probe();
    setup.fates.set('a', undefined);
    await pass(INTERVAL);
    setup.link(-1).connect();
    await pass(LASTS);
    await setup.answerEnd();
    setup.link(-1).fail();
    await settle();
    setup.fates.set('a', 'open');
    expect([setup.takeDials(), setup.take(), setup.connection.state]).toEqual(['aaa', [], 'open']);
    await setup.probe();
    expect(setup.takeDials()).toBe('a');
    await setup.probe();
    expect(setup.takeDials()).toBe('aa');
  });

  test('is the retry, where the session is lost while the move dials', async () => {
    const setup = await new Setup({ failback: { interval: INTERVAL, successes: 1 } }).open();
    setup.fates.set('a', undefined);
    await pass(INTERVAL);
    setup.link(-1).connect();
    await pass(LASTS);
    await setup.answerEnd();
    setup.links.find(({ place }) => place === 'c')!.fail();
    await settle();
    setup.link(-1).connect();
    await settle();
    expect(setup.take()).toEqual(['open→connecting', 'reset 1 error', 'connecting→open', 'open 2']);
    expect(setup.connection.tag).toBe('a:1');
  });

  test('is not tried again by the outage, where that begins with a move that fails', async () => {
    const setup = await new Setup({ failback: { interval: INTERVAL, successes: 1 } }).open();
    setup.fates.set('a', undefined);
    await pass(INTERVAL);
    setup.link(-1).connect();
    await pass(LASTS);
    await setup.answerEnd();
    setup.links.find(({ place }) => place === 'c')!.fail();
    await settle();
    setup.link(-1).fail('ECONNREFUSED');
    await settle();
    setup.takeDials();
    await pass(10);
    expect(setup.takeDials()).toBe('c');
  });

  test('is found although sessions are replaced by age sooner than enough probes have lasted', async () => {
    const setup = await new Setup({ maxLifetime: INTERVAL + LASTS, closeTimeout: 10 }).open();
    setup.fates.set('a', 'open');
    await passIntervals(4);
    expect([setup.connection.tag, setup.connection.state]).toEqual(['a:1', 'open']);
  });

  test('is not asked of a session that is being replaced already', async () => {
    const setup = await new Setup({ connectTimeout: 0, failback: { interval: INTERVAL, successes: 1 } }).open();
    setup.fates.set('a', 'open').set('c', undefined);
    void setup.connection.replace();
    await setup.probe();
    expect(setup.takeDials()).toBe('ca');
    setup.link(2).finish();
  });
});

describe('nothing moves to a server that', () => {
  const lives: [string, (link: ScriptedLink) => void][] = [
    ['accepts and hangs up', (link) => link.connect().finish()],
    [
      'greets and hangs up',
      (link) => {
        link.connect().receive('220 hello');
        link.finish();
      },
    ],
    ['accepts and resets', (link) => link.connect().fail()],
    ['resets shortly before it has lasted', (link) => void (link.connect(), setTimeout(() => link.fail(), LASTS - 1))],
    ['is refused', (link) => link.fail('ECONNREFUSED')],
  ];
  test.each(lives)('%s', async (_what, live) => {
    const setup = await new Setup().open();
    setup.fates.set('a', undefined);
    for (let round = 0; round < 20; round++) {
      await pass(INTERVAL);
      live(setup.link(-1));
      await pass(LASTS);
    }
    expect(setup.take()).toEqual([]);
    expect(setup.takeDials()).toMatch(/^a{15,20}$/);
    expect(setup.links.slice(2).every(({ destroyed }) => destroyed)).toBe(true);
  });

  test('fails its handshake', async () => {
    let fails = false;
    const handshake = () => (fails ? Promise.reject(new Error('not let in')) : undefined);
    const setup = await new Setup({ handshake }).open();
    setup.fates.set('a', 'open');
    fails = true;
    await passIntervals(20);
    expect([setup.take(), setup.takeDials()]).toEqual([[], 'a'.repeat(20)]);
  });

  test('answers the handshake never', async () => {
    let isMute = false;
    const handshake = () => (isMute ? new Promise<void>(() => undefined) : undefined);
    const setup = await new Setup({ handshake, connectTimeout: 500 }).open();
    setup.fates.set('a', 'open');
    isMute = true;
    await passIntervals(20);
    expect([setup.take(), setup.connection.tag]).toEqual([[], 'c:1']);
  });

  test('is dialled by a function that never answers', async () => {
    const signals: AbortSignal[] = [];
    const setup: Setup = new Setup({
      connectTimeout: 500,
      dial: (target, signal) => {
        const link = setup.options({}, 'c').dial!(target, signal);
        if (!('host' in target) || target.host !== 'a' || setup.fates.get('a') === 'refuse') return link;
        signals.push(signal);
        return new Promise(() => undefined);
      },
    });
    await setup.open();
    setup.fates.set('a', undefined);
    await passIntervals(20);
    expect([setup.take(), setup.connection.tag]).toEqual([[], 'c:1']);
    // The time of a dial is added to that of the wait.
    expect(signals.length).toBeGreaterThanOrEqual(18);
    expect(signals.slice(0, -1).every(({ aborted }) => aborted)).toBe(true);
  });

  test('refuses each second probe', async () => {
    const setup = await new Setup().open();
    for (let round = 0; round < 20; round++) {
      setup.fates.set('a', round % 2 === 0 ? 'open' : 'refuse');
      await pass(INTERVAL);
      await pass(LASTS);
      if (round % 2 === 0) await setup.answerEnd();
    }
    expect([setup.take(), setup.takeDials()]).toEqual([[], 'a'.repeat(20)]);
  });
});

describe('three targets', () => {
  test('the first is probed first, and the next one only where it fails', async () => {
    const setup = await new Setup({}, 'abc').open();
    await pass(INTERVAL);
    expect(setup.takeDials()).toBe('ab');
    setup.fates.set('a', 'open');
    await setup.probe();
    expect(setup.takeDials()).toBe('a');
  });

  test('it moves to the middle one, from where the first goes on being probed', async () => {
    const setup = await new Setup({}, 'abc').open();
    setup.fates.set('b', 'open');
    await setup.probe();
    await setup.probe();
    setup.links.find(({ place }) => place === 'c')!.finish();
    await settle();
    expect([setup.takeDials(), setup.connection.tag]).toEqual(['ababb', 'b:1']);
    setup.fates.set('a', 'open');
    await setup.probe();
    await setup.probe();
    setup.links
      .filter(({ place }) => place === 'b')
      .at(-1)!
      .finish();
    await settle();
    expect([setup.takeDials(), setup.connection.tag]).toEqual(['aaa', 'a:1']);
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2', 'reset 2 replaced', 'open 3']);
  });

  test('one that flaps does not keep the connection from the one after it', async () => {
    const setup = await new Setup({}, 'abc').open();
    setup.fates.set('b', 'open');
    for (let round = 0; round < 4; round++) {
      setup.fates.set('a', round % 2 === 0 ? 'open' : 'refuse');
      await setup.probe();
    }
    setup.links.find(({ place }) => place === 'c')!.finish();
    await settle();
    expect([setup.connection.tag, setup.takeDials()]).toEqual(['b:1', 'aabaabb']);
  });
});

describe('nothing is left of a connection that is ended from within', () => {
  test('the destruction of a probe’s stream', async () => {
    const setup = await new Setup({}, 'abc').open();
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    const probe = setup.link(-1);
    const destroy = probe._destroy.bind(probe);
    probe._destroy = (error, callback) => {
      setup.connection.destroy();
      destroy(error, callback);
    };
    probe.finish();
    await settle();
    await passIntervals(2);
    expect([setup.connection.state, probe.destroyed, setup.takeDials()]).toEqual(['closed', true, 'a']);
  });

  test('the destruction of a probe’s decoder', async () => {
    let isProbe = false;
    const decoder = () => {
      const destroy = isProbe ? () => setup.connection.destroy() : () => undefined;
      return new PassThrough({
        destroy: (error, callback) => {
          destroy();
          callback(error);
        },
      });
    };
    const setup: Setup = new Setup({ decoder });
    await setup.open();
    isProbe = true;
    setup.fates.set('a', 'open');
    await pass(INTERVAL);
    expect([setup.connection.state, setup.link(-1).destroyed, jest.getTimerCount()]).toEqual(['closed', true, 0]);
  });
});

describe('what ends the session releases the probe', () => {
  const ends: [string, (setup: Setup) => void][] = [
    ['destroy()', ({ connection }) => connection.destroy()],
    ['disconnect()', ({ connection }) => void connection.disconnect()],
    ['an abort', () => abort.abort()],
    ['reconnect()', ({ connection }) => connection.reconnect()],
    ['fail()', ({ connection }) => connection.fail()],
    ['a loss', ({ links }) => links.find(({ place }) => place === 'c')!.fail()],
  ];
  let abort = new AbortController();
  beforeEach(() => (abort = new AbortController()));

  describe.each(ends)('%s', (_name, end) => {
    test('while it dials', async () => {
      const setup = await new Setup({ signal: abort.signal }).open();
      setup.fates.set('a', undefined);
      await pass(INTERVAL);
      const probe = setup.link(-1);
      end(setup);
      await settle();
      expect([probe.signal.aborted, probe.destroyed]).toEqual([true, true]);
    });

    test('while it lasts', async () => {
      const setup = await new Setup({ signal: abort.signal }).open();
      setup.fates.set('a', 'open');
      await pass(INTERVAL);
      const probe = setup.link(-1);
      expect(probe.destroyed).toBe(false);
      end(setup);
      await settle();
      expect(probe.destroyed).toBe(true);
    });

    test('while it ends', async () => {
      const setup = await new Setup({ signal: abort.signal }).open();
      setup.fates.set('a', 'open');
      await pass(INTERVAL);
      await pass(LASTS);
      const probe = setup.link(-1);
      expect([probe.writableEnded, probe.destroyed]).toEqual([true, false]);
      end(setup);
      await settle();
      expect(probe.destroyed).toBe(true);
    });
  });
});

describe('beside maxLifetime', () => {
  test('a session that is old is replaced by one with the same target, however often that fails', async () => {
    const setup = await new Setup({ maxLifetime: 5_000 }, 'ca').open();
    // The list begins with the session's own target: nothing is probed.
    setup.fates.set('c', 'refuse').set('a', 'open');
    for (let wait = 0; wait < 600; wait++) await pass(10);
    expect(setup.takeDials()).toMatch(/^c{5,}$/);
    setup.fates.set('c', 'open');
    for (let wait = 0; wait < 5; wait++) await pass(10);
    setup.link(1).finish();
    await settle();
    expect([setup.take(), setup.connection.tag]).toEqual([['reset 1 replaced', 'open 2'], 'c:1']);
  });

  test('replace() goes through the list, as an outage does', async () => {
    const setup = await new Setup({}, 'cab').open();
    setup.fates.set('c', 'refuse').set('b', 'open');
    void setup.connection.replace();
    for (let wait = 0; wait < 5; wait++) await pass(10);
    expect(setup.takeDials()).toBe('cab');
    setup.link(1).finish();
    await settle();
    expect(setup.connection.tag).toBe('b:1');
  });

  test('a move that fails does not put the replacement off', async () => {
    const setup = await new Setup({ maxLifetime: 30_000, failback: { interval: INTERVAL, successes: 1 } }).open();
    for (let round = 0; round < 2; round++) {
      setup.fates.set('a', 'open');
      await pass(INTERVAL);
      await pass(LASTS);
      setup.fates.set('a', 'refuse');
      await setup.answerEnd();
    }
    setup.takeDials();
    await pass(30_000 - 2 * (INTERVAL + LASTS));
    expect(setup.takeDials()).toMatch(/c/);
    setup.links.find(({ place }) => place === 'c')!.finish();
  });
});

test('in a pool, members move one by one, and a probe takes no place of a session', async () => {
  const setup = new Setup();
  setup.connection.destroy();
  const pool = new ConnectionPool();
  connections.push(pool);
  for (let count = 0; count < 3; count++) pool.add(setup.options({}, 'ac'));
  for (let wait = 0; wait < 20; wait++) await pass(10);
  for (const member of pool) member.markHealthy();
  expect([...pool].map(({ state, tag }) => [state, tag])).toEqual(Array(3).fill(['open', 'c:1']));
  setup.fates.set('a', 'open');
  for (let round = 0; round < 2; round++) {
    await pass(INTERVAL);
    await pass(LASTS);
    const ended = setup.links.filter(({ place, writableEnded }) => place === 'a' && writableEnded);
    for (const link of ended) link.finish();
    await settle();
  }
  const drained = () => setup.links.filter((link) => link.place === 'c' && link.writableEnded && !link.destroyed);
  for (let moved = 1; moved <= 3; moved++) {
    for (let wait = 0; wait < 20 && drained().length === 0; wait++) await pass(10);
    expect(drained()).toHaveLength(1);
    drained()[0]!.finish();
    await settle();
    expect([...pool].filter(({ tag }) => tag === 'a:1')).toHaveLength(moved);
  }
  expect([...pool].every(({ state }) => state === 'open')).toBe(true);
});

describe('the option', () => {
  const [a, b] = [{ port: 1 }, { port: 2 }];
  test.each<[string, unknown]>([
    ['one target', { target: [a] }],
    ['a port', { port: 1 }],
    ['a target function', { target: () => a }],
  ])('is refused beside %s', (_what, options) => {
    const make = () => new ReconnectingConnection({ ...(options as ConnectionOptions), failback: { interval: 1 } });
    expect(make).toThrow('Expected option `failback` to be absent unless `target` is a list of two targets or more');
  });

  test('needs an interval', () => {
    const failback = { successes: 1 } as never;
    expect(() => new ReconnectingConnection({ target: [a, b], failback })).toThrow('`failback.interval`');
  });

  test('the tag is that of the first target before a dial', () => {
    const connection = new ReconnectingConnection({ target: [a, b], autoConnect: false });
    expect(connection.tag).toBe('127.0.0.1:1');
  });
});
