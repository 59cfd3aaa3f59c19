import {
  type ConnectionOptions,
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
  registry,
} from 'reconnecting-connection';

import { Loopback, QUICK, next, pair, track } from './kit/loopback';

/** A registry of its own for each test, emptied after it. */
function newRegistry(): ConnectionRegistry {
  const made = new ConnectionRegistry();
  track({ destroy: () => made.disconnectAll() });
  return made;
}

const MEMORY: ConnectionOptions = {
  ...QUICK,
  dial: () => {
    const [near, far] = pair();
    far.resume();
    return near;
  },
};
const duplicate = expect.objectContaining({ code: 'ERR_DUPLICATE_TARGET' }) as Error;

describe('connect()', () => {
  test('makes a connection that can be looked up by port, by port and host, and by tag', async () => {
    const server = await Loopback.start();
    const made = newRegistry();
    const connection = made.connect({ ...QUICK, port: server.port });
    await connection.whenOpen();

    expect(connection).toBeInstanceOf(ReconnectingConnection);
    expect(made.getConnection(server.port)).toBe(connection);
    expect(made.getConnection(server.port, '127.0.0.1')).toBe(connection);
    expect(made.getConnection(`127.0.0.1:${server.port}`)).toBe(connection);
    expect(made.getConnection(server.port, 'localhost')).toBeUndefined();
    expect(made.getConnection(server.port + 1)).toBeUndefined();
  });

  test.each<[ConnectionOptions, string]>([
    [{ port: 7, host: '::1' }, '[::1]:7'],
    [{ port: 7, host: 'some.test' }, 'some.test:7'],
    [{ path: '/tmp/some.sock' }, 'unix:/tmp/some.sock'],
  ])('of %j is found as %s', (options, tag) => {
    const made = newRegistry();
    const connection = made.connect({ ...MEMORY, ...options });

    expect(made.getConnection(tag)).toBe(connection);
    if (options.port !== undefined) expect(made.getConnection(options.port, options.host)).toBe(connection);
  });

  test('throws ERR_DUPLICATE_TARGET while a live connection holds the tag', async () => {
    const made = newRegistry();
    const connection = made.connect({ ...MEMORY, port: 7 });
    expect(() => made.connect({ ...MEMORY, port: 7 })).toThrow(duplicate);
    await connection.whenOpen();
    expect(() => made.connect({ ...MEMORY, port: 7, host: '127.0.0.1' })).toThrow(
      expect.objectContaining({ code: 'ERR_DUPLICATE_TARGET', tag: '127.0.0.1:7' }) as Error,
    );
    made.connect({ ...MEMORY, port: 7, host: 'other.test' });

    await connection.disconnect();
    const successor = made.connect({ ...MEMORY, port: 7 });
    expect(made.getConnection(7)).toBe(successor);
  });

  test('throws while the one that holds the tag is closing, or idle', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const made = newRegistry();
    const closing = made.connect({ ...QUICK, port: server.port });
    await closing.whenOpen();
    const closed = closing.disconnect();
    expect(closing.state).toBe('closing');
    expect(() => made.connect({ ...QUICK, port: server.port })).toThrow(duplicate);
    await server.has(1);
    server.drop();
    await closed;
    made.connect({ ...QUICK, port: server.port, autoConnect: false });
    expect(() => made.connect({ ...QUICK, port: server.port })).toThrow(duplicate);
  });

  test('in a listener of close takes the place of the one that closed', async () => {
    const made = newRegistry();
    const connection = made.connect({ ...MEMORY, port: 7 });
    await connection.whenOpen();
    let successor: ReconnectingConnection | undefined;
    connection.on('close', () => (successor = made.connect({ ...MEMORY, port: 7 })));
    await connection.disconnect();

    expect(made.getConnection(7)).toBe(successor);
    expect(successor).not.toBe(connection);
    expect(await successor?.whenOpen()).toMatchObject({ generation: 1 });
  });

  test('throws for bad options, and nothing is left behind', () => {
    const made = newRegistry();
    for (const options of [{}, { port: 0 }, { port: 7, prot: 7 }, null]) {
      expect(() => made.connect(options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    }
    expect(made.getConnection(7)).toBeUndefined();
    expect(made.connect({ ...MEMORY, port: 7 })).toBe(made.getConnection(7));
  });

  test('with target() is found under the tag it has at the time', async () => {
    const made = newRegistry();
    const ports = [1, 2];
    const connection = made.connect({ ...MEMORY, target: () => ({ port: ports.shift() ?? 3 }) });
    expect(made.getConnection('unresolved')).toBe(connection);
    const other = made.connect({ ...MEMORY, target: () => ({ port: 9 }) });
    await Promise.all([connection.whenOpen(), other.whenOpen()]);
    expect(made.getConnection(1)).toBe(connection);
    expect(made.getConnection(9)).toBe(other);
    connection.reconnect();
    await next(connection, 'open');

    expect(made.getConnection(1)).toBeUndefined();
    expect(made.getConnection(2)).toBe(connection);
  });
});

describe('a closed connection', () => {
  test('cannot be looked up, whatever listeners were removed, and the registry adds none', async () => {
    const made = newRegistry();
    const connection = made.connect({ ...MEMORY, port: 1 });
    expect(connection.eventNames()).toEqual([]);
    connection.removeAllListeners();
    await connection.disconnect();
    expect(made.getConnection(1)).toBeUndefined();
    connection.connect();
    expect(made.getConnection(1)).toBe(connection);
  });

  test('leaves by itself, whatever closed it', async () => {
    const made = newRegistry();
    const server = await Loopback.start();
    server.refuse();
    const gaveUp = made.connect({ ...QUICK, port: server.port, maxRetries: 0 });
    const destroyed = made.connect({ ...MEMORY, port: 8 });
    await next(gaveUp, 'close');
    destroyed.destroy();

    expect(made.getConnection(server.port)).toBeUndefined();
    expect(made.getConnection(8)).toBeUndefined();
  });

  test('that is started again is there again', async () => {
    const made = newRegistry();
    const connection = made.connect({ ...MEMORY, port: 7 });
    await connection.whenOpen();
    await connection.disconnect();
    expect(made.getConnection(7)).toBeUndefined();
    connection.connect();
    expect(made.getConnection(7)).toBe(connection);
    await made.disconnectAll();

    expect(connection.state).toBe('closed');
  });
});

describe('pools', () => {
  test('are made, looked up by name, and filled', async () => {
    const made = newRegistry();
    const pool = made.createPool('cache', { ...MEMORY, maxRetries: 3, select: 'least-pending' });
    expect(pool).toBeInstanceOf(ConnectionPool);
    expect(made.getPool('cache')).toBe(pool);
    expect(made.getPool('other')).toBeUndefined();
    await pool.add({ port: 7 }).whenOpen();

    expect(pool.size).toBe(1);
    // Its members are its own.
    expect(made.getConnection(7)).toBeUndefined();
    expect(made.connect({ ...MEMORY, port: 7 })).toBe(made.getConnection(7));
  });

  test('have names that are taken once', () => {
    const made = newRegistry();
    const pool = made.createPool('cache');
    expect(() => made.createPool('cache')).toThrow(duplicate);
    expect(made.getPool('cache')).toBe(pool);
    for (const name of ['', 5, null, undefined]) {
      expect(() => made.createPool(name as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    }
    expect(() => made.createPool('bad', { maxConnecting: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
    );
    expect(made.getPool('bad')).toBeUndefined();
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('C94 may be called %s', (name) => {
    const made = newRegistry();
    expect(made.getPool(name)).toBeUndefined();
    expect(made.getConnection(name)).toBeUndefined();
    const pool = made.createPool(name);

    expect(made.getPool(name)).toBe(pool);
    expect(Object.getPrototypeOf(made)).toBe(ConnectionRegistry.prototype);
  });
});

describe('disconnectAll()', () => {
  test('ends connections and members of pools, and resolves when all have closed', async () => {
    const server = await Loopback.start();
    const made = newRegistry();
    const single = made.connect({ ...QUICK, port: server.port });
    const pool = made.createPool('cache', QUICK);
    const member = pool.add({ port: server.port });
    const waiting = made.connect({ ...QUICK, port: 1, dial: () => new Promise(() => {}) });
    await Promise.all([single.whenOpen(), member.whenOpen()]);
    single.write('last ');
    member.write('words');

    await made.disconnectAll();

    expect([single, member, waiting].map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
    expect(server.received()).toMatch(/last /);
    expect(server.received()).toMatch(/words/);
    await server.until(() => server.live === 0);
    expect(made.getConnection(server.port)).toBeUndefined();
  });

  test('leaves the pools, empty and ready for use', async () => {
    const made = newRegistry();
    const pool = made.createPool('cache', MEMORY);
    await pool.add({ port: 7 }).whenOpen();
    await made.disconnectAll();
    expect(made.getPool('cache')).toBe(pool);
    expect(pool.size).toBe(0);

    expect(await pool.add({ port: 7 }).whenOpen()).toMatchObject({ generation: 1 });
  });

  test('of an empty registry resolves', async () => {
    await expect(new ConnectionRegistry().disconnectAll()).resolves.toBeUndefined();
  });
});

describe('the default registry', () => {
  test('is a registry, and another one shares nothing with it', async () => {
    track({ destroy: () => registry.disconnectAll() });
    expect(registry).toBeInstanceOf(ConnectionRegistry);
    const made = newRegistry();
    const ours = made.connect({ ...MEMORY, port: 7 });
    const theirs = registry.connect({ ...MEMORY, port: 7 });
    expect(registry.getConnection(7)).toBe(theirs);
    await made.disconnectAll();

    expect(ours.state).toBe('closed');
    expect(await theirs.whenOpen()).toMatchObject({ generation: 1 });
  });
});
