import { hasSubscribers } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import * as client from 'prom-client';
import { ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';
import { type PrometheusOptions, exportMetrics } from 'reconnecting-connection/prometheus';

import { Loopback, QUICK, connectTo, next, payload, receives, track, written } from '../kit/loopback';
import { until } from '../kit/until';

const PREFIX = 'reconnecting_connection_';

const undos: (() => void)[] = [];

afterEach(() => {
  for (const undo of undos.splice(0)) undo();
});

/** Exports to a new registry until the test is over. */
function exported(source: Parameters<typeof exportMetrics>[0], options: PrometheusOptions = {}) {
  const registry = new client.Registry();
  const undo = exportMetrics(source, client, { registry, ...options });
  undos.push(undo);
  return { registry, undo };
}

/** The values of a scrape by series without the prefix: `opens_total{target="…"}`. */
async function scrape(registry: client.Registry): Promise<Map<string, number>> {
  const text = await registry.metrics();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end).replace(PREFIX, ''), Number(line.slice(end + 1))];
    }),
  );
}

/** The series whose names start with one of `names`. */
const only = (series: Map<string, number>, ...names: readonly string[]) =>
  Object.fromEntries([...series].filter(([name]) => names.some((each) => name.startsWith(each))));

test('a scrape over HTTP has the sessions of a connection, their losses and durations, the bytes and the state', async () => {
  const server = await Loopback.start({ echo: true });
  const connection = connectTo(server);
  const target = `target="${connection.tag}"`;
  const { registry } = exported(connection);
  await server.meets(connection);
  server.drop();
  await payload(connection, 'open');
  connection.write('hello');
  await receives(connection, 'hello');

  const scraped = createServer((_request, response) => {
    void registry.metrics().then((text) => response.setHeader('content-type', registry.contentType).end(text));
  });
  scraped.listen(0, '127.0.0.1');
  await once(scraped, 'listening');
  const response = await fetch(`http://127.0.0.1:${(scraped.address() as AddressInfo).port}/metrics`);
  const text = await response.text();
  scraped.close();

  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const lines = text.split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      '# HELP reconnecting_connection_opens_total Sessions that opened',
      '# TYPE reconnecting_connection_opens_total counter',
      `${PREFIX}opens_total{${target}} 2`,
      `${PREFIX}dials_total{${target}} 2`,
      `${PREFIX}resets_total{${target},reason="peer-end"} 1`,
      `${PREFIX}backoffs_total{${target},reason="peer-end"} 1`,
      `${PREFIX}sent_bytes_total{${target}} 5`,
      `${PREFIX}received_bytes_total{${target}} 5`,
      '# TYPE reconnecting_connection_connections gauge',
      `${PREFIX}connections{${target},state="open"} 1`,
      `${PREFIX}connections{${target},state="backoff"} 0`,
      `${PREFIX}pending_bytes{${target}} 0`,
      '# TYPE reconnecting_connection_session_duration_seconds histogram',
      `${PREFIX}session_duration_seconds_count{${target}} 1`,
      `${PREFIX}downtime_seconds_count{${target}} 1`,
      `${PREFIX}downtime_seconds_bucket{le="7200",${target}} 1`,
    ]),
  );
});

test('failed dials, pending, dropped and uncertain writes, and closes are counted', async () => {
  const server = await Loopback.start();
  const connection = connectTo(server);
  const { registry } = exported(connection, { maxTargets: 0 });
  const socket = await server.meets(connection);
  socket.pause();
  connection.write(Buffer.alloc(16_000_000));
  server.refuse();
  server.reset();
  await payload(connection, 'backoff', ({ attempt }) => attempt === 3);
  const lost = written(connection, 'queued');

  expect(only(await scrape(registry), 'connections', 'pending', 'uncertain', 'failed', 'backoffs')).toEqual({
    'connections{state="idle"}': 0,
    'connections{state="connecting"}': 0,
    'connections{state="open"}': 0,
    'connections{state="backoff"}': 1,
    'connections{state="closing"}': 0,
    'connections{state="closed"}': 0,
    'backoffs_total{reason="error"}': 3,
    failed_dials_total: 2,
    pending_bytes: 6,
    uncertain_writes_total: 1,
  });
  await connection.disconnect();
  await lost;
  expect(only(await scrape(registry), 'dropped', 'closes', 'connections{state="closed"}')).toEqual({
    'connections{state="closed"}': 1,
    'closes_total{reason="disconnected"}': 1,
    'dropped_writes_total{reason="disconnected"}': 1,
    'dropped_bytes_total{reason="disconnected"}': 6,
  });
});

test('a pool has a series per target, including the counts of members that were removed', async () => {
  const servers = [await Loopback.start(), await Loopback.start()];
  const pool = track(new ConnectionPool(QUICK));
  const { registry } = exported(pool, { labels: { pool: 'cache' } });
  const [first, second] = servers.map((server) => pool.add(server.target));
  await next(pool, 'open', () => pool.stats.open === 2);
  await written(first!, '12345');
  await pool.remove(first!);

  const series = await scrape(registry);
  expect(only(series, 'opens', 'sent', 'waiting')).toEqual({
    [`opens_total{pool="cache",target="${first!.tag}"}`]: 1,
    [`opens_total{pool="cache",target="${second!.tag}"}`]: 1,
    [`sent_bytes_total{pool="cache",target="${first!.tag}"}`]: 5,
    'waiting_connections{pool="cache"}': 0,
  });
  expect([...series.keys()].filter((name) => name.startsWith('connections') && name.includes(first!.tag))).toEqual([]);

  expect([...series].filter(([name, value]) => name.startsWith('connections') && value === 1)).toHaveLength(1);
});

test('a pool has its ejected members, and how often members were ejected, which `all` counts too', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => Loopback.start()));
  const pool = track(new ConnectionPool({ ...QUICK, ejection: { failures: 2 } }));
  const { registry, undo } = exported(pool);
  const all = exported('all');
  for (const server of servers) pool.add(server.target);
  await pool.whenOpen(3);
  servers[0]!.drop();
  const ejected = next(pool, 'eject');
  await next(pool, 'open');
  servers[0]!.drop();
  const [, tag] = await ejected;

  expect(only(await scrape(registry), 'eject')).toEqual({
    [`ejections_total{target="${tag}"}`]: 1,
    ejected_connections: 1,
  });
  expect(only(await scrape(all.registry), 'ejections')).toEqual({ [`ejections_total{target="${tag}"}`]: 1 });
  undo();
  all.undo();
  expect(pool.listenerCount('eject')).toBe(0);
  expect(hasSubscribers('reconnecting-connection:pool:eject')).toBe(false);
});

test('a pool has the entries that it follows, the age of their lists, and the failures of their sources', async () => {
  const server = await Loopback.start();
  const { port } = server;
  const pool = track(new ConnectionPool(QUICK));
  const { registry, undo } = exported(pool, { labels: { pool: 'cache' } });
  expect(only(await scrape(registry), 'source', 'followed')).toEqual({});

  const list = [{ port }, { port, connectTimeout: 1_000 }, { port, connectTimeout: 2_000 }];
  async function* source() {
    yield await Promise.resolve(list);
    yield [];
    throw new Error('gone');
  }
  const clock = jest.spyOn(Date, 'now').mockReturnValue(1_000_000);
  pool.follow(source(), { subset: 2 });
  await next(pool, 'source', () => pool.stats.sources[0]?.state === 'ended');
  // Of two pools with the same labels, the older list counts.
  clock.mockReturnValue(1_060_000);
  const other = track(new ConnectionPool(QUICK));
  undos.push(exportMetrics(other, client, { registry, labels: { pool: 'cache' } }));
  other.follow(
    (async function* () {
      yield [{ port }];
      await new Promise(() => {});
    })(),
  );
  await next(other, 'source');
  clock.mockReturnValue(1_090_000);

  const followed = { 'source_entries{pool="cache"}': 4, 'followed_entries{pool="cache"}': 3 };
  const age = { 'source_list_age_seconds{pool="cache"}': 90 };
  const failures = {
    'source_failures_total{pool="cache",reason="refused"}': 1,
    'source_failures_total{pool="cache",reason="failed"}': 1,
  };
  const figures = async () => only(await scrape(registry), 'source', 'followed');
  expect(await figures()).toEqual({ ...followed, ...age, ...failures });
  expect(await figures()).toEqual({ ...followed, ...age, ...failures });
  clock.mockRestore();
  undo();
  expect(pool.listenerCount('source')).toBe(0);
});

test('targets beyond `maxTargets` share the label `other`', async () => {
  const servers = [await Loopback.start(), await Loopback.start(), await Loopback.start()];
  const pool = track(new ConnectionPool(QUICK));
  const { registry } = exported(pool, { maxTargets: 1 });
  for (const server of servers) pool.add(server.target);
  await next(pool, 'open', () => pool.stats.open === 3);

  const opens = only(await scrape(registry), 'opens');
  expect(Object.values(opens).sort()).toEqual([1, 2]);
  expect(opens['opens_total{target="other"}']).toBe(2);
});

test('`all` includes every connection from its first event until its close, each counted once', async () => {
  const server = await Loopback.start();
  const { registry, undo } = exported('all', { maxTargets: 0 });
  const pool = track(new ConnectionPool(QUICK));
  pool.add(server.target);
  const connection = connectTo(server);
  await Promise.all([connection.whenOpen(), next(pool, 'open')]);
  await written(connection, '123');

  expect(only(await scrape(registry), 'opens', 'sent', 'dials', 'connections{state="open"}')).toEqual({
    opens_total: 2,
    dials_total: 2,
    sent_bytes_total: 3,
    'connections{state="open"}': 2,
  });

  await connection.disconnect();
  const after = only(await scrape(registry), 'connections', 'sent');
  expect([after['connections{state="open"}'], after['connections{state="closed"}']]).toEqual([1, 0]);
  expect(after['sent_bytes_total']).toBe(3);

  undo();
  await pool.disconnect();
  expect(await registry.metrics()).toBe('\n');
});

test('counts from before the call are not included', async () => {
  const server = await Loopback.start();
  const connection = connectTo(server);
  await connection.whenOpen();
  await written(connection, 'before');
  const { registry } = exported(connection, { maxTargets: 0 });
  await written(connection, 'now');

  expect(only(await scrape(registry), 'opens', 'dials', 'sent')).toEqual({
    opens_total: 0,
    dials_total: 0,
    sent_bytes_total: 3,
  });
});

test('sources share a registry: the returned function removes the series of its source, and the last the metrics', async () => {
  const server = await Loopback.start();
  const registry = new client.Registry();
  const connections = [connectTo(server), connectTo(server), connectTo(server)];
  const stops = ['a', 'a', 'b'].map((name, index) =>
    exportMetrics(connections[index]!, client, { registry, labels: { name }, maxTargets: 0 }),
  );
  undos.push(...stops);
  await Promise.all(connections.map((connection) => connection.whenOpen()));
  const opens = async () =>
    only(await scrape(registry), 'opens', 'connections{state="open"', 'connections{name="a",state="open"');

  expect(only(await scrape(registry), 'opens')).toEqual({ 'opens_total{name="a"}': 2, 'opens_total{name="b"}': 1 });
  stops[0]!();
  stops[0]!();
  expect(only(await scrape(registry), 'opens')).toEqual({ 'opens_total{name="a"}': 2, 'opens_total{name="b"}': 1 });
  stops[1]!();
  expect(await opens()).toEqual({ 'opens_total{name="b"}': 1 });
  stops[2]!();
  expect(registry.getMetricsAsArray()).toEqual([]);
  expect(connections.map((connection) => connection.eventNames())).toEqual([[], [], []]);

  undos.push(exportMetrics(connections[0]!, client, { registry }));
  expect(registry.getMetricsAsArray().length).toBeGreaterThan(10);
});

test('a registry that was cleared is filled again', async () => {
  const server = await Loopback.start();
  const { registry } = exported(connectTo(server));
  registry.clear();
  undos.push(exportMetrics(connectTo(server), client, { registry }));

  expect(registry.getSingleMetric(`${PREFIX}opens_total`)).toBeDefined();
});

describe('each argument', () => {
  const connection = () => new ReconnectingConnection({ port: 1, autoConnect: false });
  const invalid = (message: RegExp) =>
    expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(message) as string }) as Error;

  test.each<[string, unknown, unknown, unknown, RegExp]>([
    ['a source', 'each', client, {}, /^Expected `source` to be a connection, a pool, or 'all', got "each"/],
    ['a source', {}, client, {}, /^Expected `source` to be a connection, /],
    ['a client', undefined, client.register, {}, /^Expected `client` to be the module prom-client, got an object$/],
    ['a client', undefined, undefined, {}, /^Expected `client` to be the module prom-client, got undefined$/],
    ['a registry', undefined, client, { registry: {} }, /^Expected option `registry` to be a Registry of prom-client/],
    [
      'a prefix',
      undefined,
      client,
      { prefix: 'a-b' },
      /^Expected option `prefix` to be the start of a Prometheus metric name/,
    ],
    ['labels', undefined, client, { labels: 'x' }, /^Expected option `labels` to be an object, got "x" \(string\)$/],
    [
      'a label',
      undefined,
      client,
      { labels: { a: 1 } },
      /^Expected option `labels.a` to be a string, got 1 \(number\)$/,
    ],
    [
      'a label',
      undefined,
      client,
      { labels: { le: '1' } },
      /^Expected each name in option `labels` to be a Prometheus label name/,
    ],
    [
      'a label',
      undefined,
      client,
      { labels: { 'a-b': '1' } },
      /^Expected each name in option `labels` to be a Prometheus/,
    ],
    ['a bound', undefined, client, { maxTargets: -1 }, /^Expected option `maxTargets` to be an integer ≥ 0, got -1/],
    ['a name', undefined, client, { label: {} }, /^Unknown option `label`: did you mean `labels`\?$/],
  ])('is checked: %s', (_what, source, given, options, message) => {
    expect(() => exportMetrics((source ?? connection()) as never, given as never, options as never)).toThrow(
      invalid(message),
    );
  });

  test('labels must have the same names as those of the registered metrics', () => {
    const { registry } = exported(connection(), { labels: { pool: 'a' } });
    expect(() => exportMetrics(connection(), client, { registry })).toThrow(
      invalid(/^Expected the label names to be those of the registered metrics \(pool, target\), .*, got "target"/),
    );
    expect(() => exportMetrics(connection(), client, { registry, prefix: 'other_' })).not.toThrow();
  });

  test('the prefix must not lead to a name that is taken', () => {
    const registry = new client.Registry();
    new client.Counter({ name: `${PREFIX}opens_total`, help: 'taken', registers: [registry] });
    expect(() => exportMetrics(connection(), client, { registry })).toThrow(
      invalid(/^Expected option `prefix` to be one with which `reconnecting_connection_opens_total` is not taken, /),
    );
    expect(registry.getMetricsAsArray()).toHaveLength(1);
  });
});

test('the answers to heartbeats are counted once each, and bytes that nobody heard', async () => {
  const server = await Loopback.start({ echo: true });
  const heartbeat = { interval: 10, timeout: 5_000, ping: (to: { write(chunk: string): unknown }) => to.write('ping') };
  const connection = connectTo(server, { heartbeat });
  const { registry } = exported(connection, { maxTargets: 0 });
  await until(() => connection.stats.roundTrip !== null);
  connection.pause();
  const { roundTrip } = connection.stats;
  expect((await scrape(registry)).get('round_trip_seconds_count')).toBe(1);
  const series = await scrape(registry);
  expect(series.get('round_trip_seconds_count')).toBe(1);
  expect(series.get('round_trip_seconds_sum')).toBeCloseTo(roundTrip!.last / 1_000, 9);

  const unheard = connection.stats.bytesReceived;
  connection.destroy();
  expect((await scrape(registry)).get('unheard_bytes_total')).toBe(unheard);
});
