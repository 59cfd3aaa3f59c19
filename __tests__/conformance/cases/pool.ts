import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ConnectionError, ConnectionPool, ConnectionRegistry, type PoolOptions } from 'reconnecting-connection';

import { track } from '../../kit/clean-up';
import { QUICK, payload, receives } from '../../kit/connections';
import { record } from '../../kit/record';
import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import { type Case, within } from '../lab';

/** Section G: many under one roof, each for itself. */
export const pool: readonly Case[] = [
  {
    id: 'C89',
    title: 'every event of a member is heard with its tag, host:port, [v6]:port or unix:/path',
    needs: ['own'],
    run: async () => {
      const directory = mkdtempSync(join(tmpdir(), 'conformance-'));
      track({ destroy: () => rmSync(directory, { recursive: true }) });
      const path = join(directory, 'socket');
      const servers = [
        await Loopback.start({ echo: true }),
        await Loopback.start({ host: '::1', echo: true }),
        await Loopback.start({ path, echo: true }),
      ];
      const tags = [`127.0.0.1:${servers[0]!.port}`, `[::1]:${servers[1]!.port}`, `unix:${path}`];
      const group = open();
      const heard = record(group);
      const members = servers.map(({ target }) => group.add(target));
      await Promise.all(members.map((member) => member.whenOpen()));
      await Promise.all(
        members.map(async (member) => {
          const answer = receives(member, 'hello');
          member.write('hello');
          await answer;
        }),
      );
      for (const server of servers) server.drop();
      await Promise.all(members.map((member) => payload(member, 'open', ({ generation }) => generation === 2)));
      await group.disconnect();

      for (const [i, member] of members.entries()) {
        assert.equal(member.tag, tags[i]);
        const own = heard.filter((each) => each.at(-1) === member);
        for (const each of own) assert.equal(each.at(-2), tags[i]);
        const names = own.map(([name]) => name).filter((name) => name !== 'state' && name !== 'data');
        assert.deepEqual(names, ['open', 'reset', 'backoff', 'open', 'reset', 'close']);
        assert.ok(own.some(([name]) => name === 'data') && own.some(([name]) => name === 'state'));
      }
    },
  },
  {
    id: 'C90',
    title: 'a member that flaps never disturbs its siblings',
    needs: ['own'],
    run: async () => {
      const steady = await Loopback.start({ echo: true });
      const flapping = await Loopback.start();
      flapping.flap({ how: 'reset' });
      const group = open();
      const siblings = [group.add(steady.target), group.add(steady.target)];
      const flapper = group.add({ ...flapping.target, backoff: { initialDelay: 10, maxDelay: 10, jitter: 'none' } });
      await Promise.all(siblings.map((member) => member.whenOpen()));
      let answers = 0;
      const echo = async () => {
        while (flapping.accepted < 60) {
          for (const member of siblings) {
            const answer = receives(member, `${answers}`);
            member.write(`${answers}`);
            await within(answer, 'an echo of a sibling');
            answers += 1;
          }
        }
      };
      await within(Promise.all([echo(), flapping.until(() => flapping.accepted >= 60)]), '60 flaps');

      assert.ok(flapper.stats.failures >= 50, `failures: ${flapper.stats.failures}`);
      assert.ok(answers > 0);
      for (const member of siblings) {
        assert.deepEqual([member.state, member.generation, member.stats.failures], ['open', 1, 0]);
      }
      assert.equal(steady.accepted, 2);
    },
  },
  {
    id: 'C91',
    title: 'listeners of one member that throw stop neither it nor the others',
    needs: ['own'],
    run: async (lab) => {
      lab.expectsFaults = true;
      const server = await Loopback.start({ echo: true });
      const group = open();
      const members = [group.add(server.target), group.add(server.target), group.add(server.target)];
      const [faulty] = members;
      for (const event of ['open', 'data', 'reset', 'backoff', 'state', 'close'] as const) {
        faulty!.on(event, () => {
          throw new Error(`a fault in ${event}`);
        });
      }
      const heard = record(group);
      for (const generation of [1, 2]) {
        await Promise.all(members.map((member) => payload(member, 'open', (info) => info.generation === generation)));
        const answers = members.map((member) => receives(member, 'hello'));
        group.broadcast('hello');
        await within(Promise.all(answers), 'an echo of each');
        if (generation === 1) server.drop();
      }
      await group.disconnect();

      for (const member of members) {
        const names = heard.filter((each) => each.at(-1) === member).map(([name]) => name);
        const lives = names.filter((name) => name !== 'state');
        assert.deepEqual(lives, ['open', 'data', 'reset', 'backoff', 'open', 'data', 'reset', 'close']);
      }
      const faults = lab.surfaced.map((error) => (error as Error).message);
      for (const event of ['open', 'data', 'reset', 'backoff', 'close']) {
        assert.ok(faults.includes(`a fault in ${event}`), `the fault in ${event} surfaced`);
      }
    },
  },
  {
    id: 'C92',
    title: 'disconnecting a pool resolves when all have closed; who is added meanwhile is rejected',
    needs: ['own'],
    run: async () => {
      const server = await Loopback.start();
      const group = open();
      const members = Array.from({ length: 10 }, () => group.add(server.target));
      const down = group.add({ port: 1, backoff: () => 60_000 });
      await Promise.all([...members.map((member) => member.whenOpen()), payload(down, 'backoff')]);
      const closed: unknown[] = [];
      group.on('close', (_info, _tag, member) => closed.push(member));
      const done = group.disconnect();

      assert.throws(
        () => group.add(server.target),
        (error) => error instanceof ConnectionError && error.code === 'ERR_CLOSED',
      );
      await within(done, 'the end of the pool', 5_000);
      assert.equal(closed.length, 11);
      assert.deepEqual([group.size, ...members.map(({ state }) => state)], [0, ...members.map(() => 'closed')]);
      await within(
        server.until(() => server.live === 0),
        'the end of all sockets',
      );
      assert.equal(server.accepted, 10);
    },
  },
  {
    id: 'C93',
    title: 'errors that come again and again do not make a pool grow',
    needs: ['own'],
    limit: 60_000,
    run: async () => {
      // A `Loopback` remembers its sockets, which would be growth too.
      let accepts = 0;
      const server = createServer((socket) => {
        accepts += 1;
        socket.on('error', () => {}).resetAndDestroy();
      }).listen(0, '127.0.0.1');
      track({ destroy: () => server.close() });
      await once(server, 'listening');
      // `as`: what listens on a port has such an address.
      const { port } = server.address() as AddressInfo;
      const group = open({ backoff: { initialDelay: 10, maxDelay: 10, jitter: 'none' } });
      for (let i = 0; i < 20; i++) group.add({ host: '127.0.0.1', port });
      const heap = async (accepted: number) => {
        await until(() => accepts >= accepted, { deadline: 30_000, what: () => `${accepted} flaps` });
        globalThis.gc!();
        return process.memoryUsage().heapUsed;
      };
      // V8 compiles until then, which takes memory once.
      const before = await heap(3_000);
      const grown = (await heap(5_000)) - before;

      assert.equal(group.size, 20);
      assert.ok(grown < 2 ** 19, `the heap grew by ${grown} bytes over 2,000 flaps`);
    },
  },
  {
    id: 'C94',
    title: 'a target may be added twice to a pool and not to a registry; names like __proto__ are names',
    needs: ['own'],
    run: async () => {
      const server = await Loopback.start();
      const group = open();
      const twins = [group.add(server.target), group.add(server.target)];
      assert.deepEqual(group.get(twins[0]!.tag), twins);
      await group.remove(twins[0]!);
      assert.deepEqual(group.get(twins[1]!.tag), [twins[1]]);

      const registry = new ConnectionRegistry();
      const only = track(registry.connect(server.target));
      assert.throws(
        () => registry.connect(server.target),
        (error) => error instanceof ConnectionError && error.code === 'ERR_DUPLICATE_TARGET',
      );
      assert.equal(registry.getConnection(server.port), only);
      for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
        assert.equal(registry.getPool(name), undefined);
        assert.equal(registry.getConnection(name), undefined);
        const made = registry.createPool(name);
        assert.equal(registry.getPool(name), made);
      }
      await registry.disconnectAll();
      assert.equal(only.state, 'closed');
    },
  },
  {
    id: 'C95',
    title: 'a member whose name is never resolved does not delay the healthy ones',
    needs: ['own'],
    run: async () => {
      const server = await Loopback.start();
      const group = open();
      for (let i = 0; i < 20; i++) group.add({ host: `dead-${i}.test`, port: 80, socket: { lookup: () => {} } });
      const healthy = group.add(server.target);
      await within(healthy.whenOpen(), 'the healthy member', 5_000);
      const { total, open: opened, connecting, waiting } = group.stats;
      assert.deepEqual([total, opened, connecting, waiting], [21, 1, 20, 0]);

      // With a bound on dials, a dead member releases its slot at its timeout. The healthy one may open before the second
      // dead member times out.
      const narrow = open({ maxConnecting: 2, connectTimeout: 200 });
      const dead = Array.from({ length: 2 }, () =>
        narrow.add({ host: 'dead.test', port: 80, socket: { lookup: () => {} } }),
      );
      const failures = dead.map((member) => payload(member, 'backoff'));
      const patient = narrow.add(server.target);
      await within(patient.whenOpen(), 'the healthy member behind two dead ones');
      for (const { error } of await within(Promise.all(failures), 'the timeouts of the dead ones')) {
        assert.equal(error?.code, 'ERR_CONNECT_TIMEOUT');
      }
    },
  },
  {
    id: 'C96',
    title: 'a hundred members that are added at once do not dial in the same millisecond',
    needs: ['own'],
    run: async () => {
      const server = await Loopback.start();
      const dials: number[] = [];
      const group = open({
        dial: () => {
          dials.push(performance.now());
          return connect({ host: '127.0.0.1', port: server.port });
        },
      });
      const members = Array.from({ length: 100 }, () => group.add(server.target));
      await within(Promise.all(members.map((member) => member.whenOpen())), 'all members');

      const most = Math.max(...dials.map((from) => dials.filter((at) => at >= from && at < from + 1).length));
      assert.equal(dials.length, 100);
      // Two bursts of 20 may fall into one millisecond that begins between them.
      assert.ok(most <= 40, `${most} dials in a millisecond`);
    },
  },
];

function open(options: PoolOptions = {}): ConnectionPool {
  return track(new ConnectionPool({ ...QUICK, ...options }));
}
