import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { PassThrough, Transform } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

import type { CommonOptions } from 'reconnecting-connection';

import { next } from '../../kit/connections';
import { until } from '../../kit/until';
import { type Case, type Lab, within } from '../lab';

const SESSIONS = 12;

/** Section C: what came in one session has nothing to do with another. */
export const stale: readonly Case[] = [
  {
    id: 'C45',
    title: 'bytes of a session are never heard after its reset, not even those that a paused reader left',
    needs: ['bytes'],
    limit: 60_000,
    run: async (lab) => {
      const server = await lab.serve({ onSession: (socket, number) => void flood(socket, number) });
      const subject = lab.create(server.target);
      for (let session = 1; session <= SESSIONS; session += 1) {
        const heard = subject.count('data');
        await subject.waitFor('open', session);
        const socket = await within(server.session(session), 'the server accepts');
        await subject.until('bytes', () => subject.count('data') > heard + session);
        if (session % 4 === 0) socket.end();
        else if (session % 4 === 1) socket.resetAndDestroy();
        else if (session % 4 === 2 && lab.has('reconnect')) subject.client.reconnect?.();
        else socket.destroy();
        await subject.waitFor('reset', session);
      }
      await subject.waitFor('open', SESSIONS + 1);
      server.refuse();
      server.reset();
      await subject.waitFor('reset', SESSIONS + 1);
      checkLabels(checkSessions(subject.heard), SESSIONS + 1);

      if (!lab.has('own')) return;
      await leavesBytes(lab, {});
      await leavesBytes(lab, { reuseReadBuffer: true });
      await leavesBytes(lab, { decoder: () => new PassThrough() });
    },
  },
  {
    id: 'C46',
    title: 'half a character of one session is not completed by the next',
    needs: ['bytes'],
    run: async (lab) => {
      const [first, second] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)];
      const server = await lab.serve({
        onSession: (socket, number) => {
          if (number === 1) socket.end(Buffer.concat([Buffer.from('half a line '), first]));
          else socket.write(Buffer.concat([second, Buffer.from(' the rest\n')]));
        },
      });
      const subject = lab.create(server.target);
      await subject.waitFor('open', 2);
      await subject.until('the rest', () => subject.received.includes('\n'));

      assert.deepEqual(checkSessions(subject.heard), [
        Buffer.from('half a line \xc3', 'latin1'),
        Buffer.from('\xa9 the rest\n', 'latin1'),
      ]);
      assert(
        subject.heard.every(({ event, value }) => event !== 'data' || Buffer.isBuffer(value)),
        'data is bytes',
      );

      if (!lab.has('own')) return;
      for (const how of ['end', 'resetAndDestroy', 'reconnect'] as const) await decodes(lab, how);
    },
  },
];

/** Sends without end, every byte the number of the session. Resolves when it is over. */
async function flood(socket: Socket, number: number): Promise<void> {
  const block = Buffer.alloc(16_384, number);
  try {
    while (socket.writable) if (!socket.write(block)) await once(socket, 'drain');
  } catch {
    // The socket is gone.
  }
}

/** One event of a record. */
interface Said {
  readonly event: string;
  readonly value: unknown;
}

/** Between `open` and `reset` there are only bytes of one kind, elsewhere none. Returns the bytes of each session. */
function checkSessions(heard: readonly Said[]): Buffer[] {
  const sessions: Buffer[] = [];
  let chunks: Buffer[] | undefined;
  for (const { event, value } of heard) {
    if (event === 'open') chunks = [];
    if (event === 'data') {
      assert(chunks !== undefined, 'bytes were heard outside of a session');
      // `as`: `data` comes with nothing else.
      chunks.push(value as Buffer);
    }
    if (event === 'reset') {
      sessions.push(Buffer.concat(chunks!));
      chunks = undefined;
    }
  }
  if (chunks !== undefined) sessions.push(Buffer.concat(chunks));
  return sessions;
}

/** In each session came only what was sent in it: bytes of one number, each session's higher than the last one's. */
function checkLabels(sessions: readonly Buffer[], count: number): void {
  assert.equal(sessions.length, count);
  let last = 0;
  for (const [index, bytes] of sessions.entries()) {
    if (bytes.length === 0) continue;
    const number = bytes[0]!;
    assert(number > last, `session ${index + 1} heard bytes of socket ${number} after those of socket ${last}`);
    assert(
      bytes.every((byte) => byte === number),
      `session ${index + 1} heard bytes of more than one socket`,
    );
    last = number;
  }
}

/** A reader that is paused leaves bytes in the session that it loses, and reads again in the next. */
async function leavesBytes(lab: Lab, options: CommonOptions): Promise<void> {
  const server = await lab.serve({ onSession: (socket, number) => void flood(socket, number) });
  const connection = lab.own<Buffer>({ ...server.target, ...options });
  const heard: Said[] = [];
  // A copy: with `reuseReadBuffer` the chunk is valid only now.
  const hear = (chunk: Buffer) => void heard.push({ event: 'data', value: Buffer.from(chunk) });
  connection.on('data', hear).on('message', hear);
  connection.on('open', (value) => void heard.push({ event: 'open', value }));
  connection.on('reset', (value) => void heard.push({ event: 'reset', value }));

  for (let session = 1; session <= SESSIONS; session += 1) {
    const socket = await within(server.meets(connection), 'the server meets the client');
    const before = heard.length;
    connection.resume();
    await until(() => heard.length > before + 1);
    connection.pause();
    // Not even the kernel's buffers have room any more.
    let sent = -1;
    await until(() => sent === (sent = socket.bytesWritten) && socket.writableNeedDrain);
    const lost = next(connection, 'reset');
    const opened = next(connection, 'open');
    const count = heard.length;
    // What waits in the socket would come next: it must not, when the session is dropped in the same tick.
    if (session % 4 !== 0) connection.resume();
    // Whether an RST behind unread bytes is seen at once is the system's affair; reading on shows it in any case.
    if (session % 2 === 1) socket.resetAndDestroy();
    else connection.reconnect();
    await within(lost, 'the session is lost');
    await within(opened, 'the next session opens');
    if (session % 2 === 0) assert.deepEqual(kinds(heard.slice(count, count + 2)), ['reset', 'open']);
  }
  connection.destroy();
  checkLabels(checkSessions(heard), SESSIONS + 1);
}

function kinds(heard: readonly Said[]): string[] {
  return heard.map(({ event }) => event);
}

/** A session that is lost in the middle of a character, and a decoder that waits for the other half. */
async function decodes(lab: Lab, how: 'end' | 'resetAndDestroy' | 'reconnect'): Promise<void> {
  const decoders = new Set<Transform>();
  const decoder = () => {
    const characters = new StringDecoder('utf8');
    const made = new Transform({
      readableObjectMode: true,
      transform: (chunk: Buffer, _encoding, done) => done(null, characters.write(chunk)),
      flush: (done) => done(null, characters.end()),
    });
    decoders.add(made);
    return made;
  };
  const halves = [Buffer.from('a\xc3', 'latin1'), Buffer.from('\xa9b', 'latin1')];
  const server = await lab.serve({ onSession: (socket, number) => socket.write(halves[number - 1] ?? '') });
  const connection = lab.own<string>({ ...server.target, decoder });
  const messages: [number, string][] = [];
  connection.on('message', (message) => void messages.push([connection.generation, message]));
  await until(() => messages.length > 0);
  if (how === 'reconnect') connection.reconnect();
  else server.latest[how]();
  await until(() => messages.some(([, message]) => message.endsWith('b')));

  assert.deepEqual(messages[0], [1, 'a']);
  assert.deepEqual(messages.at(-1), [2, '\ufffdb'], 'the other half stands alone');
  assert(!messages.some(([, message]) => message.includes('é')), JSON.stringify(messages));
  assert.equal(decoders.size, 2);
  connection.destroy();
}
