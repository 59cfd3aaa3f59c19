import { strict as assert } from 'node:assert';

import type { BackoffInfo, OpenInfo, ResetInfo } from 'reconnecting-connection';

import { FaultProxy } from '../../kit/fault-proxy';
import { killSockets } from '../../kit/kernel';
import type { Loopback } from '../../kit/server';
import { longestWait } from '../farewell';
import { type Case, type Subject, quiet, within } from '../lab';

/** What was heard with that event. */
function payloads<T>(subject: Subject, event: 'open' | 'reset' | 'backoff'): T[] {
  // `as`: the caller names what its own library sends with that event.
  return subject.heard.filter((each) => each.event === event).map(({ value }) => value as T);
}

/** Section C: what a lost session leads to. */
export const reset: readonly Case[] = [
  {
    id: 'C39',
    title: 'a restart of the server is one reset and one open',
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      await within(server.session(1), 'the server accepts');
      server.refuse();
      server.drop();
      await subject.waitFor('reset');
      await quiet(50);
      await server.accept();
      await subject.waitFor('open', 2);
      await quiet(longestWait(lab));

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open', 'reset', 'open']);
      assert.equal(server.accepted, 2);
      assert.equal(server.live, 1);
      if (!lab.has('own')) return;
      const [first, second] = payloads<OpenInfo>(subject, 'open');
      const [lost] = payloads<ResetInfo>(subject, 'reset');
      const refused = subject.count('backoff') - 1;
      assert(refused >= 1, 'the restart took so long that a dial was refused');
      assert.deepEqual([first!.generation, first!.reopened, first!.attempts], [1, false, 1]);
      assert.deepEqual([second!.generation, second!.reopened, second!.attempts], [2, true, refused + 1]);
      assert(second!.downtime >= 50 && first!.downtime === 0, `downtime: ${first!.downtime}, ${second!.downtime}`);
      assert.deepEqual([lost!.generation, lost!.reason, lost!.willRetry], [1, 'peer-end', true]);
    },
  },
  {
    id: 'C40',
    title: 'a lost session is one reset, by FIN, RST, a killed server or a killed socket',
    limit: 60_000,
    inNamespace: true,
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      const losses: readonly (readonly [string, () => unknown])[] = [
        ['FIN', () => server.drop()],
        ['RST', () => server.reset()],
        ['a socket of the server killed', () => killSockets(server.port, 'server')],
        ['a socket of the client killed', () => killSockets(server.port, 'client')],
        [
          'FIN behind bytes',
          () => {
            server.send('last words');
            server.drop();
          },
        ],
        [
          'RST while the client writes',
          () => {
            if (lab.has('bytes')) subject.client.write('x');
            server.reset();
          },
        ],
      ];
      for (const [index, [what, lose]] of losses.entries()) {
        await subject.waitFor('open', index + 1);
        await within(server.session(index + 1), 'the server accepts');
        lose();
        await subject.until(what, () => subject.count('reset') > index);
      }
      await subject.waitFor('open', losses.length + 1);
      await losesOnce(subject, losses.length, longestWait(lab));
      assert.equal(server.accepted, losses.length + 1);

      // What the client knows of the server is a process of its own.
      const front = await FaultProxy.start({ port: server.port, host: '127.0.0.1' });
      const witness = lab.create(front.target);
      await witness.waitFor('open');
      await front.until(({ accepted }) => accepted === 1);
      await front.signal('SIGKILL');
      await witness.waitFor('reset');
      await FaultProxy.start({ port: server.port, host: '127.0.0.1' }, { port: front.port, host: '127.0.0.1' });
      await witness.waitFor('open', 2);
      await losesOnce(witness, 1, longestWait(lab));

      if (!lab.has('own')) return;
      const lost = payloads<ResetInfo>(subject, 'reset').map(({ reason, error }) => [reason, error?.code]);
      assert.deepEqual(lost.slice(0, 4), [
        ['peer-end', undefined],
        ['error', 'ECONNRESET'],
        ['error', 'ECONNRESET'],
        ['error', 'ECONNABORTED'],
      ]);
      const waits = payloads<BackoffInfo>(subject, 'backoff');
      assert.deepEqual(
        waits.map(({ reason }) => reason),
        lost.map(([reason]) => reason),
      );
    },
  },
  {
    id: 'C47',
    title: 'reconnect() closes a healthy session and opens another, however often it is called',
    needs: ['reconnect'],
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      const { client } = subject;
      await subject.waitFor('open');
      await within(server.session(1), 'the server accepts');
      client.markHealthy?.();
      for (let call = 0; call < 5; call += 1) client.reconnect?.();
      await subject.waitFor('open', 2);
      await quiet(longestWait(lab));

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open', 'reset', 'open']);
      assert.equal(server.accepted, 2);
      await oneLeft(server);
      if (!lab.has('own')) return;
      assert.equal(payloads<ResetInfo>(subject, 'reset')[0]?.reason, 'forced');
      assert.equal(subject.count('backoff'), 0);

      // And again, now from within the events that it leads to, and while it dials already.
      let dials = 0;
      const eager = lab.create({
        ...server.target,
        handshake: () => {
          dials += 1;
        },
      });
      eager.client.on('reset', () => eager.client.reconnect?.());
      await eager.waitFor('open');
      eager.client.markHealthy?.();
      eager.client.reconnect?.();
      assert.equal(eager.client.state, 'connecting');
      await eager.waitFor('open', 2);
      await quiet(longestWait(lab));
      assert.deepEqual(eager.names(), ['open', 'reset', 'open']);
      assert.deepEqual([dials, server.accepted, server.live], [2, 4, 2]);
    },
  },
  {
    id: 'C48',
    title: 'listeners stay and hear each event once; addresses and counters are those of the session',
    limit: 60_000,
    run: async (lab) => {
      const clientPorts: (number | undefined)[] = [];
      const endedAt: number[] = [];
      const server = await lab.serve({ onSession: ({ remotePort }) => clientPorts.push(remotePort) });
      const subject = lab.create(server.target);
      const sessions = 4;
      for (let session = 1; session <= sessions; session += 1) {
        await subject.waitFor('open', session);
        const socket = await within(server.session(session), 'the server accepts');
        if (lab.has('bytes')) {
          socket.write(`<${session}>`);
          await subject.until(`the bytes of session ${session}`, () =>
            subject.received.toString().endsWith(`<${session}>`),
          );
        }
        if (session === sessions) continue;
        endedAt.push(performance.now());
        socket.destroy();
      }
      await quiet(longestWait(lab));

      const expected = Array.from({ length: sessions }, () => ['open', 'reset']).flat();
      assert.deepEqual(subject.names('open', 'reset', 'close'), expected.slice(0, -1));
      if (lab.has('bytes')) assert.equal(subject.received.toString(), '<1><2><3><4>');
      if (!lab.has('own')) return;
      const opens = payloads<OpenInfo>(subject, 'open');
      assert.deepEqual(
        opens.map(({ generation, attempts, reopened }) => [generation, attempts, reopened]),
        opens.map((_, index) => [index + 1, 1, index > 0]),
      );
      assert.deepEqual(
        opens.map(({ localPort, remotePort }) => [localPort, remotePort]),
        clientPorts.map((port) => [port, server.port]),
      );
      const uptimes = payloads<ResetInfo>(subject, 'reset').map(({ uptime }) => uptime);
      const at = (event: string) => subject.heard.filter((each) => each.event === event).map((each) => each.at);
      for (const [index, uptime] of uptimes.entries()) {
        // At least from `open` to the server's end of it, and at most from one `reset` to the next. In whole milliseconds.
        const least = endedAt[index]! - at('open')[index]! - 2;
        const most = at('reset')[index]! - (at('reset')[index - 1] ?? -Infinity) + 2;
        assert(uptime >= least && uptime <= most, `session ${index + 1}: ${uptime} ms, and not ${least} to ${most}`);
      }
    },
  },
  {
    id: 'C50',
    title: 'where no retries are allowed a lost session is the end',
    needs: ['max retries'],
    run: async (lab) => {
      const ways = [{ maxRetries: 0 }];
      const own = [{ shouldRetry: () => false }, { backoff: () => undefined }];
      const reasons = ['max-retries', 'not-retryable', 'backoff-ended'];
      for (const [index, way] of [...ways, ...(lab.has('own') ? own : [])].entries()) {
        const server = await lab.serve();
        const subject = lab.create({ ...server.target, ...way });
        await subject.waitFor('open');
        await within(server.session(1), 'the server accepts');
        server.drop();
        await subject.waitFor('close');
        await quiet(longestWait(lab));

        assert.deepEqual(subject.names('open', 'reset', 'close'), ['open', 'reset', 'close']);
        assert.equal(server.accepted, 1);
        if (!lab.has('own')) return;
        assert.equal(subject.count('backoff'), 0);
        assert.equal(payloads<ResetInfo>(subject, 'reset')[0]?.willRetry, false);
        assert.equal((subject.heard.at(-1)!.value as { reason: string }).reason, reasons[index]);
        assert.equal(subject.client.state, 'closed');
      }
    },
  },
];

/** All that was heard is so many losses, each one reset, and a session at the end. */
async function losesOnce(subject: Subject, losses: number, watch: number): Promise<void> {
  await quiet(watch);
  const expected = ['open', ...Array.from({ length: losses }, () => ['reset', 'open']).flat()];
  assert.deepEqual(subject.names('open', 'reset', 'close'), expected);
}

/** The sessions before the last are closed at both ends. */
async function oneLeft(server: Loopback): Promise<void> {
  await within(
    server.until(() => server.live === 1),
    'one connection is left',
  );
}
