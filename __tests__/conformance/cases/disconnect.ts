import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';

import type { DropInfo, SocketOptions } from 'reconnecting-connection';

import { payloads, written } from '../../kit/connections';
import { heal, partition } from '../../kit/kernel';
import { Loopback } from '../../kit/server';
import { until } from '../../kit/until';
import { endsForGood, held, settlesAtOnce } from '../farewell';
import { type Case, type Lab, quiet, within } from '../lab';

/** A wait that is under way when it is cut short, and long over when the watch ends. */
const WAIT = { backoff: { initialDelay: 300, maxDelay: 300, jitter: 'none' } } as const;

/** The first repetition of a SYN comes after one second, the second after three. */
const SYN_REPEATED = 3_500;

/** Section D: `disconnect()` in every state before it is called for the first time. */
export const disconnect: readonly Case[] = [
  {
    id: 'C51',
    title: 'disconnect() of what has not started',
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const before = await held(lab);
      const subject = lab.create(server.target);
      const end = subject.client.disconnect();
      await within(end, 'disconnect() in the tick of the creation resolves');
      // Who dials in the constructor may be seen: but then it must not come again.
      await quiet(100);
      const connections = lab.has('own') ? 0 : Math.min(server.accepted, 1);
      await endsForGood(lab, { subject, server, before, connections, end: () => end });

      if (!lab.has('own')) return;
      const idle = lab.create({ ...server.target, autoConnect: false });
      await turn();
      assert.equal(idle.client.state, 'idle');
      assert(await settlesAtOnce(idle.client.disconnect()));
      await endsForGood(lab, { subject: idle, server, before, connections: 0 });
      assert.deepEqual(idle.names(), ['close']);
    },
  },
  {
    id: 'C52',
    title: 'disconnect() while a name is resolved',
    needs: ['lookup'],
    run: async (lab) => {
      const server = await lab.serve();
      const { port } = server;
      const before = await held(lab);
      const answers: (() => void)[] = [];
      const lookup: SocketOptions['lookup'] = (_host, options, callback) => {
        answers.push(() => {
          if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }]);
          else callback(null, '127.0.0.1', 4);
        });
      };
      const subject = lab.create({ host: 'somewhere.test', port, socket: { lookup } });
      await until(() => answers.length > 0);
      const answer = () => answers.forEach((give) => give());
      await endsForGood(lab, { subject, server, before, connections: 0, revive: answer });
      assert.equal(answers.length, 1);

      if (!lab.has('own')) return;
      let found: (target: { port: number }) => void = () => {};
      const asked = lab.create({ target: () => new Promise((resolve) => (found = resolve)) });
      await turn();
      assert.equal(asked.client.state, 'connecting');
      await endsForGood(lab, { subject: asked, server, before, connections: 0, revive: () => found({ port }) });
      assert.deepEqual([...subject.names(), ...asked.names()], ['close', 'close']);
    },
  },
  {
    id: 'C53',
    title: 'disconnect() while a server does not answer the first packet',
    limit: 60_000,
    inNamespace: true,
    run: async (lab) => {
      const server = await lab.serve();
      const before = await held(lab);
      partition(server.port);
      const subject = lab.create(server.target);
      await dials(server);
      await endsForGood(lab, { subject, server, before, connections: 0, revive: heal, watch: SYN_REPEATED });

      if (!lab.has('own')) return;
      // With writes that wait, the dial may still finish: for as long as `closeTimeout`, and no longer.
      partition(server.port);
      const queued = lab.own({ ...server.target, closeTimeout: 100 });
      const drops = payloads(queued, 'drop', 1);
      const fate = written(queued, 'too late');
      await dials(server);
      await within(queued.disconnect(), 'disconnect() resolves', 2_000);
      const [drop] = (await drops) as [DropInfo];
      assert.deepEqual([drop.reason, drop.bytes], ['disconnected', 8]);
      assert.equal(((await fate) as NodeJS.ErrnoException).code, 'ERR_CLOSED');
      heal();
      await quiet(SYN_REPEATED);
      assert.equal(server.accepted, 0);
      const free = lab.own({ ...server.target });
      free.write('in time');
      await turn();
      await free.disconnect();
      await within(server.receives('in time'), 'what was written before disconnect() while connecting goes out');
    },
  },
  {
    id: 'C54',
    title: 'disconnect() while TLS is agreed on',
    needs: ['tls'],
    limit: 60_000,
    run: async (lab) => {
      // It hears the hello, and never answers.
      const server = await Loopback.start();
      const before = await held(lab);
      const subject = lab.create({ ...server.target, tls: { rejectUnauthorized: false } });
      await within(
        server.until(() => server.receivedBytes > 0),
        'the hello of TLS arrives',
      );
      await endsForGood(lab, { subject, server, before, connections: 1 });
      assert.deepEqual(subject.names('open', 'reset', 'close'), ['close']);
    },
  },
  {
    id: 'C55',
    title: 'disconnect() while the handshake of the application runs',
    needs: ['own'],
    run: async (lab) => {
      const server = await lab.serve();
      const before = await held(lab);
      let shaking: AbortSignal | undefined;
      const handshake = (_socket: unknown, { signal }: { readonly signal: AbortSignal }) => {
        shaking = signal;
        return new Promise<void>(() => {});
      };
      const subject = lab.create({ ...server.target, handshake });
      await until(() => shaking !== undefined);
      const end = async () => assert(await settlesAtOnce(subject.client.disconnect()), 'there is nothing to wait for');
      await endsForGood(lab, { subject, server, before, connections: 1, end });
      assert.equal(shaking?.aborted, true);
      assert.deepEqual(subject.names(), ['close']);
    },
  },
  {
    id: 'C56',
    title: 'disconnect() while open, also of a server that never ends its side',
    limit: 60_000,
    run: async (lab) => {
      for (const allowHalfOpen of [false, true]) {
        const server = await lab.serve({ allowHalfOpen });
        const before = await held(lab);
        const subject = lab.create(server.target);
        await subject.waitFor('open');
        const socket = await within(server.session(1), 'the server accepts');
        const end = async () => {
          await subject.client.disconnect();
          await subject.waitFor('close');
          socket.destroy();
        };
        await endsForGood(lab, { subject, server, before, connections: 1, end });
        assert.deepEqual(subject.names('open', 'reset', 'close'), ['open', 'reset', 'close']);
      }
      if (lab.has('own')) await flushes(lab);
    },
  },
  {
    id: 'C57',
    title: 'disconnect() during a wait, before the first session and after one',
    limit: 60_000,
    run: async (lab) => {
      for (const sessions of [0, 1]) {
        const server = await lab.serve();
        const before = await held(lab);
        if (sessions === 0) server.refuse();
        const subject = lab.create({ ...server.target, ...WAIT });
        if (sessions === 1) {
          await subject.waitFor('open');
          await within(server.session(1), 'the server accepts');
          server.refuse();
          server.drop();
          await subject.waitFor('reset');
        }
        if (lab.has('backoff event')) await subject.waitFor('backoff');
        else await quiet(50);
        const end = async () => {
          const promise = subject.client.disconnect();
          if (lab.has('own')) assert(await settlesAtOnce(promise), 'there is nothing to wait for');
          await within(promise, 'disconnect() resolves');
          // For what is held to be as it was.
          await server.accept();
        };
        await endsForGood(lab, { subject, server, before, connections: sessions, end });
      }
    },
  },
];

/** Waits until the first packet of a connection to `server` is on its way, and not answered. */
async function dials({ port }: Loopback): Promise<void> {
  const sent = () =>
    execFileSync('ss', ['-Htn', 'state', 'syn-sent', 'dport', '=', `:${port}`], { encoding: 'utf8' }) !== '';
  await until(sent, { what: () => 'a SYN is sent' });
}

/** What was written before goes out, and is confirmed. */
async function flushes(lab: Lab): Promise<void> {
  const server = await lab.serve();
  const connection = lab.own(server.target);
  await connection.whenOpen();
  const chunk = Buffer.alloc(200_000, 'x');
  const fates = [1, 2, 3, 4].map(() => written(connection, chunk));
  const { reason } = await within(connection.disconnect(), 'disconnect() resolves');
  assert.equal(reason, 'disconnected');
  assert.deepEqual(await Promise.all(fates), [undefined, undefined, undefined, undefined]);
  await within(
    server.until(() => server.receivedBytes === 800_000),
    'all of it arrives',
  );
}
