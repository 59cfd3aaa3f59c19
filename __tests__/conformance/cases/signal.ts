import { strict as assert } from 'node:assert';
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';

import { ConnectionError, type CloseInfo, type CommonOptions } from 'reconnecting-connection';

import { track } from '../../kit/clean-up';
import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import { endsForGood, held } from '../farewell';
import { CYCLES, type Case, type Subject, quiet, within } from '../lab';

/** A wait that is under way when it is cut short, and long over when the watch ends. */
const WAIT = { backoff: { initialDelay: 300, maxDelay: 300, jitter: 'none' } } as const;

const WHY = new Error('no longer wanted');

/** Section D: the end by an AbortSignal. */
export const signal: readonly Case[] = [
  {
    id: 'C64',
    title: 'a signal that is aborted already dials nothing',
    needs: ['own'],
    run: async (lab) => {
      const server = await lab.serve();
      const before = await held(lab);
      const aborted = AbortSignal.abort(WHY);
      for (const options of [{}, { autoConnect: false }, { tls: true }]) {
        const subject = lab.create({ ...server.target, ...options, signal: aborted });
        const end = () => subject.waitFor('close');
        await endsForGood(lab, { subject, server, before, connections: 0, end });
        assert.deepEqual(subject.names(), ['close']);
        checkAborted(subject);
      }
      const connection = lab.own({ ...server.target, signal: aborted });
      await assert.rejects(connection.whenOpen(), { code: 'ERR_ABORTED' });
      assert.equal((await connection.disconnect()).reason, 'aborted');
      assert.throws(() => connection.connect(), { code: 'ERR_ABORTED' });
      await quiet(100);
      assert.equal(server.accepted, 0);
      assert.equal(getEventListeners(aborted, 'abort').length, 0);
    },
  },
  {
    id: 'C65',
    title: 'an abort is the end while it connects for the first time, while open, and while it reconnects',
    needs: ['own'],
    limit: 60_000,
    run: async (lab) => {
      for (const { when, options = {}, sessions, reach } of moments) {
        const server = await Loopback.start({ allowHalfOpen: when === 'closing' });
        const before = await held(lab);
        if (sessions === 0 && when !== 'connecting') server.refuse();
        const controller = new AbortController();
        const subject = lab.create({ ...server.target, ...WAIT, ...options, signal: controller.signal });
        await within(reach(subject, server), `it is ${when} with ${sessions} sessions behind it`);
        assert.equal(subject.client.state, when);
        const end = async () => {
          controller.abort(WHY);
          assert.equal(subject.client.state, 'closed', 'at once');
          for (const socket of server.sockets) socket.destroy();
          await subject.client.disconnect();
          await server.accept();
        };
        const { accepted } = server;
        await endsForGood(lab, { subject, server, before, connections: accepted, end });
        checkAborted(subject);
        assert.equal(getEventListeners(controller.signal, 'abort').length, 0, `listeners that stay when ${when}`);
      }
    },
  },
  {
    id: 'C66',
    title: 'one signal through ten thousand reconnects has one listener at the most',
    needs: ['own', 'unix'],
    limit: 60_000,
    run: async (lab) => {
      const directory = mkdtempSync(join(tmpdir(), 'signal-'));
      track({ destroy: () => rmSync(directory, { recursive: true, force: true }) });
      const server = await Loopback.start({ path: join(directory, 'one') });
      const other = await Loopback.start({ path: join(directory, 'other') });
      const controller = new AbortController();
      const listeners = countListeners(controller.signal);
      const options: CommonOptions = { backoff: () => 10, signal: controller.signal };
      const connection = lab.own({ ...server.target, ...options });
      const wanted = Math.min(10_000, CYCLES);
      let resets = 0;
      connection.on('reset', () => (resets += 1));
      connection.on('open', ({ generation }) => {
        if (generation > wanted) return;
        // Most are asked for, which takes no wait; some are losses.
        if (generation % 50 === 0) void server.session(generation).then((socket) => socket.destroy());
        else {
          connection.markHealthy();
          connection.reconnect();
        }
      });
      const others = Array.from({ length: 50 }, () => lab.own({ ...other.target, ...options }));
      await until(() => connection.generation > wanted && connection.state === 'open', { deadline: 50_000 });
      await Promise.all(others.map((each) => each.whenOpen()));

      assert.equal(resets, wanted);
      assert.equal(listeners.most, 1);
      assert.equal(getEventListeners(controller.signal, 'abort').length, 1);
      // Who has ended otherwise listens no more, until it starts again.
      const all = [connection, ...others];
      await Promise.all(all.map((each) => each.disconnect()));
      assert.equal(listeners.now, 0);
      for (const each of all) each.connect();
      assert.equal(listeners.now, 1);
      controller.abort(WHY);
      await turn();
      for (const each of all) assert.equal(each.state, 'closed');
      assert.equal(listeners.now, 0);
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    },
  },
];

/** A state, and how it is reached. */
interface Moment {
  readonly when: 'connecting' | 'open' | 'backoff' | 'closing';
  readonly sessions: number;
  readonly options?: CommonOptions;
  readonly reach: (subject: Subject, server: Loopback) => Promise<void>;
}

/** For sessions that are not the first: it is the handshake that holds the second up. */
const mute: CommonOptions = {
  handshake: (_socket, { generation }) => (generation === 1 ? Promise.resolve() : new Promise(() => {})),
};

const moments: readonly Moment[] = [
  {
    when: 'connecting',
    sessions: 0,
    options: { tls: { rejectUnauthorized: false } },
    reach: (_subject, server) => server.until(() => server.receivedBytes > 0),
  },
  { when: 'backoff', sessions: 0, reach: (subject) => subject.waitFor('backoff') },
  {
    when: 'open',
    sessions: 1,
    reach: async (subject, server) => {
      await subject.waitFor('open');
      await server.session(1);
    },
  },
  {
    when: 'backoff',
    sessions: 1,
    reach: async (subject, server) => {
      await subject.waitFor('open');
      await server.session(1);
      server.reset();
      await subject.waitFor('backoff');
    },
  },
  {
    when: 'connecting',
    sessions: 1,
    options: mute,
    reach: async (subject, server) => {
      await subject.waitFor('open');
      await server.session(1);
      server.drop();
      await server.session(2);
    },
  },
  {
    when: 'closing',
    sessions: 1,
    reach: async (subject, server) => {
      await subject.waitFor('open');
      await server.session(1);
      void subject.client.disconnect();
    },
  },
];

/** The end has its reason, and the signal's own behind it. */
function checkAborted(subject: Subject): void {
  // `as`: that is what `close` comes with, in this library.
  const { reason, error } = subject.heard.at(-1)!.value as CloseInfo;
  assert.equal(reason, 'aborted');
  assert(error instanceof ConnectionError);
  assert.deepEqual([error.code, error.cause], ['ERR_ABORTED', WHY]);
}

/** Counts who listens to `signal`, without asking Node. */
function countListeners(signal: AbortSignal): { now: number; most: number } {
  const count = { now: 0, most: 0 };
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    count.now += 1;
    count.most = Math.max(count.most, count.now);
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    count.now -= 1;
    remove(...args);
  };
  return count;
}
