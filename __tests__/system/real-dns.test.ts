import dns from 'node:dns';
import { Resolver } from 'node:dns/promises';

import { type DnsTargetsOptions, type SourceInfo, ConnectionPool, dnsTargets } from 'reconnecting-connection';

import { Loopback, QUICK, track } from '../kit/loopback';
import { titled } from '../kit/missing';
import { RealServer } from '../kit/real-servers';
import { missing } from '../kit/server-recipes';
import { until } from '../kit/until';

const NAME = '_db._tcp.example.test';

/** A DNS server for example.test that says what its settings say, a pool that follows it, and servers behind it. */
async function following(settings: (ports: number[]) => readonly string[], options: Partial<DnsTargetsOptions> = {}) {
  const servers = await Promise.all([1, 2, 3].map(() => Loopback.start()));
  const ports = servers.map(({ port }) => port);
  const server = await RealServer.start('dnsmasq', ['local=/example.test/', ...settings(ports)]);
  const resolver = new Resolver({ timeout: 200, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.port}`]);
  const pool = track(new ConnectionPool(QUICK));
  const events: SourceInfo[] = [];
  pool.on('source', (info) => events.push(info));
  pool.follow(dnsTargets({ name: NAME, record: 'SRV', interval: 30, resolver, ...options }), { minimum: 0 });
  /** The members by the place of their port: `1 2 2`. */
  const members = () =>
    pool.connections
      .map(({ tag }) => 1 + ports.indexOf(Number(tag.split(':').at(-1))))
      .sort()
      .join(' ');
  const change = async (...lines: readonly string[]) => server.restart(['local=/example.test/', ...lines]);
  return { server, pool, ports, events, members, change };
}

const srv = (port: number | undefined, priority: number, weight: number) =>
  `srv-host=${NAME},localhost,${port},${priority},${weight}`;

afterEach(() => void jest.restoreAllMocks());

const reason = missing('dnsmasq');

(reason === undefined ? describe : describe.skip)(titled('dnsmasq', reason), () => {
  test('SRV: the lowest priority, each server as often as its weight says; the rest when that is gone', async () => {
    const { pool, ports, members, change } = await following(([one, two, three]) => [
      srv(one, 1, 10),
      srv(two, 1, 20),
      srv(three, 2, 1),
    ]);
    await until(() => members() === '1 2 2');
    await pool.whenOpen(3);
    const [first] = pool.connections;
    await change(srv(ports[0], 1, 10), srv(ports[2], 2, 1));
    await until(() => members() === '1');
    expect(pool.connections).toEqual([first]);
    await change(srv(ports[2], 2, 1));
    await until(() => members() === '3');
  });

  test('an empty answer and a name that is gone are an empty list; a refusal and a restart keep the members', async () => {
    // The shortest waits: two failures in a row are followed by a second.
    jest.spyOn(Math, 'random').mockReturnValue(0);
    const { pool, ports, events, members, change, server } = await following(([one]) => [srv(one, 0, 0)]);
    await until(() => members() === '1');
    const [member] = pool.connections;
    await server.stop();
    await until(() => events.some(({ kind }) => kind === 'failed'));
    expect(pool.connections).toEqual([member]);
    // It is no authority for the name any more, and knows of no other.
    await server.restart([]);
    await until(() => (events.at(-1)?.error as NodeJS.ErrnoException | undefined)?.code === 'EREFUSED');
    expect(pool.connections).toEqual([member]);
    await change(srv(ports[0], 0, 0));
    await until(() => events.at(-1)?.kind === 'list');
    expect(pool.connections).toEqual([member]);
    // The name has a record, but none of SRV.
    await change(`txt-record=${NAME},x`);
    await until(() => members() === '');
    await change(srv(ports[1], 0, 0));
    await until(() => members() === '2');
    await change();
    await until(() => members() === '');
  });

  test('addresses are asked for when their time to live has passed, of the servers that Node is set to', async () => {
    const before = dns.getServers();
    try {
      const server = await RealServer.start('dnsmasq', [
        'local=/example.test/',
        'host-record=web.example.test,127.0.0.1,1',
      ]);
      dns.setServers([`127.0.0.1:${server.port}`]);
      const targets = dnsTargets({ name: 'web.example.test', record: 'A', port: 7_000, interval: 60_000 });
      const iterator = targets[Symbol.asyncIterator]();
      expect(await iterator.next()).toEqual({ done: false, value: [{ host: '127.0.0.1', port: 7_000 }] });
      const start = performance.now();
      const next = iterator.next();
      await server.restart(['local=/example.test/', 'host-record=web.example.test,127.0.0.2,1']);
      expect(await next).toEqual({ done: false, value: [{ host: '127.0.0.2', port: 7_000 }] });
      expect(performance.now() - start).toBeGreaterThan(800);
      await iterator.return?.();
    } finally {
      dns.setServers(before);
    }
  });
});
