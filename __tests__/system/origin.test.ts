/**
 * What connman 1.0.0 could do, feature by feature, in the words of today.
 */
import {
  type CloseInfo,
  ConnectionRegistry,
  ReconnectingConnection,
  connmanBackoff,
  registry,
} from 'reconnecting-connection';

import { Loopback, connectTo, next, payload, payloads, receives, track } from '../kit/loopback';
import { names, record } from '../kit/record';

const CONNMAN = { backoff: connmanBackoff() };

describe('new Connection(port, host, onOpen, onData, onReset, options)', () => {
  test('opens itself on creation', async () => {
    const server = await Loopback.start();
    const connection = track(new ReconnectingConnection({ port: server.port }));

    expect(await payload(connection, 'open')).toMatchObject({ generation: 1 });
  });

  test('requires a port', () => {
    // @ts-expect-error the compiler says so too
    expect(() => new ReconnectingConnection({})).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_OPTION',
        message: expect.stringContaining('port') as string,
      }) as Error,
    );
    // @ts-expect-error the compiler says so too
    expect(() => new ReconnectingConnection({ host: 'localhost' })).toThrow(/port/);
    expect(() => new ReconnectingConnection({ port: 0 })).toThrow(/port/);
  });

  test('connects to 127.0.0.1 by default', async () => {
    const server = await Loopback.start();
    const connection = track(new ReconnectingConnection({ port: server.port }));
    await connection.whenOpen();

    expect(connection.tag).toBe(`127.0.0.1:${server.port}`);
    expect(connection.socket?.remoteAddress).toBe('127.0.0.1');
  });

  test('hands its options to the socket', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { socket: { allowHalfOpen: true } });
    const plain = connectTo(server);
    await Promise.all([connection.whenOpen(), plain.whenOpen()]);

    expect(connection.socket?.allowHalfOpen).toBe(true);
    expect(plain.socket?.allowHalfOpen).toBe(false);
  });

  test('onOpen: may write to the socket that has opened', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    connection.on('open', () => connection.write('ping\r\n'));
    await server.receives('ping\r\n');
    server.drop();
    await server.until(() => server.text(2).includes('ping\r\n'));

    expect(server.text()).toBe('ping\r\nping\r\n');
  });

  test('onData: is called with the peer’s bytes, as buffers', async () => {
    const server = await Loopback.start({ echo: true, onSession: (socket) => socket.write('hello\r\n') });
    const connection = connectTo(server);
    const chunk = await payload(connection, 'data');
    connection.write('Pride before fall.\r\n');

    expect(Buffer.isBuffer(chunk)).toBe(true);
    expect(chunk.toString()).toBe('hello\r\n');
    expect(await receives(connection, 'fall.\r\n')).toBe('Pride before fall.\r\n');
  });

  test('onReset: is called for every lost session, so that the work of onOpen can stop', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const pingers = new Set<NodeJS.Timeout>();
    let pinger: NodeJS.Timeout;
    connection.on('open', () => {
      pinger = setInterval(() => connection.write('ping'), 5);
      pingers.add(pinger);
    });
    connection.on('reset', () => {
      clearInterval(pinger);
      pingers.delete(pinger);
    });
    for (let session = 1; session <= 3; session++) {
      await server.until(() => server.text(session).includes('ping'));
      server.drop();
      await next(connection, 'reset');
      expect(pingers.size).toBe(0);
      await next(connection, 'open');
      expect(pingers.size).toBe(1);
    }
    await connection.disconnect();

    expect(pingers.size).toBe(0);
  });

  test('onReset may hand back another entry point for the revived connection', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const entered: string[] = [];
    const onFirst = () => entered.push('first');
    const onRevived = () => entered.push('revived');
    connection.on('open', onFirst);
    connection.once('reset', () => connection.off('open', onFirst).on('open', onRevived));
    for (let session = 1; session <= 2; session++) {
      await server.meets(connection);
      server.drop();
      await next(connection, 'open');
    }

    expect(entered).toEqual(['first', 'revived', 'revived']);
  });

  test('an error is never thrown: it leads to a retry', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);
    const waits = await payloads(connection, 'backoff', 2);
    await server.accept();
    await next(connection, 'open');
    await server.session(1);
    server.reset();
    const reset = await payload(connection, 'reset');

    expect(waits[0]?.error).toMatchObject({ code: 'ECONNREFUSED' });
    expect(reset.error).toMatchObject({ code: 'ECONNRESET' });
  });

  test('a socket that is ended by hand comes back', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    connection.socket?.end();

    expect(await payload(connection, 'open')).toMatchObject({ generation: 2 });
  });
});

describe('reconnect', () => {
  test('retries for ever, after 10 ms and then twice as long each time', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, CONNMAN);

    const waits = await payloads(connection, 'backoff', 5);

    expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80, 160]);
    const backoff = connmanBackoff();
    expect([14, 15, 100, 10_000].map((attempt) => backoff({ attempt }))).toEqual([81_920, 128_000, 128_000, 128_000]);
  });

  test('waits 50 ms after a success, and then twice as long each time', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, CONNMAN);
    await server.meets(connection);
    server.refuse();
    server.drop();

    const waits = await payloads(connection, 'backoff', 3);

    expect(waits.map(({ delay }) => delay)).toEqual([50, 100, 200]);
  });

  test('does not, once disconnect() was called', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, CONNMAN);
    await connection.whenOpen();
    await connection.disconnect();
    const heard = record(connection);
    const control = connectTo(server, CONNMAN);
    await server.meets(control);
    server.drop();
    await next(control, 'open');
    await server.session(3);

    expect(heard).toEqual([]);
    expect(server.accepted).toBe(3);
  });
});

describe('disconnect', () => {
  test('while opening: ends the connection as soon as it is there', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    connection.connect();
    expect(connection.state).toBe('connecting');
    const heard = record(connection, ['close']);

    expect(await connection.disconnect()).toEqual<CloseInfo>({ reason: 'disconnected' });
    const control = connectTo(server);
    await control.whenOpen();
    await server.until(() => server.live === 1);
    expect(names(heard)).toEqual(['close']);
  });

  test('while open: ends it in good order', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    connection.write('quit\r\n');
    await connection.disconnect();
    await server.until(() => server.live === 0);

    expect(server.text()).toBe('quit\r\n');
  });

  test('while closed, and waiting to come back: it does not', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await server.meets(connection);
    server.refuse();
    server.drop();
    await next(connection, 'backoff');
    await connection.disconnect();
    await server.accept();
    await connectTo(server).whenOpen();
    await server.session(2);

    expect(connection.state).toBe('closed');
    expect(server.accepted).toBe(2);
  });
});

describe('the module’s interface', () => {
  test('connect(port, host, …) and getConnection(port, host)', async () => {
    const server = await Loopback.start();
    const connections = new ConnectionRegistry();
    track({ destroy: () => connections.disconnectAll() });
    const connection = connections.connect({ port: server.port, host: '127.0.0.1' });

    expect(connections.getConnection(server.port, '127.0.0.1')).toBe(connection);
    expect(await connection.whenOpen()).toMatchObject({ generation: 1 });
  });

  test('createPool(name) and getPool(name)', () => {
    const connections = new ConnectionRegistry();
    const pool = connections.createPool('myPool');

    expect(connections.getPool('myPool')).toBe(pool);
    expect(connections.getPool('another')).toBeUndefined();
  });

  test('pool.addConnection(port, host, …) establishes the connection, and pool.getConnections() lists it', async () => {
    const server = await Loopback.start();
    const pool = track(new ConnectionRegistry().createPool('myPool'));
    const first = pool.add({ port: server.port });
    const second = pool.add({ port: server.port });
    await Promise.all([first.whenOpen(), second.whenOpen()]);
    await server.session(2);

    expect(pool.connections).toEqual([first, second]);
    expect(server.accepted).toBe(2);
  });

  test('pool.disconnect() disconnects all connections of the pool', async () => {
    const server = await Loopback.start();
    const pool = track(new ConnectionRegistry().createPool('myPool'));
    const members = [pool.add({ port: server.port }), pool.add({ port: server.port })];
    await Promise.all(members.map((member) => member.whenOpen()));
    await pool.disconnect();
    await server.until(() => server.live === 0);

    expect(members.map(({ state }) => state)).toEqual(['closed', 'closed']);
  });

  test('disconnectAll() disconnects everything, single connections and pools', async () => {
    const server = await Loopback.start();
    const single = registry.connect({ port: server.port });
    const member = registry.createPool('origin').add({ port: server.port });
    await Promise.all([single.whenOpen(), member.whenOpen()]);
    await registry.disconnectAll();
    await server.until(() => server.live === 0);

    expect([single.state, member.state]).toEqual(['closed', 'closed']);
  });
});
