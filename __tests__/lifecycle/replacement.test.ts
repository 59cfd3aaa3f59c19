import { ConnectionPool, ReconnectingConnection, constantBackoff } from 'reconnecting-connection';

import type { ConnectionOptions, MemberOptions } from '../../lib/options/options';
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

const connections: (ReconnectingConnection | ConnectionPool)[] = [];

/** A connection with one scripted link for each dial. */
class Setup {
  readonly script: ScriptedDial;
  readonly connection: ReconnectingConnection;
  readonly states: string[] = [];
  readonly #recorded: Heard[];

  constructor(options: MemberOptions = {}, script = new ScriptedDial()) {
    this.script = script;
    this.connection = new ReconnectingConnection({
      port: 1,
      dial: this.script.dial,
      backoff: constantBackoff(BACKOFF),
      ...options,
      // `as`: there is a port.
    } as ConnectionOptions);
    connections.push(this.connection);
    this.connection.on('state', (next) => this.states.push(next));
    this.#recorded = record(this.connection);
  }

  /** The link of that dial, from 1. */
  link(number: number): ScriptedLink {
    return this.script.links[number - 1]!;
  }

  get dials(): number {
    return this.script.links.length;
  }

  /** The events since the last call, in short. */
  take(): string[] {
    return this.#recorded.splice(0).map(([event, first, second]) => {
      if (event === 'state') return `${String(second)}→${String(first)}`;
      if (Buffer.isBuffer(first)) return `data ${first.toString()}`;
      const { reason, generation, attempt } = (first ?? {}) as Record<string, string | number | undefined>;
      return [event, generation, reason, attempt].filter((part) => part !== undefined).join(' ');
    });
  }

  async open(isHealthy = true): Promise<this> {
    await settle();
    this.link(this.dials).connect();
    await settle();
    if (isHealthy) this.connection.markHealthy();
    this.take();
    this.states.length = 0;
    return this;
  }
}

/** Calls `replace()`, and lets the next session connect where it should. */
async function replacing(setup: Setup, connects = true): Promise<{ readonly outcome: Promise<unknown> }> {
  const outcome = setup.connection.replace().then(
    ({ generation }) => generation,
    // `as`: whatever it rejects with is an error.
    (error: unknown) => (error as NodeJS.ErrnoException).code ?? (error as Error).message,
  );
  await settle();
  if (connects) setup.link(setup.dials).connect();
  await settle();
  return { outcome };
}

describe('replace()', () => {
  test('ends the old session in good order when the next is there, and never leaves open', async () => {
    const setup = await new Setup().open();
    const { outcome } = await replacing(setup);
    const [old, next] = [setup.link(1), setup.link(2)];
    expect([old.writableEnded, old.destroyed, setup.take()]).toEqual([true, false, []]);

    next.receive('hello');
    old.receive('late');
    await settle();
    expect(setup.take()).toEqual(['data late']);

    old.finish();
    await settle();
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2', 'data hello']);
    expect(await outcome).toBe(2);
    expect([setup.states, old.destroyed, next.destroyed]).toEqual([[], true, false]);
    expect(setup.connection.stats).toMatchObject({ generation: 2, dials: 2, resets: 1, failures: 0 });
  });

  test('its reset will be followed by open, and nothing is uncertain', async () => {
    const setup = await new Setup().open();
    const heard: unknown[] = [];
    setup.connection.on('reset', (info) => heard.push(info)).on('open', (info) => heard.push(info));
    await replacing(setup);
    setup.link(1).finish();
    await settle();
    expect(heard).toEqual([
      expect.objectContaining({
        generation: 1,
        reason: 'replaced',
        willRetry: true,
        uncertain: { writes: 0, bytes: 0 },
      }),
      expect.objectContaining({ generation: 2, reopened: true, attempts: 1, downtime: 0 }),
    ]);
  });

  test('the old session is used until the next is there', async () => {
    const setup = await new Setup().open();
    await replacing(setup, false);
    setup.connection.write('still');
    await settle();
    expect(setup.link(1).written).toEqual(['still']);
    expect(setup.link(1).writableEnded).toBe(false);
  });

  test('the peer of the old session is given closeTimeout to end', async () => {
    const setup = await new Setup().open();
    await replacing(setup);
    await pass(CLOSE_TIMEOUT - 1);
    expect(setup.take()).toEqual([]);
    await pass(1);
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
    expect(setup.link(1).destroyed).toBe(true);
  });

  test('what the old socket did not take by then is uncertain', async () => {
    const setup = await new Setup().open();
    setup.link(1).stalled = true;
    const fate = new Promise((settled) => setup.connection.write('lost', (error) => settled(error?.code)));
    const reset = new Promise((settled) => setup.connection.on('reset', ({ uncertain }) => settled(uncertain)));
    await replacing(setup);
    await pass(CLOSE_TIMEOUT);
    expect(await reset).toEqual({ writes: 1, bytes: 4 });
    expect(await fate).toBe('ERR_DELIVERY_UNCERTAIN');
  });

  test('while the old socket takes what was written, its peer has another closeTimeout', async () => {
    const setup = await new Setup().open();
    setup.link(1).stalled = true;
    const fates: unknown[] = [];
    setup.connection.write('slow', (error) => fates.push(error?.code));
    await replacing(setup);
    await pass(CLOSE_TIMEOUT - 1);
    setup.link(1).unstall();
    await pass(CLOSE_TIMEOUT);
    expect([fates, setup.take()]).toEqual([[undefined], []]);
    await pass(1);
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
  });

  test('an old session that breaks on its end is replaced all the same, and its error is told', async () => {
    const setup = await new Setup().open();
    const errors: unknown[] = [];
    setup.connection.on('reset', ({ error }) => errors.push(error?.code));
    const { outcome } = await replacing(setup);
    setup.link(1).fail();
    await settle();
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
    expect([errors, await outcome]).toEqual([['ECONNRESET'], 2]);
  });

  test('a second call asks for the same replacement', async () => {
    const setup = await new Setup().open();
    const { outcome } = await replacing(setup);
    const { outcome: second } = await replacing(setup, false);
    setup.link(1).finish();
    expect([await outcome, await second, setup.dials]).toEqual([2, 2, 2]);
  });

  test('called in a listener of open, it replaces the session that has just opened', async () => {
    const setup = new Setup();
    const replaced: Promise<unknown>[] = [];
    setup.connection.once('open', () => {
      replaced.push(setup.connection.replace().then(({ generation }) => generation));
    });
    await setup.open();
    setup.link(2).connect();
    await settle();
    setup.link(1).finish();
    expect(await Promise.all(replaced)).toEqual([2]);
  });

  test('called in a listener of its reset, it waits for the open that follows', async () => {
    const setup = await new Setup().open();
    const replaced: Promise<unknown>[] = [];
    setup.connection.once('reset', () => {
      replaced.push(setup.connection.replace().then(({ generation }) => generation));
    });
    await replacing(setup);
    setup.link(1).finish();
    await settle();
    expect([await Promise.all(replaced), setup.dials]).toEqual([[2], 2]);
  });

  test('sessions are replaced one after another', async () => {
    const setup = await new Setup().open();
    for (let round = 1; round <= 5; round++) {
      const { outcome } = await replacing(setup);
      setup.link(round).finish();
      expect(await outcome).toBe(round + 1);
    }
    expect(setup.states).toEqual([]);
  });
});

test('a half-open session whose peer takes nothing any more is given closeTimeout too', async () => {
  const setup = await new Setup({ socket: { allowHalfOpen: true } }).open();
  Object.assign(setup.link(1), { allowHalfOpen: true });
  setup.link(1).finish();
  await settle();
  setup.link(1).stalled = true;
  setup.connection.write('stuck');
  await replacing(setup);
  await pass(CLOSE_TIMEOUT - 1);
  expect(setup.take()).toEqual([]);
  await pass(1);
  expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
});

describe('writes while the old session ends', () => {
  test('wait, and go out behind what open listeners write; those of reset listeners wait too', async () => {
    const setup = await new Setup().open();
    setup.connection.on('reset', () => setup.connection.write('in reset'));
    setup.connection.on('open', () => setup.connection.write('hello'));
    setup.connection.write('before');
    await replacing(setup);
    expect(setup.connection.write('waits')).toBe(true);
    await settle();
    expect([setup.link(1).written, setup.link(2).written]).toEqual([['before'], []]);

    setup.link(1).finish();
    await settle();
    expect(setup.link(1).written).toEqual(['before']);
    expect(setup.link(2).written.join('|')).toBe('hello|waits|in reset');
  });

  test('have their maxAge, signal, key and urgency, as in the queue', async () => {
    const setup = await new Setup().open();
    const stop = new AbortController();
    const codes: unknown[] = [];
    const note = (error?: NodeJS.ErrnoException | null) => codes.push(error?.code);
    await replacing(setup);
    setup.connection.write('old', { maxAge: 100 }, note);
    setup.connection.write('aborted', { signal: stop.signal }, note);
    setup.connection.write('speed 1', { key: 'speed' }, note);
    setup.connection.write('speed 2', { key: 'speed' });
    setup.connection.write('stop', { priority: 'urgent' });
    stop.abort();
    await pass(200);
    setup.link(1).finish();
    await settle();
    expect(setup.link(2).written).toEqual(['stop', 'speed 2']);
    expect(codes.sort()).toEqual(['ERR_ABORTED', 'ERR_EXPIRED', 'ERR_REPLACED']);
  });

  test('drain comes with the next session', async () => {
    const setup = await new Setup({ queue: { maxBytes: 4 } }).open();
    await replacing(setup);
    expect(setup.connection.write('1234')).toBe(false);
    expect(setup.take()).toEqual([]);
    setup.link(1).finish();
    await settle();
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2', 'drain']);
  });
});

describe('a replacement that fails', () => {
  test('leaves the session as it was, rejects, and is tried again by the backoff', async () => {
    const setup = await new Setup().open();
    const { outcome } = await replacing(setup, false);
    setup.link(2).fail('ECONNREFUSED');
    await settle();
    expect([await outcome, setup.take()]).toEqual(['ECONNREFUSED', []]);
    expect(setup.connection.stats).toMatchObject({ failures: 1, lastError: { code: 'ECONNREFUSED' } });
    setup.connection.write('on');
    await pass(BACKOFF - 1);
    expect([setup.link(1).written, setup.dials]).toEqual([['on'], 2]);

    await pass(1);
    setup.link(3).connect();
    await settle();
    setup.link(1).finish();
    await settle();
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
  });

  test('a call during its wait dials at once', async () => {
    const setup = await new Setup().open();
    await replacing(setup, false);
    setup.link(2).fail();
    await settle();
    const { outcome } = await replacing(setup);
    setup.link(1).finish();
    expect([await outcome, setup.dials]).toEqual([2, 3]);
  });

  test.each<[string, MemberOptions, (setup: Setup) => Promise<void>]>([
    ['its handshake rejects', { handshake: () => failsSecond() }, () => Promise.resolve()],
    ['connectTimeout passes', { connectTimeout: 500 }, () => pass(500)],
    [
      'its peer hangs up',
      {},
      (setup) => {
        setup.link(2).connect().fail();
        return settle();
      },
    ],
  ])('%s', async (_what, options, fail) => {
    dialled = 0;
    const setup = await new Setup(options).open();
    const { outcome } = await replacing(setup, options.handshake !== undefined);
    await fail(setup);
    expect(await outcome).toMatch(/^E/);
    expect([setup.take(), setup.connection.state, setup.link(1).destroyed]).toEqual([[], 'open', false]);
  });

  test('its failures do not count for the connection', async () => {
    const attempts: number[] = [];
    const setup = await new Setup({ maxRetries: 2, shouldRetry: ({ attempt }) => attempts.push(attempt) > 0 }).open();
    for (let round = 0; round < 2; round++) {
      await replacing(setup, false);
      setup.link(setup.dials).fail();
      await settle();
    }
    setup.link(1).fail();
    await settle();
    expect(attempts).toEqual([1, 2, 1]);
    expect(setup.take()).toEqual(['open→backoff', 'reset 1 error', 'backoff error 1']);
  });

  test('where retries are used up or refused, the session goes on and a later call begins anew', async () => {
    const setup = await new Setup({ shouldRetry: () => false }).open();
    await replacing(setup, false);
    setup.link(2).fail();
    await pass(60_000);
    expect([setup.dials, setup.connection.state]).toEqual([2, 'open']);
    const { outcome } = await replacing(setup);
    setup.link(1).finish();
    expect(await outcome).toBe(2);
  });

  test('a rejection that nothing handles is no error of the process', async () => {
    const setup = await new Setup().open();
    const unhandled = jest.fn();
    process.once('unhandledRejection', unhandled);
    void setup.connection.replace();
    await settle();
    setup.link(2).fail();
    await settle();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('shouldRetry may end the connection', async () => {
    const setup: Setup = new Setup({ shouldRetry: () => (setup.connection.destroy(), true) });
    await setup.open();
    await replacing(setup, false);
    setup.link(2).fail();
    await settle();
    expect(setup.connection.state).toBe('closed');
  });
});

let dialled = 0;
/** A handshake that fails the second time. */
function failsSecond(): void {
  dialled += 1;
  if (dialled === 2) throw new Error('not let in');
}

describe('the next session before the switch', () => {
  test('is lost while the old one ends: another is dialled, and the old one is not reported twice', async () => {
    const setup = await new Setup().open();
    const { outcome } = await replacing(setup);
    setup.link(2).fail();
    await settle();
    expect([await outcome, setup.take()]).toEqual(['ECONNRESET', []]);
    await pass(BACKOFF);
    setup.link(3).connect();
    await settle();
    setup.link(1).finish();
    await settle();
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
  });

  test('is lost, and the old one ends before there is another: the connection backs off', async () => {
    const setup = await new Setup().open();
    await replacing(setup);
    setup.link(2).fail();
    await settle();
    setup.link(1).finish();
    await settle();
    expect(setup.take()).toEqual(['open→backoff', 'reset 1 replaced', 'backoff peer-end 1']);
  });

  test('has said something and ended: it opens, is heard, and ends', async () => {
    const setup = await new Setup().open();
    await replacing(setup);
    setup.link(2).receive('bye');
    setup.link(2).finish();
    await settle();
    setup.link(1).finish();
    await settle();
    expect(setup.take().slice(0, 4)).toEqual(['reset 1 replaced', 'open 2', 'data bye', 'open→backoff']);
  });
});

describe('the old session is lost while the next is dialled', () => {
  test('the dial that is under way is the reconnect', async () => {
    const setup = await new Setup().open();
    const { outcome } = await replacing(setup, false);
    setup.link(1).fail();
    await settle();
    expect(setup.take()).toEqual(['open→connecting', 'reset 1 error']);
    setup.link(2).connect();
    await settle();
    expect([setup.take(), await outcome, setup.dials]).toEqual([['connecting→open', 'open 2'], 2, 2]);
  });

  test('if that fails too, the connection backs off as after any failure', async () => {
    const setup = await new Setup().open();
    const { outcome } = await replacing(setup, false);
    setup.link(1).fail();
    await settle();
    setup.link(2).fail();
    await settle();
    expect(setup.take()).toEqual(['open→connecting', 'reset 1 error', 'connecting→backoff', 'backoff error 2']);
    expect(await outcome).toBe('ECONNRESET');
  });

  test('sessions that end early time after time wait as ever', async () => {
    const setup = await new Setup().open(false);
    await replacing(setup, false);
    setup.link(1).fail();
    await settle();
    setup.link(2).connect();
    await settle();
    setup.take();
    await replacing(setup, false);
    setup.link(2).fail();
    await settle();
    expect(setup.take()).toEqual(['open→backoff', 'reset 2 error', 'backoff error 2']);
    expect(setup.link(3).signal.aborted).toBe(true);
  });

  test('shouldRetry is asked, and may close the connection', async () => {
    const setup = await new Setup({ shouldRetry: () => false }).open();
    const { outcome } = await replacing(setup, false);
    setup.link(1).fail();
    await settle();
    expect(setup.take()).toEqual(['open→closed', 'reset 1 error', 'close not-retryable']);
    expect([await outcome, setup.link(2).signal.aborted]).toEqual(['ERR_GAVE_UP', true]);
  });

  test('its target function answers for the connection', async () => {
    let port = 0;
    const setup = await new Setup({ target: () => Promise.resolve({ port: ++port }) }).open();
    expect(setup.connection.tag).toBe('127.0.0.1:1');
    await replacing(setup, false);
    expect(setup.connection.tag).toBe('127.0.0.1:1');
    setup.link(1).fail();
    expect(setup.connection.state).toBe('open');
    await settle();
    expect([setup.connection.state, setup.connection.tag]).toEqual(['connecting', '127.0.0.1:2']);
  });

  test('fail() is such a loss', async () => {
    const setup = await new Setup().open();
    await replacing(setup, false);
    setup.connection.fail(new Error('bad'));
    expect(setup.take()).toEqual(['open→connecting', 'reset 1 failed']);
  });
});

describe('with a list of targets', () => {
  const target = [1, 2, 3].map((port) => ({ port }));

  /** Connected to the first; its targets are recorded. */
  async function opened(): Promise<{ setup: Setup; ports: unknown[] }> {
    const ports: unknown[] = [];
    const script = new ScriptedDial();
    const dial: MemberOptions['dial'] = (place, signal) => {
      ports.push('port' in place && place.port);
      return script.dial(place, signal);
    };
    const setup = new Setup({ port: undefined, target, dial }, script);
    return { setup: await setup.open(), ports };
  }

  test('the first dial has the target of the session, and each further one the next', async () => {
    const { setup, ports } = await opened();
    await replacing(setup, false);
    for (let dial = 2; dial <= 5; dial++) {
      setup.link(dial).fail();
      await pass(BACKOFF);
    }
    expect([ports, setup.connection.tag]).toEqual([[1, 1, 2, 3, 1, 2], '127.0.0.1:1']);
  });

  test('where the session is lost meanwhile, the dial that is under way is the first of the outage', async () => {
    const { setup, ports } = await opened();
    await replacing(setup, false);
    setup.link(1).fail();
    await settle();
    setup.link(2).fail();
    await pass(BACKOFF);
    setup.link(3).connect();
    await settle();
    expect([ports, setup.connection.tag]).toEqual([[1, 1, 2], '127.0.0.1:2']);
  });
});

describe('what the application does meanwhile', () => {
  const ends: [string, (setup: Setup) => void, string][] = [
    ['destroy()', ({ connection }) => connection.destroy(), 'destroyed'],
    ['abort', () => abort.abort(), 'aborted'],
    ['disconnect()', ({ connection }) => void connection.disconnect(), 'disconnected'],
  ];
  let abort = new AbortController();
  beforeEach(() => (abort = new AbortController()));

  describe.each(ends)('%s', (_name, end, reason) => {
    test('while the next session is dialled › abandons the dial', async () => {
      const setup = await new Setup({ signal: abort.signal }).open();
      const { outcome } = await replacing(setup, false);
      end(setup);
      setup.link(1).finish();
      await settle();
      expect(setup.take().slice(-2)).toEqual([`reset 1 ${reason}`, `close ${reason}`]);
      expect([setup.link(2).signal.aborted, await outcome]).toEqual([
        true,
        expect.stringMatching(/ERR_(CLOSED|ABORTED)/),
      ]);
    });

    test('while the old session ends › destroys the next', async () => {
      const setup = await new Setup({ signal: abort.signal }).open();
      await replacing(setup);
      end(setup);
      setup.link(1).finish();
      await settle();
      expect(setup.take().slice(-2)).toEqual([`reset 1 ${reason}`, `close ${reason}`]);
      expect([setup.link(1).destroyed, setup.link(2).destroyed]).toEqual([true, true]);
    });

    test('in a listener of the reset › no open follows but that of disconnect()', async () => {
      const setup = await new Setup({ signal: abort.signal }).open();
      setup.connection.once('reset', () => end(setup));
      await replacing(setup);
      setup.link(1).finish();
      await settle();
      setup.link(2).finish();
      await settle();
      const opened = reason === 'disconnected' ? ['open 2', `reset 2 ${reason}`] : [];
      expect(setup.take().filter((event) => !event.includes('→'))).toEqual([
        'reset 1 replaced',
        ...opened,
        `close ${reason}`,
      ]);
      expect(setup.link(2).destroyed).toBe(true);
    });
  });

  test('disconnect() while writes wait › sends them in the next session, and ends that', async () => {
    const setup = await new Setup().open();
    setup.connection.on('open', () => setup.connection.write('hello'));
    await replacing(setup);
    setup.connection.write('waits');
    const closed = setup.connection.disconnect();
    setup.link(1).receive('late');
    setup.link(1).finish();
    await settle();
    expect(setup.link(2).written).toEqual(['hello', 'waits']);
    expect(setup.link(2).writableEnded).toBe(true);
    setup.link(2).finish();
    await settle();
    expect(setup.take()).toEqual([
      ...['open→closing', 'data late', 'reset 1 replaced', 'open 2', 'closing→closed', 'reset 2 disconnected'],
      'close disconnected',
    ]);
    expect(await closed).toEqual({ reason: 'disconnected' });
    expect([setup.link(1).destroyed, setup.link(2).destroyed]).toEqual([true, true]);
  });

  test('disconnect() while writes wait, and the next session is lost › drops them', async () => {
    const setup = await new Setup().open();
    await replacing(setup);
    setup.connection.write('waits');
    const closed = setup.connection.disconnect();
    setup.link(2).fail();
    await settle();
    setup.link(1).finish();
    expect(await closed).toEqual({ reason: 'disconnected' });
    expect(setup.take()).toContain('drop disconnected');
  });

  test('reconnect() › takes the place of the replacement', async () => {
    const setup = await new Setup().open();
    const { outcome } = await replacing(setup, false);
    setup.connection.reconnect();
    setup.link(1).finish();
    await settle();
    expect(setup.take()).toEqual(['open→connecting', 'reset 1 forced']);
    expect([setup.link(2).signal.aborted, setup.dials]).toEqual([true, 3]);
    setup.link(3).connect();
    expect(await outcome).toBe(2);
  });

  test('reconnect() while the old session ends › dials anew', async () => {
    const setup = await new Setup().open();
    await replacing(setup);
    setup.connection.write('waits');
    setup.connection.reconnect();
    setup.link(1).finish();
    await settle();
    expect(setup.link(2).destroyed).toBe(true);
    setup.link(3).connect();
    await settle();
    expect(setup.link(3).written).toEqual(['waits']);
  });

  test('pause() › the old session goes on until resume()', async () => {
    const setup = await new Setup().open();
    setup.connection.pause();
    await replacing(setup);
    setup.link(1).receive('unread');
    await pass(10 * CLOSE_TIMEOUT);
    setup.connection.write('still');
    await settle();
    expect([setup.link(1).written, setup.take()]).toEqual([['still'], []]);

    setup.connection.resume();
    await settle();
    expect([setup.link(1).writableEnded, setup.take()]).toEqual([true, ['data unread']]);
    setup.link(1).finish();
    await settle();
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
  });

  test('pause(), and the old session is lost › the next takes its place', async () => {
    const setup = await new Setup().open();
    setup.connection.pause();
    await replacing(setup);
    setup.link(1).fail();
    await settle();
    expect(setup.take()).toEqual(['reset 1 error', 'open 2']);
    expect(setup.states).toEqual([]);
  });

  test('pause() while the old session ends › the time of its peer stands still', async () => {
    const setup = await new Setup().open();
    await replacing(setup);
    await pass(CLOSE_TIMEOUT - 500);
    setup.connection.pause();
    setup.link(1).receive('late');
    await pass(10 * CLOSE_TIMEOUT);
    expect(setup.take()).toEqual([]);
    setup.connection.resume();
    await pass(499);
    expect(setup.take()).toEqual(['data late']);
    await pass(1);
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
  });

  test('unref() and ref() › reach both sockets', async () => {
    const setup = await new Setup().open();
    await replacing(setup);
    setup.connection.unref();
    expect([setup.link(1).referenced, setup.link(2).referenced]).toEqual([false, false]);
    setup.connection.ref();
    expect([setup.link(1).referenced, setup.link(2).referenced]).toEqual([true, true]);
  });
});

describe('in another state', () => {
  test('idle › it dials', async () => {
    const setup = new Setup({ autoConnect: false });
    const { outcome } = await replacing(setup);
    expect(await outcome).toBe(1);
  });

  test('connecting › it waits for open', async () => {
    const setup = new Setup();
    await settle();
    const { outcome } = await replacing(setup);
    expect([await outcome, setup.dials]).toEqual([1, 1]);
  });

  test('backoff › it dials now', async () => {
    const setup = await new Setup().open();
    setup.link(1).fail();
    await settle();
    const { outcome } = await replacing(setup);
    expect([await outcome, setup.dials]).toEqual([2, 2]);
  });

  test('closing or closed › it rejects', async () => {
    const setup = await new Setup().open();
    void setup.connection.disconnect();
    await expect(setup.connection.replace()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    setup.connection.destroy();
    await expect(setup.connection.replace()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

describe('maxLifetime', () => {
  test('a session that old is replaced, up to a tenth earlier', async () => {
    const random = jest.spyOn(Math, 'random').mockReturnValue(0.5);
    const setup = await new Setup({ maxLifetime: 60_000 }).open();
    random.mockRestore();
    await pass(56_999);
    expect(setup.dials).toBe(1);
    await pass(1);
    setup.link(2).connect();
    await settle();
    setup.link(1).finish();
    await settle();
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
    await pass(60_000);
    expect(setup.dials).toBe(3);
  });

  test('after the retries are used up, it is tried again a lifetime later', async () => {
    const setup = await new Setup({ maxLifetime: 60_000, maxRetries: 0 }).open();
    await pass(60_000);
    setup.link(2).fail();
    await pass(53_000);
    expect(setup.dials).toBe(2);
    await pass(7_000);
    expect(setup.dials).toBe(3);
  });

  test('its timer ends with the session', async () => {
    const setup = await new Setup({ maxLifetime: 60_000 }).open();
    expect(jest.getTimerCount()).toBe(1);
    setup.connection.destroy();
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('the watches of a session', () => {
  test('heartbeats stop on the old session while it ends, and begin on the next', async () => {
    const pings: number[] = [];
    const setup: Setup = new Setup({
      heartbeat: { interval: 400, timeout: Infinity, ping: () => pings.push(setup.connection.generation) },
    });
    await setup.open();
    await replacing(setup);
    await pass(CLOSE_TIMEOUT);
    expect(pings).toEqual([]);
    await pass(401);
    expect(pings).toEqual([2]);
  });

  test('idleTimeout does not end a session that is ending', async () => {
    const setup = await new Setup({ idleTimeout: 300 }).open();
    await replacing(setup);
    await pass(CLOSE_TIMEOUT);
    expect(setup.take()).toEqual(['reset 1 replaced', 'open 2']);
    await pass(400);
    expect(setup.take()[1]).toBe('reset 2 idle');
  });
});

describe('in a pool', () => {
  test('members with one target are replaced one at a time, those with another meanwhile', async () => {
    const script = new ScriptedDial();
    const pool = new ConnectionPool({ dial: script.dial, coordinateDials: false });
    connections.push(pool);
    const members = [1, 1, 2].map((port) => pool.add({ port }));
    await settle();
    for (const link of script.links) link.connect();
    await settle();
    for (const member of members) void member.replace();
    await settle();
    expect(script.links).toHaveLength(5);
    script.links[3]!.connect();
    await settle();
    expect(script.links).toHaveLength(5);
    script.links[0]!.finish();
    await settle();
    expect([script.links.length, members[0]!.generation]).toEqual([6, 2]);
  });

  test('a member that is destroyed leaves its turn to the next', async () => {
    const script = new ScriptedDial();
    const pool = new ConnectionPool({ dial: script.dial, coordinateDials: false });
    connections.push(pool);
    const members = [1, 1].map((port) => pool.add({ port }));
    await settle();
    for (const link of script.links) link.connect();
    await settle();
    for (const member of members) void member.replace();
    await settle();
    members[0]!.destroy();
    await settle();
    expect(script.links).toHaveLength(4);
  });
});
