import { strict as assert } from 'node:assert';
import { once } from 'node:events';

import { ConnectionError } from 'reconnecting-connection';

import { next, payload, written } from '../../kit/connections';
import { Loopback } from '../../kit/server';
import { type Case, type Lab, within } from '../lab';
import { FrameReader, frame } from '../frames';

/** Bytes that a library may keep beyond what it was told to: buffers under way, and garbage not yet collected. */
const SLACK = 10 * 2 ** 20;

const PIECE = 64 * 1024;

/** Section F: writes while there is no session, and at the edge of one. */
export const writes: readonly Case[] = [
  {
    id: 'C78',
    title:
      'what was written while down goes out in order after it opens, before newer writes, and after what open listeners write',
    needs: ['bytes', 'queue'],
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      await within(server.session(1), 'the first session');
      server.refuse();
      server.drop();
      await subject.waitFor('reset');
      for (const part of ['one ', 'two ', 'three ']) subject.client.write(part);
      subject.client.on('open', () => {
        subject.client.write('hello ');
        setImmediate(() => subject.client.write('newer'));
      });
      await server.accept();
      await subject.waitFor('open', 2);
      await within(server.receives('newer'), 'the newer write');
      await within(server.receives('three'), 'the queue');

      const text = server.text(2);
      assert.equal(text.replace('hello ', ''), 'one two three newer');
      if (lab.has('own')) assert.equal(text, 'hello one two three newer');
    },
  },
  {
    id: 'C79',
    title: 'the queue takes exactly its bound, refuses one byte more, and is not changed by that',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const connection = lab.own({ ...server.target, autoConnect: false, queue: { maxBytes: 100 } });
      connection.write(Buffer.alloc(60, 'a'));
      connection.write(Buffer.alloc(40, 'b'));
      assert.equal(connection.pendingBytes, 100);
      const refused = written(connection, 'c');
      assert.equal(connection.pendingBytes, 100);
      const error = await refused;
      assert.ok(error instanceof ConnectionError && error.code === 'ERR_QUEUE_FULL');
      assert.equal(connection.pendingBytes, 100);
      connection.connect();
      await within(
        server.until(() => server.receivedBytes >= 100),
        'the queue',
      );
      assert.equal(server.text(), 'a'.repeat(60) + 'b'.repeat(40));
    },
  },
  {
    id: 'C80',
    title: 'without a queue a write while down is refused at once, and nothing is kept',
    needs: ['own'],
    run: async (lab) => {
      const connection = lab.own({ port: 1, queue: { maxBytes: 0 }, backoff: () => 60_000 });
      await payload(connection, 'backoff');
      const refused = written(connection, 'x');
      assert.equal(connection.pendingBytes, 0);
      assert.equal(
        connection.write('y', () => {}),
        false,
      );
      const error = await refused;
      assert.ok(error instanceof ConnectionError && error.code === 'ERR_QUEUE_FULL');
      const dropped = payload(connection, 'drop');
      connection.write('nobody is told');
      assert.equal((await dropped).reason, 'refused');
      assert.equal(connection.pendingBytes, 0);
    },
  },
  {
    id: 'C81',
    title: 'a flood of writes while down is bounded in memory, and it opens again afterwards',
    needs: ['bytes'],
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      await within(server.session(1), 'the first session');
      server.refuse();
      server.drop();
      await subject.waitFor('reset');
      await offer(subject.client, 256 * 2 ** 20);
      await server.accept();
      await subject.waitFor('open', 2);
    },
  },
  {
    id: 'C82',
    title: 'every write’s callback is called once, whatever ends the session, and the count is right at every instant',
    needs: ['bytes', 'write callback'],
    limit: 60_000,
    run: async (lab) => {
      for (const end of ['reset', 'drop', 'disconnect'] as const) await settles(lab, end);
      if (lab.has('own')) await givesUp(lab);
    },
  },
  {
    id: 'C83',
    title: 'a message that was sent in part is not continued in the next session',
    needs: ['bytes'],
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      let sent = 0;
      subject.client.on('open', () => {
        for (let i = 0; i < 50; i++) subject.client.write(frame(++sent, PIECE));
      });
      for (let session = 1; session <= 3; session++) {
        const socket = await within(server.session(session), `session ${session}`);
        // In the middle of a frame, with more of it and others waiting at the client.
        while (socket.bytesRead < 10 * PIECE) await within(once(socket, 'data'), 'what is written on open');
        socket.pause();
        server.reset();
        await subject.waitFor('reset', session);
      }
      await subject.waitFor('open', 4);
      const last = await within(server.session(4), 'session 4');
      while (last.bytesRead < 5 * PIECE) await within(once(last, 'data'), 'what is written on open');

      for (let session = 1; session <= 4; session++) {
        // It throws for bytes that begin no frame.
        const numbers = new FrameReader().push(server.received(session));
        assert.ok(numbers.length > 0, `session ${session}`);
      }
    },
  },
  {
    id: 'C84',
    title: 'nothing is sent twice, and nothing out of order, over many resets',
    needs: ['bytes'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      let sent = 0;
      const writing = setInterval(() => {
        for (let i = 0; i < 5; i++) subject.client.write(frame(++sent, 1_000));
      }, 2);
      try {
        for (let session = 1; session <= 5; session++) {
          const socket = await within(server.session(session), `session ${session}`);
          while (socket.bytesRead < 50_000) await within(once(socket, 'data'), 'writes');
          server.reset();
          await subject.waitFor('reset', session);
        }
      } finally {
        clearInterval(writing);
      }
      await within(server.session(6), 'session 6');

      let last = 0;
      for (let session = 1; session <= server.sockets.length; session++) {
        for (const number of new FrameReader().push(server.received(session))) {
          assert.ok(number > last, `${number} after ${last}`);
          last = number;
        }
      }
      assert.ok(last > 200);
    },
  },
  {
    id: 'C85',
    title: 'who waits for room is told, though the session that was full is gone',
    needs: ['own'],
    run: async (lab) => {
      const server = await Loopback.start();
      const connection = lab.own(server.target);
      await server.meets(connection);
      server.mute();
      while (connection.write(Buffer.alloc(PIECE)));
      const room = next(connection, 'drain');
      server.reset();
      await within(room, 'drain');
      assert.equal(connection.write('there is room'), true);
    },
  },
  {
    id: 'C86',
    title: 'a peer that never reads costs no more memory than the bound, with a gibibyte offered',
    needs: ['bytes'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      await within(server.session(1), 'the session at the server');
      server.mute();
      await offer(subject.client, 2 ** 30);
      assert.equal(subject.count('reset'), 0);
    },
  },
  {
    id: 'C87',
    title: 'a write after the end crashes nothing and is refused; a bad chunk throws',
    needs: ['bytes', 'write callback'],
    run: async (lab) => {
      const server = await lab.serve();
      const subject = lab.create(server.target);
      await subject.waitFor('open');
      await subject.client.disconnect();
      await within(
        server.until(() => server.live === 0),
        'the end of the session',
      );
      const error = await within(written(subject.client, 'too late'), 'the callback of a write after the end');
      assert.ok(error instanceof Error);
      // `as`: what a program without types might do.
      assert.throws(() => subject.client.write({} as unknown as string), Error);
      if (!lab.has('own')) return;

      assert.ok(error instanceof ConnectionError && error.code === 'ERR_CLOSED');
      const cut = lab.own(server.target);
      const socket = await server.meets(cut);
      socket.resetAndDestroy();
      const fates = await Promise.all(Array.from({ length: 100 }, () => written(cut, 'into the void')));
      for (const fate of fates) assert.ok(fate === undefined || fate instanceof ConnectionError);
    },
  },
  {
    id: 'C88',
    title: 'what is never sent is handed back, in order',
    needs: ['own'],
    run: async (lab) => {
      const connection = lab.own({ port: 1, backoff: () => 60_000 });
      await payload(connection, 'backoff');
      for (const part of ['one', 'two', 'three']) connection.write(part);
      const back: string[] = [];
      connection.on('drop', ({ chunk, reason }) => back.push(`${chunk.toString()} ${reason}`));
      await connection.disconnect();
      assert.deepEqual(back, ['one disconnected', 'two disconnected', 'three disconnected']);
      assert.equal(connection.pendingBytes, 0);
    },
  },
];

/** Writes so many bytes whatever `write()` returns, and looks now and then at what is kept of them. */
async function offer(client: { write(chunk: Uint8Array): boolean }, bytes: number): Promise<void> {
  const kept = async () => {
    // What one collection finds free, the next one has given back.
    for (let turn = 0; turn < 2; turn++) {
      globalThis.gc!();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return process.memoryUsage().arrayBuffers;
  };
  const before = await kept();
  for (let offered = 0; offered < bytes; offered += PIECE) {
    // Of its own memory, not of a slab that all share.
    client.write(Buffer.alloc(PIECE));
    if (offered % (32 * 2 ** 20) !== 0) continue;
    const grown = (await kept()) - before;
    assert.ok(grown <= 2 ** 20 + SLACK, `${grown} bytes are kept of the first ${offered}`);
  }
}

/** Ends a session in the midst of writes to a peer that does not read. */
async function settles(lab: Lab, end: 'reset' | 'drop' | 'disconnect'): Promise<void> {
  const server = await lab.serve();
  const subject = lab.create(server.target);
  await subject.waitFor('open');
  await within(server.session(1), 'the session at the server');
  server.mute();
  const calls: number[] = [];
  const told: Promise<void>[] = [];
  for (let i = 0; i < 200; i++) {
    told.push(
      new Promise((resolve) => {
        calls.push(0);
        subject.client.write(Buffer.alloc(PIECE), () => {
          calls[i]! += 1;
          resolve();
        });
      }),
    );
  }
  if (end === 'reset') server.reset();
  if (end === 'drop') await server.close();
  const over = end === 'disconnect' ? subject.client.disconnect() : undefined;
  await within(Promise.all(told), `every callback after ${end}`);
  await over;
  await subject.client.disconnect();

  assert.ok(
    calls.every((times) => times === 1),
    `calls after ${end}: ${calls.join(' ')}`,
  );
}

/** Looks at the count after every step of a life in which writes are confirmed, uncertain, dropped and refused. */
async function givesUp(lab: Lab): Promise<void> {
  const server = await Loopback.start();
  const connection = lab.own({ ...server.target, queue: { maxBytes: 8 * PIECE }, maxRetries: 2 });
  let looks = 0;
  const look = () => {
    const { accepted, confirmed, uncertain, dropped, queued } = connection.stats.writes;
    for (const unit of ['writes', 'bytes'] as const) {
      assert.equal(accepted[unit], confirmed[unit] + uncertain[unit] + dropped[unit] + queued[unit], unit);
    }
    looks += 1;
  };
  for (const event of ['open', 'reset', 'backoff', 'drain', 'drop', 'state', 'close'] as const)
    connection.on(event, look);
  const told: Promise<unknown>[] = [];
  const write = () => {
    told.push(written(connection, Buffer.alloc(PIECE)).then(look));
    look();
  };
  for (let i = 0; i < 6; i++) write();
  await server.meets(connection);
  server.mute();
  for (let i = 0; i < 200; i++) write();
  server.refuse();
  server.reset();
  await payload(connection, 'backoff');
  for (let i = 0; i < 12; i++) write();
  await payload(connection, 'close');
  write();
  await within(Promise.all(told), 'every callback');

  const { confirmed, uncertain, dropped } = connection.stats.writes;
  assert.ok(confirmed.writes > 0 && uncertain.writes > 0 && dropped.writes > 0);
  assert.ok(looks > 400);
}
