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
function spooled(kept: Replay = { first: 1, messages: [] }, maxBytes = 1_000) {
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
  const { dial, links } = new ScriptedDial();
  const connection = track(new ReconnectingConnection({ port: 1, dial, backoff: () => 10 }));
  const window = new DeliveryWindow<DeliveryMessage>(connection, {
    encode: (position, message) => `${position} ${message.toString()}\n`,
    maxBytes,
    spool,
  });
  const errors: Error[] = [];
  window.on('error', (error) => errors.push(error));
  return {
    window,
    calls,
    errors,
    sent: () => links.at(-1)!.written.join('').split('\n').filter(Boolean),
    open: async () => {
      await pass(10);
      links.at(-1)!.connect();
      await settle();
    },
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

test('a failing append stops the window: nothing that is not kept is sent, and all is handed back', async () => {
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
  await expect(flushed).rejects.toMatchObject({ code: 'ERR_FAILED' });
  await expect(window.flush()).rejects.toMatchObject({ code: 'ERR_FAILED' });
  expect(errors).toMatchObject([{ code: 'ERR_FAILED', cause: { message: 'ENOSPC' } }]);
  expect(() => window.send('d')).toThrow('cannot use its spool: ENOSPC');
  window.acknowledge(1);
  await settle();
  expect([sent(), calls.length]).toEqual([['1 a'], 3]);
  expect(window.close()).toEqual([
    { position: 2, message: 'b' },
    { position: 3, message: 'c' },
  ]);
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
