import { Loopback, run } from '../kit/loopback';

/** Says how long the process lived on after `disconnect()`, and what of ours was left when that was done. */
const END = `
  const end = async (connection) => {
    const from = performance.now();
    process.on('exit', () => say({ lived: performance.now() - from }));
    const info = await connection.disconnect();
    // Node closes its handles in turns of the event loop that follow.
    await new Promise((resolve) => setTimeout(resolve, 20));
    say({ info, left: process.getActiveResourcesInfo().filter((each) => /Timeout|TCP|Socket|GetAddr/.test(each)) });
  };
`;

async function refusedPort(): Promise<number> {
  const server = await Loopback.start();
  server.refuse();
  return server.port;
}

describe('a process ends soon after disconnect()', () => {
  test.each<[string, string]>([
    ['idle', `end(new ReconnectingConnection({ port, autoConnect: false }))`],
    ['of this tick', `end(new ReconnectingConnection({ port }))`],
    [
      'connecting',
      `const connection = new ReconnectingConnection({ port, tls: true });
       connection.once('state', () => setTimeout(end, 50, connection));`,
    ],
    [
      'open',
      `const connection = new ReconnectingConnection({ port, idleTimeout: 60_000, heartbeat: { interval: 60_000, ping() {} } });
       connection.on('open', () => end(connection));`,
    ],
    [
      'shaking hands',
      `const connection = new ReconnectingConnection({ port, handshake: () => { setImmediate(end, connection); return new Promise(() => {}); } });`,
    ],
    [
      'waiting for a retry',
      `const connection = new ReconnectingConnection({ port: refused, backoff: () => 60_000, queue: { maxAge: 60_000 } });
       connection.write('waits');
       connection.on('backoff', () => end(connection));`,
    ],
    [
      'closing',
      `const connection = new ReconnectingConnection({ port, closeTimeout: 60_000 });
       connection.on('open', () => { connection.write('bye'); connection.disconnect(); end(connection); });`,
    ],
    [
      'closed',
      `const connection = new ReconnectingConnection({ port: refused, maxRetries: 0 });
       connection.on('close', () => end(connection));`,
    ],
  ])('of a connection that is %s', async (_state, script) => {
    const server = await Loopback.start();
    const refused = await refusedPort();
    const { code, said, stderr } = await run(`const port = ${server.port}, refused = ${refused}; ${END} ${script}`);

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(said).toEqual([
      { info: expect.objectContaining({ reason: expect.any(String) as string }) as object, left: [] },
      { lived: expect.any(Number) as number },
    ]);
    expect((said[1] as { lived: number }).lived).toBeLessThan(20_000);
    await server.until(() => server.live === 0);
  });

  test('of a pool and of a registry', async () => {
    const server = await Loopback.start();
    const refused = await refusedPort();
    const { code, said, stderr } = await run(`
      const pool = new ConnectionPool({ maxConnecting: 2, idleTimeout: 60_000 });
      const members = [${server.port}, ${server.port}, ${refused}].map((port) => pool.add({ port }));
      const single = registry.connect({ port: ${server.port} });
      Promise.all([single.whenOpen(), members[0].whenOpen(), members[1].whenOpen()]).then(async () => {
        await Promise.all([pool.disconnect(), registry.disconnectAll()]);
        const from = performance.now();
        process.on('exit', () => say(performance.now() - from < 1_000));
      });
    `);

    expect({ code, said, stderr }).toEqual({ code: 0, said: [true], stderr: '' });
  });
});

describe('unref()', () => {
  test.each<[string, string]>([
    [
      'waits for a retry',
      `const connection = new ReconnectingConnection({ port: refused, backoff: () => 60_000 }); connection.on('backoff', () => say('there'));`,
    ],
    [
      'is open',
      `const connection = new ReconnectingConnection({ port, idleTimeout: 60_000, heartbeat: { interval: 60_000, ping() {} } });
       connection.on('open', () => say('there'));`,
    ],
    [
      'is open with TLS under way',
      `const connection = new ReconnectingConnection({ port, tls: true });
       connection.on('state', () => setTimeout(() => say('there'), 50));`,
    ],
    [
      'closes',
      `const connection = new ReconnectingConnection({ port, closeTimeout: 60_000 });
       connection.on('open', () => { connection.disconnect(); say('there'); });`,
    ],
  ])('lets the process end while the connection %s', async (_what, script) => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const refused = await refusedPort();
    const exit = await run(
      `const port = ${server.port}, refused = ${refused}; ${script}
       setTimeout(() => { connection.unref(); const from = performance.now(); process.on('exit', () => say(performance.now() - from < 1_000)); }, 150);`,
    );

    expect(exit).toMatchObject({ code: 0, said: ['there', true], stderr: '' });
  });

  test('at once lets the process end before anything has happened', async () => {
    const refused = await refusedPort();
    const { code, said } = await run(`
      const connection = new ReconnectingConnection({ port: ${refused}, backoff: () => 60_000 }).unref();
      connection.on('close', () => say('close'));
    `);

    expect({ code, said }).toEqual({ code: 0, said: [] });
  });

  test('holds for later sessions, and ref() takes it back', async () => {
    const refused = await refusedPort();
    const { code, said } = await run(`
      const connection = new ReconnectingConnection({ port: ${refused}, backoff: () => 30, maxRetries: 3 }).unref().ref();
      connection.on('backoff', ({ attempt }) => { say(attempt); connection.unref().ref(); });
      connection.on('close', ({ reason }) => say(reason));
    `);
    expect({ code, said }).toEqual({ code: 0, said: [1, 2, 3, 'max-retries'] });

    const server = await Loopback.start();
    const other = await run(`
      const connection = new ReconnectingConnection({ ...QUICK, port: ${server.port} }).unref();
      const hold = setTimeout(() => {}, 60_000);
      connection.on('open', ({ generation }) => {
        say(generation);
        if (generation === 2) clearTimeout(hold); else connection.socket.destroy();
      });
    `);
    expect(other).toMatchObject({ code: 0, said: [1, 2], stderr: '' });
  });
});

describe('a listener that throws', () => {
  /** A life with every event, and two listeners of each: the first throws or rejects. */
  const life = (port: number, fault: string) => `
    const counts = {};
    const caught = {};
    const keep = (error) => { caught[error.message] = (caught[error.message] ?? 0) + 1; };
    process.on('uncaughtException', keep);
    process.on('unhandledRejection', (error) => keep(error));
    const decoder = () => new Transform({ transform(chunk, encoding, done) { done(null, chunk); } });
    const watch = (emitter, prefix) => {
      for (const event of ['open', 'data', 'message', 'reset', 'backoff', 'drain', 'drop', 'state', 'close']) {
        emitter.on(event, ${fault});
        emitter.on(event, () => { counts[prefix + event] = (counts[prefix + event] ?? 0) + 1; });
      }
    };
    const live = async (connection, prefix) => {
      watch(connection, prefix);
      const next = (event) => new Promise((resolve) => connection.once(event, resolve));
      await next('open');
      // Until neither the kernel nor the queue takes any more.
      while (connection.stats.writes.refused.writes === 0) connection.write(Buffer.alloc(65_536));
      await next('drain');
      connection.write('hello');
      await new Promise((resolve) => { connection.once('data', resolve); connection.once('message', resolve); });
      connection.socket.destroy();
      await next('open');
      await connection.disconnect();
    };
    (async () => {
      const options = { ...QUICK, port: ${port}, queue: { maxBytes: 1 } };
      await live(new ReconnectingConnection(options), 'connection ');
      await live(new ReconnectingConnection({ ...options, decoder }), 'decoder ');
      const pool = new ConnectionPool(options);
      watch(pool, 'pool ');
      await live(pool.add({}), 'member ');
      await new Promise((resolve) => setTimeout(resolve, 20));
      say(counts);
      say(caught);
    })();
  `;

  test.each<[string, string]>([
    ['throws', `() => { throw new Error(prefix + event); }`],
    ['rejects', `async () => { throw new Error(prefix + event); }`],
  ])('C103 (it %s) surfaces once for each event, and the others still run', async (_how, fault) => {
    const server = await Loopback.start({ echo: true });
    const { code, said, stderr } = await run(life(server.port, fault));
    const [counts, caught] = said as Record<string, number>[];

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(caught).toEqual(counts);
    for (const event of ['open', 'data', 'reset', 'backoff', 'drain', 'drop', 'state', 'close']) {
      expect(Object.keys(counts!)).toEqual(
        expect.arrayContaining([`connection ${event}`, `member ${event}`, `pool ${event}`]),
      );
    }
    expect(counts).toMatchObject({
      'decoder message': expect.any(Number) as number,
      'connection open': 2,
      'connection reset': 2,
      'connection close': 1,
      'pool close': 1,
    });
  });

  test('C103 ends a process that does not handle it, with its own stack', async () => {
    const server = await Loopback.start();
    const { code, stderr } = await run(`
      const connection = new ReconnectingConnection({ port: ${server.port} });
      connection.on('open', function mine() { throw new Error('my fault'); });
    `);

    expect(code).toBe(1);
    expect(stderr).toContain('my fault');
    expect(stderr).toContain('mine');
  });

  test('as a callback of write() surfaces once, and the others are called', async () => {
    const server = await Loopback.start();
    const { code, said } = await run(`
      process.on('uncaughtException', ({ message }) => say('caught ' + message));
      const connection = new ReconnectingConnection({ port: ${server.port} });
      connection.write('one', () => { throw new Error('one'); });
      connection.write('two', () => { throw new Error('two'); });
      connection.write('three', () => say('three'));
      connection.on('open', () => setTimeout(async () => {
        connection.write('four', () => { throw new Error('four'); });
        await connection.disconnect();
        connection.write('five', () => { throw new Error('five'); });
        connection.write('six', () => say('six'));
      }, 20));
    `);

    expect(code).toBe(0);
    expect([...(said as string[])].sort()).toEqual(
      ['caught one', 'caught two', 'three', 'caught four', 'caught five', 'six'].sort(),
    );
  });
});

describe('a process that was stopped', () => {
  test('C37 makes one attempt when it goes on, not a burst', async () => {
    const server = await Loopback.start();
    server.flap();
    const { code, said } = await run(`
      const connection = new ReconnectingConnection({ port: ${server.port}, backoff: () => 20 });
      let opened = 0;
      connection.on('open', () => { opened += 1; });
      connection.once('backoff', () => {
        block(500);
        const before = opened;
        setTimeout(() => { say(opened - before); connection.destroy(); }, 15);
      });
    `);

    expect(code).toBe(0);
    expect(said).toHaveLength(1);
    expect(said[0]).toBeLessThanOrEqual(1);
  });
});
