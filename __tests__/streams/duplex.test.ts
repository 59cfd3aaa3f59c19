import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import type { MemberOptions, DuplexOptions, ReconnectingConnection } from 'reconnecting-connection';
import split2 from 'split2';

import { Loopback, connectTo, next, payload, serveElsewhere, track } from '../kit/loopback';
import { EVENTS, record } from '../kit/record';
import { ScriptedDial, settle } from '../kit/scripted';
import { until } from '../kit/until';

/** A stream of a connection, destroyed after the test. */
function streamOf(connection: ReconnectingConnection, options?: DuplexOptions): Duplex {
  return track(connection.toDuplex(options).on('error', () => undefined));
}

/** A connection with a scripted dial that is dialling, and a stream of it. */
async function scripted(options: MemberOptions = {}, duplex?: DuplexOptions) {
  const script = new ScriptedDial();
  const connection = connectTo({ target: { port: 1 } }, { dial: script.dial, ...options });
  await settle();
  return { connection, stream: streamOf(connection, duplex), link: script.last, script };
}

/** Keeps the chunks that are written to it, one per iteration of the event loop. */
class Sink extends Writable {
  readonly chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(chunk);
    setImmediate(done);
  }
}

const listeners = (connection: ReconnectingConnection): number =>
  EVENTS.reduce((sum, event) => sum + connection.listenerCount(event), 0);

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

const digest = (chunks: readonly Buffer[]): string => createHash('sha256').update(Buffer.concat(chunks)).digest('hex');

/** The error that the callback of a write receives. */
function resultOf(stream: Duplex, chunk: string | Buffer): Promise<unknown> {
  return new Promise((resolve) => stream.write(chunk, resolve));
}

describe('a stream of a connection', () => {
  test('works in a pipeline: all bytes are sent and received, and its end disconnects', async () => {
    const server = await Loopback.start({ echo: true });
    const connection = connectTo(server);
    const closed = payload(connection, 'close');
    const chunks = Array.from({ length: 60 }, () => randomBytes(50_000));
    const sink = new Sink();
    await pipeline(Readable.from(chunks), connection.toDuplex(), sink);

    expect(digest(sink.chunks)).toBe(digest(chunks));
    expect(await closed).toEqual({ reason: 'disconnected' });
    expect(listeners(connection)).toBe(0);
    expect(connection.stats.writes).toMatchObject({ confirmed: { bytes: 3_000_000 }, uncertain: { writes: 0 } });
  });

  test('waits while the server is down, also with more bytes than the queue has room for', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { queue: { maxBytes: 1_000 } });
    const events = record(connection, ['drop']);
    const chunks = [700, 700, 5_000, 1, 1, 1].map((size) => randomBytes(size));
    const done = pipeline(Readable.from(chunks), connection.toDuplex());
    await payload(connection, 'backoff', ({ attempt }) => attempt === 2);
    await server.accept();
    await done;

    expect(digest([server.received()])).toBe(digest(chunks));
    expect(events).toEqual([]);
  });

  test('waits for a session when there is no queue', async () => {
    const { connection, stream, link } = await scripted({ queue: { maxBytes: 0 } });
    const result = resultOf(stream, 'hello');
    await settle();
    expect([connection.state, connection.stats.writes.refused.writes]).toEqual(['connecting', 1]);
    link.connect();

    expect(await result).toBeUndefined();
    expect(link.written).toEqual(['hello']);
  });

  test('yields messages when there is a decoder', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('one\ntwo\n') });
    const stream = streamOf(connectTo<string>(server, { decoder: () => split2() }));
    expect([stream.readableObjectMode, stream.writableObjectMode]).toEqual([true, false]);
    const seen: unknown[] = [];
    for await (const line of stream) if (seen.push(line) === 2) break;

    expect(seen).toEqual(['one', 'two']);
  });

  test('gets copies of the chunks with reuseReadBuffer', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { reuseReadBuffer: true });
    const stream = streamOf(connection);
    const socket = await server.meets(connection);
    for (const text of ['aa', 'bb']) {
      const data = next(connection, 'data');
      socket.write(text);
      await data;
    }

    expect(String(stream.read())).toBe('aabb');
  });

  test('pauses the connection while its buffer is full', async () => {
    const connection = connectTo(
      await serveElsewhere(`const bytes = Buffer.alloc(65536); const flood = () => { while (socket.write(bytes)); };
        socket.on('drain', flood); flood();`),
    );
    const stream = streamOf(connection, { readableHighWaterMark: 100_000 });
    await until(() => connection.stats.bytesReceived > 100_000);
    for (let tick = 0; tick < 500; tick++) await new Promise((resolve) => setImmediate(resolve));
    // The mark, the chunk that reached it, and the buffer of the socket's own stream.
    expect(connection.stats.bytesReceived).toBeLessThan(400_000);
    let taken = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) if ((taken += chunk.length) > 5_000_000) break;
    expect(taken).toBeGreaterThan(5_000_000);
  });

  test('needs `drain` while the peer does not read', async () => {
    const { stream, link } = await scripted({}, { writableHighWaterMark: 10 });
    link.connect();
    await settle();
    link.stalled = true;
    expect(stream.write('12345')).toBe(true);
    expect(stream.write('67890')).toBe(false);
    const drained = once(stream, 'drain');
    link.unstall();
    await drained;

    expect(link.written.join('')).toBe('1234567890');
  });

  test('joins the writes made during a write in progress, and calls each callback', async () => {
    const { connection, stream, link } = await scripted();
    link.connect();
    await settle();
    link.stalled = true;
    const results = ['a', 'b', 'c'].map((text) => resultOf(stream, text));
    await settle();
    link.unstall();

    expect(await Promise.all(results)).toEqual([undefined, undefined, undefined]);
    expect(link.written).toEqual(['a', 'bc']);
    expect(connection.stats.writes.accepted).toEqual({ writes: 2, bytes: 3 });
  });

  test('throws for invalid options', () => {
    const connection = connectTo({ target: { port: 1 } }, { autoConnect: false });
    expect(() => connection.toDuplex({ onReset: 'ignore' as never })).toThrow(
      "Expected option `toDuplex.onReset` to be 'continue', 'end', 'destroy', got \"ignore\" (string)",
    );
    expect(() => connection.toDuplex({ readableHighWaterMark: 0 })).toThrow(withCode('ERR_INVALID_OPTION'));
    expect(() => connection.toDuplex({ highWaterMark: 1 } as never)).toThrow(withCode('ERR_INVALID_OPTION'));
    expect(listeners(connection)).toBe(0);
  });
});

test('write() and end() of a stream refuse a string that is not what its encoding says, at once', async () => {
  const { stream, link } = await scripted();
  link.connect();
  expect(() => stream.write('024', 'hex')).toThrow(withCode('ERR_INVALID_CHUNK'));
  expect(() => stream.end('02 41', 'hex')).toThrow(withCode('ERR_INVALID_CHUNK'));
  await new Promise<void>((resolve) => stream.write('61', 'hex', () => resolve()));
  await new Promise<void>((resolve) => stream.end('62', 'hex', resolve));
  expect(link.written).toEqual(['a', 'b']);
});

describe('a lost session', () => {
  test('does not end the stream: reading and writing go on in the next', async () => {
    const server = await Loopback.start({ onSession: (socket, number) => socket.write(`hello ${number} `) });
    const connection = connectTo(server);
    const stream = streamOf(connection);
    let read = '';
    stream.on('data', (chunk: Buffer) => (read += chunk.toString()));
    stream.write('one');
    await server.until(() => server.text(1).includes('one'));
    server.reset();
    await server.session(2);
    stream.write('two');
    await server.until(() => server.text(2).includes('two'));
    await until(() => read.includes('hello 2'));

    expect([read, stream.destroyed, server.text(2)]).toEqual(['hello 1 hello 2 ', false, 'two']);
  });

  test('passes its error only to the callback of the write that may be lost', async () => {
    const { connection, stream, link, script } = await scripted();
    link.connect();
    await settle();
    link.stalled = true;
    const lost = resultOf(stream, 'lost');
    const kept = [resultOf(stream, 'kept'), resultOf(stream, 'too')];
    const reset = payload(connection, 'reset');
    link.fail();
    expect((await reset).uncertain).toEqual({ writes: 1, bytes: 4 });
    await until(() => script.links.length === 2);
    script.last.connect();

    expect(await lost).toEqual(withCode('ERR_DELIVERY_UNCERTAIN'));
    expect(await Promise.all(kept)).toEqual([undefined, undefined]);
    expect([script.last.written, stream.errored]).toEqual([['kepttoo'], null]);
  });

  test('passes its error to the callback of each of the joined writes', async () => {
    const { stream, link, script } = await scripted();
    link.connect().stalled = true;
    const results = ['first', 'second ', 'third'].map((text) => resultOf(stream, text));
    await settle();
    link.fail();
    await until(() => script.links.length === 2);
    script.last.connect().stalled = true;
    await until(() => script.last.written.length === 1);
    script.last.fail();

    const uncertain = withCode('ERR_DELIVERY_UNCERTAIN');
    expect([link.written, script.links[1]!.written]).toEqual([['first'], ['second third']]);
    expect(await Promise.all(results)).toEqual([uncertain, uncertain, uncertain]);
  });

  test('with onReset `end` ends the stream and the connection', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('all') });
    const connection = connectTo(server);
    const sink = new Sink();
    await pipeline(connection.toDuplex({ onReset: 'end' }), sink);

    expect(Buffer.concat(sink.chunks).toString()).toBe('all');
    expect([connection.state, connection.generation, listeners(connection)]).toEqual(['closed', 1, 0]);
  });

  test('with onReset `destroy` destroys the stream and the connection', async () => {
    const { connection, stream, link } = await scripted({}, { onReset: 'destroy' });
    link.connect();
    await settle();
    const error = once(stream, 'error');
    link.fail('EPIPE');

    expect(await error).toEqual([expect.objectContaining({ code: 'ERR_SESSION_ENDED', cause: withCode('EPIPE') })]);
    expect([connection.state, listeners(connection)]).toEqual(['closed', 0]);
  });

  test('with onReset `destroy` at the end of the lifecycle ends the stream without an error', async () => {
    const server = await Loopback.start({ echo: true });
    const sink = new Sink();
    await pipeline(Readable.from(['hello']), connectTo(server).toDuplex({ onReset: 'destroy' }), sink);

    expect(Buffer.concat(sink.chunks).toString()).toBe('hello');
  });

  test('keeps the writes in order, and sends none twice, with a full queue and a failing server', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: 300 }, minUptime: 0 });
    const stream = streamOf(connection);
    const results: Promise<unknown>[] = [];
    const count = 2_000;
    for (let index = 0; index < count; index++) {
      results.push(resultOf(stream, `${String(index).padStart(9)};`));
      // The connection's own write() uses the queue too.
      if (index % 100 === 0) connection.write('#'.repeat(10));
      if (index % 200 === 99) await results.at(-1);
      if (index % 200 === 199) {
        await connection.whenOpen();
        const reset = payload(connection, 'reset');
        connection.socket?.resetAndDestroy();
        await reset;
      }
      if (stream.writableNeedDrain) await once(stream, 'drain');
    }
    stream.end();
    await once(stream.resume(), 'close');
    const errors = await Promise.all(results);
    // The last write of a session may have arrived in part.
    const arrived = server.sockets.flatMap((_socket, index) =>
      (server.text(index + 1).match(/[ \d]{9}(?=;)/g) ?? []).map(Number),
    );

    const certain = errors.flatMap((error, index) => (error === undefined ? [index] : []));
    expect(connection.generation).toBeGreaterThan(9);
    expect(certain.length).toBeGreaterThan(count / 4);
    expect(certain.length).toBeLessThan(count);
    expect(errors.filter((error) => error !== undefined)).toEqual(
      errors.flatMap((error) => (error === undefined ? [] : [withCode('ERR_DELIVERY_UNCERTAIN')])),
    );
    expect(arrived).toEqual([...new Set(arrived)].sort((one, other) => one - other));
  });
});

describe('the end', () => {
  test('by end() waits for every write, disconnects, and finishes', async () => {
    const { connection, stream, link } = await scripted();
    const finished = once(stream, 'finish');
    stream.end('last words');
    await settle();
    // There is no session yet.
    expect(connection.state).toBe('connecting');
    link.connect();
    await settle();
    expect([connection.state, link.writableEnded]).toEqual(['closing', true]);
    link.receive('farewell');
    link.finish();
    await finished;

    expect([link.written, connection.state, String(stream.read())]).toEqual([['last words'], 'closed', 'farewell']);
    await once(stream.resume(), 'close');
    expect([stream.errored, listeners(connection)]).toEqual([null, 0]);
  });

  test('by destroy() destroys the connection', async () => {
    const { connection, stream, link } = await scripted();
    link.connect();
    await settle();
    const closed = once(stream, 'close');
    const end = payload(connection, 'close');
    stream.destroy();
    await closed;

    expect(await end).toEqual({ reason: 'destroyed' });
    expect([link.destroyed, listeners(connection)]).toEqual([true, 0]);
  });

  test('by disconnect() of the connection comes after the received data', async () => {
    const { connection, stream, link } = await scripted();
    link.connect();
    await settle();
    link.receive('the rest');
    await settle();
    void connection.disconnect();
    link.finish();
    let text = '';
    for await (const chunk of stream) text += String(chunk);

    expect([text, stream.errored]).toEqual(['the rest', null]);
  });

  test('by destroy() of the connection is a premature close for a pipeline', async () => {
    const { connection, stream, link } = await scripted();
    link.connect();
    await settle();
    const piped = pipeline(stream, new Sink());
    connection.destroy();

    await expect(piped).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
  });

  test('by giving up is an error', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { maxRetries: 1 });
    const piped = pipeline(Readable.from(['hello']), connection.toDuplex(), new Sink());

    await expect(piped).rejects.toMatchObject({ code: 'ERR_GAVE_UP' });
    expect(listeners(connection)).toBe(0);
  });

  test('fails the waiting writes, also those that the queue had no room for', async () => {
    const { connection, stream } = await scripted({ queue: { maxBytes: 0 } });
    const error = resultOf(stream, 'hello');
    await settle();
    await connection.disconnect();

    expect(await error).toEqual(withCode('ERR_CLOSED'));
    expect(stream.destroyed).toBe(true);
  });

  test('is not caused by an expired write: its callback receives the error', async () => {
    const { connection, stream, link } = await scripted({ queue: { maxAge: 20 } });
    expect(await resultOf(stream, 'old')).toEqual(withCode('ERR_EXPIRED'));
    link.connect();
    await settle();

    expect([await resultOf(stream, 'new'), link.written, connection.state]).toEqual([undefined, ['new'], 'open']);
  });

  test('is not caused by a write that was cleared from the queue, or dropped from it for a newer one', async () => {
    const { connection, stream, link } = await scripted({ queue: { maxBytes: 4, overflow: 'drop-oldest' } });
    const cleared = resultOf(stream, 'old');
    expect(connection.clearQueue()).toEqual({ writes: 1, bytes: 3 });
    expect(await cleared).toEqual(withCode('ERR_CLEARED'));
    const dropped = resultOf(stream, 'old');
    connection.write('new');
    expect(await dropped).toEqual(withCode('ERR_QUEUE_FULL'));
    link.connect();
    await settle();

    expect([await resultOf(stream, 'more'), link.written]).toEqual([undefined, ['new', 'more']]);
  });

  test('comes at once when the connection is closed', async () => {
    const { connection } = await scripted();
    await connection.disconnect();
    const stream = streamOf(connection);
    expect(stream.read()).toBeNull();
    await once(stream.resume(), 'close');
    // The stream does not affect the next lifecycle.
    connection.connect();
    stream.destroy();
    await settle();
    expect([connection.state, listeners(connection)]).toEqual(['connecting', 0]);
  });

  test('by a break out of a loop over the stream destroys it, like any stream', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hello') });
    const connection = connectTo(server);
    const end = payload(connection, 'close');
    for await (const chunk of connection.toDuplex()) {
      expect(String(chunk)).toBe('hello');
      break;
    }

    expect(await end).toEqual({ reason: 'destroyed' });
  });
});
