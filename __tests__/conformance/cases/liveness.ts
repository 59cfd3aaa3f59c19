import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';

import { block, next, payload, receives } from '../../kit/connections';
import { FaultProxy } from '../../kit/fault-proxy';
import { serveElsewhere } from '../../kit/processes';
import { Loopback } from '../../kit/server';
import type { ClientOptions } from '../adapter';
import { type Case, quiet, within } from '../lab';

/** Milliseconds from a ping to the next one, and for its answer. */
const HEARTBEAT = { interval: 200, timeout: 300 } as const;

const heartbeat: ClientOptions['heartbeat'] = { ...HEARTBEAT, ping: (connection) => connection.write('ping') };

/** Half-open sessions are found out, and living ones are left alone. */
export const liveness: readonly Case[] = [
  {
    id: 'C70',
    title: 'a peer that answers is never taken for dead, slow as it may be',
    needs: ['liveness'],
    run: async (lab) => {
      const server = await lab.serve({ echo: lab.has('bytes') });
      const proxy = await FaultProxy.start(server.target);
      await proxy.set({ latency: 90, jitter: 20 });
      const subject = lab.create({ ...proxy.target, heartbeat });
      await subject.waitFor('open');
      await quiet(3_000);

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
    },
  },
  {
    id: 'C71',
    title: 'a client that was frozen, by its own loop or by a signal, raises no false alarm',
    needs: ['liveness'],
    run: async (lab) => {
      const proxy = await FaultProxy.start((await lab.serve({ echo: lab.has('bytes') })).target);
      // What serves has to go on while this process stands still.
      const target = lab.has('bytes') ? (await serveElsewhere('socket.pipe(socket);')).target : proxy.target;
      const subject = lab.create({ ...target, heartbeat });
      await subject.waitFor('open');
      for (let turn = 0; turn < 3; turn++) {
        block(1_500);
        await quiet(500);
      }
      const thaw = spawn('sh', ['-c', `sleep 3; kill -CONT ${process.pid}`], { detached: true, stdio: 'ignore' });
      thaw.unref();
      process.kill(process.pid, 'SIGSTOP');
      await quiet(1_000);

      assert.deepEqual(subject.names('open', 'reset', 'close'), ['open']);
    },
  },
  {
    id: 'C73',
    title: 'pings go out as often as was asked, and no oftener',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start({ echo: true });
      const from = performance.now();
      const connection = lab.own({ ...server.target, heartbeat: { ...heartbeat, interval: 100 } });
      const pings: number[] = [];
      (await server.meets(connection)).on('data', () => pings.push(performance.now()));
      await within(server.receives('ping'.repeat(10)), 'ten pings');
      const between = pings
        .slice(1)
        .map((at, index) => at - pings[index]!)
        .sort((one, other) => one - other);
      const rate = (pings.at(-1)! - from) / pings.length;

      assert.equal(connection.generation, 1);
      // A busy machine makes some of them late, and none early.
      assert.ok(
        rate > 95 && between[Math.floor(between.length / 2)]! < 180,
        `pings ${between.map(Math.round).join()} ms apart`,
      );
    },
  },
  {
    id: 'C74',
    title:
      'a server’s FIN is noticed without a data listener, and after resume() where reading was paused; an RST at once',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const deaf = lab.own(server.target);
      await server.meets(deaf);
      const lost = payload(deaf, 'reset');
      server.send('unheard');
      server.drop();
      assert.equal((await within(lost, 'a reset without a listener')).reason, 'peer-end');
      await deaf.disconnect();

      const paused = lab.own({ ...server.target, minUptime: 0 });
      await server.meets(paused);
      paused.pause();
      let resets = 0;
      paused.on('reset', () => (resets += 1));
      server.send('last words');
      server.drop();
      await quiet(200);
      assert.equal(resets, 0);
      const words = receives(paused, 'last words');
      const ended = payload(paused, 'reset');
      paused.resume();
      await within(words, 'what was sent before the end');
      await within(ended, 'the end, once it is read');
      await paused.whenOpen();

      paused.pause();
      const cut = payload(paused, 'reset');
      await server.meets(paused);
      server.reset();
      assert.equal((await within(cut, 'an RST while paused')).error?.code, 'ECONNRESET');
    },
  },
  {
    id: 'C75',
    title:
      'after the peer’s end what was written still goes out, and the session closes in time; with allowHalfOpen it goes on',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start({ allowHalfOpen: true });
      const connection = lab.own({ ...server.target, closeTimeout: 500 });
      const socket = await server.meets(connection);
      connection.write(Buffer.alloc(2 ** 20, 'x'));
      const ended = next(connection, 'reset');
      socket.end('goodbye');
      const [{ reason, uncertain }] = await within(ended, 'the end of the session');
      await within(
        server.until(() => server.receivedBytes === 2 ** 20),
        'all that was written',
      );

      assert.deepEqual([reason, uncertain], ['peer-end', { writes: 0, bytes: 0 }]);
      await connection.disconnect();

      const halfOpen = lab.own({ ...server.target, socket: { allowHalfOpen: true }, idleTimeout: 200 });
      const talker = await server.meets(halfOpen);
      const words = receives(halfOpen, 'goodbye');
      talker.end('goodbye');
      await within(words, 'what the peer said before its end');
      await quiet(500);
      const { length } = server.text();
      halfOpen.write('still here');
      await within(
        server.until(() => server.text().slice(length).includes('still here')),
        'a write after the peer’s end',
      );
      assert.deepEqual([halfOpen.state, halfOpen.generation], ['open', 1]);
      assert.equal((await within(halfOpen.disconnect(), 'its end')).reason, 'disconnected');

      // A peer that ends and never reads: the deadline ends it.
      const mute = await Loopback.start({ allowHalfOpen: true });
      const stuck = lab.own({ ...mute.target, closeTimeout: 300 });
      const end = await mute.meets(stuck);
      mute.mute();
      // More than the kernel holds.
      for (let i = 0; i < 16; i++) stuck.write(Buffer.alloc(2 ** 20));
      const from = performance.now();
      const late = payload(stuck, 'reset');
      end.end();
      await within(late, 'the deadline', 5_000);
      assert.ok(performance.now() - from >= 290);
    },
  },
];
