import { Duplex } from 'node:stream';

import { loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, payload, run, serveElsewhere } from '../kit/loopback';
import { until } from '../kit/until';

const MANY = 64_000_000;

describe('heartbeat', () => {
  test('leaves a peer alone that reads slowly and answers every ping, while it makes progress', async () => {
    // 4 MB a second; every 1 is a ping.
    const peer = await serveElsewhere(`
      const read = () => {
        let left = 80_000;
        for (let chunk; left > 0 && (chunk = socket.read(Math.min(left, socket.readableLength))) !== null; left -= chunk.length) {
          for (let at = chunk.indexOf(1); at >= 0; at = chunk.indexOf(1, at + 1)) socket.write('.');
        }
      };
      const timer = setInterval(read, 20);
      socket.on('readable', () => {}).on('end', () => socket.end()).on('close', () => clearInterval(timer));
    `);
    const ping = (to: { write(chunk: Uint8Array): unknown }) => to.write(Buffer.from([1]));
    const connection = connectTo(peer, {
      heartbeat: { interval: 300, timeout: 2_000, ping },
      queue: { maxBytes: MANY },
    });
    let answers = 0;
    connection.on('data', ({ length }) => (answers += length));
    await connection.whenOpen();
    const since = performance.now();
    connection.write(Buffer.alloc(13_000_000));
    await until(() => answers > 0, { deadline: 15_000 });
    // Later than its timeout after the first ping: it waited behind our own bytes.
    expect(performance.now() - since).toBeGreaterThan(2_300);
    expect(connection.stats).toMatchObject({ resets: 0, state: 'open' });
  });

  test.each([
    ['was stopped', `process.kill(process.pid, 'SIGSTOP');`],
    ['was blocked', 'block(2_000);'],
  ])('and `idleTimeout` leave a living peer alone after this process %s', async (_title, standStill) => {
    const peer = await serveElsewhere('socket.pipe(socket);');
    const { said } = await run(`
      const heartbeat = { interval: 500, timeout: 500, ping: (to) => to.write('ping') };
      const all = Array.from({ length: 20 }, () => {
        const connection = new ReconnectingConnection({ ...QUICK, ...${JSON.stringify(peer.target)}, idleTimeout: 1_000, heartbeat });
        connection.on('reset', ({ reason, willRetry }) => willRetry && say(reason));
        return connection;
      });
      Promise.all(all.map((each) => each.whenOpen())).then(() => setTimeout(() => {
        const thaw = 'sleep 2; kill -CONT ' + process.pid;
        require('node:child_process').spawn('sh', ['-c', thaw], { detached: true, stdio: 'ignore' }).unref();
        ${standStill}
        setTimeout(() => {
          say(all.filter(({ state, generation }) => state === 'open' && generation === 1).length);
          for (const each of all) each.destroy();
        }, 1_500);
      }, 700));
    `);
    expect(said).toEqual([20]);
  });

  test('pings only in silence with `idle`, and expects no answer with `timeout: Infinity`', async () => {
    const server = await Loopback.start();
    const heartbeat = {
      interval: 300,
      timeout: Infinity,
      idle: true,
      ping: (to: { write(chunk: string): unknown }) => to.write('NOP\r'),
    };
    const connection = connectTo(server, { heartbeat });
    await server.meets(connection);
    let silence = 0;
    for (let command = 0; command < 10; command++) {
      const from = performance.now();
      connection.write('VOL?\r');
      await new Promise((resolve) => setTimeout(resolve, 100));
      silence = Math.max(silence, performance.now() - from);
    }
    // A busy machine may be silent for so long itself.
    if (silence < 250) expect(server.text()).toBe('VOL?\r'.repeat(10));
    await server.until(() => server.text().endsWith('NOP\rNOP\rNOP\r'));
    expect(connection.stats).toMatchObject({ resets: 0, roundTrip: null });
  });

  test('measures the time to the answer', async () => {
    const server = await Loopback.start({
      onSession: (socket) => socket.on('data', () => setTimeout(() => socket.write('pong'), 50)),
    });
    const connection = connectTo(server, {
      heartbeat: { interval: 100, timeout: 200_000, ping: (to) => to.write('ping') },
    });
    await until(() => connection.stats.roundTrip !== null);
    const { last, smoothed, worst } = connection.stats.roundTrip!;
    expect(last).toBeGreaterThanOrEqual(49);
    // Neither the interval nor the look for an answer shows in it.
    expect(last).toBeLessThan(20_000);
    expect([smoothed, worst]).toEqual([last, last]);
    expect(JSON.parse(JSON.stringify(connection))).toMatchObject({ roundTrip: { last } });
  });
});

describe('writeTimeout', () => {
  const STALLED = { reason: 'stalled', error: { code: 'ERR_STALLED' }, willRetry: true };

  test.each(['tcp', 'tls'])('resets a session whose peer never reads, although it speaks (%s)', async (kind) => {
    const { server: pem, ca } = await loadCertificates();
    const server = await Loopback.start({
      ...(kind === 'tls' && { tls: pem }),
      onSession: (socket) => {
        const timer = setInterval(() => socket.write('.'), 20);
        socket.pause().on('close', () => clearInterval(timer));
      },
    });
    const connection = connectTo(server, {
      writeTimeout: 400,
      idleTimeout: 1_000,
      heartbeat: { interval: 200, ping: (to) => to.write('ping') },
      queue: { maxBytes: MANY },
      ...(kind === 'tls' && { tls: { ca: ca.cert } }),
    });
    connection.write(Buffer.alloc(32_000_000));
    const reset = await payload(connection, 'reset');
    expect(reset).toMatchObject(STALLED);
    expect(reset.uncertain.bytes).toBeGreaterThanOrEqual(32_000_000);
    expect(reset.uptime).toBeGreaterThanOrEqual(400);
  });

  test('resets a session over a stream that never calls back', async () => {
    const dial = () => new Duplex({ read: () => undefined, write: () => undefined });
    const connection = connectTo({ target: { port: 1 } }, { dial, writeTimeout: 80 });
    const callback = new Promise<Error | null | undefined>((resolve) => connection.write('into nothing', resolve));
    expect(await payload(connection, 'reset')).toMatchObject(STALLED);
    expect(await callback).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN', cause: { code: 'ERR_STALLED' } });
  });

  test('leaves a session alone in which nothing waits, or the peer reads now and then', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { writeTimeout: 400, queue: { maxBytes: MANY } });
    const socket = await server.meets(connection);
    await new Promise((resolve) => setTimeout(resolve, 600));
    socket.pause();
    const done = new Promise((resolve) => connection.write(Buffer.alloc(24_000_000), resolve));
    const timer = setInterval(() => {
      socket.resume();
      socket.once('data', () => setTimeout(() => socket.pause(), 5));
    }, 100);
    expect(await done).toBeUndefined();
    clearInterval(timer);
    expect(connection.stats).toMatchObject({ resets: 0, state: 'open' });
  });

  test('goes on to judge while the connection is paused', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.pause() });
    const connection = connectTo(server, { writeTimeout: 100, queue: { maxBytes: MANY } });
    connection.pause();
    connection.write(Buffer.alloc(32_000_000));
    const [{ reason }] = await next(connection, 'reset');
    expect(reason).toBe('stalled');
  });
});
