import { ReconnectingConnection, constantBackoff } from 'reconnecting-connection';

import type { CommonOptions, MemberOptions, TargetContext } from '../../lib/options/options';
import { payload } from '../kit/connections';
import { type Heard, record } from '../kit/record';
import { ScriptedDial, type ScriptedLink, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => {
  for (const connection of connections.splice(0)) connection.destroy();
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

const BACKOFF = 1_000;
const CLOSE_TIMEOUT = 2_000;

const connections: ReconnectingConnection[] = [];

class Setup {
  readonly script = new ScriptedDial();
  readonly connection: ReconnectingConnection;
  readonly #recorded: Heard[];

  constructor(options: CommonOptions & Pick<MemberOptions, 'target'> = {}) {
    this.connection = new ReconnectingConnection({
      port: 1,
      dial: this.script.dial,
      backoff: constantBackoff(BACKOFF),
      ...options,
    });
    connections.push(this.connection);
    this.#recorded = record(this.connection);
  }

  get links(): readonly ScriptedLink[] {
    return this.script.links;
  }

  get link(): ScriptedLink {
    return this.script.last;
  }

  /** The events since the last call, in short. */
  take(): string[] {
    return this.#recorded.splice(0).map(([event, first, second]) => {
      if (event === 'state') return `${String(second)}→${String(first)}`;
      const { reason, attempt, delay } = first as { reason?: string; attempt?: number; delay?: number };
      return [event, reason, attempt, delay].filter((part) => part !== undefined).join(' ');
    });
  }

  async open(): Promise<void> {
    await settle();
    this.link.connect();
    await settle();
    this.take();
  }

  /** Opens a session, and vouches for it. */
  async openHealthy(): Promise<void> {
    await this.open();
    this.connection.markHealthy();
  }
}

describe('in a listener of the signal of an attempt that fails', () => {
  test('another attempt takes its place, and the failure is not that one’s', async () => {
    const setup = new Setup();
    await settle();
    setup.link.signal.addEventListener('abort', () => setup.connection.reconnect());
    setup.link.fail();
    await settle();
    expect([setup.links.length, setup.take()]).toEqual([2, ['idle→connecting']]);
    await setup.open();
    expect([setup.connection.state, setup.connection.stats.failures]).toEqual(['open', 0]);
  });
});

describe('while open', () => {
  test('a healthy session › dials at once, when the old socket has closed', async () => {
    const setup = new Setup();
    await setup.openHealthy();
    const old = setup.link;
    setup.connection.reconnect();
    await pass(CLOSE_TIMEOUT - 1);
    expect(setup.take()).toEqual(['open→connecting', 'reset forced']);
    expect([old.writableEnded, old.destroyed, setup.links.length]).toEqual([true, false, 1]);

    old.finish();
    await settle();
    expect([old.destroyed, setup.links.length]).toEqual([true, 2]);
  });

  test('a peer that does not end › is given up after closeTimeout', async () => {
    const setup = new Setup();
    await setup.openHealthy();
    const old = setup.link;
    setup.connection.reconnect();
    await pass(CLOSE_TIMEOUT);
    expect([old.destroyed, setup.links.length]).toEqual([true, 2]);
  });

  test('connectTimeout does not run meanwhile', async () => {
    const setup = new Setup({ connectTimeout: 500 });
    await setup.openHealthy();
    setup.connection.reconnect();
    await pass(CLOSE_TIMEOUT);
    await pass(499);
    expect(setup.connection.state).toBe('connecting');
    setup.link.connect();
    await settle();
    expect(setup.connection.state).toBe('open');
  });

  test('what still arrives from the old peer is not emitted', async () => {
    const setup = new Setup();
    await setup.openHealthy();
    setup.connection.pause();
    setup.connection.reconnect();
    setup.link.receive('late');
    setup.link.finish();
    await settle();
    setup.connection.resume();
    await settle();
    expect(setup.take()).toEqual(['open→connecting', 'reset forced']);
    expect(setup.links).toHaveLength(2);
  });

  test('another target › does not wait for the old socket', async () => {
    let port = 1;
    const setup = new Setup({ target: () => ({ port }) });
    await setup.openHealthy();
    port = 2;
    setup.connection.reconnect();
    await settle();
    expect([setup.links[0]?.destroyed, setup.links.length]).toEqual([true, 2]);
  });

  test('a target that fails meanwhile › leaves nothing of the old socket', async () => {
    const answers = [{ port: 1 }];
    const setup = new Setup({ target: () => answers.pop()! });
    await setup.openHealthy();
    setup.connection.reconnect();
    await settle();
    expect(setup.take()).toEqual(['open→connecting', 'reset forced', 'connecting→backoff', 'backoff error 1 1000']);
    expect(setup.link.destroyed).toBe(true);
  });

  test.each([['destroy()'], ['disconnect()']] as const)('%s meanwhile › destroys the old socket', async (end) => {
    const setup = new Setup();
    await setup.openHealthy();
    setup.connection.reconnect();
    await settle();
    if (end === 'destroy()') setup.connection.destroy();
    else void setup.connection.disconnect();
    expect([setup.connection.state, setup.links.map(({ destroyed }) => destroyed)]).toEqual(['closed', [true]]);
  });

  test('a delay › a wait in `backoff`, as the first retry of an outage', async () => {
    const setup = new Setup();
    await setup.openHealthy();
    setup.connection.reconnect({ delay: 300 });
    setup.link.finish();
    await pass(299);
    expect(setup.take()).toEqual(['open→backoff', 'reset forced', 'backoff forced 1 300']);
    expect(setup.links).toHaveLength(1);
    await pass(1);
    expect(setup.links).toHaveLength(2);
  });

  test('a delay that ends before the old socket has closed › the dial waits for that', async () => {
    const setup = new Setup();
    await setup.openHealthy();
    setup.connection.reconnect({ delay: 300 });
    await pass(CLOSE_TIMEOUT - 1);
    expect([setup.connection.state, setup.links.length]).toEqual(['connecting', 1]);
    await pass(1);
    expect(setup.links).toHaveLength(2);
  });

  test('a session that was not healthy › counts as a failed attempt', async () => {
    const setup = new Setup({ backoff: { initialDelay: 100, jitter: 'none' } });
    for (const [attempt, delay] of [
      [1, 100],
      [2, 200],
      [3, 400],
    ] as const) {
      await setup.open();
      setup.connection.reconnect();
      setup.link.finish();
      await settle();
      expect(setup.take()).toEqual(['open→backoff', 'reset forced', `backoff forced ${attempt} ${delay}`]);
      await pass(delay);
    }
  });

  test('a session that was not healthy › waits for the longer of the backoff and the delay', async () => {
    const setup = new Setup();
    await setup.open();
    setup.connection.reconnect({ delay: 3_000 });
    expect(setup.take().at(-1)).toBe('backoff forced 1 3000');
    await pass(3_000);
    await setup.open();
    setup.connection.reconnect({ delay: 1 });
    expect(setup.take().at(-1)).toBe(`backoff forced 2 ${BACKOFF}`);
  });

  test('a session older than minUptime › is healthy', async () => {
    const setup = new Setup({ minUptime: 100 });
    await setup.open();
    await pass(100);
    setup.connection.reconnect();
    expect(setup.take()).toEqual(['open→connecting', 'reset forced']);
  });

  test('calls of one turn of the event loop are one; a later one cuts the wait short', async () => {
    const setup = new Setup();
    await setup.open();
    setup.connection.reconnect();
    setup.connection.reconnect();
    setup.link.finish();
    // Requests that were lost with the session, and ask for another one each.
    await Promise.resolve().then(() => setup.connection.reconnect());
    await settle();
    expect(setup.take()).toEqual(['open→backoff', 'reset forced', `backoff forced 1 ${BACKOFF}`]);

    setup.connection.reconnect();
    await settle();
    expect(setup.take()).toEqual(['backoff→connecting']);
    expect(setup.links).toHaveLength(2);
  });

  test('what the socket has not confirmed is uncertain', async () => {
    const setup = new Setup();
    await setup.openHealthy();
    setup.link.stalled = true;
    const fate = new Promise<Error | null | undefined>((resolve) => setup.connection.write('lock', resolve));
    await settle();
    const reset = payload(setup.connection, 'reset');
    setup.connection.reconnect();
    expect(await reset).toMatchObject({ uncertain: { writes: 1, bytes: 4 } });
    expect(await fate).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
  });
});

describe('while connecting', () => {
  test.each([['dialling'], ['shaking hands']])('and %s › abandons the attempt and dials anew', async (phase) => {
    const asked: number[] = [];
    const handshakes: AbortSignal[] = [];
    const setup = new Setup({
      target: (attempt) => {
        asked.push(attempt);
        return { port: asked.length };
      },
      handshake: (_socket, { signal }) => {
        handshakes.push(signal);
        return phase === 'dialling' ? undefined : new Promise<void>(() => undefined);
      },
    });
    await settle();
    if (phase !== 'dialling') setup.link.connect();
    await settle();
    setup.take();
    setup.connection.write('POWER OFF', () => undefined);
    setup.connection.reconnect();
    setup.connection.reconnect();
    await Promise.resolve();
    setup.connection.reconnect();
    await settle();

    expect(asked).toEqual([1, 2]);
    expect(setup.connection.tag).toBe('127.0.0.1:2');
    expect([setup.connection.state, ...setup.take()]).toEqual(['connecting']);
    expect(setup.links.map(({ destroyed }) => destroyed)).toEqual([true, false]);
    expect(setup.links[0]?.signal.aborted).toBe(true);
    expect(setup.links[0]?.written).toEqual([]);
    expect(handshakes.map(({ aborted }) => aborted)).toEqual(phase === 'dialling' ? [] : [true]);
  });

  test('and shaking hands › the next dial begins when that socket has closed', async () => {
    const setup = new Setup({ handshake: () => new Promise<void>(() => undefined) });
    await settle();
    setup.link.connect();
    await settle();
    setup.connection.reconnect();
    await settle();
    expect([setup.link.writableEnded, setup.links.length]).toEqual([true, 1]);
    setup.link.finish();
    await settle();
    expect(setup.links).toHaveLength(2);
  });

  test('before the attempt has begun › there is nothing to abandon', async () => {
    let asked = 0;
    const setup = new Setup({ target: () => ({ port: ++asked }) });
    setup.connection.connect();
    setup.connection.reconnect();
    await settle();
    expect([asked, setup.links.length]).toEqual([1, 1]);
  });

  test('an abandoned attempt is no failed one', async () => {
    const setup = new Setup({ maxRetries: 0 });
    await settle();
    const opened = setup.connection.whenOpen({ attempts: 1 });
    setup.connection.reconnect();
    await settle();
    setup.link.connect();
    expect(await opened).toMatchObject({ generation: 1, attempts: 2 });
    expect(setup.connection.stats).toMatchObject({ dials: 2, failures: 0 });
  });

  test('attempt after attempt is abandoned › at most one a second is made', async () => {
    let shaken = 0;
    const setup: Setup = new Setup({
      handshake: () => {
        shaken += 1;
        setup.connection.reconnect();
        return new Promise<void>(() => undefined);
      },
    });
    for (let second = 0; second < 30; second++) {
      for (const link of setup.links) if (link.connecting && !link.destroyed) link.connect();
      await settle();
      for (const link of setup.links) if (!link.destroyed) link.finish();
      await pass(1_000);
    }
    expect(shaken).toBeGreaterThan(20);
    expect(shaken).toBeLessThan(32);
  });

  test('a delay › abandons the attempt, and waits', async () => {
    const setup = new Setup();
    await settle();
    setup.take();
    setup.connection.reconnect({ delay: 300 });
    expect(setup.take()).toEqual(['connecting→backoff', 'backoff forced 1 300']);
    expect(setup.link.destroyed).toBe(true);
    await pass(300);
    expect(setup.links).toHaveLength(2);
  });

  test.each([
    ['reconnect()', (connection: ReconnectingConnection) => connection.reconnect(), ['connecting→closed']],
    [
      'reconnect() with a delay',
      (connection: ReconnectingConnection) => connection.reconnect({ delay: 300 }),
      ['connecting→backoff', 'backoff→closed'],
    ],
    ['fail()', (connection: ReconnectingConnection) => connection.fail(), ['connecting→backoff', 'backoff→closed']],
  ])(
    '%s, and a listener of the signal of that attempt destroys the connection › that is the end',
    async (_how, call, states) => {
      const setup: Setup = new Setup({
        handshake: (_socket, { signal }) => {
          signal.addEventListener('abort', () => setup.connection.destroy());
          return new Promise<void>(() => undefined);
        },
      });
      await settle();
      setup.link.connect();
      await settle();
      setup.take();
      call(setup.connection);
      await settle();
      expect(setup.take()).toEqual([...states, 'close destroyed']);
      expect(setup.links.map(({ destroyed }) => destroyed)).toEqual([true]);
    },
  );

  test('in the handshake itself › is legal', async () => {
    let rounds = 0;
    const setup: Setup = new Setup({
      handshake: () => {
        if (++rounds === 1) setup.connection.reconnect();
      },
    });
    await settle();
    setup.link.connect();
    await settle();
    setup.link.finish();
    await settle();
    setup.link.connect();
    await settle();
    expect([setup.connection.state, setup.links.length]).toEqual(['open', 2]);
  });
});

describe('while in backoff', () => {
  test('a delay › another wait, which the dial follows', async () => {
    const setup = new Setup();
    await settle();
    setup.link.fail('ECONNREFUSED');
    await settle();
    setup.take();
    setup.connection.reconnect({ delay: 5_000 });
    await pass(4_999);
    expect(setup.take()).toEqual(['backoff forced 1 5000']);
    await pass(1);
    expect(setup.take()).toEqual(['backoff→connecting']);
  });
});

describe('arguments', () => {
  test.each([[{ delay: -1 }], [{ delay: '1' }], [{ delay: NaN }], [{ delays: 1 }], [null], [500]])(
    'reconnect(%j) › throws ERR_INVALID_OPTION',
    (options) => {
      const setup = new Setup({ autoConnect: false });
      // `as`: what the compiler refuses.
      expect(() => setup.connection.reconnect(options as object)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    },
  );

  test('from idle › a delay comes before the first dial', async () => {
    const setup = new Setup({ autoConnect: false });
    setup.connection.reconnect({ delay: 300 });
    await pass(299);
    expect([setup.take(), setup.links.length]).toEqual([['idle→backoff', 'backoff forced 1 300'], 0]);
    await pass(1);
    expect(setup.links).toHaveLength(1);
  });
});

describe('the arguments of `target`', () => {
  class Asked extends Setup {
    readonly asked: [number, TargetContext][] = [];

    constructor() {
      super({
        target: (...asked) => {
          this.asked.push(asked);
          return { host: 'a', port: this.asked.length };
        },
      });
    }

    get numbers(): number[] {
      return this.asked.map(([attempt]) => attempt);
    }
  }

  test('`attempt` counts on through sessions that were not healthy, and starts afresh after one that was', async () => {
    const setup = new Asked();
    for (let round = 0; round < 3; round++) {
      await setup.open();
      setup.link.finish();
      await pass(BACKOFF);
    }
    await setup.openHealthy();
    setup.link.finish();
    await pass(BACKOFF);
    setup.link.fail();
    await pass(BACKOFF);
    expect(setup.numbers).toEqual([1, 2, 3, 4, 1, 2]);
  });

  test('`attempt` is 1 after reconnect() of a healthy session, and counts on while connecting', async () => {
    const setup = new Asked();
    await setup.openHealthy();
    setup.connection.reconnect();
    await settle();
    setup.connection.reconnect();
    await settle();
    expect(setup.numbers).toEqual([1, 1, 2]);
  });

  test('the context has the failure, what was dialled last, and the generation', async () => {
    const setup = new Asked();
    await settle();
    setup.link.fail('ECONNREFUSED');
    await pass(BACKOFF);
    await setup.open();
    setup.link.finish();
    await pass(BACKOFF);
    setup.connection.reconnect();
    await settle();

    const error = expect.objectContaining({ code: 'ECONNREFUSED' }) as Error;
    expect(setup.asked.map(([, context]) => context)).toStrictEqual([
      { generation: 1 },
      { failure: { reason: 'error', error }, previous: { host: 'a', port: 1 }, generation: 1 },
      { failure: { reason: 'peer-end' }, previous: { host: 'a', port: 2 }, generation: 2 },
      { previous: { host: 'a', port: 3 }, generation: 2 },
    ]);
  });

  test('a wait that reconnect() began is followed by no failure', async () => {
    const setup = new Asked();
    await setup.open();
    setup.connection.reconnect();
    await pass(BACKOFF);
    expect(setup.asked.at(-1)).toEqual([2, { previous: { host: 'a', port: 1 }, generation: 2 }]);
  });
});
