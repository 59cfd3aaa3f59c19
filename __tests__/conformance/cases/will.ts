import { strict as assert } from 'node:assert';
import { once } from 'node:events';

import { ConnectionError, type DropInfo, type ReconnectingConnection } from 'reconnecting-connection';

import { payload } from '../../kit/connections';
import { Loopback } from '../../kit/server';
import { FrameReader, frame } from '../frames';
import { type Case, type Lab, quiet, within } from '../lab';

/** What the application wants of a write: for how long, in whose place, ahead of what. */
export const will: readonly Case[] = [
  {
    id: 'C124',
    title: 'a write that its caller gave up, by a signal or by its age, is never sent afterwards',
    needs: ['own'],
    run: async (lab) => {
      const { connection, server, fates } = await down(lab);
      const caller = new AbortController();
      const codes = [
        fateOf(connection, 'LOCK ', { signal: caller.signal }),
        fateOf(connection, 'READ ', { maxAge: 100 }),
        fateOf(connection, 'KEEP ', { maxAge: 60_000, signal: new AbortController().signal }),
        fateOf(connection, 'GONE ', { signal: AbortSignal.abort() }),
      ];
      await quiet(150);
      caller.abort();
      assert.equal(await within(codes[0]!, 'the fate of an aborted write'), 'ERR_ABORTED');
      assert.equal(await within(codes[1]!, 'the fate of a write past its age'), 'ERR_EXPIRED');
      assert.equal(await within(codes[3]!, 'the fate of a write with an aborted signal'), 'ERR_ABORTED');
      connection.connect();
      await within(server.receives('KEEP '), 'the write that was not given up');
      assert.equal(await codes[2], undefined);
      await quiet(50);
      assert.equal(server.text(), 'KEEP ');
      assert.deepEqual(fates.map(({ reason }) => reason).sort(), ['aborted', 'expired']);
    },
  },
  {
    id: 'C125',
    title: 'of writes with the same key only the newest is sent, in the place of the first',
    needs: ['own'],
    run: async (lab) => {
      const { connection, server } = await down(lab);
      const colours = ['red', 'green', 'blue', 'white'].map((colour) =>
        fateOf(connection, `colour ${colour};`, { key: 'colour' }),
      );
      connection.write('volume 5;', { key: 'volume' });
      connection.write('plain;');
      const last = fateOf(connection, 'colour black;', { key: 'colour' });
      connection.connect();
      await within(server.receives('plain;'), 'the queue');
      assert.equal(server.text(), 'colour black;volume 5;plain;');
      assert.deepEqual(await Promise.all(colours), Array(4).fill('ERR_REPLACED'));
      assert.equal(await last, undefined);
      const { accepted, confirmed, dropped, queued } = connection.stats.writes;
      assert.deepEqual([accepted.writes, confirmed.writes, dropped.writes, queued.writes], [7, 3, 4, 0]);
    },
  },
  {
    id: 'C126',
    title: 'what is urgent goes ahead of what waits, in order, after the session’s hello, and never into a write',
    needs: ['own'],
    run: async (lab) => {
      const { connection, server } = await down(lab);
      for (const jog of [1, 2, 3]) connection.write(`JOG ${jog};`);
      connection.write('STOP;', { priority: 'urgent' });
      connection.write('LIGHT OFF;', { priority: 'urgent' });
      connection.once('open', () => connection.write('HELLO;'));
      connection.connect();
      await within(server.receives('JOG 3;'), 'the queue');
      assert.equal(server.text(), 'HELLO;STOP;LIGHT OFF;JOG 1;JOG 2;JOG 3;');
      await connection.disconnect();

      // To a peer that reads late: it may be handed over behind others, and tears none of them.
      const late = await Loopback.start();
      const busy = lab.own({ ...late.target, queue: { maxBytes: 64 * 2 ** 20 } });
      const socket = await late.meets(busy);
      late.mute();
      for (let number = 1; number <= 300; number++) busy.write(frame(number, 65_536));
      busy.write(frame(1_000, 100), { priority: 'urgent' });
      late.unmute();
      const whole = 300 * 65_536 + 100;
      while (socket.bytesRead < whole) await within(once(socket, 'data'), 'all that was written');
      const numbers = new FrameReader().push(late.received());
      assert.equal(numbers.length, 301);
      assert.deepEqual(
        numbers.filter((number) => number !== 1_000),
        Array.from({ length: 300 }, (_, index) => index + 1),
      );
    },
  },
  {
    id: 'C127',
    title: 'clearQueue() drops what waits, says how much, and leaves the connection as it is',
    needs: ['own'],
    run: async (lab) => {
      const { connection, server, fates } = await down(lab);
      const codes = ['JOG 1', 'JOG 2'].map((jog) => fateOf(connection, jog));
      assert.deepEqual(connection.clearQueue(), { writes: 2, bytes: 10 });
      assert.deepEqual(connection.clearQueue(), { writes: 0, bytes: 0 });
      assert.equal(connection.pendingBytes, 0);
      connection.write('STOP');
      connection.connect();
      await within(server.receives('STOP'), 'what was written afterwards');
      assert.equal(server.text(), 'STOP');
      assert.deepEqual(await Promise.all(codes), ['ERR_CLEARED', 'ERR_CLEARED']);
      assert.deepEqual(
        fates.map(({ chunk, reason }) => `${chunk.toString()} ${reason}`),
        ['JOG 1 cleared', 'JOG 2 cleared'],
      );
    },
  },
  {
    id: 'C128',
    title: 'a full queue that is to drop the oldest takes the newest, and says what it dropped',
    needs: ['own'],
    run: async (lab) => {
      const { connection, server, fates } = await down(lab, { maxBytes: 40, overflow: 'drop-oldest' });
      const codes = Array.from({ length: 10 }, (_, index) => fateOf(connection, `reading ${index};`));
      assert.ok(connection.pendingBytes <= 40);
      // What no room can be made for is refused, and nothing is dropped for it.
      assert.equal(await within(fateOf(connection, 'x'.repeat(41)), 'the fate of one too large'), 'ERR_QUEUE_FULL');
      connection.connect();
      await within(server.receives('reading 9;'), 'the newest');
      assert.equal(server.text(), 'reading 6;reading 7;reading 8;reading 9;');
      assert.deepEqual(
        fates.filter(({ reason }) => reason !== 'refused').map(({ chunk }) => chunk.toString()),
        [0, 1, 2, 3, 4, 5].map((index) => `reading ${index};`),
      );
      const settled = await Promise.all(codes);
      assert.equal(settled.filter((code) => code === undefined).length, 4);
      assert.equal(settled.slice(0, 6).filter((code) => code === 'ERR_QUEUE_FULL').length, 6);
    },
  },
  {
    id: 'C129',
    title: 'a string that is not what its encoding says is refused at once, and no byte of it is sent',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const connection = lab.own(server.target);
      await server.meets(connection);
      for (const text of ['02 41 54 03', '0x0241', '0241f', '02g1', '02\n41', '02:41']) {
        for (const how of ['hex', { encoding: 'hex' }] as const) {
          assert.throws(
            () => connection.write(text, how as 'hex'),
            (error) => error instanceof ConnectionError && error.code === 'ERR_INVALID_CHUNK',
            text,
          );
        }
      }
      connection.write('', 'hex');
      connection.write('0241aFfF', 'hex');
      await within(
        server.until(() => server.receivedBytes > 0),
        'what is hex',
      );
      await quiet(50);
      assert.equal(server.received().toString('hex'), '0241afff');
      assert.equal(connection.stats.writes.accepted.writes, 2);
    },
  },
  {
    id: 'C130',
    title: 'an array of chunks is one write: one callback, one drop, and never torn by a reset',
    needs: ['own'],
    limit: 60_000,
    run: async (lab) => {
      const { connection, server, fates } = await down(lab);
      const dropped = fateOf(connection, ['gone ', Buffer.from('with '), new Uint8Array([33])]);
      connection.clearQueue();
      assert.equal(await dropped, 'ERR_CLEARED');
      assert.deepEqual(
        fates.map(({ chunk, bytes }) => [chunk.toString(), bytes]),
        [['gone with !', 11]],
      );
      assert.equal(await written([], connection), undefined);
      let sent = 0;
      const write = () => {
        const whole = frame(++sent, 30_000);
        const parts = [whole.subarray(0, 7), whole.subarray(7, 20_000), whole.subarray(20_000)];
        connection.write(parts);
      };
      connection.on('open', () => {
        for (let count = 0; count < 20; count++) write();
      });
      connection.connect();
      for (let session = 1; session <= 4; session++) {
        const socket = await within(server.session(session), `session ${session}`);
        while (socket.bytesRead < 200_000) await within(once(socket, 'data'), 'writes');
        const lost = payload(connection, 'reset');
        server.reset();
        await within(lost, 'the loss of the session');
      }
      let last = 0;
      for (let session = 1; session <= 4; session++) {
        // It throws for bytes that begin no frame.
        for (const number of new FrameReader().push(server.received(session))) {
          assert.ok(number > last, `${number} after ${last}`);
          last = number;
        }
      }
      assert.ok(last > 20);
    },
  },
];

/** A connection that is not started, its server, and what it drops. */
async function down(
  lab: Lab,
  queue: { readonly maxBytes?: number; readonly overflow?: 'refuse' | 'drop-oldest' } = {},
): Promise<{ connection: ReconnectingConnection; server: Loopback; fates: DropInfo[] }> {
  const server = await Loopback.start();
  const connection = lab.own({ ...server.target, autoConnect: false, queue });
  const fates: DropInfo[] = [];
  connection.on('drop', (info) => void fates.push(info));
  return { connection, server, fates };
}

/** The code that a write's callback is called with; undefined when it was sent. */
function fateOf(
  connection: ReconnectingConnection,
  chunk: string | readonly (string | Uint8Array)[],
  options: { signal?: AbortSignal; maxAge?: number; key?: string } = {},
): Promise<string | undefined> {
  return new Promise((resolve) => {
    connection.write(chunk, options, (error) => resolve(error instanceof ConnectionError ? error.code : undefined));
  });
}

function written(chunk: readonly string[], connection: ReconnectingConnection): Promise<string | undefined> {
  const fate = fateOf(connection, chunk);
  connection.clearQueue();
  return fate.then((code) => (code === 'ERR_CLEARED' ? undefined : code));
}
