import { getEventListeners } from 'node:events';
import { Transform } from 'node:stream';

import { ConnectionPool, ReconnectingConnection, constantBackoff } from 'reconnecting-connection';

import type { CloseInfo, StateName } from '../../lib/events/events';
import type { ConnectionOptions } from '../../lib/options/options';
import { type Heard, names, record } from '../kit/record';
import { ScriptedDial, type ScriptedLink, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

const CONNECT_TIMEOUT = 10_000;
const CLOSE_TIMEOUT = 2_000;
const BACKOFF = 1_000;

/** A connection that a test has brought into some situation, and all it has heard since. */
class Scene {
  readonly abort = new AbortController();
  readonly script = new ScriptedDial();
  readonly connection: ReconnectingConnection;
  readonly heard: Heard[];
  shake: () => void = () => undefined;

  constructor(options: Partial<ConnectionOptions> = {}) {
    this.connection = new ReconnectingConnection({
      port: 1,
      dial: this.script.dial,
      signal: this.abort.signal,
      autoConnect: false,
      backoff: constantBackoff(BACKOFF),
      ...options,
    });
    this.heard = record(this.connection);
  }

  get link(): ScriptedLink {
    return this.script.last;
  }

  /** Every event since the last call, by name; of `state` the states too. */
  events(): string[] {
    const all = this.heard.splice(0);
    return all.map(([event, ...args]) => (event === 'state' ? `${String(args[1])}→${String(args[0])}` : event));
  }
}

type Situation = 'idle' | 'dialling' | 'handshaking' | 'open' | 'backoff' | 'closing' | 'closed';

/** The seven situations a connection can be in: its states, with the two halves of `connecting` apart. */
const situations: Record<Situation, () => Scene | Promise<Scene>> = {
  idle: () => new Scene(),
  dialling: async () => {
    const scene = new Scene();
    scene.connection.connect();
    await settle();
    return scene;
  },
  handshaking: async () => {
    let shake: () => void = () => undefined;
    const scene = new Scene({ handshake: () => new Promise((resolve) => (shake = resolve)) });
    scene.connection.connect();
    await settle();
    scene.link.connect();
    await settle();
    scene.shake = () => shake();
    return scene;
  },
  open: async () => {
    const scene = await situations.dialling();
    scene.link.connect();
    await settle();
    return scene;
  },
  backoff: async () => {
    const scene = await situations.dialling();
    scene.link.fail('ECONNREFUSED');
    await settle();
    return scene;
  },
  closing: async () => {
    const scene = await situations.open();
    void scene.connection.disconnect();
    await settle();
    return scene;
  },
  closed: async () => {
    const scene = new Scene();
    scene.connection.destroy();
    await settle();
    return scene;
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
  'markHealthy()': ({ connection }) => connection.markHealthy(),
  'pause()': ({ connection }) => void connection.pause(),
  'resume()': ({ connection }) => void connection.resume(),
  'ref()': ({ connection }) => void connection.ref(),
  'unref()': ({ connection }) => void connection.unref(),
  'write()': ({ connection }) => void connection.write('hello', () => undefined),
  'whenOpen()': ({ connection }) => void connection.whenOpen().catch(() => undefined),
  'the link connects': ({ link }) => void link.connect(),
  'the handshake is done': ({ shake }) => shake(),
  'bytes arrive': ({ link }) => link.receive('bytes'),
  'the peer ends': ({ link }) => link.finish(),
  'the link fails': ({ link }) => link.fail(),
  'the writes are confirmed': ({ link }) => link.unstall(),
  'connectTimeout passes': () => pass(CONNECT_TIMEOUT),
  'closeTimeout passes': () => pass(CLOSE_TIMEOUT),
  'the wait is over': () => pass(BACKOFF),
} satisfies Record<string, (scene: Scene) => void | Promise<void>>;

type Input = keyof typeof inputs;

const CLOSE = 'close';

/**
 * What each input brings about in each situation: the events, in order. What is not in the table changes nothing and
 * says nothing, and the test makes sure of that too.
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
    open: ['open→connecting', 'reset'],
    backoff: ['backoff→connecting'],
  },
  'markHealthy()': {},
  'pause()': {},
  'resume()': {},
  'ref()': {},
  'unref()': {},
  'write()': {},
  'whenOpen()': {},
  'the link connects': {
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
  'the link fails': {
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
    // The network has nothing to say where nothing was dialled.
    const undialled = situation === 'idle' || situation === 'closed';
    const possible = inputNames.filter((input) => !(undialled && /link|peer|bytes|writes/.test(input)));
    return possible.map((input) => [situation, input] as const);
  });

  test.each(cells)('while %s › %s', async (situation, input) => {
    const scene: Scene = await situations[situation]();
    scene.events();
    const expected = table[input][situation] ?? [];
    const last = expected.findLast((event) => event.includes('→'));

    await inputs[input](scene);
    await settle();

    expect(scene.events()).toEqual(expected);
    expect(scene.connection.state).toBe(last?.split('→')[1] ?? stateOf[situation]);

    scene.connection.destroy();
    await settle();
    expect(jest.getTimerCount()).toBe(0);
    expect(scene.script.links.every((link) => link.destroyed)).toBe(true);
  });
});

describe('what the events say', () => {
  const ways = {
    'disconnect()': [(scene: Scene) => void scene.connection.disconnect(), 'disconnected'],
    'destroy()': [(scene: Scene) => scene.connection.destroy(), 'destroyed'],
    abort: [(scene: Scene) => scene.abort.abort('enough'), 'aborted'],
  } as const;
  const cells = (['idle', 'dialling', 'handshaking', 'open', 'backoff', 'closing'] as const).flatMap((situation) =>
    (Object.keys(ways) as (keyof typeof ways)[]).map((way) => [situation, way] as const),
  );

  test.each(cells)('ended while %s by %s: the close says why, and the reset before it too', async (situation, way) => {
    const [end, reason] = ways[way];
    const scene: Scene = await situations[situation]();
    scene.heard.splice(0);
    end(scene);
    if (situation === 'open' || situation === 'closing') scene.link.finish();
    await settle();

    const closes = scene.heard.filter(([event]) => event === 'close');
    const resets = scene.heard.filter(([event]) => event === 'reset');
    expect(closes).toHaveLength(1);
    const [, info] = closes[0] as [string, CloseInfo];
    expect(info.reason).toBe(reason);
    for (const [, reset] of resets) expect(reset).toMatchObject({ reason, willRetry: false, generation: 1 });
    expect(resets).toHaveLength(situation === 'open' || situation === 'closing' ? 1 : 0);
    if (way === 'abort') {
      const message = 'The connection to 127.0.0.1:1 was aborted by its signal';
      expect(info.error).toMatchObject({ code: 'ERR_ABORTED', message, cause: 'enough', tag: '127.0.0.1:1' });
    } else {
      expect(info).toEqual({ reason });
    }
  });

  test('a lost session is to be retried, by a wait whose end is told', async () => {
    const scene = await situations.open();
    scene.heard.splice(0);
    const { link } = scene;
    link.fail();
    await settle();
    const error = expect.objectContaining({ code: 'ECONNRESET' }) as Error;
    expect(scene.heard.slice(1)).toEqual([
      ['reset', expect.objectContaining({ generation: 1, reason: 'error', error, willRetry: true })],
      ['backoff', { attempt: 1, delay: BACKOFF, retryAt: Date.now() + BACKOFF, reason: 'error', error }],
    ]);
    scene.connection.destroy();
  });

  test('reconnect() forces a reset that is followed by a dial', async () => {
    const scene = await situations.open();
    scene.heard.splice(0);
    scene.connection.reconnect();
    await settle();
    const reset = expect.objectContaining({ reason: 'forced', willRetry: true, generation: 1 }) as object;
    expect(scene.heard).toEqual([
      ['state', 'connecting', 'open'],
      ['reset', reset],
    ]);
    scene.connection.destroy();
  });

  test('a session lost for the last time says what broke it, and the close who gave up', async () => {
    const scene = new Scene({ maxRetries: 0, autoConnect: true });
    await settle();
    scene.link.connect();
    await settle();
    scene.heard.splice(0);
    scene.link.fail();
    await settle();
    expect(scene.heard.slice(1)).toEqual([
      ['reset', expect.objectContaining({ reason: 'error', willRetry: false })],
      ['close', { reason: 'max-retries', error: expect.objectContaining({ code: 'ERR_GAVE_UP' }) as Error }],
    ]);
  });

  test('a backoff function that fails shows in the event', async () => {
    const fault = new Error('broken');
    const scene = new Scene({
      autoConnect: true,
      backoff: () => {
        throw fault;
      },
    });
    await settle();
    scene.link.fail('ECONNREFUSED');
    await settle();
    expect(scene.heard.at(-1)).toEqual(['backoff', expect.objectContaining({ fault, delay: 1_000 })]);
    scene.connection.destroy();
  });

  test('a shouldRetry that disconnects ends it', async () => {
    const scene: Scene = new Scene({
      autoConnect: true,
      shouldRetry: () => {
        void scene.connection.disconnect();
        return true;
      },
    });
    await settle();
    scene.link.connect();
    await settle();
    scene.heard.splice(0);
    scene.link.fail();
    await settle();
    const reset = scene.heard.find(([event]) => event === 'reset');
    expect(reset?.[1]).toMatchObject({ reason: 'disconnected', willRetry: false });
    // The application ended it before the loss was judged.
    expect(reset?.[1]).not.toHaveProperty('error');
    expect(scene.heard.at(-1)).toEqual(['close', { reason: 'disconnected' }]);
  });

  test('ended while it waits, with writes queued, it closes at once and drops them', async () => {
    const scene = await situations.backoff();
    scene.connection.write('queued');
    scene.heard.splice(0);
    void scene.connection.disconnect();
    await settle();
    expect(names(scene.heard)).toEqual(['state', 'drop', 'close']);
    expect(scene.heard[1]?.[1]).toMatchObject({ bytes: 6, reason: 'disconnected' });
  });

  test('whoever waits for a session is told that the connection is closing, or closed', async () => {
    const message = 'The connection to 127.0.0.1:1 is closed';
    const closed = { code: 'ERR_CLOSED', message, tag: '127.0.0.1:1' };
    const scene = await situations.closing();
    await expect(scene.connection.whenOpen()).rejects.toMatchObject(closed);
    scene.connection.destroy();
    await expect(scene.connection.whenOpen()).rejects.toMatchObject(closed);
    // To be started again, it is worth waiting for.
    const again = await situations.closing();
    again.connection.connect();
    const opened = again.connection.whenOpen();
    again.link.finish();
    await settle();
    again.link.connect();
    await expect(opened).resolves.toMatchObject({ generation: 2 });
    again.connection.destroy();
  });

  test('an aborted connection says why it cannot start again', async () => {
    const scene = await situations.dialling();
    scene.abort.abort('enough');
    await settle();
    const message = 'The signal of the connection to 127.0.0.1:1 is aborted: it cannot start again';
    const error = { code: 'ERR_ABORTED', message, cause: 'enough', tag: '127.0.0.1:1' };
    expect(() => scene.connection.connect()).toThrow(expect.objectContaining(error) as Error);
    // Neither does one that was to start again when its signal was aborted.
    const closing = await situations.closing();
    closing.connection.connect();
    closing.abort.abort();
    await settle();
    expect(closing.connection.state).toBe('closed');
  });

  test.each(['backoff', 'closing'] as const)(
    'while %s, unref() lets the timer go and ref() holds it',
    async (situation) => {
      const timers = jest.spyOn(globalThis, 'setTimeout');
      const scene = await situations[situation]();
      const { connection } = scene;
      const latest = timers.mock.results.at(-1)!.value as NodeJS.Timeout;
      timers.mockRestore();
      expect(latest.hasRef()).toBe(true);
      connection.unref();
      expect(latest.hasRef()).toBe(false);
      connection.ref();
      expect(latest.hasRef()).toBe(true);
      connection.destroy();
    },
  );

  test('a pause holds for the next session, and a resume too', async () => {
    const scene = await situations.open();
    const reopen = async () => {
      scene.connection.reconnect();
      await settle();
      scene.link.connect();
      await settle();
      scene.events();
      scene.link.receive('bytes');
      await settle();
      return scene.events();
    };
    scene.connection.pause();
    expect(await reopen()).toEqual([]);
    scene.connection.resume();
    await settle();
    expect(scene.events()).toEqual(['data']);
    expect(await reopen()).toEqual(['data']);
    scene.connection.destroy();
  });

  test('a handshake is told the number of the session it is for', async () => {
    const told: number[] = [];
    const scene = new Scene({ handshake: (_socket, { generation }) => void told.push(generation), autoConnect: true });
    for (let round = 0; round < 2; round++) {
      await settle();
      scene.link.connect();
      await settle();
      scene.connection.reconnect();
    }
    expect(told).toEqual([1, 2]);
    scene.connection.destroy();
  });
});

describe('the order of events', () => {
  test('a lost session says state, reset, backoff; a session that opens says state, open', async () => {
    const scene = await situations.open();
    scene.link.fail();
    await settle();
    await pass(BACKOFF);
    scene.link.connect();
    await settle();

    expect(scene.events()).toEqual([
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

  test('every listener hears the same order, whoever of them calls what', async () => {
    const scene = await situations.dialling();
    const later: Heard[] = [];
    scene.connection.on('open', () => scene.connection.destroy());
    later.push(...record(scene.connection));
    const second = record(scene.connection);
    scene.events();

    scene.link.connect();
    await settle();

    expect(names(second)).toEqual(['state', 'open', 'state', 'reset', 'close']);
    expect(scene.events()).toEqual(['connecting→open', 'open', 'open→closed', 'reset', 'close']);
  });

  test('a session ended from within `state` is never announced, and so has no reset', async () => {
    const scene = await situations.dialling();
    scene.connection.on('state', (next) => next === 'open' && scene.connection.destroy());
    scene.events();

    scene.link.connect();
    await settle();

    expect(scene.events()).toEqual(['connecting→open', 'open→closed', 'close']);
  });

  test('a wait ended from within `reset` is not announced', async () => {
    const scene = await situations.open();
    scene.connection.on('reset', () => void scene.connection.disconnect());
    scene.events();

    scene.link.fail();
    await settle();

    expect(scene.events()).toEqual(['open→backoff', 'reset', 'backoff→closed', 'close']);
  });

  test('no byte of a session is heard after its reset', async () => {
    const scene = await situations.open();
    const data: string[] = [];
    scene.connection.on('data', (chunk) => {
      data.push(chunk.toString());
      scene.connection.reconnect();
    });
    const { link } = scene;
    link.receive('one');
    link.receive('two');
    await settle();
    expect(data).toEqual(['one']);

    scene.connection.destroy();
  });
});

describe('disconnect()', () => {
  test('calls share one promise, which resolves after `close`', async () => {
    const scene = await situations.open();
    const first = scene.connection.disconnect();
    expect(scene.connection.disconnect()).toBe(first);
    scene.link.finish();

    await expect(first).resolves.toEqual({ reason: 'disconnected' } satisfies CloseInfo);
    expect(names(scene.heard).at(-1)).toBe('close');
    expect(scene.connection.disconnect()).toBe(first);
  });

  test('after giving up, it resolves with what the end was', async () => {
    const scene = new Scene({ maxRetries: 0 });
    scene.connection.connect();
    await settle();
    scene.link.fail();
    await settle();

    await expect(scene.connection.disconnect()).resolves.toMatchObject({ reason: 'max-retries' });
  });

  test('while dialling with writes queued, lets the dial finish so that they go out', async () => {
    const scene = await situations.dialling();
    scene.connection.on('open', () => void scene.connection.write('hello '));
    const told: unknown[] = [];
    scene.connection.write('goodbye', (error) => told.push(error ?? 'confirmed'));
    scene.events();

    const disconnected = scene.connection.disconnect();
    expect(scene.connection.state).toBe('closing');
    expect(scene.connection.write('too late', (error) => told.push((error as { code?: string }).code))).toBe(false);
    scene.link.connect();
    await settle();
    scene.link.finish();
    await disconnected;

    expect(scene.link.written).toEqual(['hello ', 'goodbye']);
    expect(told).toEqual(['ERR_CLOSED', 'confirmed']);
    expect(scene.events()).toEqual(['connecting→closing', 'open', 'closing→closed', 'reset', 'close']);
  });

  test('while dialling with writes queued, drops them when closeTimeout passes', async () => {
    const scene = await situations.dialling();
    scene.connection.write('goodbye');
    scene.events();
    const disconnected = scene.connection.disconnect();
    await pass(CLOSE_TIMEOUT);

    await expect(disconnected).resolves.toEqual({ reason: 'disconnected' });
    expect(scene.events()).toEqual(['connecting→closing', 'closing→closed', 'drop', 'close']);
  });

  test('while dialling with writes queued, drops them when the dial fails', async () => {
    const scene = await situations.dialling();
    scene.connection.write('goodbye');
    scene.events();
    void scene.connection.disconnect();
    scene.link.fail('ECONNREFUSED');
    await settle();

    expect(scene.events()).toEqual(['connecting→closing', 'closing→closed', 'drop', 'close']);
  });

  test('from within the function that decides about a retry, ends it there', async () => {
    const scene = await situations.open();
    scene.connection.destroy();
    const late = new Scene({
      shouldRetry: () => {
        void late.connection.disconnect();
        return true;
      },
    });
    late.connection.connect();
    await settle();
    late.link.connect();
    await settle();
    late.events();
    late.link.fail();
    await settle();

    expect(late.events()).toEqual(['open→closed', 'reset', 'close']);
  });
});

describe('connect()', () => {
  test('while closing, dials again when the old session has closed', async () => {
    const scene = await situations.closing();
    scene.events();
    scene.connection.connect();
    expect(scene.script.links).toHaveLength(1);
    const opened = scene.connection.whenOpen();
    scene.link.finish();
    await settle();
    expect(scene.script.links).toHaveLength(2);
    scene.link.connect();

    await expect(opened).resolves.toMatchObject({ generation: 2, reopened: false, attempts: 1, downtime: 0 });
    expect(scene.events()).toEqual([
      'closing→closed',
      'reset',
      'close',
      'closed→connecting',
      'connecting→open',
      'open',
    ]);
    scene.connection.destroy();
  });

  test.each(['disconnect', 'destroy'] as const)('while closing is taken back by %s()', async (method) => {
    const scene = await situations.closing();
    scene.connection.connect();
    const waiting = scene.connection.whenOpen();
    void scene.connection[method]();
    scene.link.finish();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await settle();

    expect(scene.connection.state).toBe('closed');
    expect(scene.script.links).toHaveLength(1);
  });

  test('from within `close` begins a new lifecycle with the backoff afresh', async () => {
    const scene = new Scene({ maxRetries: 1 });
    scene.connection.once('close', () => scene.connection.connect());
    scene.connection.connect();
    const attempts: number[] = [];
    scene.connection.on('backoff', ({ attempt }) => attempts.push(attempt));
    for (let dial = 0; dial < 4; dial++) {
      await settle();
      scene.link.fail('ECONNREFUSED');
      await pass(BACKOFF);
    }

    expect(attempts).toEqual([1, 1]);
    expect(scene.connection.state).toBe('closed');
    expect(scene.script.links).toHaveLength(4);
  });

  test('after an abort throws, for it could never dial', async () => {
    const scene = new Scene();
    scene.abort.abort();
    await settle();

    expect(() => scene.connection.connect()).toThrow(expect.objectContaining({ code: 'ERR_ABORTED' }));
    expect(scene.connection.state).toBe('closed');
  });
});

describe('a signal aborted beforehand', () => {
  test.each([true, false])('with autoConnect %s dials nothing, and says so', async (autoConnect) => {
    const script = new ScriptedDial();
    const reason = new Error('changed my mind');
    const connection = new ReconnectingConnection({
      port: 1,
      dial: script.dial,
      signal: AbortSignal.abort(reason),
      autoConnect,
    });
    const heard = record(connection);
    await settle();

    expect(names(heard)).toEqual(['state', 'close']);
    expect(heard[1]?.[1]).toMatchObject({ reason: 'aborted', error: { code: 'ERR_ABORTED', cause: reason } });
    expect(script.links).toEqual([]);
  });
});

describe('minUptime', () => {
  test('a session shorter than it is one failure more; one that lasts starts the backoff afresh', async () => {
    const attempts: number[] = [];
    const scene = new Scene({ minUptime: 500, backoff: { initialDelay: 100, maxDelay: 1_000, jitter: 'none' } });
    scene.connection.on('backoff', ({ attempt, delay }) => attempts.push(attempt, delay));
    scene.connection.connect();
    for (const uptime of [100, 499, 499, 1_000, 100]) {
      await settle();
      scene.link.connect();
      await pass(uptime);
      scene.link.finish();
      await settle();
      await pass(attempts.at(-1) ?? 0);
    }

    expect(attempts).toEqual([1, 100, 2, 200, 3, 400, 1, 100, 2, 200]);
    scene.connection.destroy();
  });

  test('nor does a session prove health that was shorter than the wait before it', async () => {
    const attempts: number[] = [];
    const scene = new Scene({ minUptime: 10, backoff: constantBackoff(1_000) });
    scene.connection.on('backoff', ({ attempt }) => attempts.push(attempt));
    scene.connection.connect();
    for (const uptime of [9, 999, 1_000]) {
      await settle();
      scene.link.connect();
      await pass(uptime);
      scene.link.finish();
      await pass(1_000);
    }

    expect(attempts).toEqual([1, 2, 1]);
    scene.connection.destroy();
  });

  test('markHealthy() vouches for a session however short', async () => {
    const attempts: number[] = [];
    const scene = new Scene();
    scene.connection.on('backoff', ({ attempt }) => attempts.push(attempt));
    scene.connection.on('open', ({ generation }) => generation > 1 && scene.connection.markHealthy());
    scene.connection.connect();
    for (let session = 0; session < 3; session++) {
      await settle();
      scene.link.connect();
      await settle();
      scene.link.finish();
      await pass(BACKOFF);
    }

    expect(attempts).toEqual([1, 1, 1]);
    scene.connection.destroy();
  });
});

describe('whenOpen()', () => {
  test('resolves at once while open, with what `open` said', async () => {
    const scene = await situations.open();
    const [, info] = scene.heard.find(([event]) => event === 'open') ?? [];

    await expect(scene.connection.whenOpen()).resolves.toBe(info);
    scene.connection.destroy();
  });

  test('all who wait get the same', async () => {
    const scene = await situations.dialling();
    const both = Promise.all([scene.connection.whenOpen(), scene.connection.whenOpen()]);
    scene.link.connect();
    const [one, two] = await both;

    expect(one).toBe(two);
    scene.connection.destroy();
  });

  test.each([1, 2, 3])(
    'with attempts: %i rejects with the error of that failure, and the loop goes on',
    async (attempts) => {
      const scene = new Scene();
      scene.connection.connect();
      let failures = 0;
      const waiting = scene.connection.whenOpen({ attempts }).catch((error: unknown) => [failures, error]);
      const patient = scene.connection.whenOpen();
      for (let dial = 0; dial < 4; dial++) {
        await settle();
        failures += 1;
        scene.link.fail('ECONNREFUSED');
        await pass(BACKOFF);
      }
      expect(await waiting).toEqual([attempts, expect.objectContaining({ code: 'ECONNREFUSED' })]);

      scene.link.connect();
      await expect(patient).resolves.toMatchObject({ attempts: 5 });
      scene.connection.destroy();
    },
  );

  test('rejects with ERR_CLOSED as soon as disconnect() is called, and afterwards', async () => {
    const scene = await situations.backoff();
    const waiting = scene.connection.whenOpen();
    void scene.connection.disconnect();

    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(scene.connection.whenOpen()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('rejects with what the lifecycle ended with', async () => {
    const scene = new Scene({ maxRetries: 0 });
    const waiting = scene.connection.whenOpen();
    scene.connection.connect();
    await settle();
    scene.link.fail('ECONNREFUSED');

    await expect(waiting).rejects.toMatchObject({ code: 'ERR_GAVE_UP', cause: { code: 'ECONNREFUSED' } });
  });
});

describe('ref() and unref()', () => {
  test('reach the socket of every session, and every timer', async () => {
    const scene = await situations.open();
    scene.connection.unref();
    expect(scene.link.referenced).toBe(false);
    scene.link.fail();
    await settle();
    await pass(BACKOFF);
    expect(scene.link.referenced).toBe(false);
    scene.connection.ref();
    expect(scene.link.referenced).toBe(true);
    scene.connection.destroy();
  });
});

describe('a new lifecycle from within `close`', () => {
  test('does not keep disconnect() waiting', async () => {
    const scene = await situations.open();
    scene.connection.once('close', () => scene.connection.connect());
    const disconnected = scene.connection.disconnect();
    scene.link.finish();

    await expect(disconnected).resolves.toEqual({ reason: 'disconnected' });
    expect(scene.connection.state).toBe('connecting');
    scene.connection.destroy();
  });

  test('has waiters of its own', async () => {
    const scene = await situations.open();
    const opened = new Promise((resolve, reject) => {
      scene.connection.once('close', () => {
        scene.connection.connect();
        scene.connection.whenOpen().then(resolve, reject);
      });
    });
    scene.connection.destroy();
    await settle();
    scene.link.connect();

    await expect(opened).resolves.toMatchObject({ generation: 2 });
    scene.connection.destroy();
  });

  test.each(['disconnect', 'destroy'] as const)(
    'that connect() asked for while closing, %s() takes back',
    async (method) => {
      const scene = await situations.closing();
      scene.connection.connect();
      const opened = scene.connection.whenOpen();
      scene.connection.once('close', () => void scene.connection[method]());
      scene.link.finish();

      await expect(opened).rejects.toMatchObject({ code: 'ERR_CLOSED' });
      await settle();
      expect([scene.connection.state, scene.script.links.length]).toEqual(['closed', 1]);
    },
  );

  test('leaves a pool’s disconnect() to end, and the member in the pool', async () => {
    const script = new ScriptedDial();
    const pool = new ConnectionPool({ dial: script.dial });
    const member = pool.add({ port: 1 });
    member.once('close', () => member.connect());
    await settle();
    await pool.disconnect();

    expect([member.state, pool.connections]).toEqual(['connecting', [member]]);
    pool.destroy();
    await settle();
    expect(pool.size).toBe(0);
  });
});

describe('a link that does not behave', () => {
  /** Dials once more after a wait, with the first link of the given make. */
  async function sceneWith(first: (link: ScriptedLink) => void, options: Partial<ConnectionOptions> = {}) {
    const scene: Scene = new Scene({
      ...options,
      dial: (target, signal) => {
        const link = scene.script.dial(target, signal) as ScriptedLink;
        if (scene.script.links.length === 1) first(link);
        return link;
      },
    });
    scene.connection.connect();
    await settle();
    return scene;
  }

  test('whose destroy() throws: the end is told all the same, and what it threw surfaces once', async () => {
    const thrown: unknown[] = [];
    const spy = jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
      void Promise.resolve()
        .then(task)
        .catch((error: unknown) => thrown.push(error));
    });
    const broken = new Error('broken destroy');
    const scene = await sceneWith((link) => {
      link.destroy = () => {
        throw broken;
      };
    });
    scene.link.connect();
    await settle();
    scene.events();
    scene.connection.destroy();
    await settle();
    spy.mockRestore();

    expect(scene.events()).toEqual(['open→closed', 'reset', 'close']);
    expect(thrown).toEqual([broken]);
  });

  test('that fails and never closes, while dialling: is waited for as long as closeTimeout, even with no connectTimeout', async () => {
    const scene = await sceneWith(
      (link) => {
        link.destroy = () => link;
      },
      { connectTimeout: 0 },
    );
    scene.events();
    scene.link.emit('error', Object.assign(new Error('half dead'), { code: 'EHALF' }));
    await pass(CLOSE_TIMEOUT);

    const backoff = scene.heard.find(([event]) => event === 'backoff');
    expect(backoff?.[1]).toMatchObject({ reason: 'error', error: { code: 'EHALF' } });
    scene.connection.destroy();
  });

  test('that fails and never closes, while open: the same', async () => {
    const scene = await sceneWith((link) => {
      link.destroy = () => link;
    });
    scene.link.connect();
    await settle();
    scene.events();
    scene.link.emit('error', new Error('half dead'));
    await pass(CLOSE_TIMEOUT);

    expect(scene.events()).toEqual(['open→backoff', 'reset', 'backoff']);
    scene.connection.destroy();
  });
});

describe('a handshake that leaves a link unfit for use fails', () => {
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
  ])('%s', async (_how, shake, message) => {
    const scene: Scene = new Scene({ handshake: () => shake(scene.link) });
    scene.connection.connect();
    await settle();
    scene.link.connect();
    await settle();

    expect(scene.events()).toEqual(['idle→connecting', 'connecting→backoff', 'backoff']);
    expect(scene.connection.stats.lastError?.message).toMatch(message);
    scene.connection.destroy();
  });
});

describe('decoder', () => {
  const passing = () => new Transform({ transform: (chunk: Buffer, _encoding, done) => done(null, chunk) });

  /** An open session with a decoder of the given make, and its messages. */
  async function decodingWith(decoder: () => Transform, options: Partial<ConnectionOptions> = {}) {
    const scene = new Scene({ ...options, decoder });
    const messages: string[] = [];
    scene.connection.on('message', (message) => messages.push(String(message)));
    scene.connection.connect();
    await settle();
    scene.link.connect();
    await settle();
    return { scene, messages };
  }

  test('one that is used up is a failed attempt, and not a deaf session', async () => {
    const shared = passing();
    const scene = new Scene({ decoder: () => shared });
    scene.connection.connect();
    await settle();
    scene.link.connect();
    await settle();
    scene.link.fail();
    await pass(BACKOFF);
    scene.events();
    scene.link.connect();
    await settle();

    expect(scene.events()).toEqual(['connecting→backoff', 'backoff']);
    expect(scene.connection.stats.lastError?.message).toMatch(/`decoder` returns to be a stream that is not used up/);
    scene.connection.destroy();
  });

  test('one that ends before its input does is an error, with or without autoDestroy', async () => {
    for (const autoDestroy of [true, false]) {
      const decoder = new Transform({
        autoDestroy,
        transform(_chunk, _encoding, done) {
          this.push(null);
          done();
        },
      });
      const { scene } = await decodingWith(() => decoder);
      scene.link.receive('enough');
      await settle();

      expect(scene.connection.stats.lastError?.message).toBe('The decoder ended before its input did');
      expect(scene.connection.state).toBe('backoff');
      scene.connection.destroy();
    }
  });

  test('one that is slow and gets on with it keeps every message of a session that has ended', async () => {
    const slow = () =>
      new Transform({ transform: (chunk: Buffer, _encoding, done) => void setTimeout(() => done(null, chunk), 1_500) });
    const { scene, messages } = await decodingWith(slow);
    for (const text of ['one', 'two', 'three']) {
      scene.link.receive(text);
      await settle();
    }
    scene.link.finish();
    for (let step = 0; step < 4; step++) await pass(1_500);

    expect(messages).toEqual(['one', 'two', 'three']);
    expect(scene.heard.find(([event]) => event === 'reset')?.[1]).toMatchObject({ reason: 'peer-end' });
    scene.connection.destroy();
  });

  test('messages of a session that has ended wait for resume(), however long', async () => {
    const { scene, messages } = await decodingWith(passing);
    scene.connection.pause();
    scene.link.receive('kept');
    scene.link.finish();
    await settle();
    await pass(10 * CLOSE_TIMEOUT);
    expect([messages, scene.connection.state]).toEqual([[], 'open']);
    scene.connection.resume();
    await settle();

    expect([messages, scene.connection.state]).toEqual([['kept'], 'backoff']);
    scene.connection.destroy();
  });

  test('a peer that is not read because the decoder is busy is not taken for an idle one', async () => {
    let decoded = (): void => undefined;
    const busy = () =>
      new Transform({ highWaterMark: 1, transform: (_chunk, _encoding, done) => void (decoded = () => done()) });
    const { scene } = await decodingWith(busy, { idleTimeout: 300 });
    scene.link.receive('a lot of work');
    await settle();
    await pass(3_000);
    expect(scene.connection.state).toBe('open');
    decoded();
    await settle();
    await pass(400);

    expect(scene.heard.find(([event]) => event === 'reset')?.[1]).toMatchObject({ reason: 'idle' });
    scene.connection.destroy();
  });
});

test('disconnect() from within shouldRetry, with writes queued, does not wait for a dial that is over', async () => {
  const scene: Scene = new Scene({
    shouldRetry: () => {
      void scene.connection.disconnect();
      return true;
    },
  });
  scene.connection.connect();
  scene.connection.write('goodbye');
  await settle();
  scene.events();
  scene.link.fail('ECONNREFUSED');
  await settle();

  expect(scene.events()).toEqual(['connecting→closing', 'closing→closed', 'drop', 'close']);
});

test('a thousand connections and their waiters leave one listener on the signal that they share, and none in the end', async () => {
  const { signal } = new AbortController();
  const scenes = Array.from({ length: 1_000 }, () => new Scene({ signal }));
  const waiting = scenes.map(({ connection }) => connection.whenOpen({ signal }).catch(() => undefined));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  for (const { connection } of scenes) connection.destroy();
  await Promise.all(waiting);

  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('room that expiry makes is told by `drain`, though there is no session', async () => {
  const scene = new Scene({ queue: { maxBytes: 10, maxAge: 50 } });
  expect(scene.connection.write('ten bytes.')).toBe(false);
  expect(scene.connection.write('one more', () => undefined)).toBe(false);
  await pass(60);

  expect(scene.events()).toEqual(['drop', 'drain']);
  scene.connection.destroy();
});

test('a queue bounds the number of writes too', async () => {
  const scene = new Scene({ queue: { maxBytes: 100 } });
  let refused = 0;
  for (let count = 0; count < 2_000; count++)
    scene.connection.write('', (error) => (refused += Number(error !== undefined)));
  await settle();

  expect([scene.connection.stats.writes.queued.writes, refused]).toEqual([1_024, 976]);
  scene.connection.destroy();
});

test('a `drop` listener that writes again what was refused does not keep the process from everything else', async () => {
  const scene = new Scene({ queue: { maxBytes: 2 } });
  let drops = 0;
  scene.connection.on('drop', ({ chunk }) => {
    drops += 1;
    scene.connection.write(chunk);
  });
  scene.connection.write('abc');
  await settle();
  expect(drops).toBeGreaterThan(1);
  scene.connection.destroy();
  const before = drops;
  await settle();

  expect(drops).toBe(before);
});
