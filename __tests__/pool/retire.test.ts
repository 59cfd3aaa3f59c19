import { once } from 'node:events';
import { type Socket, createServer } from 'node:net';

import { type ConnectionOptions, type PoolOptions, ConnectionPool } from 'reconnecting-connection';

import { Loopback, QUICK, next, pair, run, track } from '../kit/loopback';
import { names, record } from '../kit/record';

const newPool = (options: PoolOptions = {}) => track(new ConnectionPool({ ...QUICK, ...options }));
const tick = () => new Promise(setImmediate);

/** A pool whose dials each wait until a test calls the next function in `dials`; an argument makes it fail. */
function heldPool(options: PoolOptions = {}) {
  const dials: ((error?: Error) => void)[] = [];
  const dial: NonNullable<ConnectionOptions['dial']> = () =>
    new Promise((resolve, reject) => {
      dials.push((error) => {
        if (error !== undefined) return reject(error);
        const [near, far] = pair();
        far.resume();
        resolve(near);
      });
    });
  const pool = newPool({ dial, closeTimeout: 0, ...options });
  /** Adds an open member. */
  const open = async (port = 1) => {
    const member = pool.add({ port });
    while (dials.length === 0) await tick();
    dials.shift()!();
    await member.whenOpen();
    return member;
  };
  const dialled = async () => {
    while (dials.length === 0) await tick();
    return dials.shift()!;
  };
  return { pool, dials, open, dialled };
}

describe('retire()', () => {
  test('opens a twin with the same options first, and then disconnects and removes the member', async () => {
    const server = await Loopback.start();
    const pool = newPool({ closeTimeout: 50 });
    const member = pool.add({ ...server.target, handshake: (socket) => void socket.write('hello;') });
    await member.whenOpen();
    const events = record(pool, ['open', 'reset', 'close']);
    const retired = pool.retire(member);
    expect([pool.size, member.state]).toEqual([2, 'open']);
    await retired;

    const [twin] = pool.connections;
    expect([pool.size, twin?.tag, twin?.state, member.state]).toEqual([1, member.tag, 'open', 'closed']);
    expect(twin).not.toBe(member);
    expect(events.map((event) => [event[0], event.at(-1) === twin ? 'twin' : 'old'])).toEqual([
      ['open', 'twin'],
      ['reset', 'old'],
      ['close', 'old'],
    ]);
    expect(server.text()).toBe('hello;hello;');
  });

  test('keeps the member in service until its twin is open, where there is no other', async () => {
    const { pool, open, dialled } = heldPool();
    const member = await open();
    const retired = pool.retire(member);
    const answer = await dialled();
    expect([pool.pick(), pool.write('x')]).toEqual([member, true]);
    answer();
    await next(pool, 'open');
    await tick();
    expect(pool.pick()).not.toBe(member);
    await retired;
    expect(pool.size).toBe(1);
  });

  test('passes the member over meanwhile, where another has room', async () => {
    const { pool, open } = heldPool();
    const [member, other] = [await open(), await open(2)];
    void pool.retire(member);
    expect([pool.pick(), pool.pick(), pool.pick()]).toEqual([other, other, other]);
    other.destroy();
    expect(pool.pick()).toBe(member);
  });

  test('does not pick the member any more, nor broadcast to it, while it waits for late answers', async () => {
    const { pool, open, dialled } = heldPool({ closeTimeout: 60_000 });
    const member = await open();
    void pool.retire(member);
    (await dialled())();
    const [, , twin] = await next(pool, 'open');
    await tick();
    expect([member.state, pool.pick(), pool.pick(), pool.broadcast('x')]).toEqual(['open', twin, twin, 1]);
    expect(pool.stats).toMatchObject({ total: 2, open: 2 });
    await pool.whenOpen(1);
    twin.destroy();
    expect(pool.pick()).toBeUndefined();
  });

  test('goes on trying while the twin cannot be opened, and the member stays in service', async () => {
    const { pool, open, dialled } = heldPool();
    const member = await open();
    const retired = pool.retire(member);
    for (let count = 0; count < 3; count++) (await dialled())(new Error('no'));
    expect(pool.pick()).toBe(member);
    (await dialled())();
    await retired;
    expect([member.state, pool.size, pool.connections[0]?.state]).toEqual(['closed', 1, 'open']);
  });

  test('removes a member that is lost meanwhile, and does not dial it again: its twin goes on', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    const member = pool.add(server.target);
    await member.whenOpen();
    server.refuse();
    const retired = pool.retire(member);
    await next(pool, 'backoff');
    server.reset();
    await retired;
    expect([member.state, member.stats.dials, pool.size]).toEqual(['closed', 1, 1]);
    await server.accept();
    await pool.whenOpen();
    expect(pool.get(member.tag)).toHaveLength(1);
  });

  test('leaves the member in service when its twin gives up', async () => {
    const { pool, open, dialled } = heldPool({ maxRetries: 0 });
    const [member, other] = [await open(), await open(2)];
    const closed = next(pool, 'close');
    const retired = pool.retire(member);
    (await dialled())(new Error('no'));
    expect((await closed)[0]).toMatchObject({ reason: 'max-retries' });
    await retired;
    expect(pool.connections).toEqual([member, other]);
    expect(new Set([pool.pick(), pool.pick()])).toEqual(new Set([member, other]));
    // It may be tried again.
    const again = pool.retire(member);
    (await dialled())();
    await again;
    expect(member.state).toBe('closed');
  });

  test('of a member that is not open adds its twin, and gives what it has queued one more dial', async () => {
    const server = await Loopback.start();
    server.refuse();
    const pool = newPool({ closeTimeout: 5_000, backoff: () => 60_000 });
    const member = pool.add({ ...server.target, autoConnect: false });
    member.write('queued');
    member.connect();
    const opened = next(pool, 'open', (_info, _tag, connection) => connection !== member);
    await server.accept();
    await pool.retire(member);
    await opened;
    expect(pool.connections).toHaveLength(1);
    expect(member.state).toBe('closed');
    await server.receives('queued');
  });

  test('by tag replaces all members with the tag, with one twin at a time', async () => {
    const { pool, dials, open, dialled } = heldPool();
    const old = [await open(), await open(), await open()];
    const other = await open(2);
    const retired = pool.retire('127.0.0.1:1');
    for (let left = 3; left > 0; left--) {
      const answer = await dialled();
      await tick();
      expect([dials.length, pool.get('127.0.0.1:1').filter(({ state }) => state === 'connecting').length]).toEqual([
        0, 1,
      ]);
      answer();
    }
    await retired;
    expect(old.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
    expect([pool.size, pool.stats.open, other.state]).toEqual([4, 4, 'open']);
  });

  test('waits while replace() replaces a member with the same target', async () => {
    const { pool, dials, open, dialled } = heldPool();
    const [one, two] = [await open(), await open()];
    const replaced = one.replace();
    const retired = pool.retire(two);
    const answer = await dialled();
    await tick();
    expect([dials.length, pool.size]).toEqual([0, 2]);
    answer();
    await replaced;
    (await dialled())();
    await retired;
    expect([one.generation, two.state, pool.stats.open]).toEqual([2, 'closed', 2]);
  });

  test('calls for one member share a promise', async () => {
    const { pool, open, dialled } = heldPool();
    const member = await open();
    const retired = pool.retire(member);
    expect(pool.retire(member)).toBe(retired);
    (await dialled())();
    await retired;
    expect(pool.size).toBe(1);
  });

  test('resolves at once for what is no member', async () => {
    const { pool, open } = heldPool();
    const member = await open();
    await pool.remove(member);
    const stranger = track(newPool({ dial: () => pair()[0] }).add({ port: 1 }));
    for (const none of [member, stranger, '127.0.0.1:1', '__proto__']) await pool.retire(none);
    expect(pool.size).toBe(0);
    expect(stranger.state).not.toBe('closed');
  });

  test.each(['remove', 'destroy'] as const)(
    'is over when the member ends by %s() meanwhile; its twin stays',
    async (end) => {
      const { pool, open, dialled } = heldPool();
      const member = await open();
      const retired = pool.retire(member);
      const answer = await dialled();
      if (end === 'remove') void pool.remove(member);
      else member.destroy();
      await retired;
      answer();
      await pool.whenOpen();
      expect(pool.connections).toHaveLength(1);
    },
  );

  test.each(['disconnect', 'destroy'] as const)('is over when the pool ends by %s() meanwhile', async (end) => {
    for (const when of ['while the twin dials', 'while the old one is drained', 'while others are replaced']) {
      const { pool, open, dialled } = heldPool({ closeTimeout: 20 });
      const members = [await open(), await open()];
      const retired = when.includes('others') ? pool.retire('127.0.0.1:1') : pool.retire(members[0]!);
      const answer = await dialled();
      if (when.includes('drained')) {
        answer();
        await next(pool, 'open');
        await tick();
      }
      await pool[end]();
      await retired;
      expect([pool.size, ...members.map(({ state }) => state)]).toEqual([0, 'closed', 'closed']);
    }
  });

  test('connects the twin of a member that was connected by hand', async () => {
    const { pool, dialled } = heldPool();
    const member = pool.add({ port: 1, autoConnect: false });
    member.connect();
    (await dialled())();
    await member.whenOpen();
    const retired = pool.retire(member);
    (await dialled())();
    await retired;
    expect(pool.connections[0]?.state).toBe('open');
  });

  test('of a member that does not keep the process alive opens a twin that does not either', async () => {
    const server = await Loopback.start();
    const { code, said, stderr } = await run(`
      const pool = new ConnectionPool({ port: ${server.port}, closeTimeout: 10 });
      const member = pool.add({});
      member.unref();
      pool.whenOpen().then(() => pool.retire(member)).then(() => say('retired'));
      setTimeout(() => {}, 500);
    `);
    expect({ code, said, stderr }).toEqual({ code: 0, said: ['retired'], stderr: '' });
  });

  test('emits no more events of a member that is started again afterwards', async () => {
    const { pool, open, dialled } = heldPool();
    const member = await open();
    const retired = pool.retire(member);
    (await dialled())();
    await retired;
    const events = record(pool);
    member.connect();
    (await dialled())();
    await member.whenOpen();
    expect(names(events)).toEqual([]);
    expect(pool.size).toBe(1);
    member.destroy();
  });
});

/**
 * A server that answers each line 20 ms later, and that says goodbye on a session after so many lines. It answers what
 * comes later too, as the client may read the goodbye late and have no other session. As servers of Node's do, it drops
 * what it has not answered when the client ends the session.
 */
async function startParting(linesPerSession: number) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let lines = 0;
    let rest = '';
    const answer = (line: string) => {
      if (socket.writable) socket.write(`answer ${line}\n`);
    };
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      const parts = (rest + String(chunk)).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        lines += 1;
        setTimeout(answer, 20, line);
        if (lines === linesPerSession) socket.write('goodbye\n');
      }
    });
  });
  track({
    destroy: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, sessions: () => sockets.size };
}

test('under load, no request is lost to servers that say goodbye', async () => {
  const server = await startParting(100);
  const pool = newPool();
  for (let count = 0; count < 3; count++) pool.add({ port: server.port });
  await pool.whenOpen(3);
  const rests = new Map<unknown, string>();
  const answered = new Set<number>();
  let uncertain = 0;
  pool.on('data', (chunk, _tag, member) => {
    const lines = ((rests.get(member) ?? '') + String(chunk)).split('\n');
    rests.set(member, lines.pop() ?? '');
    for (const line of lines) {
      if (line === 'goodbye') void pool.retire(member);
      else answered.add(Number(line.replace('answer request ', '')));
    }
  });
  pool.on('reset', (info) => (uncertain += info.uncertain.writes));
  const count = 2_000;
  for (let number = 0; number < count; number++) {
    while (!pool.write(`request ${number}\n`)) await next(pool, 'drain');
    // Two or three requests a millisecond.
    if (number % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const deadline = performance.now() + 5_000;
  while (answered.size < count && performance.now() < deadline) await tick();
  const lost = Array.from({ length: count }, (_, number) => number).filter((number) => !answered.has(number));

  expect(lost).toEqual([]);
  expect(uncertain).toBe(0);
  expect(server.sessions()).toBeGreaterThan(10);
  expect(pool.stats.open).toBeGreaterThanOrEqual(3);
});
