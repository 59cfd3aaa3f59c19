import { type Duplex, Transform } from 'node:stream';

import {
  type ConnectionOptions,
  type PoolOptions,
  type ReconnectingConnection,
  ConnectionPool,
} from 'reconnecting-connection';

import { Loopback, QUICK, next, pair, payload, payloads, run, track } from '../kit/loopback';
import { names, record } from '../kit/record';

function newPool(options: PoolOptions = {}): ConnectionPool {
  return track(new ConnectionPool({ ...QUICK, ...options }));
}

/** A `dial` into memory; `far` are the far ends of what it opened, by port. */
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

/** A `dial` that is done when it is told to, and counts how many are under way. */
function slowDial() {
  const waiting: (() => void)[] = [];
  const counts = { now: 0, most: 0, begun: 0 };
  const dial: NonNullable<ConnectionOptions['dial']> = (_target, signal) => {
    counts.now += 1;
    counts.begun += 1;
    counts.most = Math.max(counts.most, counts.now);
    return new Promise((resolve, reject) => {
      const over = (settle: () => void) => {
        const index = waiting.indexOf(finish);
        if (index < 0) return;
        waiting.splice(index, 1);
        counts.now -= 1;
        settle();
      };
      const finish = () => over(() => resolve(pair()[0]));
      waiting.push(finish);
      signal.addEventListener('abort', () => over(() => reject(new Error('aborted'))));
    });
  };
  return { dial, waiting, counts };
}

const turn = () => new Promise(setImmediate);

describe('events', () => {
  test('C89 are those of the member, with its tag and itself appended', async () => {
    const server = await Loopback.start({ onSocket: (socket) => socket.write('hello') });
    const pool = newPool({ queue: { maxBytes: 0 } });
    const member = pool.add(server.target);
    const told = record(pool);
    const heard = record(member);
    await next(pool, 'data');
    server.mute();
    while (member.write(Buffer.alloc(100_000)));
    server.latest.resume();
    await next(pool, 'drain');
    server.refuse();
    server.reset();
    await payloads(pool, 'backoff', 2);
    const dropped = next(pool, 'drop');
    member.write('refused, and nobody to tell');
    await dropped;
    await server.restart();
    await next(pool, 'open');
    await member.disconnect();

    const tag = `127.0.0.1:${server.port}`;
    expect(new Set(names(told))).toEqual(
      new Set(['state', 'open', 'data', 'drain', 'reset', 'backoff', 'drop', 'close']),
    );
    expect(names(told)).toEqual(names(heard));
    expect(told.map((event) => event.slice(-2))).toEqual(told.map(() => [tag, member]));
    told.forEach((event, index) => {
      expect(event).toHaveLength(heard[index]!.length + 2);
      heard[index]!.forEach((argument, position) => expect(event[position]).toBe(argument));
    });
  });

  test('C89 messages are among them', async () => {
    const { pool, members, far } = await openPool(1, {
      decoder: () => new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) }),
    });
    const told = next(pool, 'message');
    far.get(1)?.write('hello');

    const [message, tag, member] = await told;
    expect([String(message), tag, member === members[0]]).toEqual(['hello', '127.0.0.1:1', true]);
  });

  test.each([
    [{ port: 80, host: '::1' }, '[::1]:80'],
    [{ port: 80, host: 'localhost' }, 'localhost:80'],
    [{ port: 80 }, '127.0.0.1:80'],
    [{ path: '/tmp/some.sock' }, 'unix:/tmp/some.sock'],
  ])('C89 carry the tag of %j', async (target, tag) => {
    const pool = newPool({ dial: memory().dial });
    const member = pool.add(target);

    expect((await next(pool, 'open')).slice(1)).toEqual([tag, member]);
    expect(pool.get(tag)).toEqual([member]);
  });

  test('reach all listeners in one order, whatever a listener does', async () => {
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
  it('are all the application’s: the pool adds none', async () => {
    const { members } = await openPool(1);
    expect(members[0]!.eventNames()).toEqual([]);
  });

  it('may all be removed, and the pool hears and knows what happens all the same', async () => {
    const { pool, members, far } = await openPool(2);
    const heard = record(pool);
    for (const member of members) member.removeAllListeners();
    far.get(1)!.write('hello');
    await next(pool, 'data');
    await members[0]!.disconnect();
    expect(names(heard)).toEqual(['data', 'state', 'state', 'reset', 'close']);
    expect(pool.connections).toEqual([members[1]]);
  });

  it('get an event before the pool’s listeners do', async () => {
    const { pool, members, far } = await openPool(1);
    const order: string[] = [];
    pool.on('data', () => order.push('pool'));
    members[0]!.on('data', () => order.push('member'));
    far.get(1)!.write('hello');
    await next(pool, 'data');
    expect(order).toEqual(['member', 'pool']);
  });

  it('may emit events of their own, which the pool does not know', async () => {
    const { members } = await openPool(1);
    const member = members[0]! as unknown as NodeJS.EventEmitter;
    for (const name of ['toString', '__proto__', 'constructor', 'apply']) expect(member.emit(name)).toBe(false);
  });
});

describe('add()', () => {
  test('joins at once, and dials; members may share a target', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    const one = pool.add(server.target);
    const two = pool.add(server.target);
    expect(pool.size).toBe(2);
    await Promise.all([one.whenOpen(), two.whenOpen()]);
    await server.has(2);

    expect(pool.get(one.tag)).toEqual([one, two]);
    expect(pool.connections).toEqual([one, two]);
    expect([...pool]).toEqual([one, two]);
    expect(one).not.toBe(two);
  });

  test('fills what the member’s options leave open from the pool’s', async () => {
    const { dial } = memory();
    const pool = newPool({ dial, host: 'pool.test', port: 5, maxRetries: 0 });
    const tags = [
      pool.add({}),
      pool.add({ port: 6 }),
      pool.add({ host: 'own.test' }),
      pool.add({ port: undefined, host: undefined } as never),
    ].map(({ tag }) => tag);

    expect(tags).toEqual(['pool.test:5', 'pool.test:6', 'own.test:5', 'pool.test:5']);
    await next(pool, 'open');
  });

  test('throws for bad options, and no member is left behind', () => {
    const pool = newPool();
    for (const options of [{}, { port: 0 }, { port: 1, prot: 2 }, null, 5]) {
      expect(() => pool.add(options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    }
    expect(pool.size).toBe(0);
  });

  test.each([{ maxConnecting: 0 }, { maxConnecting: 1.5 }, { select: 'best' }, { prot: 1 }, { connectTimeout: -1 }])(
    'is not reached with bad options of the pool: %j',
    (options) => {
      expect(() => new ConnectionPool(options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    },
  );

  test('options that change later change nothing', async () => {
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
  test('by tag disconnects and forgets all members of that tag, and tells of it', async () => {
    const { pool, members } = await openPool(3);
    const twin = pool.add({ port: 2 });
    await twin.whenOpen();
    const told = record(pool, ['reset', 'close']);

    await pool.remove('127.0.0.1:2');

    expect(pool.connections).toEqual([members[0], members[2]]);
    expect([members[1]?.state, twin.state]).toEqual(['closed', 'closed']);
    expect(names(told).sort()).toEqual(['close', 'close', 'reset', 'reset']);
  });

  test('by member disconnects and forgets that one, and hears nothing of it any more', async () => {
    const { pool, members } = await openPool(2);
    const twin = pool.add({ port: 1 });
    await pool.remove(members[0]!);
    const told = record(pool);
    members[0]?.connect();
    await members[0]?.whenOpen();

    expect(pool.connections).toEqual([members[1], twin]);
    expect(told.filter((event) => event.at(-1) === members[0])).toEqual([]);
    members[0]?.destroy();
  });

  test('of what is not there resolves, and does nothing', async () => {
    const { pool } = await openPool(1);
    const { members: strangers } = await openPool(1);
    await pool.remove('127.0.0.1:9');
    await pool.remove('__proto__');
    await pool.remove(strangers[0]!);

    expect(pool.size).toBe(1);
    expect(strangers[0]?.state).toBe('open');
  });
});

describe('pick()', () => {
  const tags = (pool: ConnectionPool, count: number, key?: string) =>
    Array.from({ length: count }, () => pool.pick(key)?.tag.slice(-1)).join('');

  test('takes turns by default, among the open members only', async () => {
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

  test('least-pending takes the member with the fewest bytes on the way', async () => {
    const { pool, members, far } = await openPool(3, { select: 'least-pending' });
    for (const end of far.values()) end.pause();
    for (const [index, member] of members.entries()) member.write(Buffer.alloc(200_000 - index * 50_000));
    await turn();
    expect(pool.pick()).toBe(members[2]);
    members[2]?.write(Buffer.alloc(200_000));
    expect(pool.pick()).toBe(members[1]);
  });

  test('random-two takes the less loaded of two, and never the most loaded of all', async () => {
    const { pool, members, far } = await openPool(3, { select: 'random-two' });
    for (const end of far.values()) end.pause();
    members[0]?.write(Buffer.alloc(200_000));
    await turn();
    const chosen = new Set(Array.from({ length: 200 }, () => pool.pick()));

    expect(chosen).toEqual(new Set([members[1], members[2]]));
  });

  test('rendezvous keeps a key with its member, and moves only the keys of one that goes', async () => {
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

  test('a function is handed the open members and the key, and may decline', async () => {
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

  test('never takes a member that has just been lost, even within the event that tells of it', async () => {
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
  test('write() goes to the member that pick() takes', async () => {
    const servers = await Promise.all([Loopback.start(), Loopback.start()]);
    const pool = newPool();
    await Promise.all(servers.map((server) => pool.add(server.target).whenOpen()));
    const fates: unknown[] = [];
    expect(pool.write('one;', (error) => fates.push(error))).toBe(true);
    expect(pool.write('dHdvOw==', 'base64', (error) => fates.push(error))).toBe(true);
    expect(pool.write(Buffer.from('three;'))).toBe(true);
    await servers[0].gets('three;');
    await servers[1].gets('two;');

    expect(servers.map((server) => server.received())).toEqual(['one;three;', 'two;']);
    expect(fates).toEqual([undefined, undefined]);
  });

  test('write() is refused with ERR_NO_OPEN_MEMBER when none is open, and nothing is kept', async () => {
    const server = await Loopback.start();
    server.refuse();
    const pool = newPool();
    pool.add(server.target);
    const fate = new Promise((resolve) => expect(pool.write('lost', resolve)).toBe(false));

    expect(await fate).toMatchObject({ code: 'ERR_NO_OPEN_MEMBER' });
    expect(pool.stats.queuedBytes).toBe(0);
    expect(pool.write('lost')).toBe(false);
    await server.restart();
    await next(pool, 'open');
    pool.write('kept');
    await server.gets('kept');
    expect(server.received()).toBe('kept');
  });

  test('write() throws for what is no chunk, whether a member is open or not', async () => {
    const { pool } = await openPool(1);
    for (const target of [pool, newPool()]) {
      expect(() => target.write(5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_CHUNK' }) as Error);
      expect(() => target.broadcast({} as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_CHUNK' }) as Error,
      );
    }
  });

  test('broadcast() reaches every open member, and says how many', async () => {
    const { pool, members, far } = await openPool(3);
    const heard: string[] = [];
    for (const [port, end] of far) end.on('data', (chunk) => heard.push(`${port} ${String(chunk)}`));
    members[1]?.destroy();

    expect(pool.broadcast('all')).toBe(2);
    await turn();
    expect(heard).toEqual(['1 all', '3 all']);
    expect(newPool().broadcast('nobody')).toBe(0);
  });
});

describe('maxConnecting', () => {
  test('is never exceeded, and everyone has a turn, in order', async () => {
    const { dial, waiting, counts } = slowDial();
    const pool = newPool({ dial, maxConnecting: 3 });
    const opened: string[] = [];
    pool.on('open', (_info, tag) => opened.push(tag));
    const members = Array.from({ length: 10 }, (_, index) => pool.add({ port: index + 1 }));
    await turn();
    expect(counts).toEqual({ now: 3, most: 3, begun: 3 });
    expect(pool.stats).toMatchObject({ total: 10, open: 0, connecting: 10, backoff: 0, waiting: 7, queuedBytes: 0 });
    while (opened.length < 10) {
      waiting[0]?.();
      await turn();
    }

    expect(counts).toEqual({ now: 0, most: 3, begun: 10 });
    expect(opened).toEqual(members.map(({ tag }) => tag));
  });

  test('the wait for a turn is not counted in connectTimeout', async () => {
    const { dial } = memory();
    const pool = newPool({
      maxConnecting: 1,
      connectTimeout: 150,
      dial: (target, signal) => new Promise((resolve) => setTimeout(() => resolve(dial(target, signal) as Duplex), 60)),
    });
    const told = record(pool, ['open', 'backoff']);
    await Promise.all(Array.from({ length: 6 }, (_, index) => pool.add({ port: index + 1 }).whenOpen()));

    expect(names(told)).toEqual(Array(6).fill('open'));
  });

  test('a failed dial, a lost session and an end make room for others', async () => {
    const { dial, waiting, counts } = slowDial();
    const pool = newPool({ dial, maxConnecting: 1, connectTimeout: 30, backoff: () => 60_000 });
    const [failing, dialling, patient, last] = [1, 2, 3, 4].map((port) => pool.add({ port }));
    await next(pool, 'backoff', (_info, _tag, member) => member === failing);
    await turn();
    expect(counts).toMatchObject({ now: 1, begun: 2 });
    // One that waits for its turn never dials; one that dials lets go of its place.
    patient?.destroy();
    dialling?.destroy();
    await turn();
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
        await turn();
        now--;
      },
    });
    await Promise.all(Array.from({ length: 6 }, (_, index) => pool.add({ port: index + 1 }).whenOpen()));

    expect(most).toBe(2);
  });

  test('C30 is given back by attempts that end however the microtasks fall', async () => {
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
  test('C90 a member in a storm does not disturb its siblings', async () => {
    const [stormy, calm] = [await Loopback.start(), await Loopback.start({ echo: true })];
    stormy.flap('reset');
    const pool = newPool();
    const member = pool.add(calm.target);
    await member.whenOpen();
    const heard = record(member);
    pool.add(stormy.target);
    await next(pool, 'backoff', ({ attempt }) => attempt === 6);
    expect(heard).toEqual([]);
    member.write('still here');

    expect(String(await payload(member, 'data'))).toBe('still here');
    expect(calm.accepted).toBe(1);
  });

  test('C95 a member whose name is looked up in vain does not delay the others', async () => {
    const server = await Loopback.start();
    const pool = newPool();
    for (let count = 0; count < 8; count++) {
      pool.add({ port: 1, host: `dead-${count}.test`, socket: { lookup: () => {} } });
    }

    expect(await pool.add(server.target).whenOpen()).toMatchObject({ attempts: 1 });
  });
});

describe('membership', () => {
  test('a member that closes by itself leaves after its close, and returns when it is started again', async () => {
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

    await server.restart();
    member.connect();
    expect((await next(pool, 'open')).at(-1)).toBe(member);
    expect(pool.connections).toEqual([member]);
    expect(pool.pick()).toBe(member);
  });

  test('a member that is started again in a listener of its close stays', async () => {
    const { pool, members } = await openPool(2);
    pool.on('close', (_info, _tag, member) => member.connect());
    members[0]?.destroy();
    await members[0]?.whenOpen();

    expect(new Set(pool.connections)).toEqual(new Set(members));
  });

  test('a member that is started again in a listener of its close stays, within another member’s event too', async () => {
    const { pool, members } = await openPool(2);
    pool.once('reset', () => members[0]?.destroy());
    pool.on('close', (_info, _tag, member) => member.connect());
    members[1]?.reconnect();
    await members[0]?.whenOpen();
    await members[1]?.whenOpen();

    expect(new Set(pool.connections)).toEqual(new Set(members));
    expect(pool.stats).toMatchObject({ total: 2, open: 2 });
  });

  test('C93 members that closed by themselves are not remembered for ever', async () => {
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
  test('C92 disconnect() resolves when all members have closed, and forgets them', async () => {
    const servers = await Promise.all([Loopback.start(), Loopback.start(), Loopback.start()]);
    servers[2].refuse();
    const pool = newPool();
    const members = servers.map((server) => pool.add(server.target));
    await Promise.all([members[0]?.whenOpen(), members[1]?.whenOpen(), next(pool, 'backoff')]);
    pool.broadcast('last words');
    const told = record(pool, ['close']);

    const done = pool.disconnect();
    expect(pool.disconnect()).toBe(done);
    await done;

    expect(told).toHaveLength(3);
    expect(members.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
    expect(pool.size).toBe(0);
    expect(servers.map((server) => server.received())).toEqual(['last words', 'last words', '']);
    await Promise.all(servers.map((server) => server.until(() => server.live === 0)));
  });

  test('C92 add() while disconnecting throws ERR_CLOSED, and afterwards the pool may be used again', async () => {
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

  test('destroy() ends all at once, with everything told', async () => {
    const { pool, members } = await openPool(3);
    const told = record(pool);
    pool.destroy();

    expect(told.map(([name, first]) => (name === 'state' ? first : name))).toEqual(
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
  test('count members by state, and the bytes whose fate is open', async () => {
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

test('a select that returns what is no member picks none', async () => {
  const stranger = { state: 'open' } as never;
  for (const junk of [stranger, 5 as never, null as never]) {
    const { pool } = await openPool(1, { select: () => junk });
    expect(pool.pick()).toBeUndefined();
    expect(pool.write('x', () => undefined)).toBe(false);
  }
});

test('write() checks its callback, whether or not a member is open', () => {
  const pool = newPool();
  expect(() => pool.write('x', 'utf8', 5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_CHUNK' }));
});

test('a write that found no member open is told by `drain` when one has opened', async () => {
  const server = await Loopback.start();
  const pool = newPool();
  expect(pool.write('too early')).toBe(false);
  const member = pool.add(server.target);
  const [tag, opened] = await next(pool, 'drain');

  expect([tag, opened]).toEqual([member.tag, member]);
});

test('options put on Object.prototype are none of a pool’s', async () => {
  const { pool, members } = await openPool(1);
  Object.defineProperty(Object.prototype, 'select', { value: () => undefined, configurable: true, enumerable: true });
  try {
    const { pool: polluted, members: its } = await openPool(1);
    expect([pool.pick(), polluted.pick()]).toEqual([members[0], its[0]]);
  } finally {
    Reflect.deleteProperty(Object.prototype, 'select');
  }
});
