import { ReconnectingConnection } from 'reconnecting-connection';
import { type DeliveryMessage, type Replay, type Spool, DeliveryWindow } from 'reconnecting-connection/delivery';

import { cleanUp, track } from '../kit/clean-up';
import { ScriptedDial, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(async () => {
  await cleanUp();
  jest.useRealTimers();
});

/** A spool in memory whose calls the test settles, and a window on it. */
function spooled(
  kept: Replay = { first: 1, messages: [] },
  maxBytes = 1_000,
  encode = (position: number, message: DeliveryMessage) => `${position} ${message.toString()}\n`,
) {
  const calls: unknown[][] = [];
  const pending: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const call = (...args: unknown[]) => {
    calls.push(args);
    return new Promise<void>((resolve, reject) => pending.push({ resolve, reject }));
  };
  const spool: Spool = {
    replay: () => call('replay').then(() => kept),
    append: (messages, first) => call('append', first, [...messages]),
    acknowledge: (position) => call('acknowledge', position),
  };
  const peer = new ScriptedDial();
  const { dial } = peer;
  const connection = track(new ReconnectingConnection({ port: 1, dial, backoff: () => 10 }));
  const window = new DeliveryWindow<DeliveryMessage>(connection, {
    encode,
    maxBytes,
    spool,
  });
  const errors: Error[] = [];
  window.on('error', (error) => errors.push(error));
  return {
    window,
    calls,
    errors,
    sent: () => peer.last.lines,
    open: () => peer.open(),
    done: async (error?: Error) => {
      const { resolve, reject } = pending.shift()!;
      if (error === undefined) resolve();
      else reject(error);
      await settle();
    },
  };
}

test('a message is sent once it is kept, and all of one call and one tick are kept together', async () => {
  const { window, calls, done, open, sent } = spooled();
  await done();
  await open();
  for (const text of ['a', 'b']) window.send(text);
  await settle();
  window.send('c');
  window.send(Buffer.from('d'));
  await settle();
  expect([sent(), window.stats.unspooled]).toEqual([[], 4]);
  await done();
  expect([sent(), window.stats.unspooled]).toEqual([['1 a', '2 b'], 2]);
  await done();
  expect(sent()).toEqual(['1 a', '2 b', '3 c', '4 d']);
  expect(calls).toEqual([['replay'], ['append', 1, ['a', 'b']], ['append', 3, ['c', Buffer.from('d')]]]);
});

test('of acknowledgements that come during a call, the spool gets the latest', async () => {
  const { window, calls, done, open } = spooled();
  await done();
  await open();
  for (const text of ['a', 'b', 'c', 'd']) window.send(text);
  await settle();
  await done();
  for (const position of [1, 2, 3]) {
    window.acknowledge(position);
    await settle();
  }
  await done();
  await done();
  expect(calls.slice(2)).toEqual([
    ['acknowledge', 1],
    ['acknowledge', 3],
  ]);
});

test('what was kept is replayed before anything is taken, and goes first', async () => {
  const { window, done, open, sent } = spooled({ first: 41, messages: ['x', Buffer.from('y')] });
  let isReady = false;
  let drains = 0;
  void window.ready.then(() => (isReady = true));
  window.on('drain', () => (drains += 1));
  expect(() => window.send('early')).toThrow(expect.objectContaining({ code: 'ERR_QUEUE_FULL' }));
  expect(() => window.forget(41)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }));
  await open();
  expect([isReady, window.stats.state, sent()]).toEqual([false, 'starting', []]);
  await done();
  expect([isReady, window.stats.state, drains]).toEqual([true, 'ready', 1]);
  expect(sent()).toEqual(['41 x', '42 y']);
  expect([window.first, window.next, window.stats.replayed, window.stats.resent]).toEqual([41, 43, 2, 2]);
  window.send('z');
  await settle();
  await done();
  expect(sent().at(-1)).toBe('43 z');
});

test('a handshake may forget what an earlier process has sent', async () => {
  const { window, done } = spooled({ first: 41, messages: ['x', 'y'] });
  await done();
  window.forget(41);
  expect([window.first, window.stats.acknowledged]).toEqual([42, 1]);
  expect(() => window.forget(43)).toThrow('≤ 42');
});

test('positions go on where all was acknowledged, and an async iterable is replayed too', async () => {
  const messages = (async function* () {})() as AsyncIterable<string>;
  const { window, done } = spooled({ first: 7, messages });
  await done();
  expect([window.first, window.next]).toEqual([7, 7]);
});

test.each([
  ['a replay that rejects', undefined, new Error('disk on fire'), 'disk on fire'],
  ['a replay without `first`', { messages: [] }, undefined, 'Expected the `first` of a replay to be an integer'],
  ['a replay without messages', { first: 1 }, undefined, 'Expected the `messages` of a replay to be iterable'],
  ['a replay of junk', { first: 1, messages: [5] }, undefined, 'Expected the message to be a string or a Uint8Array'],
])('%s stops the window', async (_what, kept, error, message) => {
  const { window, errors, done } = spooled(kept as never);
  await done(error);
  expect(errors).toMatchObject([{ code: 'ERR_FAILED', message: expect.stringContaining(message) as string }]);
  await expect(window.ready).rejects.toMatchObject({ code: 'ERR_FAILED' });
  expect(() => window.send('a')).toThrow(expect.objectContaining({ code: 'ERR_FAILED' }));
  expect(window.stats.state).toBe('failed');
});

test('a failing append is told once and repeated: nothing that is not kept is sent, and nothing is lost', async () => {
  const { window, errors, done, open, sent, calls } = spooled();
  await done();
  await open();
  window.send('a');
  await settle();
  await done();
  window.send('b');
  await settle();
  window.send('c');
  const flushed = window.flush();
  await done(new Error('ENOSPC'));
  await expect(flushed).rejects.toMatchObject({ code: 'ERR_FAILED', cause: { message: 'ENOSPC' } });
  expect(errors).toMatchObject([{ message: expect.stringContaining('cannot use its spool: ENOSPC') as string }]);
  expect([window.stats.state, window.send('d'), sent()]).toEqual(['ready', true, ['1 a']]);
  await settle();
  expect(calls.length).toBe(3);

  await pass(1_000);
  await done(new Error('ENOSPC'));
  expect([errors.length, calls.length]).toEqual([1, 4]);
  // What is acknowledged may make room: at once.
  window.acknowledge(1);
  await settle();
  expect(calls.slice(4)).toEqual([['acknowledge', 1]]);
  await done();
  await done();
  expect(sent()).toEqual(['1 a', '2 b']);
  await done();
  expect(calls.slice(5)).toEqual([
    ['append', 2, ['b']],
    ['append', 3, ['c', 'd']],
  ]);
  expect(sent()).toEqual(['1 a', '2 b', '3 c', '4 d']);
  window.send('e');
  await settle();
  await done(new Error('EIO'));
  expect(errors.length).toBe(2);
});

test('a batch for which a spool has no room is tried message by message, and its end is told once', async () => {
  const { window, errors, done, calls } = spooled();
  await done();
  for (const text of ['a', 'b', 'c', 'd']) window.send(text);
  await settle();
  await done(new Error('no room'));
  expect(errors).toEqual([]);
  await done();
  await done(new Error('no room'));
  await done(new Error('no room'));
  await pass(1_000);
  await done();
  await done(new Error('no room'));
  await done(new Error('no room'));
  expect(calls.slice(1).map(([, , messages]) => (messages as string[]).join(''))).toEqual([
    'abcd',
    'a',
    'bc',
    'b',
    'b',
    'cd',
    'c',
  ]);
  expect(errors).toHaveLength(1);
});

test('a batch that has a MiB gets no more messages', async () => {
  const { window, done, calls } = spooled({ first: 1, messages: [] }, 10_000_000);
  await done();
  for (let number = 0; number < 5; number++) window.send('x'.repeat(400_000));
  await settle();
  await done();
  expect(calls.slice(1).map(([, first, messages]) => [first, (messages as string[]).length])).toEqual([
    [1, 3],
    [4, 2],
  ]);
});

test('an `error` listener may close the window: then nothing is repeated', async () => {
  const { window, done, calls } = spooled();
  await done();
  window.on('error', () => window.close());
  window.send('a');
  await settle();
  await done(new Error('ENOSPC'));
  await pass(5_000);
  expect([window.stats.state, calls.length]).toEqual(['closed', 2]);
});

test('after `close` a call that fails is not repeated, and `flush` says so', async () => {
  const { window, errors, done, calls } = spooled();
  await done();
  window.send('a');
  await settle();
  const flushed = window.flush();
  expect(window.close()).toEqual([{ position: 1, message: 'a' }]);
  await done(new Error('ENOSPC'));
  await expect(flushed).rejects.toMatchObject({ code: 'ERR_FAILED' });
  await pass(5_000);
  expect([calls.length, errors]).toEqual([2, []]);
});

test('an `encode` that throws stops the spool too', async () => {
  const encode = () => {
    throw new Error('no such field');
  };
  const { window, done, open, calls } = spooled({ first: 1, messages: [] }, 1_000, encode);
  await done();
  await open();
  window.send('a');
  await settle();
  await done();
  expect(window.stats.state).toBe('failed');
  expect(() => window.send('b')).toThrow(expect.objectContaining({ code: 'ERR_FAILED' }));
  await pass(5_000);
  expect(calls.length).toBe(2);
});

test('`flush` resolves when all that was taken before is kept, also after `close`', async () => {
  const { window, done } = spooled();
  await done();
  await window.flush();
  window.send('a');
  await settle();
  window.send('b');
  let isFlushed = false;
  void window.flush().then(() => (isFlushed = true));
  window.close();
  await done();
  expect(isFlushed).toBe(false);
  await done();
  expect(isFlushed).toBe(true);
});

test('a spool may return at once, and holds more than `maxBytes`', async () => {
  const kept: DeliveryMessage[] = [];
  const connection = track(new ReconnectingConnection({ port: 1, autoConnect: false }));
  const window = new DeliveryWindow(connection, {
    encode: (_position, text) => text,
    maxBytes: 4,
    spool: {
      replay: () => ({ first: 1, messages: ['abc', 'def'] }),
      append: (messages) => void kept.push(...messages),
      acknowledge: () => undefined,
    },
  });
  await window.ready;
  expect(() => window.send('x')).toThrow('6 of 4 are not acknowledged');
  window.acknowledge(2);
  expect([window.send('x'), window.send('y')]).toEqual([true, true]);
  await window.flush();
  expect(kept).toEqual(['x', 'y']);
});
