import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { TLSSocket, connect as connectTls } from 'node:tls';
import { createDeflateRaw, createInflateRaw, constants } from 'node:zlib';

import { type MemberOptions, ConnectionPool } from 'reconnecting-connection';

import { type Certificates, type Pair, loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, pair, payload, payloads, receives, track, written } from '../kit/loopback';
import { names, record } from '../kit/record';
import { ScriptedLink } from '../kit/scripted';
import { StartTlsServer, startTls } from '../kit/starttls';
import { until } from '../kit/until';

let made: Certificates;
beforeAll(async () => (made = await loadCertificates()));

/** A target for a custom `dial`, where nobody listens. */
const NOWHERE = { target: { port: 1 } };

describe('a stream that dial returns', () => {
  const used = {
    reason: 'error',
    error: {
      code: 'ERR_INVALID_OPTION',
      message: 'Expected what `dial` returns to be a new stream, and not one that a connection has had, got an object',
    },
  };

  test('a second time fails that attempt, and leaves the connection alone that has it', async () => {
    const server = await Loopback.start({ echo: true });
    const socket = track(connect(server.port, '127.0.0.1'));
    const pool = track(new ConnectionPool({ dial: () => socket }));
    const [one, other] = [pool.add({ port: 1 }), pool.add({ port: 1 })];
    const failed = payload(other, 'backoff');
    await one.whenOpen();
    expect(await failed).toMatchObject(used);
    const heard = record(other, ['data', 'open']);
    one.write('hello');

    expect(await receives(one, 'hello')).toBe('hello');
    expect(heard).toEqual([]);
    expect(one.state).toBe('open');
    other.destroy();
    one.write('again');
    expect(await receives(one, 'again')).toBe('again');
  });

  test('a second time to the same connection, after its session, fails too', async () => {
    const [near, far] = pair();
    const connection = connectTo(NOWHERE, { dial: () => near });
    await connection.whenOpen();
    const waits = payloads(connection, 'backoff', 3);
    far.end();
    expect(await waits).toMatchObject([{ reason: 'peer-end' }, used, used]);
  });

  test('may close with an error in place of an `error` event, as a serial port does', async () => {
    const [[near], [second]] = [pair(), pair()];
    const streams = [near, second];
    const connection = connectTo(NOWHERE, {
      // `!`: two are dialled.
      dial: () => streams.shift()!,
      handshake: (stream) => {
        if (stream === second) second.emit('close', new Error('pulled out too'));
      },
    });
    await connection.whenOpen();
    const waits = payloads(connection, 'backoff', 2);
    near.emit('close', new Error('pulled out'));

    const [lost, refused] = await waits;
    expect(lost).toMatchObject({ reason: 'error', error: { message: 'pulled out' } });
    expect(refused).toMatchObject({ reason: 'handshake-failed', error: { cause: { message: 'pulled out too' } } });
  });

  test('that another connection has is left alone by an attempt that is over', async () => {
    const [near, far] = pair();
    far.on('data', (chunk: Buffer) => far.write(chunk));
    const owner = connectTo(NOWHERE, { dial: () => near });
    await owner.whenOpen();
    let answer: ((stream: Duplex) => void) | undefined;
    const late = connectTo(NOWHERE, { dial: () => new Promise<Duplex>((resolve) => (answer = resolve)) });
    await until(() => answer !== undefined);
    late.destroy();
    answer?.(near);
    await new Promise(setImmediate);
    const echo = receives(owner, 'here');
    owner.write('still here');
    expect(await echo).toBe('still here');
  });

  test('stands still until it is read, if it has begun to flow', async () => {
    const [near, far] = pair();
    far.write('answer');
    const connection = connectTo(NOWHERE, {
      async dial() {
        await once(near, 'data');
        process.nextTick(() => far.write('greeting'));
        return near;
      },
    });
    expect(await receives(connection, 'greeting')).toBe('greeting');
  });

  test.each<[string, MemberOptions['socket'], unknown[]]>([
    [
      'the defaults',
      undefined,
      [
        ['setNoDelay', true],
        ['setKeepAlive', true, 30_000, undefined, undefined],
      ],
    ],
    [
      'the options',
      { noDelay: false, keepAlive: true, keepAliveInitialDelay: 5_000 },
      [
        ['setNoDelay', false],
        ['setKeepAlive', true, 5_000, undefined, undefined],
      ],
    ],
  ])('has noDelay and keepAlive applied where it has the methods: %s', async (_which, socket, expected) => {
    const calls: unknown[] = [];
    const connection = connectTo(NOWHERE, {
      ...(socket && { socket }),
      dial: () =>
        Object.assign(pair()[0], {
          setNoDelay: (...args: unknown[]) => calls.push(['setNoDelay', ...args]),
          setKeepAlive: (...args: unknown[]) => calls.push(['setKeepAlive', ...args]),
        }),
    });
    await connection.whenOpen();
    expect(calls).toEqual(expected);
  });
});

test('a stream from dial whose setKeepAlive() throws fails the attempt, also when it connects later', async () => {
  const streams: ScriptedLink[] = [];
  const connection = connectTo(NOWHERE, {
    dial: (_target, signal) => {
      const link = Object.assign(new ScriptedLink(signal), {
        setKeepAlive: () => {
          throw new Error('no socket');
        },
      });
      streams.push(link);
      return link;
    },
  });
  const failed = payload(connection, 'backoff');
  await until(() => streams.length > 0);
  await new Promise(setImmediate);
  streams[0]?.connect();
  expect(await failed).toMatchObject({ reason: 'error', error: { message: 'no socket' } });
  expect(streams[0]?.destroyed).toBe(true);
});

/** Lays TLS over a socket by hand, and waits until it is verified. */
async function layTls(socket: Duplex, signal: AbortSignal, options: object = {}): Promise<TLSSocket> {
  const secure = connectTls({ socket, servername: 'localhost', ca: made.ca.cert, ...options });
  await once(secure, 'secureConnect', { signal });
  return secure;
}

describe('a TLS socket that the handshake lays over its own', () => {
  test('and returns is the session', async () => {
    const server = await StartTlsServer.start();
    const connection = connectTo(server, {
      async handshake(socket, { signal }) {
        await startTls(socket);
        return layTls(socket, signal);
      },
    });
    connection.write('password');
    const echo = receives(connection, 'password');

    expect(await payload(connection, 'open')).toMatchObject({ remotePort: server.target.port });
    expect(await echo).toBe('+password');
    expect(server.clear).toBe('STARTTLS\r\n');
    expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });

    const lost = payload(connection, 'reset');
    server.loopback.drop();
    expect(await lost).toMatchObject({ reason: expect.stringMatching(/^(peer-end|error)$/) as string });
    expect(await payload(connection, 'open')).toMatchObject({ generation: 2 });
    connection.destroy();
    await server.loopback.until(() => server.loopback.live === 0);
  });

  test('and returns before it is secure is waited for', async () => {
    const server = await StartTlsServer.start();
    const connection = connectTo(server, {
      async handshake(socket) {
        await startTls(socket);
        return connectTls({ socket, servername: 'localhost', ca: made.ca.cert });
      },
    });
    connection.on('open', () => expect(connection.socket).toMatchObject({ authorized: true, secureConnecting: false }));
    connection.write('password');
    expect(await receives(connection, 'password')).toBe('+password');
  });

  test.each<[string, MemberOptions]>([
    ['of the library', {}],
    [
      'that is no socket',
      { dial: (target) => wrapper(connect({ ...(target as { port: number }), host: '127.0.0.1' })) },
    ],
  ])('and does not return fails the attempt, on a stream %s: nothing is written under it', async (_what, options) => {
    for (const hook of ['handshake', 'beforeTls'] as const) {
      const server = await StartTlsServer.start();
      const connection = connectTo(server, {
        ...options,
        async [hook](socket: Duplex, { signal }: { signal: AbortSignal }) {
          await startTls(socket);
          await layTls(socket, signal);
        },
      });
      const heard = record(connection, ['open']);
      connection.write('password');

      const { reason, error } = await payload(connection, 'backoff');
      expect([reason, error?.message]).toEqual([
        'handshake-failed',
        expect.stringContaining(`TLS was laid over the socket, and \`${hook}\` did not return it`) as string,
      ]);
      connection.destroy();
      await server.loopback.until(() => server.loopback.live === 0);
      expect(server.clear + server.secret).not.toContain('password');
      expect(heard).toEqual([]);
    }
  });

  test('and returns the one underneath fails the attempt too', async () => {
    const server = await StartTlsServer.start();
    const connection = connectTo(server, {
      async handshake(socket, { signal }) {
        await startTls(socket);
        await layTls(socket, signal);
        return socket;
      },
    });
    connection.write('password');
    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'handshake-failed' });
    expect(server.clear).not.toContain('password');
  });

  test('is verified where `tls` is set', async () => {
    const server = await Loopback.start({
      tls: made.server,
      onSession: (socket) => secureInside(socket, made.wrongHost),
    });
    const connection = connectTo(
      { target: { host: 'localhost', port: server.port } },
      {
        tls: { ca: made.ca.cert },
        handshake: (socket, { signal }) => layTls(socket, signal, { rejectUnauthorized: false }),
      },
    );
    connection.write('password');
    expect(await payload(connection, 'backoff')).toMatchObject({
      reason: 'handshake-failed',
      error: { message: expect.stringContaining('is not verified') as string },
    });
  });
});

describe('compression that the handshake lays over its socket', () => {
  test.each([
    ['without TLS', false],
    ['over TLS', true],
  ])('is the session, %s', async (_how, isSecure) => {
    const server = await Loopback.start({
      ...(isSecure && { tls: made.server }),
      onSession: (socket) => {
        const far = compressed(socket);
        far.on('data', (chunk: Buffer) => far.write(`+${chunk.toString()}`)).on('error', () => undefined);
      },
    });
    const connection = connectTo(
      { target: { host: 'localhost', port: server.port } },
      { ...(isSecure && { tls: { ca: made.ca.cert } }), handshake: compressed },
    );
    connection.write('hello');
    const echo = receives(connection, 'hello');
    expect(await payload(connection, 'open')).toMatchObject({
      remotePort: server.port,
      remoteAddress: expect.any(String) as string,
      localPort: expect.any(Number) as number,
    });
    expect(await echo).toBe('+hello');
    connection.pause();
    connection.write('more');
    await server.until(() => server.receivedBytes > 12);
    connection.resume();
    expect(await receives(connection, 'more')).toBe('+more');

    const lost = payload(connection, 'reset');
    server.drop();
    await lost;
    expect(await payload(connection, 'open')).toMatchObject({ generation: 2 });
    connection.destroy();
    await server.until(() => server.live === 0);
  });

  test('keeps the process alive or not as the connection says', async () => {
    const server = await Loopback.start();
    const calls: string[] = [];
    const connection = connectTo(server, {
      handshake(socket) {
        jest.spyOn(socket as TLSSocket, 'unref').mockImplementation(() => (calls.push('unref'), socket as TLSSocket));
        jest.spyOn(socket as TLSSocket, 'ref').mockImplementation(() => (calls.push('ref'), socket as TLSSocket));
        return compressed(socket);
      },
    });
    await connection.whenOpen();
    connection.unref();
    connection.ref();
    expect(calls).toEqual(['unref', 'ref']);
  });

  test('is not what a stream is that has nothing to do with the socket: where `tls` is set, that is refused', async () => {
    const server = await Loopback.start({ tls: made.server });
    const plain = new PassThrough();
    const connection = connectTo(
      { target: { host: 'localhost', port: server.port } },
      { tls: { ca: made.ca.cert }, handshake: () => plain },
    );
    connection.write('password');
    expect(await payload(connection, 'backoff')).toMatchObject({
      reason: 'handshake-failed',
      error: { message: expect.stringContaining('neither a TLS socket nor a stream that reads') as string },
    });
    await until(() => plain.destroyed);
  });
});

describe('a stream in place of the socket', () => {
  /** A connection whose session is `over(socket)`, and the two streams. */
  async function opened(over: (socket: Duplex) => Duplex, options: MemberOptions = {}) {
    const server = await Loopback.start();
    const streams: { inner: Duplex; outer: Duplex }[] = [];
    const connection = connectTo(server, {
      ...options,
      handshake(inner) {
        const outer = over(inner);
        streams.push({ inner, outer });
        return outer;
      },
    });
    await connection.whenOpen();
    await server.session(1);
    return { server, connection, ...streams[0]! };
  }

  test('is destroyed when the socket fails, with its error', async () => {
    const { server, connection, outer } = await opened(deaf);
    const lost = payload(connection, 'reset');
    server.reset();
    expect(await lost).toMatchObject({ reason: 'error', error: { code: 'ECONNRESET' } });
    expect(outer.destroyed).toBe(true);
  });

  test('takes the socket along when it fails', async () => {
    const { connection, inner, outer } = await opened(wrapper);
    const lost = payload(connection, 'reset');
    outer.destroy(new Error('bad block'));
    expect(await lost).toMatchObject({ reason: 'error', error: { message: 'bad block' } });
    expect(inner.destroyed).toBe(true);
  });

  test('takes the socket along at destroy(), even where its own destroy() does not', async () => {
    const { server, connection, inner } = await opened(deaf);
    connection.destroy();
    expect(inner.destroyed).toBe(true);
    await server.until(() => server.live === 0);
  });

  test('that does not pass on the end of the socket ends within `closeTimeout`', async () => {
    const { server, connection } = await opened(deaf, { closeTimeout: 50 });
    const lost = payload(connection, 'reset');
    server.drop();
    expect(await lost).toMatchObject({ reason: 'peer-end' });
  });

  test('keeps what waits in it for a paused connection after the socket has closed', async () => {
    const { server, connection, inner } = await opened(wrapper, { closeTimeout: 20 });
    connection.pause();
    server.send('last words');
    // `as`: the session's stream.
    const stream = connection.socket as Duplex;
    await until(() => stream.readableLength > 0);
    const lost = next(connection, 'reset');
    server.drop();
    await until(() => inner.closed);
    // Several times `closeTimeout`, in which nothing is to happen.
    await new Promise((resolve) => setTimeout(resolve, 80));
    const words = receives(connection, 'words');
    connection.resume();
    expect(await words).toBe('last words');
    await lost;
  });

  test('that belongs to another connection fails the attempt, and the other one lives', async () => {
    const [near, far] = pair();
    far.on('data', (chunk: Buffer) => far.write(chunk));
    const owner = connectTo(NOWHERE, { dial: () => near });
    await owner.whenOpen();
    const server = await Loopback.start();
    const thief = connectTo(server, { handshake: () => near });
    expect(await payload(thief, 'backoff')).toMatchObject({
      reason: 'handshake-failed',
      error: { message: expect.stringContaining('not one that a connection has had') as string },
    });
    thief.destroy();
    const echo = receives(owner, 'here');
    owner.write('still here');
    expect(await echo).toBe('still here');
  });

  test.each<[string, unknown, string]>([
    ['a boolean, such as what write() returns', true, 'got true (boolean)'],
    ['null', null, 'got null'],
    ['a string', 'OK', 'got "OK" (string)'],
    ['an ended stream', new PassThrough().end(), 'a stream that is not used up'],
  ])('may be no %s', async (_what, answer, words) => {
    const server = await Loopback.start();
    const connection = connectTo(server, { handshake: () => Promise.resolve(answer as undefined) });
    connection.write('password');
    const { reason, error } = await payload(connection, 'backoff');
    expect([reason, error?.code]).toEqual(['handshake-failed', 'ERR_HANDSHAKE_FAILED']);
    expect(error?.message).toContain(words);
    expect(server.text()).toBe('');
  });

  test('confirms writes as any stream does', async () => {
    const { server, connection } = await opened(wrapper);
    expect(await written(connection, 'confirmed')).toBeUndefined();
    await server.receives('confirmed');
    expect(names(record(connection))).toEqual([]);
  });
});

/** The server's side of TLS inside TLS. */
function secureInside(socket: Socket, { cert, key }: Pair): void {
  new TLSSocket(socket, { isServer: true, cert, key }).on('error', () => undefined).resume();
}

/** Deflates what is written, and inflates what is read. */
function compressed(socket: Duplex): Duplex {
  const out = createDeflateRaw({ flush: constants.Z_SYNC_FLUSH });
  const back = createInflateRaw();
  out.pipe(socket).pipe(back);
  return Duplex.from({ writable: out, readable: back });
}

/** A stream that passes everything on, as a wrapper does that was written with care. */
function wrapper(socket: Duplex): Duplex {
  const outer = new Duplex({
    allowHalfOpen: false,
    read: () => socket.resume(),
    write: (chunk, encoding, done) => socket.write(chunk as Buffer, encoding, done),
    final: (done) => socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk: Buffer) => outer.push(chunk) || socket.pause());
  socket.on('end', () => outer.push(null));
  socket.on('error', (error) => outer.destroy(error));
  return outer;
}

/** One that was not: it passes on what is written, and knows nothing of ends and errors. */
function deaf(socket: Duplex): Duplex {
  const outer = new Duplex({
    read: () => undefined,
    write: (chunk, encoding, done) => socket.write(chunk as Buffer, encoding, done),
  });
  socket.on('data', (chunk: Buffer) => outer.push(chunk));
  return outer;
}
