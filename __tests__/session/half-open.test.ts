import { once } from 'node:events';

import split2 from 'split2';

import { loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, pair, payload, track } from '../kit/loopback';
import { until } from '../kit/until';

const HALF_OPEN = { socket: { allowHalfOpen: true } } as const;

/** A server that says its piece, ends its side, and reads on. */
function sayingItsPiece(options: Parameters<typeof Loopback.start>[0] = {}): Promise<Loopback> {
  return Loopback.start({ allowHalfOpen: true, onSession: (socket) => socket.end('goodbye'), ...options });
}

describe('allowHalfOpen', () => {
  test.each(['tcp', 'tls'])('lets the session go on for writes, until `disconnect()` ends it (%s)', async (kind) => {
    const { server: pem, ca } = await loadCertificates();
    const server = await sayingItsPiece(kind === 'tls' ? { tls: pem } : {});
    const connection = connectTo(server, { ...HALF_OPEN, ...(kind === 'tls' && { tls: { ca: ca.cert } }) });
    expect((await payload(connection, 'data')).toString()).toBe('goodbye');
    await until(() => connection.socket?.readableEnded === true);
    for (let line = 0; line < 50; line++) connection.write(`${line};`);
    await server.until(() => server.text(1).endsWith('49;'));
    expect(connection).toMatchObject({ state: 'open', generation: 1 });
    const reset = payload(connection, 'reset');
    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
    expect(await reset).toMatchObject({ reason: 'disconnected', uncertain: { writes: 0 } });
  });

  test('is not asked whether the peer is alive after its end: it can say nothing any more', async () => {
    const server = await sayingItsPiece();
    const ping = jest.fn();
    const connection = connectTo(server, { ...HALF_OPEN, idleTimeout: 40, heartbeat: { interval: 40, ping } });
    await payload(connection, 'data');
    await until(() => connection.socket?.readableEnded === true);
    ping.mockClear();
    const since = performance.now();
    await until(() => performance.now() - since > 200);
    expect([connection.state, connection.generation, ping.mock.calls.length]).toEqual(['open', 1, 0]);
  });

  test('finds a peer that stops reading as well by `writeTimeout`', async () => {
    const server = await sayingItsPiece();
    const connection = connectTo(server, { ...HALF_OPEN, writeTimeout: 100, queue: { maxBytes: 32_000_000 } });
    await payload(connection, 'data');
    server.mute();
    connection.write(Buffer.alloc(20_000_000));
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'stalled' });
  });

  test('ends with the session when that breaks, which a write shows', async () => {
    const server = await sayingItsPiece();
    const connection = connectTo(server, HALF_OPEN);
    await payload(connection, 'data');
    await until(() => connection.socket?.readableEnded === true);
    server.reset();
    const timer = setInterval(() => connection.write('still there?'), 10);
    track({ destroy: () => clearInterval(timer) });
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error' });
  });

  test('by default the session ends with the peer’s end, after what was written before', async () => {
    const server = await sayingItsPiece();
    const connection = connectTo(server);
    const reset = payload(connection, 'reset');
    connection.write('before');
    expect(await reset).toMatchObject({ reason: 'peer-end', uncertain: { writes: 0 } });
    await server.until(() => server.text(1) === 'before');
  });

  test('needs a stream from `dial` that allows it too', async () => {
    const [near, far] = pair();
    const connection = connectTo({ target: { port: 1 } }, { ...HALF_OPEN, dial: () => near });
    await connection.whenOpen();
    far.end('goodbye');
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'peer-end' });
  });

  test('ends the loop over the chunks of a session, which can still be written to', async () => {
    const server = await sayingItsPiece();
    const connection = connectTo(server, HALF_OPEN);
    for await (const session of connection.sessions()) {
      const heard: string[] = [];
      for await (const chunk of session) heard.push(chunk.toString());
      expect(heard).toEqual(['goodbye']);
      session.write('and good night');
      await server.until(() => server.text(1) === 'and good night');
      break;
    }
  });

  test('ends it too where the loop begins after the peer’s end', async () => {
    const server = await sayingItsPiece();
    const connection = connectTo(server, HALF_OPEN);
    await payload(connection, 'data');
    await until(() => connection.socket?.readableEnded === true);
    for await (const session of connection.sessions()) {
      for await (const chunk of session) throw new Error(`There was ${chunk.toString()}`);
      break;
    }
  });

  test('ends the messages of a session behind the last of them', async () => {
    const server = await sayingItsPiece({ onSession: (socket) => socket.end('one\ntwo') });
    const connection = connectTo<string>(server, { ...HALF_OPEN, decoder: () => split2() });
    // What it says comes before the loop begins.
    await until(() => connection.socket?.readableEnded === true);
    for await (const session of connection.sessions()) {
      const heard: string[] = [];
      for await (const message of session) heard.push(message);
      expect(heard).toEqual(['one', 'two']);
      break;
    }
    expect(connection.state).toBe('open');
  });

  test.each(['end', 'destroy'] as const)('ends the reading side of a stream with onReset %p', async (onReset) => {
    const server = await sayingItsPiece();
    const connection = connectTo(server, HALF_OPEN);
    const stream = track(connection.toDuplex({ onReset }));
    let heard = '';
    stream.on('data', (chunk) => (heard += String(chunk)));
    await once(stream, 'end');
    expect(heard).toBe('goodbye');
    const closed = next(connection, 'close');
    stream.end('and good night');
    await closed;
    await server.until(() => server.text(1) === 'and good night');
  });
});
