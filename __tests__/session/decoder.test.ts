import { type Transform, Duplex } from 'node:stream';

import { type Decoder, decode } from 'frame-stream';
import split2 from 'split2';

import { Loopback, connectTo, payload, payloads, track } from '../kit/loopback';
import { record } from '../kit/record';

// Framing packages from npm, each used as a `decoder` without an adapter.

interface Framing {
  readonly decoder: () => Transform;
  readonly frame: (text: string) => Buffer;
}

const lengthPrefixed = (size: 2 | 4): Framing => ({
  decoder: (): Decoder => decode({ lengthSize: size, maxSize: 100_000 }),
  frame: (text) => {
    const length = Buffer.alloc(size);
    length.writeUIntBE(text.length, 0, size);
    return Buffer.concat([length, Buffer.from(text)]);
  },
});

const framings: [string, Framing][] = [
  ['lines by split2', { decoder: () => split2(), frame: (text) => Buffer.from(`${text}\n`) }],
  ['frames with a length of 4 bytes by frame-stream', lengthPrefixed(4)],
  ['frames with a length of 2 bytes by frame-stream', lengthPrefixed(2)],
];

describe.each(framings)('%s', (_name, { decoder, frame }) => {
  const text = ({ toString }: { toString(): string }, message: unknown) => toString.call(message);
  const asText = (message: unknown) => (Buffer.isBuffer(message) ? text(Buffer.prototype, message) : message);

  test('are whole wherever the bytes are split', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { decoder });
    const socket = (await server.meets(connection)).setNoDelay(true);
    const bytes = Buffer.concat([frame('first'), frame('second'), frame('third')]);
    const events = record(connection, ['message']);
    for (let cut = 1; cut < bytes.length; cut++) {
      const all = payloads(connection, 'message', 3);
      const { bytesReceived } = connection.stats;
      socket.write(bytes.subarray(0, cut));
      // The rest is sent when this has been read.
      while (connection.stats.bytesReceived < bytesReceived + cut)
        await new Promise((resolve) => setImmediate(resolve));
      socket.write(bytes.subarray(cut));
      await all;
    }

    const expected = Array.from({ length: bytes.length - 1 }, () => ['first', 'second', 'third']).flat();
    expect(events.map(([, message]) => asText(message))).toEqual(expected);
  });

  test('are never joined across a reset, wherever it splits them', async () => {
    const half = frame('half of this');
    const server = await Loopback.start({
      onSession: (socket, number) => {
        socket.write(Buffer.concat([frame(`whole ${number}`), half.subarray(0, number)]));
      },
    });
    const connection = connectTo(server, { decoder, minUptime: 0 });
    const seen: unknown[] = [];
    for await (const session of connection.sessions<unknown>()) {
      for await (const message of session) {
        seen.push(asText(message));
        server.latest.resetAndDestroy();
      }
      if (session.generation === half.length - 1) break;
    }

    expect(seen).toEqual(Array.from({ length: half.length - 1 }, (_each, index) => `whole ${index + 1}`));
  });

  test('are whole and in order for a loop and a stream that pause the connection repeatedly', async () => {
    const texts = Array.from({ length: 300 }, (_each, index) => `${index} `.padEnd(1 + ((index * 37) % 3_000), 'x'));
    const server = await Loopback.start({ onSession: (socket) => socket.end(Buffer.concat(texts.map(frame))) });
    const connection = connectTo(server, { decoder });
    const [session, stream] = [
      connection.sessions<unknown>({ highWaterMark: 2 }).next(),
      track(connection.toDuplex({ onReset: 'end', readableHighWaterMark: 3 })),
    ];
    const looped: unknown[] = [];
    const streamed: unknown[] = [];
    const loop = async (messages: AsyncIterable<unknown>, into: unknown[], every: number) => {
      for await (const message of messages) {
        if (into.push(asText(message)) % every === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all([loop((await session).value!, looped, 5), loop(stream, streamed, 7)]);

    expect(looped).toEqual(texts);
    expect(streamed).toEqual(texts);
  });
});

test('a decoder may be any stream that decodes, a generator for instance', async () => {
  const server = await Loopback.start({ onSession: (socket) => socket.end('one\ntwo\n') });
  const connection = connectTo(server, {
    decoder: () =>
      Duplex.from(async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) yield* chunk.toString().trim().split('\n');
      }),
  });

  expect(await payloads(connection, 'message', 2)).toEqual(['one', 'two']);
});

test('a frame with too large a length resets its session, and not the next', async () => {
  const { decoder, frame } = lengthPrefixed(4);
  const server = await Loopback.start({
    onSession: (socket, number) => socket.write(number === 1 ? 'GET / HTTP/1.1\r\n\r\n' : frame('well')),
  });
  const connection = connectTo(server, { decoder });
  const lost = payload(connection, 'reset');
  const message = payload(connection, 'message');

  expect(await lost).toMatchObject({
    reason: 'error',
    error: { message: expect.stringContaining('100000') as string },
  });
  expect(String(await message)).toBe('well');
});
