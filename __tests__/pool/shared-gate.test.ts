import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type LookupFunction, connect } from 'node:net';
import type { Duplex } from 'node:stream';

import { type MemberOptions, type PoolOptions, ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';

import * as dialling from '../../lib/socket/open-socket';
import type { JoinGate } from '../../lib/attempt/dial-gate';
import { loadCertificates } from '../kit/certificates';
import { trackProcess } from '../kit/clean-up';
import { Loopback, QUICK, next, pair, payload, run, track } from '../kit/loopback';
import { isStopped } from '../kit/processes';
import { record } from '../kit/record';
import { ScriptedLink } from '../kit/scripted';

// What members of a pool that share a target know of it together, over real sockets. Their parts are tested in `dial-slot` and `connect-window`.

function newPool(options: PoolOptions = {}): ConnectionPool {
  return track(new ConnectionPool({ ...QUICK, ...options }));
}

/** A pool of so many members. */
function fill(pool: ConnectionPool, count: number, options: MemberOptions = {}): ReconnectingConnection[] {
  return Array.from({ length: count }, () => pool.add(options));
}

const opened = (members: readonly ReconnectingConnection[]) => Promise.all(members.map((member) => member.whenOpen()));

const dialsOf = (members: readonly ReconnectingConnection[]) =>
  members.reduce((sum, { stats }) => sum + stats.dials, 0);

/** Makes `port` of 127.0.0.1 one that answers nobody: its process is stopped, and its backlog full. */
async function silence(port: number): Promise<void> {
  const child = trackProcess(
    spawn(process.execPath, [
      '-e',
      `require('node:net').createServer().listen(${port}, '127.0.0.1', 1, () => process.stdout.write('up'));`,
    ]),
  );
  await once(child.stdout, 'data');
  child.kill('SIGSTOP');
  while (!isStopped(child)) await new Promise(setImmediate);
  // A backlog of one holds two.
  for (let count = 0; count < 2; count++) {
    const socket = track(connect(port, '127.0.0.1'));
    socket.on('error', () => undefined);
    await once(socket, 'connect');
  }
}

/** A server at 127.0.0.2, whose port answers nobody at 127.0.0.1. */
async function halfSilent(options: Parameters<typeof Loopback.start>[0] = {}): Promise<Loopback> {
  const server = await Loopback.start({ host: '127.0.0.2', ...options });
  await silence(server.port);
  return server;
}

/** A look-up that finds the silent address for the first `times`, and then the server. */
function lookup(times: number): LookupFunction {
  let left = times;
  return (_name, options, callback) => {
    const address = left-- > 0 ? '127.0.0.1' : '127.0.0.2';
    if (options.all === true) callback(null, [{ address, family: 4 }]);
    else callback(null, address, 4);
  };
}

/** A gate that grants every dial, which is slow after so many milliseconds. */
function hedging(slowAfter: number | undefined): { joinGate: JoinGate } {
  const ignore = () => undefined;
  const acquire = () => Promise.resolve({ ok: true as const, slowAfter });
  return {
    joinGate: () => ({
      refusedAt: 0,
      acquire,
      connected: ignore,
      failed: ignore,
      release: ignore,
      takeTurn: () => ignore,
      close: ignore,
    }),
  };
}

/** The same, in a process of its own. */
const HEDGING = `
  const ignore = () => {};
  const acquire = async () => ({ ok: true, slowAfter: 30 });
  const host = { joinGate: () => ({ acquire, connected: ignore, failed: ignore, release: ignore, close: ignore }) };
`;

describe('members that share a target', () => {
  test('dial once each, however long the server was gone', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    const members = fill(pool, 300, server.target);
    await opened(members);
    await server.session(300);
    server.refuse();
    server.reset();
    let failures = 0;
    await next(pool, 'backoff', () => ++failures === 1_500);
    const reopened = opened(members);
    await server.accept();
    const infos = await reopened;

    expect(dialsOf(members)).toBeLessThanOrEqual(300 + 1.2 * 300);
    expect(infos.reduce((sum, { attempts }) => sum + attempts, 0)).toBeLessThanOrEqual(1.2 * 300);
    await server.until(() => server.live === 300);
    expect(pool.stats).toMatchObject({ total: 300, open: 300, waiting: 0 });
    expect(Object.keys(pool.stats.endpoints)).toEqual([members[0]?.tag]);
  });

  test('and are refused in turn give up as they were told to, though few of them dial', async () => {
    const server = await Loopback.start();
    server.refuse();
    const pool = newPool({ maxRetries: 2 });
    const members = fill(pool, 100, server.target);
    const failed = members[99]?.whenOpen({ attempts: 2 }).catch((error: unknown) => error);
    const reasons: unknown[] = [];
    await next(pool, 'close', ({ reason }) => reasons.push(reason) === 100);

    expect(new Set(reasons)).toEqual(new Set(['max-retries']));
    expect(await failed).toMatchObject({ code: 'ECONNREFUSED' });
    expect(members.map(({ stats }) => stats.failures)).toEqual(Array(100).fill(3));
    expect(dialsOf(members)).toBeLessThan(60);
  });

  test('emit `open` in their own asynchronous contexts, whichever member found the server back', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    const contexts = new AsyncLocalStorage<number>();
    const heard: (number | undefined)[][] = [];
    const members = Array.from({ length: 50 }, (_, index) => {
      const own: (number | undefined)[] = [];
      heard.push(own);
      return contexts.run(index, () => pool.add(server.target).on('open', () => own.push(contexts.getStore())));
    });
    await opened(members);
    server.refuse();
    server.reset();
    let failures = 0;
    await next(pool, 'backoff', () => ++failures === 200);
    const reopened = opened(members);
    await server.accept();
    await reopened;

    expect(heard).toEqual(members.map((_, index) => [index, index]));
  });

  test('fail over to another when the first is refused, all of them', async () => {
    const [gone, there] = [await Loopback.start(), await Loopback.start()];
    gone.refuse();
    const pool = newPool({ target: (attempt) => ({ port: (attempt === 1 ? gone : there).port }) });
    const members = fill(pool, 100);
    const infos = await opened(members);

    await there.until(() => there.accepted === 100);
    expect(dialsOf(members)).toBeLessThan(150);
    expect(infos.every(({ attempts }) => attempts === 1 || attempts === 2)).toBe(true);
    expect(Object.keys(pool.stats.endpoints)).toEqual([`127.0.0.1:${there.port}`]);
  });

  test('are not held up by one whose dial is never answered', async () => {
    const server = await halfSilent();
    const pool = newPool({ port: server.port, host: 'some.test', connectTimeout: 0, socket: { lookup: lookup(1) } });
    const [first, ...others] = fill(pool, 20);
    await opened(others);

    expect(first?.state).toBe('connecting');
    await server.until(() => server.accepted === 19);
  });

  test('that never answers each give up after their `connectTimeout`, and few have dialled', async () => {
    const server = await halfSilent();
    const pool = newPool({ port: server.port, connectTimeout: 200, backoff: () => 60_000 });
    const members = fill(pool, 50);
    const waits: unknown[] = [];
    await next(pool, 'backoff', (info) => waits.push(info) === 50);

    expect(waits).toEqual(Array(50).fill(expect.objectContaining({ reason: 'connect-timeout', attempt: 1 })));
    expect(dialsOf(members)).toBeLessThan(25);
  });

  test('and lose their sessions at once keep to their own backoff, whichever member finds the server back', async () => {
    const server = await Loopback.start();
    server.flap();
    const pool = newPool({ backoff: () => 60_000 });
    const lost = fill(pool, 50, server.target);
    // To some the end comes before they know that they are connected.
    let waits = 0;
    await next(pool, 'backoff', () => ++waits === 50);
    server.refuse();
    const refused = pool.add(server.target);
    await payload(refused, 'backoff');
    server.steady();
    await server.accept();
    await Promise.all([pool.add(server.target).whenOpen(), refused.whenOpen()]);

    expect(dialsOf(lost)).toBe(50);
    expect(lost.map(({ state }) => state)).toEqual(Array(50).fill('backoff'));
    expect(refused.stats.dials).toBe(2);
  });

  test('and are reset as soon as they connect are not held back: the server is there', async () => {
    const server = await Loopback.start();
    server.flap({ how: 'reset' });
    const pool = newPool();
    const members = fill(pool, 20, server.target);
    await server.until(() => server.accepted >= 400);

    expect(members.every(({ stats }) => stats.dials >= 5)).toBe(true);
  });

  test('learn nothing of their endpoint from one whose handshake fails', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    const healthy = fill(pool, 5, server.target);
    await opened(healthy);
    const wrong = pool.add({ ...server.target, handshake: () => Promise.reject(new Error('wrong password')) });
    await next(pool, 'backoff', ({ attempt }) => attempt === 3);
    const late = pool.add(server.target);
    await late.whenOpen();

    expect(wrong.stats.failures).toBeGreaterThanOrEqual(3);
    expect(pool.stats.endpoints[late.tag]).toMatchObject({ phase: 'healthy', waiting: 0 });
    expect(late.stats.dials).toBe(1);
  });

  test('learn nothing of it from one that cannot dial for reasons of its own', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    await opened(fill(pool, 2, server.target));
    const odd = pool.add({ ...server.target, dial: () => Promise.reject(new Error('no tunnel')) });
    const { localPort } = pool.connections[0]!.socket!;
    const bound = pool.add({ ...server.target, socket: { localPort: localPort! } });
    await next(pool, 'backoff', ({ attempt }, _tag, member) => attempt === 2 && member === odd);
    if (bound.stats.failures === 0) await payload(bound, 'backoff');

    expect(bound.stats.lastError?.code).toBe('EADDRINUSE');
    await pool.remove(odd);
    expect(pool.stats.endpoints[bound.tag]).toMatchObject({ phase: 'healthy' });
  });

  test('share nothing with `coordinateDials: false`, and are bounded by `maxConnecting` only', async () => {
    const server = await Loopback.start();
    server.refuse();
    const pool = newPool({ coordinateDials: false, backoff: () => 60_000 });
    const members = fill(pool, 50, server.target);
    let failures = 0;
    await next(pool, 'backoff', () => ++failures === 50);

    expect(dialsOf(members)).toBe(50);
    expect(pool.stats).toMatchObject({ waiting: 0, endpoints: {} });
  });

  test('refuse what is no value for `coordinateDials`, and name it to those who use its old name', () => {
    const refusal = (message: string) => expect.objectContaining({ code: 'ERR_INVALID_OPTION', message }) as Error;
    expect(() => newPool({ coordinateDials: 1 as never })).toThrow(
      refusal('Expected option `coordinateDials` to be a boolean, got 1 (number)'),
    );
    expect(() => newPool({ canary: true } as PoolOptions)).toThrow(
      refusal('Unknown option `canary`: did you mean `coordinateDials`?'),
    );
  });
});

describe('a member that is held at the gate', () => {
  /** A pool whose first member dials for ever while the others wait. */
  function held(count: number, options: PoolOptions = {}) {
    const links: ReturnType<typeof pair>[0][] = [];
    let asked = 0;
    const dial = () => {
      asked += 1;
      return new Promise<ReturnType<typeof pair>[0]>((resolve) =>
        waiting.push(() => {
          const [near] = pair();
          links.push(near);
          resolve(near);
        }),
      );
    };
    const waiting: (() => void)[] = [];
    // The first wait of a probe ends after the test.
    jest.spyOn(Math, 'random').mockReturnValue(200);
    const pool = newPool({ port: 1, dial, connectTimeout: 0, ...options });
    const members = fill(pool, count);
    return { pool, members, asked: () => asked, answer: () => waiting.shift()?.() };
  }

  afterEach(() => jest.restoreAllMocks());

  const turn = () => new Promise(setImmediate);

  test('shows in `stats`, which are plain data', async () => {
    const { pool, members, answer } = held(5);
    await turn();

    expect(pool.stats).toMatchObject({ connecting: 5, waiting: 4 });
    expect(pool.stats.endpoints).toEqual({
      '127.0.0.1:1': { phase: 'probing', waiting: 4, dialling: 1, window: 1, connectTime: null },
    });
    expect(Object.getPrototypeOf(pool.stats.endpoints)).toBeNull();
    expect(JSON.parse(JSON.stringify(pool))).toEqual(pool.stats);
    expect(members.map(({ stats }) => stats.dials)).toEqual([1, 0, 0, 0, 0]);
    answer();
    await members[0]?.whenOpen();
    await turn();
    expect(pool.stats).toMatchObject({ open: 1, connecting: 4, waiting: 1 });
  });

  test.each(['disconnect', 'destroy'] as const)('is ended by %s() without having dialled', async (end) => {
    const { pool, members, asked, answer } = held(4);
    await turn();
    const heard = record(members[2]!, ['close', 'backoff', 'open']);
    await members[2]?.[end]();
    await members[0]?.[end]();
    expect(heard.map(([event]) => event)).toEqual(['close']);
    expect([asked(), pool.size, pool.stats.waiting]).toEqual([1, 2, 2]);
    answer();
    await pool.disconnect();
    expect(pool.stats).toMatchObject({ total: 0, waiting: 0, endpoints: {} });
    expect(asked()).toBe(1);
  });

  test('is ended by its signal', async () => {
    const controller = new AbortController();
    const { pool, members, asked } = held(3);
    const aborted = pool.add({ signal: controller.signal });
    await turn();
    controller.abort();

    expect(aborted.state).toBe('closed');
    expect([asked(), pool.size]).toEqual([1, 3]);
    expect(members[1]?.state).toBe('connecting');
  });

  test('leaves in good order, and goes first if it was to be sent something', async () => {
    const { pool, members, asked, answer } = held(3, { closeTimeout: 500 });
    await turn();
    members[1]?.write('wait for me');
    const ended = members[1]?.disconnect();
    expect(members[1]?.state).toBe('closing');
    answer();
    await turn();
    await turn();
    expect(asked()).toBe(3);
    answer();

    expect(await ended).toEqual({ reason: 'disconnected' });
    expect(members[1]?.generation).toBe(1);
    expect(pool.size).toBe(2);
  });

  const HELD = `
    const pool = new ConnectionPool({ port: 1, connectTimeout: 0, dial: () => new Promise(() => {}) });
    Math.random = () => 200;
    const members = [pool.add({}), pool.add({}), pool.add({})];
    setTimeout(() => { say('alive ' + pool.stats.waiting); pool.destroy(); }, 300).unref();
  `;

  test('keeps the process alive', async () => {
    const { code, said, stderr } = await run(HELD);
    expect({ code, said, stderr }).toEqual({ code: 0, said: ['alive 2'], stderr: '' });
  });

  test.each(['before', 'while'])('lets it go after unref(), %s it is held', async (when) => {
    const unref = 'for (const member of members) member.unref();';
    const { code, said } = await run(`${HELD} ${when === 'before' ? unref : `setImmediate(() => { ${unref} })`}`);
    expect({ code, said }).toEqual({ code: 0, said: [] });
  });

  test('keeps it alive again after ref()', async () => {
    const { said } = await run(`
      ${HELD}
      for (const member of members) member.unref();
      setImmediate(() => members[2].ref());
    `);
    expect(said).toEqual(['alive 2']);
  });
});

describe('a dial that goes unanswered', () => {
  /** A connection to a server at 127.0.0.2 by a name that is first taken to be at a silent address. */
  async function unanswered(options: MemberOptions = {}, tls?: Parameters<typeof Loopback.start>[0]) {
    const server = await halfSilent(tls);
    const connection = track(
      new ReconnectingConnection(
        {
          ...QUICK,
          port: server.port,
          host: 'some.test',
          socket: { lookup: lookup(1) },
          connectTimeout: 15_000,
          ...options,
        },
        hedging(50),
      ),
    );
    return { server, connection };
  }

  test('is hedged by a second socket, which is kept when it connects first', async () => {
    const { server, connection } = await unanswered();
    connection.write('hello');
    const info = await connection.whenOpen();
    await server.receives('hello');

    expect(info).toMatchObject({ attempts: 1, remoteAddress: '127.0.0.2' });
    expect(connection.stats).toMatchObject({ dials: 1, failures: 0 });
    expect([server.accepted, server.live]).toEqual([1, 1]);
  });

  test('is hedged over TLS too, and the socket that is kept is verified', async () => {
    const { ca, server: tls } = await loadCertificates();
    const { server, connection } = await unanswered({ tls: { ca: ca.cert, servername: 'localhost' } }, { tls });
    await connection.whenOpen();

    expect(connection.socket).toMatchObject({ encrypted: true, authorized: true, remoteAddress: '127.0.0.2' });
    expect(server.tlsErrors).toEqual([]);
  });

  test('leaves one socket, when the other has connected', async () => {
    const server = await halfSilent();
    const { code, said, stderr } = await run(`
      ${HEDGING}
      let asked = 0;
      const lookup = (_name, _options, answer) => answer(null, [{ address: '127.0.0.' + ++asked, family: 4 }]);
      const options = { port: ${server.port}, host: 'some.test', connectTimeout: 15_000, socket: { lookup } };
      const connection = new ReconnectingConnection(options, host);
      const look = () => say(process.getActiveResourcesInfo().filter((each) => /TCP|Timeout/.test(each)).length);
      connection.on('open', () => setTimeout(setImmediate, 20, () => { look(); connection.destroy(); }));
    `);

    expect({ code, said, stderr }).toEqual({ code: 0, said: [1], stderr: '' });
  });

  test('leaves nothing of either when it is given up', async () => {
    const server = await halfSilent();
    const { code, said, stderr } = await run(`
      ${HEDGING}
      const sockets = () => process.getActiveResourcesInfo().filter((each) => /TCP/.test(each)).length;
      const connection = new ReconnectingConnection({ port: ${server.port}, connectTimeout: 15_000 }, host);
      const look = () => {
        if (sockets() < 2) return setTimeout(look, 10);
        say(sockets());
        connection.destroy();
        setTimeout(setImmediate, 20, () => say(process.getActiveResourcesInfo().filter((each) => /TCP|Timeout/.test(each))));
      };
      look();
    `);

    expect({ code, said, stderr }).toEqual({ code: 0, said: [2, []], stderr: '' });
  });

  test('fails when the kernel connects the second socket to itself, which is reset', async () => {
    const links: ScriptedLink[] = [];
    let cut = 0;
    const self = {
      localAddress: '127.0.0.1',
      localPort: 4242,
      remoteAddress: '127.0.0.1',
      remotePort: 4242,
      resetAndDestroy: () => void (cut += 1),
    };
    const opening = jest.spyOn(dialling, 'openSocket').mockImplementation(() => {
      const link = new ScriptedLink(new AbortController().signal);
      links.push(link);
      const duplex: Duplex = links.length < 2 ? link : Object.assign(link, self);
      return duplex;
    });
    const connection = track(new ReconnectingConnection({ ...QUICK, port: 4242, backoff: () => 60_000 }, hedging(20)));
    const heard = record(connection, ['open', 'backoff']);
    while (links.length < 2) await new Promise(setImmediate);
    const failed = next(connection, 'backoff');
    links[1]!.connect();
    await failed;

    expect(heard).toMatchObject([['backoff', { reason: 'self-connect', error: { code: 'ERR_SELF_CONNECT' } }]]);
    expect([cut, ...links.map(({ destroyed }) => destroyed)]).toEqual([1, true, true]);
    opening.mockRestore();
  });

  /** Sockets that a member of a pool opens until its second dial times out, where the first had connected at once. */
  async function socketsOfDial(options: PoolOptions, siblings: number): Promise<number> {
    const server = await Loopback.start();
    const pool = newPool({ connectTimeout: 300, backoff: () => 0, ...options });
    const [member] = fill(pool, 1 + siblings, server.target);
    await opened([...pool]);
    let sockets = 0;
    const opening = jest.spyOn(dialling, 'openSocket').mockImplementation(() => {
      sockets += 1;
      const silent: Duplex = new ScriptedLink(new AbortController().signal);
      return silent;
    });
    const failed = next(pool, 'backoff', ({ reason }) => reason === 'connect-timeout');
    member!.reconnect();
    await failed;
    opening.mockRestore();
    pool.destroy();
    return sockets;
  }

  test('is hedged where another member has the same target, and `hedge` is not false', async () => {
    expect(await socketsOfDial({}, 1)).toBeGreaterThan(1);
    expect(await socketsOfDial({ hedge: false }, 1)).toBe(1);
  });

  test('is not hedged for the only member: some devices drop their first session when a second arrives', async () => {
    expect(await socketsOfDial({}, 0)).toBe(1);
  });

  test('is not hedged with a custom `dial`', async () => {
    const dialled: number[] = [];
    const dial = () => {
      dialled.push(performance.now());
      return new Promise<never>(() => {});
    };
    const connection = track(new ReconnectingConnection({ ...QUICK, port: 1, dial, connectTimeout: 150 }, hedging(1)));
    await next(connection, 'backoff');

    expect(dialled).toHaveLength(1);
  });

  test('is not hedged where nothing is known of how long dials take', async () => {
    const opening = jest.spyOn(dialling, 'openSocket');
    const server = await halfSilent();
    const options = { ...QUICK, port: server.port, connectTimeout: 150, backoff: () => 60_000 };
    await next(track(new ReconnectingConnection(options, hedging(undefined))), 'backoff');

    expect(opening).toHaveBeenCalledTimes(1);
    opening.mockRestore();
  });

  test('is not hedged while its name is looked up', async () => {
    let asked = 0;
    const socket = {
      lookup: () => {
        asked += 1;
      },
    };
    const options = { ...QUICK, port: 1, host: 'never.test', socket, connectTimeout: 150 };
    await next(track(new ReconnectingConnection(options, hedging(1))), 'backoff');

    expect(asked).toBe(1);
  });

  test('fails when the second socket is refused', async () => {
    const server = await halfSilent();
    server.refuse();
    const options = { port: server.port, host: 'some.test', socket: { lookup: lookup(1) }, connectTimeout: 15_000 };
    const connection = track(new ReconnectingConnection({ ...QUICK, ...options }, hedging(30)));

    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'error', error: { code: 'ECONNREFUSED' } });
  });
});
