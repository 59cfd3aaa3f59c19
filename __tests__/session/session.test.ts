import { Duplex, Transform } from 'node:stream';

import split2 from 'split2';

import {
  Loopback,
  block,
  connectTo,
  next,
  pair,
  payload,
  payloads,
  receives,
  run,
  serveElsewhere,
  written,
} from '../kit/loopback';
import { names, record } from '../kit/record';

const lines = () => split2();

/** A server that sends a byte every few milliseconds. */
function sendingEvery(milliseconds: number): Promise<Loopback> {
  return Loopback.start({
    onSession: (socket) => {
      const timer = setInterval(() => socket.write('.'), milliseconds);
      socket.on('close', () => clearInterval(timer));
    },
  });
}

describe('decoder', () => {
  test('turns bytes into messages; `data` is not emitted', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('one\ntwo\nthr') });
    const connection = connectTo<string>(server, { decoder: lines });
    const events = record(connection, ['message', 'data']);
    await payloads(connection, 'message', 2);
    server.send('ee\n');
    await next(connection, 'message');

    expect(events).toEqual([
      ['message', 'one'],
      ['message', 'two'],
      ['message', 'three'],
    ]);
  });

  test('is new for every session: half a line never crosses a reset', async () => {
    const server = await Loopback.start();
    const connection = connectTo<string>(server, { decoder: lines });
    const events = record(connection, ['message', 'reset']);
    await connection.whenOpen();
    await server.session(1);
    server.send('whole\nhel');
    await next(connection, 'message');
    server.reset();
    await next(connection, 'open');
    await server.session(2);
    server.send('lo\n');
    await next(connection, 'message');

    expect(events.map(([name, message]) => (name === 'message' ? message : name))).toEqual(['whole', 'reset', 'lo']);
  });

  test('C46 is new for every session: half a character never crosses a reset', async () => {
    const euro = Buffer.from('€');
    const server = await Loopback.start({
      onSession: (socket, number) =>
        socket.write(
          number === 1
            ? Buffer.concat([Buffer.from('a\n'), euro.subarray(0, 2)])
            : Buffer.concat([euro.subarray(2), euro, Buffer.from('\n')]),
        ),
    });
    const connection = connectTo<string>(server, { decoder: lines });
    const first = await payload(connection, 'message');
    server.reset();
    await next(connection, 'open');
    const second = await payload(connection, 'message');

    expect(first).toBe('a');
    expect(second).toBe('\u{fffd}€');
  });

  test('flushes its last message at the peer’s FIN, before the reset', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('one\nlast without end') });
    const connection = connectTo<string>(server, { decoder: lines });
    const events = record(connection, ['message', 'reset']);
    await next(connection, 'reset');

    expect(events).toEqual([
      ['message', 'one'],
      ['message', 'last without end'],
      ['reset', expect.objectContaining({ reason: 'peer-end' })],
    ]);
  });

  test('that flushes slowly delays the reset', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('abc') });
    const slow = () =>
      new Transform({
        transform: (_chunk, _encoding, done) => done(),
        flush: (done) => void setTimeout(done, 50, null, 'flushed'),
      });
    const connection = connectTo<Buffer>(server, { decoder: slow });
    const events = record(connection, ['message', 'reset']);
    await next(connection, 'reset');

    expect(events.map(([name, message]) => (name === 'message' ? String(message) : name))).toEqual([
      'flushed',
      'reset',
    ]);
  });

  test('that never flushes is given up after closeTimeout', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('abc') });
    const stuck = () => new Transform({ transform: (_chunk, _encoding, done) => done(), flush: () => {} });
    const connection = connectTo<Buffer>(server, { decoder: stuck, closeTimeout: 60 });

    expect(await payload(connection, 'reset')).toMatchObject({
      reason: 'error',
      error: { message: 'The decoder put nothing out for 60 ms after the peer had ended' },
    });
  });

  test.each<[string, () => Transform]>([
    [
      'calls back with',
      () => new Transform({ transform: (_chunk, _encoding, done) => done(new Error('not a frame')) }),
    ],
    [
      'emits',
      () => {
        const decoder: Transform = new Transform({ transform: () => decoder.emit('error', new Error('not a frame')) });
        return decoder;
      },
    ],
    [
      'is destroyed with',
      () => {
        const decoder: Transform = new Transform({ transform: () => decoder.destroy(new Error('not a frame')) });
        return decoder;
      },
    ],
  ])('that %s an error resets the session; the next session has a new decoder', async (_how, broken) => {
    const decoders = [broken, lines];
    const server = await Loopback.start({ onSession: (socket) => socket.write('hello\n') });
    const connection = connectTo<string>(server, { decoder: () => decoders.shift()!() });
    const reset = await payload(connection, 'reset');

    expect(reset).toMatchObject({ reason: 'error', error: { message: 'not a frame' }, willRetry: true });
    expect(await payload(connection, 'message')).toBe('hello');
    await server.until(() => server.live === 1);
  });

  test('that throws resets the session, without an uncaught exception', async () => {
    const { code, said } = await run(`
      process.on('uncaughtException', ({ message }) => say('uncaught ' + message));
      const server = net.createServer((socket) => socket.on('error', () => {}).write('not json')).listen(0, '127.0.0.1', () => {
        const decoder = () => new Transform({ transform(chunk, encoding, done) { this.push(JSON.parse(chunk)); done(); } });
        const connection = new ReconnectingConnection({ ...QUICK, port: server.address().port, decoder });
        connection.on('reset', ({ reason, error }) => { say([reason, error.name]); process.exit(); });
        setTimeout(process.exit, 2000, 1);
      });
    `);

    expect({ code, said }).toEqual({ code: 0, said: [['error', 'SyntaxError']] });
  });

  test('that throws in its flush resets the session with that error', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('abc') });
    const decoder = () =>
      new Transform({
        transform: (_chunk, _encoding, done) => done(),
        flush: () => {
          throw new Error('half a frame is left');
        },
      });
    const connection = connectTo<Buffer>(server, { decoder });

    expect(await payload(connection, 'reset')).toMatchObject({
      reason: 'error',
      error: { message: 'half a frame is left' },
    });
  });

  test('made from a generator resets the session when the generator throws', async () => {
    const decoder = () =>
      Duplex.from(async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          if (chunk.includes('bad')) throw new Error('bad frame');
          yield chunk.toString().toUpperCase();
        }
      }) as never;
    const server = await Loopback.start({ onSession: (socket) => socket.write('good') });
    const connection = connectTo<string>(server, { decoder });
    expect(await payload(connection, 'message')).toBe('GOOD');
    server.send('bad');

    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error', error: { message: 'bad frame' } });
    expect(await payload(connection, 'message')).toBe('GOOD');
  });

  test('that ends before its input resets the session with an error', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hello\n') });
    const decoders = [
      () => {
        const decoder: Transform = new Transform({ transform: () => decoder.destroy() });
        return decoder;
      },
      lines,
    ];
    const connection = connectTo<string>(server, { decoder: () => decoders.shift()!() });

    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error' });
    expect(await payload(connection, 'message')).toBe('hello');
  });

  test('keeps its messages while paused, also when the socket has closed', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('one\ntwo\n') });
    const connection = connectTo<string>(server, { decoder: lines });
    connection.pause();
    const events = record(connection, ['message', 'reset']);
    await connection.whenOpen();
    await next(connectTo(server), 'reset');
    expect(events).toEqual([]);

    connection.resume();
    await next(connection, 'reset');
    expect(names(events)).toEqual(['message', 'message', 'reset']);
  });

  test('that is full stops the reading from the peer', async () => {
    const server = await Loopback.start();
    const connection = connectTo<Buffer>(server, {
      decoder: () => new Transform({ transform: () => {} }),
    });
    await connection.whenOpen();
    const socket = await server.session(1);
    const offered = 40_000_000;
    socket.write(Buffer.alloc(offered));
    await written(connection, 'x');
    await server.receives('x');

    expect(connection.stats.bytesReceived).toBeLessThan(offered / 2);
    expect(connection.socket?.readableLength).toBeLessThanOrEqual(1_000_000);
  });

  test('works over a stream that is not a socket', async () => {
    const [near, far] = pair();
    const connection = connectTo<string>({ target: { port: 1 } }, { dial: () => near, decoder: lines });
    await connection.whenOpen();
    far.end('one\ntwo');

    expect(await payloads(connection, 'message', 2)).toEqual(['one', 'two']);
    expect(connection.stats.bytesReceived).toBe(7);
  });
});

describe('reuseReadBuffer', () => {
  test('chunks are correct while their listener runs, and share one buffer', async () => {
    const server = await Loopback.start({ echo: true });
    const connection = connectTo(server, { reuseReadBuffer: true });
    const memory = new Set<ArrayBufferLike>();
    connection.on('data', (chunk) => memory.add(chunk.buffer));
    await connection.whenOpen();
    const sent = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index % 251));
    let received = 0;
    let wrong = 0;
    connection.on('data', (chunk) => {
      for (const byte of chunk) if (byte !== received++ % 251) wrong++;
    });
    connection.write(sent);
    await next(connection, 'data', () => received === sent.length);

    expect(wrong).toBe(0);
    expect(memory.size).toBe(1);
    expect(connection.stats.bytesReceived).toBe(1_000_000);
  });

  test('without it a listener may keep every chunk', async () => {
    const server = await Loopback.start({ echo: true });
    const connection = connectTo(server);
    await connection.whenOpen();
    const chunks: Buffer[] = [];
    for (const letter of ['a', 'b', 'c']) {
      connection.write(letter.repeat(100));
      await next(connection, 'data', (chunk) => chunks.push(chunk) > 0);
    }

    expect(chunks.map(String)).toEqual(['a', 'b', 'c'].map((letter) => letter.repeat(100)));
  });

  test('bytes sent right after connecting are received, in every session', async () => {
    const server = await Loopback.start({ onSession: (socket, number) => socket.write(`session ${number}`) });
    const connection = connectTo(server, { reuseReadBuffer: true });
    const events: string[] = [];
    connection.on('open', ({ generation }) => events.push(`open ${generation}`));
    connection.on('data', (chunk) => events.push(chunk.toString()));
    connection.on('reset', ({ reason }) => events.push(reason));
    await next(connection, 'data');
    server.drop();
    await next(connection, 'data');
    connection.reconnect();
    await next(connection, 'data');

    expect(events).toEqual(['open 1', 'session 1', 'peer-end', 'open 2', 'session 2', 'forced', 'open 3', 'session 3']);
  });

  test('pause() and resume() stop and start reading without losing a byte', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end(Buffer.alloc(2_000_000, 'x')) });
    const connection = connectTo(server, { reuseReadBuffer: true });
    let received = 0;
    let paused = false;
    let wrong = 0;
    connection.on('data', (chunk) => {
      if (paused) wrong++;
      received += chunk.length;
      paused = true;
      connection.pause();
      setImmediate(() => {
        paused = false;
        connection.resume();
      });
    });
    await next(connection, 'reset');

    expect([received, wrong]).toEqual([2_000_000, 0]);
  });

  test('pause() before open delivers nothing until resume()', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hello') });
    const connection = connectTo(server, { reuseReadBuffer: true });
    connection.pause();
    const events = record(connection, ['data']);
    await connection.whenOpen();
    await next(connectTo(server), 'data');
    expect(events).toEqual([]);

    connection.resume();
    expect(await receives(connection, 'hello')).toBe('hello');
  });

  test('the peer’s FIN and RST reset the session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { reuseReadBuffer: true });
    await connection.whenOpen();
    await server.session(1);
    server.drop();
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'peer-end' });
    await connection.whenOpen();
    await server.session(2);
    server.reset();
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error', error: { code: 'ECONNRESET' } });
  });

  test('two connections share the buffer without mixing their bytes', async () => {
    const server = await Loopback.start({
      onSession: (socket, number) => void socket.end(Buffer.alloc(500_000, String(number))),
    });
    const connections = [1, 2, 3].map(() => connectTo(server, { reuseReadBuffer: true, maxRetries: 0 }));
    const seen = await Promise.all(
      connections.map(async (connection) => {
        const letters = new Set<number>();
        connection.on('data', (chunk) => chunk.forEach((byte) => letters.add(byte)));
        await next(connection, 'close');
        return letters.size;
      }),
    );

    expect(seen).toEqual([1, 1, 1]);
  });

  test('disconnect() receives what the peer sends before its FIN', async () => {
    const server = await Loopback.start({
      allowHalfOpen: true,
      onSession: (socket) => socket.on('end', () => socket.end('good-bye')),
    });
    const connection = connectTo(server, { reuseReadBuffer: true });
    await connection.whenOpen();
    const events: string[] = [];
    connection.on('data', (chunk) => events.push(chunk.toString()));
    connection.write('quit');

    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
    expect(events).toEqual(['good-bye']);
    expect(server.text()).toBe('quit');
  });
});

describe('idleTimeout', () => {
  test('C67 resets a session whose peer sends nothing, even if writes succeed', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { idleTimeout: 80 });
    await connection.whenOpen();
    const chatter = setInterval(() => connection.write('are you there?'), 10);
    const reset = await payload(connection, 'reset');
    clearInterval(chatter);

    expect(reset).toMatchObject({ reason: 'idle', error: { code: 'ERR_IDLE', tag: connection.tag }, willRetry: true });
    expect(reset.uptime).toBeGreaterThanOrEqual(79);
    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'idle', error: { code: 'ERR_IDLE' } });
  });

  test('C67 resets every session whose peer has stopped sending', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hello') });
    const connection = connectTo(server, { idleTimeout: 60 });

    const resets = await payloads(connection, 'reset', 3);

    expect(resets.map(({ reason }) => reason)).toEqual(['idle', 'idle', 'idle']);
    for (const { uptime } of resets) expect(uptime).toBeGreaterThanOrEqual(59);
  });

  test('C70 never resets a session whose peer keeps sending', async () => {
    const server = await sendingEvery(30);
    const connection = connectTo(server, { idleTimeout: 300 });
    const events = record(connection, ['reset']);
    // Meanwhile a silent peer is detected twice.
    const silent = connectTo(await Loopback.start(), { idleTimeout: 300 });
    await payloads(silent, 'reset', 2);

    expect(events).toEqual([]);
    expect(connection).toMatchObject({ state: 'open', generation: 1 });
  });

  test('C71 does not reset the session after the event loop was blocked', async () => {
    const server = await serveElsewhere(`setInterval(() => socket.write('.'), 10);`);
    for (const reuseReadBuffer of [false, true]) {
      const connection = connectTo(server, { idleTimeout: 120, reuseReadBuffer });
      const events = record(connection, ['reset']);
      for (let round = 0; round < 2; round++) {
        await next(connection, 'data');
        await new Promise(setImmediate);
        block(300);
      }
      await payloads(connection, 'data', 5);
      expect(events).toEqual([]);
      connection.destroy();
    }
  });

  test('does not run while the connection is paused', async () => {
    const server = await sendingEvery(10);
    const connection = connectTo(server, { idleTimeout: 60 });
    await next(connection, 'data');
    connection.pause();
    const events = record(connection, ['reset']);
    const silent = connectTo(await Loopback.start(), { idleTimeout: 60 });
    await payloads(silent, 'reset', 2);
    connection.resume();
    await payloads(connection, 'data', 3);

    expect(events).toEqual([]);
  });
});

describe('heartbeat', () => {
  test('C67 C68 resets a session whose peer does not answer', async () => {
    const server = await Loopback.start();
    let pings = 0;
    const connection = connectTo(server, {
      heartbeat: {
        interval: 40,
        timeout: 60,
        ping: (to) => {
          pings++;
          to.write('ping');
        },
      },
    });
    const reset = await payload(connection, 'reset');

    expect(reset).toMatchObject({ reason: 'heartbeat', error: { code: 'ERR_HEARTBEAT', tag: connection.tag } });
    expect(reset.uptime).toBeGreaterThanOrEqual(98);
    expect(pings).toBeGreaterThanOrEqual(1);
    expect(server.text(1)).toMatch(/^(ping)+$/);
  });

  test('C70 C73 never resets a session whose peer answers, and pings at the interval', async () => {
    const server = await Loopback.start({ echo: true });
    const pinged: number[] = [];
    const connection = connectTo(server, {
      heartbeat: {
        interval: 50,
        timeout: 1_000,
        ping(to) {
          pinged.push(performance.now());
          expect(to).toBe(connection);
          to.write(`ping ${pinged.length};`);
        },
      },
    });
    const events = record(connection, ['reset']);
    await receives(connection, 'ping 6;');

    expect(events).toEqual([]);
    const gaps = pinged.slice(1).map((at, index) => at - pinged[index]!);
    gaps.forEach((gap) => expect(gap).toBeGreaterThanOrEqual(48));
  });

  test('counts any byte as an answer', async () => {
    const server = await sendingEvery(20);
    const connection = connectTo(server, { heartbeat: { interval: 50, timeout: 300, ping: () => {} } });
    const events = record(connection, ['reset']);
    const silent = connectTo(await Loopback.start(), { heartbeat: { interval: 50, timeout: 300, ping: () => {} } });
    await payloads(silent, 'reset', 2);

    expect(events).toEqual([]);
    expect(connection.generation).toBe(1);
  });

  test('C71 does not reset the session after the event loop was blocked', async () => {
    const server = await serveElsewhere(`socket.pipe(socket);`);
    const connection = connectTo(server, { heartbeat: { interval: 50, timeout: 100, ping: (to) => to.write('ping') } });
    const events = record(connection, ['reset']);
    for (let round = 0; round < 2; round++) {
      await next(connection, 'data');
      await new Promise(setImmediate);
      block(300);
    }
    await payloads(connection, 'data', 2);

    expect(events).toEqual([]);
  });

  test('stops when its session ends', async () => {
    const server = await Loopback.start({ echo: true });
    const states: string[] = [];
    const connection = connectTo(server, {
      backoff: () => 100,
      heartbeat: {
        interval: 20,
        ping(to) {
          states.push(connection.state);
          to.write('p');
        },
      },
    });
    await payloads(connection, 'data', 2);
    server.drop();
    await next(connection, 'open');
    await payloads(connection, 'data', 2);
    connection.destroy();

    expect(new Set(states)).toEqual(new Set(['open']));
  });

  test('stops at disconnect(): no ping is sent or refused while closing', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const states: string[] = [];
    const connection = connectTo(server, {
      closeTimeout: 200,
      heartbeat: {
        interval: 20,
        timeout: 1_000,
        ping(to) {
          states.push(connection.state);
          to.write('p');
        },
      },
    });
    await server.receives('p');
    const events = record(connection, ['drop', 'close']);
    await connection.disconnect();

    expect(new Set(states)).toEqual(new Set(['open']));
    expect(names(events)).toEqual(['close']);
  });

  test('a ping that throws is an uncaught exception each time, and the session is still reset', async () => {
    const { code, said } = await run(`
      process.on('uncaughtException', ({ message }) => say(message));
      const server = net.createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1', () => {
        const connection = new ReconnectingConnection({ ...QUICK, port: server.address().port, heartbeat: {
          interval: 100, timeout: 150, ping: () => { throw new Error('no ping'); },
        } });
        connection.on('reset', ({ reason }) => { say(reason); process.exit(); });
      });
    `);

    expect(code).toBe(0);
    expect(said[0]).toBe('no ping');
    expect(said.at(-1)).toBe('heartbeat');
  });
});

describe('socket', () => {
  test('is the socket of the session, and undefined without a session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    expect(connection.socket).toBeUndefined();
    await server.meets(connection);
    const first = connection.socket;
    expect(first?.remotePort).toBe(server.port);
    server.refuse();
    server.drop();
    await next(connection, 'backoff');
    expect(connection.socket).toBeUndefined();
    expect(first?.destroyed).toBe(true);

    await server.accept();
    await next(connection, 'open');
    expect(connection.socket).not.toBe(first);
  });

  test('destroyed by the application resets the session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    connection.socket?.destroy(new Error('by hand'));

    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error', error: { message: 'by hand' } });
    expect(await payload(connection, 'open')).toMatchObject({ generation: 2 });
  });
});
