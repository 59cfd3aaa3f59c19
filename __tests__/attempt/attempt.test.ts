import { getEventListeners, once } from 'node:events';
import { connect } from 'node:net';
import { type Duplex, Transform } from 'node:stream';

import type { MemberOptions, HandshakeContext, Target } from 'reconnecting-connection';

import { Loopback, block, connectTo, next, pair, payload, payloads, receives, serveElsewhere } from '../kit/loopback';
import { names, record } from '../kit/record';

/** A target for a custom `dial`, where nobody listens. */
const NOWHERE = { target: { port: 1 } };

/** Waits for `count` microtasks to pass. */
async function hops(count: number): Promise<void> {
  for (let hop = 0; hop < count; hop++) await Promise.resolve();
}

/** A `dial` into memory, and the near and far ends it has made. */
function memory(): { dial: () => Duplex; near: Duplex[]; far: Duplex[] } {
  const near: Duplex[] = [];
  const far: Duplex[] = [];
  const dial = () => {
    const [one, other] = pair();
    near.push(one);
    far.push(other);
    return one;
  };
  return { dial, near, far };
}

describe('target()', () => {
  test('is asked before every dial, and fails over', async () => {
    const [broken, working] = [await Loopback.start(), await Loopback.start()];
    broken.refuse();
    const asked: number[] = [];
    const connection = connectTo(
      { target: {} },
      {
        target: (attempt) => {
          asked.push(attempt);
          return attempt < 3 ? { port: broken.port } : { port: working.port, host: '127.0.0.1' };
        },
      },
    );
    expect(connection.tag).toBe('unresolved');
    const tags: string[] = [];
    connection.on('backoff', () => tags.push(connection.tag));

    expect(await payload(connection, 'open')).toMatchObject({ attempts: 3, remotePort: working.port });

    expect(asked).toEqual([1, 2, 3]);
    expect(tags).toEqual([`127.0.0.1:${broken.port}`, `127.0.0.1:${broken.port}`]);
    expect(connection.tag).toBe(`127.0.0.1:${working.port}`);
  });

  test('counts from 1 again after a healthy session, and the next may be elsewhere', async () => {
    const [one, two] = [await Loopback.start(), await Loopback.start()];
    const asked: number[] = [];
    const connection = connectTo(
      { target: {} },
      { target: (attempt) => Promise.resolve({ port: asked.push(attempt) === 1 ? one.port : two.port }) },
    );
    await one.meets(connection);
    connection.markHealthy();
    one.drop();
    await next(connection, 'open');

    expect(asked).toEqual([1, 1]);
    expect(connection.socket?.remotePort).toBe(two.port);
    expect([one.accepted, two.accepted]).toEqual([1, 1]);
  });

  test.each<[string, () => Target | Promise<Target>, object]>([
    ['throws', () => throwing(new Error('no directory')), { message: 'no directory' }],
    ['rejects', () => Promise.reject(new Error('no answer')), { message: 'no answer' }],
    ['throws what is no error', () => throwing('a string'), { message: 'Thrown: "a string" (string)' }],
    ['returns nothing', () => undefined as never, { code: 'ERR_INVALID_OPTION' }],
    ['returns null', () => null as never, { code: 'ERR_INVALID_OPTION' }],
    ['returns a string', () => 'localhost:80' as never, { code: 'ERR_INVALID_OPTION' }],
    ['returns an empty object', () => ({}) as never, { code: 'ERR_INVALID_OPTION' }],
    ['names no port there is', () => ({ port: 70_000 }), { code: 'ERR_INVALID_OPTION' }],
    ['names hosts in an array', () => ({ port: 80, host: ['127.0.0.1'] as never }), { code: 'ERR_INVALID_OPTION' }],
    ['names both', () => ({ port: 80, path: '/tmp/x' }), { code: 'ERR_INVALID_OPTION' }],
    ['has an unknown field', () => ({ port: 80, hots: 'x' }) as never, { code: 'ERR_INVALID_OPTION' }],
  ])('that %s is a failed attempt, and the next one is made', async (_what, answer, error) => {
    const server = await Loopback.start();
    const connection = connectTo(
      { target: {} },
      { target: (attempt) => (attempt === 1 ? answer() : { port: server.port }) },
    );

    expect(await payload(connection, 'backoff')).toMatchObject({ attempt: 1, reason: 'error', error });
    expect(await payload(connection, 'open')).toMatchObject({ attempts: 2 });
  });

  test('that never answers is bounded by connectTimeout', async () => {
    const answers = [new Promise<Target>(() => {})];
    const server = await Loopback.start();
    const connection = connectTo(
      { target: {} },
      { connectTimeout: 50, target: () => answers.pop() ?? { port: server.port } },
    );

    expect(await payload(connection, 'backoff')).toMatchObject({
      reason: 'connect-timeout',
      error: { code: 'ERR_CONNECT_TIMEOUT' },
    });
    expect(await payload(connection, 'open')).toMatchObject({ attempts: 2 });
  });

  test('C30 whose answer comes with the end opens nothing, however the microtasks fall', async () => {
    for (let count = 0; count <= 12; count++) {
      const { dial, near } = memory();
      let answer!: (target: Target) => void;
      const answered = new Promise<Target>((resolve) => (answer = resolve));
      const asked = jest.fn(() => answered);
      const connection = connectTo({ target: {} }, { target: asked, dial });
      await next(connection, 'state');
      await new Promise(setImmediate);
      expect(asked).toHaveBeenCalledTimes(1);
      answer({ port: 1 });
      await hops(count);
      const heard = record(connection);
      connection.destroy();
      await new Promise(setImmediate);

      expect([count, near.filter((stream) => !stream.destroyed).length]).toEqual([count, 0]);
      expect([count, connection.state, names(heard).at(-1)]).toEqual([count, 'closed', 'close']);
    }
  });
});

describe('the end of an attempt', () => {
  test.each(['destroy', 'disconnect'] as const)(
    'C30 by %s() leaves no socket, however the microtasks fall',
    async (end) => {
      const server = await Loopback.start();
      for (let count = 0; count <= 12; count++) {
        const connection = connectTo(server, { autoConnect: false });
        connection.connect();
        await hops(count);
        void connection[end]();
      }
      const control = connectTo(server);
      await control.whenOpen();
      await server.until(() => server.sockets.some((socket) => socket.remotePort === control.socket?.localPort));
      // Those that were dialled came before this one, and have gone.
      await server.until(() => server.live === 1);

      expect(control.state).toBe('open');
    },
  );

  test('C30 leaves no stream of a dial that comes with it, however the microtasks fall', async () => {
    for (let count = 0; count <= 12; count++) {
      const { dial, near } = memory();
      let answer!: (stream: Duplex) => void;
      const dialled = new Promise<Duplex>((resolve) => (answer = resolve));
      const asked = jest.fn(() => dialled);
      const connection = connectTo(NOWHERE, { dial: asked });
      await next(connection, 'state');
      await new Promise(setImmediate);
      expect(asked).toHaveBeenCalledTimes(1);
      answer(dial());
      await hops(count);
      connection.destroy();
      await new Promise(setImmediate);

      expect([count, near[0]?.destroyed, connection.state]).toEqual([count, true, 'closed']);
    }
  });

  test('C43 with the end of the handshake opens nothing afterwards, however the microtasks fall', async () => {
    for (let count = 0; count <= 12; count++) {
      const { dial, near } = memory();
      let shake!: () => void;
      const shaken = new Promise<void>((resolve) => (shake = resolve));
      const handshake = jest.fn(() => shaken);
      const connection = connectTo(NOWHERE, { dial, handshake });
      const heard = record(connection);
      await next(connection, 'state');
      await new Promise(setImmediate);
      expect(handshake).toHaveBeenCalledTimes(1);
      shake();
      await hops(count);
      connection.destroy();
      const told = heard.length;
      await new Promise(setImmediate);

      expect([count, near[0]?.destroyed, connection.state, heard.length]).toEqual([count, true, 'closed', told]);
      expect([count, names(heard).includes('open'), names(heard).includes('reset')]).toEqual([
        count,
        connection.generation === 1,
        connection.generation === 1,
      ]);
    }
  });

  test('C43 with the end of the handshake, and a new beginning: only the new attempt opens', async () => {
    for (let count = 0; count <= 12; count++) {
      const { dial, near } = memory();
      let shake!: () => void;
      const shaken = [new Promise<void>((resolve) => (shake = resolve))];
      const connection = connectTo(NOWHERE, { dial, handshake: () => shaken.pop() });
      await next(connection, 'state');
      await new Promise(setImmediate);
      shake();
      await hops(count);
      connection.destroy();
      connection.connect();
      await connection.whenOpen();

      expect([count, near.map((stream) => stream.destroyed)]).toEqual([count, [true, false]]);
      expect([count, connection.socket === near[1]]).toEqual([count, true]);
    }
  });
});

describe('connectTimeout', () => {
  test('C7 C101 ends an attempt at a server that accepts and never speaks TLS', async () => {
    const server = await Loopback.start();
    server.mute();
    const connection = connectTo(server, { tls: true, connectTimeout: 80 });
    const heard = record(connection, ['open', 'backoff']);
    const from = performance.now();

    const wait = await payload(connection, 'backoff');

    expect(performance.now() - from).toBeGreaterThanOrEqual(78);
    expect(wait).toMatchObject({
      reason: 'connect-timeout',
      error: { code: 'ERR_CONNECT_TIMEOUT', message: `No answer from ${connection.tag} within 80 ms` },
    });
    await next(connection, 'backoff');
    expect(names(heard)).toEqual(['backoff', 'backoff']);
    connection.destroy();
    for (const socket of server.sockets) socket.resume();
    await server.until(() => server.live === 0);
  });

  test('C7 ends an attempt whose name look-up never answers', async () => {
    const connection = connectTo(
      { target: { port: 1, host: 'never.test' } },
      { connectTimeout: 50, socket: { lookup: () => {} } },
    );

    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'connect-timeout' });
  });

  test('covers the handshake, and says that it was that', async () => {
    const server = await Loopback.start();
    let signal: AbortSignal | undefined;
    const connection = connectTo(server, {
      connectTimeout: 80,
      handshake: (_socket, context) => {
        signal ??= context.signal;
        return new Promise(() => {});
      },
    });

    const wait = await payload(connection, 'backoff');

    expect(wait).toMatchObject({
      reason: 'connect-timeout',
      error: { code: 'ERR_CONNECT_TIMEOUT', message: `The handshake with ${connection.tag} was not done within 80 ms` },
    });
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toBe(wait.error);
    await server.session(1);
    connection.destroy();
    await server.until(() => server.live === 0);
  });

  test('C8 is over with the attempt, and never ends a session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { connectTimeout: 50 });
    await connection.whenOpen();
    const heard = record(connection);
    const other = connectTo(NOWHERE, { connectTimeout: 50, dial: () => new Promise(() => {}) });
    await payloads(other, 'backoff', 2);

    expect(heard).toEqual([]);
    expect(connection.state).toBe('open');
  });

  test('C9 reports what has really come when the event loop was blocked for longer', async () => {
    const [server, refusing] = [await serveElsewhere(''), await Loopback.start()];
    refusing.refuse();
    const blocked = (port: number) => {
      const socket = connect(port, '127.0.0.1');
      // Behind Node's own tick, in which the kernel is asked to connect.
      process.nextTick(block, 300);
      return socket;
    };
    for (let round = 0; round < 3; round++) {
      const connection = connectTo(server, {
        connectTimeout: 100,
        dial: (target) => blocked((target as { port: number }).port),
      });
      const heard = record(connection, ['open', 'backoff']);
      await Promise.race([next(connection, 'open'), next(connection, 'backoff')]);
      expect(names(heard)).toEqual(['open']);
      connection.destroy();
    }
    const refused = connectTo(refusing, { connectTimeout: 100, dial: () => blocked(refusing.port) });
    expect(await payload(refused, 'backoff')).toMatchObject({ reason: 'error', error: { code: 'ECONNREFUSED' } });
  });

  test('C10 has nothing to say about an attempt that failed before', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { connectTimeout: 60, backoff: () => 200, maxRetries: 1 });
    const heard = record(connection, ['backoff', 'close']);
    await next(connection, 'close');

    expect(names(heard)).toEqual(['backoff', 'close']);
    expect(heard[0]?.[1]).toMatchObject({ reason: 'error' });
  });

  test('0 is no bound: a dial may take longer than anything else here', async () => {
    const { dial } = memory();
    const connection = connectTo(NOWHERE, {
      connectTimeout: 0,
      dial: () => new Promise((resolve) => setTimeout(() => resolve(dial()), 150)),
    });

    expect(await connection.whenOpen()).toMatchObject({ attempts: 1 });
  });
});

describe('handshake', () => {
  test('C41 is awaited before open, and runs for every session', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.once('data', () => socket.write('welcome')) });
    const steps: string[] = [];
    const connection = connectTo(server, {
      async handshake(socket, { generation, signal }) {
        steps.push(`handshake ${generation} ${connection.state} ${signal.aborted}`);
        socket.write('login');
        const [answer] = (await once(socket, 'data')) as [Buffer];
        steps.push(answer.toString());
      },
    });
    connection.on('open', ({ generation }) => steps.push(`open ${generation}`));
    await next(connection, 'open');
    server.drop();
    await next(connection, 'open');

    expect(steps).toEqual([
      'handshake 1 connecting false',
      'welcome',
      'open 1',
      'handshake 2 connecting false',
      'welcome',
      'open 2',
    ]);
  });

  test('goes before the hello, and the hello before the queue', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, {
      handshake: (socket) => {
        socket.write('handshake;');
      },
    });
    connection.on('open', () => connection.write('hello;'));
    connection.write('queue;');
    await server.receives('queue;');

    expect(server.text()).toBe('handshake;hello;queue;');
  });

  test.each<[string, NonNullable<MemberOptions['handshake']>]>([
    ['rejects', () => Promise.reject(new Error('wrong password'))],
    ['throws', () => throwing(new Error('wrong password'))],
  ])('C41 that %s is a failed attempt, with what it threw as the cause', async (_what, handshake) => {
    const server = await Loopback.start();
    const attempts = [handshake, handshake];
    const connection = connectTo(server, { handshake: (...args) => attempts.pop()?.(...args) });
    const heard = record(connection, ['open', 'reset', 'backoff']);

    const info = await payload(connection, 'open');

    expect(info).toMatchObject({ generation: 1, attempts: 3 });
    expect(names(heard)).toEqual(['backoff', 'backoff', 'open']);
    expect(heard[0]?.[1]).toMatchObject({
      attempt: 1,
      reason: 'handshake-failed',
      error: { code: 'ERR_HANDSHAKE_FAILED', cause: { message: 'wrong password' }, tag: connection.tag },
    });
    await server.until(() => server.accepted === 3 && server.live === 1);
  });

  test.each(['drop', 'reset'] as const)('C42 C44 whose socket dies (%s) runs again on the next one', async (how) => {
    const server = await Loopback.start();
    let deaths = 3;
    const contexts: HandshakeContext[] = [];
    const connection = connectTo(server, {
      async handshake(socket, context) {
        contexts.push(context);
        if (deaths-- > 0) {
          socket.resume();
          await server.session(contexts.length);
          server[how]();
          await new Promise(() => {});
        }
      },
    });
    const heard = record(connection, ['open', 'reset', 'backoff']);

    expect(await payload(connection, 'open')).toMatchObject({ generation: 1, attempts: 4 });

    expect(names(heard)).toEqual(['backoff', 'backoff', 'backoff', 'open']);
    expect(heard[0]?.[1]).toMatchObject({ reason: 'handshake-failed', error: { code: 'ERR_HANDSHAKE_FAILED' } });
    expect(contexts.map(({ generation }) => generation)).toEqual([1, 1, 1, 1]);
    expect(contexts.map(({ signal }) => signal.aborted)).toEqual([true, true, true, false]);
  });

  test('C43 during which everything ends: nothing is heard afterwards, and its signal is aborted', async () => {
    const server = await Loopback.start();
    const begun = new Promise<{ signal: AbortSignal; fail: (error: Error) => void }>((resolve) => {
      const connection = connectTo(server, {
        handshake: (_socket, { signal }) =>
          new Promise((_done, fail) => {
            resolve({ signal, fail });
            connection.on('close', () => fail(new Error('too late')));
            setImmediate(() => connection.destroy());
          }),
      });
      void next(connection, 'close')
        .then(() => record(connection))
        .then((heard) => (late = heard));
    });
    let late: unknown[] = [];
    const { signal } = await begun;
    await once(signal, 'abort');
    await server.session(1);
    await server.until(() => server.live === 0);

    expect(late).toEqual([]);
  });

  test('leaves what it does not read to data: after one chunk', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('greeting') });
    const connection = connectTo(server, {
      async handshake(socket) {
        const [greeting] = (await once(socket, 'data')) as [Buffer];
        expect(greeting.toString()).toBe('greeting');
        server.send('unread;');
        socket.write('ready');
        await server.receives('ready');
      },
    });
    connection.on('open', () => server.send('more;'));

    expect(await receives(connection, 'more;')).toBe('unread;more;');
  });

  test('leaves what it does not read to data: to the byte', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('size:5;hello and more') });
    const connection = connectTo(server, {
      async handshake(socket) {
        await once(socket, 'readable');
        expect(String(socket.read(12))).toBe('size:5;hello');
      },
    });

    expect(await receives(connection, 'more')).toBe(' and more');
  });

  test('leaves what it puts back to data', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('line\nrest') });
    const connection = connectTo(server, {
      async handshake(socket) {
        const [chunk] = (await once(socket, 'data')) as [Buffer];
        socket.pause();
        socket.unshift(chunk.subarray(chunk.indexOf('\n') + 1));
      },
    });

    expect(await receives(connection, 'rest')).toBe('rest');
  });

  test('leaves what it does not read to the decoder', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hi') });
    const connection = connectTo<Buffer>(server, {
      async handshake(socket) {
        await once(socket, 'data');
        server.send('to the decoder');
        socket.write('ready');
        await server.receives('ready');
      },
      decoder: () => new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) }),
    });
    const heard = record(connection, ['data']);

    const message = await payload(connection, 'message');

    expect(String(message)).toBe('to the decoder');
    expect(heard).toEqual([]);
  });

  test('may see the last words of a peer, which then has its open and its reset', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('welcome and good-bye') });
    const connection = connectTo(server, {
      async handshake(socket) {
        await once(socket, 'readable');
        socket.read(7);
      },
    });
    const heard = record(connection, ['open', 'data', 'reset', 'backoff']);

    await next(connection, 'backoff');

    expect(names(heard)).toEqual(['open', 'data', 'reset', 'backoff']);
    expect(String(heard[1]?.[1])).toBe(' and good-bye');
    expect(heard[2]?.[1]).toMatchObject({ reason: 'peer-end' });
  });

  test('failures grow the wait as others do, and count for whenOpen()', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { handshake: () => throwing(new Error('no')) });
    const waiting = connection.whenOpen({ attempts: 2 }).catch((error: unknown) => error);

    const waits = await payloads(connection, 'backoff', 3);

    expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40]);
    expect(await waiting).toMatchObject({ code: 'ERR_HANDSHAKE_FAILED' });
  });

  test('decoders that cannot be made are failed attempts', async () => {
    const { dial, near } = memory();
    const makers: (() => Transform)[] = [() => 5 as never, () => throwing(new Error('no decoder'))];
    const connection = connectTo(NOWHERE, { dial, decoder: () => makers.pop()?.() ?? new Transform() });

    const waits = await payloads(connection, 'backoff', 2);
    await connection.whenOpen();

    expect(waits).toMatchObject([
      { reason: 'error', error: { message: 'no decoder' } },
      { reason: 'error', error: { code: 'ERR_INVALID_OPTION' } },
    ]);
    expect(near.map((stream) => stream.destroyed)).toEqual([true, true, false]);
  });
});

describe('signal', () => {
  test('C64 that is aborted already dials nothing and closes', async () => {
    const server = await Loopback.start();
    const reason = new Error('stop');
    const connections = Array.from({ length: 10 }, () => connectTo(server, { signal: AbortSignal.abort(reason) }));
    connections[0]?.connect();
    const heard = record(connections[1]!);

    const info = await payload(connections[9]!, 'close');
    await connectTo(server).whenOpen();
    await server.session(1);

    expect(info).toMatchObject({ reason: 'aborted', error: { code: 'ERR_ABORTED', cause: reason } });
    expect(names(heard)).toEqual(['state', 'close']);
    expect(connections.map(({ state }) => state)).toEqual(Array(10).fill('closed'));
    expect(server.accepted).toBe(1);
  });

  test.each(['idle', 'connecting', 'open', 'backoff', 'closing'] as const)(
    'C65 ends a connection that is %s',
    async (state) => {
      const server = await Loopback.start({ allowHalfOpen: true });
      if (state === 'backoff') server.refuse();
      const controller = new AbortController();
      const connection = connectTo(server, {
        signal: controller.signal,
        autoConnect: state !== 'idle',
        backoff: () => 60_000,
        closeTimeout: 60_000,
      });
      if (state === 'closing') {
        await connection.whenOpen();
        void connection.disconnect();
      } else if (state !== 'idle') await next(connection, 'state', (to) => to === state);
      expect(connection.state).toBe(state);
      const heard = record(connection, ['reset', 'close', 'backoff']);

      controller.abort();

      expect(names(heard)).toEqual(state === 'open' || state === 'closing' ? ['reset', 'close'] : ['close']);
      expect(heard.at(-1)?.[1]).toMatchObject({ reason: 'aborted', error: { code: 'ERR_ABORTED' } });
      expect(await connection.disconnect()).toMatchObject({ reason: 'aborted' });
      expect(() => connection.connect()).toThrow(expect.objectContaining({ code: 'ERR_ABORTED' }) as Error);
      expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    },
  );

  test('C66 has one listener over 1,000 sessions, and none after close', async () => {
    const { signal } = new AbortController();
    const { dial, near, far } = memory();
    const connection = connectTo(NOWHERE, { dial, signal, handshake: () => {} });
    // A peer that ends with this side.
    connection.on('open', () =>
      far
        .at(-1)
        ?.on('end', () => far.at(-1)?.end())
        .resume(),
    );
    let most = 0;
    await next(connection, 'open', ({ generation }) => {
      most = Math.max(most, getEventListeners(signal, 'abort').length);
      if (generation === 1_000) return true;
      connection.markHealthy();
      connection.reconnect();
      return false;
    });

    expect(most).toBe(1);
    expect(near.filter((stream) => !stream.destroyed)).toHaveLength(1);
    connection.destroy();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('aborted in a listener of close does not wedge a connection that was to start again', async () => {
    const server = await Loopback.start();
    const controller = new AbortController();
    const connection = connectTo(server, { signal: controller.signal });
    await connection.whenOpen();
    const closed = connection.disconnect();
    connection.connect();
    const waiting = connection.whenOpen().catch((error: unknown) => error);
    connection.on('close', () => controller.abort());

    expect(await closed).toEqual({ reason: 'disconnected' });
    expect(await waiting).toMatchObject({ code: expect.stringMatching(/^ERR_(ABORTED|CLOSED)$/) as string });
    expect(connection.state).toBe('closed');
  });
});

function throwing(error: unknown): never {
  throw error;
}
