import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';
import { type OpenTelemetryOptions, exportMetrics } from 'reconnecting-connection/opentelemetry';

import { causeAttributes, limited, targetAttributes } from '../../lib/adapters/attributes';
import { Loopback, QUICK, connectTo, next, payload, receives, track } from '../kit/loopback';
import { until } from '../kit/until';

const clean: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const each of clean.splice(0).reverse()) await each();
});

/** An SDK that exports into memory. */
function start() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  clean.push(() => provider.shutdown());
  const meter = provider.getMeter('test');
  return {
    meter,
    observe: (source: Parameters<typeof exportMetrics>[0], options: OpenTelemetryOptions = {}) => {
      const undo = exportMetrics(source, meter, options);
      clean.push(undo);
      return undo;
    },
    /** Exports, and returns the value (or the count) of each set of attributes by the metric's name without prefix. */
    collect: async () => {
      exporter.reset();
      await provider.forceFlush();
      const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((each) => each.metrics));
      return Object.fromEntries(
        metrics.map(({ descriptor, dataPoints }) => [
          descriptor.name.replace('reconnecting_connection.', ''),
          {
            unit: descriptor.unit,
            points: dataPoints.map(({ attributes, value }) => ({
              attributes,
              value: typeof value === 'number' ? value : value.count,
            })),
          },
        ]),
      );
    },
  };
}

test('a connection is exported with the names of the semantic conventions', async () => {
  const { observe, collect } = start();
  const server = await Loopback.start({ echo: true });
  const connection = connectTo(server);
  observe(connection);
  await server.meets(connection);
  server.reset();
  await payload(connection, 'open');
  connection.write('hello');
  await receives(connection, 'hello');

  const target = { 'server.address': '127.0.0.1', 'server.port': server.port, 'network.transport': 'tcp' };
  const failed = { ...target, 'reconnecting_connection.reason': 'error', 'error.type': 'ECONNRESET' };
  expect(await collect()).toEqual({
    dials: { unit: '{dial}', points: [{ attributes: target, value: 2 }] },
    opens: { unit: '{session}', points: [{ attributes: target, value: 2 }] },
    resets: { unit: '{session}', points: [{ attributes: failed, value: 1 }] },
    backoffs: { unit: '{wait}', points: [{ attributes: failed, value: 1 }] },
    sent_bytes: { unit: 'By', points: [{ attributes: target, value: 5 }] },
    received_bytes: { unit: 'By', points: [{ attributes: target, value: 5 }] },
    connections: {
      unit: '{connection}',
      points: [{ attributes: { ...target, 'reconnecting_connection.state': 'open' }, value: 1 }],
    },
    pending_bytes: { unit: 'By', points: [{ attributes: target, value: 0 }] },
    session_duration: { unit: 's', points: [{ attributes: target, value: 1 }] },
    downtime: { unit: 's', points: [{ attributes: target, value: 1 }] },
  });
});

test('the answers to heartbeats are a histogram, and bytes that nobody heard a counter', async () => {
  const { observe, collect } = start();
  const server = await Loopback.start({ echo: true });
  const heartbeat = { interval: 10, timeout: 5_000, ping: (to: { write(chunk: string): unknown }) => to.write('ping') };
  const connection = connectTo(server, { heartbeat });
  observe(connection, { maxTargets: 0 });
  await until(() => connection.stats.roundTrip !== null);
  connection.pause();
  expect((await collect())['round_trip']).toEqual({ unit: 's', points: [{ attributes: {}, value: 1 }] });
  const { bytesReceived } = connection.stats;
  connection.destroy();
  expect((await collect())['unheard_bytes']?.points).toEqual([{ attributes: {}, value: bytesReceived }]);
});

test('members of a pool with the same attributes are added up, and targets beyond `maxTargets` share one', async () => {
  const { observe, collect } = start();
  const servers = [await Loopback.start(), await Loopback.start(), await Loopback.start()];
  const pool = track(new ConnectionPool(QUICK));
  observe(pool, { attributes: { pool: 'cache' }, maxTargets: 1 });
  for (const server of servers) pool.add(server.target);
  await next(pool, 'open', () => pool.stats.open === 3);

  const { connections, opens, waiting_connections: waiting, ejected_connections: ejected } = await collect();
  const other = { pool: 'cache', 'server.address': '_OTHER' };
  const state = { 'reconnecting_connection.state': 'open' };
  expect(opens?.points).toContainEqual({ attributes: other, value: 2 });
  expect(connections?.points).toContainEqual({ attributes: { ...other, ...state }, value: 2 });
  expect(connections?.points).toHaveLength(2);
  expect(waiting?.points).toEqual([{ attributes: { pool: 'cache' }, value: 0 }]);
  expect(ejected?.points).toEqual([{ attributes: { pool: 'cache' }, value: 0 }]);
});

test('the entries that a pool follows and the failures of their source have no target', async () => {
  const { observe, collect } = start();
  const server = await Loopback.start();
  const pool = track(new ConnectionPool(QUICK));
  observe(pool);
  async function* source() {
    yield await Promise.resolve([server.target]);
    throw Object.assign(new Error('queryA ESERVFAIL db'), { code: 'ESERVFAIL' });
  }
  pool.follow(source());
  await next(pool, 'source', () => pool.stats.sources[0]?.state === 'ended');

  const figures = await collect();
  expect(figures['source_entries']).toEqual({ unit: '{entry}', points: [{ attributes: {}, value: 1 }] });
  expect(figures['followed_entries']?.points).toEqual([{ attributes: {}, value: 1 }]);
  expect(figures['source_list_age']).toEqual({
    unit: 's',
    points: [{ attributes: {}, value: expect.any(Number) as number }],
  });
  const attributes = { 'reconnecting_connection.reason': 'failed', 'error.type': 'ESERVFAIL' };
  expect(figures['source_failures']).toEqual({ unit: '{failure}', points: [{ attributes, value: 1 }] });
});

test('`all` includes every connection, and `maxTargets: 0` omits the target', async () => {
  const { observe, collect } = start();
  observe('all', { maxTargets: 0 });
  const server = await Loopback.start();
  const connections = [connectTo(server), connectTo(server)];
  await Promise.all(connections.map((connection) => connection.whenOpen()));

  const { connections: states, opens } = await collect();
  expect(opens?.points).toEqual([{ attributes: {}, value: 2 }]);
  expect(states?.points).toEqual([{ attributes: { 'reconnecting_connection.state': 'open' }, value: 2 }]);
});

test('the returned function records the last counts, and nothing after it', async () => {
  const { observe, collect } = start();
  const server = await Loopback.start();
  const connection = connectTo(server);
  const undo = observe(connection, { maxTargets: 0 });
  await connection.whenOpen();
  await new Promise<void>((resolve) => connection.write('123', () => resolve()));
  undo();
  undo();
  expect(connection.eventNames()).toEqual([]);
  await connection.disconnect();

  const { opens, closes, connections, sent_bytes: sent } = await collect();
  expect([opens?.points, sent?.points]).toEqual([[{ attributes: {}, value: 1 }], [{ attributes: {}, value: 3 }]]);
  expect([closes, connections?.points ?? []]).toEqual([undefined, []]);
});

test.each([
  ['127.0.0.1:80', { 'server.address': '127.0.0.1', 'server.port': 80, 'network.transport': 'tcp' }],
  ['[::1]:80', { 'server.address': '::1', 'server.port': 80, 'network.transport': 'tcp' }],
  ['unix:/run/app.sock', { 'server.address': '/run/app.sock', 'network.transport': 'unix' }],
  ['unix:\\\\.\\pipe\\app', { 'server.address': '\\\\.\\pipe\\app', 'network.transport': 'pipe' }],
  ['unresolved', {}],
  ['', { 'server.address': '_OTHER' }],
])('targetAttributes(%j)', (tag, attributes) => {
  expect(targetAttributes(tag)).toEqual(attributes);
});

test('a failure has the code of its error or the reason as its type, of a limited number; a request has none', () => {
  const errors = limited(2, '_OTHER');
  const failed = (code: string) =>
    causeAttributes({ reason: 'error', error: Object.assign(new Error(code), { code }) }, errors)['error.type'];

  expect(causeAttributes({ reason: 'peer-end' }, errors)).toEqual({
    'reconnecting_connection.reason': 'peer-end',
    'error.type': 'peer-end',
  });
  expect([failed('ECONNRESET'), failed('E1'), failed('ECONNRESET')]).toEqual(['ECONNRESET', '_OTHER', 'ECONNRESET']);
  expect(causeAttributes({ reason: 'disconnected' }, errors)).toEqual({
    'reconnecting_connection.reason': 'disconnected',
  });
});

describe('each argument', () => {
  const connection = new ReconnectingConnection({ port: 1, autoConnect: false });
  const meter = new MeterProvider().getMeter('test');

  test.each<[string, unknown, unknown, unknown, RegExp]>([
    ['a source', null, meter, {}, /^Expected `source` to be a connection, a pool, or 'all', got null$/],
    ['a meter', connection, {}, {}, /^Expected `meter` to be a Meter of OpenTelemetry, got an object$/],
    ['a meter', connection, undefined, {}, /^Expected `meter` to be a Meter of OpenTelemetry, got undefined$/],
    ['attributes', connection, meter, { attributes: 1 }, /^Expected option `attributes` to be an object, got 1/],
    ['an attribute', connection, meter, { attributes: { a: {} } }, /^Expected option `attributes.a` to be a string, /],
    ['a bound', connection, meter, { maxTargets: 0.5 }, /^Expected option `maxTargets` to be an integer ≥ 0, got 0.5/],
    ['a name', connection, meter, { labels: {} }, /^Unknown option `labels`, expected one of: attributes, maxTargets$/],
  ])('is checked: %s', (_what, source, given, options, message) => {
    expect(() => exportMetrics(source as never, given as never, options as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_OPTION',
        message: expect.stringMatching(message) as string,
      }) as Error,
    );
    expect(connection.eventNames()).toEqual([]);
  });
});
