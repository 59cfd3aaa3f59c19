import { strict as assert } from 'node:assert';

import type { BackoffContext } from 'reconnecting-connection';

import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import type { ClientOptions } from '../adapter';
import { type Case, type Lab, PATIENCE, quiet, within } from '../lab';
import { failsAgain, waits } from './attempts';
import { startDeaf } from './deaf';

/** Section B: what can be done while it waits or dials, and what is told of it. */
export const waiting: readonly Case[] = [
  {
    id: 'C29',
    title: 'a wait that is cut short dials within 50 ms, and not a second time when it would have been over',
    needs: ['reconnect', 'backoff options', 'backoff event'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const wait = 1_500;
      const took: number[] = [];
      for (let round = 0; round < 5; round++) {
        const before = server.accepted;
        server.refuse();
        const backoff = { initialDelay: wait, maxDelay: wait, jitter: 'none' } as const;
        const subject = lab.create({ ...server.target, backoff });
        await subject.waitFor('backoff');
        await server.accept();
        const from = performance.now();
        subject.client.reconnect?.();
        await subject.waitFor('open');
        took.push(performance.now() - from);
        // Until the wait would be over, and some more.
        await quiet(wait + 300);
        assert.deepEqual(subject.names(), ['backoff', 'open'], `in round ${round}`);
        assert.equal(server.accepted, before + 1, `in round ${round}`);
        await subject.client.disconnect();
      }

      // The best of them: whatever else the machine has to do, it did not have to do all the time.
      assert(Math.min(...took) <= 50, `it took ${took.map(Math.round).join(', ')} ms`);
    },
  },
  {
    id: 'C30',
    title: 'a dial that hangs is given up by disconnect(), and leaves nothing behind',
    limit: 60_000,
    run: async (lab) => {
      const deaf = await startDeaf();
      const mute = await Loopback.start();
      const before = handles();
      const hanging: Record<string, ClientOptions> = { 'a dropped SYN': deaf.target };
      if (lab.has('tls')) hanging['a TLS handshake'] = { ...mute.target, tls: true };
      if (lab.has('lookup')) hanging['a look-up'] = { port: 9, host: 'never.test', socket: { lookup: () => {} } };
      for (const [what, options] of Object.entries(hanging)) {
        for (let round = 0; round < 10; round++) await givesUp(lab, what, options);
      }

      await until(() => mute.live === 0, { what: () => `${mute.live} connections left` });
      await until(() => handles() <= before, { what: () => process.getActiveResourcesInfo().join() });
    },
  },
  {
    id: 'C35',
    title: 'a wait is told when it begins, with its length, and the dial comes when that is over',
    needs: ['backoff event'],
    limit: 60_000,
    run: async (lab) => {
      const server = await Loopback.start();
      server.flap();
      const backoff = { initialDelay: 200, maxDelay: 200, jitter: 'none' } as const;
      const subject = lab.create({ ...server.target, backoff });
      await subject.until('four waits', () => subject.count('backoff') >= 4, 3 * PATIENCE);
      await within(
        server.until(() => server.accepted >= 5),
        'five dials',
        3 * PATIENCE,
      );
      const told = subject.heard.filter(({ event }) => event === 'backoff');
      waits(subject).forEach(({ delay }, index) => {
        const next = server.acceptedAt[index + 1];
        if (next === undefined) return;
        const waited = next - told[index]!.at;
        assert(waited >= delay - 20, `${waited} ms after a wait of ${delay} ms was told`);
      });

      if (lab.has('own')) await tellsAll(lab);
    },
  },
  {
    id: 'C36',
    title: 'a backoff function is asked once for each wait, with the number of the attempt and what failed',
    needs: ['backoff function'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      server.refuse();
      const asked: BackoffContext[] = [];
      const backoff = (context: BackoffContext) => 20 + asked.push({ ...context });
      const subject = lab.create({ ...server.target, backoff });
      await within(
        until(() => asked.length >= 4, { deadline: 40_000 }),
        'asked four times',
        40_000,
      );
      assert.deepEqual(
        asked.slice(0, 4).map(({ attempt }) => attempt),
        [1, 2, 3, 4],
      );
      if (lab.has('backoff event')) {
        await subject.waitFor('backoff', 4);
        assert.deepEqual(
          waits(subject)
            .slice(0, 4)
            .map(({ delay }) => delay),
          [21, 22, 23, 24],
        );
      }
      if (lab.has('own')) {
        for (const { error } of asked) assert.equal(error?.code, 'ECONNREFUSED');
        assert.deepEqual(
          asked.slice(0, 4).map(({ previousDelay }) => previousDelay),
          [undefined, 21, 22, 23],
        );
        assert.equal(asked.length, subject.count('backoff'));
      }
    },
  },
  {
    id: 'C38',
    title: 'a loss, its waits and the next session are told in this order',
    needs: ['backoff event'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      const rounds = 3;
      const expected = ['open'];
      await subject.waitFor('open');
      for (let round = 1; round <= rounds; round++) {
        server.refuse();
        server.drop();
        await failsAgain(lab, subject, 3);
        await server.accept();
        await subject.waitFor('open', round + 1);
        expected.push('reset', 'backoff', 'open');
      }
      // However many waits there were.
      const told = subject.names('open', 'reset', 'backoff', 'close');
      const once = told.filter((name, index) => name !== 'backoff' || told[index - 1] !== 'backoff');
      assert.deepEqual(once, expected);
    },
  },
];

/** Sockets and timers that Node knows to be there. */
function handles(): number {
  return process.getActiveResourcesInfo().filter((name) => /TCP|Socket|Connect|Timeout/.test(name)).length;
}

/** A client that is disconnected while it dials. */
async function givesUp(lab: Lab, what: string, options: ClientOptions): Promise<void> {
  const subject = lab.create({ ...options, connectTimeout: 60_000 });
  // Long enough for the dial to be under way.
  await quiet(30);
  await within(subject.client.disconnect(), `disconnect() during ${what}`, 5_000);
  assert.deepEqual(subject.names('open', 'backoff', 'reset'), [], what);
  if (!lab.has('own')) return;
  assert.equal(subject.client.state, 'closed', what);
  assert.equal(subject.count('close'), 1, what);
}

/** All that our own event tells. */
async function tellsAll(lab: Lab): Promise<void> {
  const server = await Loopback.start();
  server.refuse();
  const connection = lab.own({ ...server.target, backoff: ({ attempt }) => 100 * attempt });
  const states: string[] = [];
  const before = Date.now();
  const first = await new Promise<Parameters<Parameters<typeof connection.on<'backoff'>>[1]>[0]>((resolve) => {
    connection.once('backoff', (info) => {
      states.push(connection.state);
      resolve(info);
    });
  });
  const { attempt, delay, retryAt, reason, error } = first;
  assert.deepEqual(
    { attempt, delay, reason, states },
    { attempt: 1, delay: 100, reason: 'error', states: ['backoff'] },
  );
  assert(retryAt >= before + delay && retryAt <= Date.now() + delay, `due at ${retryAt}`);
  // Where to: the address and port are the error's, the tag is the connection's.
  const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  assert.deepEqual({ code, address, port }, { code: 'ECONNREFUSED', address: '127.0.0.1', port: server.port });
  assert.equal(connection.tag, `127.0.0.1:${server.port}`);
  await new Promise<void>((resolve) => connection.once('state', () => resolve()));
  assert(Date.now() >= retryAt - 2, 'dialled before it was due');
}
