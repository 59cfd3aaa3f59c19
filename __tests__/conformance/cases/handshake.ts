import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';

import type { BackoffInfo, HandshakeContext, OpenInfo } from 'reconnecting-connection';

import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import { endsForGood, held, longestWait } from '../farewell';
import { type Case, type Lab, quiet, within } from '../lab';

/** What a handshake was called with, and how to end it. */
interface Call extends HandshakeContext {
  readonly socket: Duplex;
  readonly done: () => void;
  readonly fail: (error: Error) => void;
}

/** A handshake that waits until it is told how it came out. */
function openEnded(): { calls: Call[]; handshake: (socket: Duplex, context: HandshakeContext) => Promise<void> } {
  const calls: Call[] = [];
  const handshake = (socket: Duplex, context: HandshakeContext) =>
    new Promise<void>((done, fail) => void calls.push({ socket, ...context, done, fail }));
  return { calls, handshake };
}

/** Section C: what is said before a session is open. */
export const handshake: readonly Case[] = [
  {
    id: 'C41',
    title: 'the handshake runs before every open and is awaited; one that throws or rejects is a failed attempt',
    needs: ['own'],
    run: async (lab) => {
      const server = await lab.serve({
        onSession: (socket) => socket.once('data', () => setTimeout(() => socket.write('welcome'), 30)),
      });
      const steps: string[] = [];
      let calls = 0;
      const subject = lab.create({
        ...server.target,
        // `async` would turn the throw into a rejection: both are to be tried.
        handshake: (socket, { generation }) => {
          calls += 1;
          if (calls === 2) throw new Error('thrown');
          if (calls === 3) return Promise.reject(new Error('rejected'));
          steps.push(`hello ${generation}`);
          socket.write('hello');
          return once(socket, 'data').then(([answer]) => void steps.push(String(answer)));
        },
      });
      subject.client.on('open', () => steps.push('open'));
      await subject.waitFor('open');
      server.drop();
      await subject.waitFor('open', 2);
      server.reset();
      await subject.waitFor('open', 3);

      assert.deepEqual(
        steps,
        [1, 2, 3].flatMap((generation) => [`hello ${generation}`, 'welcome', 'open']),
      );
      // A loss and two failures, then a loss.
      const failed = subject.heard.filter(({ event }) => event === 'backoff');
      const waits = failed.map(({ value }) => value as BackoffInfo);
      assert.deepEqual(
        waits.map(({ reason }) => reason),
        ['peer-end', 'handshake-failed', 'handshake-failed', 'error'],
      );
      assert(waits[1]!.delay < waits[2]!.delay, 'the waits grow');
      for (const [index, message] of [
        [1, 'thrown'],
        [2, 'rejected'],
      ] as const) {
        assert.equal(waits[index]!.error?.code, 'ERR_HANDSHAKE_FAILED');
        assert.equal((waits[index]!.error.cause as Error).message, message);
      }
      assert.equal(calls, 5);
      assert.equal(server.accepted, 5);
      assert.equal(subject.received.length, 0, 'what the handshake read is not heard again');
      await within(
        server.until(() => server.live === 1),
        'the sockets of failed attempts are closed',
      );
    },
  },
  {
    id: 'C42',
    title: 'a socket that dies before the session is ready is followed by another, on which all is said anew',
    limit: 60_000,
    run: async (lab) => {
      // The first two say nothing at all and die, the others are served.
      const server = await Loopback.start({
        onSession: (socket, number) => {
          if (number > 2) lab.adapter.serve?.(socket);
          else if (number === 1) setTimeout(() => socket.resetAndDestroy(), 50);
          else setTimeout(() => socket.end(), 50);
        },
      });
      const subject = lab.create(server.target);
      await within(server.session(3), 'a third connection', 30_000);
      await subject.until('a session that lasts', () => subject.count('open') > subject.count('reset'));
      await quiet(longestWait(lab));

      assert.equal(server.accepted, 3);
      assert.equal(server.live, 1);
      assert.equal(subject.count('close'), 0);
      if (lab.has('own')) await diesInHandshake(lab);
    },
  },
  {
    id: 'C43',
    title: 'after a disconnect() while the session is made ready nothing more is heard and nothing is dialled',
    limit: 60_000,
    run: async (lab) => {
      // It listens, and says nothing.
      const server = await Loopback.start();
      const before = await held(lab);
      const subject = lab.create(server.target);
      await within(server.session(1), 'the server accepts');
      await quiet(50);
      await endsForGood(lab, { subject, server, before, connections: 1 });

      if (!lab.has('own')) return;
      await endsInHandshake(lab, ({ done }) => done());
      await endsInHandshake(lab, ({ fail }) => fail(new Error('too late')));
    },
  },
  {
    id: 'C44',
    title: 'a server that drops one connection after another before they are ready is reached when it stops',
    limit: 60_000,
    run: async (lab) => {
      const drops = lab.has('backoff options') ? 8 : 3;
      const server = await Loopback.start({
        onSession: (socket, number) => {
          if (number > drops) lab.adapter.serve?.(socket);
          else if (number % 2 === 0) socket.end();
          else socket.resetAndDestroy();
        },
      });
      const subject = lab.create(server.target);
      await within(server.session(drops + 1), 'the connection that is served', 30_000);
      await subject.until('a session that lasts', () => subject.count('open') > subject.count('reset'));
      await quiet(longestWait(lab));

      assert.equal(server.accepted, drops + 1);
      assert.equal(server.live, 1);
      assert.equal(subject.count('open'), subject.count('reset') + 1);
      assert.equal(subject.count('close'), 0);
      if (lab.has('own')) await dropsInHandshake(lab, drops);
    },
  },
];

/** The handshake runs again on a new socket, and what becomes of the old one does not matter. */
async function diesInHandshake(lab: Lab): Promise<void> {
  const server = await Loopback.start();
  const { calls, handshake } = openEnded();
  const subject = lab.create({ ...server.target, handshake });
  for (const [index, die] of (['resetAndDestroy', 'end'] as const).entries()) {
    await until(() => calls.length === index + 1);
    const socket = await within(server.session(index + 1), 'the server accepts');
    socket[die]();
    await subject.waitFor('backoff', index + 1);
    assert.equal(calls[index]!.signal.aborted, true);
    assert(calls[index]!.socket.destroyed);
  }
  await until(() => calls.length === 3);
  calls[0]!.done();
  calls[1]!.fail(new Error('too late'));
  await quiet(50);
  assert.deepEqual(subject.names('open', 'reset', 'close'), []);
  calls[2]!.done();
  await subject.waitFor('open');

  const reasons = subject.heard.filter(({ event }) => event === 'backoff');
  assert.deepEqual(
    reasons.map(({ value }) => (value as BackoffInfo).reason),
    ['handshake-failed', 'handshake-failed'],
  );
  assert.deepEqual(
    calls.map(({ generation }) => generation),
    [1, 1, 1],
  );
  assert.equal(new Set(calls.map(({ socket }) => socket)).size, 3, 'a socket of its own for each');
  assert.equal((subject.heard.at(-1)!.value as OpenInfo).attempts, 3);
  await subject.client.disconnect();
}

/** A handshake that comes out, one way or another, when it no longer matters. */
async function endsInHandshake(lab: Lab, comeOut: (call: Call) => void): Promise<void> {
  const server = await Loopback.start();
  const before = await held(lab);
  const { calls, handshake } = openEnded();
  const subject = lab.create({ ...server.target, handshake });
  await until(() => calls.length === 1);
  await endsForGood(lab, {
    subject,
    server,
    before,
    connections: 1,
    revive: () => {
      assert.equal(calls[0]!.signal.aborted, true);
      comeOut(calls[0]!);
    },
  });
  assert.deepEqual(subject.names(), ['close']);
}

/** No session is announced before there is one. */
async function dropsInHandshake(lab: Lab, drops: number): Promise<void> {
  const server = await Loopback.start({
    onSession: (socket, number) => {
      socket.once('data', () => {
        if (number > drops) socket.write('welcome');
        else if (number % 2 === 0) socket.end();
        else socket.resetAndDestroy();
      });
    },
  });
  const subject = lab.create({
    ...server.target,
    handshake: async (socket) => {
      socket.write('hello');
      await once(socket, 'data');
    },
  });
  await subject.waitFor('open');
  assert.deepEqual(subject.names(), [...Array.from({ length: drops }, () => 'backoff'), 'open']);
  assert.equal(server.accepted, drops + 1);
  await subject.client.disconnect();
}
