import { once } from 'node:events';
import { inspect } from 'node:util';

import { EventEmitter } from 'eventemitter3';
import { ReconnectingConnection, constantBackoff } from 'reconnecting-connection';

import { names, record } from './kit/record';
import { ScriptedDial, pass, settle, useFakeClock } from './kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

async function openConnection(options: object = {}) {
  const script = new ScriptedDial();
  const connection = new ReconnectingConnection({ port: 6379, dial: script.dial, ...options });
  await settle();
  script.last.connect();
  await settle();
  return { connection, script, link: script.last };
}

test('it dials on the next microtask, so listeners added in the same tick receive every event', async () => {
  const script = new ScriptedDial();
  const connection = new ReconnectingConnection({ port: 1, dial: script.dial });
  expect(connection.state).toBe('idle');
  const events = record(connection);
  await settle();

  expect(events).toEqual([['state', 'connecting', 'idle']]);
  expect(script.links).toHaveLength(1);
  connection.destroy();
});

describe('clearQueue()', () => {
  const nothing = { writes: 0, bytes: 0 };
  const one = { writes: 1, bytes: 1 };

  test('drops what waits, in every state in which something can', async () => {
    const script = new ScriptedDial();
    const connection = new ReconnectingConnection({ port: 1, dial: script.dial, autoConnect: false });
    const drops: string[] = [];
    connection.on('drop', ({ reason, error }) => drops.push(`${reason} ${error.code}`));
    const clear = () => {
      connection.write('x');
      return [connection.state, connection.clearQueue()];
    };
    expect(clear()).toEqual(['idle', one]);
    connection.connect();
    await settle();
    expect(clear()).toEqual(['connecting', one]);
    script.last.fail();
    await settle();
    expect(clear()).toEqual(['backoff', one]);
    connection.reconnect();
    await settle();
    script.last.connect();
    await settle();
    expect(clear()).toEqual(['open', nothing]);
    connection.reconnect();
    await settle();
    connection.write('y');
    void connection.disconnect();
    expect([connection.state, connection.clearQueue()]).toEqual(['closing', one]);
    connection.destroy();
    expect(clear()).toEqual(['closed', nothing]);
    expect(drops).toEqual(Array(4).fill('cleared ERR_CLEARED'));
  });

  test('reports all before the `close` that a `drop` listener brings about', async () => {
    const script = new ScriptedDial();
    const connection = new ReconnectingConnection({ port: 1, dial: script.dial });
    await settle();
    const events = record(connection);
    connection.on('drop', () => connection.destroy());
    connection.write('a');
    connection.write('b');
    connection.clearQueue();
    expect(names(events).filter((name) => name !== 'state')).toEqual(['drop', 'drop', 'close']);
  });
});

test('with autoConnect false it waits for connect()', async () => {
  const script = new ScriptedDial();
  const connection = new ReconnectingConnection({ port: 1, dial: script.dial, autoConnect: false });
  await settle();
  expect(connection.state).toBe('idle');
  connection.connect();
  connection.connect();
  await settle();

  expect(script.links).toHaveLength(1);
  connection.destroy();
});

test('destroyed in the tick of its creation, it never dials', async () => {
  const script = new ScriptedDial();
  const connection = new ReconnectingConnection({ port: 1, dial: script.dial });
  connection.destroy();
  await settle();

  expect([connection.state, script.links.length]).toEqual(['closed', 0]);
});

test('it is an emitter of eventemitter3 that works with `once` of node:events', async () => {
  const { connection, link } = await openConnection();
  expect(connection).toBeInstanceOf(EventEmitter);
  const data = once(connection, 'data');
  link.receive('hello');

  expect(await data).toEqual([Buffer.from('hello')]);
  connection.destroy();
});

test('it copies its options: later changes have no effect', async () => {
  const script = new ScriptedDial();
  const options = { port: 1, dial: script.dial, backoff: constantBackoff(50), autoConnect: false };
  const connection = new ReconnectingConnection(options);
  Object.assign(options, { port: 2, dial: undefined });
  connection.connect();
  await settle();

  expect([connection.tag, script.links.length]).toEqual(['127.0.0.1:1', 1]);
  connection.destroy();
});

test('the tag is that of the static target until a `target` function has returned one', async () => {
  const script = new ScriptedDial();
  const target = () => ({ host: '::1', port: 2 });
  const named = new ReconnectingConnection({ port: 1, target, dial: script.dial });
  const unnamed = new ReconnectingConnection({ target, dial: script.dial });
  expect([named.tag, unnamed.tag]).toEqual(['127.0.0.1:1', 'unresolved']);
  await settle();

  expect([named.tag, unnamed.tag]).toEqual(['[::1]:2', '[::1]:2']);
  named.destroy();
  unnamed.destroy();
});

describe('write()', () => {
  test('takes strings in any encoding, bytes, and a callback in either position', async () => {
    const { connection, link } = await openConnection();
    const results: unknown[] = [];
    connection.write('616263', 'hex', (error) => results.push(error));
    connection.write(new Uint8Array([100, 101]), (error) => results.push(error));
    connection.write(Buffer.from('f'));
    await settle();

    expect(link.written).toEqual(['abc', 'de', 'f']);
    expect(results).toEqual([undefined, undefined]);
    connection.destroy();
  });

  test.each([[undefined], [null], [1], [{}], [['a', 1]]])('throws ERR_INVALID_CHUNK for %p, at once', async (chunk) => {
    const { connection } = await openConnection();
    expect(() => connection.write(chunk as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_CHUNK' }));
    connection.destroy();
  });

  test('takes an array of chunks as one write, and options in the place of the encoding', async () => {
    const { connection, link } = await openConnection();
    const results: unknown[] = [];
    connection.write(['61', Buffer.from('b'), '63'], { encoding: 'hex' }, (error) => results.push(error));
    connection.write([], (error) => results.push(error));
    await settle();

    expect([link.written.join(''), results]).toEqual(['abc', [undefined, undefined]]);
    expect(connection.stats.writes.confirmed).toEqual({ writes: 2, bytes: 3 });
    connection.destroy();
  });

  test('throws ERR_INVALID_OPTION for a wrong option, and takes nothing', async () => {
    const { connection } = await openConnection();
    expect(() => connection.write('a', { maxAge: -1 })).toThrow('Expected option `write.maxAge` to be a number ≥ 0');
    expect(connection.stats.writes.accepted.writes).toBe(0);
    connection.destroy();
  });

  test('hands a large array over as it is', async () => {
    const { connection, link } = await openConnection();
    connection.write(['a', Buffer.alloc(20_000)]);
    await settle();
    expect(link.written.map(({ length }) => length)).toEqual([1, 20_000]);
    expect(connection.stats.writes.confirmed).toEqual({ writes: 1, bytes: 20_001 });
    connection.destroy();
  });

  test('throws for an unknown encoding, and for a callback that is not a function', async () => {
    const { connection } = await openConnection();
    expect(() => connection.write('a', 'utf-9' as never)).toThrow(
      'Expected `encoding` to be one of Buffer\'s, got "utf-9" (string)',
    );
    expect(() => connection.write('a', 'utf8', 1 as never)).toThrow(
      'Expected `callback` to be a function, got 1 (number)',
    );
    connection.destroy();
  });

  test('a callback that throws is one uncaught exception, and the others are still called', async () => {
    const thrown: unknown[] = [];
    jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
      void Promise.resolve()
        .then(task)
        .catch((error: unknown) => thrown.push(error));
    });
    const { connection } = await openConnection();
    const called: string[] = [];
    const oops = new Error('oops');
    connection.write('a', () => {
      throw oops;
    });
    connection.write('b', () => called.push('b'));
    await settle();
    jest.restoreAllMocks();

    expect([thrown, called]).toEqual([[oops], ['b']]);
    connection.destroy();
  });

  test('a write refused by a full queue emits `drop` when it has no callback', async () => {
    const script = new ScriptedDial();
    const connection = new ReconnectingConnection({ port: 1, dial: script.dial, queue: { maxBytes: 3 } });
    const events = record(connection, ['drop']);
    expect(connection.write('abc')).toBe(false);
    expect(connection.write('d')).toBe(false);
    await settle();

    expect(events).toEqual([
      [
        'drop',
        expect.objectContaining({
          chunk: Buffer.from('d'),
          bytes: 1,
          reason: 'refused',
          error: expect.objectContaining({ code: 'ERR_QUEUE_FULL' }) as Error,
        }),
      ],
    ]);
    connection.destroy();
    connection.write('e');
    await settle();
    expect(names(events)).toEqual(['drop', 'drop']);
    expect(events[1]?.[1]).toMatchObject({ chunk: Buffer.from('abc'), reason: 'destroyed' });
  });

  test('`drain` is emitted in the next session when the last one was lost while full', async () => {
    const { connection, script, link } = await openConnection({ backoff: constantBackoff(100) });
    const events = record(connection, ['drain', 'open']);
    link.stalled = true;
    expect(connection.write(Buffer.alloc(1_000_000))).toBe(false);
    link.fail();
    await settle();
    await pass(100);
    script.last.connect();
    await settle();

    expect(names(events)).toEqual(['open', 'drain']);
    connection.destroy();
  });
});

describe('what it shows', () => {
  const passphrase = 'correct horse battery staple';

  test('inspect and JSON contain no secrets', async () => {
    const { connection, link } = await openConnection({
      handshake: () => Promise.resolve(),
      signal: new AbortController().signal,
    });
    connection.write(passphrase);
    link.fail('EPIPE');
    await settle();

    expect(inspect(connection)).toBe(
      "ReconnectingConnection { tag: '127.0.0.1:6379', state: 'backoff', generation: 1 }",
    );
    expect(JSON.parse(JSON.stringify(connection))).toEqual(JSON.parse(JSON.stringify(connection.stats)));
    expect(JSON.stringify(connection) + inspect(connection, { depth: 9, showHidden: true })).not.toContain(passphrase);
    connection.destroy();
  });

  test('stats count dials, failures, sessions, bytes and writes', async () => {
    const { connection, script, link } = await openConnection({ backoff: constantBackoff(100) });
    link.receive('12345');
    connection.write('abc');
    await pass(50);
    expect(connection.stats).toMatchObject({ state: 'open', uptime: 50, bytesReceived: 5, resets: 0 });
    link.fail();
    await settle();
    connection.write('de');
    await pass(100);
    script.last.fail('ECONNREFUSED');
    await settle();

    const at = expect.any(Number) as number;
    expect(connection.stats).toEqual({
      state: 'backoff',
      tag: '127.0.0.1:6379',
      generation: 1,
      dials: 2,
      failures: 1,
      resets: 1,
      bytesReceived: 5,
      unheardBytes: 5,
      roundTrip: null,
      writes: {
        accepted: { writes: 2, bytes: 5 },
        confirmed: { writes: 1, bytes: 3 },
        uncertain: { writes: 0, bytes: 0 },
        dropped: { writes: 0, bytes: 0 },
        queued: { writes: 1, bytes: 2 },
        refused: { writes: 0, bytes: 0 },
      },
      lastError: { message: 'scripted ECONNREFUSED', code: 'ECONNREFUSED', at },
      transitions: [
        { from: 'idle', to: 'connecting', at },
        { from: 'connecting', to: 'open', at },
        { from: 'open', to: 'backoff', at },
        { from: 'backoff', to: 'connecting', at },
        { from: 'connecting', to: 'backoff', at },
      ],
    });
    expect(connection.pendingBytes).toBe(2);
    connection.destroy();
  });

  test('`socket` is the socket of the session, and undefined without a session', async () => {
    const { connection, link } = await openConnection();
    expect(connection.socket).toBe(link);
    link.fail();
    await settle();
    expect(connection.socket).toBeUndefined();
    connection.destroy();
  });
});

test('`await using` disconnects', async () => {
  const { connection, link } = await openConnection();
  const disposed = connection[Symbol.asyncDispose]();
  expect(connection.state).toBe('closing');
  link.finish();
  await disposed;
  expect(connection.state).toBe('closed');
});
