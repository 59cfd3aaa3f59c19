import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type CommonOptions, ReconnectingConnection } from 'reconnecting-connection';
import { FaultProxy, LoopbackServer, type ProxyOptions, record, until } from 'reconnecting-connection/testing';

import { cleanUp, track } from '../kit/clean-up';

afterEach(cleanUp);

jest.setTimeout(20_000);

// What each fault does to the bytes is tested in faults.test.ts, by way of a proxy in a process of its own.

/** An echo server, a proxy in front of it, and a connection through it that is open. */
async function connected(options: CommonOptions = {}, own: Partial<ProxyOptions> = {}) {
  const server = await LoopbackServer.start({ echo: true });
  track({ destroy: () => server.close() });
  const proxy = await FaultProxy.start({ target: server.target, ...own });
  track({ destroy: () => proxy.close() });
  const connection = track(
    new ReconnectingConnection({ ...proxy.target, minUptime: 0, backoff: () => 5, closeTimeout: 200, ...options }),
  );
  const recorder = record(connection);
  await recorder.next('open');
  await server.opens(1);
  return { server, proxy, connection, recorder };
}

test('it forwards all bytes both ways, and counts them', async () => {
  const { proxy, connection, recorder } = await connected();
  connection.write('hello');
  const [chunk] = await recorder.next('data');
  const { acceptedAt, ...stats } = proxy.stats;

  expect(String(chunk)).toBe('hello');
  expect(stats).toEqual({ links: 1, accepted: 1, bytes: { toTarget: 5, toClient: 5 } });
  expect(Math.abs(acceptedAt[0]! - Date.now())).toBeLessThan(10_000);
});

test('latency of each direction is set apart, and clear() takes it back', async () => {
  const { proxy, connection, recorder } = await connected();
  const roundTrip = async () => {
    const from = performance.now();
    connection.write('x');
    await recorder.next('data');
    return performance.now() - from;
  };
  proxy.set({ latency: 60 });
  expect(await roundTrip()).toBeGreaterThanOrEqual(118);
  proxy.set({ latency: 0 }, 'toClient');
  expect(await roundTrip()).toBeGreaterThanOrEqual(59);
  proxy.clear();
  proxy.set({ slice: 1, gap: 10 });
  connection.write('abc');
  await until(() => recorder.payloads('data').slice(2).map(String).join('') === 'abc');

  expect(recorder.payloads('data').slice(2).map(String)).toEqual(['a', 'b', 'c']);
});

test('a stall keeps the bytes, a blackhole does not, and both are a silence for the client', async () => {
  const { server, proxy, connection, recorder } = await connected({ idleTimeout: 100 });
  proxy.set({ stall: true }, 'toClient');
  connection.write('kept ');
  await server.receives('kept');
  proxy.set({ stall: false });
  await recorder.next('data');
  proxy.set({ blackhole: true }, 'toTarget');
  connection.write('lost ');
  const [{ reason }] = await recorder.next('reset');
  proxy.clear();
  await recorder.next('open');
  connection.write('heard');
  await server.receives('heard');

  expect(reason).toBe('idle');
  expect(String(server.received())).toBe('kept heard');
});

test('a link is cut after so many bytes, in one direction or both', async () => {
  const { server, proxy, connection, recorder } = await connected();
  proxy.cutAfter(3, { how: 'drop', counting: 'toTarget' });
  connection.write('abcdef');
  const [{ reason }] = await recorder.next('reset');
  await server.receives('abc');

  expect(reason).toBe('peer-end');
  expect(String(server.received())).toBe('abc');
});

test('cut() cuts all links, and tells how many there were', async () => {
  const { proxy, recorder } = await connected();
  expect(proxy.cut()).toBe(1);
  const [cut] = await recorder.next('reset');
  await recorder.next('open');
  expect(proxy.cut('drop')).toBeGreaterThanOrEqual(1);
  const [dropped] = await recorder.next('reset');

  expect([cut.error?.code, dropped.reason]).toEqual(['ECONNRESET', 'peer-end']);
});

test('refuse() refuses dials until accept(), and leaves links as they are', async () => {
  const { proxy, connection, recorder } = await connected();
  proxy.refuse();
  connection.write('still here');
  await recorder.next('data');
  proxy.cut();
  await recorder.next('backoff', { where: ({ error }) => error?.code === 'ECONNREFUSED' });
  await proxy.accept();

  expect((await recorder.next('open'))[0].reopened).toBe(true);
});

test('clients can be cut at once, or never answered', async () => {
  const { server, proxy, recorder } = await connected({
    connectTimeout: 100,
    handshake: async (socket) => {
      socket.write('hello');
      await new Promise((resolve) => socket.once('data', resolve));
    },
  });
  proxy.clients('blackhole');
  proxy.cut();
  await recorder.next('backoff', { where: ({ reason }) => reason === 'connect-timeout' });
  proxy.clients('drop');
  await recorder.next('backoff', { where: ({ reason }) => reason === 'peer-end' || reason === 'handshake-failed' });
  const sessions = server.sockets.length;
  proxy.clear();
  await recorder.next('open');

  expect([sessions, server.sockets.length]).toEqual([1, 2]);
});

test('it stands at a Unix socket as well', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'proxy-'));
  track({ destroy: () => rmSync(directory, { recursive: true }) });
  const path = join(directory, 'proxy.sock');
  const { proxy, connection, recorder } = await connected({}, { path });
  connection.write('hello');
  await recorder.next('data');

  expect([proxy.target, proxy.port, connection.tag]).toEqual([{ path }, 0, `unix:${path}`]);
});

test('a target that refuses shows as a connection that is cut', async () => {
  const { server, recorder } = await connected();
  server.refuse();
  server.reset();

  expect((await recorder.next('reset'))[0].willRetry).toBe(true);
  await recorder.next('backoff', { where: ({ attempt }) => attempt > 1 });
});

test('close() leaves no link and refuses dials, also while clients hear nothing', async () => {
  const { proxy, recorder } = await connected();
  proxy.clients('blackhole');
  proxy.cut();
  await recorder.next('open');
  await proxy[Symbol.asyncDispose]();
  await recorder.next('backoff', { where: ({ error }) => error?.code === 'ECONNREFUSED' });

  expect(proxy.stats.links).toBe(0);
});

test.each<[string, ProxyOptions, string]>([
  ['no target', {} as never, 'Expected option `target` to be an object, got undefined'],
  [
    'a target without a port',
    { target: {} as never },
    'Expected option `target`: `port` to be an integer from 1 to 65535, got undefined',
  ],
  [
    'a target of which neither is one',
    { target: { path: 1 as never } },
    'Expected option `target`: `path` to be a string that is not empty, got 1 (number)',
  ],
  [
    'a port and a path',
    { target: { port: 1 }, port: 1, path: '/x' },
    'Expected either option `path` or option `port`, got both',
  ],
])('%s is refused with ERR_INVALID_OPTION', async (_what, options, message) => {
  await expect(FaultProxy.start(options)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION', message });
});

test.each<[string, (proxy: FaultProxy) => unknown]>([
  ['an unknown fault', (proxy) => proxy.set({ latancy: 1 } as never)],
  ['a fault of the wrong type', (proxy) => proxy.set({ latency: '1' as never })],
  ['a direction that is none', (proxy) => proxy.set({ latency: 1 }, 'up' as never)],
  ['a treatment that is none', (proxy) => proxy.clients('end' as never)],
  ['a cut that is none', (proxy) => proxy.cut('end' as never)],
  ['bytes that are none', (proxy) => proxy.cutAfter(-1)],
  ['a count that is none', (proxy) => proxy.cutAfter(1, { counting: 'up' as never })],
])('%s is refused with ERR_INVALID_OPTION', async (_what, call) => {
  const { proxy } = await connected();

  expect(() => call(proxy)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error);
});
