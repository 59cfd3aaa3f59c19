import { strict as assert } from 'node:assert';

import type { ConnectionError } from 'reconnecting-connection';

import { type Case, PATIENCE, quiet, within } from '../lab';
import { failsAgain } from './attempts';

/** Section A: a connection is made. */
export const connect: readonly Case[] = [
  {
    id: 'C1',
    title: 'one open for each connection, and the state is open inside its listener',
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      const states: string[] = [];
      subject.client.on('open', () => states.push(subject.client.state));
      await subject.waitFor('open');
      await server.session(1);

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
      assert.deepEqual(states, ['open']);
      assert.equal(server.accepted, 1);
    },
  },
  {
    id: 'C2',
    title: 'a server that starts later is found',
    run: async (lab) => {
      const server = await lab.serve();
      server.refuse();
      const subject = lab.create(server.target);
      await failsAgain(lab, subject, 3);
      assert.equal(subject.count('open'), 0);
      await server.accept();
      await subject.waitFor('open');

      assert.deepEqual(subject.names('open', 'close'), ['open']);
    },
  },
  {
    id: 'C3',
    title: 'a first failure is final when that is asked for',
    needs: ['max retries'],
    run: async (lab) => {
      const server = await lab.serve();
      server.refuse();
      const subject = lab.create({ ...server.target, maxRetries: 0 });
      await subject.waitFor('close');
      assert.deepEqual(subject.names(), ['close']);

      if (!lab.has('own')) return;
      const connection = lab.own(server.target);
      await assert.rejects(connection.whenOpen({ attempts: 1 }), { code: 'ECONNREFUSED' });
      // Who waited is told; the connection itself was not asked to stop.
      await server.accept();
      const { attempts } = await within(connection.whenOpen(), 'open after the failure was told');
      assert(attempts > 1, `it took ${attempts} attempts`);
    },
  },
  {
    id: 'C4',
    title:
      'who waits for open is told of the failure after as many attempts as asked, and who asked for no number waits',
    needs: ['own'],
    run: async (lab) => {
      const server = await lab.serve();
      server.refuse();
      const connection = lab.own(server.target);
      let failures = 0;
      connection.on('backoff', () => (failures += 1));
      const seen = new Map<number, { failures: number; code: unknown }>();
      const waiters = [1, 2, 3].map((attempts) =>
        connection.whenOpen({ attempts }).catch((error: unknown) => {
          // `as`: the errors of Node have a code.
          seen.set(attempts, { failures, code: (error as NodeJS.ErrnoException).code });
        }),
      );
      let patient = 'waits';
      const unlimited = connection.whenOpen().then((info) => {
        patient = 'open';
        return info;
      });
      await within(Promise.all(waiters), 'three waiters are told');

      assert.deepEqual(
        [...seen],
        [1, 2, 3].map((attempts) => [attempts, { failures: attempts, code: 'ECONNREFUSED' }]),
      );
      assert.equal(patient, 'waits');
      await server.accept();
      const { generation } = await within(unlimited, 'open for the one without a limit');
      assert.equal(generation, 1);
      // Counted from the call on: what failed before is nobody's failure any more.
      await within(connection.whenOpen({ attempts: 1 }), 'open for one who comes later');
    },
  },
  {
    id: 'C5',
    title: 'all who wait for open get the same answer, and who asks while it is open gets it at once',
    needs: ['own'],
    run: async (lab) => {
      const server = await lab.serve();
      const connection = lab.own(server.target);
      const answers = await within(
        Promise.all(Array.from({ length: 5 }, () => connection.whenOpen())),
        'five waiters are told',
      );
      assert.equal(answers[0]?.generation, 1);
      for (const answer of answers) assert.deepEqual(answer, answers[0]);

      const order: string[] = [];
      const later = connection.whenOpen().then((info) => {
        order.push('answer');
        return info;
      });
      setImmediate(() => order.push('next turn of the loop'));
      assert.deepEqual(await later, answers[0]);
      assert.deepEqual(order, ['answer']);

      const lonely = lab.own({ ...server.target, autoConnect: false });
      const refusals = Promise.allSettled([lonely.whenOpen(), lonely.whenOpen()]);
      await lonely.disconnect();
      const [one, other] = await within(refusals, 'two are refused');
      assert(one.status === 'rejected' && other.status === 'rejected');
      // `as`: the errors of this library have a code.
      assert.equal((one.reason as ConnectionError).code, 'ERR_CLOSED');
      assert.equal(other.reason, one.reason);
    },
  },
  {
    id: 'C6',
    title: 'to start a second time makes no second connection',
    needs: ['restart'],
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      const again = () => {
        try {
          subject.client.connect?.();
        } catch {
          // A word of warning is as good as silence.
        }
      };
      again();
      again();
      await subject.waitFor('open');
      again();
      await server.session(1);
      again();
      // No event says that nothing comes: a second dial would be here long before.
      await quiet(500);

      assert.equal(server.accepted, 1);
      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
      server.drop();
      await subject.waitFor('open', 2, 2 * PATIENCE);
      await quiet(500);
      assert.equal(server.accepted, 2, 'one connection after the loss of one');
    },
  },
];
