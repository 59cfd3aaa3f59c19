import { getEventListeners } from 'node:events';
import { Transform } from 'node:stream';

import { ConnectionPool, ReconnectingConnection, constantBackoff } from 'reconnecting-connection';

import type { CloseInfo, StateName } from '../../lib/events/events';
import { transitions } from '../../lib/lifecycle/states';
import type { CommonOptions } from '../../lib/options/options';
import { type Heard, names, record } from '../kit/record';
import { ScriptedDial, type ScriptedLink, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

const CONNECT_TIMEOUT = 10_000;
const CLOSE_TIMEOUT = 2_000;
const BACKOFF = 1_000;

/** A connection in some situation, with its scripted dial and its recorded events. */
class Setup {
  readonly abort = new AbortController();
  readonly script = new ScriptedDial();
  readonly connection: ReconnectingConnection;
  readonly recorded: Heard[];
  finishHandshake: () => void = () => undefined;

  constructor(options: CommonOptions = {}) {
    this.connection = new ReconnectingConnection({
      port: 1,
      dial: this.script.dial,
      signal: this.abort.signal,
      autoConnect: false,
      backoff: constantBackoff(BACKOFF),
      ...options,
    });
    this.recorded = record(this.connection);
  }

  get link(): ScriptedLink {
    return this.script.last;
  }

  /** The names of the events since the last call; for `state`, the two states. */
  takeEvents(): string[] {
    return this.recorded
      .splice(0)
      .map(([event, ...args]) => (event === 'state' ? `${String(args[1])}→${String(args[0])}` : event));
  }
}

type Situation = 'idle' | 'dialling' | 'handshaking' | 'open' | 'backoff' | 'closing' | 'closed';

/** The states of a connection, with `connecting` divided into `dialling` and `handshaking`. */
const situations: Record<Situation, () => Setup | Promise<Setup>> = {
  idle: () => new Setup(),
  dialling: async () => {
    const setup = new Setup();
    setup.connection.connect();
    await settle();
    return setup;
  },
  handshaking: async () => {
    let finishHandshake: () => void = () => undefined;
    const setup = new Setup({ handshake: () => new Promise((resolve) => (finishHandshake = resolve)) });
    setup.connection.connect();
    await settle();
    setup.link.connect();
    await settle();
    setup.finishHandshake = () => finishHandshake();
    return setup;
  },
  open: async () => {
    const setup = await situations.dialling();
    setup.link.connect();
    await settle();
    return setup;
  },
  backoff: async () => {
    const setup = await situations.dialling();
    setup.link.fail('ECONNREFUSED');
    await settle();
    return setup;
  },
  closing: async () => {
    const setup = await situations.open();
    void setup.connection.disconnect();
    await settle();
    return setup;
  },
  closed: async () => {
    const setup = new Setup();
    setup.connection.destroy();
    await settle();
    return setup;
  },
};

const stateOf: Record<Situation, StateName> = {
  idle: 'idle',
  dialling: 'connecting',
  handshaking: 'connecting',
  open: 'open',
  backoff: 'backoff',
  closing: 'closing',
  closed: 'closed',
};

/** What can happen to a connection, from the application, the network and the clock. */
const inputs = {
  'connect()': ({ connection }) => connection.connect(),
  'disconnect()': ({ connection }) => void connection.disconnect(),
  'destroy()': ({ connection }) => connection.destroy(),
  abort: ({ abort }) => abort.abort(),
  'reconnect()': ({ connection }) => connection.reconnect(),
  'reconnect() with a delay': ({ connection }) => connection.reconnect({ delay: CLOSE_TIMEOUT }),
  'replace()': ({ connection }) => void connection.replace(),
  'fail()': ({ connection }) => connection.fail(new Error('bad')),
  'markHealthy()': ({ connection }) => connection.markHealthy(),
  'pause()': ({ connection }) => void connection.pause(),
  'resume()': ({ connection }) => void connection.resume(),
  'ref()': ({ connection }) => void connection.ref(),
  'unref()': ({ connection }) => void connection.unref(),
  'write()': ({ connection }) => void connection.write('hello', () => undefined),
  'whenOpen()': ({ connection }) => void connection.whenOpen().catch(() => undefined),
  'the transport connects': ({ link }) => void link.connect(),
  'the handshake is done': ({ finishHandshake }) => finishHandshake(),
  'bytes arrive': ({ link }) => link.receive('bytes'),
  'the peer ends': ({ link }) => link.finish(),
  'the transport fails': ({ link }) => link.fail(),
  'the writes are confirmed': ({ link }) => link.unstall(),
  'connectTimeout passes': () => pass(CONNECT_TIMEOUT),
  'closeTimeout passes': () => pass(CLOSE_TIMEOUT),
  'the wait is over': () => pass(BACKOFF),
} satisfies Record<string, (setup: Setup) => void | Promise<void>>;

type Input = keyof typeof inputs;

const CLOSE = 'close';

/**
 * The events that each input causes in each situation, in order. An input that is not in the table must change nothing
 * and cause no event.
 */
const table: Record<Input, Partial<Record<Situation, string[]>>> = {
  'connect()': {
    idle: ['idle→connecting'],
    closed: ['closed→connecting'],
  },
  'disconnect()': {
    idle: ['idle→closed', CLOSE],
    dialling: ['connecting→closed', CLOSE],
    handshaking: ['connecting→closed', CLOSE],
    open: ['open→closing'],
    backoff: ['backoff→closed', CLOSE],
  },
  'destroy()': {
    idle: ['idle→closed', CLOSE],
    dialling: ['connecting→closed', CLOSE],
    handshaking: ['connecting→closed', CLOSE],
    open: ['open→closed', 'reset', CLOSE],
    backoff: ['backoff→closed', CLOSE],
    closing: ['closing→closed', 'reset', CLOSE],
  },
  abort: {
    idle: ['idle→closed', CLOSE],
    dialling: ['connecting→closed', CLOSE],
    handshaking: ['connecting→closed', CLOSE],
    open: ['open→closed', 'reset', CLOSE],
    backoff: ['backoff→closed', CLOSE],
    closing: ['closing→closed', 'reset', CLOSE],
  },
  'reconnect()': {
    idle: ['idle→connecting'],
    open: ['open→backoff', 'reset', 'backoff'],
    backoff: ['backoff→connecting'],
  },
  'reconnect() with a delay': {
    idle: ['idle→backoff', 'backoff'],
    dialling: ['connecting→backoff', 'backoff'],
    handshaking: ['connecting→backoff', 'backoff'],
    open: ['open→backoff', 'reset', 'backoff'],
    backoff: ['backoff'],
  },
  'replace()': {
    idle: ['idle→connecting'],
    backoff: ['backoff→connecting'],
  },
  'fail()': {
    dialling: ['connecting→backoff', 'backoff'],
    handshaking: ['connecting→backoff', 'backoff'],
    open: ['open→backoff', 'reset', 'backoff'],
  },
  'markHealthy()': {},
  'pause()': {},
  'resume()': {},
  'ref()': {},
  'unref()': {},
  'write()': {},
  'whenOpen()': {},
  'the transport connects': {
    dialling: ['connecting→open', 'open'],
  },
  'the handshake is done': {
    handshaking: ['connecting→open', 'open'],
  },
  'bytes arrive': {
    open: ['data'],
    closing: ['data'],
  },
  'the peer ends': {
    open: ['open→backoff', 'reset', 'backoff'],
    closing: ['closing→closed', 'reset', CLOSE],
  },
  'the transport fails': {
    dialling: ['connecting→backoff', 'backoff'],
    handshaking: ['connecting→backoff', 'backoff'],
    open: ['open→backoff', 'reset', 'backoff'],
    closing: ['closing→closed', 'reset', CLOSE],
  },
  'the writes are confirmed': {},
  'connectTimeout passes': {
    dialling: ['connecting→backoff', 'backoff'],
    handshaking: ['connecting→backoff', 'backoff'],
    backoff: ['backoff→connecting'],
    closing: ['closing→closed', 'reset', CLOSE],
  },
  'closeTimeout passes': {
    backoff: ['backoff→connecting'],
    closing: ['closing→closed', 'reset', CLOSE],
  },
  'the wait is over': {
    backoff: ['backoff→connecting'],
  },
};

describe('every input in every situation', () => {
  const situationNames = Object.keys(situations) as Situation[];
  const inputNames = Object.keys(inputs) as Input[];
  const cells = situationNames.flatMap((situation) => {
    // Without a dial there are no inputs from the network.
    const undialled = situation === 'idle' || situation === 'closed';
    const possible = inputNames.filter((input) => !(undialled && /transport|peer|bytes|writes/.test(input)));
    return possible.map((input) => [situation, input] as const);
  });

  test.each(cells)('while %s › %s', async (situation, input) => {
    const setup: Setup = await situations[situation]();
    setup.takeEvents();
    const expected = table[input][situation] ?? [];
    const last = expected.findLast((event) => event.includes('→'));

    await inputs[input](setup);
    await settle();

    expect(setup.takeEvents()).toEqual(expected);
    expect(setup.connection.state).toBe(last?.split('→')[1] ?? stateOf[situation]);

    setup.connection.destroy();
    await settle();
    expect(jest.getTimerCount()).toBe(0);
    expect(setup.script.links.every((link) => link.destroyed)).toBe(true);
  });
});

test('every transition of `transitions` is in the table, and no other', () => {
  const declared = Object.entries(transitions).flatMap(([from, states]) => states.map((to) => `${from}→${to}`));
  const caused = Object.values(table)
    .flatMap((row) => Object.values(row).flat())
    .filter((event) => event.includes('→'));
  // These need queued writes or a healthy session, and have tests of their own.
  const others = ['connecting→closing', 'backoff→closing', 'open→connecting'];
  // These have no event.
  const silent = ['connecting→connecting', 'open→open', 'backoff→backoff'];
  expect(new Set([...caused, ...others, ...silent])).toEqual(new Set(declared));
});

describe('the payloads of events', () => {
  const ways = {
    'disconnect()': [(setup: Setup) => void setup.connection.disconnect(), 'disconnected'],
    'destroy()': [(setup: Setup) => setup.connection.destroy(), 'destroyed'],
    abort: [(setup: Setup) => setup.abort.abort('enough'), 'aborted'],
  } as const;
  const cells = (['idle', 'dialling', 'handshaking', 'open', 'backoff', 'closing'] as const).flatMap((situation) =>
    (Object.keys(ways) as (keyof typeof ways)[]).map((way) => [situation, way] as const),
  );

  test.each(cells)(
    'while %s, ended by %s › `close` and the `reset` before it give the reason',
    async (situation, way) => {
      const [end, reason] = ways[way];
      const setup: Setup = await situations[situation]();
      setup.recorded.splice(0);
      end(setup);
      if (situation === 'open' || situation === 'closing') setup.link.finish();
      await settle();

      const closes = setup.recorded.filter(([event]) => event === 'close');
      const resets = setup.recorded.filter(([event]) => event === 'reset');
      expect(closes).toHaveLength(1);
      const [, info] = closes[0] as [string, CloseInfo];
      expect(info.reason).toBe(reason);
      for (const [, reset] of resets) expect(reset).toMatchObject({ reason, willRetry: false, generation: 1 });
      expect(resets).toHaveLength(situation === 'open' || situation === 'closing' ? 1 : 0);
      if (way === 'abort') {
        const message = 'The connection to 127.0.0.1:1 was aborted by its signal: "enough" (string)';
        expect(info.error).toMatchObject({ code: 'ERR_ABORTED', message, cause: 'enough', tag: '127.0.0.1:1' });
      } else {
        expect(info).toEqual({ reason });
      }
    },
  );

  test('a lost session › `reset` says that it will retry, and `backoff` when', async () => {
    const setup = await situations.open();
    setup.recorded.splice(0);
    const { link } = setup;
    link.fail();
    await settle();
    const error = expect.objectContaining({ code: 'ECONNRESET' }) as Error;
    expect(setup.recorded.slice(1)).toEqual([
      ['reset', expect.objectContaining({ generation: 1, reason: 'error', error, willRetry: true })],
      ['backoff', { attempt: 1, delay: BACKOFF, retryAt: Date.now() + BACKOFF, reason: 'error', error }],
    ]);
    setup.connection.destroy();
  });

  test('reconnect() while open and healthy › a reset with reason `forced`, and a dial', async () => {
    const setup = await situations.open();
    setup.connection.markHealthy();
    setup.recorded.splice(0);
    setup.connection.reconnect();
    await settle();
    const reset = expect.objectContaining({ reason: 'forced', willRetry: true, generation: 1 }) as object;
    expect(setup.recorded).toEqual([
      ['state', 'connecting', 'open'],
      ['reset', reset],
    ]);
    setup.connection.destroy();
  });

  test('a session lost with no retries left › `reset` has the cause, and `close` the limit', async () => {
    const setup = new Setup({ maxRetries: 0, autoConnect: true });
    await settle();
    setup.link.connect();
    await settle();
    setup.recorded.splice(0);
    setup.link.fail();
    await settle();
    expect(setup.recorded.slice(1)).toEqual([
      ['reset', expect.objectContaining({ reason: 'error', willRetry: false })],
      ['close', { reason: 'max-retries', error: expect.objectContaining({ code: 'ERR_GAVE_UP' }) as Error }],
    ]);
  });

  test('a backoff function that throws › `backoff` has its error as `fault`', async () => {
    const fault = new Error('broken');
    const setup = new Setup({
      autoConnect: true,
      backoff: () => {
        throw fault;
      },
    });
    await settle();
    setup.link.fail('ECONNREFUSED');
    await settle();
    expect(setup.recorded.at(-1)).toEqual(['backoff', expect.objectContaining({ fault, delay: 1_000 })]);
    setup.connection.destroy();
  });

  test('a shouldRetry that disconnects › `reset` and `close` say disconnected', async () => {
    const setup: Setup = new Setup({
      autoConnect: true,
      shouldRetry: () => {
        void setup.connection.disconnect();
        return true;
      },
    });
    await settle();
    setup.link.connect();
    await settle();
    setup.recorded.splice(0);
    setup.link.fail();
    await settle();
    const reset = setup.recorded.find(([event]) => event === 'reset');
    expect(reset?.[1]).toMatchObject({ reason: 'disconnected', willRetry: false });
    // `disconnect()` came before the decision about the loss.
    expect(reset?.[1]).not.toHaveProperty('error');
    expect(setup.recorded.at(-1)).toEqual(['close', { reason: 'disconnected' }]);
  });

  test('disconnect() while in backoff, with writes queued › one last dial, and a drop when it fails', async () => {
    const setup = await situations.backoff();
    setup.connection.write('queued');
    setup.recorded.splice(0);
    void setup.connection.disconnect();
    await settle();
    expect(names(setup.recorded)).toEqual(['state']);
    setup.link.fail('ECONNREFUSED');
    await settle();
    expect(names(setup.recorded)).toEqual(['state', 'state', 'drop', 'close']);
    expect(setup.recorded[2]?.[1]).toMatchObject({ bytes: 6, reason: 'disconnected' });
    expect(setup.script.links).toHaveLength(2);
  });

  test('whenOpen() while closing or closed › rejects with ERR_CLOSED, unless connect() was called', async () => {
    const message = 'The connection to 127.0.0.1:1 is closed';
    const closed = { code: 'ERR_CLOSED', message, tag: '127.0.0.1:1' };
    const setup = await situations.closing();
    await expect(setup.connection.whenOpen()).rejects.toMatchObject(closed);
    setup.connection.destroy();
    await expect(setup.connection.whenOpen()).rejects.toMatchObject(closed);
    // With a restart pending, it waits for the next session.
    const again = await situations.closing();
    again.connection.connect();
    const opened = again.connection.whenOpen();
    again.link.finish();
    await settle();
    again.link.connect();
    await expect(opened).resolves.toMatchObject({ generation: 2 });
    again.connection.destroy();
  });

  test('connect() after an abort › throws the reason of the signal', async () => {
    const setup = await situations.dialling();
    setup.abort.abort('enough');
    await settle();
    const message = 'The signal of the connection to 127.0.0.1:1 is aborted: it cannot start again: "enough" (string)';
    const error = { code: 'ERR_ABORTED', message, cause: 'enough', tag: '127.0.0.1:1' };
    expect(() => setup.connection.connect()).toThrow(expect.objectContaining(error) as Error);
    // A pending restart is cancelled by the abort.
    const closing = await situations.closing();
    closing.connection.connect();
    closing.abort.abort();
    await settle();
    expect(closing.connection.state).toBe('closed');
  });

  test.each(['backoff', 'closing'] as const)('while %s › unref() and ref() apply to the timer', async (situation) => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    const setup = await situations[situation]();
    const { connection } = setup;
    const latest = timers.mock.results.at(-1)!.value as NodeJS.Timeout;
    timers.mockRestore();
    expect(latest.hasRef()).toBe(true);
    connection.unref();
    expect(latest.hasRef()).toBe(false);
    connection.ref();
    expect(latest.hasRef()).toBe(true);
    connection.destroy();
  });

  test('pause() and resume() also apply to the next session', async () => {
    const setup = await situations.open();
    const reopen = async () => {
      setup.connection.markHealthy();
      setup.connection.reconnect();
      setup.link.finish();
      await settle();
      setup.link.connect();
      await settle();
      setup.takeEvents();
      setup.link.receive('bytes');
      await settle();
      return setup.takeEvents();
    };
    setup.connection.pause();
    expect(await reopen()).toEqual([]);
    setup.connection.resume();
    await settle();
    expect(setup.takeEvents()).toEqual(['data']);
    expect(await reopen()).toEqual(['data']);
    setup.connection.destroy();
  });

  test('a handshake receives the generation of its session', async () => {
    const generations: number[] = [];
    const setup = new Setup({
      handshake: (_socket, { generation }) => void generations.push(generation),
      autoConnect: true,
    });
    for (let round = 0; round < 2; round++) {
      await settle();
      setup.link.connect();
      await settle();
      setup.connection.fail();
      await pass(BACKOFF);
    }
    expect(generations).toEqual([1, 2]);
    setup.connection.destroy();
  });
});

describe('the order of events', () => {
  test('a lost session emits state, reset, backoff; a session that opens emits state, open', async () => {
    const setup = await situations.open();
    setup.link.fail();
    await settle();
    await pass(BACKOFF);
    setup.link.connect();
    await settle();

    expect(setup.takeEvents()).toEqual([
      'idle→connecting',
      'connecting→open',
      'open',
      'open→backoff',
      'reset',
      'backoff',
      'backoff→connecting',
      'connecting→open',
      'open',
    ]);
  });

  test('is the same for every listener, whatever methods a listener calls', async () => {
    const setup = await situations.dialling();
    const later: Heard[] = [];
    setup.connection.on('open', () => setup.connection.destroy());
    later.push(...record(setup.connection));
    const second = record(setup.connection);
    setup.takeEvents();

    setup.link.connect();
    await settle();

    expect(names(second)).toEqual(['state', 'open', 'state', 'reset', 'close']);
    expect(setup.takeEvents()).toEqual(['connecting→open', 'open', 'open→closed', 'reset', 'close']);
  });

  test('a session ended by a `state` listener has neither `open` nor `reset`', async () => {
    const setup = await situations.dialling();
    setup.connection.on('state', (next) => next === 'open' && setup.connection.destroy());
    setup.takeEvents();

    setup.link.connect();
    await settle();

    expect(setup.takeEvents()).toEqual(['connecting→open', 'open→closed', 'close']);
  });

  test('a wait ended by a `reset` listener has no `backoff`', async () => {
    const setup = await situations.open();
    setup.connection.on('reset', () => void setup.connection.disconnect());
    setup.takeEvents();

    setup.link.fail();
    await settle();

    expect(setup.takeEvents()).toEqual(['open→backoff', 'reset', 'backoff→closed', 'close']);
  });

  test('no data of a session is delivered after its reset', async () => {
    const setup = await situations.open();
    const data: string[] = [];
    setup.connection.on('data', (chunk) => {
      data.push(chunk.toString());
      setup.connection.reconnect();
    });
    const { link } = setup;
    link.receive('one');
    link.receive('two');
    await settle();
    expect(data).toEqual(['one']);

    setup.connection.destroy();
  });
});

describe('fail()', () => {
  test('while open › `reset` and `backoff` have the very error, and the socket is destroyed', async () => {
    const setup = await situations.open();
    setup.recorded.splice(0);
    const error = new Error('READONLY');
    setup.connection.fail(error);
    await settle();

    const [, [, reset], [, backoff]] = setup.recorded as [Heard, Heard, Heard];
    expect(reset).toMatchObject({ generation: 1, reason: 'failed', willRetry: true });
    expect(backoff).toMatchObject({ attempt: 1, reason: 'failed' });
    for (const info of [reset, backoff] as { error: Error }[]) expect(info.error).toBe(error);
    expect(setup.link.destroyed).toBe(true);
    expect(setup.connection.stats).toMatchObject({ failures: 0, resets: 1, lastError: { message: 'READONLY' } });
    setup.connection.destroy();
  });

  test('while connecting › is the failure of the attempt, whose handshake is aborted', async () => {
    const setup = await situations.handshaking();
    const opened = setup.connection.whenOpen({ attempts: 1 });
    const error = new Error('wrong device');
    setup.connection.fail(error);

    await expect(opened).rejects.toBe(error);
    expect(setup.connection.stats.failures).toBe(1);
    expect(setup.link.signal.aborted).toBe(true);
    expect(setup.link.destroyed).toBe(true);
    setup.connection.destroy();
  });

  test.each([
    [[], '`fail()` was called on the connection to 127.0.0.1:1', undefined],
    [['READONLY'], '`fail()` was called on the connection to 127.0.0.1:1: READONLY', 'READONLY'],
    [[null], '`fail()` was called on the connection to 127.0.0.1:1: null', null],
  ])('with %j › an ERR_FAILED that quotes it', async (args, message, cause) => {
    const setup = await situations.open();
    setup.recorded.splice(0);
    setup.connection.fail(...args);
    const [, [, reset]] = setup.recorded as [Heard, Heard];
    expect(reset).toMatchObject({ error: { code: 'ERR_FAILED', message, tag: '127.0.0.1:1' } });
    expect((reset as { error: Error }).error.cause).toBe(cause);
    setup.connection.destroy();
  });

  test('again and again › the backoff grows; after a healthy session it starts afresh', async () => {
    const setup = new Setup();
    const attempts: unknown[] = [];
    setup.connection.on('backoff', ({ attempt }) => attempts.push(attempt));
    setup.connection.connect();
    for (const uptime of [0, 0, 5_000, 0]) {
      await pass(BACKOFF);
      setup.link.connect();
      await pass(uptime);
      setup.connection.fail();
    }
    expect(attempts).toEqual([1, 2, 1, 2]);
    setup.connection.destroy();
  });

  test('asks shouldRetry, as any failure does', async () => {
    const setup = new Setup({ shouldRetry: ({ reason }) => reason !== 'failed' });
    setup.connection.connect();
    await settle();
    setup.link.connect();
    await settle();
    setup.connection.fail();
    expect(setup.connection.state).toBe('closed');
  });
});

describe('disconnect()', () => {
  test('calls share one promise, which resolves after `close`', async () => {
    const setup = await situations.open();
    const first = setup.connection.disconnect();
    expect(setup.connection.disconnect()).toBe(first);
    setup.link.finish();

    await expect(first).resolves.toEqual({ reason: 'disconnected' } satisfies CloseInfo);
    expect(names(setup.recorded).at(-1)).toBe('close');
    expect(setup.connection.disconnect()).toBe(first);
  });

  test('after giving up › resolves with the payload of that `close`', async () => {
    const setup = new Setup({ maxRetries: 0 });
    setup.connection.connect();
    await settle();
    setup.link.fail();
    await settle();

    await expect(setup.connection.disconnect()).resolves.toMatchObject({ reason: 'max-retries' });
  });

  test('in an `open` listener › what is written after it is refused, and what was written before it is sent', async () => {
    const setup = await situations.dialling();
    const fates: unknown[] = [];
    const write = (text: string) =>
      setup.connection.write(text, (error: NodeJS.ErrnoException | null | undefined) => {
        fates.push(`${text} ${error?.code ?? 'confirmed'}`);
      });
    write('queued');
    setup.connection.on('open', () => {
      write('before');
      void setup.connection.disconnect();
      write('after');
      queueMicrotask(() => write('later'));
    });
    setup.link.connect();
    await settle();

    expect(setup.connection.state).toBe('closing');
    expect(setup.link.written.join(' ')).toBe('before queued');
    expect([...fates].sort()).toEqual(['after ERR_CLOSED', 'before confirmed', 'later ERR_CLOSED', 'queued confirmed']);
    setup.link.finish();
    await settle();
    expect(setup.connection.stats.writes.dropped.writes).toBe(0);
    expect(setup.connection.stats.writes.refused.writes).toBe(2);
  });

  test('while in backoff with writes queued › dials at once and sends them', async () => {
    const setup = await situations.backoff();
    const fates: unknown[] = [];
    for (const text of ['a', 'b', 'c']) setup.connection.write(text, (error) => fates.push(error ?? 'confirmed'));
    setup.recorded.splice(0);
    const closed = setup.connection.disconnect();
    await settle();
    setup.link.connect();
    await settle();
    setup.link.finish();

    expect(await closed).toEqual({ reason: 'disconnected' });
    expect(setup.link.written.join('')).toBe('abc');
    expect(fates).toEqual(['confirmed', 'confirmed', 'confirmed']);
    expect(setup.takeEvents()).toEqual(['backoff→closing', 'open', 'closing→closed', 'reset', CLOSE]);
  });

  test('while in backoff with writes queued › destroy() ends the last dial', async () => {
    const setup = await situations.backoff();
    setup.connection.write('queued', () => undefined);
    void setup.connection.disconnect();
    setup.connection.destroy();
    await settle();
    expect(setup.connection.state).toBe('closed');
    expect(setup.script.links).toHaveLength(1);
  });

  test('while in backoff with writes queued › gives a mute peer until closeTimeout', async () => {
    const setup = await situations.backoff();
    setup.connection.write('queued', () => undefined);
    void setup.connection.disconnect();
    await pass(CLOSE_TIMEOUT - 1);
    expect(setup.connection.state).toBe('closing');
    await pass(1);
    expect(setup.connection.state).toBe('closed');
    expect(setup.link.destroyed).toBe(true);
  });

  test('while dialling with writes queued › lets the dial finish and sends them', async () => {
    const setup = await situations.dialling();
    setup.connection.on('open', () => void setup.connection.write('hello '));
    const results: unknown[] = [];
    setup.connection.write('goodbye', (error) => results.push(error ?? 'confirmed'));
    setup.takeEvents();

    const disconnected = setup.connection.disconnect();
    expect(setup.connection.state).toBe('closing');
    expect(setup.connection.write('too late', (error) => results.push((error as { code?: string }).code))).toBe(false);
    setup.link.connect();
    await settle();
    setup.link.finish();
    await disconnected;

    expect(setup.link.written).toEqual(['hello ', 'goodbye']);
    expect(results).toEqual(['ERR_CLOSED', 'confirmed']);
    expect(setup.takeEvents()).toEqual(['connecting→closing', 'open', 'closing→closed', 'reset', 'close']);
  });

  test('while dialling with writes queued › drops them when closeTimeout passes', async () => {
    const setup = await situations.dialling();
    setup.connection.write('goodbye');
    setup.takeEvents();
    const disconnected = setup.connection.disconnect();
    await pass(CLOSE_TIMEOUT);

    await expect(disconnected).resolves.toEqual({ reason: 'disconnected' });
    expect(setup.takeEvents()).toEqual(['connecting→closing', 'closing→closed', 'drop', 'close']);
  });

  test('while dialling with writes queued › drops them when the dial fails', async () => {
    const setup = await situations.dialling();
    setup.connection.write('goodbye');
    setup.takeEvents();
    void setup.connection.disconnect();
    setup.link.fail('ECONNREFUSED');
    await settle();

    expect(setup.takeEvents()).toEqual(['connecting→closing', 'closing→closed', 'drop', 'close']);
  });

  test('called by shouldRetry › closes without a retry', async () => {
    const setup = await situations.open();
    setup.connection.destroy();
    const late = new Setup({
      shouldRetry: () => {
        void late.connection.disconnect();
        return true;
      },
    });
    late.connection.connect();
    await settle();
    late.link.connect();
    await settle();
    late.takeEvents();
    late.link.fail();
    await settle();

    expect(late.takeEvents()).toEqual(['open→closed', 'reset', 'close']);
  });
});

describe('connect()', () => {
  test('while closing › dials again when the old session has closed', async () => {
    const setup = await situations.closing();
    setup.takeEvents();
    setup.connection.connect();
    expect(setup.script.links).toHaveLength(1);
    const opened = setup.connection.whenOpen();
    setup.link.finish();
    await settle();
    expect(setup.script.links).toHaveLength(2);
    setup.link.connect();

    await expect(opened).resolves.toMatchObject({ generation: 2, reopened: false, attempts: 1, downtime: 0 });
    expect(setup.takeEvents()).toEqual([
      'closing→closed',
      'reset',
      'close',
      'closed→connecting',
      'connecting→open',
      'open',
    ]);
    setup.connection.destroy();
  });

  test.each(['disconnect', 'destroy'] as const)('while closing › is cancelled by %s()', async (method) => {
    const setup = await situations.closing();
    setup.connection.connect();
    const waiting = setup.connection.whenOpen();
    void setup.connection[method]();
    setup.link.finish();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await settle();

    expect(setup.connection.state).toBe('closed');
    expect(setup.script.links).toHaveLength(1);
  });

  test('in a `close` listener › begins a new lifecycle, with retries counted from zero', async () => {
    const setup = new Setup({ maxRetries: 1 });
    setup.connection.once('close', () => setup.connection.connect());
    setup.connection.connect();
    const attempts: number[] = [];
    setup.connection.on('backoff', ({ attempt }) => attempts.push(attempt));
    for (let dial = 0; dial < 4; dial++) {
      await settle();
      setup.link.fail('ECONNREFUSED');
      await pass(BACKOFF);
    }

    expect(attempts).toEqual([1, 1]);
    expect(setup.connection.state).toBe('closed');
    expect(setup.script.links).toHaveLength(4);
  });

  test('after an abort › throws ERR_ABORTED', async () => {
    const setup = new Setup();
    setup.abort.abort();
    await settle();

    expect(() => setup.connection.connect()).toThrow(expect.objectContaining({ code: 'ERR_ABORTED' }));
    expect(setup.connection.state).toBe('closed');
  });
});

describe('a signal aborted beforehand', () => {
  test.each([true, false])('with autoConnect %s › closes with `aborted` and never dials', async (autoConnect) => {
    const script = new ScriptedDial();
    const reason = new Error('cancelled');
    const connection = new ReconnectingConnection({
      port: 1,
      dial: script.dial,
      signal: AbortSignal.abort(reason),
      autoConnect,
    });
    const events = record(connection);
    await settle();

    expect(names(events)).toEqual(['state', 'close']);
    expect(events[1]?.[1]).toMatchObject({ reason: 'aborted', error: { code: 'ERR_ABORTED', cause: reason } });
    expect(script.links).toEqual([]);
  });
});

describe('minUptime', () => {
  test('a shorter session counts as a failed attempt; a longer one resets the backoff', async () => {
    const attempts: number[] = [];
    const setup = new Setup({ minUptime: 500, backoff: { initialDelay: 100, maxDelay: 1_000, jitter: 'none' } });
    setup.connection.on('backoff', ({ attempt, delay }) => attempts.push(attempt, delay));
    setup.connection.connect();
    for (const uptime of [100, 499, 499, 1_000, 100]) {
      await settle();
      setup.link.connect();
      await pass(uptime);
      setup.link.finish();
      await settle();
      await pass(attempts.at(-1) ?? 0);
    }

    expect(attempts).toEqual([1, 100, 2, 200, 3, 400, 1, 100, 2, 200]);
    setup.connection.destroy();
  });

  test('a session shorter than the wait before it does not reset the backoff', async () => {
    const attempts: number[] = [];
    const setup = new Setup({ minUptime: 10, backoff: constantBackoff(1_000) });
    setup.connection.on('backoff', ({ attempt }) => attempts.push(attempt));
    setup.connection.connect();
    for (const uptime of [9, 999, 1_000]) {
      await settle();
      setup.link.connect();
      await pass(uptime);
      setup.link.finish();
      await pass(1_000);
    }

    expect(attempts).toEqual([1, 2, 1]);
    setup.connection.destroy();
  });

  test('markHealthy() lets even a short session reset the backoff', async () => {
    const attempts: number[] = [];
    const setup = new Setup();
    setup.connection.on('backoff', ({ attempt }) => attempts.push(attempt));
    setup.connection.on('open', ({ generation }) => generation > 1 && setup.connection.markHealthy());
    setup.connection.connect();
    for (let session = 0; session < 3; session++) {
      await settle();
      setup.link.connect();
      await settle();
      setup.link.finish();
      await pass(BACKOFF);
    }

    expect(attempts).toEqual([1, 1, 1]);
    setup.connection.destroy();
  });
});

describe('whenOpen()', () => {
  test('while open › resolves at once with the payload of `open`', async () => {
    const setup = await situations.open();
    const [, info] = setup.recorded.find(([event]) => event === 'open') ?? [];

    await expect(setup.connection.whenOpen()).resolves.toBe(info);
    setup.connection.destroy();
  });

  test('all calls resolve with the same object', async () => {
    const setup = await situations.dialling();
    const both = Promise.all([setup.connection.whenOpen(), setup.connection.whenOpen()]);
    setup.link.connect();
    const [one, two] = await both;

    expect(one).toBe(two);
    setup.connection.destroy();
  });

  test.each([1, 2, 3])(
    'with attempts: %i › rejects with the error of that failure; the connection goes on',
    async (attempts) => {
      const setup = new Setup();
      setup.connection.connect();
      let failures = 0;
      const waiting = setup.connection.whenOpen({ attempts }).catch((error: unknown) => [failures, error]);
      const unlimited = setup.connection.whenOpen();
      for (let dial = 0; dial < 4; dial++) {
        await settle();
        failures += 1;
        setup.link.fail('ECONNREFUSED');
        await pass(BACKOFF);
      }
      expect(await waiting).toEqual([attempts, expect.objectContaining({ code: 'ECONNREFUSED' })]);

      setup.link.connect();
      await expect(unlimited).resolves.toMatchObject({ attempts: 5 });
      setup.connection.destroy();
    },
  );

  test('rejects with ERR_CLOSED when disconnect() is called, and afterwards', async () => {
    const setup = await situations.backoff();
    const waiting = setup.connection.whenOpen();
    void setup.connection.disconnect();

    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(setup.connection.whenOpen()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('rejects with the error of `close`', async () => {
    const setup = new Setup({ maxRetries: 0 });
    const waiting = setup.connection.whenOpen();
    setup.connection.connect();
    await settle();
    setup.link.fail('ECONNREFUSED');

    await expect(waiting).rejects.toMatchObject({ code: 'ERR_GAVE_UP', cause: { code: 'ECONNREFUSED' } });
  });
});

describe('ref() and unref()', () => {
  test('apply to the socket of every session', async () => {
    const setup = await situations.open();
    setup.connection.unref();
    expect(setup.link.referenced).toBe(false);
    setup.link.fail();
    await settle();
    await pass(BACKOFF);
    expect(setup.link.referenced).toBe(false);
    setup.connection.ref();
    expect(setup.link.referenced).toBe(true);
    setup.connection.destroy();
  });
});

describe('connect() in a `close` listener', () => {
  test('does not delay the promise of disconnect()', async () => {
    const setup = await situations.open();
    setup.connection.once('close', () => setup.connection.connect());
    const disconnected = setup.connection.disconnect();
    setup.link.finish();

    await expect(disconnected).resolves.toEqual({ reason: 'disconnected' });
    expect(setup.connection.state).toBe('connecting');
    setup.connection.destroy();
  });

  test('lets whenOpen() wait for the new lifecycle', async () => {
    const setup = await situations.open();
    const opened = new Promise((resolve, reject) => {
      setup.connection.once('close', () => {
        setup.connection.connect();
        setup.connection.whenOpen().then(resolve, reject);
      });
    });
    setup.connection.destroy();
    await settle();
    setup.link.connect();

    await expect(opened).resolves.toMatchObject({ generation: 2 });
    setup.connection.destroy();
  });

  test.each(['disconnect', 'destroy'] as const)('after a connect() while closing › %s() cancels it', async (method) => {
    const setup = await situations.closing();
    setup.connection.connect();
    const opened = setup.connection.whenOpen();
    setup.connection.once('close', () => void setup.connection[method]());
    setup.link.finish();

    await expect(opened).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await settle();
    expect([setup.connection.state, setup.script.links.length]).toEqual(['closed', 1]);
  });

  test('lets the disconnect() of a pool resolve, which forgets the member', async () => {
    const script = new ScriptedDial();
    const pool = new ConnectionPool({ dial: script.dial });
    const member = pool.add({ port: 1 });
    member.once('close', () => member.connect());
    await settle();
    await pool.disconnect();

    expect([member.state, pool.connections]).toEqual(['connecting', []]);
    member.destroy();
  });
});

describe('a misbehaving transport', () => {
  /** A connection whose first transport is changed by `first`. */
  async function setupWith(first: (link: ScriptedLink) => void, options: CommonOptions = {}) {
    const setup: Setup = new Setup({
      ...options,
      dial: (target, signal) => {
        const link = setup.script.dial(target, signal) as ScriptedLink;
        if (setup.script.links.length === 1) first(link);
        return link;
      },
    });
    setup.connection.connect();
    await settle();
    return setup;
  }

  test('whose destroy() throws › the events are emitted, and the error becomes one uncaught exception', async () => {
    const thrown: unknown[] = [];
    const spy = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
      void Promise.resolve()
        .then(task)
        .catch((error: unknown) => thrown.push(error));
    });
    const broken = new Error('broken destroy');
    const setup = await setupWith((link) => {
      link.destroy = () => {
        throw broken;
      };
    });
    setup.link.connect();
    await settle();
    setup.takeEvents();
    setup.connection.destroy();
    await settle();
    spy.mockRestore();

    expect(setup.takeEvents()).toEqual(['open→closed', 'reset', 'close']);
    expect(thrown).toEqual([broken]);
  });

  test('that fails and never closes, while dialling › is given up after closeTimeout, also without connectTimeout', async () => {
    const setup = await setupWith(
      (link) => {
        link.destroy = () => link;
      },
      { connectTimeout: 0 },
    );
    setup.takeEvents();
    setup.link.emit('error', Object.assign(new Error('half dead'), { code: 'EHALF' }));
    await pass(CLOSE_TIMEOUT);

    const backoff = setup.recorded.find(([event]) => event === 'backoff');
    expect(backoff?.[1]).toMatchObject({ reason: 'error', error: { code: 'EHALF' } });
    setup.connection.destroy();
  });

  test('that fails and never closes, while open › is given up after closeTimeout', async () => {
    const setup = await setupWith((link) => {
      link.destroy = () => link;
    });
    setup.link.connect();
    await settle();
    setup.takeEvents();
    setup.link.emit('error', new Error('half dead'));
    await pass(CLOSE_TIMEOUT);

    expect(setup.takeEvents()).toEqual(['open→backoff', 'reset', 'backoff']);
    setup.connection.destroy();
  });
});

describe('a handshake that makes the transport unusable fails', () => {
  test.each<[string, (link: ScriptedLink) => void | Promise<void>, RegExp]>([
    ['by destroying it', (link) => void link.destroy(), /closed the connection before it was open/],
    [
      'by reading it to its end',
      async (link) => {
        link.allowHalfOpen = true;
        link.finish();
        link.resume();
        await new Promise((resolve) => link.once('end', resolve));
      },
      /closed the connection before it was open/,
    ],
    ['by setting an encoding', (link) => void link.setEncoding('utf8'), /must give bytes/],
  ])('%s', async (_how, handshake, message) => {
    const setup: Setup = new Setup({ handshake: () => handshake(setup.link) });
    setup.connection.connect();
    await settle();
    setup.link.connect();
    await settle();

    expect(setup.takeEvents()).toEqual(['idle→connecting', 'connecting→backoff', 'backoff']);
    expect(setup.connection.stats.lastError?.message).toMatch(message);
    setup.connection.destroy();
  });
});

describe('decoder', () => {
  const passThrough = () => new Transform({ transform: (chunk: Buffer, _encoding, done) => done(null, chunk) });

  /** An open session with this decoder, and its messages. */
  async function decodingWith(decoder: () => Transform, options: CommonOptions = {}) {
    const setup = new Setup({ ...options, decoder });
    const messages: string[] = [];
    setup.connection.on('message', (message) => messages.push(String(message)));
    setup.connection.connect();
    await settle();
    setup.link.connect();
    await settle();
    return { setup, messages };
  }

  test('a decoder that was used before › fails the attempt', async () => {
    const shared = passThrough();
    const setup = new Setup({ decoder: () => shared });
    setup.connection.connect();
    await settle();
    setup.link.connect();
    await settle();
    setup.link.fail();
    await pass(BACKOFF);
    setup.takeEvents();
    setup.link.connect();
    await settle();

    expect(setup.takeEvents()).toEqual(['connecting→backoff', 'backoff']);
    expect(setup.connection.stats.lastError?.message).toMatch(/`decoder` returns to be a stream that is not used up/);
    setup.connection.destroy();
  });

  test('a decoder that ends before its input › resets the session with an error, with or without autoDestroy', async () => {
    for (const autoDestroy of [true, false]) {
      const decoder = new Transform({
        autoDestroy,
        transform(_chunk, _encoding, done) {
          this.push(null);
          done();
        },
      });
      const { setup } = await decodingWith(() => decoder);
      setup.link.receive('enough');
      await settle();

      expect(setup.connection.stats.lastError?.message).toBe('The decoder ended before its input did');
      expect(setup.connection.state).toBe('backoff');
      setup.connection.destroy();
    }
  });

  test('a slow decoder that makes progress › emits every message of a session that has ended', async () => {
    const slow = () =>
      new Transform({ transform: (chunk: Buffer, _encoding, done) => void setTimeout(() => done(null, chunk), 1_500) });
    const { setup, messages } = await decodingWith(slow);
    for (const text of ['one', 'two', 'three']) {
      setup.link.receive(text);
      await settle();
    }
    setup.link.finish();
    for (let step = 0; step < 4; step++) await pass(1_500);

    expect(messages).toEqual(['one', 'two', 'three']);
    expect(setup.recorded.find(([event]) => event === 'reset')?.[1]).toMatchObject({ reason: 'peer-end' });
    setup.connection.destroy();
  });

  test('while paused › the messages of a session that has ended wait for resume() without a time limit', async () => {
    const { setup, messages } = await decodingWith(passThrough);
    setup.connection.pause();
    setup.link.receive('kept');
    setup.link.finish();
    await settle();
    await pass(10 * CLOSE_TIMEOUT);
    expect([messages, setup.connection.state]).toEqual([[], 'open']);
    setup.connection.resume();
    await settle();

    expect([messages, setup.connection.state]).toEqual([['kept'], 'backoff']);
    setup.connection.destroy();
  });

  test('while the decoder is full and the peer is not read › idleTimeout does not run', async () => {
    let decoded = (): void => undefined;
    const busy = () =>
      new Transform({ highWaterMark: 1, transform: (_chunk, _encoding, done) => void (decoded = () => done()) });
    const { setup } = await decodingWith(busy, { idleTimeout: 300 });
    setup.link.receive('a lot of work');
    await settle();
    await pass(3_000);
    expect(setup.connection.state).toBe('open');
    decoded();
    await settle();
    await pass(400);

    expect(setup.recorded.find(([event]) => event === 'reset')?.[1]).toMatchObject({ reason: 'idle' });
    setup.connection.destroy();
  });
});

test('disconnect() called by shouldRetry, with writes queued › does not wait for the failed dial', async () => {
  const setup: Setup = new Setup({
    shouldRetry: () => {
      void setup.connection.disconnect();
      return true;
    },
  });
  setup.connection.connect();
  setup.connection.write('goodbye');
  await settle();
  setup.takeEvents();
  setup.link.fail('ECONNREFUSED');
  await settle();

  expect(setup.takeEvents()).toEqual(['connecting→closing', 'closing→closed', 'drop', 'close']);
});

test('a thousand connections and calls of whenOpen() add one listener to their shared signal, and remove it at the end', async () => {
  const { signal } = new AbortController();
  const setups = Array.from({ length: 1_000 }, () => new Setup({ signal }));
  const waiting = setups.map(({ connection }) => connection.whenOpen({ signal }).catch(() => undefined));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  for (const { connection } of setups) connection.destroy();
  await Promise.all(waiting);

  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('`drain` is emitted when expired writes make room, also without a session', async () => {
  const setup = new Setup({ queue: { maxBytes: 10, maxAge: 50 } });
  expect(setup.connection.write('ten bytes.')).toBe(false);
  expect(setup.connection.write('one more', () => undefined)).toBe(false);
  await pass(60);

  expect(setup.takeEvents()).toEqual(['drop', 'drain']);
  setup.connection.destroy();
});

test('the queue is also bounded by the number of writes', async () => {
  const setup = new Setup({ queue: { maxBytes: 100 } });
  let refused = 0;
  for (let count = 0; count < 2_000; count++)
    setup.connection.write('', (error) => (refused += Number(error !== undefined)));
  await settle();

  expect([setup.connection.stats.writes.queued.writes, refused]).toEqual([1_024, 976]);
  setup.connection.destroy();
});

test('a `drop` listener that repeats a refused write does not block the event loop', async () => {
  const setup = new Setup({ queue: { maxBytes: 2 } });
  let drops = 0;
  setup.connection.on('drop', ({ chunk }) => {
    drops += 1;
    setup.connection.write(chunk);
  });
  setup.connection.write('abc');
  await settle();
  expect(drops).toBeGreaterThan(1);
  setup.connection.destroy();
  const before = drops;
  await settle();

  expect(drops).toBe(before);
});
