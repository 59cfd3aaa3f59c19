import { strict as assert } from 'node:assert';

import { loadCertificates } from '../../kit/certificates';
import { Loopback } from '../../kit/server';
import { type Case, type Lab, PATIENCE, within } from '../lab';
import { gaps, grow, waits } from './attempts';

/** Section B: servers that accept and hang up. */
export const flapping: readonly Case[] = [
  {
    id: 'C25',
    title: 'waits keep growing against a server that accepts and ends, resets, speaks first, or has done TLS first',
    needs: ['backoff options'],
    limit: 60_000,
    run: async (lab) => {
      await Promise.all([
        growsAgainst(lab, 'FIN', await flapper('drop')),
        growsAgainst(lab, 'RST', await flapper('reset')),
        growsAgainst(lab, 'data', await talker(lab)),
        ...(lab.has('tls') ? [growsAgainst(lab, 'TLS', await secureFlapper(), true)] : []),
      ]);
    },
  },
  {
    id: 'C26',
    title: 'a session shorter than minUptime is one failure more, and a longer one starts the waits afresh',
    needs: ['backoff options'],
    limit: 60_000,
    run: async (lab) => {
      const uptimes = [100, 200, 300, 400, 1_600, 1_600, 60_000];
      const expected = [100, 200, 400, 800];
      const closedAt: number[] = [];
      const server = await lab.serve({
        onSession: (socket, number) => {
          const cut = () => {
            closedAt.push(performance.now());
            socket.end();
          };
          setTimeout(cut, uptimes[number - 1]).unref();
        },
      });
      const subject = lab.create({
        ...server.target,
        // A session must also outlast the wait before it: 800 ms at the most.
        minUptime: 1_000,
        backoff: { initialDelay: 100, maxDelay: 800, multiplier: 2, jitter: 'none' },
      });
      await within(
        server.until(() => server.accepted === uptimes.length),
        'seven sessions',
        40_000,
      );
      const measured = closedAt.map((at, index) => server.acceptedAt[index + 1]! - at);

      grow(measured, expected, 'short sessions');
      if (!lab.has('own')) return;
      assert.deepEqual(
        waits(subject).map(({ delay, attempt }) => [attempt, delay]),
        [...expected.map((delay, index) => [index + 1, delay]), [1, 100], [1, 100]],
      );
      await countsTheWaitBefore(lab);
    },
  },
  {
    id: 'C27',
    title: 'waits keep growing against a proxy that holds each connection for 1.5 s before it gives up',
    needs: ['backoff options'],
    limit: 60_000,
    run: async (lab) => {
      const held = 1_500;
      const server = await lab.serve();
      server.flap({ after: held });
      const expected = [200, 400, 800, 1_600];
      const backoff = { initialDelay: 200, maxDelay: 10_000, multiplier: 2, jitter: 'none' } as const;
      lab.create({ ...server.target, backoff });
      await within(
        server.until(() => server.accepted > expected.length),
        'five connections',
        40_000,
      );

      grow(
        gaps(server).map((gap) => gap - held),
        expected,
        'a proxy',
      );
    },
  },
  {
    id: 'C28',
    title: 'a session that the application vouches for starts the waits afresh, however short it was',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      server.flap();
      const delays: number[] = [];
      const backoff = { initialDelay: 50, maxDelay: 800, jitter: 'none' } as const;
      const connection = lab.own({ ...server.target, backoff });
      connection.on('open', ({ generation }) => {
        if (generation === 4) connection.markHealthy();
      });
      connection.on('backoff', ({ attempt, delay }) => delays.push(attempt, delay));
      await within(
        server.until(() => server.accepted >= 7),
        'seven sessions',
      );

      assert.deepEqual(delays.slice(0, 12), [1, 50, 2, 100, 3, 200, 1, 50, 2, 100, 3, 200]);
      grow(gaps(server), [50, 100, 200, 50, 100, 200], 'a server that hangs up');
    },
  },
];

/** A session that is shorter than the wait before it has not proved much either. */
async function countsTheWaitBefore(lab: Lab): Promise<void> {
  const server = await flapper('drop');
  const attempts: number[] = [];
  const connection = lab.own({ ...server.target, minUptime: 0, backoff: () => 200 });
  connection.on('backoff', ({ attempt }) => attempts.push(attempt));
  await within(
    server.until(() => server.accepted >= 4),
    'four sessions',
  );
  assert.deepEqual(attempts.slice(0, 3), [1, 2, 3]);
}

async function flapper(how: 'drop' | 'reset'): Promise<Loopback> {
  const server = await Loopback.start();
  server.flap({ how });
  return server;
}

/** It greets, in the words of the client's protocol where it has one, and hangs up. */
async function talker(lab: Lab): Promise<Loopback> {
  const server = await lab.serve({
    onSession: (socket) => {
      if (lab.has('bytes')) socket.write('too many clients');
    },
  });
  server.flap({ after: 30 });
  return server;
}

async function secureFlapper(): Promise<Loopback> {
  const { server: identity } = await loadCertificates();
  const server = await Loopback.start({ tls: { key: identity.key, cert: identity.cert } });
  server.flap();
  return server;
}

async function growsAgainst(lab: Lab, what: string, server: Loopback, secure = false): Promise<void> {
  const expected = [100, 200, 400, 800, 1_600];
  const subject = lab.create({
    ...server.target,
    ...(secure && { tls: { rejectUnauthorized: false } }),
    backoff: { initialDelay: 100, maxDelay: 10_000, multiplier: 2, jitter: 'none' },
  });
  await within(
    server.until(() => server.accepted > expected.length),
    `six connections: ${what}`,
    3 * PATIENCE,
  );

  grow(gaps(server), expected, what);
  if (!lab.has('own')) return;
  const delays = waits(subject).map(({ delay }) => delay);
  assert.deepEqual(delays.slice(0, expected.length), expected, what);
  // Where TLS was done there was a session each time.
  if (secure) assert(subject.count('open') >= expected.length, `${what}: ${subject.names().join()}`);
}
