import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { Duplex, PassThrough, Transform } from 'node:stream';
import { type TLSSocket, connect as connectTls } from 'node:tls';

import { type BeforeTlsContext, type ConnectionOptions, ConnectionPool } from 'reconnecting-connection';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, pair, payload, payloads, receives, run, track } from '../kit/loopback';
import { record, names } from '../kit/record';
import { until } from '../kit/until';
import { StartTlsServer, readLine, startTls } from '../kit/starttls';

let made: Certificates;
beforeAll(async () => (made = await loadCertificates()));

/** Options of a client of a {@link StartTlsServer}. */
const tls = () => ({ tls: { ca: made.ca.cert } });

/** A helper that never settles and has no signal. */
const never = () => new Promise<undefined>(() => undefined);

describe('beforeTls', () => {
  test('runs on the connected socket before TLS, which is laid over it afterwards', async () => {
    const server = await StartTlsServer.start();
    const steps: string[] = [];
    const contexts: BeforeTlsContext[] = [];
    const connection = connectTo(server, {
      ...tls(),
      async beforeTls(socket, context) {
        contexts.push(context);
        steps.push(`before ${connection.state} ${String((socket as TLSSocket).encrypted)}`);
        await startTls(socket);
      },
      handshake: (socket) => {
        steps.push(`handshake ${String((socket as TLSSocket).encrypted)}`);
        socket.write('login;');
      },
    });
    const info = payload(connection, 'open');
    const echo = receives(connection, 'password');
    connection.write('password');

    expect(await info).toMatchObject({ generation: 1, attempts: 1, remotePort: server.target.port });
    expect(await echo).toBe('+login;+password');
    expect(steps).toEqual(['before connecting undefined', 'handshake true']);
    expect(contexts).toMatchObject([{ generation: 1, target: server.target, signal: { aborted: false } }]);
    expect(server.clear).toBe('STARTTLS\r\n');
    expect(server.secret).toBe('login;password');
    expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });

    server.loopback.reset();
    expect(await payload(connection, 'open')).toMatchObject({ generation: 2 });
    expect(contexts).toMatchObject([{ generation: 1 }, { generation: 2 }]);
  });

  test('runs before the handshake where there is no TLS, and no byte is lost between them', async () => {
    const server = await Loopback.start({
      onSession: (socket) =>
        void once(socket, 'data').then(() => socket.write('HTTP/1.1 200 OK\r\n\r\n220 greeting\r\nand more')),
    });
    const steps: string[] = [];
    const connection = connectTo(server, {
      async beforeTls(socket) {
        socket.write('CONNECT');
        steps.push(await readLine(socket), await readLine(socket));
      },
      async handshake(socket) {
        steps.push(await readLine(socket));
      },
    });

    expect(await receives(connection, 'more')).toBe('and more');
    expect(steps).toEqual(['HTTP/1.1 200 OK', '', '220 greeting']);
  });

  test('leaves to data what comes in the next tick, without a handshake too', async () => {
    const [near, far] = pair();
    far.once('data', () => {
      far.write('ok');
      process.nextTick(() => far.write('greeting'));
    });
    const connection = connectTo(
      { target: { port: 1 } },
      {
        dial: () => near,
        async beforeTls(socket) {
          socket.write('CONNECT');
          expect(String(await once(socket, 'data'))).toBe('ok');
        },
      },
    );

    expect(await receives(connection, 'greeting')).toBe('greeting');
  });

  test('sends a PROXY header ahead of TLS, also one that the kernel does not take at once', async () => {
    const header = Buffer.alloc(30_000_000, 'h');
    let clear = 0;
    const sessions: Socket[] = [];
    const server = await Loopback.start({ onSession: (socket) => sessions.push(socket.pause()) });
    const connection = connectTo(server, {
      ...tls(),
      beforeTls(socket) {
        socket.write(header.subarray(0, 20_000_000));
        socket.write(header.subarray(20_000_000));
      },
    });
    await server.session(1);
    let wrong = 0;
    const [socket] = sessions;
    socket!.removeAllListeners('data');
    socket!.on('data', (chunk: Buffer) => {
      for (const byte of chunk) {
        if (clear < header.length && byte !== 104) wrong += 1;
        clear += 1;
      }
    });
    socket!.resume();
    await until(() => clear > header.length);

    expect(wrong).toBe(0);
    expect(connection.state).toBe('connecting');
  });

  test('destroys the connection while its last bytes leave: Node throws nothing later', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, {
      ...tls(),
      beforeTls: (socket) => void socket.write(Buffer.alloc(20_000_000), () => connection.destroy()),
    });

    await next(connection, 'close');
    await server.until(() => server.live === 0);
    expect(connection.state).toBe('closed');
  });

  test('works on what `dial` returns: the tunnel is asked for on a socket to the proxy', async () => {
    const server = await StartTlsServer.start();
    const connection = connectTo(
      { target: { host: 'localhost', port: 1 } },
      { ...tls(), dial: () => connect(server.target.port, '127.0.0.1'), beforeTls: startTls },
    );
    connection.write('hello');

    expect(await receives(connection, 'hello')).toBe('+hello');
    expect(server.clear).toBe('STARTTLS\r\n');
  });

  test('applies noDelay and keepAlive to the socket under TLS', async () => {
    const server = await StartTlsServer.start();
    const set: unknown[] = [];
    const connection = connectTo(server, {
      ...tls(),
      async beforeTls(socket) {
        set.push(settingsOf(socket));
        await startTls(socket);
      },
    });
    await connection.whenOpen();
    expect(set).toEqual([{ kSetNoDelay: true, kSetKeepAlive: true, kSetKeepAliveInitialDelay: 30 }]);
  });

  test('is not run again by a helper that emits `connect` on the socket that it is given', async () => {
    const server = await StartTlsServer.start();
    let runs = 0;
    const connection = connectTo(server, {
      ...tls(),
      async beforeTls(socket) {
        runs += 1;
        socket.emit('connect');
        await startTls(socket);
      },
      handshake: (socket) => void socket.emit('connect'),
    });
    const heard = record(connection, ['open', 'backoff']);
    await connection.whenOpen();
    connection.write('hello');
    await receives(connection, 'hello');

    expect(runs).toBe(1);
    expect(names(heard)).toEqual(['open']);
  });
});

describe('a stream that beforeTls resolves with', () => {
  test('takes the place of the socket: TLS goes over it', async () => {
    const server = await StartTlsServer.start();
    const seen: Buffer[] = [];
    let socket: Socket | undefined;
    const connection = connectTo(server, {
      ...tls(),
      async beforeTls(given) {
        await startTls(given);
        // `as`: there is no `dial`.
        socket = given as Socket;
        return tapped(given, seen);
      },
    });
    connection.write('hello');

    expect(await payload(connection, 'open')).toMatchObject({ remotePort: server.target.port });
    expect(await receives(connection, 'hello')).toBe('+hello');
    // A TLS record of a handshake.
    expect(seen[0]?.[0]).toBe(0x16);
    expect(Buffer.concat(seen).includes('hello')).toBe(false);
    connection.destroy();
    await server.loopback.until(() => server.loopback.live === 0);
    expect(socket?.destroyed).toBe(true);
  });

  test('may be TLS to a proxy, with the TLS of the server in it', async () => {
    const server = await Loopback.start({ tls: made.server, echo: true });
    const proxy = await Loopback.start({
      tls: made.server,
      onSession: (socket) => {
        const far = track(connect(server.port, '127.0.0.1'));
        socket.pipe(far).pipe(socket);
      },
    });
    const connection = connectTo(proxy, {
      tls: { ca: made.ca.cert, servername: 'localhost' },
      beforeTls: (socket) => connectTls({ socket, ca: made.ca.cert, servername: 'localhost' }),
    });
    connection.write('through two');

    expect(await receives(connection, 'two')).toBe('through two');
    expect(proxy.text()).not.toContain('through');
    expect(server.text()).toBe('through two');
  });

  test('is destroyed where it comes after the attempt is over', async () => {
    const server = await Loopback.start();
    let answer!: (stream: Duplex) => void;
    const answered = new Promise<Duplex>((resolve) => (answer = resolve));
    const connection = connectTo(server, { beforeTls: () => answered, connectTimeout: 50, maxRetries: 0 });
    await next(connection, 'close');
    const late = new PassThrough();
    answer(late);
    await once(late, 'close');
    expect(late.destroyed).toBe(true);
  });
});

describe('bytes that are unread when TLS begins', () => {
  test.each<[string, (socket: Socket) => unknown]>([
    ['in the packet of the answer', (socket: Socket) => socket.write('220 go\r\n250 injected\r\n')],
    [
      'in the next tick',
      (socket: Socket) => {
        socket.write('220 go\r\n');
        process.nextTick(() => socket.write('250 injected\r\n'));
      },
    ],
  ])('fail the attempt: they came in clear, %s', async (_when, onStartTls) => {
    const server = await StartTlsServer.start({ onStartTls: onStartTls });
    const handshake = jest.fn();
    const connection = connectTo(server, {
      ...tls(),
      async beforeTls(socket) {
        await startTls(socket);
        // As one that has more to do does: both packets have come by then.
        if (socket.readableLength === 0) await once(socket, 'readable');
      },
      handshake,
    });
    const heard = record(connection, ['open', 'data']);
    connection.write('password');

    expect(await payload(connection, 'backoff')).toMatchObject({
      reason: 'handshake-failed',
      error: { code: 'ERR_HANDSHAKE_FAILED', message: expect.stringContaining('14 bytes were unread') as string },
    });
    expect(handshake).not.toHaveBeenCalled();
    expect(heard).toEqual([]);
    expect(server.clear).not.toContain('password');
  });
});

describe('a beforeTls that fails', () => {
  const failure = (words: string) => ({
    reason: 'handshake-failed',
    error: { code: 'ERR_HANDSHAKE_FAILED', message: expect.stringContaining(words) as string },
  });

  test.each<[string, NonNullable<ConnectionOptions['beforeTls']>, string]>([
    ['throws', () => throwing(new Error('no luck')), 'no luck'],
    ['rejects', () => Promise.reject(new Error('no luck')), 'no luck'],
    ['throws no error', () => throwing('a string'), 'Thrown: "a string" (string)'],
    ['throws an error without a message', () => throwing(new RangeError('')), 'failed: RangeError'],
    ['resolves with a number', () => 5 as never, 'Expected what `beforeTls` resolves with to be a stream or undefined'],
    ['resolves with a string', () => 'done' as never, 'got "done" (string)'],
    ['resolves with true', () => Promise.resolve(true) as never, 'got true (boolean)'],
    ['resolves with null', () => Promise.resolve(null) as never, 'got null'],
    ['resolves with an object', () => ({ socket: 1 }) as never, 'got an object'],
    ['resolves with a destroyed stream', () => new PassThrough().destroy(), 'a stream that is not used up'],
    ['resolves with an ended stream', () => new PassThrough().end(), 'a stream that is not used up'],
  ])('because it %s is a failed attempt in its own words', async (_what, beforeTls, words) => {
    const server = await Loopback.start();
    const answers = [beforeTls];
    const connection = connectTo(server, { ...tls(), beforeTls: (...args) => (answers.pop() ?? startTls)(...args) });
    const wait = await payload(connection, 'backoff');
    expect(wait).toMatchObject(failure(words));
    expect(wait.error?.message).toContain(`\`beforeTls\` for ${connection.tag}`);
    expect(wait.error?.cause).toBeInstanceOf(Error);
    connection.destroy();
    await server.until(() => server.live === 0);
  });

  test('may resolve with the socket itself', async () => {
    const server = await StartTlsServer.start();
    const connection = connectTo(server, {
      ...tls(),
      async beforeTls(socket) {
        await startTls(socket);
        return socket;
      },
    });
    connection.write('hello');
    expect(await receives(connection, 'hello')).toBe('+hello');
    expect(connection.stats.dials).toBe(1);
  });

  test('shows its words in whatever is said about it later', async () => {
    const server = await StartTlsServer.start({ answer: '454 not available\r\n' });
    const connection = connectTo(server, { ...tls(), beforeTls: startTls, shouldRetry: () => false });
    expect(await payload(connection, 'close')).toMatchObject({
      reason: 'not-retryable',
      error: { code: 'ERR_GAVE_UP', message: expect.stringContaining('No TLS: 454 not available') as string },
    });
  });

  test.each(['drop', 'reset'] as const)('because the server closes (%s) in the middle of it', async (how) => {
    const server = await StartTlsServer.start({ onStartTls: () => server.loopback[how]() });
    const connection = connectTo(server, { ...tls(), beforeTls: startTls });
    const heard = record(connection, ['open']);
    expect(await payloads(connection, 'backoff', 2)).toMatchObject([
      failure('closed the connection before it was open'),
      failure('closed the connection before it was open'),
    ]);
    expect(heard).toEqual([]);
  });

  test('because it never settles is bounded by connectTimeout, and its signal says so', async () => {
    const server = await Loopback.start();
    const signals: AbortSignal[] = [];
    const connection = connectTo(server, {
      ...tls(),
      connectTimeout: 60,
      beforeTls: (_socket, { signal }) => {
        signals.push(signal);
        return never();
      },
    });
    const wait = await payload(connection, 'backoff');
    expect(wait).toMatchObject({
      reason: 'connect-timeout',
      error: { code: 'ERR_CONNECT_TIMEOUT', message: `\`beforeTls\` for ${connection.tag} was not done within 60 ms` },
    });
    expect(signals[0]?.reason).toBe(wait.error);
    connection.destroy();
    await server.until(() => server.live === 0);
  });

  test('in TLS afterwards has the error of TLS, and `connectTimeout` covers that too', async () => {
    const wrong = await StartTlsServer.start({ certificate: 'wrongHost' });
    const refused = connectTo(wrong, { ...tls(), beforeTls: startTls });
    refused.write('password');
    expect(await payload(refused, 'backoff')).toMatchObject({
      reason: 'error',
      error: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
    expect(wrong.clear + wrong.secret).not.toContain('password');

    const mute = await StartTlsServer.start({ onStartTls: (socket) => void socket.write('220 go\r\n') });
    const waiting = connectTo(mute, { ...tls(), beforeTls: startTls, connectTimeout: 80 });
    expect(await payload(waiting, 'backoff')).toMatchObject({ reason: 'connect-timeout' });
  });
});

describe('the end while beforeTls runs without a signal of its own', () => {
  test.each<[string, (connection: ReturnType<typeof connectTo>, controller: AbortController) => void]>([
    ['disconnect()', (connection) => void connection.disconnect()],
    ['destroy()', (connection) => connection.destroy()],
    ['an aborted signal', (_connection, controller) => controller.abort()],
  ])('%s destroys its socket, aborts its signal, and nothing follows', async (_how, end) => {
    const server = await Loopback.start();
    const controller = new AbortController();
    let context: BeforeTlsContext | undefined;
    const connection = connectTo(server, {
      ...tls(),
      connectTimeout: 0,
      signal: controller.signal,
      beforeTls: (_socket, given) => {
        context = given;
        return never();
      },
    });
    await server.session(1);
    await until(() => context !== undefined);
    const heard = record(connection, ['open', 'reset', 'backoff', 'close']);
    end(connection, controller);

    await server.until(() => server.live === 0);
    expect(names(heard)).toEqual(['close']);
    expect(context?.signal.aborted).toBe(true);
  });

  test('disconnect() waits for it while writes are queued, for `closeTimeout`', async () => {
    const server = await StartTlsServer.start();
    let proceed!: () => void;
    const held = new Promise<void>((resolve) => (proceed = resolve));
    const connection = connectTo(server, {
      ...tls(),
      async beforeTls(socket) {
        await held;
        await startTls(socket);
      },
    });
    connection.write('last words');
    await server.loopback.session(1);
    const closed = connection.disconnect();
    proceed();
    expect(await closed).toEqual({ reason: 'disconnected' });
    expect(server.secret).toBe('last words');
  });

  test('keeps no process alive', async () => {
    const server = await Loopback.start();
    const { code, stderr } = await run(`
      const connection = new ReconnectingConnection({
        port: ${server.port}, tls: true, beforeTls: () => { setImmediate(() => connection.destroy()); return new Promise(() => {}); },
      });
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

test('a pool of members each run their own, one mute among them', async () => {
  const [server, mute] = [await StartTlsServer.start(), await StartTlsServer.start({ onStartTls: () => undefined })];
  const pool = track(new ConnectionPool({ ...tls(), beforeTls: startTls, connectTimeout: 500 }));
  const members = Array.from({ length: 10 }, () => pool.add({ ...server.target }));
  const other = pool.add({ ...mute.target });
  const failed = payload(other, 'backoff');
  await Promise.all(members.map((member) => member.whenOpen()));
  expect(pool.stats.open).toBe(10);
  expect(await failed).toMatchObject({ reason: 'connect-timeout' });
});

/** What Node has been told of a socket, in whole seconds. */
function settingsOf(socket: object): Record<string, unknown> {
  const names = ['kSetNoDelay', 'kSetKeepAlive', 'kSetKeepAliveInitialDelay'];
  const symbols = Object.getOwnPropertySymbols(socket).filter(({ description = '' }) => names.includes(description));
  return Object.fromEntries(symbols.map((each) => [String(each.description), Reflect.get(socket, each) as unknown]));
}

/** A stream over another that keeps what is written. */
function tapped(socket: Duplex, seen: Buffer[]): Duplex {
  const out = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen.push(chunk);
      done(null, chunk);
    },
  });
  const back = new PassThrough();
  out.pipe(socket).pipe(back);
  return Duplex.from({ writable: out, readable: back });
}

function throwing(error: unknown): never {
  throw error;
}
