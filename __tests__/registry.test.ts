import {
  type MemberOptions,
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
  registry as defaultRegistry,
} from 'reconnecting-connection';

import { Loopback, QUICK, next, pair, track } from './kit/loopback';

/** A new registry, whose connections are disconnected after the test. */
function newRegistry(): ConnectionRegistry {
  const registry = new ConnectionRegistry();
  track({ destroy: () => registry.disconnectAll() });
  return registry;
}

const MEMORY: MemberOptions = {
  ...QUICK,
  dial: () => {
    const [near, far] = pair();
    far.resume();
    return near;
  },
};
const duplicate = expect.objectContaining({ code: 'ERR_DUPLICATE_TARGET' }) as Error;

describe('connect()', () => {
  test('creates a connection that can be looked up by port, by port and host, and by tag', async () => {
    const server = await Loopback.start();
    const registry = newRegistry();
    const connection = registry.connect({ ...QUICK, port: server.port });
    await connection.whenOpen();

    expect(connection).toBeInstanceOf(ReconnectingConnection);
    expect(registry.getConnection(server.port)).toBe(connection);
    expect(registry.getConnection(server.port, '127.0.0.1')).toBe(connection);
    expect(registry.getConnection(`127.0.0.1:${server.port}`)).toBe(connection);
    expect(registry.getConnection(server.port, 'localhost')).toBeUndefined();
    expect(registry.getConnection(server.port + 1)).toBeUndefined();
  });

  test.each<[MemberOptions, string]>([
    [{ port: 7, host: '::1' }, '[::1]:7'],
    [{ port: 7, host: 'some.test' }, 'some.test:7'],
    [{ path: '/tmp/some.sock' }, 'unix:/tmp/some.sock'],
  ])('with %j can be looked up by the tag %s', (options, tag) => {
    const registry = newRegistry();
    const connection = registry.connect({ ...MEMORY, ...options } as typeof options & { port: number });

    expect(registry.getConnection(tag)).toBe(connection);
    if (options.port !== undefined) expect(registry.getConnection(options.port, options.host)).toBe(connection);
  });

  test('throws ERR_DUPLICATE_TARGET while a connection that has not closed has the tag', async () => {
    const registry = newRegistry();
    const connection = registry.connect({ ...MEMORY, port: 7 });
    expect(() => registry.connect({ ...MEMORY, port: 7 })).toThrow(duplicate);
    await connection.whenOpen();
    expect(() => registry.connect({ ...MEMORY, port: 7, host: '127.0.0.1' })).toThrow(
      expect.objectContaining({ code: 'ERR_DUPLICATE_TARGET', tag: '127.0.0.1:7' }) as Error,
    );
    registry.connect({ ...MEMORY, port: 7, host: 'other.test' });

    await connection.disconnect();
    const successor = registry.connect({ ...MEMORY, port: 7 });
    expect(registry.getConnection(7)).toBe(successor);
  });

  test('throws while the connection with the tag is closing, or idle', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const registry = newRegistry();
    const closing = registry.connect({ ...QUICK, port: server.port });
    await closing.whenOpen();
    const closed = closing.disconnect();
    expect(closing.state).toBe('closing');
    expect(() => registry.connect({ ...QUICK, port: server.port })).toThrow(duplicate);
    await server.session(1);
    server.drop();
    await closed;
    registry.connect({ ...QUICK, port: server.port, autoConnect: false });
    expect(() => registry.connect({ ...QUICK, port: server.port })).toThrow(duplicate);
  });

  test('in a `close` listener replaces the connection that closed', async () => {
    const registry = newRegistry();
    const connection = registry.connect({ ...MEMORY, port: 7 });
    await connection.whenOpen();
    let successor: ReconnectingConnection | undefined;
    connection.on('close', () => (successor = registry.connect({ ...MEMORY, port: 7 })));
    await connection.disconnect();

    expect(registry.getConnection(7)).toBe(successor);
    expect(successor).not.toBe(connection);
    expect(await successor?.whenOpen()).toMatchObject({ generation: 1 });
  });

  test('throws for invalid options, and adds no connection', () => {
    const registry = newRegistry();
    for (const options of [{}, { port: 0 }, { port: 7, prot: 7 }, null]) {
      expect(() => registry.connect(options as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    }
    expect(registry.getConnection(7)).toBeUndefined();
    expect(registry.connect({ ...MEMORY, port: 7 })).toBe(registry.getConnection(7));
  });

  test('with target() can be looked up by its present tag', async () => {
    const registry = newRegistry();
    const ports = [1, 2];
    const connection = registry.connect({ ...MEMORY, target: () => ({ port: ports.shift() ?? 3 }) });
    expect(registry.getConnection('unresolved')).toBe(connection);
    const other = registry.connect({ ...MEMORY, target: () => ({ port: 9 }) });
    await Promise.all([connection.whenOpen(), other.whenOpen()]);
    expect(registry.getConnection(1)).toBe(connection);
    expect(registry.getConnection(9)).toBe(other);
    connection.reconnect();
    await next(connection, 'open');

    expect(registry.getConnection(1)).toBeUndefined();
    expect(registry.getConnection(2)).toBe(connection);
  });
});

describe('a closed connection', () => {
  test('cannot be looked up, also after removeAllListeners(): the registry adds no listeners', async () => {
    const registry = newRegistry();
    const connection = registry.connect({ ...MEMORY, port: 1 });
    expect(connection.eventNames()).toEqual([]);
    connection.removeAllListeners();
    await connection.disconnect();
    expect(registry.getConnection(1)).toBeUndefined();
    connection.connect();
    expect(registry.getConnection(1)).toBe(connection);
  });

  test('cannot be looked up, whatever closed it', async () => {
    const registry = newRegistry();
    const server = await Loopback.start();
    server.refuse();
    const gaveUp = registry.connect({ ...QUICK, port: server.port, maxRetries: 0 });
    const destroyed = registry.connect({ ...MEMORY, port: 8 });
    await next(gaveUp, 'close');
    destroyed.destroy();

    expect(registry.getConnection(server.port)).toBeUndefined();
    expect(registry.getConnection(8)).toBeUndefined();
  });

  test('can be looked up again when it is restarted', async () => {
    const registry = newRegistry();
    const connection = registry.connect({ ...MEMORY, port: 7 });
    await connection.whenOpen();
    await connection.disconnect();
    expect(registry.getConnection(7)).toBeUndefined();
    connection.connect();
    expect(registry.getConnection(7)).toBe(connection);
    await registry.disconnectAll();

    expect(connection.state).toBe('closed');
  });
});

describe('pools', () => {
  test('can be created, looked up by name, and filled', async () => {
    const registry = newRegistry();
    const pool = registry.createPool('cache', { ...MEMORY, maxRetries: 3, select: 'least-pending' });
    expect(pool).toBeInstanceOf(ConnectionPool);
    expect(registry.getPool('cache')).toBe(pool);
    expect(registry.getPool('other')).toBeUndefined();
    await pool.add({ port: 7 }).whenOpen();

    expect(pool.size).toBe(1);
    // Members of a pool are not in the defaultRegistry.
    expect(registry.getConnection(7)).toBeUndefined();
    expect(registry.connect({ ...MEMORY, port: 7 })).toBe(registry.getConnection(7));
  });

  test('have unique names', () => {
    const registry = newRegistry();
    const pool = registry.createPool('cache');
    expect(() => registry.createPool('cache')).toThrow(duplicate);
    expect(registry.getPool('cache')).toBe(pool);
    for (const name of ['', 5, null, undefined]) {
      expect(() => registry.createPool(name as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    }
    expect(() => registry.createPool('bad', { maxConnecting: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
    );
    expect(registry.getPool('bad')).toBeUndefined();
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('C94 may have the name %s', (name) => {
    const registry = newRegistry();
    expect(registry.getPool(name)).toBeUndefined();
    expect(registry.getConnection(name)).toBeUndefined();
    const pool = registry.createPool(name);

    expect(registry.getPool(name)).toBe(pool);
    expect(Object.getPrototypeOf(registry)).toBe(ConnectionRegistry.prototype);
  });
});

describe('disconnectAll()', () => {
  test('disconnects connections and members of pools, and resolves when all have closed', async () => {
    const server = await Loopback.start();
    const registry = newRegistry();
    const single = registry.connect({ ...QUICK, port: server.port });
    const pool = registry.createPool('cache', QUICK);
    const member = pool.add({ port: server.port });
    const waiting = registry.connect({ ...QUICK, port: 1, dial: () => new Promise(() => {}) });
    await Promise.all([single.whenOpen(), member.whenOpen()]);
    single.write('last ');
    member.write('words');

    await registry.disconnectAll();

    expect([single, member, waiting].map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
    expect(server.text()).toMatch(/last /);
    expect(server.text()).toMatch(/words/);
    await server.until(() => server.live === 0);
    expect(registry.getConnection(server.port)).toBeUndefined();
  });

  test('keeps the pools, empty and usable', async () => {
    const registry = newRegistry();
    const pool = registry.createPool('cache', MEMORY);
    await pool.add({ port: 7 }).whenOpen();
    await registry.disconnectAll();
    expect(registry.getPool('cache')).toBe(pool);
    expect(pool.size).toBe(0);

    expect(await pool.add({ port: 7 }).whenOpen()).toMatchObject({ generation: 1 });
  });

  test('resolves when the registry is empty', async () => {
    await expect(new ConnectionRegistry().disconnectAll()).resolves.toBeUndefined();
  });
});

describe('the default registry', () => {
  test('is a ConnectionRegistry that shares nothing with others', async () => {
    track({ destroy: () => defaultRegistry.disconnectAll() });
    expect(defaultRegistry).toBeInstanceOf(ConnectionRegistry);
    const registry = newRegistry();
    const first = registry.connect({ ...MEMORY, port: 7 });
    const second = defaultRegistry.connect({ ...MEMORY, port: 7 });
    expect(defaultRegistry.getConnection(7)).toBe(second);
    await registry.disconnectAll();

    expect(first.state).toBe('closed');
    expect(await second.whenOpen()).toMatchObject({ generation: 1 });
  });
});
