import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough } from 'node:stream';
import { connect as connectTls } from 'node:tls';

import type { MemberOptions, ResolvedTarget } from 'reconnecting-connection';

import { openSocket } from '../../lib/socket/open-socket';
import { isSelfConnected } from '../../lib/socket/transport';
import { type Certificates, loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, pair, payload, payloads, receives, run, track, written } from '../kit/loopback';
import { names, record } from '../kit/record';

// What is not verified here is meant not to be.
jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);

/** A target for a custom `dial`, where nobody listens. */
const NOWHERE = { target: { port: 7, host: 'nowhere.test' } };

/** The options of `socket`, with a `lookup` of our own for a name that is looked up nowhere else. */
function looking(lookup: NonNullable<NonNullable<MemberOptions['socket']>['lookup']>): MemberOptions {
  return { host: 'looked-up.test', socket: { lookup } };
}

test.each(['tcp', 'tls'])(
  'sets the pace of keep-alive probes, which no option of `connect` does (%s)',
  async (kind) => {
    const { server: pem } = await loadCertificates();
    const server = await Loopback.start(kind === 'tls' ? { tls: pem } : {});
    const setKeepAlive = jest.spyOn(Socket.prototype, 'setKeepAlive');
    const target = {
      host: '127.0.0.1',
      port: server.port,
      ...(kind === 'tls' && { tls: { rejectUnauthorized: false } }),
    };
    const probes = { keepAlive: true, keepAliveInitialDelay: 5_000, keepAliveInterval: 3_000, keepAliveCount: 4 };
    // Older versions of Node, where these are refused as options, ignore the last two arguments.
    const socket = track(openSocket(target, probes, false));
    await once(socket, 'connect');
    expect(setKeepAlive.mock.lastCall).toEqual([true, 5_000, 3_000, 4]);
    setKeepAlive.mockRestore();
  },
);

describe('a custom dial', () => {
  test('opens any stream: it echoes, it ends, and the next one takes its place', async () => {
    const far: Duplex[] = [];
    const connection = connectTo(NOWHERE, {
      dial: () => {
        const [near, other] = pair();
        other.on('data', (chunk) => other.write(chunk));
        far.push(other);
        return near;
      },
    });
    const info = await payload(connection, 'open');
    connection.write('echo');
    expect(await receives(connection, 'echo')).toBe('echo');
    far[0]?.end();
    const reset = await payload(connection, 'reset');
    const again = await payload(connection, 'open');
    connection.write('again');

    expect(await receives(connection, 'again')).toBe('again');
    expect(info).toEqual({ generation: 1, reopened: false, attempts: 1, downtime: 0 });
    expect(reset).toMatchObject({ reason: 'peer-end', uncertain: { writes: 0, bytes: 0 } });
    expect(again).toMatchObject({ generation: 2, attempts: 1 });
    expect(connection.stats.bytesReceived).toBe(9);
    expect(connection.tag).toBe('nowhere.test:7');
  });

  test('is handed the target, with nothing left open, and a signal', async () => {
    const asked: { target: ResolvedTarget; aborted: boolean }[] = [];
    const dial = (target: ResolvedTarget, signal: AbortSignal) => {
      asked.push({ target, aborted: signal.aborted });
      return pair()[0];
    };
    await connectTo({ target: { port: 5 } }, { dial }).whenOpen();
    await connectTo({ target: { path: '/tmp/x.sock' } }, { dial }).whenOpen();

    expect(asked).toEqual([
      { target: { host: '127.0.0.1', port: 5 }, aborted: false },
      { target: { path: '/tmp/x.sock' }, aborted: false },
    ]);
    expect(asked.every(({ target }) => Object.isFrozen(target))).toBe(true);
    expect(asked.some(({ target }) => 'toString' in target)).toBe(false);
  });

  test('may take its time, and may return a socket that has yet to connect', async () => {
    const server = await Loopback.start({ echo: true });
    const connection = connectTo(NOWHERE, { dial: async () => Promise.resolve(connect(server.port, '127.0.0.1')) });
    expect(await connection.whenOpen()).toMatchObject({ remoteAddress: '127.0.0.1', remotePort: server.port });
    connection.write('over a tunnel');

    expect(await receives(connection, 'tunnel')).toBe('over a tunnel');
  });

  test.each<[string, () => Duplex | Promise<Duplex>, object]>([
    ['throws', () => throwing(new Error('no route')), { message: 'no route' }],
    ['throws undefined', () => throwing(undefined), { message: 'Thrown: undefined' }],
    ['rejects', () => Promise.reject(new Error('no tunnel')), { message: 'no tunnel' }],
    ['returns nothing', () => undefined as never, { code: 'ERR_INVALID_OPTION' }],
    ['returns null', () => null as never, { code: 'ERR_INVALID_OPTION' }],
    ['returns a number', () => 5 as never, { code: 'ERR_INVALID_OPTION' }],
    ['returns an object', () => ({ on: true }) as never, { code: 'ERR_INVALID_OPTION' }],
    ['resolves with junk', () => Promise.resolve('a stream' as never), { code: 'ERR_INVALID_OPTION' }],
    ['returns a dead stream', () => pair()[0].destroy(), { code: 'ERR_HANDSHAKE_FAILED' }],
    [
      'returns a dead stream of another make',
      () => Object.defineProperty(pair()[0].destroy(), 'errored', { value: undefined }),
      { code: 'ERR_HANDSHAKE_FAILED' },
    ],
    [
      'returns a stream that fails at once',
      () => pair()[0].destroy(Object.assign(new Error('broken'), { code: 'EBROKEN' })),
      { code: 'EBROKEN' },
    ],
  ])('that %s is a failed attempt, and the next one is made', async (_what, first, error) => {
    let dials = 0;
    const connection = connectTo(NOWHERE, { dial: () => (dials++ === 0 ? first() : pair()[0]) });
    const heard = record(connection, ['open', 'reset', 'backoff']);

    await next(connection, 'open');

    expect(heard[0]).toMatchObject(['backoff', { attempt: 1, error }]);
    expect(names(heard)).toEqual(['backoff', 'open']);
  });

  test('that comes after connectTimeout is destroyed, and its signal was aborted', async () => {
    const late: { answer: (stream: Duplex) => void; signal: AbortSignal }[] = [];
    const connection = connectTo(NOWHERE, {
      connectTimeout: 30,
      dial: (_target, signal) => new Promise((answer) => late.push({ answer, signal })),
    });
    const { error, reason } = await payload(connection, 'backoff');
    const [stream] = pair();
    late[0]?.answer(stream);
    await new Promise((resolve) => stream.on('close', resolve));

    expect(reason).toBe('connect-timeout');
    expect(late[0]?.signal.aborted).toBe(true);
    expect(late[0]?.signal.reason).toBe(error);
    expect(connection.generation).toBe(0);
  });

  test.each(['destroy', 'disconnect'] as const)(
    'that comes after %s() is destroyed, and its signal was aborted',
    async (end) => {
      let answer!: (stream: Duplex) => void;
      let signal!: AbortSignal;
      const connection = connectTo(NOWHERE, {
        dial: (_target, given) => {
          signal = given;
          connection.emit('drain');
          return new Promise((resolve) => (answer = resolve));
        },
      });
      await next(connection, 'drain');
      const heard = record(connection);
      void connection[end]();
      const [stream] = pair();
      answer(stream);
      await new Promise((resolve) => stream.on('close', resolve));

      expect(signal.aborted).toBe(true);
      expect(names(heard)).toEqual(['state', 'close']);
    },
  );

  test('that rejects after destroy() is ignored', async () => {
    let fail!: (error: Error) => void;
    const connection = connectTo(NOWHERE, {
      dial: () => {
        connection.emit('drain');
        return new Promise((_resolve, reject) => (fail = reject));
      },
    });
    await next(connection, 'drain');
    connection.destroy();
    const heard = record(connection);
    fail(new Error('too late'));
    await new Promise(setImmediate);

    expect(heard).toEqual([]);
    expect(connection.state).toBe('closed');
  });

  test('that returns the stream of the session before fails, and does not harm', async () => {
    const [same, far] = pair();
    const fresh = pair()[0];
    const streams = [same, same, fresh];
    const connection = connectTo(NOWHERE, { dial: () => streams.shift()! });
    await connection.whenOpen();
    far.end();
    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'peer-end' });
    expect(await payload(connection, 'backoff')).toMatchObject({ attempt: 2 });
    await next(connection, 'open');

    expect(connection.socket).toBe(fresh);
  });

  test('whose stream fails later loses the session with that error', async () => {
    const [near] = pair();
    const connection = connectTo(NOWHERE, { dial: () => near });
    await connection.whenOpen();
    const error = new Error('cable pulled');
    near.destroy(error);

    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error', error });
  });

  test('whose stream emits an error and stays loses the session all the same', async () => {
    const [near] = pair();
    const connection = connectTo(NOWHERE, { dial: () => near });
    await connection.whenOpen();
    const error = new Error('half broken');
    near.emit('error', error);

    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error', error });
    expect(near.destroyed).toBe(true);
  });

  test('whose stream throws from write() loses the session, and the write is uncertain', async () => {
    const [near] = pair();
    const connection = connectTo(NOWHERE, { dial: () => near });
    await connection.whenOpen();
    near.write = () => throwing(new Error('cannot write'));
    const reset = payload(connection, 'reset');
    const fate = await written(connection, 'lost');

    expect(fate).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
    expect(await reset).toMatchObject({
      reason: 'error',
      error: { message: 'cannot write' },
      uncertain: { writes: 1 },
    });
  });

  test('whose stream never closes after destroy() does not hold the connection up', async () => {
    class Undead extends PassThrough {
      override _destroy(): void {
        // Never calls back.
      }
    }
    const connection = connectTo(NOWHERE, { closeTimeout: 50, dial: () => new Undead() });
    await connection.whenOpen();
    connection.socket?.emit('error', new Error('dying'));
    const reset = await payload(connection, 'reset');
    await next(connection, 'open');

    expect(reset).toMatchObject({ reason: 'error', error: { message: 'dying' } });
    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
  });

  test('C17 whose socket is connected to itself is refused', async () => {
    const streams: Duplex[] = [];
    const connection = connectTo(NOWHERE, {
      dial: () => {
        const [near] = pair();
        streams.push(near);
        const self = { localAddress: '127.0.0.1', localPort: 4242, remoteAddress: '127.0.0.1', remotePort: 4242 };
        return streams.length === 1 ? Object.assign(near, self) : Object.assign(near, self, { remotePort: 4243 });
      },
    });
    const heard = record(connection, ['open', 'backoff']);
    await next(connection, 'open');

    expect(heard[0]).toMatchObject(['backoff', { reason: 'self-connect', error: { code: 'ERR_SELF_CONNECT' } }]);
    expect(names(heard)).toEqual(['backoff', 'open']);
    expect(streams.map(({ destroyed }) => destroyed)).toEqual([true, false]);
    expect(connection.socket?.remotePort).toBe(4243);
  });
});

test('C17 a socket is asked for its own port alone, unless that is the port that was dialled', () => {
  const asked: string[] = [];
  const self = new Proxy(new PassThrough(), {
    get: (_stream, name: string) => {
      asked.push(name);
      return name.endsWith('Port') ? 4242 : '127.0.0.1';
    },
  });
  expect(isSelfConnected(self, 4243)).toBe(false);
  expect(asked).toEqual(['localPort']);
  expect(isSelfConnected(self, 4242)).toBe(true);
  expect(isSelfConnected(self)).toBe(true);
});

test.each([undefined, true])(
  'C17 a socket that connects to itself is cut by an RST, and before TLS begins (tls: %s)',
  async (tls) => {
    const [near] = pair();
    let cut = 0;
    const self = { localAddress: '127.0.0.1', localPort: 4242, remoteAddress: '127.0.0.1', remotePort: 4242 };
    const socket = Object.assign(near, self, { connecting: true, resetAndDestroy: () => (cut += 1) });
    const connection = connectTo(NOWHERE, { dial: () => socket, backoff: () => 60_000, ...(tls && { tls }) });
    setImmediate(() => socket.emit('connect'));
    const { reason, error } = await payload(connection, 'backoff');

    expect([reason, error?.code]).toEqual(['self-connect', 'ERR_SELF_CONNECT']);
    expect([cut, socket.destroyed]).toEqual([1, true]);
  },
);

describe('TLS over a dialled stream', () => {
  let certificates: Certificates;
  beforeAll(async () => (certificates = await loadCertificates()));

  /** A stream that is no socket, to a server. */
  function tunnel(port: number): Duplex {
    const socket = connect(port, '127.0.0.1');
    return Duplex.from({ readable: socket, writable: socket });
  }

  test.each(['a socket', 'no socket'] as const)(
    'is verified, encrypted, and new for every session (%s)',
    async (kind) => {
      const { ca, server: own } = certificates;
      const server = await Loopback.start({ tls: own, echo: true });
      const dialled: Duplex[] = [];
      const connection = connectTo(
        { target: { port: 9, host: 'localhost' } },
        {
          tls: { ca: ca.cert },
          dial: () => {
            const stream = kind === 'a socket' ? connect(server.port, '127.0.0.1') : tunnel(server.port);
            dialled.push(stream);
            return stream;
          },
        },
      );
      for (let generation = 1; generation <= 2; generation++) {
        await next(connection, 'open');
        expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });
        expect(connection.socket).not.toBe(dialled[generation - 1]);
        connection.write(`secret ${generation}`);
        expect(await receives(connection, `secret ${generation}`)).toBe(`secret ${generation}`);
        if (generation === 1) server.drop();
      }
      await connection.disconnect();
      await server.until(() => server.live === 0);

      expect(dialled.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    },
  );

  test('that cannot be verified is refused, and the stream beneath is closed', async () => {
    const server = await Loopback.start({ tls: certificates.selfSigned });
    const connection = connectTo(
      { target: { port: 9, host: 'localhost' } },
      { tls: true, maxRetries: 0, dial: () => connect(server.port, '127.0.0.1') },
    );
    const heard = record(connection, ['open', 'close']);

    expect(await payload(connection, 'close')).toMatchObject({
      error: { cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } },
    });
    await server.until(() => server.accepted === 1 && server.live === 0);
    expect(names(heard)).toEqual(['close']);
  });

  test('is checked for the name of the target, not of the tunnel', async () => {
    const { ca, wrongHost } = certificates;
    const server = await Loopback.start({ tls: wrongHost });
    const options = { tls: { ca: ca.cert }, dial: () => tunnel(server.port) };
    const wrong = connectTo({ target: { port: 9, host: 'localhost' } }, options);
    const right = connectTo({ target: { port: 9, host: 'elsewhere.test' } }, options);

    expect(await payload(wrong, 'backoff')).toMatchObject({ error: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } });
    expect(await right.whenOpen()).toMatchObject({ generation: 1 });
  });

  test('with a peer that never answers is bounded by connectTimeout, and the stream beneath is closed', async () => {
    const [near] = pair();
    const connection = connectTo(NOWHERE, { tls: true, connectTimeout: 50, maxRetries: 0, dial: () => near });

    expect(await payload(connection, 'close')).toMatchObject({ error: { cause: { code: 'ERR_CONNECT_TIMEOUT' } } });
    if (!near.destroyed) await new Promise((resolve) => near.on('close', resolve));
    expect(near.destroyed).toBe(true);
  });

  test('that dial has put there itself is taken as it is', async () => {
    const { ca, server: own } = certificates;
    const server = await Loopback.start({ tls: own });
    const connection = connectTo(NOWHERE, {
      tls: true,
      dial: () => connectTls({ port: server.port, host: 'localhost', ca: ca.cert }),
    });

    expect(await connection.whenOpen()).toMatchObject({ attempts: 1 });
    expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });
  });

  test('that dial has put there without verifying is refused', async () => {
    const server = await Loopback.start({ tls: certificates.selfSigned });
    const connection = connectTo(NOWHERE, {
      tls: true,
      dial: () => connectTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false }),
    });
    const heard = record(connection, ['open', 'backoff']);
    const wait = await payload(connection, 'backoff');
    await next(connection, 'backoff');

    expect(wait).toMatchObject({ reason: 'error', error: { code: 'ERR_HANDSHAKE_FAILED' } });
    expect(names(heard)).toEqual(['backoff', 'backoff']);
  });
});

describe('lookup', () => {
  test('is asked for every attempt, and heeded', async () => {
    const server = await Loopback.start();
    const asked: string[] = [];
    const connection = connectTo(
      server,
      looking((name, _options, callback) => {
        asked.push(name);
        callback(null, [{ address: '127.0.0.1', family: 4 }]);
      }),
    );
    await server.meets(connection);
    server.drop();
    await next(connection, 'open');

    expect(asked).toEqual(['looked-up.test', 'looked-up.test']);
  });

  const none = new Error('no such name');
  type Callback = (error: unknown, address?: unknown, family?: number) => void;
  test.each<[string, (callback: Callback) => unknown, object]>([
    ['fails', (callback) => callback(none), { message: 'no such name' }],
    ['fails later', (callback) => void setImmediate(callback, none), { message: 'no such name' }],
    ['throws', () => throwing(none), { message: 'no such name' }],
    ['finds an empty list', (callback) => callback(null, []), { code: 'ENOTFOUND' }],
    ['finds nothing', (callback) => callback(null), { code: 'ENOTFOUND' }],
    ['finds null', (callback) => callback(null, null), { code: 'ENOTFOUND' }],
    ['finds no address', (callback) => callback(null, 'not an address', 4), { code: 'ENOTFOUND' }],
    ['finds a list of junk', (callback) => callback(null, [{ address: 'junk', family: 4 }]), { code: 'ENOTFOUND' }],
    ['finds a list of null', (callback) => callback(null, [null]), {}],
    ['finds a list of null later', (callback) => void setImmediate(callback, null, [null]), {}],
    ['is async, and rejects', () => Promise.reject(none), { message: 'no such name' }],
  ])('that %s is a failed attempt, and the next one is made', async (_what, answer, error) => {
    const server = await Loopback.start();
    let asked = 0;
    const connection = connectTo(
      server,
      looking((_name, _options, callback) => {
        if (asked++ === 0) return answer(callback as Callback);
        return callback(null, [{ address: '127.0.0.1', family: 4 }]);
      }),
    );
    const wait = await payload(connection, 'backoff');

    expect(wait).toMatchObject({ attempt: 1, reason: 'error', error });
    expect(wait.error?.message).not.toBe('');
    expect(await payload(connection, 'open')).toMatchObject({ attempts: 2 });
  });

  test('that answers twice, or throws after it has answered, is heard once', async () => {
    const server = await Loopback.start();
    const connection = connectTo(
      server,
      looking((_name, _options, callback) => {
        const found = [{ address: '127.0.0.1', family: 4 }];
        callback(null, found);
        callback(none, []);
        callback(null, found);
        setImmediate(callback, none, []);
        throw none;
      }),
    );
    const heard = record(connection, ['open', 'backoff', 'reset']);
    await connection.whenOpen();
    expect(await written(connection, 'fine')).toBeUndefined();
    await server.receives('fine');

    expect(names(heard)).toEqual(['open']);
    expect(server.accepted).toBe(1);
  });

  test('that answers in the old way, with one address, is understood where one is asked for', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, {
      host: 'old.test',
      socket: { autoSelectFamily: false, lookup: (_name, _options, callback) => callback(null, '127.0.0.1', 4) },
    });

    expect(await connection.whenOpen()).toMatchObject({ attempts: 1, remoteAddress: '127.0.0.1' });
  });
});

describe('what Node says', () => {
  test('a name that cannot be found is retried', async () => {
    const connection = connectTo({ target: { port: 9, host: 'does-not-exist.invalid' } }, { connectTimeout: 5_000 });

    const wait = await payload(connection, 'backoff');

    expect(wait).toMatchObject({ attempt: 1, reason: 'error' });
    expect(wait.error).toMatchObject({ code: expect.stringMatching(/^E/) as string });
  });

  test('C15 a local address that is not ours is retried', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { socket: { localAddress: '192.0.2.1' } });

    const waits = await payloads(connection, 'backoff', 2);

    expect(waits[0]).toMatchObject({ reason: 'error', error: { code: 'EADDRNOTAVAIL' } });
    expect(connection.state).toBe('backoff');
  });

  test('C18 Object.prototype.path, and others, do not redirect a connection', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'trap-'));
    track({ destroy: () => rmSync(directory, { recursive: true }) });
    const { code, said, stderr } = await run(`
      const trap = ${JSON.stringify(join(directory, 's'))};
      const trapped = net.createServer(() => say('trapped')).listen(trap);
      const server = net.createServer((socket) => socket.on('data', (chunk) => say(String(chunk)))).listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        Object.assign(Object.prototype, { path: trap, host: '127.0.0.9', port: 1, localPort: 1, family: 6, fd: 0, timeout: 1,
          tls: true, target: () => ({ path: trap }), maxRetries: 0, handshake: () => { throw new Error('polluted'); } });
        const connection = new ReconnectingConnection({ port, ...QUICK });
        connection.on('backoff', ({ error }) => say(error.message));
        connection.on('open', async () => {
          connection.write('arrived', async () => {
            await connection.disconnect();
            say(connection.tag === '127.0.0.1:' + port);
            process.exit();
          });
        });
      });
    `);

    expect({ code, said, stderr }).toEqual({ code: 0, said: ['arrived', true], stderr: '' });
  });
});

function throwing(error: unknown): never {
  throw error;
}
