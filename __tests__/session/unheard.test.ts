import { once } from 'node:events';

import { ConnectionPool } from 'reconnecting-connection';
import split2 from 'split2';

import { Loopback, QUICK, connectTo, next, pair, payload, track } from '../kit/loopback';
import { until } from '../kit/until';

const GREETING = '220 welcome\r\n';

/** A server that greets, and a connection to it that has got the greeting before anybody listens. */
async function greeted(options: Parameters<typeof connectTo>[1] = {}, greeting = GREETING) {
  const server = await Loopback.start({ onSession: (socket) => socket.write(greeting) });
  const connection = connectTo<string>(server, options);
  await until(() => connection.stats.bytesReceived === greeting.length);
  return { server, connection };
}

describe('bytes that arrive before anybody listens', () => {
  test.each([false, true])('wait for the first `data` listener (reuseReadBuffer: %p)', async (reuseReadBuffer) => {
    const { server, connection } = await greeted({ reuseReadBuffer });
    server.send('more');
    await until(() => connection.stats.bytesReceived === GREETING.length + 4);
    const heard: string[] = [];
    connection.on('data', (chunk) => heard.push(chunk.toString()));
    expect(heard).toEqual([]);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(heard.join('')).toBe(`${GREETING}more`);
    server.send(' and more');
    await until(() => heard.join('') === `${GREETING}more and more`);
    expect(connection.stats.unheardBytes).toBe(0);
  });

  test('wait for `sessions()`', async () => {
    const { connection } = await greeted();
    for await (const session of connection.sessions()) {
      for await (const chunk of session) {
        expect(chunk).toEqual(Buffer.from(GREETING));
        break;
      }
      break;
    }
  });

  test('wait for `toDuplex()`', async () => {
    const { connection } = await greeted();
    const stream = track(connection.toDuplex());
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    expect(chunk.toString()).toBe(GREETING);
  });

  test('wait for a listener of the pool', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write(GREETING) });
    const pool = track(new ConnectionPool(QUICK));
    const member = pool.add(server.target);
    await until(() => member.stats.bytesReceived === GREETING.length);
    const [chunk, tag] = await next(pool, 'data');
    expect([chunk.toString(), tag]).toEqual([GREETING, member.tag]);
    server.send('more');
    expect((await payload(pool, 'data')).toString()).toBe('more');
  });

  test('wait for a `message` listener, where there is a decoder', async () => {
    const { server, connection } = await greeted({ decoder: () => split2() }, 'one\ntwo\nthr');
    server.send('ee\nfour\n');
    await until(() => connection.stats.bytesReceived === 19);
    const heard: string[] = [];
    connection.on('data', () => heard.push('data')).on('message', (line) => heard.push(line));
    await until(() => heard.length === 4);
    expect(heard).toEqual(['one', 'two', 'three', 'four']);
    server.send('five\n');
    await until(() => heard.length === 5);
    expect(connection.stats.unheardBytes).toBe(0);
  });

  test('wait where the stream is no socket', async () => {
    const [near, far] = pair();
    const connection = connectTo({ target: { port: 1 } }, { dial: () => near });
    await connection.whenOpen();
    far.write(GREETING);
    await until(() => connection.stats.bytesReceived === GREETING.length);
    expect((await payload(connection, 'data')).toString()).toBe(GREETING);
  });

  test('go to a series of listeners for one event, one after the other', async () => {
    const { server, connection } = await greeted();
    expect((await payload(connection, 'data')).toString()).toBe(GREETING);
    server.send('two');
    await until(() => connection.stats.bytesReceived === GREETING.length + 3);
    server.send('three');
    await until(() => connection.stats.bytesReceived === GREETING.length + 8);
    expect(String(await once(connection, 'data'))).toBe('two');
    expect(String(await once(connection, 'data'))).toBe('three');
    expect(connection.stats.unheardBytes).toBe(0);
  });

  test('do so as messages, although one chunk brought several', async () => {
    const { connection } = await greeted({ decoder: () => split2() }, 'one\ntwo\nthree\n');
    for (const line of ['one', 'two', 'three']) {
      expect(await once(connection, 'message')).toEqual([line]);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  test('wait on when the listener has left again before the next tick', async () => {
    const { connection } = await greeted();
    const listener = jest.fn();
    connection.on('data', listener).off('data', listener);
    await new Promise((resolve) => setImmediate(resolve));
    expect(listener).not.toHaveBeenCalled();
    expect((await payload(connection, 'data')).toString()).toBe(GREETING);
  });

  test('wait while the connection is paused, ahead of what comes later', async () => {
    const { server, connection } = await greeted();
    connection.pause();
    const heard: string[] = [];
    connection.on('data', (chunk) => heard.push(chunk.toString()));
    server.send('more');
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual([]);
    connection.resume();
    await until(() => heard.join('') === `${GREETING}more`);
  });

  test('stop where a listener pauses, and go on with `resume()`', async () => {
    const { server, connection } = await greeted();
    server.send('more');
    await until(() => connection.stats.bytesReceived === GREETING.length + 4);
    const heard: string[] = [];
    connection.on('data', (chunk) => {
      heard.push(chunk.toString());
      connection.pause();
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual([GREETING]);
    connection.resume();
    await until(() => heard.length === 2);
    expect(heard[1]).toBe('more');
  });

  test('are let go beyond 64 KiB, and counted', async () => {
    const all = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index & 0xff));
    const server = await Loopback.start({ onSession: (socket) => socket.write(all) });
    const connection = connectTo(server);
    await until(() => connection.stats.bytesReceived === all.length);
    expect(connection.stats.unheardBytes).toBe(all.length - 65_536);
    const heard: Buffer[] = [];
    connection.on('data', (chunk) => heard.push(chunk));
    await new Promise((resolve) => setImmediate(resolve));
    expect(Buffer.concat(heard).equals(all.subarray(0, 65_536))).toBe(true);
    server.send('later');
    await until(() => Buffer.concat(heard).length === 65_541);
    expect(connection.stats.unheardBytes).toBe(all.length - 65_536);
  });

  test('keep their order and number however small the chunks are', async () => {
    const [near, far] = pair();
    const connection = connectTo({ target: { port: 1 } }, { dial: () => near });
    await connection.whenOpen();
    const text = Array.from({ length: 300 }, (_, index) => `${index};`);
    for (const part of text) {
      far.write(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    let heard = '';
    connection.on('data', (chunk) => (heard += chunk.toString()));
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toBe(text.join(''));
  });

  test('beyond 64 KiB go through the decoder, so that it stays in step', async () => {
    const line = `${'x'.repeat(999)}\n`;
    const [near, far] = pair();
    const connection = connectTo<string>({ target: { port: 1 } }, { dial: () => near, decoder: () => split2() });
    await connection.whenOpen();
    for (let sent = 0; sent < 300; sent++) far.write(line);
    far.write('half ');
    await until(() => connection.stats.bytesReceived === 300_005);
    expect(connection.stats.unheardBytes).toBeGreaterThan(65_536);
    const heard: string[] = [];
    connection.on('message', (message) => heard.push(message));
    far.write('and half\n');
    await until(() => heard.includes('half and half'));
    expect(heard.every((message) => message === 'half and half' || message.length === 999)).toBe(true);
  });

  test('hide neither the peer’s end nor what is left unheard by it', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end(GREETING) });
    const connection = connectTo(server, { minUptime: 0 });
    const [{ reason, generation }] = await next(connection, 'reset');
    expect([reason, generation]).toEqual(['peer-end', 1]);
    expect(connection.stats.unheardBytes).toBe(GREETING.length);
    connection.destroy();
  });

  test('hide the peer’s end no more where there is a decoder', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('one\ntwo\nthree') });
    const connection = connectTo(server, { decoder: () => split2() });
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'peer-end' });
  });

  test('hide it neither behind a decoder that is full, nor any message from a listener', async () => {
    const [text, lines] = [Array.from({ length: 9_000 }, (_, index) => index).join('\n'), 9_000];
    const server = await Loopback.start({ onSession: (socket) => socket.write(`${text}\n`) });
    const connection = connectTo<string>(server, { decoder: () => split2() });
    await until(() => connection.stats.bytesReceived === text.length + 1);
    const heard: string[] = [];
    const count = (message: string) => heard.push(message);
    connection.on('message', count);
    await until(() => heard.length === lines);
    expect(heard.join('\n')).toBe(text);
    connection.off('message', count);
    server.send(`${text}\n`);
    await until(() => connection.stats.bytesReceived === 2 * (text.length + 1));
    server.drop();
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'peer-end' });
  });

  test('never reach a listener after the `reset` of their session', async () => {
    const { server, connection } = await greeted({}, 'first');
    const events: string[] = [];
    server.drop();
    await next(connection, 'reset');
    connection.on('data', (chunk) => events.push(chunk.toString()));
    await next(connection, 'open');
    await until(() => events.length > 0);
    expect(events).toEqual(['first']);
    expect(connection.stats).toMatchObject({ unheardBytes: 5, generation: 2 });
  });

  test('count as received: the session is not idle', async () => {
    const server = await Loopback.start({
      onSession: (socket) => {
        const timer = setInterval(() => socket.write('.'), 20);
        socket.on('close', () => clearInterval(timer));
      },
    });
    const connection = connectTo(server, { idleTimeout: 400 });
    await until(() => connection.stats.bytesReceived > 40);
    expect(connection.generation).toBe(1);
  });
});
