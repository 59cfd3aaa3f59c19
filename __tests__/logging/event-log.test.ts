import { type ConnectionOptions, type LogEventsOptions, ConnectionPool, logEvents } from 'reconnecting-connection';

import { ReconnectingConnection } from '../../lib/connection';
import { ScriptedDial, pass, settle, useFakeClock } from '../kit/scripted';

type Fields = Readonly<Record<string, string | number | boolean>>;

const OPTIONS = { port: 6379, backoff: { initialDelay: 1000, maxDelay: 1000, jitter: 'none' } } as const;

const network = { current: new ScriptedDial() };
let lines: { text: string; fields: Fields }[] = [];
const log = (text: string, fields: Fields) => void lines.push({ text, fields });
const logger = { info: log, warn: log, error: log };
let undo = () => {};
let cleanUp: (() => void)[] = [];

function connectionWith(options: Partial<ConnectionOptions> = {}, logging?: LogEventsOptions): ReconnectingConnection {
  // `as`: there is a port.
  const given = { ...OPTIONS, dial: network.current.dial, ...options } as ConnectionOptions;
  const connection = new ReconnectingConnection(given);
  undo = logEvents(connection, logger, logging);
  cleanUp.push(() => connection.destroy());
  return connection;
}

function poolOf(ports: readonly number[], logging?: LogEventsOptions): ConnectionPool {
  const pool = new ConnectionPool({ ...OPTIONS, dial: network.current.dial, coordinateDials: false });
  undo = logEvents(pool, logger, logging);
  for (const port of ports) pool.add({ port });
  cleanUp.push(() => pool.destroy());
  return pool;
}

/** Lets the dials that are pending succeed; a number counts from the first. */
async function connect(...which: number[]): Promise<void> {
  await settle();
  const { links } = network.current;
  for (const [index, link] of links.entries()) {
    if (link.connecting && (which.length === 0 || which.includes(index))) link.connect();
  }
  await settle();
}

/** The peers end the sessions, as after `disconnect()`. */
async function finish(): Promise<void> {
  await settle();
  for (const link of network.current.links) if (!link.destroyed) link.finish();
  await settle();
}

/** Removes and returns the texts logged since the last call. */
const texts = () => lines.splice(0).map(({ text }) => text);

/** The writes that the lines of `drop` count. */
const droppedIn = (each: readonly { readonly fields: Fields }[]) =>
  each.reduce((sum, { fields }) => (fields['event'] === 'drop' ? sum + Number(fields['writes']) : sum), 0);

beforeEach(() => {
  useFakeClock();
  network.current = new ScriptedDial();
  lines = [];
  cleanUp = [];
});

afterEach(async () => {
  undo();
  for (const end of cleanUp) end();
  await settle();
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('dropped writes', () => {
  it('that expire together, outside an outage, are one line with their number', async () => {
    const connection = connectionWith({ queue: { maxAge: 500 } });
    for (let write = 0; write < 5; write++) connection.write('0123456789');
    await pass(1000);
    expect(texts()).toEqual(['127.0.0.1:6379: dropped 5 writes of 50 bytes in all (expired)']);
  });

  it('that go on are counted in lines at growing intervals', async () => {
    const connection = connectionWith({ queue: { maxAge: 100 }, connectTimeout: 600_000 }, { interval: 1000 });
    for (let write = 0; write < 60; write++) {
      connection.write('x');
      await pass(100);
    }
    const counts = lines.map(({ fields }) => fields['writes']);
    expect(counts.length).toBeLessThan(6);
    expect(counts[0]).toBe(1);
    await pass(10_000);
    expect(droppedIn(lines)).toBe(60);
    await pass(10_000);
    expect(jest.getTimerCount()).toBe(1);
  });

  it.each(['destroy()', 'the function that logEvents() returned', 'an interval'])(
    'that no line has counted yet are counted by %s',
    async (end) => {
      const connection = connectionWith({ queue: { maxBytes: 100 } });
      const big = Buffer.alloc(101);
      for (let write = 0; write < 3; write++) {
        connection.write(big);
        await settle();
      }
      expect(droppedIn(lines)).toBe(1);
      if (end === 'destroy()') connection.destroy();
      else if (end === 'an interval') await pass(10_000);
      else undo();
      expect(droppedIn(lines)).toBe(3);
    },
  );

  it('that are counted come before the next line of their target', async () => {
    const connection = connectionWith({ queue: { maxAge: 100 } });
    for (let write = 0; write < 3; write++) {
      connection.write('x');
      await pass(200);
    }
    network.current.last.fail('ECONNREFUSED');
    await settle();
    expect(texts()).toEqual([
      '127.0.0.1:6379: dropped a write of 1 bytes (expired)',
      '127.0.0.1:6379: dropped 2 writes of 2 bytes in all (expired)',
      '127.0.0.1:6379: retry 1 in 1 s (scripted ECONNREFUSED)',
    ]);
  });

  it('of all kinds add up to the totals of the connection, in an outage and outside', async () => {
    const connection = connectionWith({ queue: { maxBytes: 30, maxAge: 1500, overflow: 'drop-oldest' } });
    const controller = new AbortController();
    const some = () => {
      connection.write('aborted', { signal: controller.signal });
      connection.write('1', { key: 'k' });
      connection.write('2', { key: 'k' });
      for (let write = 0; write < 5; write++) connection.write('0123456789');
    };
    some();
    await settle();
    network.current.last.fail();
    await settle();
    some();
    connection.clearQueue();
    connection.write('soon', { maxAge: 10 });
    await pass(1000);
    controller.abort();
    network.current.last.fail('ETIMEDOUT');
    await pass(1000);
    some();
    await connect();
    await pass(20_000);
    network.current.last.fail();
    await settle();
    some();
    connection.destroy();
    const { dropped, refused } = connection.stats.writes;
    const reasons = new Set(lines.flatMap(({ fields }) => (fields['event'] === 'drop' ? [fields['reason']] : [])));
    expect([...reasons].sort()).toEqual(['cleared', 'destroyed', 'expired', 'overflow', 'refused', 'replaced'].sort());
    expect(droppedIn(lines)).toBe(dropped.writes + refused.writes);
    expect(lines.at(-1)?.text).toContain('closed (destroyed)');
  });

  it('of the members of a pool are one line, which names a member where it is one', async () => {
    const pool = poolOf([1, 1, 1]);
    const [first, second] = pool.connections;
    first!.write('a');
    first!.write('b');
    first!.clearQueue();
    await settle();
    expect(texts()).toEqual(['127.0.0.1:1 #1: dropped 2 writes of 2 bytes in all (cleared)']);
    first!.write('a');
    second!.write('b');
    pool.destroy();
    await settle();
    expect(texts()).toEqual([
      '127.0.0.1:1: dropped 2 writes of 2 bytes in all on 2 connections (destroyed)',
      '127.0.0.1:1: 3 connections closed (destroyed)',
    ]);
  });
});

test('a lone connection’s lines come at once, before listeners that were added later', async () => {
  const connection = connectionWith();
  const seen: string[] = [];
  connection.on('open', () => seen.push(...texts())).on('close', () => seen.push(...texts()));
  await connect();
  connection.destroy();
  expect(seen).toEqual(['127.0.0.1:6379: open, session 1', '127.0.0.1:6379: closed (destroyed), session 1 after 0 ms']);
});

test('an event in which a listener before it stops the logging is the last that is logged', () => {
  const connection = new ReconnectingConnection({ ...OPTIONS, dial: network.current.dial });
  connection.on('drop', () => undo());
  undo = logEvents(connection, logger);
  connection.write('x');
  connection.write('y');
  connection.clearQueue();
  expect(texts()).toEqual(['127.0.0.1:6379: dropped a write of 1 bytes (cleared)']);
  connection.destroy();
  expect(texts()).toEqual([]);
});

describe('the members of a pool', () => {
  it('that open and close together are one line for each target', async () => {
    const pool = poolOf([...Array.from({ length: 20 }, () => 1), 2]);
    await connect();
    expect(texts()).toEqual(['127.0.0.1:2: open, session 1', '127.0.0.1:1: 20 connections are open']);
    void pool.disconnect();
    await finish();
    expect(texts()).toEqual([
      '127.0.0.1:2: closed (disconnected), session 1 after 0 ms',
      '127.0.0.1:1: 20 connections closed (disconnected)',
    ]);
  });

  it('wait for one that dials, but for a second at most', async () => {
    poolOf([1, 1, 1]);
    await connect(0, 1);
    await pass(999);
    expect(texts()).toEqual([]);
    await pass(1);
    expect(lines[0]?.fields).toEqual({
      event: 'open',
      tag: '127.0.0.1:1',
      generation: 1,
      attempts: 1,
      connections: 2,
    });
    await connect();
    expect(texts()).toEqual(['127.0.0.1:1: 2 connections are open', '127.0.0.1:1 #3: open, session 1']);
  });

  it('do not wait for one whose dial fails', async () => {
    poolOf([1, 1, 1]);
    await connect(0, 2);
    network.current.links[1]!.fail('ECONNREFUSED');
    await settle();
    expect(texts()).toEqual([
      '127.0.0.1:1: 2 connections are open',
      '127.0.0.1:1 #2: retry 1 in 1 s (scripted ECONNREFUSED)',
    ]);
  });

  it('that wait are logged when the logging is stopped', async () => {
    poolOf([1, 1]);
    await connect(0);
    undo();
    expect(texts()).toEqual(['127.0.0.1:1 #1: open, session 1']);
  });

  it('that close for different reasons have lines of their own, and the uncertain writes are added up', async () => {
    const pool = poolOf([1, 1, 1]);
    await connect();
    texts();
    const [first, second, third] = pool.connections;
    for (const link of network.current.links) link.stalled = true;
    first!.write('1');
    second!.write('23');
    await settle();
    first!.destroy();
    second!.destroy();
    void third!.disconnect();
    await finish();
    const closed = lines.find(({ fields }) => fields['reason'] === 'destroyed');
    expect(closed?.text).toBe('127.0.0.1:1: 2 connections closed (destroyed); 2 writes (3 bytes) may be lost');
    expect(closed?.fields).toMatchObject({ connections: 2, uncertainWrites: 2, uncertainBytes: 3 });
    expect(lines.map(({ fields }) => fields['member'])).toEqual([undefined, 3]);
  });

  it('keep their number for life; the only one of a target has none', async () => {
    const pool = poolOf([1, 2, 1]);
    await connect();
    const [first, , third] = pool.connections;
    texts();
    first!.destroy();
    third!.markHealthy();
    third!.reconnect();
    await settle();
    pool.add({ port: 1 });
    pool.add({ port: 2 });
    await settle();
    network.current.links.at(-1)!.fail();
    network.current.links.at(-2)!.fail();
    await settle();
    expect(texts().map((text) => text.slice(0, text.indexOf(': ')))).toEqual([
      '127.0.0.1:1 #1',
      '127.0.0.1:1 #3',
      '127.0.0.1:2 #5',
      '127.0.0.1:1 #4',
    ]);
  });

  it('have their number in a field, and a summary has it where one member is affected', async () => {
    poolOf([1, 1], { interval: 2000 });
    await connect(0);
    await settle();
    for (let failure = 0; failure < 4; failure++) {
      network.current.last.fail('ECONNREFUSED');
      await pass(1000);
    }
    const named = lines.filter(({ text }) => !text.includes('open'));
    expect(named.map(({ text, fields }) => [text.slice(0, 21), fields['member'], fields['tag']])).toEqual([
      ['127.0.0.1:1 #2: retry', 2, '127.0.0.1:1'],
      ['127.0.0.1:1 #2: in 2 ', 2, '127.0.0.1:1'],
    ]);
  });
});
