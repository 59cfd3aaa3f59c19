import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';

import type { CloseInfo, OpenInfo, ResetInfo } from 'reconnecting-connection';

import { next } from '../../kit/connections';
import { until } from '../../kit/until';
import { endsForGood, held, longestWait, returnsTo, settlesAtOnce } from '../farewell';
import { type Case, type Lab, quiet, within } from '../lab';

/** Section D: `disconnect()` when the end has begun or is over, and what may follow it. */
export const closing: readonly Case[] = [
  {
    id: 'C58',
    title: 'disconnect() while closing: both promises resolve together',
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ allowHalfOpen: true });
      const before = await held(lab);
      const subject = lab.create(server.target);
      const { client } = subject;
      await subject.waitFor('open');
      const socket = await within(server.session(1), 'the server accepts');
      const end = async () => {
        const first = client.disconnect();
        await quiet(100);
        const second = client.disconnect();
        let secondEnded = false;
        void second.then(() => (secondEnded = true));
        if (lab.has('own')) {
          assert.equal(client.state, 'closing');
          assert(!(await settlesAtOnce(Promise.race([first, second]))), 'the server has not ended its side yet');
        }
        socket.end();
        await first;
        if (lab.has('own')) {
          await turn();
          assert(secondEnded, 'the first was settled before the second');
        }
        await second;
        socket.destroy();
      };
      await endsForGood(lab, { subject, server, before, connections: 1, end });
      if (lab.has('own')) assert.equal(client.disconnect(), client.disconnect());
    },
  },
  {
    id: 'C59',
    title: 'disconnect() of what is closed resolves at once',
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const before = await held(lab);
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      await within(server.session(1), 'the server accepts');
      await within(subject.client.disconnect(), 'the first disconnect() resolves');
      await subject.waitFor('close');
      const end = async () => assert(await settlesAtOnce(subject.client.disconnect()));
      await endsForGood(lab, { subject, server, before, connections: 1, end });

      if (!lab.has('own')) return;
      server.refuse();
      const given = lab.own({ ...server.target, maxRetries: 0 });
      const [info] = await next(given, 'close');
      assert.equal(info.reason, 'max-retries');
      const again = given.disconnect();
      assert(await settlesAtOnce(again), 'also when it has given up by itself');
      assert.equal((await again).reason, 'max-retries');
    },
  },
  {
    id: 'C60',
    title: 'a restart while closing waits for the old close, and then makes one new connection',
    needs: ['restart'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ allowHalfOpen: true });
      const subject = lab.create(server.target);
      const { client } = subject;
      await subject.waitFor('open');
      const first = await within(server.session(1), 'the server accepts');
      let ended = first.readableEnded || first.destroyed;
      for (const event of ['end', 'close']) first.once(event, () => (ended = true));
      const endedBefore: boolean[] = [];
      const accepted = server.session(2).then(() => endedBefore.push(ended));

      const end = client.disconnect();
      client.connect?.();
      client.connect?.();
      await quiet(200);
      if (lab.has('own')) {
        assert.equal(client.state, 'closing');
        assert.equal(server.accepted, 1, 'the old connection is not closed yet');
      }
      first.end();
      await within(end, 'disconnect() resolves');
      await subject.waitFor('open', 2);
      await within(accepted, 'the server accepts a new connection');
      await quiet(longestWait(lab));

      assert.deepEqual(endedBefore, [true], 'the old one had ended when the new one came');
      assert.equal(server.accepted, 2);
      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open', 'reset', 'close', 'open']);
      for (const socket of server.sockets) socket.end();
    },
  },
  {
    id: 'C61',
    title: 'a restart after the close makes a new connection at once, with counters afresh',
    needs: ['restart'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const before = await held(lab);
      const subject = lab.create(server.target);
      const { client } = subject;
      for (const lifecycle of [1, 2, 3]) {
        await subject.waitFor('open', lifecycle);
        await within(server.session(lifecycle), 'the server accepts');
        await within(client.disconnect(), 'disconnect() resolves');
        await subject.waitFor('close', lifecycle);
        if (lifecycle < 3) client.connect?.();
      }
      await returnsTo(lab, before);
      await quiet(longestWait(lab));
      const once = ['open', 'reset', 'close'];
      assert.deepEqual(subject.names('open', 'reset', 'close', 'backoff'), [...once, ...once, ...once]);
      assert.equal(server.accepted, 3);

      if (!lab.has('own')) return;
      // A restart does not go on where an outage was left off.
      server.refuse();
      client.connect?.();
      await subject.waitFor('backoff', 3);
      await client.disconnect();
      await server.accept();
      client.connect?.();
      await subject.waitFor('open', 4);
      const info = subject.heard.at(-1)!.value as OpenInfo;
      assert.deepEqual([info.attempts, info.reopened, info.downtime], [1, false, 0]);
      server.drop();
      await subject.waitFor('backoff', 4);
      assert.equal((subject.heard.at(-1)!.value as { attempt: number }).attempt, 1);
    },
  },
  {
    id: 'C63',
    title: 'nothing is called back after close, whatever was under way',
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({
        onSession: (socket) => {
          if (!lab.has('bytes')) return;
          const more = () => {
            while (socket.writable && socket.write(Buffer.alloc(16_384)));
          };
          socket.on('drain', more);
          more();
        },
      });
      const before = await held(lab);
      const subject = lab.create(server.target);
      if (lab.has('bytes')) await subject.waitFor('data', 20);
      else await subject.waitFor('open');
      await within(server.session(1), 'the server accepts');
      await endsForGood(lab, { subject, server, before, connections: 1 });

      if (!lab.has('own')) return;
      for (const how of ['disconnect', 'destroy', 'abort'] as const) await endsWithWrites(lab, how);
    },
  },
];

/** Writes under way are settled before `close`, and the end is one `reset` and one `close`. */
async function endsWithWrites(lab: Lab, how: 'disconnect' | 'destroy' | 'abort'): Promise<void> {
  const server = await lab.serve({ allowHalfOpen: true });
  // What is written stays in the socket.
  server.mute();
  const controller = new AbortController();
  const connection = lab.own({
    ...server.target,
    signal: controller.signal,
    closeTimeout: 100,
    queue: { maxBytes: 2 ** 24 },
  });
  const calls: string[] = [];
  const ends: [ResetInfo, CloseInfo?][] = [];
  connection.on('reset', (info) => void ends.push([info]));
  connection.on('close', (info) => {
    ends.at(-1)!.push(info);
    calls.push('close');
  });
  await connection.whenOpen();
  for (let write = 0; write < 3; write += 1) {
    // How much of it the kernel has room for is its own affair.
    connection.write(Buffer.alloc(4_000_000), (error: NodeJS.ErrnoException | null | undefined) => {
      calls.push(error?.code ?? 'confirmed');
    });
  }
  if (how === 'abort') controller.abort();
  else void connection[how]();
  await until(() => calls.includes('close'));
  await quiet(longestWait(lab));

  const reason = ({ disconnect: 'disconnected', destroy: 'destroyed', abort: 'aborted' } as const)[how];
  assert.equal(calls.length, 4);
  assert.equal(calls.at(-1), 'close', `${how}: ${calls.join(', ')}`);
  assert.deepEqual(
    ends.map(([lost, closed]) => [lost.reason, lost.willRetry, closed?.reason]),
    [[reason, false, reason]],
  );
  server.latest.destroy();
}
