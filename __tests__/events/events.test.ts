import { getEventListeners, on, once } from 'node:events';

import type { BackoffInfo, ReconnectingConnection } from 'reconnecting-connection';

import { Loopback, connectTo, serveElsewhere } from '../kit/loopback';
import { EVENTS } from '../kit/record';

// `events.once()` and `events.on()` of Node need `on`, `off`, `pause()` and `resume()`, and work with any emitter that has them.

const listeners = (connection: ReconnectingConnection): number =>
  EVENTS.reduce((sum, event) => sum + connection.listenerCount(event), 0);

describe('events.once()', () => {
  test('resolves with the arguments of the event', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    expect(await once(connection, 'open')).toEqual([expect.objectContaining({ generation: 1 })]);
    const state = once(connection, 'state');
    const closed = once(connection, 'close');
    connection.destroy();

    expect(await state).toEqual(['closed', 'open']);
    expect(await closed).toEqual([{ reason: 'destroyed' }]);
    expect(listeners(connection)).toBe(0);
  });

  test('rejects when its signal is aborted, and leaves no listener', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const controller = new AbortController();
    const waiting = once(connection, 'close', { signal: controller.signal });
    await connection.whenOpen();
    controller.abort(new Error('enough'));

    await expect(waiting).rejects.toMatchObject({ name: 'AbortError', cause: new Error('enough') });
    expect([connection.state, listeners(connection)]).toEqual(['open', 0]);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });
});

describe('events.on()', () => {
  test('iterates an event until the event named by `close`', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { maxRetries: 3 });
    const attempts: number[] = [];
    // `as`: Node types the yielded values as `any[]`.
    const waits = on(connection, 'backoff', { close: ['close'] }) as AsyncIterable<[BackoffInfo]>;
    for await (const [{ attempt }] of waits) attempts.push(attempt);

    expect([attempts, connection.state]).toEqual([[1, 2, 3], 'closed']);
    expect(listeners(connection)).toBe(0);
  });

  test('leaves no listener when its loop ends by a break or by a signal', async () => {
    const server = await Loopback.start({ echo: true });
    const connection = connectTo(server);
    connection.write('hello');
    for await (const [chunk] of on(connection, 'data')) {
      expect(String(chunk)).toBe('hello');
      break;
    }
    expect(listeners(connection)).toBe(0);
    const controller = new AbortController();
    const loop = async () => {
      for await (const args of on(connection, 'data', { signal: controller.signal })) throw new Error(String(args));
    };
    const ended = loop();
    controller.abort();

    await expect(ended).rejects.toMatchObject({ name: 'AbortError' });
    expect([connection.state, listeners(connection)]).toEqual(['open', 0]);
  });

  test('with a high-water mark pauses the connection while its loop is slow', async () => {
    const connection = connectTo(
      await serveElsewhere(`const bytes = Buffer.alloc(65536); const flood = () => { while (socket.write(bytes)); };
        socket.on('drain', flood); flood();`),
    );
    const pause = jest.spyOn(connection, 'pause');
    const resume = jest.spyOn(connection, 'resume');
    let [taken, most] = [0, 0];
    const options = { highWaterMark: 4, lowWaterMark: 1, close: ['close'] };
    for await (const [chunk] of on(connection, 'data', options) as AsyncIterable<[Buffer]>) {
      taken += chunk.length;
      for (let tick = 0; tick < 3; tick++) await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, connection.stats.bytesReceived - taken);
      if (taken > 10_000_000) break;
    }

    // Four chunks, and the buffer of the socket's own stream.
    expect(most).toBeLessThan(700_000);
    expect(pause.mock.calls.length).toBeGreaterThan(10);
    expect(resume.mock.calls.length).toBeGreaterThan(10);
    expect(listeners(connection)).toBe(0);
  });
});
