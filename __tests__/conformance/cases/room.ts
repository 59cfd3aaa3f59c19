import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

import { ConnectionError, ConnectionPool, type PoolOptions } from 'reconnecting-connection';

import { loadCertificates } from '../../kit/certificates';
import { track, trackProcess } from '../../kit/clean-up';
import { QUICK, next } from '../../kit/connections';
import { isStopped } from '../../kit/processes';
import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import { type Case, quiet, within } from '../lab';

/** A pool looks at more than at who is open. */
export const room: readonly Case[] = [
  {
    id: 'C131',
    title: 'a member that never reads neither stops a pool nor costs it writes; drain comes when any has room',
    needs: ['own'],
    limit: 60_000,
    run: async () => {
      for (const select of ['round-robin', 'least-pending', 'random-two'] as const) {
        const servers = await Promise.all([Loopback.start(), Loopback.start(), Loopback.start()]);
        const group = open({ select });
        const members = servers.map((server) => group.add(server.target));
        await within(group.whenOpen(3), 'three open members');
        await Promise.all(servers.map((server) => within(server.session(1), 'a session at the server')));
        servers[1].mute();
        let refused = 0;
        const chunk = Buffer.alloc(65_536);
        const work = (async () => {
          for (let count = 0; count < 500; count++) {
            const hasRoom = group.write(chunk, (error) => {
              if (error instanceof ConnectionError && error.code === 'ERR_QUEUE_FULL') refused += 1;
            });
            if (!hasRoom) await next(group, 'drain');
          }
        })();
        await within(work, `500 writes by ${select}`, 10_000);
        const sound = [servers[0], servers[2]];
        await within(
          until(() => members[0]!.pendingBytes + members[2]!.pendingBytes === 0),
          'the writes of the members that read',
        );
        assert.equal(refused, 0, select);
        // The kernels may still hold what they have taken.
        const heard = () => sound.reduce((sum, server) => sum + server.receivedBytes, 0);
        await within(
          until(() => heard() > 400 * 65_536),
          `what the members that read were sent by ${select}`,
        );
        group.destroy();
      }
    },
  },
  {
    id: 'C132',
    title: 'the only member of a device is never joined by a second socket, late as the device may answer',
    needs: ['own'],
    platform: 'linux',
    run: async () => {
      const device = await startDevice();
      const group = open({ connectTimeout: 10_000, backoff: () => 600 });
      const only = group.add(device.target);
      await within(only.whenOpen(), 'the first session');
      const lost = next(only, 'reset');
      // It hangs up and stands still.
      only.write('bye');
      await within(lost, 'the end of the first session');
      await device.fill();
      const others = device.knocking();
      await within(
        until(() => device.knocking() > others),
        'a dial that goes unanswered',
      );
      // Long enough for a second socket beside it.
      await quiet(600);
      assert.deepEqual([only.state, device.knocking() - others], ['connecting', 1]);
      device.wake();
      await within(only.whenOpen(), 'the device, once it answers');
      await quiet(300);
      assert.equal(only.generation, 2);
    },
  },
  {
    id: 'C133',
    title: 'a server that says goodbye is retired: a twin opens first, and nothing that was written is lost',
    needs: ['own'],
    run: async () => {
      const server = await Loopback.start({ echo: true });
      const group = open({ minUptime: 0 });
      const members = [group.add(server.target), group.add(server.target)];
      await within(group.whenOpen(2), 'two members');
      const fates: (string | undefined)[] = [];
      let written = 0;
      const write = () => {
        written += 1;
        group.write(`${written};`, (error) => fates.push(error instanceof ConnectionError ? error.code : undefined));
      };
      const writing = setInterval(write, 1);
      await quiet(50);
      let fewest = Infinity;
      group.on('state', () => (fewest = Math.min(fewest, group.stats.open)));
      await within(group.retire(members[0]!), 'the end of the retired member');
      await quiet(50);
      clearInterval(writing);
      await within(
        until(() => fates.length === written),
        'every callback',
      );
      assert.deepEqual(new Set(fates), new Set([undefined]));
      assert.deepEqual([members[0]!.state, group.size, group.stats.open], ['closed', 2, 2]);
      assert.ok(fewest >= 2, `only ${fewest} were open meanwhile`);
      const heard = () => server.text().split(';').filter(Boolean).length;
      await within(
        server.until(() => heard() >= written),
        'all that was written',
      );
      assert.equal(heard(), written);
    },
  },
  {
    id: 'C134',
    title: 'a member’s TLS options are laid over its pool’s: authority and pin of the pool are not lost',
    needs: ['own'],
    run: async () => {
      const { server: pair, ca } = await loadCertificates();
      const server = await Loopback.start({ tls: pair });
      const pinned: string[] = [];
      const group = open({
        tls: {
          ca: ca.cert,
          checkServerIdentity: (host) => {
            pinned.push(host);
            return host === 'localhost' ? undefined : Object.assign(new Error('pin'), { code: 'ERR_PIN' });
          },
        },
      });
      const named = group.add({ ...server.target, tls: { servername: 'localhost' } });
      await within(named.whenOpen(), 'a member with a name of its own');
      assert.deepEqual(pinned, ['localhost']);
      const other = group.add({ ...server.target, tls: { servername: 'elsewhere.test' } });
      const [{ error }] = await within(next(other, 'backoff'), 'the refusal of another name');
      assert.equal(error?.code, 'ERR_PIN');

      const connection = open({ tls: { ca: ca.cert } }).add({
        target: () => ({ ...server.target, tls: { servername: 'localhost' } }),
      });
      await within(connection.whenOpen(), 'a target with a name of its own');
    },
  },
  {
    id: 'C135',
    title: 'a list with one bad entry is refused with the name of the device that it is of',
    needs: ['own'],
    run: () => {
      const group = open();
      const devices = ['10.0.0.1', '10.0.0.2'].map((host) => ({ host, port: 502, autoConnect: false }));
      for (const device of devices) group.add(device);
      assert.throws(
        () => group.add({ host: '10.0.0.3', port: 502, connectTimeout: -1 }),
        (error) =>
          error instanceof ConnectionError &&
          error.code === 'ERR_INVALID_OPTION' &&
          error.message.includes('10.0.0.3') &&
          error.message.includes('connectTimeout'),
      );
      assert.equal(group.size, 2);
      return Promise.resolve();
    },
  },
];

function open(options: PoolOptions = {}): ConnectionPool {
  return track(new ConnectionPool({ ...QUICK, ...options }));
}

/** A device that ends a session in which it hears anything, and stands still from then on. */
interface Device {
  readonly target: { readonly port: number };
  /** Fills its accept queue, so that it does not answer who knocks. */
  fill(): Promise<void>;
  /** Sockets that wait for an answer, as the kernel counts them. */
  knocking(): number;
  wake(): void;
}

/** What a socket that has sent its SYN is called in /proc/net/tcp. */
const SYN_SENT = '02';

async function startDevice(): Promise<Device> {
  const script = `
    const server = require('node:net').createServer((socket) => {
      socket.on('error', () => {}).on('data', () => {
        socket.resetAndDestroy();
        process.kill(process.pid, 'SIGSTOP');
      });
    });
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port));`;
  const child: ChildProcess = trackProcess(
    spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  const port = Number(line);
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const knocking = () =>
    readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map((row) => row.trim().split(/\s+/))
      .filter(([, , remote, state]) => remote?.endsWith(suffix) && state === SYN_SENT).length;
  const fill = async () => {
    await until(() => isStopped(child));
    for (let count = 0; count < 4; count++) track(connect(port, '127.0.0.1')).on('error', () => {});
    await until(() => knocking() > 0, { what: () => 'the queue of the device is full' });
  };
  return { target: { port }, fill, knocking, wake: () => void child.kill('SIGCONT') };
}
