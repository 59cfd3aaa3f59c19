import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';

import { block, next, payload, receives, written } from '../../kit/connections';
import { serveElsewhere } from '../../kit/processes';
import { Loopback } from '../../kit/server';
import { type Case, quiet, within } from '../lab';

const MIB = 2 ** 20;

/** A peer that answers every byte it reads, and reads 64 KiB each tenth of a second. */
const SLOW_READER = `
  socket.pause();
  const timer = setInterval(() => {
    const chunk = socket.read(65536) ?? socket.read();
    if (chunk !== null) socket.write('.');
  }, 100);
  socket.on('close', () => clearInterval(timer));
`;

/** Whether a peer is alive: what counts as a sign of life, and what does not count as silence. */
export const progress: readonly Case[] = [
  {
    id: 'C119',
    title: 'a slow peer that takes our bytes is not taken for dead while a ping waits behind them',
    needs: ['own'],
    limit: 60_000,
    run: async (lab) => {
      // It reads and says nothing until it reads a ping: only the progress of our own bytes shows that it lives.
      const peer = await serveElsewhere(`
        socket.pause();
        const timer = setInterval(() => {
          const chunk = socket.read(65536) ?? socket.read();
          if (chunk !== null && chunk.includes('!')) socket.write('.');
        }, 100);
        socket.on('close', () => clearInterval(timer));
      `);
      const connection = lab.own({
        ...peer.target,
        queue: { maxBytes: 16 * MIB },
        heartbeat: { interval: 1_000, timeout: 5_000, ping: (each) => void each.write('!') },
      });
      const resets: string[] = [];
      connection.on('reset', ({ reason }) => resets.push(reason));
      await connection.whenOpen();
      connection.write(Buffer.alloc(12 * MIB));
      // Twice the time in which it would have been taken for dead.
      await quiet(13_000);
      assert.deepEqual(resets, []);
      assert.ok(connection.pendingBytes > 0, 'bytes still wait for the peer');
    },
  },
  {
    id: 'C120',
    title: 'a peer that speaks and never reads is given up as stalled, though it answers; one that reads slowly is not',
    needs: ['own'],
    limit: 60_000,
    run: async (lab) => {
      const mute = await serveElsewhere(`socket.pause(); setInterval(() => socket.write('I live'), 50).unref();`);
      const stuck = lab.own({ ...mute.target, writeTimeout: 500, idleTimeout: 5_000, queue: { maxBytes: 64 * MIB } });
      await stuck.whenOpen();
      const fate = written(stuck, Buffer.alloc(32 * MIB));
      const { reason, error, uncertain } = await within(payload(stuck, 'reset'), 'a reset', 10_000);
      assert.deepEqual([reason, error?.code], ['stalled', 'ERR_STALLED']);
      assert.equal(uncertain.writes, 1);
      // `as`: an uncertain write has an error.
      assert.equal(((await fate) as NodeJS.ErrnoException).code, 'ERR_DELIVERY_UNCERTAIN');
      await stuck.disconnect();

      const slow = await serveElsewhere(SLOW_READER);
      const patient = lab.own({ ...slow.target, writeTimeout: 6_000, queue: { maxBytes: 64 * MIB } });
      await patient.whenOpen();
      patient.write(Buffer.alloc(24 * MIB));
      await quiet(8_000);
      assert.deepEqual([patient.state, patient.generation], ['open', 1]);
      assert.ok(patient.pendingBytes > 0, 'bytes still wait for the peer');
    },
  },
  {
    id: 'C121',
    title: 'a process that stood still, stopped or blocked, does not take its own silence for the peer’s',
    needs: ['own'],
    limit: 60_000,
    run: async (lab) => {
      const peer = await serveElsewhere('socket.pipe(socket);');
      const connections = Array.from({ length: 5 }, () =>
        lab.own({
          ...peer.target,
          idleTimeout: 1_000,
          heartbeat: { interval: 400, timeout: 400, ping: (each) => void each.write('ping') },
        }),
      );
      const resets: string[] = [];
      for (const connection of connections) connection.on('reset', ({ reason }) => resets.push(reason));
      await Promise.all(connections.map((connection) => connection.whenOpen()));
      for (let turn = 0; turn < 3; turn++) {
        await quiet(700);
        block(2_500);
      }
      await quiet(700);
      const thaw = spawn('sh', ['-c', `sleep 2.5; kill -CONT ${process.pid}`], { detached: true, stdio: 'ignore' });
      thaw.unref();
      process.kill(process.pid, 'SIGSTOP');
      await quiet(1_500);

      assert.deepEqual(resets, []);
      assert.deepEqual(
        connections.map(({ generation }) => generation),
        [1, 1, 1, 1, 1],
      );
    },
  },
  {
    id: 'C122',
    title: 'a keep-alive that is asked for when nothing is written goes out then only, and needs no answer',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const connection = lab.own({
        ...server.target,
        heartbeat: { interval: 300, timeout: Infinity, idle: true, ping: (each) => void each.write('NOP\r') },
      });
      await server.meets(connection);
      let silence = 0;
      for (let command = 0; command < 15; command++) {
        const from = performance.now();
        connection.write('VOL?\r');
        await quiet(100);
        silence = Math.max(silence, performance.now() - from);
      }
      // A busy machine may be silent for so long itself.
      if (silence < 250) assert.equal(server.text().includes('NOP'), false);
      await within(server.receives('NOP\rNOP\r'), 'pings when nothing is written');
      assert.deepEqual([connection.state, connection.generation], ['open', 1]);
    },
  },
  {
    id: 'C123',
    title: 'what a peer says before anybody listens waits for the first listener, and its end is noticed all the same',
    needs: ['own'],
    run: async (lab) => {
      const BANNER = 'SSH-2.0-device\r\n';
      const server = await Loopback.start({ onSession: (socket) => void socket.write(BANNER) });
      const connection = lab.own(server.target);
      await connection.whenOpen();
      await quiet(150);
      await within(receives(connection, BANNER), 'the banner');
      assert.equal(connection.stats.unheardBytes, 0);
      await connection.disconnect();

      // Beyond 64 KiB they are let go, and counted; the end is noticed.
      const SAID = 200_000;
      const chatty = await Loopback.start({ onSession: (socket) => void socket.end(Buffer.alloc(SAID)) });
      const deaf = lab.own({ ...chatty.target, backoff: () => 20_000 });
      const [{ reason }] = await within(next(deaf, 'reset'), 'the end of a session that nobody listens to');
      assert.equal(reason, 'peer-end');
      const { unheardBytes } = deaf.stats;
      assert.ok(unheardBytes >= SAID - 65_536 && unheardBytes <= SAID, `${unheardBytes} unheard`);
    },
  },
];
