import { strict as assert } from 'node:assert';

import { next, payload, payloads } from '../../kit/connections';
import { serveElsewhere } from '../../kit/processes';
import { Loopback } from '../../kit/server';
import { type Case, quiet, within } from '../lab';

/** Waits that double, and that tell from one another how often they have. */
const DOUBLING = { backoff: { initialDelay: 100, maxDelay: 10_000, jitter: 'none' } } as const;

/** A device with room for one session: it tells each of the others that it is busy, and ends it. */
const ONE_SESSION = `
  if (globalThis.holder !== undefined) { socket.end('BUSY\\n'); return; }
  globalThis.holder = socket;
  socket.on('close', () => { globalThis.holder = undefined; });
  socket.on('data', (chunk) => socket.write(chunk));
  socket.write('READY\\n');
`;

/** What the application means by a call: the present session is bad, another address, one last time. */
export const intent: readonly Case[] = [
  {
    id: 'C111',
    title: 'reconnect() while it connects abandons the attempt: the old device never opens and is sent nothing',
    needs: ['own'],
    run: async (lab) => {
      for (const old of ['mute', 'greets late'] as const) {
        const before = await Loopback.start();
        const after = await Loopback.start({ onSession: (socket) => void socket.write('HELLO\n') });
        let place = before.target;
        const connection = lab.own({
          target: () => place,
          handshake: (socket) => new Promise((resolve) => void socket.once('data', () => resolve())),
        });
        connection.write('POWER OFF');
        const knocking = await within(before.session(1), 'the old device');
        place = after.target;
        if (old === 'greets late') knocking.write('HELLO\n');
        connection.reconnect();
        connection.reconnect();
        await within(after.receives('POWER OFF'), 'what was written, at the new device');
        await within(before.opens(0), 'the end of the old socket');

        assert.equal(before.text(), '');
        assert.deepEqual([connection.generation, after.accepted, before.accepted], [1, 1, 1]);
        await connection.disconnect();
      }
    },
  },
  {
    id: 'C112',
    title: 'a device with room for one session never sees a second one beside the first, by ten reconnects',
    needs: ['bytes', 'reconnect'],
    limit: 60_000,
    run: async (lab) => {
      const device = await serveElsewhere(ONE_SESSION);
      const subject = lab.create({ ...device.target, minUptime: 0 });
      for (let session = 1; session <= 11; session++) {
        await subject.until('READY', () => subject.received.toString().split('READY').length > session);
        await quiet(60);
        if (session < 11) subject.client.reconnect!();
      }
      assert.equal(subject.received.toString().split('BUSY').length - 1, 0, 'sessions beside another');
    },
  },
  {
    id: 'C113',
    title: 'reconnect({ delay }) dials after the delay and not before, and once for all calls of a tick',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const connection = lab.own({ ...server.target, minUptime: 0 });
      await server.meets(connection);
      const lost = performance.now();
      for (let call = 0; call < 3; call++) connection.reconnect({ delay: 400 });
      await within(server.session(2), 'the second session');
      const gap = server.acceptedAt[1]! - lost;
      assert.ok(gap >= 395, `it dialled after ${gap} ms`);
      await quiet(500);
      assert.equal(server.accepted, 2);
      for (const delay of [-1, NaN, '5', null, 2 ** 31]) {
        // `as`: what a program without types might pass.
        assert.throws(() => connection.reconnect({ delay: delay as number }), { code: 'ERR_INVALID_OPTION' });
      }
    },
  },
  {
    id: 'C114',
    title: 'reconnect() in answer to every message backs off, and is no storm of dials',
    needs: ['bytes', 'reconnect', 'backoff options'],
    run: async (lab) => {
      const server = await lab.serve({ onSession: (socket) => void socket.write('READONLY\n') });
      const subject = lab.create({ ...server.target, ...DOUBLING });
      subject.client.on('data', () => subject.client.reconnect!());
      await within(server.session(2), 'a second dial');
      await quiet(3_000);
      // 100, 200, 400, 800, 1600: six dials and no more.
      assert.ok(server.accepted <= 8, `${server.accepted} dials in 3 s`);
    },
  },
  {
    id: 'C115',
    title: 'fail() ends a session with the application’s error, and the waits grow until a session is healthy',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const connection = lab.own({ ...server.target, ...DOUBLING });
      const why = new Error('logged in as a guest');
      connection.on('open', ({ generation }) => {
        if (generation <= 3) connection.fail(why);
      });
      const resets = payloads(connection, 'reset', 3);
      const waits = await within(payloads(connection, 'backoff', 3), 'three waits');
      for (const { reason, error } of await resets) {
        assert.deepEqual([reason, error], ['failed', why]);
      }
      assert.deepEqual(
        waits.map(({ delay, reason }) => [delay, reason]),
        [100, 200, 400].map((delay) => [delay, 'failed']),
      );
      await within(connection.whenOpen(), 'session 4');
      connection.markHealthy();
      const after = payload(connection, 'backoff');
      connection.fail();
      const { delay, error } = await within(after, 'the wait after a healthy session');
      assert.deepEqual([delay, error?.code], [100, 'ERR_FAILED']);
    },
  },
  {
    id: 'C116',
    title: 'a server that accepts and hangs up gives way to the next: targets are numbered by the outage',
    needs: ['own'],
    run: async (lab) => {
      const first = await Loopback.start();
      first.flap();
      const second = await Loopback.start({ echo: true });
      const places = [first.target, second.target];
      const failures: unknown[] = [];
      const connection = lab.own({
        target: (attempt, { failure }) => {
          failures.push(failure?.reason);
          return places[(attempt - 1) % 2]!;
        },
      });
      await within(second.session(1), 'the second server');
      await quiet(300);
      assert.deepEqual([first.accepted, second.accepted, connection.state], [1, 1, 'open']);
      assert.equal(failures[0], undefined);
      assert.match(String(failures[1]), /^(?:peer-end|error)$/);
    },
  },
  {
    id: 'C117',
    title:
      'the end in a wait, with writes queued, dials once more so that they go out; with nothing queued it does not',
    needs: ['bytes', 'queue', 'backoff options'],
    run: async (lab) => {
      const server = await lab.serve();
      const wait = { backoff: { initialDelay: 20_000, maxDelay: 20_000, jitter: 'none' } } as const;
      const subject = lab.create({ ...server.target, ...wait });
      await subject.waitFor('open');
      await within(server.session(1), 'the first session');
      server.refuse();
      server.drop();
      await subject.waitFor('reset');
      // The wait has begun by now, for it begins with the loss.
      await quiet(50);
      for (const line of ['one ', 'two ', 'three']) subject.client.write(line);
      await server.accept();
      await within(subject.client.disconnect(), 'disconnect()');
      await within(server.receives('one two three'), 'what was queued');
      if (!lab.has('own')) return;

      const idle = lab.own({ ...server.target, ...wait });
      await server.meets(idle);
      const waits = payload(idle, 'backoff');
      server.drop();
      await waits;
      const { accepted } = server;
      assert.deepEqual(await within(idle.disconnect(), 'the end with nothing queued'), { reason: 'disconnected' });
      assert.equal(server.accepted, accepted);
    },
  },
  {
    id: 'C118',
    title: 'one refusal of the last dial is the end: what was queued is dropped, and told of',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      server.refuse();
      const connection = lab.own({ ...server.target, backoff: () => 60_000, closeTimeout: 60_000 });
      await payload(connection, 'backoff');
      connection.write('too late');
      const drop = next(connection, 'drop');
      const dials = connection.stats.dials;
      assert.equal((await within(connection.disconnect(), 'the end')).reason, 'disconnected');
      const [{ chunk, reason }] = await drop;
      assert.deepEqual([chunk.toString(), reason], ['too late', 'disconnected']);
      assert.equal(connection.stats.dials, dials + 1);

      const destroyed = lab.own({ ...server.target, backoff: () => 20_000 });
      await payload(destroyed, 'backoff');
      destroyed.write('never');
      destroyed.destroy();
      await quiet(100);
      assert.equal(destroyed.stats.dials, 1);
    },
  },
];
