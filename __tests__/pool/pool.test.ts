import { type Duplex, Transform } from 'node:stream';

import {
  type ConnectionOptions,
  type PoolOptions,
  type ReconnectingConnection,
  ConnectionPool,
} from 'reconnecting-connection';

import { Loopback, QUICK, next, pair, payload, payloads, run, track } from '../kit/loopback';
import { names, record } from '../kit/record';
import { refusalOf } from '../kit/refusal';

function newPool(options: PoolOptions = {}): ConnectionPool {
  return track(new ConnectionPool({ ...QUICK, ...options }));
}

/** A `dial` that connects in memory; `far` has the peer's end of each connection, by port. */
function memory(): { dial: NonNullable<ConnectionOptions['dial']>; far: Map<number, Duplex> } {
  const far = new Map<number, Duplex>();
  return {
    far,
    dial: (target) => {
      const [near, other] = pair();
      if ('port' in target) far.set(target.port, other.resume());
      return near;
    },
  };
}

/** A pool with open members on ports 1 to `count`, in memory. */
async function openPool(count: number, options: PoolOptions = {}) {
  const { dial, far } = memory();
  const pool = newPool({ dial, ...options });
  const members = Array.from({ length: count }, (_, index) => pool.add({ port: index + 1 }));
  await Promise.all(members.map((member) => member.whenOpen()));
  return { pool, members, far };
}

/** A `dial` that counts the dials in progress, each of which finishes when a test calls its function in `waiting`. */
function slowDial() {
  const waiting: (() => void)[] = [];
  const counts = { now: 0, most: 0, begun: 0 };
  const dial: NonNullable<ConnectionOptions['dial']> = (_target, signal) => {
    counts.now += 1;
    counts.begun += 1;
    counts.most = Math.max(counts.most, counts.now);
    return new Promise((resolve, reject) => {
      const finishWith = (settle: () => void) => {
        const index = waiting.indexOf(finish);
        if (index < 0) return;
        waiting.splice(index, 1);
        counts.now -= 1;
        settle();
      };
      const finish = () => finishWith(() => resolve(pair()[0]));
      waiting.push(finish);
      signal.addEventListener('abort', () => finishWith(() => reject(new Error('aborted'))));
    });
  };
  return { dial, waiting, counts };
}

const tick = () => new Promise(setImmediate);

describe('events', () => {
  test('C89 are the events of a member, followed by its tag and the member', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hello') });
    const pool = newPool({ queue: { maxBytes: 0 } });
    const member = pool.add(server.target);
    const ofPool = record(pool);
    const ofMember = record(member);
    await next(pool, 'data');
    server.mute();
    while (member.write(Buffer.alloc(100_000)));
    server.latest.resume();
    await next(pool, 'drain');
    server.refuse();
    server.reset();
    await payloads(pool, 'backoff', 2);
    const dropped = next(pool, 'drop');
    member.write('refused, without a callback');
    await dropped;
    await server.accept();
    await next(pool, 'open');
    await member.disconnect();

    const tag = `127.0.0.1:${server.port}`;
    expect(new Set(names(ofPool))).toEqual(
      new Set(['state', 'open', 'data', 'drain', 'reset', 'backoff', 'drop', 'close']),
    );
    expect(names(ofPool)).toEqual(names(ofMember));
    expect(ofPool.map((event) => event.slice(-2))).toEqual(ofPool.map(() => [tag, member]));
    ofPool.forEach((event, index) => {
      expect(event).toHaveLength(ofMember[index]!.length + 2);
      ofMember[index]!.forEach((argument, position) => expect(event[position]).toBe(argument));
    });
  });

  test('C89 include `message`', async () => {
    const { pool, members, far } = await openPool(1, {
      decoder: () => new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) }),
    });
    const received = next(pool, 'message');
    far.get(1)?.write('hello');

    const [message, tag, member] = await received;
    expect([String(message), tag, member === members[0]]).toEqual(['hello', '127.0.0.1:1', true]);
  });

  test.each([
    [{ port: 80, host: '::1' }, '[::1]:80'],
    [{ port: 80, host: 'localhost' }, 'localhost:80'],
    [{ port: 80 }, '127.0.0.1:80'],
    [{ path: '/tmp/some.sock' }, 'unix:/tmp/some.sock'],
  ])('C89 have the tag of %j', async (target, tag) => {
    const pool = newPool({ dial: memory().dial });
    const member = pool.add(target);

    expect((await next(pool, 'open')).slice(1)).toEqual([tag, member]);
    expect(pool.get(tag)).toEqual([member]);
  });

  test('reach all listeners in the same order, whatever methods a listener calls', async () => {
    const { pool, members } = await openPool(2);
    const first: string[] = [];
    pool.on('state', (state, _previous, tag) => {
      first.push(`${tag} ${state}`);
      if (tag === '127.0.0.1:1' && state === 'closed') members[1]?.destroy();
    });
    const second: string[] = [];
    pool.on('state', (state, _previous, tag) => second.push(`${tag} ${state}`));
    members[0]?.destroy();

    expect(first).toEqual(['127.0.0.1:1 closed', '127.0.0.1:2 closed']);
    expect(second).toEqual(first);
  });
});

describe('the listeners of a member', () => {
  it('do not include any of the pool', async () => {
    const { members } = await openPool(1);
    expect(members[0]!.eventNames()).toEqual([]);
  });

  it('may all be removed: the pool still emits the events, and its members stay up to date', async () => {
    const { pool, members, far } = await openPool(2);
    const events = record(pool);
    for (const member of members) member.removeAllListeners();
    far.get(1)!.write('hello');
    await next(pool, 'data');
    await members[0]!.disconnect();
    expect(names(events)).toEqual(['data', 'state', 'state', 'reset', 'close']);
    expect(pool.connections).toEqual([members[1]]);
  });

  it('are called before the pool’s listeners', async () => {
    const { pool, members, far } = await openPool(1);
    const order: string[] = [];
    pool.on('data', () => order.push('pool'));
    members[0]!.on('data', () => order.push('member'));
    far.get(1)!.write('hello');
    await next(pool, 'data');
    expect(order).toEqual(['member', 'pool']);
  });

  test('emit() of a member with a name that is not an event returns false', async () => {
    const { members } = await openPool(1);
    const member = members[0]! as unknown as NodeJS.EventEmitter;
    for (const name of ['toString', '__proto__', 'constructor', 'apply']) expect(member.emit(name)).toBe(false);
  });
});

describe('add()', () => {
  test('adds a member that dials; members may share a target', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    const one = pool.add(server.target);
    const two = pool.add(server.target);
    expect(pool.size).toBe(2);
    await Promise.all([one.whenOpen(), two.whenOpen()]);
    await server.session(2);

    expect(pool.get(one.tag)).toEqual([one, two]);
    expect(pool.connections).toEqual([one, two]);
    expect([...pool]).toEqual([one, two]);
    expect(one).not.toBe(two);
  });

  test('uses the pool’s options as defaults of the member’s', async () => {
    const { dial } = memory();
    const pool = newPool({ dial, host: 'pool.test', port: 5, maxRetries: 0 });
    const tags = [
      pool.add({}),
      pool.add({ port: 6 }),
      pool.add({ host: 'own.test' }),
      pool.add({ port: undefined, host: undefined }),
    ].map(({ tag }) => tag);

    expect(tags).toEqual(['pool.test:5', 'pool.test:6', 'own.test:5', 'pool.test:5']);
    await next(pool, 'open');
  });

  test('throws for invalid options, and adds no member', () => {
    const pool = newPool();
    for (const options of [{}, { port: 0 }, { port: 1, prot: 2 }, null, 5]) {
      expect(() => pool.add(options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    }
    expect(pool.size).toBe(0);
  });

  test.each<[options: object, message: string]>([
    [
      { host: '10.0.0.7', port: 0 },
      'Expected option `port` to be an integer from 1 to 65535, got 0 (number) (in the options of the member 10.0.0.7:0)',
    ],
    [
      { host: '10.0.0.7', port: 80, idleTimeout: 'never' },
      'Expected option `idleTimeout` to be a number ≥ 0, got "never" (string) (in the options of the member 10.0.0.7:80)',
    ],
    [{ port: 81, idleTimeout: -1 }, ' (in the options of the member pool.test:81)'],
    [{ path: '/run/lamp.sock', idleTimeout: -1 }, ' (in the options of the member unix:/run/lamp.sock)'],
    [{ host: 'user:secret@lamp\n', port: {} }, ' (in the options of the member …@lamp\\n:an object)'],
    [{ host: 'x'.repeat(90), port: 80, idleTimeout: -1 }, ` (in the options of the member ${'x'.repeat(80)}…:80)`],
  ])('names the target of the options that it refuses: %j', (options, message) => {
    const pool = newPool({ host: 'pool.test' });
    const error = refusalOf(() => pool.add(options));
    expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION' });
    expect(error?.message).toContain(message);
    expect(error?.message).not.toContain('secret');
  });

  test('names no target where the options have none, or cannot be read', () => {
    const unreadable = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no');
        },
      },
    );
    for (const options of [{ idleTimeout: -1 }, unreadable, 5]) {
      expect(refusalOf(() => newPool().add(options as never))?.message).not.toContain('member');
    }
  });

  test.each([{ maxConnecting: 0 }, { maxConnecting: 1.5 }, { select: 'best' }, { prot: 1 }, { connectTimeout: -1 }])(
    'the constructor throws for invalid options: %j',
    (options) => {
      expect(() => new ConnectionPool(options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    },
  );

  test('options changed later have no effect', async () => {
    const { dial } = memory();
    const options = { dial, host: 'before.test', select: 'round-robin' as const };
    const pool = track(new ConnectionPool(options));
    options.host = 'after.test';
    const member = pool.add({ port: 1 });
    await member.whenOpen();

    expect(member.tag).toBe('before.test:1');
  });
});

describe('remove()', () => {
  test('by tag disconnects and removes all members with that tag, and emits their events', async () => {
    const { pool, members } = await openPool(3);
    const twin = pool.add({ port: 2 });
    await twin.whenOpen();
    const events = record(pool, ['reset', 'close']);

    await pool.remove('127.0.0.1:2');

    expect(pool.connections).toEqual([members[0], members[2]]);
    expect([members[1]?.state, twin.state]).toEqual(['closed', 'closed']);
    expect(names(events).sort()).toEqual(['close', 'close', 'reset', 'reset']);
  });

  test('by member disconnects and removes that one, and emits none of its later events', async () => {
    const { pool, members } = await openPool(2);
    const twin = pool.add({ port: 1 });
    await pool.remove(members[0]!);
    const events = record(pool);
    members[0]?.connect();
    await members[0]?.whenOpen();

    expect(pool.connections).toEqual([members[1], twin]);
    expect(events.filter((event) => event.at(-1) === members[0])).toEqual([]);
    members[0]?.destroy();
  });

  test('of an unknown tag or connection resolves, and does nothing', async () => {
    const { pool } = await openPool(1);
    const { members: others } = await openPool(1);
    await pool.remove('127.0.0.1:9');
    await pool.remove('__proto__');
    await pool.remove(others[0]!);

    expect(pool.size).toBe(1);
    expect(others[0]?.state).toBe('open');
  });
});

describe('a member that was removed', () => {
  test.each(['a listener of its own', 'a listener of the pool'])(
    'is forgotten, though %s restarts it',
    async (whose) => {
      const { pool, members } = await openPool(2);
      const [member] = members;
      if (whose === 'a listener of its own') member!.on('close', () => member!.connect());
      else pool.on('close', (_info, _tag, closed) => closed.connect());
      const events = record(pool);
      await pool.remove(member!);
      await member!.whenOpen();

      expect(pool.connections).toEqual([members[1]]);
      expect(names(events)).toEqual(['state', 'state', 'reset', 'close']);
      expect(pool.pick()).toBe(members[1]);
      member!.removeAllListeners().destroy();
    },
  );

  test('is not picked any more, though its session is still open and drains', async () => {
    const { pool, members, far } = await openPool(2);
    far.get(1)!.pause();
    members[0]!.write(Buffer.alloc(1_000_000));
    const removed = pool.remove(members[0]!);
    expect([pool.pick(), pool.pick(), pool.broadcast('x')]).toEqual([members[1], members[1], 1]);
    members[0]!.destroy();
    await removed;
    expect(pool.connections).toEqual([members[1]]);
  });

  test('is forgotten although it closed before, during another event', async () => {
    const { pool, members } = await openPool(2);
    pool.once('reset', () => {
      members[0]?.destroy();
      void pool.remove(members[0]!);
    });
    members[1]?.reconnect();
    await members[1]?.whenOpen();
    members[0]?.connect();
    await members[0]?.whenOpen();

    expect(pool.connections).toEqual([members[1]]);
    members[0]?.destroy();
  });
});

test('a pool that disconnects forgets its members, though a listener restarts them', async () => {
  const { pool, members } = await openPool(2);
  pool.on('close', (_info, _tag, closed) => closed.connect());
  await pool.disconnect();

  expect(pool.size).toBe(0);
  for (const member of members) member.destroy();
});

describe('whenOpen()', () => {
  test('resolves when so many members are open, one by default', async () => {
    const { dial, waiting } = slowDial();
    const pool = newPool({ dial });
    const settled: number[] = [];
    const wait = (count?: number) => pool.whenOpen(count).then(() => settled.push(count ?? 0));
    const waits = [wait(3), wait(), wait(2)];
    for (const port of [1, 2]) pool.add({ port });
    await tick();
    expect(settled).toEqual([]);
    waiting[0]?.();
    await Promise.race(waits);
    expect(settled).toEqual([0]);
    waiting[0]?.();
    await waits[2];
    expect(settled).toEqual([0, 2]);
    pool.add({ port: 3 });
    await tick();
    waiting[0]?.();
    await waits[0];
    await pool.whenOpen(3);
  });

  test('does not count members that were open before', async () => {
    const { pool, members } = await openPool(2);
    let isOpen = false;
    members[0]?.destroy();
    const opened = pool.whenOpen(2).then(() => (isOpen = true));
    await tick();
    expect(isOpen).toBe(false);
    members[0]?.connect();
    await opened;
  });

  test('rejects when its signal is aborted, before or meanwhile, and leaves the members alone', async () => {
    const { pool, members } = await openPool(1);
    const reason = new Error('enough');
    await expect(pool.whenOpen(2, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      cause: reason,
    });
    const controller = new AbortController();
    const opened = pool.whenOpen(2, { signal: controller.signal });
    controller.abort(reason);
    await expect(opened).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      cause: reason,
      message: 'Waiting for 2 open members was aborted: enough',
    });
    expect(members[0]?.state).toBe('open');
  });

  test.each(['disconnect', 'destroy'] as const)('rejects on %s(), and can be called again', async (end) => {
    const { pool } = await openPool(1);
    const opened = pool.whenOpen(2);
    const done = pool[end]();
    await expect(opened).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    if (end === 'disconnect') await expect(pool.whenOpen()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await done;
    pool.add({ port: 5 });
    await pool.whenOpen();
  });

  test.each<[count: unknown, options: unknown]>([
    [0, {}],
    [-0, {}],
    [1.5, {}],
    [NaN, {}],
    [Infinity, {}],
    ['2', {}],
    [null, {}],
    [1, null],
    [1, { signal: 5 }],
    [1, { attempts: 1 }],
  ])('throws for %p and %p', (count, options) => {
    expect(refusalOf(() => newPool().whenOpen(count as number, options as object))).toMatchObject({
      code: 'ERR_INVALID_OPTION',
    });
  });
});

describe('pick()', () => {
  const tags = (pool: ConnectionPool, count: number, key?: string) =>
    Array.from({ length: count }, () => pool.pick(key)?.tag.slice(-1)).join('');

  test('goes round the open members by default', async () => {
    const { pool, members } = await openPool(3);
    expect(tags(pool, 6)).toBe('123123');
    members[1]?.destroy();
    expect(new Set(tags(pool, 6))).toEqual(new Set(['1', '3']));
    members[1]?.connect();
    await members[1]?.whenOpen();
    expect(tags(pool, 6).split('').sort().join('')).toBe('112233');
  });

  test('is undefined when no member is open', async () => {
    const { pool, members } = await openPool(1);
    expect(newPool().pick()).toBeUndefined();
    members[0]?.destroy();
    expect(pool.pick()).toBeUndefined();
  });

  test('least-pending picks the member with the fewest pending bytes', async () => {
    const { pool, members, far } = await openPool(3, { select: 'least-pending' });
    for (const end of far.values()) end.pause();
    for (const [index, member] of members.entries()) member.write(Buffer.alloc(200_000 - index * 50_000));
    await tick();
    expect(pool.pick()).toBe(members[2]);
    members[2]?.write(Buffer.alloc(200_000));
    expect(pool.pick()).toBe(members[1]);
  });

  test('random-two picks the less loaded of two, so never the most loaded of all', async () => {
    const { pool, members, far } = await openPool(3, { select: 'random-two' });
    for (const end of far.values()) end.pause();
    members[0]?.write(Buffer.alloc(200_000));
    await tick();
    const chosen = new Set(Array.from({ length: 200 }, () => pool.pick()));

    expect(chosen).toEqual(new Set([members[1], members[2]]));
  });

  test('peak-ewma picks the member that answers sooner, and tries each first', async () => {
    const { pool, members, far } = await openPool(2, { select: 'peak-ewma' });
    const asked = [0, 0];
    far.get(1)!.on('data', () => {
      asked[0]! += 1;
      setImmediate(() => far.get(1)!.write('soon'));
    });
    far.get(2)!.on('data', () => {
      asked[1]! += 1;
      setTimeout(() => far.get(2)!.write('late'), 50);
    });
    for (let count = 0; count < 50; count++) {
      const answered = next(pool, 'data');
      expect(pool.write('x')).toBe(true);
      await answered;
    }
    expect(asked[1]).toBeGreaterThan(0);
    expect(asked[1]).toBeLessThan(10);
    expect(asked[0]! + asked[1]!).toBe(50);
    // A new session is with another server, perhaps.
    members[1]!.reconnect();
    await members[1]!.whenOpen();
    expect(pool.pick()).toBe(members[1]);
  });

  test('rendezvous picks the same member for a key, and moves only the keys of a member that closes', async () => {
    const { pool, members } = await openPool(4, { select: 'rendezvous' });
    const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`);
    const before = keys.map((key) => pool.pick(key));
    expect(keys.map((key) => pool.pick(key))).toEqual(before);
    expect(new Set(before)).toEqual(new Set(members));

    members[2]?.destroy();
    const after = keys.map((key) => pool.pick(key));
    for (const [index, member] of before.entries()) {
      if (member === members[2]) expect(after[index]).not.toBe(member);
      else expect(after[index]).toBe(member);
    }

    members[2]?.connect();
    await members[2]?.whenOpen();
    expect(pool.pick()?.state).toBe('open');
  });

  test('a function receives the open members and the key, and may return undefined', async () => {
    const asked: [readonly ReconnectingConnection[], string | undefined][] = [];
    const { pool, members } = await openPool(3, {
      select: (open, key) => {
        asked.push([open, key]);
        return key === 'none' ? undefined : open.at(-1);
      },
    });
    members[1]?.destroy();
    expect(pool.pick('some')).toBe(members[2]);
    expect(pool.pick('none')).toBeUndefined();
    expect(asked).toEqual([
      [[members[0], members[2]], 'some'],
      [[members[0], members[2]], 'none'],
    ]);
  });

  test('never picks a member that has just been lost, even in a listener of that event', async () => {
    const { pool, members } = await openPool(2);
    const picked: (string | undefined)[] = [];
    const look = () => {
      for (let count = 0; count < 4; count++) picked.push(pool.pick()?.state);
    };
    members[0]?.prependListener('state', look);
    for (const event of ['state', 'reset', 'backoff', 'close'] as const) pool.on(event, look);
    members[0]?.reconnect();
    members[0]?.destroy();
    members[1]?.destroy();

    expect(new Set(picked)).toEqual(new Set(['open', undefined]));
  });
});

describe('write() and broadcast()', () => {
  test('write() writes to the member that pick() returns', async () => {
    const servers = await Promise.all([Loopback.start(), Loopback.start()]);
    const pool = newPool();
    await Promise.all(servers.map((server) => pool.add(server.target).whenOpen()));
    const results: unknown[] = [];
    expect(pool.write('one;', (error) => results.push(error))).toBe(true);
    expect(pool.write('dHdvOw==', 'base64', (error) => results.push(error))).toBe(true);
    expect(pool.write(Buffer.from('three;'))).toBe(true);
    await servers[0].receives('three;');
    await servers[1].receives('two;');

    expect(servers.map((server) => server.text())).toEqual(['one;three;', 'two;']);
    expect(results).toEqual([undefined, undefined]);
  });

  test('write() passes options and arrays on, and checks them where no member is open', async () => {
    const pool = new ConnectionPool();
    expect(() => pool.write('a', { key: 5 as never })).toThrow('Expected option `write.key` to be a string');
    const aborted = new Promise((resolve) => pool.write(['a', 'b'], { maxAge: 1 }, resolve));
    expect(await aborted).toMatchObject({ code: 'ERR_NO_OPEN_MEMBER' });
  });

  test('write() is refused with ERR_NO_OPEN_MEMBER when no member is open, and queues nothing', async () => {
    const server = await Loopback.start();
    server.refuse();
    const pool = newPool();
    pool.add(server.target);
    const error = new Promise((resolve) => expect(pool.write('lost', resolve)).toBe(false));

    expect(await error).toMatchObject({ code: 'ERR_NO_OPEN_MEMBER' });
    expect(pool.stats.queuedBytes).toBe(0);
    expect(pool.write('lost')).toBe(false);
    await server.accept();
    await next(pool, 'open');
    pool.write('kept');
    await server.receives('kept');
    expect(server.text()).toBe('kept');
  });

  test('write() throws for an invalid chunk, whether or not a member is open', async () => {
    const { pool } = await openPool(1);
    for (const target of [pool, newPool()]) {
      expect(() => target.write(5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_CHUNK' }) as Error);
      expect(() => target.broadcast({} as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_CHUNK' }) as Error,
      );
    }
  });

  test('broadcast() writes to every open member, and returns their number', async () => {
    const { pool, members, far } = await openPool(3);
    const received: string[] = [];
    for (const [port, end] of far) end.on('data', (chunk) => received.push(`${port} ${String(chunk)}`));
    members[1]?.destroy();

    expect(pool.broadcast('all')).toBe(2);
    await tick();
    expect(received).toEqual(['1 all', '3 all']);
    expect(newPool().broadcast('none')).toBe(0);
  });
});

describe('maxConnecting', () => {
  test('is never exceeded, and members dial in order', async () => {
    const { dial, waiting, counts } = slowDial();
    const pool = newPool({ dial, maxConnecting: 3 });
    const opened: string[] = [];
    pool.on('open', (_info, tag) => opened.push(tag));
    const members = Array.from({ length: 10 }, (_, index) => pool.add({ port: index + 1 }));
    await tick();
    expect(counts).toEqual({ now: 3, most: 3, begun: 3 });
    expect(pool.stats).toMatchObject({ total: 10, open: 0, connecting: 10, backoff: 0, waiting: 7, queuedBytes: 0 });
    while (opened.length < 10) {
      waiting[0]?.();
      await tick();
    }

    expect(counts).toEqual({ now: 0, most: 3, begun: 10 });
    expect(opened).toEqual(members.map(({ tag }) => tag));
  });

  test('the wait for a dial slot does not count towards connectTimeout', async () => {
    const { dial } = memory();
    const pool = newPool({
      maxConnecting: 1,
      connectTimeout: 150,
      dial: (target, signal) => new Promise((resolve) => setTimeout(() => resolve(dial(target, signal) as Duplex), 60)),
    });
    const events = record(pool, ['open', 'backoff']);
    await Promise.all(Array.from({ length: 6 }, (_, index) => pool.add({ port: index + 1 }).whenOpen()));

    expect(names(events)).toEqual(Array(6).fill('open'));
  });

  test('a slot is free again after a failed dial, a finished dial and an end', async () => {
    const { dial, waiting, counts } = slowDial();
    const pool = newPool({ dial, maxConnecting: 1, connectTimeout: 30, backoff: () => 60_000 });
    const [failing, dialling, waitingMember, last] = [1, 2, 3, 4].map((port) => pool.add({ port }));
    await next(pool, 'backoff', (_info, _tag, member) => member === failing);
    await tick();
    expect(counts).toMatchObject({ now: 1, begun: 2 });
    // A destroyed member that waits for a slot never dials; one that dials frees its slot.
    waitingMember?.destroy();
    dialling?.destroy();
    await tick();
    expect(counts).toMatchObject({ now: 1, begun: 3 });
    waiting[0]?.();
    await last?.whenOpen();

    expect(counts).toEqual({ now: 0, most: 1, begun: 3 });
  });

  test('includes the handshake', async () => {
    let most = 0;
    let now = 0;
    const { dial } = memory();
    const pool = newPool({
      dial,
      maxConnecting: 2,
      async handshake() {
        most = Math.max(most, ++now);
        await tick();
        now--;
      },
    });
    await Promise.all(Array.from({ length: 6 }, (_, index) => pool.add({ port: index + 1 }).whenOpen()));

    expect(most).toBe(2);
  });

  test('C30 slots are freed in whichever microtask an attempt ends', async () => {
    const { dial } = memory();
    const pool = newPool({ dial, maxConnecting: 1 });
    for (let count = 0; count <= 10; count++) {
      const member = pool.add({ port: 1 });
      for (let hop = 0; hop < count; hop++) await Promise.resolve();
      member.destroy();
      const after = pool.add({ port: 2 });
      expect(await after.whenOpen()).toMatchObject({ generation: 1 });
      after.destroy();
    }
    expect(pool.size).toBe(0);
  });
});

describe('isolation', () => {
  test('C90 a member that keeps failing does not disturb the others', async () => {
    const [failing, steady] = [await Loopback.start(), await Loopback.start({ echo: true })];
    failing.flap({ how: 'reset' });
    const pool = newPool();
    const member = pool.add(steady.target);
    await member.whenOpen();
    const events = record(member);
    pool.add(failing.target);
    await next(pool, 'backoff', ({ attempt }) => attempt === 6);
    expect(events).toEqual([]);
    member.write('still here');

    expect(String(await payload(member, 'data'))).toBe('still here');
    expect(steady.accepted).toBe(1);
  });

  test('C95 a member whose name is never resolved does not delay the others', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    for (let count = 0; count < 8; count++) {
      pool.add({ port: 1, host: `dead-${count}.test`, socket: { lookup: () => {} } });
    }

    expect(await pool.add(server.target).whenOpen()).toMatchObject({ attempts: 1 });
  });
});

describe('membership', () => {
  test('a member that closes by itself leaves after its close, and joins again when it is restarted', async () => {
    const server = await Loopback.start();
    server.refuse();
    const pool = newPool({ maxRetries: 0 });
    const sizes: number[] = [];
    pool.on('close', () => sizes.push(pool.size));
    const member = pool.add(server.target);
    await next(pool, 'close');
    expect(sizes).toEqual([1]);
    expect(pool.size).toBe(0);
    expect(pool.get(member.tag)).toEqual([]);

    await server.accept();
    member.connect();
    expect((await next(pool, 'open')).at(-1)).toBe(member);
    expect(pool.connections).toEqual([member]);
    expect(pool.pick()).toBe(member);
  });

  test('a member that is restarted in a listener of its close stays', async () => {
    const { pool, members } = await openPool(2);
    pool.on('close', (_info, _tag, member) => member.connect());
    members[0]?.destroy();
    await members[0]?.whenOpen();

    expect(new Set(pool.connections)).toEqual(new Set(members));
  });

  test('a member that is restarted in a listener of its close stays, also during another member’s event', async () => {
    const { pool, members } = await openPool(2);
    pool.once('reset', () => members[0]?.destroy());
    pool.on('close', (_info, _tag, member) => member.connect());
    members[1]?.reconnect();
    await members[0]?.whenOpen();
    await members[1]?.whenOpen();

    expect(new Set(pool.connections)).toEqual(new Set(members));
    expect(pool.stats).toMatchObject({ total: 2, open: 2 });
  });

  test('C93 members that closed by themselves are garbage-collected', async () => {
    const { code, said, stderr } = await run(
      `
      const pool = new ConnectionPool({ ...QUICK, maxRetries: 0, dial: () => { throw new Error('no'); } });
      const members = [];
      for (let count = 0; count < 100; count++) members.push(new WeakRef(pool.add({ port: 1 })));
      let closed = 0;
      pool.on('close', async () => {
        if (++closed < 100) return;
        for (let round = 0; round < 10; round++) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          gc();
        }
        say([pool.size, members.filter((member) => member.deref() !== undefined).length]);
      });
      `,
      { flags: ['--expose-gc'] },
    );

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [[size, alive]] = said as [[number, number]];
    expect(size).toBe(0);
    expect(alive).toBeLessThanOrEqual(5);
  });
});

describe('disconnect() and destroy()', () => {
  test('C92 disconnect() resolves when all members have closed, and removes them', async () => {
    const servers = await Promise.all([Loopback.start(), Loopback.start(), Loopback.start()]);
    servers[2].refuse();
    const pool = newPool();
    const members = servers.map((server) => pool.add(server.target));
    await Promise.all([members[0]?.whenOpen(), members[1]?.whenOpen(), next(pool, 'backoff')]);
    pool.broadcast('last words');
    const events = record(pool, ['close']);

    const done = pool.disconnect();
    expect(pool.disconnect()).toBe(done);
    await done;

    expect(events).toHaveLength(3);
    expect(members.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
    expect(pool.size).toBe(0);
    expect(servers.map((server) => server.text())).toEqual(['last words', 'last words', '']);
    await Promise.all(servers.map((server) => server.until(() => server.live === 0)));
  });

  test('C92 add() while disconnecting throws ERR_CLOSED; afterwards the pool can be used again', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    await pool.add(server.target).whenOpen();
    const done = pool.disconnect();
    expect(() => pool.add(server.target)).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }) as Error);
    await done;

    expect(await pool.add(server.target).whenOpen()).toMatchObject({ generation: 1 });
    expect(pool.size).toBe(1);
  });

  test('disconnect() of an empty pool resolves', async () => {
    await expect(newPool().disconnect()).resolves.toBeUndefined();
  });

  test('destroy() closes all members at once, and emits their events', async () => {
    const { pool, members } = await openPool(3);
    const events = record(pool);
    pool.destroy();

    expect(events.map(([name, first]) => (name === 'state' ? first : name))).toEqual(
      Array(3).fill(['closed', 'reset', 'close']).flat(),
    );
    expect(members.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
    expect(pool.size).toBe(0);
  });

  test('await using disconnects', async () => {
    const { pool, members } = await openPool(2);
    await pool[Symbol.asyncDispose]();

    expect(members.map(({ state }) => state)).toEqual(['closed', 'closed']);
  });
});

describe('stats', () => {
  test('count members by state, and pending bytes', async () => {
    const { dial } = memory();
    const dials: Record<number, NonNullable<ConnectionOptions['dial']>> = {
      1: dial,
      2: () => new Promise(() => {}),
      3: () => {
        throw new Error('no');
      },
    };
    const pool = newPool({ backoff: () => 60_000 });
    const [open, connecting] = [1, 2, 3].map((port) => pool.add({ port, dial: dials[port]! }));
    await Promise.all([open?.whenOpen(), next(pool, 'backoff')]);
    connecting?.write('12345');

    expect(pool.stats).toMatchObject({ total: 3, open: 1, connecting: 1, backoff: 1, waiting: 0, queuedBytes: 5 });
    expect(JSON.parse(JSON.stringify(pool))).toEqual(pool.stats);
  });
});

test('a select that returns something else than a member picks none', async () => {
  const notMember = { state: 'open' } as never;
  for (const junk of [notMember, 5 as never, null as never]) {
    const { pool } = await openPool(1, { select: () => junk });
    expect(pool.pick()).toBeUndefined();
    expect(pool.write('x', () => undefined)).toBe(false);
  }
});

test('write() checks its callback, whether or not a member is open', () => {
  const pool = newPool();
  expect(() => pool.write('x', 'utf8', 5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_CHUNK' }));
});

test('after a write that found no open member, `drain` is emitted when a member opens', async () => {
  const server = await Loopback.start();
  const pool = newPool();
  expect(pool.write('too early')).toBe(false);
  const member = pool.add(server.target);
  const [tag, opened] = await next(pool, 'drain');

  expect([tag, opened]).toEqual([member.tag, member]);
});

test('properties of Object.prototype are not options of a pool', async () => {
  const { pool, members } = await openPool(1);
  Object.defineProperty(Object.prototype, 'select', { value: () => undefined, configurable: true, enumerable: true });
  try {
    const { pool: polluted, members: its } = await openPool(1);
    expect([pool.pick(), polluted.pick()]).toEqual([members[0], its[0]]);
  } finally {
    Reflect.deleteProperty(Object.prototype, 'select');
  }
});
