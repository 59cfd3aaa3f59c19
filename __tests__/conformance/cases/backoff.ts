import { strict as assert } from 'node:assert';

import type { ReconnectingConnection } from 'reconnecting-connection';
import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import { type Case, PATIENCE, within } from '../lab';
import { gaps, waits } from './attempts';
import { refuseTo, resolving } from './lookups';

/** Milliseconds by which half of the waits may be longer. Each of them may be, where the machine has much else to do. */
const SLACK = 600;

/** Milliseconds by which Node's timers may be early. */
const EARLY = 5;

/** Section B: how long a client waits. */
export const backoff: readonly Case[] = [
  {
    id: 'C19',
    title: 'without jitter the waits are the very sequence of their options: 100, 200, 400, 800, 1000, 1000',
    needs: ['backoff options', 'backoff event', 'lookup'],
    run: async (lab) => {
      const server = await Loopback.start();
      server.refuse();
      const expected = [100, 200, 400, 800, 1_000, 1_000];
      const asked: number[] = [];
      const subject = lab.create({
        port: server.port,
        host: 'down.test',
        backoff: { initialDelay: 100, maxDelay: 1_000, multiplier: 2, jitter: 'none' },
        socket: {
          // A look-up is the first thing of an attempt, and failing it is over at once: between them is the wait.
          lookup: (_name, _options, callback) => {
            asked.push(performance.now());
            refuseTo(callback);
          },
        },
      });
      await subject.until('seven attempts', () => subject.count('backoff') > expected.length, 2 * PATIENCE);
      const delays = waits(subject).map(({ delay }) => delay);

      assert.deepEqual(delays.slice(0, expected.length), expected);
      conform(
        asked
          .slice(1)
          .map((at, index) => at - asked[index]!)
          .slice(0, expected.length),
        expected,
      );
    },
  },
  {
    id: 'C22',
    title: 'the server that closes each connection sees the waits between them grow as configured',
    needs: ['backoff options'],
    run: async (lab) => {
      const server = await Loopback.start();
      server.flap();
      const expected = [100, 200, 400, 800, 1_600, 1_600];
      lab.create({
        ...server.target,
        backoff: { initialDelay: 100, maxDelay: 1_600, multiplier: 2, jitter: 'none' },
      });
      await within(
        server.until(() => server.accepted > expected.length),
        'seven connections',
        2 * PATIENCE,
      );

      conform(gaps(server).slice(0, expected.length), expected);
    },
  },
  {
    id: 'C23',
    title: 'a wait counts from the end of the failed attempt, and from the end of the session',
    needs: ['own'],
    run: async (lab) => {
      // Were it counted from the beginning of either, it would be over by then.
      const [attempt, session, wait] = [600, 400, 300];
      const mute = await Loopback.start();
      const flapping = await Loopback.start();
      flapping.flap({ after: session });
      const options = { backoff: () => wait, connectTimeout: attempt };
      const waited = [
        lab.own({ ...mute.target, ...options, tls: true }),
        lab.own({ ...flapping.target, ...options }),
      ].map(measureWaits);
      await within(
        until(() => waited.every(({ length }) => length >= 3)),
        'three waits of each',
      );

      for (const each of waited) conform(each.slice(0, 3), Array<number>(3).fill(wait));
    },
  },
  {
    id: 'C24',
    title: 'a round over all addresses of a name is one attempt, with one wait',
    needs: ['lookup', 'backoff event', 'backoff options'],
    run: async (lab) => {
      const server = await Loopback.start();
      server.refuse();
      const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
      let rounds = 0;
      const subject = lab.create({
        port: server.port,
        host: 'three.test',
        backoff: { initialDelay: 50, maxDelay: 10_000, multiplier: 2, jitter: 'none' },
        socket: {
          lookup: resolving(() => {
            rounds += 1;
            return addresses;
          }),
        },
      });
      await subject.waitFor('backoff', 4, 2 * PATIENCE);
      assert.equal(rounds, 4);
      assert.deepEqual(
        waits(subject).map(({ delay }) => delay),
        [50, 100, 200, 400],
      );

      if (!lab.has('own')) return;
      for (const { error } of waits(subject)) {
        for (const address of addresses) assert(error?.message.includes(address), `${error?.message} lacks ${address}`);
      }
    },
  },
];

/** How long each wait of a connection is, from its `backoff` to the dial. */
function measureWaits(connection: ReconnectingConnection): readonly number[] {
  const waited: number[] = [];
  let since = NaN;
  connection.on('backoff', () => (since = performance.now()));
  connection.on('state', (next, previous) => {
    if (next === 'connecting' && previous === 'backoff') waited.push(performance.now() - since);
  });
  return waited;
}

/** Compares times that were measured with those that were asked for. */
function conform(measured: readonly number[], expected: readonly number[]): void {
  const told = measured.map(Math.round).join(', ');
  expected.forEach((least, index) => {
    assert(measured[index]! >= least - EARLY, `${told}: the one for ${least} is too short`);
  });
  const late = expected.map((least, index) => measured[index]! - least).sort((one, other) => one - other);
  assert(late[Math.floor((late.length - 1) / 2)]! <= SLACK, `${told}: longer than ${expected.join(', ')}`);
}
