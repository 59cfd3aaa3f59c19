import { strict as assert } from 'node:assert';

import { block } from '../../kit/connections';
import { serveElsewhere } from '../../kit/processes';
import { Loopback } from '../../kit/server';
import type { ClientOptions } from '../adapter';
import { type Case, type Lab, PATIENCE, type Subject, quiet } from '../lab';
import { waits } from './attempts';
import { startDeaf } from './deaf';
import { answer, refuseTo } from './lookups';

/** Milliseconds by which a timeout may be late on a busy machine. */
const TOLERANCE = 10_000;

/** Section A: the bound of an attempt. */
export const timeouts: readonly Case[] = [
  {
    id: 'C7',
    title: 'name look-up, TCP and TLS that never end are ended by the connect timeout',
    needs: ['connect timeout', 'backoff event'],
    run: async (lab) => {
      const connectTimeout = 600;
      const deaf = await startDeaf();
      const mute = await Loopback.start();
      const never: Record<string, ClientOptions> = { 'a dropped SYN': deaf.target };
      if (lab.has('lookup')) never['a look-up'] = { port: 9, host: 'never.test', socket: { lookup: () => {} } };
      if (lab.has('tls')) never['a TLS handshake'] = { ...mute.target, tls: true };
      if (lab.has('own')) {
        const { target } = await Loopback.start();
        never['a handshake'] = { ...target, handshake: () => new Promise(() => {}) };
        never['a target'] = { target: () => new Promise(() => {}) };
      }

      const ends = async ([what, options]: [string, ClientOptions]) => {
        const from = performance.now();
        const subject = lab.create({ ...options, connectTimeout });
        await subject.waitFor('backoff');
        const took = subject.heard[0]!.at - from;
        assert(took > connectTimeout - 20, `${what} ended after ${took} ms, before the time`);
        assert(took < connectTimeout + TOLERANCE, `${what} ended after ${took} ms, too late`);
        assert.equal(subject.count('open'), 0);
        if (lab.has('own')) assert.equal(waits(subject)[0]?.error?.code, 'ERR_CONNECT_TIMEOUT', what);
      };
      await Promise.all(Object.entries(never).map(ends));
    },
  },
  {
    id: 'C8',
    title: 'the connect timeout ends with its attempt: it never ends a session, nor the attempt after it',
    needs: ['connect timeout'],
    limit: 60_000,
    run: async (lab) => {
      await Promise.all([keepsSessions(lab), ...(lab.has('lookup') ? [sparesTheNextAttempt(lab)] : [])]);
    },
  },
  {
    id: 'C9',
    title: 'what has really come is told when the loop was blocked beyond the connect timeout',
    // Clients that shake hands need the blocked loop for more than the first answer.
    needs: ['connect timeout', 'bytes'],
    run: async (lab) => {
      const server = await serveElsewhere('');
      const refusing = await Loopback.start();
      refusing.refuse();
      for (let round = 0; round < 5; round++) {
        const subject = lab.create({ ...server.target, host: '127.0.0.1', connectTimeout: 100 });
        blockAfterTicks(250);
        await subject.until('an answer', () => subject.heard.length > 0);
        assert.deepEqual(subject.names(), ['open'], `in round ${round}`);
        await subject.client.disconnect();

        if (!lab.has('backoff event')) continue;
        const refused = lab.create({ ...refusing.target, connectTimeout: 100 });
        blockAfterTicks(250);
        await refused.waitFor('backoff');
        const { error } = waits(refused)[0]!;
        if (lab.has('own') || error !== undefined) assert.equal(error?.code, 'ECONNREFUSED', `in round ${round}`);
        await refused.client.disconnect();
      }
    },
  },
  {
    id: 'C10',
    title: 'an attempt that failed at once does not time out as well',
    needs: ['connect timeout', 'backoff event', 'backoff options'],
    run: async (lab) => {
      const server = await Loopback.start();
      server.refuse();
      const connectTimeout = 2_000;
      const backoff = { initialDelay: 10_000, maxDelay: 10_000, jitter: 'none' } as const;
      const from = performance.now();
      const subject = lab.create({ ...server.target, connectTimeout, backoff });
      await subject.waitFor('backoff');
      const took = subject.heard[0]!.at - from;
      assert(took < connectTimeout - 50, `the failure was told after ${took} ms only`);
      await quiet(connectTimeout + 500);

      assert.deepEqual(subject.names(), ['backoff']);
    },
  },
];

/** Sessions outlast the timeout, the first and the one that replaces it. */
async function keepsSessions(lab: Lab): Promise<void> {
  const server = await lab.serve();
  const connectTimeout = 500;
  const subject = lab.create({ ...server.target, connectTimeout });
  await subject.waitFor('open');
  await quiet(2 * connectTimeout);
  assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
  server.drop();
  await subject.waitFor('open', 2);
  await quiet(2 * connectTimeout);

  assert.deepEqual(subject.names('open', 'reset', 'close'), ['open', 'reset', 'open']);
  assert.equal(server.accepted, 2);
}

/** Two attempts, each well within the timeout, that take longer together. */
async function sparesTheNextAttempt(lab: Lab): Promise<void> {
  const server = await lab.serve();
  let lookups = 0;
  const subject: Subject = lab.create({
    port: server.port,
    host: 'slow.test',
    connectTimeout: 2_000,
    socket: {
      lookup: (_name, options, callback) => {
        lookups += 1;
        if (lookups === 1) setTimeout(refuseTo, 1_300, callback);
        else setTimeout(answer, 1_300, callback, options, ['127.0.0.1']);
      },
    },
  });
  await subject.waitFor('open', 1, 2 * PATIENCE);
  await quiet(1_000);

  assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
  assert.equal(lookups, 2);
}

/** Blocks the loop when all is done that is due at once, and before the system is asked for news. */
function blockAfterTicks(milliseconds: number, turns = 20): void {
  if (turns === 0) block(milliseconds);
  else queueMicrotask(() => process.nextTick(blockAfterTicks, milliseconds, turns - 1));
}
