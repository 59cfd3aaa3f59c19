import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { inspect } from 'node:util';

import { constantBackoff, defaultBackoff, exponentialBackoff } from 'reconnecting-connection';

import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import type { ClientOptions } from '../adapter';
import { type Case, type Lab, PATIENCE, quiet, within } from '../lab';
import { gaps } from './attempts';
import { refuseTo } from './lookups';

/** Connections a second of one client that are still no storm: one each 10 ms, and some grace. */
const RATE = 120;

/** What is no delay, or none that a timer can wait. */
const numbers: readonly number[] = [NaN, Infinity, -Infinity, -1, 0, -0, 0.1, 2 ** 31, 2 ** 53, -(2 ** 31)];

/** What a backoff function should never say, and some will. */
const words: readonly unknown[] = ['', '5', 'soon', null, true, {}, [], [1], () => 5, new Date(0), Promise.resolve(1)];

/** What others should not be asked, for the arithmetic of an adapter may not be up to it. */
const wild: readonly unknown[] = [1n, Symbol('soon')];

/** Section B: where waits end. */
export const limits: readonly Case[] = [
  {
    id: 'C31',
    title: 'whatever nonsense a delay is, the server never sees a storm',
    needs: ['backoff options'],
    limit: 60_000,
    run: async (lab) => {
      const warnings: string[] = [];
      process.on('warning', ({ name, message }) => warnings.push(`${name}: ${message}`));
      const backoffs: ClientOptions['backoff'][] = [
        ...numbers.flatMap((value) => [{ initialDelay: value }, { initialDelay: 20, multiplier: value }]),
        { initialDelay: 0, maxDelay: 0, multiplier: 1, jitter: 'none' },
        { initialDelay: 0, jitter: 'none' },
      ];
      if (lab.has('backoff function')) {
        for (const says of [...numbers, ...words, ...(lab.has('own') ? wild : [])]) {
          // `as`: nonsense is what it is about.
          backoffs.push(Object.assign(() => says as number, { says }));
        }
        backoffs.push(() => {
          throw new Error('no idea');
        });
      }
      // A few at a time, or the loop would be busy with them and slow them down.
      while (backoffs.length > 0) {
        await Promise.all(backoffs.splice(0, 6).map((backoff) => isNoStorm(lab, backoff)));
      }
      assert.deepEqual(
        warnings.filter((warning) => warning.startsWith('Timeout')),
        [],
      );
    },
  },
  {
    id: 'C32',
    title: 'waits stay within their bounds up to attempt 10,000 and beyond',
    needs: ['own'],
    run: () => {
      const policies = {
        none: exponentialBackoff({ jitter: 'none', maxDelay: 5_000 }),
        full: exponentialBackoff({ maxDelay: 5_000 }),
        equal: exponentialBackoff({ jitter: 'equal', maxDelay: 5_000 }),
        decorrelated: exponentialBackoff({ jitter: 'decorrelated', maxDelay: 5_000 }),
        'from nothing': exponentialBackoff({ jitter: 'none', initialDelay: 0, maxDelay: 5_000 }),
        'by leaps': exponentialBackoff({ jitter: 'none', multiplier: Number.MAX_VALUE, maxDelay: 5_000 }),
        constant: constantBackoff(5_000),
        default: defaultBackoff(),
      };
      for (const [name, policy] of Object.entries(policies)) {
        let previousDelay = 0;
        for (const attempt of [
          ...Array.from({ length: 10_000 }, (_, index) => index + 1),
          2 ** 31,
          2 ** 53,
          Infinity,
        ]) {
          const delay = policy({ attempt, previousDelay })!;
          assert(Number.isInteger(delay) && delay >= 10 && delay <= 10_000, `${name}, attempt ${attempt}: ${delay}`);
          previousDelay = delay;
        }
      }
      const { none, 'from nothing': nothing } = policies;
      assert.deepEqual([none({ attempt: 10_000 }), nothing({ attempt: 10_000 })], [5_000, 10]);
      return Promise.resolve();
    },
  },
  {
    id: 'C33',
    title: 'after so many retries as were allowed, and no more and no less, it is over, and that is told once',
    needs: ['max retries', 'lookup'],
    limit: 60_000,
    run: async (lab) => {
      await Promise.all([0, 1, 5].map((maxRetries) => givesUpAfter(lab, maxRetries)));
    },
  },
  {
    id: 'C34',
    title: 'without a limit it tries for ever',
    needs: ['backoff options'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      server.refuse();
      const backoff = { initialDelay: 10, maxDelay: 10, jitter: 'none' } as const;
      const subject = lab.create({ ...server.target, backoff });
      // So many attempts, or as many as fit into the time for those that cannot be so quick.
      const from = performance.now();
      const enough = () => subject.count('backoff') >= 200 || performance.now() - from > 15_000;
      await until(enough, { deadline: 20_000 });
      assert.deepEqual(subject.names('open', 'close'), []);
      await server.accept();
      await subject.waitFor('open', 1, 2 * PATIENCE);

      if (lab.has('own')) await triesTenThousandTimes(lab);
    },
  },
  {
    id: 'C37',
    title: 'a client that was frozen during a wait makes one attempt when it goes on, and not a burst',
    needs: ['backoff options'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      server.flap({ after: 50 });
      const wait = 1_000;
      const backoff = { initialDelay: wait, maxDelay: wait, jitter: 'none' } as const;
      const subject = lab.create({ ...server.target, backoff });
      await within(
        server.until(() => server.accepted >= 2 && server.live === 0),
        'a wait',
        2 * PATIENCE,
      );
      const before = server.accepted;
      await freeze(4_000);
      await within(
        server.until(() => server.accepted > before),
        'an attempt after the frost',
        2 * PATIENCE,
      );
      await quiet(0.6 * wait);
      assert.equal(server.accepted, before + 1);

      server.steady();
      await within(
        server.until(() => server.accepted > before + 1),
        'the next attempt',
        2 * PATIENCE,
      );
      await subject.until('the state of rest', () => subject.count('open') > subject.count('reset'));
      await quiet(2 * wait);
      assert.equal(server.accepted, before + 2);
    },
  },
];

/** Stops this very process, client and server, as the system stops one for want of memory. */
async function freeze(milliseconds: number): Promise<void> {
  const script = `kill -STOP ${process.pid}; sleep ${milliseconds / 1_000}; kill -CONT ${process.pid}`;
  const from = performance.now();
  await once(spawn('sh', ['-c', script], { stdio: 'ignore' }), 'exit');
  assert(performance.now() - from >= milliseconds, 'it was not frozen for long enough');
}

/** Counts what a server sees in a second that closes everything at once. */
async function isNoStorm(lab: Lab, backoff: ClientOptions['backoff']): Promise<void> {
  const server = await Loopback.start();
  server.flap();
  let subject;
  try {
    subject = lab.create({ ...server.target, ...(backoff !== undefined && { backoff }) });
  } catch {
    // To refuse what makes no sense is the best that can be done with it.
    return;
  }
  await quiet(1_000);
  const seen = server.acceptedAt.filter((at) => at - server.acceptedAt[0]! <= 1_000).length;
  const what = `${seen} connections in a second, with ${inspect(backoff)}`;
  assert(seen <= RATE, what);
  // On a machine that is too busy for a storm, one still shows in how close they come.
  const between = gaps(server).sort((one, other) => one - other);
  if (between.length >= 10) assert(between[Math.floor(between.length / 2)]! >= 5, `${what}: ${between.join()}`);
  if (lab.has('own') && between.length > 0) assert(between[0]! >= 8, `${what}: ${between.join()}`);
  await subject.client.disconnect();
}

async function givesUpAfter(lab: Lab, maxRetries: number): Promise<void> {
  let attempts = 0;
  const subject = lab.create({
    port: 9,
    host: 'nowhere.test',
    maxRetries,
    socket: {
      lookup: (_name, _options, callback) => {
        attempts += 1;
        refuseTo(callback);
      },
    },
  });
  await subject.waitFor('close', 1, 30_000);
  // Longer than any wait it was told of.
  await quiet(1_000);

  assert.equal(attempts, maxRetries + 1);
  assert.deepEqual(subject.names('open', 'reset', 'close'), ['close']);
  assert.equal(subject.heard.at(-1)?.event, 'close');
  if (lab.has('backoff event')) assert.equal(subject.count('backoff'), maxRetries);
}

/** With every wait cut short. */
async function triesTenThousandTimes(lab: Lab): Promise<void> {
  const connection = lab.own({
    port: 9,
    dial: () => {
      throw new Error('not today');
    },
  });
  let closed = false;
  connection.on('close', () => (closed = true));
  await within(
    new Promise<void>((resolve) => {
      connection.on('backoff', ({ attempt, delay }) => {
        assert(delay >= 10 && delay <= 40, `attempt ${attempt} waits for ${delay} ms`);
        if (attempt === 10_000) resolve();
        else connection.reconnect();
      });
    }),
    '10,000 attempts',
    2 * PATIENCE,
  );
  assert.equal(closed, false);
}
