import { once } from 'node:events';
import { type Server, createServer } from 'node:net';
import type { Duplex } from 'node:stream';

import {
  type ConnectionOptions,
  type PoolOptions,
  type ReconnectingConnection,
  type SelectMember,
  ConnectionPool,
} from 'reconnecting-connection';

import { QUICK, next, pair, track } from '../kit/loopback';
import { record } from '../kit/record';

// What a pool does about members that have no room for writes.

const FULL = Buffer.alloc(200_000);

interface Fixture {
  readonly pool: ConnectionPool;
  readonly members: ReconnectingConnection[];
  /** The peers' ends, by index. They do not read until a test resumes them. */
  readonly far: Duplex[];
}

/** A pool of open members, in memory, whose peers do not read. */
async function openPool(count: number, options: PoolOptions = {}): Promise<Fixture> {
  const far: Duplex[] = [];
  const dial: NonNullable<ConnectionOptions['dial']> = (target) => {
    const [near, other] = pair();
    if ('port' in target) far[target.port - 1] = other;
    return near;
  };
  const pool = track(new ConnectionPool({ ...QUICK, dial, ...options }));
  const members = Array.from({ length: count }, (_, index) => pool.add({ port: index + 1 }));
  await Promise.all(members.map((member) => member.whenOpen()));
  return { pool, members, far };
}

const tick = () => new Promise(setImmediate);

/** Which members are picked, by number. */
function picks({ pool, members }: Fixture, count: number, key?: string): string {
  return Array.from({ length: count }, () => members.indexOf(pool.pick(key)!) + 1).join('');
}

/** Functions as applications write them. */
const turns = (): SelectMember => {
  let next = 0;
  return (open) => open[next++ % open.length];
};
const FUNCTIONS: [string, () => SelectMember][] = [
  ['a function that takes turns', turns],
  ['a function that takes the first', () => (open) => open[0]],
  ['a random function', () => (open) => open[Math.floor(Math.random() * open.length)]],
];
const POLICIES: [string, () => NonNullable<PoolOptions['select']>][] = [
  ['round-robin', () => 'round-robin'],
  ['least-pending', () => 'least-pending'],
  ['random-two', () => 'random-two'],
  ['peak-ewma', () => 'peak-ewma'],
  ['rendezvous', () => 'rendezvous'],
  ...FUNCTIONS,
];

describe.each(POLICIES)('with %s', (_name, select) => {
  test('a member without room is passed over while another has room', async () => {
    const fixture = await openPool(3, { select: select() });
    fixture.members[1]!.write(FULL);
    expect(picks(fixture, 30)).not.toContain('2');
    fixture.members[0]!.write(FULL);
    expect(picks(fixture, 4)).toBe('3333');
  });

  test('it is picked again when it has room', async () => {
    const fixture = await openPool(2, { select: select() });
    fixture.members[0]!.write(FULL);
    expect(picks(fixture, 4)).toBe('2222');
    const drained = next(fixture.members[0]!, 'drain');
    fixture.far[0]!.resume();
    await drained;
    fixture.members[1]!.write(FULL);
    expect(picks(fixture, 4)).toBe('1111');
  });

  test('members are picked all the same when none has room', async () => {
    const fixture = await openPool(2, { select: select() });
    for (const member of fixture.members) member.write(FULL);
    expect(picks(fixture, 4)).toMatch(/^[12]{4}$/);
  });

  test('write() returns true until no member has room, and then false until one has', async () => {
    const { pool, far } = await openPool(3, { select: select() });
    const results = Array.from({ length: 4 }, () => pool.write(FULL));
    expect(results).toEqual([true, true, false, false]);
    const drained = next(pool, 'drain');
    far[1]!.resume();
    expect((await drained)[0]).toBe('127.0.0.1:2');
    expect([pool.write(FULL), pool.write('x')]).toEqual([false, false]);
  });

  test('who waits for drain is never left waiting, though one member never reads, and nothing is refused', async () => {
    const servers = await Promise.all([true, false, true].map(startServer));
    const pool = track(new ConnectionPool({ ...QUICK, select: select() }));
    for (const { port } of servers) pool.add({ port });
    await pool.whenOpen(3);
    const chunk = Buffer.alloc(65_536);
    const errors: unknown[] = [];
    let waits = 0;
    for (let count = 0; count < 150; count++) {
      if (pool.write(chunk, (error) => error && errors.push(error.code))) continue;
      waits += 1;
      await once(pool as never, 'drain');
    }
    const [first, , third] = pool.connections;
    while (first!.pendingBytes + third!.pendingBytes > 0) await tick();
    expect(errors).toEqual([]);
    expect(waits).toBeGreaterThan(0);
  });
});

/** A server that reads what it is sent, or never does. */
async function startServer(isReading: boolean): Promise<{ port: number }> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (isReading) socket.resume();
    track({ destroy: () => socket.destroy() });
  });
  track({ destroy: () => server.close() });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0 };
}

test('rendezvous keeps to the member of its key, which may have no room', async () => {
  const fixture = await openPool(3, { select: 'rendezvous' });
  const home = fixture.pool.pick('some key')!;
  home.write(FULL);
  expect(fixture.pool.pick('some key')).toBe(home);
});

describe('a function', () => {
  test('is given all open members with a key, and those with room without one', async () => {
    const asked: number[] = [];
    const fixture = await openPool(3, {
      select: (open) => {
        asked.push(open.length);
        return open.at(-1);
      },
    });
    fixture.members[2]!.write(FULL);
    expect([picks(fixture, 1, 'some key'), picks(fixture, 1), picks(fixture, 1)]).toEqual(['3', '2', '2']);
    // The first choice without a key was found to have no room.
    expect(asked).toEqual([3, 3, 2, 2]);
  });

  test('that returns none of those with room is asked for one of all, whose room then counts', async () => {
    const { pool, far } = await openPool(3, { select: (open) => open.find(({ tag }) => tag === '127.0.0.1:2') });
    expect([pool.write(FULL), pool.write('more')]).toEqual([true, false]);
    const drained = next(pool, 'drain');
    far[1]!.resume();
    expect((await drained)[0]).toBe('127.0.0.1:2');
    expect(pool.write('x')).toBe(true);
  });

  test('may return a member that it was not offered', async () => {
    const fixture = await openPool(2, { select: () => leader });
    const leader = fixture.members[0];
    leader!.write(FULL);
    expect(picks(fixture, 2)).toBe('11');
  });
});

describe('after write() returned false', () => {
  test('drain is emitted when a member opens, behind what its `open` listeners and its queue write', async () => {
    const { pool, members, far } = await openPool(1);
    const member = pool.add({ port: 2, autoConnect: false });
    member.write('queued;');
    expect(pool.write(FULL)).toBe(false);
    member.on('open', () => void member.write('hello;'));
    pool.once('drain', () => void pool.write('waited;'));
    member.connect();
    const [tag] = await next(pool, 'drain');
    await tick();

    expect(tag).toBe(member.tag);
    expect(String(far[1]!.read())).toBe('hello;queued;waited;');
    expect(members[0]!.pendingBytes).toBeGreaterThan(0);
  });

  test('drain is emitted once when a member opens', async () => {
    const { pool } = await openPool(1);
    pool.write(FULL);
    const events = record(pool, ['drain']);
    const [second, third] = [pool.add({ port: 2 }), pool.add({ port: 3 })];
    await Promise.all([second.whenOpen(), third.whenOpen()]);
    await tick();
    expect(events).toHaveLength(1);
  });

  test('drain is not emitted when a member opens whose queue has no room, until it has', async () => {
    const { pool, far } = await openPool(1);
    pool.write(FULL);
    const member = pool.add({ port: 2 });
    member.write(FULL);
    const events = record(pool, ['drain']);
    await member.whenOpen();
    await tick();
    expect(events).toEqual([]);
    const drained = next(pool, 'drain');
    far[1]!.resume();
    expect((await drained)[0]).toBe(member.tag);
  });

  test('drain is emitted when the member without room closes, and another with room remains', async () => {
    const { pool, members } = await openPool(2, { select: (open) => open.find(({ tag }) => tag === leader) });
    const leader = members[0]!.tag;
    pool.write(FULL);
    expect(pool.write('more')).toBe(false);
    const drained = next(pool, 'drain');
    members[0]!.destroy();
    expect((await drained)[0]).toBe(members[1]!.tag);
  });

  test('a member that is lost and comes back has room', async () => {
    const { pool, members, far } = await openPool(1);
    pool.write(FULL);
    const drained = next(pool, 'drain');
    far[0]!.destroy();
    await drained;
    expect(members[0]!.generation).toBe(2);
    expect(pool.write('x')).toBe(true);
  });
});

test('a member whose peer has ended the session has no room', async () => {
  const fixture = await openPool(2);
  const picked = new Promise((resolve) => {
    fixture.members[0]!.socket!.once('end', () => resolve([fixture.members[0]!.state, picks(fixture, 3)]));
  });
  fixture.far[0]!.end();
  expect(await picked).toEqual(['open', '222']);
});

test('a member that holds as many small writes as fit has no room: nothing is refused while another has', async () => {
  const { pool, members } = await openPool(2, { queue: { maxBytes: 1_024 } });
  const errors: unknown[] = [];
  const write = () => pool.write('x', (error) => error && errors.push(error.code));
  // So many writes fit into one member.
  for (let count = 0; count < 1_024; count++) members[0]!.write('x');
  const results = Array.from({ length: 1_024 }, write);
  expect(members.map(({ pendingBytes }) => pendingBytes)).toEqual([1_024, 1_024]);
  expect(results).not.toContain(false);
  expect(write()).toBe(false);
  await next(pool, 'drain');
  expect(errors).toEqual(['ERR_QUEUE_FULL']);
});
