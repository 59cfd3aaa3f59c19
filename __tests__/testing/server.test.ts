import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from 'node:tls';

import { type CommonOptions, ReconnectingConnection } from 'reconnecting-connection';
import { type LoopbackOptions, LoopbackServer, record, until } from 'reconnecting-connection/testing';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { cleanUp, track } from '../kit/clean-up';

afterEach(cleanUp);

jest.setTimeout(20_000);

/** A server, and a connection to it that is open. */
async function connected(options: LoopbackOptions = {}, own: CommonOptions = {}) {
  const server = await LoopbackServer.start(options);
  track({ destroy: () => server.close() });
  const connection = track(
    new ReconnectingConnection({ ...server.target, minUptime: 0, backoff: () => 5, closeTimeout: 200, ...own }),
  );
  const recorder = record(connection);
  await recorder.next('open');
  await server.opens(1);
  return { server, connection, recorder };
}

const directory = mkdtempSync(join(tmpdir(), 'testing-'));
afterAll(() => rmSync(directory, { recursive: true }));
let sockets = 0;

let certificates: Certificates;
beforeAll(async () => (certificates = await loadCertificates()));

const transports: [string, () => [LoopbackOptions, CommonOptions]][] = [
  ['TCP', () => [{}, {}]],
  ['a Unix socket', () => [{ path: join(directory, `${++sockets}.sock`) }, {}]],
  ['TLS', () => [{ tls: certificates.server }, { tls: { ca: certificates.ca.cert } }]],
];

describe.each(transports)('over %s', (name, make) => {
  test('it echoes, and returns the received bytes of each session', async () => {
    const [options, own] = make();
    const { server, connection, recorder } = await connected({ ...options, echo: true }, own);
    connection.write('one');
    expect(String((await recorder.next('data'))[0])).toBe('one');
    server.drop();
    await recorder.next('open');
    connection.write('two');
    await server.receives('two');

    expect([server.received(1), server.received(2), server.received()].map(String)).toEqual(['one', 'two', 'onetwo']);
  });

  test('drop() ends every session in good order, reset() does not, and the client comes back', async () => {
    const [options, own] = make();
    const { server, recorder } = await connected(options, own);
    server.drop();
    const [dropped] = await recorder.next('reset');
    await server.session(2);
    await recorder.next('open');
    server.reset();
    const [cut] = await recorder.next('reset');

    expect(dropped.reason).toBe('peer-end');
    if (name === 'TCP') expect(cut.error?.code).toBe('ECONNRESET');
    else expect(['peer-end', 'error']).toContain(cut.reason);
  });

  test('refuse() refuses dials until accept(), and leaves sessions as they are', async () => {
    const [options, own] = make();
    const { server, connection, recorder } = await connected({ ...options, echo: true }, own);
    server.refuse();
    connection.write('still here');
    await recorder.next('data');
    connection.reconnect();
    const [wait] = await recorder.next('backoff');
    await server.accept();
    const [{ generation }] = await recorder.next('open');

    expect(['ECONNREFUSED', 'ENOENT']).toContain(wait.error?.code);
    expect(generation).toBe(2);
  });

  test('restart() cuts all sessions and listens where it did', async () => {
    const [options, own] = make();
    const { server, recorder } = await connected(options, own);
    const { target } = server;
    await server.restart();
    await recorder.next('reset');
    await recorder.next('open');
    await server.session(2);

    expect(server.target).toEqual(target);
    expect(server.sockets).toHaveLength(2);
  });

  test('mute() reads nothing in any session, until unmute()', async () => {
    const [options, own] = make();
    const { server, connection } = await connected({ ...options, echo: true }, own);
    server.mute();
    connection.write('into the void');
    await expect(server.receives('void', { deadline: 50 })).rejects.toThrow(
      'Not so within 50 ms: the server receives "void"; it has ""',
    );
    connection.reconnect();
    await server.session(2);
    connection.write('and again');
    await expect(server.receives('again', { deadline: 50 })).rejects.toThrow('Not so within 50 ms');
    server.unmute();

    await server.receives('again');
  });

  test('flap() cuts every session to come, until steady()', async () => {
    const [options, own] = make();
    const { server, connection, recorder } = await connected(options, own);
    server.flap();
    server.drop();
    await server.session(4);
    expect(recorder.payloads('open').length).toBeGreaterThanOrEqual(3);
    server.steady();
    // A session that was cut is not writable.
    await until(() => connection.state === 'open' && server.sockets.at(-1)!.writable);
    connection.write('steady');
    await server.receives('steady');
    expect(server.open).toBe(1);
  });

  test('close() leaves no socket and refuses dials', async () => {
    const [options, own] = make();
    const { server, recorder } = await connected(options, own);
    await server[Symbol.asyncDispose]();
    const [wait] = await recorder.next('backoff', {
      where: ({ reason, error }) => reason === 'error' && error?.syscall === 'connect',
    });

    expect(server.open).toBe(0);
    expect(wait.attempt).toBeGreaterThan(0);
  });
});

test.each(transports)('over %s flap() can let a session live for a while, and reset it', async (name, make) => {
  const [options, own] = make();
  const { server, recorder } = await connected(options, own);
  server.flap({ after: 40, how: 'reset' });
  server.drop();
  await recorder.next('open');
  const [{ uptime, error }] = await recorder.next('reset');

  if (name === 'TCP') expect(error?.code).toBe('ECONNRESET');
  expect(uptime).toBeGreaterThanOrEqual(20);
});

test('every session is shown to `onSession`, and send() reaches the open ones', async () => {
  const seen: number[] = [];
  const { server, recorder } = await connected({
    onSession: (socket, number) => seen.push(number, Number(socket.writable)),
  });
  expect(server.send('hello')).toBe(1);
  expect(String((await recorder.next('data'))[0])).toBe('hello');
  server.drop();
  await recorder.next('open');
  await server.session(2);

  expect(seen).toEqual([1, 1, 2, 1]);
});

test('a port can be given, and a missed deadline is an error that shows the received bytes', async () => {
  const first = await LoopbackServer.start();
  const { port } = first;
  await first.close();
  const server = await LoopbackServer.start({ port });
  track({ destroy: () => server.close() });

  expect(server.target).toEqual({ host: '127.0.0.1', port });
  await expect(server.session(1, { deadline: 5 })).rejects.toThrow(
    'Not so within 5 ms: session 1 begins; there were 0',
  );
  await expect(server.opens(2, { deadline: 5 })).rejects.toThrow(
    'Not so within 5 ms: 2 sessions are open; there are 0',
  );
  await expect(LoopbackServer.start({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('it listens on `host`, also after restart()', async () => {
  const { server, recorder } = await connected({ host: '127.0.0.2' });
  await server.restart();
  await recorder.next('reset');
  await recorder.next('open');
  const socket = await server.session(2);

  expect(server.target).toEqual({ host: '127.0.0.2', port: server.port });
  expect(socket.localAddress).toBe('127.0.0.2');
});

test.each([false, true])(
  '`allowHalfOpen: %s` decides whether a session that the client has ended can be written to',
  async (allowHalfOpen) => {
    const { server, connection } = await connected({ allowHalfOpen }, { closeTimeout: 5_000 });
    const socket = await server.session(1);
    const closed = connection.disconnect();
    await server.until(() => socket.readableEnded);
    expect(socket.writable).toBe(allowHalfOpen);
    socket.end('last words');

    expect(await closed).toEqual({ reason: 'disconnected' });
  },
);

test('until() looks whenever a session begins, receives, ends or closes', async () => {
  const { server, connection } = await connected({ allowHalfOpen: true });
  const [socket] = server.sockets;
  connection.write('four');
  await server.until(() => socket?.bytesRead === 4);
  void connection.disconnect();
  await server.until(() => socket?.readableEnded === true);
  socket?.end();
  await server.until(() => server.open === 0);

  await expect(server.until(() => server.open > 1, { deadline: 5 })).rejects.toThrow(
    'Not so within 5 ms: () => server.open > 1',
  );
});

test('`deadline` is that of every wait without one of its own', async () => {
  const { server } = await connected({ deadline: 5 });

  await expect(server.session(2)).rejects.toThrow('Not so within 5 ms');
  await expect(server.until(() => false)).rejects.toThrow('Not so within 5 ms');
  await expect(server.receives('x', { deadline: 6 })).rejects.toThrow('Not so within 6 ms');
});

test("`server` is Node's, whose certificate can be changed, and undefined while dials are refused", async () => {
  const server = await LoopbackServer.start({ tls: certificates.server });
  track({ destroy: () => server.close() });
  if (server.server instanceof Server) server.server.setSecureContext(certificates.selfSigned);
  const connection = track(
    new ReconnectingConnection({ ...server.target, tls: { ca: certificates.ca.cert }, backoff: () => 5 }),
  );
  const recorder = record(connection);
  const [{ error }] = await recorder.next('backoff');
  server.refuse();
  expect(server.server).toBeUndefined();
  await server.accept();
  await recorder.next('open');

  expect(error?.code).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
  expect(server.server?.listening).toBe(true);
});

test('a subclass can start itself', async () => {
  class Greeter extends LoopbackServer {
    static override async start(): Promise<Greeter> {
      const greeter = new Greeter({ onSession: (socket) => socket.write('hello') });
      await greeter.accept();
      return greeter;
    }
  }
  const server = await Greeter.start();
  track({ destroy: () => server.close() });
  const recorder = record(track(new ReconnectingConnection(server.target)));

  expect(String((await recorder.next('data'))[0])).toBe('hello');
});

test.each<[string, LoopbackOptions, string]>([
  [
    'a port that is none',
    { port: 70_000 },
    'Expected option `port` to be an integer from 0 to 65535, got 70000 (number)',
  ],
  ['a path that is none', { path: '' }, 'Expected option `path` to be a path, got "" (string)'],
  ['a host that is none', { host: '' }, 'Expected option `host` to be a host, got "" (string)'],
  ['a path and a port', { port: 1, path: '/x' }, 'Expected either option `path` or option `port`, got both'],
  ['a path and a host', { host: '::1', path: '/x' }, 'Expected either option `path` or option `host`, got both'],
  ['TLS without options', { tls: true as never }, 'Expected option `tls` to be an object, got true (boolean)'],
  ['an unknown option', { ehco: true } as never, 'Unknown option `ehco`: did you mean `echo`?'],
])('%s is refused with ERR_INVALID_OPTION', async (_what, options, message) => {
  await expect(LoopbackServer.start(options)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION', message });
});

test('invalid arguments are refused with ERR_INVALID_OPTION', async () => {
  const { server } = await connected();
  const error = expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error;

  await expect(server.until(true as never)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  await expect(server.session(0)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  expect(() => server.flap({ how: 'end' as never })).toThrow(error);
  expect(() => server.send(1 as never)).toThrow(error);
});
