import { once } from 'node:events';

import { type CommonOptions, ConnectionError, ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';
import { type DeliveryMessage, type DeliveryOptions, DeliveryWindow } from 'reconnecting-connection/delivery';
import { LoopbackServer } from 'reconnecting-connection/testing';
import split2 from 'split2';

import { cleanUp, track } from '../kit/clean-up';
import { Random } from '../kit/random';
import { ScriptedDial, pass, settle, useFakeClock } from '../kit/scripted';

afterEach(cleanUp);

const encode = (position: number, text: string) => `${position} ${text}\n`;

/** A window over lines, whose peer the test plays. */
function scripted(options: Partial<DeliveryOptions> = {}, more: CommonOptions = {}) {
  const peer = new ScriptedDial();
  const { dial, links } = peer;
  const connection = track(
    new ReconnectingConnection<number>({ port: 1, dial, backoff: () => 10, decoder: () => split2(Number), ...more }),
  );
  const window = new DeliveryWindow(connection, { encode, maxBytes: 1_000, ...options });
  const events: unknown[][] = [];
  for (const event of ['drain', 'acknowledged'] as const)
    window.on(event, (...args: unknown[]) => events.push([event, ...args]));
  const link = () => peer.last;
  return {
    connection,
    window,
    events,
    links,
    link,
    /** The lines that the peer has got in the present session. */
    sent: () => link().lines,
    open: () => peer.open(),
    lose: async () => {
      link().fail();
      await settle();
    },
  };
}

/** The code and the message of what a call throws. */
function thrownBy(call: () => unknown): Pick<ConnectionError, 'code' | 'message'> | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return { code: error.code, message: error.message };
  }
}

describe('over a scripted session', () => {
  beforeEach(useFakeClock);
  afterEach(async () => {
    await cleanUp();
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  test('messages get positions from 1 on, and are sent once in a session', async () => {
    const { window, open, sent } = scripted();
    expect([window.first, window.next]).toEqual([1, 1]);
    expect(window.send('a')).toBe(true);
    await open();
    window.send('b');
    await settle();
    expect(sent()).toEqual(['1 a', '2 b']);
    expect([window.first, window.next]).toEqual([1, 3]);
  });

  test('after each `open`, what is not acknowledged is sent again in order, ahead of newer messages', async () => {
    const { window, connection, open, lose, sent } = scripted();
    await open();
    for (const text of ['a', 'b', 'c']) window.send(text);
    await settle();
    window.acknowledge(1);
    await lose();
    window.send('d');
    connection.on('open', () => window.send('e'));
    await open();
    expect(sent()).toEqual(['2 b', '3 c', '4 d', '5 e']);
    expect(window.stats).toEqual({
      state: 'ready',
      taken: 5,
      replayed: 0,
      acknowledged: 1,
      unacknowledged: { messages: 4, bytes: 4 },
      unspooled: 0,
      refused: 0,
      sent: 7,
      resent: 2,
    });
  });

  test('what `open` listeners write goes first, also of a listener that was added later', async () => {
    const { window, connection, open, sent } = scripted();
    window.send('a');
    connection.write('direct\n');
    connection.on('open', () => connection.write('hello\n'));
    await open();
    expect(sent()).toEqual(['hello', 'direct', '1 a']);
  });

  test('a window that is made while a session is open, or in an `open` listener, begins with it', async () => {
    const { connection, open, sent } = scripted();
    connection.once('open', () => {
      new DeliveryWindow(connection, { encode, maxBytes: 10 }).send('early');
    });
    await open();
    new DeliveryWindow(connection, { encode, maxBytes: 10 }).send('late');
    await settle();
    expect(sent()).toEqual(['1 early', '1 late']);
  });

  test('acknowledgements are cumulative, and a stale one changes nothing', async () => {
    const { window, open, events } = scripted();
    await open();
    for (const text of ['a', 'b', 'c']) window.send(text);
    window.acknowledge(2);
    for (const stale of [2, 1, 0, -1]) window.acknowledge(stale);
    expect([window.first, window.next]).toEqual([3, 4]);
    window.acknowledge(3);
    expect([window.first, window.next]).toEqual([4, 4]);
    expect(events).toEqual([
      ['acknowledged', 2],
      ['acknowledged', 3],
    ]);
  });

  test('a position that no session was given is an error, and changes nothing', async () => {
    const { window, open, lose, link, events } = scripted();
    window.send('a');
    expect(thrownBy(() => window.acknowledge(1))).toEqual({
      code: 'ERR_INVALID_OPTION',
      message: 'Expected `position` to be an integer ≤ 0, the last position that a session was given, got 1 (number)',
    });
    // A handshake that hears of a position of another sender.
    expect(thrownBy(() => window.forget(1))?.code).toBe('ERR_INVALID_OPTION');
    await open();
    expect(thrownBy(() => window.acknowledge(2))?.code).toBe('ERR_INVALID_OPTION');
    expect(link().written).toEqual(['1 a\n']);
    await lose();
    window.send('b');
    expect(thrownBy(() => window.acknowledge(2))?.code).toBe('ERR_INVALID_OPTION');
    // What an earlier session was given may be acknowledged in a later one that was not.
    window.acknowledge(1);
    expect([window.first, window.next, events]).toEqual([2, 3, [['acknowledged', 1]]]);
  });

  test.each([1.5, NaN, Infinity, 2 ** 53, '1', null, undefined, 1n])('%p is no position', async (position) => {
    const { window, open } = scripted();
    await open();
    window.send('a');
    for (const method of ['acknowledge', 'forget'] as const) {
      expect(thrownBy(() => window[method](position as never))?.code).toBe('ERR_INVALID_OPTION');
    }
    expect(window.first).toBe(1);
  });

  test('what a handshake forgets is not sent again', async () => {
    const { dial, links } = new ScriptedDial();
    let known = 0;
    const handshake = (): void => window.forget(known);
    const connection = track(new ReconnectingConnection({ port: 1, dial, backoff: () => 10, handshake }));
    const window = new DeliveryWindow(connection, { encode, maxBytes: 1_000 });
    for (const text of ['a', 'b', 'c']) window.send(text);
    await pass(0);
    links[0]!.connect();
    await settle();
    known = 2;
    links[0]!.fail();
    await pass(10);
    links[1]!.connect();
    await settle();
    expect(links[1]!.written.join('')).toBe('3 c\n');
    expect(window.stats.resent).toBe(1);
  });

  test('a handshake that hears of positions of another sender fails', async () => {
    const { dial, links } = new ScriptedDial();
    const handshake = (): void => window.forget(57);
    const connection = track(new ReconnectingConnection({ port: 1, dial, backoff: () => 10, handshake }));
    const window = new DeliveryWindow(connection, { encode, maxBytes: 1_000 });
    window.send('a');
    const backoff = once(connection, 'backoff');
    await pass(0);
    links[0]!.connect();
    await settle();
    expect(await backoff).toMatchObject([{ reason: 'handshake-failed' }]);
    expect([window.first, window.next]).toEqual([1, 2]);
    connection.destroy();
  });

  test('acknowledged in the midst of a session, what was not sent again yet is not sent', async () => {
    const { window, open, lose, link, sent } = scripted();
    await open();
    for (const text of ['a', 'b', 'c']) window.send(text);
    await lose();
    await pass(10);
    link().connect();
    window.acknowledge(2);
    await settle();
    expect(sent()).toEqual(['3 c']);
  });

  test('`send` says when there is no room for another, and `drain` when there is', async () => {
    const { window, open, events } = scripted({ maxBytes: 10 });
    await open();
    expect(window.send('12345')).toBe(true);
    expect(window.send('67890')).toBe(false);
    expect(thrownBy(() => window.send('x'))).toEqual({
      code: 'ERR_QUEUE_FULL',
      message: 'The window to 127.0.0.1:1 has no room for 1 bytes: 10 of 10 are not acknowledged',
    });
    expect([window.next, window.stats.refused, window.stats.unacknowledged.bytes]).toEqual([3, 1, 10]);
    window.acknowledge(1);
    expect(events).toEqual([['acknowledged', 1], ['drain']]);
    window.acknowledge(2);
    expect(events.slice(2)).toEqual([['acknowledged', 2]]);
  });

  test('a listener of `acknowledged` that throws does not hold up `drain`', async () => {
    const { window, open, events } = scripted({ maxBytes: 1 });
    await open();
    window.send('a');
    window.on('acknowledged', () => {
      throw new Error('thrown by a listener');
    });
    expect(() => window.acknowledge(1)).toThrow('thrown by a listener');
    expect(events).toEqual([['acknowledged', 1], ['drain']]);
  });

  test('a message larger than `maxBytes` is never taken, and no `drain` follows', async () => {
    const { window, open, events } = scripted({ maxBytes: 4 });
    await open();
    window.send('a');
    expect(thrownBy(() => window.send('12345'))).toEqual({
      code: 'ERR_QUEUE_FULL',
      message: 'The window to 127.0.0.1:1 never takes 5 bytes: its `maxBytes` is 4',
    });
    window.acknowledge(1);
    expect(events).toEqual([['acknowledged', 1]]);
  });

  test('empty messages are bounded too', () => {
    const { window } = scripted({ maxBytes: 3 });
    expect(['', '', ''].map((text) => window.send(text))).toEqual([true, true, false]);
    expect(thrownBy(() => window.send(''))?.code).toBe('ERR_QUEUE_FULL');
  });

  test('bytes are copied, strings stay strings, and `close` hands both back', async () => {
    const given: unknown[] = [];
    const { window, connection, open } = scripted();
    const bytes = new DeliveryWindow<DeliveryMessage>(connection, {
      encode: (position, message) => {
        given.push([position, message]);
        return [`${position} `, message, '\n'];
      },
      maxBytes: 100_000,
    });
    window.close();
    const own = new Uint8Array([97, 98]);
    bytes.send(own);
    bytes.send('häß€🙂');
    bytes.send('z'.repeat(70_000));
    own.fill(0);
    await open();
    bytes.send(Buffer.from('x').subarray(0, 1));
    await settle();
    const all = [
      [1, Buffer.from('ab')],
      [2, 'häß€🙂'],
      [3, 'z'.repeat(70_000)],
      [4, Buffer.from('x')],
    ];
    expect(given).toEqual(all);
    bytes.acknowledge(1);
    expect(bytes.stats.unacknowledged).toEqual({ messages: 3, bytes: Buffer.byteLength('häß€🙂') + 70_001 });
    expect(bytes.close()).toEqual(all.slice(1).map(([position, message]) => ({ position, message })));
  });

  test('half of a surrogate pair becomes U+FFFD, each time that the message is sent', async () => {
    const given: unknown[] = [];
    const { open, lose, window } = scripted({ encode: (_position, text) => (given.push(text), text) });
    await open();
    window.send('\ud800');
    await lose();
    await open();
    expect(given).toEqual(['\ufffd', '\ufffd']);
  });

  test.each([undefined, null, 5, {}, ['a'], new Uint16Array(1)])('%p is no message', (message) => {
    const { window } = scripted();
    expect(thrownBy(() => window.send(message as never))?.code).toBe('ERR_INVALID_CHUNK');
    expect(window.next).toBe(1);
  });

  test('after `close` it takes and sends nothing, and the connection goes on', async () => {
    const { window, connection, open, sent, events } = scripted({ maxBytes: 2 });
    window.send('a');
    window.send('b');
    expect(window.close()).toEqual([
      { position: 1, message: 'a' },
      { position: 2, message: 'b' },
    ]);
    expect(window.close()).toEqual([]);
    expect(thrownBy(() => window.send('c'))?.code).toBe('ERR_CLOSED');
    await open();
    connection.write('direct\n');
    await settle();
    window.acknowledge(0);
    expect([sent(), events, window.stats.state]).toEqual([['direct'], [], 'closed']);
    expect(['open', 'reset', 'drain'].map((event) => connection.listenerCount(event as never))).toEqual([0, 0, 0]);
  });

  test('it keeps its messages when the connection closes, and goes on with it', async () => {
    const { window, connection, open, lose, sent } = scripted({}, { maxRetries: 0 });
    await open();
    window.send('a');
    await lose();
    expect(connection.state).toBe('closed');
    window.send('b');
    connection.connect();
    await open();
    expect(sent()).toEqual(['1 a', '2 b']);
  });
});

describe('back-pressure', () => {
  beforeEach(useFakeClock);
  afterEach(async () => {
    await cleanUp();
    jest.useRealTimers();
  });

  test('writes only while the session has room, and keeps the rest itself', async () => {
    const { window, connection, open, link, sent } = scripted({ maxBytes: 10_000_000 });
    await open();
    link().stalled = true;
    for (let number = 0; number < 1_000; number++) window.send('x'.repeat(1_000));
    await settle();
    expect(connection.pendingBytes).toBeLessThan(200_000);
    expect(window.stats.sent).toBeLessThan(200);
    for (let turn = 0; turn < 200; turn++) {
      link().unstall();
      await settle();
    }
    expect(sent().map((line) => Number.parseInt(line, 10))).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 1));
    expect(connection.stats.writes.refused.writes + connection.stats.writes.dropped.writes).toBe(0);
  });

  test('leaves turns of the event loop to other work, though the peer takes everything at once', async () => {
    const { window, link } = scripted({ maxBytes: 10_000_000 });
    for (let number = 0; number < 1_000; number++) window.send('x'.repeat(1_000));
    await pass(0);
    link().connect();
    let turns = 0;
    for (; window.stats.sent < 1_000; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(turns).toBeGreaterThan(10);
  });

  test('what the connection refuses, since other writes fill it, is sent in its turn', async () => {
    const { window, connection, open, link, sent } = scripted({}, { queue: { maxBytes: 0 } });
    const drops: unknown[] = [];
    connection.on('drop', ({ reason }) => drops.push(reason));
    await open();
    link().stalled = true;
    window.send('a');
    await settle();
    // Fills the stream, without the window's knowledge.
    connection.write(`${'x'.repeat(100_000)}\n`);
    window.send('b');
    window.send('c');
    await settle();
    expect(sent()).toEqual(['1 a']);
    link().unstall();
    link().unstall();
    await settle();
    link().unstall();
    await settle();
    expect(sent().filter((line) => !line.startsWith('x'))).toEqual(['1 a', '2 b', '3 c']);
    const { sent: count, resent } = window.stats;
    expect([count, resent, connection.stats.writes.refused.writes, drops]).toEqual([3, 0, 1, []]);
  });

  test('a message that meets a broken socket waits in the window, and not in the connection', async () => {
    const { window, connection, open, link, sent } = scripted();
    await open();
    window.send('a');
    // No event yet: the connection still seems open.
    link().destroy();
    window.send('b');
    expect([connection.state, connection.stats.writes.accepted.writes]).toEqual(['open', 1]);
    await settle();
    await open();
    expect(sent()).toEqual(['1 a', '2 b']);
  });
});

describe('`encode`', () => {
  beforeEach(useFakeClock);
  afterEach(async () => {
    await cleanUp();
    jest.useRealTimers();
  });

  test('is called anew for each sending, and not before', async () => {
    let session = 0;
    const calls: number[] = [];
    const { window, connection, open, lose, sent } = scripted({
      encode: (position, text) => {
        calls.push(position);
        return `${session}/${position} ${text}\n`;
      },
    });
    connection.on('open', () => (session += 1));
    window.send('a');
    window.send('b');
    expect(calls).toEqual([]);
    await open();
    expect(sent()).toEqual(['1/1 a', '1/2 b']);
    await lose();
    await open();
    expect(sent()).toEqual(['2/1 a', '2/2 b']);
    expect(calls).toEqual([1, 2, 1, 2]);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('no such field');
      },
      'no such field',
    ],
    [
      'returns no chunk',
      () => undefined as never,
      'Expected `chunk` to be a string, bytes, or an array of them, got undefined',
    ],
    ['returns a promise', () => Promise.resolve('x') as never, 'got an object'],
  ])('that %s stops the window: it says so, and hands all back', async (_what, bad, message) => {
    const good = encode;
    const { window, open, sent } = scripted({
      encode: (position, text) => (text === 'bad' ? bad() : good(position, text)),
    });
    const errors: Error[] = [];
    window.on('error', (error) => errors.push(error));
    await open();
    window.send('a');
    expect(thrownBy(() => window.send('bad'))?.code).toBe('ERR_FAILED');
    expect(thrownBy(() => window.send('c'))?.code).toBe('ERR_FAILED');
    await settle();
    expect(sent()).toEqual(['1 a']);
    expect(errors).toMatchObject([{ code: 'ERR_FAILED', message: expect.stringContaining(message) as string }]);
    expect(errors[0]?.message).toMatch('The window to 127.0.0.1:1 cannot send message 2: ');
    window.acknowledge(1);
    expect([window.stats.state, window.close()]).toEqual(['failed', [{ position: 2, message: 'bad' }]]);
  });

  test('without a listener of `error`, the process warns', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const { window, open } = scripted({ encode: () => 5 as never });
    window.send('a');
    await open();
    expect(warn.mock.calls).toMatchObject([[{ code: 'ERR_FAILED' }]]);
    await expect(once(window, 'drain', { signal: AbortSignal.abort() })).rejects.toThrow('aborted');
    warn.mockRestore();
  });

  test('may send, acknowledge, and end the session or the window', async () => {
    const { window, connection, open, sent } = scripted({
      encode: (position, text) => {
        if (text === 'send') window.send('sent by encode');
        if (text === 'acknowledge') window.acknowledge(position - 1);
        if (text === 'end') connection.fail();
        if (text === 'close') window.close();
        return encode(position, text);
      },
    });
    await open();
    for (const text of ['send', 'acknowledge', 'b']) window.send(text);
    await settle();
    expect(sent()).toEqual(['1 send', '2 sent by encode', '3 acknowledge', '4 b']);
    expect(window.first).toBe(3);
    window.acknowledge(4);
    window.send('end');
    expect([connection.state, window.stats.sent]).toEqual(['backoff', 4]);
    window.acknowledge(4);
    expect(window.stats.unacknowledged.messages).toBe(1);
    connection.destroy();
    const second = scripted({
      encode: (position, text) => {
        second.window.close();
        return encode(position, text);
      },
    });
    await second.open();
    second.window.send('close');
    await settle();
    expect(second.sent()).toEqual([]);
  });
});

test.each([
  ['no options', undefined, 'the options'],
  ['no `encode`', { maxBytes: 1 }, 'option `encode`'],
  ['no `maxBytes`', { encode }, 'option `maxBytes`'],
  ['a `maxBytes` of 0', { encode, maxBytes: 0 }, 'option `maxBytes`'],
  ['a `maxBytes` of Infinity', { encode, maxBytes: Infinity }, 'option `maxBytes`'],
  ['a spool that cannot replay', { encode, maxBytes: 1, spool: { append() {}, acknowledge() {} } }, 'option `spool`'],
  ['an unknown option', { encode, maxBytes: 1, window: 5 }, 'option `window`'],
])('%s is refused', (_what, options, name) => {
  const connection = track(new ReconnectingConnection({ port: 1, autoConnect: false }));
  const error = thrownBy(() => new DeliveryWindow(connection, options as never));
  expect(error?.code).toBe('ERR_INVALID_OPTION');
  expect(error?.message).toMatch(name);
  expect(thrownBy(() => new DeliveryWindow({} as never, { encode, maxBytes: 1 }))?.message).toMatch('`connection`');
});

/** A peer over real sockets that keeps what it has got, without duplicates, and acknowledges it. */
async function peer(acknowledges: (position: number, session: number) => 'answer' | 'reset' | 'wait') {
  const arrived: string[] = [];
  let known = 0;
  const server = await LoopbackServer.start({
    onSession: (socket, session) => {
      socket.pipe(split2()).on('data', (line: string) => {
        const position = Number.parseInt(line, 10);
        if (position > known + 1) throw new Error(`A gap: ${position} after ${known}`);
        if (position > known) arrived.push(line.slice(line.indexOf(' ') + 1));
        known = Math.max(known, position);
        const act = acknowledges(position, session);
        if (act === 'reset') socket.resetAndDestroy();
        else if (act === 'answer') socket.write(`${known}\n`);
      });
    },
  });
  track({ destroy: () => server.close() });
  return { server, arrived };
}

/** Resolves when all is acknowledged. */
async function delivered(window: DeliveryWindow): Promise<void> {
  while (window.first < window.next) await once(window, 'acknowledged');
}

describe('over real sockets', () => {
  test('replace(): nothing is lost, and late acknowledgements of the old session count', async () => {
    const { server, arrived } = await peer((position) => (position % 7 === 0 ? 'answer' : 'wait'));
    const connection = track(new ReconnectingConnection<number>({ ...server.target, decoder: () => split2(Number) }));
    const window = new DeliveryWindow(connection, { encode, maxBytes: 1_000_000 });
    connection.on('message', (position) => window.acknowledge(position));
    await connection.whenOpen();
    for (let number = 1; number <= 140; number++) {
      window.send(`m${number}`);
      if (number % 35 === 0) {
        const replaced = connection.replace();
        window.send(`m${number} again`);
        await replaced;
      }
    }
    while (window.next % 7 !== 1) window.send('fills a group');
    await delivered(window);
    expect(arrived).toHaveLength(window.next - 1);
    expect(connection.generation).toBe(5);
  });

  test('over the member of a pool, with a peer that resets the session again and again', async () => {
    let resets = 0;
    const { server, arrived } = await peer((position) => {
      if (position % 10 !== 0) return 'wait';
      return position > resets * 10 ? ((resets += 1), 'reset') : 'answer';
    });
    const pool = track(new ConnectionPool<number>({ decoder: () => split2(Number), backoff: () => 1 }));
    const member = pool.add(server.target);
    const window = new DeliveryWindow(member, { encode, maxBytes: 1_000_000 });
    pool.on('message', (position) => window.acknowledge(position));
    const texts = Array.from({ length: 100 }, (_, at) => `m${at}`);
    for (const text of texts) window.send(text);
    await delivered(window);
    expect(arrived).toEqual(texts);
    expect(window.stats.resent).toBeGreaterThanOrEqual(10);
  });

  test('twenty thousand messages in flight, acknowledged at once', async () => {
    const count = 20_000;
    const { server, arrived } = await peer((position) => (position === count ? 'answer' : 'wait'));
    const connection = track(new ReconnectingConnection<number>({ ...server.target, decoder: () => split2(Number) }));
    const window = new DeliveryWindow(connection, { encode, maxBytes: 10_000_000 });
    connection.on('message', (position) => window.acknowledge(position));
    for (let number = 1; number <= count; number++) window.send(`message ${number}`);
    await delivered(window);
    expect([arrived.length, arrived.at(-1)]).toEqual([count, `message ${count}`]);
    expect(window.stats).toMatchObject({ sent: count, resent: 0, unacknowledged: { messages: 0, bytes: 0 } });
  });
});

describe('whatever happens, the peer gets each message once and in order', () => {
  beforeEach(useFakeClock);
  afterEach(async () => {
    await cleanUp();
    jest.useRealTimers();
  });

  test.each(Array.from({ length: 25 }, (_, seed) => seed + 1))('seed %i', async (seed) => {
    const random = new Random(seed);
    const { window, connection, link, links } = scripted(
      { maxBytes: random.integer(50, 3_000) },
      { queue: { maxBytes: random.of([0, 100, 100_000]) }, closeTimeout: 50 },
    );
    const taken: string[] = [];
    const arrived: string[] = [];
    let known = 0;
    const readSoFar = new Map<object, number>();
    /** The peer reads what its sessions have brought: each in order, and without a gap. */
    const readLines = () => {
      for (const each of links.filter(({ destroyed }) => !destroyed)) {
        const text = each.written.join('');
        const end = text.lastIndexOf('\n') + 1;
        const lines = text.slice(readSoFar.get(each) ?? 0, end).split('\n');
        readSoFar.set(each, end);
        for (const line of lines.filter((one) => /^\d/.test(one))) {
          const position = Number.parseInt(line, 10);
          expect(position).toBeLessThanOrEqual(known + 1);
          if (position === known + 1) arrived.push(line.slice(line.indexOf(' ') + 1));
          known = Math.max(known, position);
        }
      }
    };
    const steps = {
      send: () => {
        const text = `${'x'.repeat(random.integer(0, 40))}${taken.length}`;
        const error = thrownBy(() => window.send(text));
        if (error === undefined) taken.push(text);
        else expect(error.code).toBe('ERR_QUEUE_FULL');
      },
      acknowledge: () => window.acknowledge(random.integer(0, known)),
      beyond: () => expect(thrownBy(() => window.acknowledge(window.next))).toBeDefined(),
      direct: () => connection.write(`direct ${'y'.repeat(random.integer(0, 70_000))}\n`),
      read: readLines,
      reset: () => link().fail(),
      open: () => link().connect(),
      stall: () => (link().stalled = true),
      unstall: () => link().unstall(),
      replace: () => void connection.replace().catch(() => undefined),
      wait: () => pass(10),
      settle,
    };
    const weights = { send: 20, acknowledge: 8, beyond: 1, direct: 3, read: 6, reset: 1, open: 6, stall: 1 };
    await pass(0);
    for (let step = 0; step < 300; step++) {
      await steps[random.weighted({ ...weights, unstall: 4, replace: 1, wait: 3, settle: 6 })]();
      if (window.first - 1 > known) throw new Error('More is acknowledged than the peer has');
    }
    for (let round = 0; round < 200 && known < taken.length; round++) {
      await pass(50);
      link().connect();
      link().unstall();
      await settle();
      readLines();
      window.acknowledge(known);
    }
    window.acknowledge(known);
    expect(arrived).toEqual(taken);
    expect([window.first, window.next]).toEqual([taken.length + 1, taken.length + 1]);
    const { taken: count, acknowledged, unacknowledged } = window.stats;
    expect([count, acknowledged, unacknowledged.bytes]).toEqual([taken.length, taken.length, 0]);
  });
});
