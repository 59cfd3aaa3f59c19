import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import type { Socket } from 'node:net';

import type { ConnectionSession, ReconnectingConnection, ResetInfo } from 'reconnecting-connection';
import split2 from 'split2';

import { kill, trackProcess } from '../kit/clean-up';
import { Loopback, connectTo, next, payload, serveElsewhere, track } from '../kit/loopback';
import { EVENTS, names, record } from '../kit/record';
import { ScriptedDial, settle } from '../kit/scripted';
import { until } from '../kit/until';

const lines = () => split2();

/** Everything that a session still yields, as text. */
async function textOf(session: ConnectionSession): Promise<string> {
  let text = '';
  for await (const chunk of session) text += chunk.toString('latin1');
  return text;
}

/** The first session that `sessions` yields. */
async function first<Chunk>(
  sessions: AsyncIterator<ConnectionSession<Chunk>, undefined>,
): Promise<ConnectionSession<Chunk>> {
  const { value } = await sessions.next();
  if (value === undefined) throw new Error('There are no more sessions');
  return value;
}

const listeners = (connection: ReconnectingConnection): number =>
  EVENTS.reduce((sum, event) => sum + connection.listenerCount(event), 0);

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

describe('a loop over sessions()', () => {
  test('yields every session with its number, and a loop over a session ends when it is lost', async () => {
    const server = await Loopback.start({ onSession: (socket, number) => socket.end(`hello ${number}`) });
    const connection = connectTo(server);
    const seen: unknown[] = [];
    const read: ConnectionSession[] = [];
    for await (const session of connection.sessions()) {
      read.push(session);
      const text = await textOf(session);
      const { generation, reason, willRetry } = await session.ended;
      seen.push([session.generation, session.info.reopened, text, generation, reason, willRetry]);
      if (session.generation === 3) break;
    }

    expect(seen).toEqual([
      [1, false, 'hello 1', 1, 'peer-end', true],
      [2, true, 'hello 2', 2, 'peer-end', true],
      [3, true, 'hello 3', 3, 'peer-end', true],
    ]);
    // A session that was read to its end yields nothing more.
    expect(await Promise.all(read.map(textOf))).toEqual(['', '', '']);
  });

  test('yields messages where there is a decoder, and half a line never crosses a reset', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('one\ntwo\nthr') });
    const connection = connectTo<string>(server, { decoder: lines });
    const seen: string[] = [];
    for await (const session of connection.sessions()) {
      for await (const line of session) {
        seen.push(`${session.generation} ${line}`);
        if (line === 'two') server.latest.resetAndDestroy();
      }
      if (session.generation === 2) break;
    }

    expect(seen).toEqual(['1 one', '1 two', '2 one', '2 two']);
  });

  test('begins with the open session, and receives its data from the call on', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const socket = await server.meets(connection);
    socket.write('before');
    await next(connection, 'data');
    const sessions = connection.sessions();
    socket.end('after');
    const session = await first(sessions);

    expect([session.generation, await textOf(session)]).toEqual([1, 'after']);
    await sessions.return?.();
  });

  test('begins with the session that has just opened when called by an `open` listener', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('hello') });
    const connection = connectTo(server);
    const text = new Promise((resolve) => {
      connection.once('open', () => resolve(first(connection.sessions()).then(textOf)));
    });

    expect(await text).toBe('hello');
  });

  test('keeps what is received before the loop over the session begins', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('hello') });
    const connection = connectTo(server);
    const session = await first(connection.sessions());
    const { generation } = await session.ended;

    expect([generation, await textOf(session)]).toEqual([1, 'hello']);
    expect(await textOf(session)).toBe('');
  });

  test('goes on with the next session when its body calls reconnect()', async () => {
    const server = await Loopback.start({ onSession: (socket, number) => socket.write(`hello ${number}`) });
    const connection = connectTo(server);
    const seen: unknown[] = [];
    for await (const session of connection.sessions()) {
      for await (const chunk of session) {
        seen.push(chunk.toString());
        connection.reconnect();
      }
      seen.push((await session.ended).reason);
      if (session.generation === 2) break;
    }

    expect(seen).toEqual(['hello 1', 'forced', 'hello 2', 'forced']);
  });

  test('goes on when the server process is killed and restarted', async () => {
    const script = `
      const server = require('node:net').createServer((socket) => {
        socket.on('error', () => {});
        setInterval(() => socket.write(process.pid + '\\n'), 1);
      });
      server.listen(Number(process.argv[1]), '127.0.0.1', () => process.stdout.write(String(server.address().port)));`;
    const serve = async (port: number) => {
      const stdio = ['ignore', 'pipe', 'inherit'] as const;
      const child = trackProcess(spawn(process.execPath, ['-e', script, String(port)], { stdio: [...stdio] }));
      const [bound] = (await once(child.stdout, 'data')) as [Buffer];
      return { child, port: Number(bound) };
    };
    let server = await serve(0);
    const connection = connectTo<string>({ target: { port: server.port } }, { decoder: lines });
    const pids: number[] = [];
    for await (const session of connection.sessions()) {
      const { pid } = server.child;
      let count = 0;
      for await (const line of session) {
        if (Number(line) !== pid) throw new Error(`${line} in the session with ${String(pid)}`);
        if (++count === 20) await kill(server.child);
      }
      expect(['peer-end', 'error']).toContain((await session.ended).reason);
      pids.push(pid!);
      if (pids.length === 3) break;
      server = await serve(server.port);
    }

    expect(new Set(pids).size).toBe(3);
    expect(listeners(connection)).toBe(0);
  });

  test('throws for invalid options', () => {
    const connection = connectTo({ target: { port: 1 } }, { autoConnect: false });
    expect(() => connection.sessions({ highWaterMark: 0 })).toThrow(
      'Expected option `sessions.highWaterMark` to be an integer ≥ 1, got 0 (number)',
    );
    expect(() => connection.sessions({ signal: 1 as never })).toThrow(withCode('ERR_INVALID_OPTION'));
    expect(() => connection.sessions({ highWatermark: 1 } as never)).toThrow(withCode('ERR_INVALID_OPTION'));
    expect(listeners(connection)).toBe(0);
  });
});

describe('write() of a session', () => {
  test('sends in that session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const session = await first(connection.sessions());
    const error = await new Promise((resolve) => {
      expect(session.write('6162', 'hex')).toBe(true);
      session.write(new Uint8Array([99]), resolve);
    });
    await server.until(() => server.text(1).includes('abc'));

    expect(error).toBeUndefined();
    expect(() => session.write(1 as never)).toThrow(withCode('ERR_INVALID_CHUNK'));
    expect(() => session.write('a', { maxAge: -1 })).toThrow(withCode('ERR_INVALID_OPTION'));
    expect(() => session.write('a', 'utf8', 1 as never)).toThrow(withCode('ERR_INVALID_CHUNK'));
  });

  test('is refused after the session has ended, and not sent in the next', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const sessions = connection.sessions();
    const session = await first(sessions);
    const drops = record(connection, ['drop']);
    connection.reconnect();
    // Between the two sessions, and in the next one.
    const errors: unknown[] = [];
    expect(session.write('late ', (error) => errors.push(error))).toBe(false);
    const later = await first(sessions);
    expect(session.write('later ', 'utf8', (error) => errors.push(error))).toBe(false);
    expect(session.write('latest ')).toBe(false);
    later.write('in time');
    await server.until(() => server.text(2).includes('in time'));

    expect(errors).toEqual([withCode('ERR_SESSION_ENDED'), withCode('ERR_SESSION_ENDED')]);
    expect(drops).toEqual([
      ['drop', expect.objectContaining({ bytes: 7, reason: 'refused', error: withCode('ERR_SESSION_ENDED') })],
    ]);
    expect(server.text()).toBe('in time');
    expect(connection.stats.writes).toMatchObject({ accepted: { writes: 1 }, refused: { writes: 3 } });
  });

  test('is refused where handing over what came before it breaks the session, and does not wait for the next', async () => {
    const script = new ScriptedDial();
    const connection = connectTo({ target: { port: 1 } }, { dial: script.dial });
    await settle();
    const link = script.last.connect();
    const session = await first(connection.sessions());
    session.write('a');
    link._write = () => link.destroy();
    session.write('b');
    const refused = new Promise((resolve) => session.write(['c', Buffer.alloc(20_000)], resolve));
    expect(await refused).toEqual(withCode('ERR_SESSION_ENDED'));
    expect(connection.stats.writes).toMatchObject({ accepted: { writes: 2 }, queued: { writes: 0 } });
  });

  test('is refused after the peer’s FIN, when the connection’s write() waits for the next session', async () => {
    const script = new ScriptedDial();
    const connection = connectTo({ target: { port: 1 } }, { dial: script.dial });
    await settle();
    const link = script.last.connect();
    const session = await first(connection.sessions());
    // A write in progress keeps the session open after the peer's end.
    link.stalled = true;
    connection.write('in progress');
    link.finish();
    await settle();
    expect([connection.state, link.writable]).toEqual(['open', false]);
    const error = new Promise((resolve) => session.write('late', resolve));
    connection.write('for the next');

    expect(await error).toEqual(withCode('ERR_SESSION_ENDED'));
    expect(connection.stats.writes).toMatchObject({ queued: { writes: 2 }, refused: { writes: 1 } });
  });

  test('is refused after disconnect()', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const connection = connectTo(server);
    const session = await first(connection.sessions());
    void connection.disconnect();
    expect(connection.state).toBe('closing');
    const error = await new Promise((resolve) => session.write('late', resolve));

    expect(error).toEqual(withCode('ERR_SESSION_ENDED'));
  });
});

describe('a loop that is left', () => {
  test('over a session: another loop goes on with the next chunk', async () => {
    const server = await Loopback.start();
    const connection = connectTo<string>(server, { decoder: lines });
    const session = await first(connection.sessions<string>());
    const socket = await server.meets(connection);
    const seen: string[] = [];
    socket.write('1\n2\n3\n');
    for await (const line of session) {
      seen.push(line);
      if (line === '2') break;
    }
    seen.push('again');
    socket.end('4\n');
    for await (const line of session) seen.push(line);

    expect(seen).toEqual(['1', '2', 'again', '3', '4']);
  });

  test.each(['break', 'throw'])(
    'over sessions by `%s`: removes its listeners, and the connection is not paused',
    async (how) => {
      const server = await Loopback.start();
      const connection = connectTo(server);
      const socket = await server.meets(connection);
      let caught: unknown;
      const leave = async () => {
        for await (const session of connection.sessions({ highWaterMark: 1 })) {
          socket.write('much');
          await until(() => connection.stats.bytesReceived === 4);
          if (how === 'throw') throw new Error(`in session ${session.generation}`);
          break;
        }
      };
      await leave().catch((error: unknown) => (caught = error));

      expect(caught).toEqual(how === 'throw' ? new Error('in session 1') : undefined);
      expect([connection.state, listeners(connection)]).toEqual(['open', 0]);
      const data = payload(connection, 'data');
      socket.write('more');
      expect((await data).toString()).toBe('more');
    },
  );

  test('over sessions: another loop over the session is rejected', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const sessions = connection.sessions();
    const session = await first(sessions);
    const text = textOf(session);
    await sessions.return?.();

    await expect(text).rejects.toEqual(withCode('ERR_SESSION_ENDED'));
    await expect(textOf(session)).rejects.toThrow('The loop over the sessions has ended');
    expect(await sessions.next()).toEqual({ value: undefined, done: true });
  });

  test('by return() while a next() is pending: the next() resolves, and the next loop gets all chunks', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const sessions = connection.sessions();
    const session = await first(sessions);
    const loop = session[Symbol.asyncIterator]();
    const waiting = loop.next();
    await loop.return?.();
    expect(await waiting).toEqual({ value: undefined, done: true });
    expect(await loop.next()).toEqual({ value: undefined, done: true });
    const text = textOf(session);
    server.latest.end('whole');
    expect(await text).toBe('whole');

    const nothing = sessions.next();
    await sessions.return?.();
    expect(await nothing).toEqual({ value: undefined, done: true });
  });

  test('over sessions: `ended` of its session still resolves, before and after the reset', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    let kept!: ConnectionSession;
    for await (const session of connection.sessions()) {
      kept = session;
      break;
    }
    const before = kept.ended;
    expect([listeners(connection), kept.ended]).toEqual([1, before]);
    server.latest.resetAndDestroy();
    expect(await before).toMatchObject({ generation: 1, reason: 'error', error: { code: 'ECONNRESET' } });
    expect(listeners(connection)).toBe(0);

    for await (const session of connection.sessions()) {
      kept = session;
      break;
    }
    connection.reconnect();
    await payload(connection, 'open');
    expect(await kept.ended).toMatchObject({ generation: 2, reason: 'forced' });
    expect(listeners(connection)).toBe(0);
  });
});

describe('a session that opens while the loop is busy', () => {
  test('is not read, and is whole when the loop asks for it', async () => {
    const server = await Loopback.start({ onSession: (socket, number) => socket.end(`session ${number}`) });
    const connection = connectTo(server);
    const sessions = connection.sessions();
    await (
      await first(sessions)
    ).ended;
    // The loop has not asked for the next session yet.
    const events = record(connection, ['data', 'reset']);
    await until(() => connection.stats.bytesReceived === 'session 1session 2'.length);
    await settle();
    expect([connection.state, connection.generation, server.accepted, events]).toEqual(['open', 2, 2, []]);
    const session = await first(sessions);

    expect([session.generation, await textOf(session)]).toEqual([2, 'session 2']);
    await sessions.return?.();
  });

  test('is skipped when it is lost meanwhile', async () => {
    const server = await Loopback.start({ onSession: (socket, number) => number === 3 && socket.end('third') });
    const connection = connectTo(server);
    const sessions = connection.sessions();
    await first(sessions);
    for (const generation of [2, 3]) {
      const open = payload(connection, 'open');
      connection.reconnect();
      expect(await open).toMatchObject({ generation });
    }
    const session = await first(sessions);

    expect([session.generation, await textOf(session)]).toEqual([3, 'third']);
  });

  test('is skipped when the lifecycle ends meanwhile', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const sessions = connection.sessions();
    await first(sessions);
    const open = payload(connection, 'open');
    connection.reconnect();
    await open;
    connection.destroy();

    expect(await sessions.next()).toEqual({ value: undefined, done: true });
  });

  test('discards the last session when the loop asks for it, unless a loop over the last session is in use', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const sessions = connection.sessions({ highWaterMark: 1 });
    const unread = await first(sessions);
    server.latest.write('unread');
    await until(() => connection.stats.bytesReceived === 6);
    const waiting = first(sessions);
    // The connection is not paused any more, so the peer's end is read.
    server.latest.end('nor this');
    const read = await waiting;
    const loop = unread[Symbol.asyncIterator]();
    await expect(loop.next()).rejects.toThrow('Session 1 was discarded when the loop asked for the next one');
    const text = textOf(read);
    const after = first(sessions);
    server.latest.end('all of it');

    expect([await text, (await after).generation]).toEqual(['all of it', 3]);
  });
});

describe('a slow loop', () => {
  /** The largest number of bytes received and not yet taken, while a slow loop takes `wanted` bytes. */
  async function backlogOf(connection: ReconnectingConnection, chunks: AsyncIterable<Buffer | string>, wanted: number) {
    let [taken, most] = [0, 0];
    for await (const chunk of chunks) {
      taken += chunk.length;
      for (let tick = 0; tick < 3; tick++) await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, connection.stats.bytesReceived - taken);
      if (taken >= wanted) return most;
    }
    throw new Error('It ended');
  }

  const FLOOD = `const bytes = Buffer.alloc(65_600, 'x'.repeat(99) + '\\n'); const flood = () => { while (socket.write(bytes)); };
    socket.on('drain', flood); flood();`;

  test('over bytes pauses the connection: the memory stays bounded', async () => {
    const connection = connectTo(await serveElsewhere(FLOOD));
    const session = await first(connection.sessions({ highWaterMark: 100_000 }));
    const most = await backlogOf(connection, session, 20_000_000);

    // The mark, the chunk that reached it, and the buffer of the socket's own stream.
    expect(most).toBeGreaterThan(60_000);
    expect(most).toBeLessThan(400_000);
  });

  test('over messages pauses the connection too', async () => {
    const connection = connectTo<string>(await serveElsewhere(FLOOD), { decoder: lines });
    const session = await first(connection.sessions<string>());
    const most = await backlogOf(connection, session, 1_000_000);

    expect(most).toBeGreaterThan(60_000);
    expect(most).toBeLessThan(600_000);
  });

  test('gets the queued messages after the session has ended, and then ends', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('1\n2\n3\n4\n5\n') });
    const connection = connectTo<string>(server, { decoder: lines });
    const session = await first(connection.sessions<string>({ highWaterMark: 2 }));
    const seen: string[] = [];
    for await (const line of session) {
      seen.push(line);
      await settle();
    }

    expect(seen).toEqual(['1', '2', '3', '4', '5']);
  });

  test('does not pause the next session for unread chunks of the last', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const sessions = connection.sessions({ highWaterMark: 1 });
    const loop = (await first(sessions))[Symbol.asyncIterator]();
    const data = next(connection, 'data');
    server.latest.write('old');
    await data;
    connection.reconnect();
    const later = await first(sessions);
    (await server.meets(connection)).end('new');

    expect(await textOf(later)).toBe('new');
    expect(String((await loop.next()).value)).toBe('old');
  });

  test('gets each session in order from its first byte, and never mixes sessions', async () => {
    // Each line has the number of its socket and its position; the peer ends after any of them.
    const server = await Loopback.start({
      onSession: (socket: Socket, number) => {
        for (let line = 0; line < 20 + number; line++) socket.write(`${number} ${line}\n`);
        if (number % 3 === 0) socket.resetAndDestroy();
        else socket.end('cut');
      },
    });
    const connection = connectTo<string>(server, { decoder: lines, minUptime: 0 });
    const sockets: number[] = [];
    for await (const session of connection.sessions<string>({ highWaterMark: 3 })) {
      const seen: string[] = [];
      for await (const line of session) {
        if (line !== 'cut') seen.push(line);
        if (seen.length % 7 === 0) await settle();
      }
      // Bytes that an RST overtakes are lost.
      const number = Number(seen[0]?.split(' ')[0] ?? 0);
      expect(seen).toEqual(seen.map((_line, index) => `${number} ${index}`));
      if (number % 3 !== 0) expect(seen).toHaveLength(20 + number);
      if (number !== 0) sockets.push(number);
      if (session.generation >= 30) break;
    }

    expect(sockets.length).toBeGreaterThan(14);
    expect(sockets).toEqual([...new Set(sockets)].sort((one, other) => one - other));
  });

  test('gets copies of the chunks with reuseReadBuffer', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { reuseReadBuffer: true });
    const session = await first(connection.sessions());
    const socket = await server.meets(connection);
    for (const text of ['aa', 'bb']) {
      const data = next(connection, 'data');
      socket.write(text);
      await data;
    }
    socket.end();

    expect(await textOf(session)).toBe('aabb');
  });
});

describe('several loops', () => {
  test('over sessions each get every session and every chunk, at the pace of the slowest', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const [slow, fast] = await Promise.all([
      first(connection.sessions({ highWaterMark: 1 })),
      first(connection.sessions()),
    ]);
    const socket = await server.meets(connection);
    const slowly = slow[Symbol.asyncIterator]();
    const text = textOf(fast);
    const data = next(connection, 'data');
    socket.write('one ');
    await data;
    const events = record(connection, ['data']);
    socket.write('two ');
    await settle();
    expect(events).toEqual([]);
    expect((await slowly.next()).value?.toString()).toBe('one ');
    expect((await slowly.next()).value?.toString()).toBe('two ');
    socket.end();

    expect([await text, await slowly.next()]).toEqual(['one two ', { value: undefined, done: true }]);
  });

  test('that are left do not resume what another loop, or the application, has paused', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server).pause();
    const socket = await server.meets(connection);
    for await (const session of connection.sessions()) {
      expect(session.generation).toBe(1);
      break;
    }
    const events = record(connection, ['data']);
    socket.write('paused');
    await until(() => connection.stats.bytesReceived > 0);
    await settle();
    expect(events).toEqual([]);
    const session = await first(connection.sessions({ highWaterMark: 1 }));
    connection.resume();
    await until(() => events.length === 1);
    connection.pause().resume();
    socket.write('paused by the loop');
    await settle();
    expect(names(events)).toEqual(['data']);
    const data = next(connection, 'data');
    await session[Symbol.asyncIterator]().next();
    await data;
  });

  test('over one session share its chunks', async () => {
    const server = await Loopback.start();
    const connection = connectTo<string>(server, { decoder: lines });
    const session = await first(connection.sessions<string>());
    const [one, other] = [session[Symbol.asyncIterator](), session[Symbol.asyncIterator]()];
    const both = Promise.all([one.next(), other.next()]);
    server.latest.end('1\n2\n');

    expect((await both).map(({ value }) => value)).toEqual(['1', '2']);
    expect(await Promise.all([one.next(), other.next()])).toEqual([
      { value: undefined, done: true },
      { value: undefined, done: true },
    ]);
  });
});

describe('a signal', () => {
  test('rejects a pending next(), and the connection stays open', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const controller = new AbortController();
    const { signal } = controller;
    const sessions = connection.sessions({ signal });
    await first(sessions);
    const waiting = sessions.next();
    const later = sessions.next();
    controller.abort(new Error('cancelled'));

    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: new Error('cancelled') });
    expect(await later).toEqual({ value: undefined, done: true });
    expect(await sessions.next()).toEqual({ value: undefined, done: true });
    expect([connection.state, listeners(connection), getEventListeners(signal, 'abort').length]).toEqual([
      'open',
      0,
      0,
    ]);
  });

  test('rejects the loop over a session, and so the loop over the sessions', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hello') });
    const connection = connectTo(server);
    const controller = new AbortController();
    const loop = async () => {
      for await (const session of connection.sessions({ signal: controller.signal })) {
        for await (const chunk of session) if (chunk.toString() === 'hello') controller.abort();
      }
    };

    await expect(loop()).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: { name: 'AbortError' } });
    expect([connection.state, listeners(connection)]).toEqual(['open', 0]);
  });

  test('aborted before the call: next() is rejected, and no listener is added', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    const sessions = connection.sessions({ signal: AbortSignal.abort() });

    expect(listeners(connection)).toBe(0);
    await expect(sessions.next()).rejects.toEqual(withCode('ERR_ABORTED'));
    expect(await sessions.next()).toEqual({ value: undefined, done: true });
  });

  test('has no listener after the loop is left', async () => {
    const connection = connectTo(await Loopback.start());
    const { signal } = new AbortController();
    for await (const session of connection.sessions({ signal })) {
      expect([session.generation, getEventListeners(signal, 'abort').length]).toEqual([1, 1]);
      break;
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('the end of the lifecycle', () => {
  test.each(['disconnect', 'destroy'] as const)('ends the loop without an error after %s()', async (how) => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const resets: ResetInfo[] = [];
    for await (const session of connection.sessions()) {
      void connection[how]();
      for await (const chunk of session) throw new Error(`Received ${chunk.toString()}`);
      resets.push(await session.ended);
    }

    expect(resets).toMatchObject([{ generation: 1, willRetry: false }]);
    expect([connection.state, listeners(connection)]).toEqual(['closed', 0]);
  });

  test('by giving up rejects the first pending next(), and resolves the others', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { maxRetries: 1 });
    const sessions = connection.sessions();
    const waiting = [sessions.next(), sessions.next()] as const;

    await expect(waiting[0]).rejects.toMatchObject({ code: 'ERR_GAVE_UP', cause: { code: 'ECONNREFUSED' } });
    expect(await waiting[1]).toEqual({ value: undefined, done: true });
    expect(listeners(connection)).toBe(0);
    // A later loop gets the same error.
    await expect(connection.sessions().next()).rejects.toEqual(withCode('ERR_GAVE_UP'));
  });

  test('by the connection’s own signal is thrown when the loop asks for the next session', async () => {
    const server = await Loopback.start();
    const controller = new AbortController();
    const connection = track(connectTo(server, { signal: controller.signal }));
    const loop = async () => {
      for await (const session of connection.sessions()) {
        controller.abort();
        expect(await session.ended).toMatchObject({ reason: 'aborted' });
      }
    };

    await expect(loop()).rejects.toEqual(withCode('ERR_ABORTED'));
  });

  test('ends a loop over a closed connection at once, unless it is starting again', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.disconnect();
    expect(await connection.sessions().next()).toEqual({ value: undefined, done: true });
    connection.connect();

    expect((await first(connection.sessions())).generation).toBe(1);
  });
});
