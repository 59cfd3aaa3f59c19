import { strict as assert } from 'node:assert';
import type { LookupFunction } from 'node:net';

import { type Case, type Lab, PATIENCE } from '../lab';
import { failsAgain, waits } from './attempts';
import { answer, refuseTo, resolving } from './lookups';

/** Look-ups that fail, each in its own way. */
const faults: Record<string, LookupFunction> = {
  'that fails for now': (_name, _options, callback) => refuseTo(callback, 'EAI_AGAIN'),
  'that knows no such name': (_name, _options, callback) => void setImmediate(refuseTo, callback, 'ENOTFOUND'),
  'that throws': () => {
    throw new Error('the resolver is broken');
  },
  'that rejects': (): unknown => Promise.reject(new Error('the resolver is broken')),
  'that fails twice': (_name, _options, callback) => {
    refuseTo(callback, 'ENOTFOUND');
    refuseTo(callback, 'EAI_AGAIN');
  },
  'that brings no address': (_name, options, callback) => answer(callback, options, ['999.1.2.3']),
  'that brings nothing': (_name, options, callback) => {
    // `as`: nothing is no address, and comes all the same.
    if (options.all === true) callback(null, []);
    else callback(null, undefined as unknown as string, 4);
  },
  'that never answers': () => {},
};

/** Section A: names and addresses. */
export const addresses: readonly Case[] = [
  {
    id: 'C11',
    title: 'an address that refuses gives way to the next, and all refusing is one failure that can be read',
    needs: ['lookup'],
    run: async (lab) => {
      const server = await lab.serve({ host: '::1' });
      const lookup = resolving(() => ['127.0.0.1', '::1']);
      const options = { port: server.port, host: 'two.test', socket: { lookup } };
      const subject = lab.create(options);
      await subject.waitFor('open');
      assert.deepEqual(subject.names(), ['open']);
      const socket = await server.session(1);
      assert.equal(socket.localAddress, '::1');

      if (!lab.has('backoff event')) return;
      await subject.client.disconnect();
      server.refuse();
      let rounds = 0;
      const both = resolving(() => {
        rounds += 1;
        return ['127.0.0.1', '::1'];
      });
      const refused = lab.create({ ...options, socket: { lookup: both } });
      await refused.waitFor('backoff');
      assert.deepEqual([refused.names(), rounds], [['backoff'], 1]);
      const { error } = waits(refused)[0]!;
      if (lab.has('own') || error !== undefined) assert.match(error?.message ?? '', /127\.0\.0\.1.*::1/s);
      if (lab.has('own')) assert.equal(error?.code, 'ECONNREFUSED');
    },
  },
  {
    id: 'C12',
    title: 'localhost that is first ::1, where nobody listens, is opened all the same',
    needs: ['lookup'],
    run: async (lab) => {
      const server = await lab.serve();
      const lookup = resolving(() => ['::1', '127.0.0.1']);
      const subject = lab.create({ port: server.port, host: 'localhost', socket: { lookup } });
      await subject.waitFor('open');

      assert.deepEqual(subject.names('open', 'backoff', 'reset', 'close'), ['open']);
      assert.equal(server.accepted, 1);
    },
  },
  {
    id: 'C13',
    title: 'a name is looked up again for every attempt, and where it moved to is dialled',
    needs: ['lookup'],
    limit: 60_000,
    run: async (lab) => {
      const second = await lab.serve({ host: '127.0.0.2' });
      const first = await lab.serve({ port: second.port });
      let address = '127.0.0.3';
      let lookups = 0;
      const lookup = resolving(() => {
        lookups += 1;
        return [address];
      });
      const subject = lab.create({ port: first.port, host: 'moving.test', socket: { lookup } });
      await failsAgain(lab, subject);
      assert(lookups >= 2, `${lookups} look-ups for the first attempts`);
      assert.equal(subject.count('open'), 0);
      address = '127.0.0.1';
      await subject.waitFor('open', 1, 2 * PATIENCE);
      assert.deepEqual([first.accepted, second.accepted], [1, 0]);
      const before = lookups;
      address = '127.0.0.2';
      first.drop();
      await subject.waitFor('open', 2, 2 * PATIENCE);

      assert.deepEqual([first.accepted, second.accepted], [1, 1]);
      assert.equal(lookups, before + 1);
    },
  },
  {
    id: 'C14',
    title: 'a look-up that fails, in whatever way, is one failed attempt, and the next ones follow',
    needs: ['lookup'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const good = resolving(() => ['127.0.0.1']);
      const recovers = async ([what, fault]: [string, LookupFunction]) => {
        let lookups = 0;
        const lookup: LookupFunction = (...args) => {
          lookups += 1;
          return lookups <= 2 ? fault(...args) : good(...args);
        };
        const how = { host: 'odd.test', port: server.port, connectTimeout: 1_000, socket: { lookup } };
        const subject = lab.create(how);
        await subject.until(`open after a look-up ${what}`, () => subject.count('open') === 1, 40_000);
        assert.deepEqual(subject.names('open', 'reset', 'close'), ['open'], what);
        assert.equal(lookups, 3, `look-ups of one ${what}`);
        if (lab.has('backoff event')) assert.equal(subject.count('backoff'), 2, `waits of one ${what}`);
      };
      const asked = Object.entries(faults).filter(
        ([what]) => what !== 'that never answers' || lab.has('connect timeout'),
      );
      await Promise.all([...asked.map(recovers), answersTwice(lab, server.port)]);
    },
  },
];

/** One that gives an address twice is a good one: the second answer makes neither an attempt nor a crash. */
async function answersTwice(lab: Lab, port: number): Promise<void> {
  const twice: LookupFunction = (_name, options, callback) => {
    answer(callback, options, ['127.0.0.1']);
    answer(callback, options, ['127.0.0.1']);
    setTimeout(answer, 50, callback, options, ['127.0.0.1']);
  };
  const subject = lab.create({ port, host: 'twice.test', socket: { lookup: twice } });
  await subject.waitFor('open');
  assert.equal(subject.count('reset'), 0);
}
