import {
  type BackoffInfo,
  type CloseInfo,
  type Failure,
  type ReconnectingConnection,
  type ResetInfo,
  ConnectionPool,
} from 'reconnecting-connection';

import { Loopback, connectTo, next, payload, payloads, receives, track, written } from '../kit/loopback';
import { names, record } from '../kit/record';

const MANY = 64 * 1024 * 1024;

/** What all writes of a connection add up to. */
function balance(connection: ReconnectingConnection): { accepted: number; settled: number; queued: number } {
  const { accepted, confirmed, uncertain, dropped, queued } = connection.stats.writes;
  return {
    accepted: accepted.writes,
    settled: confirmed.writes + uncertain.writes + dropped.writes,
    queued: queued.writes,
  };
}

describe('open', () => {
  test('tells which session it is and where it came from', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const states: string[] = [];
    connection.on('open', () => states.push(connection.state));

    const info = await payload(connection, 'open');

    expect(info).toEqual({
      generation: 1,
      reopened: false,
      attempts: 1,
      downtime: 0,
      localAddress: '127.0.0.1',
      localPort: connection.socket?.localPort,
      remoteAddress: '127.0.0.1',
      remotePort: server.port,
    });
    expect(states).toEqual(['open']);
    expect(connection.tag).toBe(`127.0.0.1:${server.port}`);
  });

  test('comes once, after the states that lead there, and all listeners of the same tick hear it', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const heard = record(connection);
    expect(heard).toEqual([]);

    const info = await payload(connection, 'open');

    expect(heard).toEqual([
      ['state', 'connecting', 'idle'],
      ['state', 'open', 'connecting'],
      ['open', info],
    ]);
  });

  test('writes come back from an echo server, in order', async () => {
    const server = await Loopback.start({ echo: true });
    const connection = connectTo(server);
    await connection.whenOpen();

    connection.write('one ');
    connection.write(Buffer.from('two '));
    connection.write('dGhyZWU=', 'base64');

    expect(await receives(connection, 'three')).toBe('one two three');
  });

  test('a refused port is retried until somebody listens', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);

    const waits = await payloads(connection, 'backoff', 3);
    await server.accept();
    const info = await payload(connection, 'open');

    expect(waits.map(({ attempt, delay, reason }) => ({ attempt, delay, reason }))).toEqual([
      { attempt: 1, delay: 10, reason: 'error' },
      { attempt: 2, delay: 20, reason: 'error' },
      { attempt: 3, delay: 40, reason: 'error' },
    ]);
    expect(waits[0]?.error).toMatchObject({ code: 'ECONNREFUSED', port: server.port });
    expect(info).toMatchObject({ generation: 1, reopened: false, downtime: 0 });
    expect(info.attempts).toBeGreaterThanOrEqual(4);
  });

  test('C11 C12 an address that refuses gives way to the next one of the same name', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, {
      host: 'localhost',
      socket: {
        lookup: (_name, _options, callback) =>
          callback(null, [
            { address: '::1', family: 6 },
            { address: '127.0.0.1', family: 4 },
          ]),
      },
    });
    const heard = record(connection);

    const info = await payload(connection, 'open');

    expect(info).toMatchObject({ attempts: 1, remoteAddress: '127.0.0.1' });
    expect(names(heard)).not.toContain('backoff');
    expect(connection.tag).toBe(`localhost:${server.port}`);
  });

  test('C11 addresses that all refuse are one failed attempt, with a message that names them', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, {
      host: 'two.test',
      maxRetries: 1,
      socket: {
        lookup: (_name, _options, callback) =>
          callback(null, [
            { address: '127.0.0.1', family: 4 },
            { address: '::1', family: 6 },
          ]),
      },
    });
    const heard = record(connection, ['backoff', 'close']);

    const { error } = await payload(connection, 'backoff');
    await next(connection, 'close');

    expect(error?.message).toContain(`ECONNREFUSED 127.0.0.1:${server.port}`);
    expect(error?.message).toContain('::1');
    expect(names(heard)).toEqual(['backoff', 'close']);
  });

  test('C13 the name is looked up again for every attempt', async () => {
    const server = await Loopback.start();
    const answers = ['127.0.0.2', '127.0.0.1'];
    const connection = connectTo(server, {
      host: 'moving.test',
      socket: {
        autoSelectFamily: false,
        lookup: (_name, _options, callback) => callback(null, answers.shift() ?? '127.0.0.1', 4),
      },
    });

    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'error' });
    expect(await payload(connection, 'open')).toMatchObject({ attempts: 2, remoteAddress: '127.0.0.1' });
  });

  test('C6 connect() while it connects or is open makes no second connection', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    connection.connect();
    connection.connect();
    await connection.whenOpen();
    connection.connect();

    expect(await written(connection, 'hello')).toBeUndefined();
    await server.receives('hello');

    expect(server.accepted).toBe(1);
    expect(connection.stats).toMatchObject({ dials: 1, generation: 1 });
  });
});

describe('a lost session', () => {
  test('C39 a server that restarts gives one reset, a wait, and a second session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await server.meets(connection);
    const heard = record(connection);

    server.refuse();
    server.drop();
    await payloads(connection, 'backoff', 2);
    await server.accept();
    const info = await payload(connection, 'open');

    expect(info).toMatchObject({ generation: 2, reopened: true });
    expect(info.attempts).toBeGreaterThanOrEqual(2);
    expect(info.downtime).toBeGreaterThanOrEqual(28);
    const order = names(heard);
    expect(order.slice(0, 5)).toEqual(['state', 'reset', 'backoff', 'state', 'state']);
    expect(order.slice(-2)).toEqual(['state', 'open']);
    expect(order.filter((name) => name === 'reset' || name === 'open')).toEqual(['reset', 'open']);
    expect(order.filter((name) => name === 'backoff')).toHaveLength(info.attempts);
  });

  test('C40 a FIN gives one reset, without an error', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await server.meets(connection);
    const heard = record(connection, ['reset', 'open']);

    server.drop();
    const info = await payload(connection, 'open');

    expect(heard).toEqual([
      [
        'reset',
        {
          generation: 1,
          reason: 'peer-end',
          uptime: expect.any(Number) as number,
          willRetry: true,
          uncertain: { writes: 0, bytes: 0 },
        },
      ],
      ['open', info],
    ]);
  });

  test('C40 an RST gives one reset, with the error', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    await server.session(1);
    const heard = record(connection, ['reset', 'open']);

    server.reset();
    await next(connection, 'open');

    expect(names(heard)).toEqual(['reset', 'open']);
    expect(heard[0]?.[1]).toMatchObject({ reason: 'error', error: { code: 'ECONNRESET' }, willRetry: true });
  });

  test('each open has its reset, over many losses', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const heard = record(connection, ['open', 'reset', 'close']);
    for (let session = 1; session <= 12; session++) {
      await connection.whenOpen();
      await server.session(session);
      if (session % 2 === 0) server.drop();
      else server.reset();
      await next(connection, 'backoff');
    }
    await connection.whenOpen();
    await connection.disconnect();

    const generations = heard.slice(0, -1).map(([event, info]) => [event, (info as ResetInfo).generation]);
    expect(generations).toEqual(
      Array.from({ length: 13 }, (_, index) => [
        ['open', index + 1],
        ['reset', index + 1],
      ]).flat(),
    );
    expect(connection.stats).toMatchObject({ generation: 13, resets: 13, dials: 13, failures: 0 });
  });

  test('data before the peer’s FIN is delivered before the reset', async () => {
    const last = 'x'.repeat(500_000);
    const server = await Loopback.start({ onSession: (socket) => socket.end(`${last}end`) });
    const connection = connectTo(server);
    const heard = record(connection, ['data', 'reset']);

    await next(connection, 'reset');

    expect(Buffer.concat(heard.slice(0, -1).map(([, chunk]) => chunk as Buffer)).toString()).toBe(`${last}end`);
    expect(names(heard.slice(-1))).toEqual(['reset']);
  });

  test('C45 no byte of a session is heard after its reset', async () => {
    const server = await Loopback.start({
      onSession: (socket, number) => {
        const flood = () => {
          while (socket.writable && socket.write(String(number).repeat(10_000)));
        };
        socket.on('drain', flood);
        flood();
      },
    });
    const connection = connectTo(server);
    let generation = 0;
    const wrong: string[] = [];
    connection.on('open', (info) => (generation = info.generation));
    connection.on('reset', () => (generation = 0));
    connection.on('data', (chunk) => {
      if (chunk.some((byte) => byte !== 48 + generation)) wrong.push(chunk.toString('latin1', 0, 20));
    });

    for (let session = 1; session <= 5; session++) {
      await payloads(connection, 'data', 20);
      connection.reconnect();
    }
    await payloads(connection, 'data', 20);

    expect(wrong).toEqual([]);
    expect(generation).toBe(6);
  });

  test('C48 listeners stay, and addresses are those of the present session', async () => {
    const server = await Loopback.start({ echo: true });
    const connection = connectTo(server);
    const first = await payload(connection, 'open');
    await server.meets(connection);
    server.drop();
    const second = await payload(connection, 'open');

    expect(second.localPort).toBe(connection.socket?.localPort);
    expect(second.localPort).not.toBe(first.localPort);
    connection.write('still here');
    expect(await receives(connection, 'still here')).toBe('still here');
  });

  test('C49 socket options hold in every session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { socket: { allowHalfOpen: true, localAddress: '127.0.0.1' } });
    await server.meets(connection);
    const first = connection.socket;
    server.reset();
    await next(connection, 'open');

    expect(first?.allowHalfOpen).toBe(true);
    expect(connection.socket).not.toBe(first);
    expect(connection.socket?.allowHalfOpen).toBe(true);
  });

  test('C75 by default a session ends with its peer, and earlier writes still go out', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const connection = connectTo(server, { queue: { maxBytes: MANY } });
    await connection.whenOpen();
    const socket = await server.session(1);
    socket.pause();
    connection.write(Buffer.alloc(5_000_000, 'a'));
    const last = written(connection, 'last');

    socket.end();
    socket.resume();
    const reset = await payload(connection, 'reset');

    expect(await last).toBeUndefined();
    expect(reset).toMatchObject({ reason: 'peer-end', uncertain: { writes: 0 } });
    await server.until(() => server.text(1).includes('last'));
    expect(server.text(1)).toHaveLength(5_000_004);
  });

  test('a session whose peer ends and stops reading as well ends after closeTimeout', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const connection = connectTo(server, {
      closeTimeout: 100,
      queue: { maxBytes: MANY },
    });
    await connection.whenOpen();
    const socket = await server.session(1);
    server.mute();
    connection.write(Buffer.alloc(20_000_000));

    socket.end();
    const reset = await payload(connection, 'reset');

    expect(reset).toMatchObject({ reason: 'peer-end', uncertain: { writes: 1, bytes: 20_000_000 } });
    expect(reset.uptime).toBeGreaterThanOrEqual(98);
  });
});

describe('the wait', () => {
  const doubling = { backoff: { initialDelay: 10, maxDelay: 160, jitter: 'none' } } as const;

  test.each(['drop', 'reset'] as const)(
    'C25 keeps growing against a server that accepts and cuts (%s)',
    async (how) => {
      const server = await Loopback.start();
      server.flap({ how });
      const connection = connectTo(server, doubling);

      const waits = await payloads(connection, 'backoff', 5);

      expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80, 160]);
      expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5]);
    },
  );

  test('C25 keeps growing when the peer says something before it cuts', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('ERR max number of clients reached') });
    const connection = connectTo(server, doubling);
    const heard = record(connection, ['data']);

    const waits = await payloads(connection, 'backoff', 4);

    expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80]);
    expect(heard).toHaveLength(4);
  });

  test('C26 starts afresh after a session of minUptime', async () => {
    const server = await Loopback.start();
    server.flap();
    const connection = connectTo(server, { ...doubling, minUptime: 100 });
    const short = await payloads(connection, 'backoff', 3);
    server.flap({ after: 150 });
    const long = await payloads(connection, 'backoff', 2);

    expect(short.map(({ delay }) => delay)).toEqual([10, 20, 40]);
    expect(long.map(({ delay }) => delay)).toEqual([10, 10]);
  });

  test('C27 keeps growing when a session is shorter than the wait before it, whatever minUptime', async () => {
    const server = await Loopback.start();
    server.flap({ after: 30 });
    const connection = connectTo(server, { backoff: () => 200, minUptime: 0 });

    const waits = await payloads(connection, 'backoff', 3);

    expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  });

  test('C28 markHealthy() starts it afresh at the next loss', async () => {
    const server = await Loopback.start();
    server.flap();
    const connection = connectTo(server, doubling);
    const grown = await payloads(connection, 'backoff', 3);
    connection.on('open', () => connection.markHealthy());
    const vouched = await payloads(connection, 'backoff', 3);

    expect(grown.map(({ delay }) => delay)).toEqual([10, 20, 40]);
    expect(vouched.map(({ attempt, delay }) => [attempt, delay])).toEqual([
      [1, 10],
      [1, 10],
      [1, 10],
    ]);
  });

  test('C22 lasts at least as long as announced, seen from the server', async () => {
    const server = await Loopback.start();
    server.flap();
    const connection = connectTo(server, { ...doubling, socket: { noDelay: true } });
    const waits = await payloads(connection, 'backoff', 5);
    await next(connection, 'open');
    await server.session(6);

    const gaps = server.acceptedAt.slice(1).map((at, index) => at - server.acceptedAt[index]!);
    gaps.forEach((gap, index) => expect(gap).toBeGreaterThanOrEqual(waits[index]!.delay - 3));
  });

  test('C35 is announced when it begins, with the time it is due', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { backoff: () => 50 });
    const before = Date.now();
    const wait = await payload(connection, 'backoff');
    const announced = Date.now();
    const state = connection.state;
    await next(connection, 'state');

    expect(state).toBe('backoff');
    expect(wait.delay).toBe(50);
    expect(wait.retryAt).toBeGreaterThanOrEqual(before + 50);
    expect(wait.retryAt).toBeLessThanOrEqual(announced + 50);
    expect(Date.now()).toBeGreaterThanOrEqual(wait.retryAt - 2);
  });

  test('C36 is asked for with the attempt, the error and the wait before', async () => {
    const server = await Loopback.start();
    server.refuse();
    const contexts: { attempt: number; error?: Error; previousDelay?: number }[] = [];
    const connection = connectTo(server, { backoff: (context) => 10 + contexts.push({ ...context }) });

    await payloads(connection, 'backoff', 3);

    expect(contexts).toMatchObject([
      { attempt: 1, error: { code: 'ECONNREFUSED' } },
      { attempt: 2, error: { code: 'ECONNREFUSED' }, previousDelay: 11 },
      { attempt: 3, error: { code: 'ECONNREFUSED' }, previousDelay: 12 },
    ]);
    expect(contexts[0]).not.toHaveProperty('previousDelay');
  });

  test('C31 is never hot, and says so when the backoff function returns junk', async () => {
    const server = await Loopback.start();
    server.refuse();
    const answers = [NaN, 'soon', -1, Infinity] as number[];
    const connection = connectTo(server, {
      backoff: () => {
        if (answers.length === 3) throw new Error('no idea, sorry', { cause: answers.shift() });
        return answers.shift();
      },
    });
    const first = await payload(connection, 'backoff');
    connection.reconnect();
    const second = await payload(connection, 'backoff');
    connection.reconnect();
    const third = await payload(connection, 'backoff');
    connection.reconnect();
    const fourth = await payload(connection, 'backoff');

    expect(first).toMatchObject({ delay: 1_000, fault: { code: 'ERR_INVALID_OPTION' } });
    expect(second).toMatchObject({ delay: 1_000, fault: { message: 'no idea, sorry' } });
    expect(third).toMatchObject({ delay: 10, fault: { code: 'ERR_INVALID_OPTION' } });
    expect(fourth.delay).toBe(2 ** 31 - 1);
  });
});

describe('giving up', () => {
  test.each([0, 1, 3])('C33 after maxRetries: %i', async (maxRetries) => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { maxRetries });
    const heard = record(connection, ['open', 'backoff', 'close']);

    const info = await payload(connection, 'close');

    expect(names(heard)).toEqual([...Array<string>(maxRetries).fill('backoff'), 'close']);
    expect(info).toMatchObject({
      reason: 'max-retries',
      error: { code: 'ERR_GAVE_UP', cause: { code: 'ECONNREFUSED' }, tag: connection.tag },
    });
    expect(connection.stats.dials).toBe(maxRetries + 1);
  });

  test('when the next retry would come later than maxElapsed', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { backoff: () => 40, maxElapsed: 100 });
    const waits: BackoffInfo[] = [];
    connection.on('backoff', (info) => waits.push(info));

    const info = await payload(connection, 'close');

    expect(info).toMatchObject({ reason: 'max-elapsed', error: { code: 'ERR_GAVE_UP' } });
    expect(waits.length).toBeGreaterThanOrEqual(1);
    expect(waits.length).toBeLessThanOrEqual(2);
  });

  test('when shouldRetry says so, of a session as of an attempt', async () => {
    const server = await Loopback.start();
    server.refuse();
    const failures: Failure[] = [];
    const connection = connectTo(server, {
      shouldRetry: (failure) => {
        failures.push(failure);
        return failure.reason !== 'peer-end';
      },
    });
    await next(connection, 'backoff');
    await server.accept();
    await server.meets(connection);
    const heard = record(connection);
    server.drop();

    const info = await payload(connection, 'close');

    expect(info).toMatchObject({ reason: 'not-retryable', error: { code: 'ERR_GAVE_UP' } });
    expect(failures[0]).toMatchObject({ reason: 'error', attempt: 1, error: { code: 'ECONNREFUSED' } });
    expect(failures.at(-1)).toEqual({ reason: 'peer-end', attempt: failures.length });
    expect(heard).toEqual([
      ['state', 'closed', 'open'],
      ['reset', expect.objectContaining({ reason: 'peer-end', willRetry: false })],
      ['close', info],
    ]);
  });

  test('when the backoff function returns undefined', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { backoff: ({ attempt }) => (attempt < 3 ? 10 : undefined) });
    const heard = record(connection, ['backoff', 'close']);

    await next(connection, 'close');

    expect(names(heard)).toEqual(['backoff', 'backoff', 'close']);
    expect(heard.at(-1)?.[1]).toMatchObject({ reason: 'backoff-ended', error: { code: 'ERR_GAVE_UP' } });
  });

  test('drops queued writes, calls their callbacks with the reason, and connect() starts afresh', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { maxRetries: 1 });
    const heard = record(connection, ['drop', 'close', 'open']);
    const fate = written(connection, 'lost');
    await next(connection, 'close');

    expect(await fate).toMatchObject({ code: 'ERR_GAVE_UP' });
    expect(heard[0]).toEqual([
      'drop',
      { chunk: Buffer.from('lost'), bytes: 4, reason: 'max-retries', error: await fate },
    ]);
    expect(names(heard)).toEqual(['drop', 'close']);

    await server.accept();
    connection.connect();
    expect(await payload(connection, 'open')).toMatchObject({ generation: 1, attempts: 1, reopened: false });
  });
});

describe('write()', () => {
  test('C78 writes made while down go out in order, after those of the `open` listener', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);
    connection.on('open', () => {
      connection.write('hello;');
      queueMicrotask(() => connection.write('later;'));
    });
    await next(connection, 'backoff');
    const fates = ['one;', 'two;', 'three;'].map((chunk) => written(connection, chunk));
    expect(connection.stats.writes.queued).toEqual({ writes: 3, bytes: 14 });

    await server.accept();
    await server.receives('later;');

    expect(server.text()).toBe('hello;one;two;three;later;');
    expect(await Promise.all(fates)).toEqual([undefined, undefined, undefined]);
  });

  test('C78 the hello precedes the queue in every session, and nothing confirmed is sent again', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    connection.on('open', ({ generation }) => connection.write(`hello ${generation};`));
    await server.receives('hello 1;');
    connection.write('a;');
    await server.receives('a;');
    server.refuse();
    server.drop();
    await next(connection, 'backoff');
    connection.write('b;');
    connection.write('c;');
    await server.accept();
    await server.receives('c;');

    expect(server.text(1)).toBe('hello 1;a;');
    expect(server.text(2)).toBe('hello 2;b;c;');
  });

  test('C82 writes that the lost socket did not confirm are uncertain, in the counts and in their callbacks', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: MANY } });
    await connection.whenOpen();
    await server.session(1);
    server.mute();
    const chunk = Buffer.alloc(1_000_000);
    const fates = Array.from({ length: 20 }, () => written(connection, chunk));
    await fates[0];

    server.reset();
    const { uncertain, reason } = await payload(connection, 'reset');
    const errors = (await Promise.all(fates)).filter((error) => error !== undefined);

    expect(reason).toBe('error');
    expect(uncertain.writes).toBeGreaterThan(0);
    expect(uncertain.writes).toBeLessThan(20);
    expect(uncertain.bytes).toBe(uncertain.writes * 1_000_000);
    expect(errors).toHaveLength(uncertain.writes);
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN', cause: { code: 'ECONNRESET' } });
    }
    expect(balance(connection)).toEqual({ accepted: 20, settled: 20, queued: 0 });
  });

  test('C82 a write that was half sent when the peer reset is uncertain, not confirmed', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: MANY } });
    await connection.whenOpen();
    await server.session(1);
    server.mute();
    const fate = written(connection, Buffer.alloc(20_000_000));
    const reset = payload(connection, 'reset');
    server.reset();

    expect(await reset).toMatchObject({ reason: 'error', uncertain: { writes: 1, bytes: 20_000_000 } });
    expect(await fate).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
  });

  test('C83 a chunk that was half sent is not continued in the next session', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: MANY } });
    await connection.whenOpen();
    await server.session(1);
    server.mute();
    connection.write(Buffer.alloc(20_000_000, 'a'));
    connection.write('b');
    server.reset();
    await next(connection, 'open');
    connection.write('c');
    await server.session(2);
    server.latest.resume();
    await server.until(() => server.text(2).includes('c'));

    expect(server.text(2)).toBe('c');
  });

  test('C82 every write of a stormy life is settled exactly once', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: 200_000 } });
    const calls: number[] = [];
    let accepted = 0;
    const storm = () => {
      for (let count = 0; count < 30; count++) {
        const index = calls.push(0) - 1;
        connection.write(Buffer.alloc(1 + index * 10), () => (calls[index]! += 1));
        const { writes } = connection.stats;
        const { confirmed, uncertain, dropped, queued } = writes;
        expect(writes.accepted.writes).toBe(confirmed.writes + uncertain.writes + dropped.writes + queued.writes);
        expect(writes.accepted.bytes).toBe(confirmed.bytes + uncertain.bytes + dropped.bytes + queued.bytes);
        expect(queued.bytes).toBe(connection.pendingBytes);
        accepted = writes.accepted.writes + writes.refused.writes;
      }
    };
    for (const event of ['open', 'reset', 'backoff'] as const) connection.on(event, storm);
    for (let session = 1; session <= 8; session++) {
      if (connection.state !== 'open') await next(connection, 'open');
      await server.session(session);
      if (session % 2 === 0) server.reset();
      else server.drop();
      await next(connection, 'backoff');
    }
    await connection.disconnect();
    // A refused write is told in the tick after.
    await new Promise(process.nextTick);

    expect(accepted).toBe(calls.length);
    expect(calls.length).toBeGreaterThan(500);
    expect(calls.every((count) => count === 1)).toBe(true);
    expect(connection.pendingBytes).toBe(0);
  });

  test('C85 drain comes from a later session when the one that was full is lost', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: MANY } });
    await connection.whenOpen();
    await server.session(1);
    server.mute();
    const heard = record(connection, ['open', 'reset', 'drain']);
    while (connection.write(Buffer.alloc(500_000)));

    server.reset();
    await next(connection, 'drain');

    expect(names(heard)).toEqual(['reset', 'open', 'drain']);
  });

  test('C85 drain comes when a slow peer reads on', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: MANY } });
    await connection.whenOpen();
    const socket = await server.session(1);
    server.mute();
    const heard = record(connection, ['drain', 'reset']);
    let sent = 0;
    do sent += 500_000;
    while (connection.write(Buffer.alloc(500_000)));

    socket.resume();
    await next(connection, 'drain');
    await server.until(() => server.receivedBytes === sent);

    expect(names(heard)).toEqual(['drain']);
  });

  test('C86 a peer that never reads is offered no more than the bound', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: 1_000_000 } });
    await connection.whenOpen();
    await server.session(1);
    server.mute();
    const chunk = Buffer.alloc(100_000);
    const errors: unknown[] = [];
    for (let count = 0; count < 1_000; count++) connection.write(chunk, (error) => error && errors.push(error));
    await written(connection, chunk);
    expect(connection.pendingBytes).toBeLessThanOrEqual(1_100_000);

    expect(errors.length).toBeGreaterThan(900);
    expect(errors[0]).toMatchObject({ code: 'ERR_QUEUE_FULL' });
    expect(connection.stats.writes.refused.writes).toBe(errors.length + 1);
  });

  test('after close it is refused with ERR_CLOSED', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    await connection.disconnect();

    expect(connection.write('late')).toBe(false);
    expect(await written(connection, 'late')).toMatchObject({ code: 'ERR_CLOSED', tag: connection.tag });
  });
});

describe('reconnect()', () => {
  test('C47 drops a healthy session and dials at once; repeated calls are one', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    connection.markHealthy();
    const heard = record(connection);
    connection.reconnect();
    connection.reconnect();
    connection.reconnect();
    const info = await payload(connection, 'open');
    await server.session(2);
    await server.until(() => server.live === 1);

    expect(heard).toEqual([
      ['state', 'connecting', 'open'],
      [
        'reset',
        {
          generation: 1,
          reason: 'forced',
          uptime: expect.any(Number) as number,
          willRetry: true,
          uncertain: { writes: 0, bytes: 0 },
        },
      ],
      ['state', 'open', 'connecting'],
      ['open', info],
    ]);
    expect(info).toMatchObject({ generation: 2, attempts: 1, reopened: true });
    expect(server.accepted).toBe(2);
  });

  test('C29 cuts a wait short, and does not dial a second time when that would have been over', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { backoff: () => 150 });
    await next(connection, 'backoff');
    await server.accept();
    connection.reconnect();
    connection.reconnect();
    expect(connection.state).toBe('connecting');
    await next(connection, 'open');

    // A wait of the same length that begins now ends after the one that was cut short would have.
    const other = connectTo({ target: { port: server.port } }, { backoff: () => 150 });
    await other.whenOpen();
    other.socket?.destroy();
    await next(other, 'open');
    await server.session(3);

    expect(connection.stats).toMatchObject({ dials: 2, generation: 1 });
    expect(server.accepted).toBe(3);
  });

  test('starts from idle, and does nothing while connecting, closing or closed', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { autoConnect: false });
    connection.reconnect();
    connection.reconnect();
    await connection.whenOpen();
    const closed = connection.disconnect();
    connection.reconnect();
    await closed;
    connection.reconnect();

    expect(connection.state).toBe('closed');
    expect(connection.stats.dials).toBe(1);
  });
});

describe('disconnect()', () => {
  /** What is heard from the call to the end, and after it while another connection comes and goes. */
  async function ends(connection: ReconnectingConnection): Promise<{ heard: string[]; info: CloseInfo }> {
    const heard = record(connection);
    const info = await connection.disconnect();
    const control = await Loopback.start();
    const other = connectTo(control);
    await control.meets(other);
    control.drop();
    await payloads(other, 'open', 1);
    expect(connection.state).toBe('closed');
    return { heard: heard.map(([name, first]) => (name === 'state' ? String(first) : name)), info };
  }

  test('C51 while idle: closes without a dial', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { autoConnect: false });

    expect(await ends(connection)).toEqual({ heard: ['closed', 'close'], info: { reason: 'disconnected' } });
    expect(server.accepted).toBe(0);
  });

  test('C51 in the tick of creation: closes without a dial', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);

    expect(await ends(connection)).toEqual({ heard: ['closed', 'close'], info: { reason: 'disconnected' } });
    expect(server.accepted).toBe(0);
  });

  test('C52 while the name is looked up: closes at once, and the answer comes too late', async () => {
    const server = await Loopback.start();
    let answer!: () => void;
    const connection = connectTo(server, {
      host: 'slow.test',
      socket: {
        autoSelectFamily: false,
        lookup: (_name, _options, callback) => {
          answer = () => callback(null, '127.0.0.1', 4);
          connection.emit('drain');
        },
      },
    });
    await next(connection, 'drain');

    expect((await ends(connection)).heard).toEqual(['closed', 'close']);
    answer();
    await connectTo(server).whenOpen();
    await server.session(1);
    expect(server.accepted).toBe(1);
  });

  test('C53 while connecting: closes at once', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await next(connection, 'state');
    expect(connection.state).toBe('connecting');

    expect((await ends(connection)).heard).toEqual(['closed', 'close']);
    await server.until(() => server.live === 0);
  });

  test('while connecting, with writes queued: they arrive before it closes', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const fate = written(connection, 'parting words');
    await next(connection, 'state');
    expect(connection.state).toBe('connecting');

    const { heard } = await ends(connection);

    expect(await fate).toBeUndefined();
    expect(server.text()).toBe('parting words');
    expect(heard).toEqual(['closing', 'open', 'closed', 'reset', 'close']);
  });

  test('while connecting in vain, with writes queued: closes when the dial fails, and drops them', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);
    const fate = written(connection, 'never');
    await next(connection, 'state');

    const { heard, info } = await ends(connection);

    expect(info).toEqual({ reason: 'disconnected' });
    expect(heard).toEqual(['closing', 'closed', 'drop', 'close']);
    expect(await fate).toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('C56 while open: the peer gets everything and a FIN, and reset precedes close', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    connection.write('last words');

    const { heard, info } = await ends(connection);

    expect(info).toEqual({ reason: 'disconnected' });
    expect(heard).toEqual(['closing', 'closed', 'reset', 'close']);
    expect(server.text()).toBe('last words');
    await server.until(() => server.live === 0);
    expect(server.latest.errored).toBeNull();
    expect(server.accepted).toBe(1);
  });

  test('with 5 MB pending: all of it arrives', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { queue: { maxBytes: MANY }, closeTimeout: 10_000 });
    await connection.whenOpen();
    const socket = await server.session(1);
    socket.pause();
    for (let count = 0; count < 50; count++) connection.write(Buffer.alloc(100_000, count));
    expect(connection.pendingBytes).toBeGreaterThan(0);

    const closed = connection.disconnect();
    socket.resume();
    expect(await closed).toEqual({ reason: 'disconnected' });
    await server.until(() => server.live === 0);

    expect(server.receivedBytes).toBe(5_000_000);
    expect(connection.stats.writes.confirmed).toEqual({ writes: 50, bytes: 5_000_000 });
  });

  test('H5 with a peer that does not end: closes after closeTimeout', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const connection = connectTo(server, { closeTimeout: 100 });
    await connection.whenOpen();
    await server.session(1);
    const from = performance.now();

    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });

    expect(performance.now() - from).toBeGreaterThanOrEqual(98);
    expect(performance.now() - from).toBeLessThan(2_000);
  });

  test('H5 with a peer that does not read: closes after closeTimeout, and pending writes are uncertain', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { closeTimeout: 100, queue: { maxBytes: MANY } });
    await connection.whenOpen();
    await server.session(1);
    server.mute();
    const fate = written(connection, Buffer.alloc(20_000_000));
    const reset = payload(connection, 'reset');

    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });

    expect(await fate).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
    expect(await reset).toMatchObject({
      reason: 'disconnected',
      willRetry: false,
      uncertain: { writes: 1, bytes: 20_000_000 },
    });
  });

  test('C57 while waiting for a retry, with nothing queued: closes at once', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { backoff: () => 60_000 });
    await next(connection, 'backoff');
    const { heard } = await ends(connection);

    expect(heard).toEqual(['closed', 'close']);
    expect(connection.stats.dials).toBe(1);
  });

  test('C57 while waiting for a retry, with writes queued: dials once more at once, and drops them when that is refused', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { backoff: () => 60_000 });
    await next(connection, 'backoff');
    const fate = written(connection, 'never');
    const from = performance.now();
    const { heard } = await ends(connection);

    expect(await fate).toMatchObject({ code: 'ERR_CLOSED' });
    expect(performance.now() - from).toBeLessThan(2_000);
    expect(heard).toEqual(['closing', 'closed', 'drop', 'close']);
    expect(connection.stats.dials).toBe(2);
  });

  test('while waiting for a retry, with writes queued: a server that is back gets them, also of a member of a pool', async () => {
    const server = await Loopback.start();
    server.refuse();
    const pool = track(new ConnectionPool({ backoff: () => 60_000 }));
    const members = [1, 2, 3].map(() => pool.add(server.target));
    await Promise.all(members.map((member) => next(member, 'backoff')));
    await server.accept();
    const fates = members.map((member, index) => written(member, `line ${index}\n`));
    await pool.disconnect();

    expect(await Promise.all(fates)).toEqual([undefined, undefined, undefined]);
    await server.until(() => server.live === 0);
    expect([1, 2, 3].map((session) => server.text(session)).sort()).toEqual(['line 0\n', 'line 1\n', 'line 2\n']);
  });

  test('C58 C59 calls share one promise, and after close it resolves at once', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    const heard = record(connection, ['close']);

    const first = connection.disconnect();
    const second = connection.disconnect();
    expect(second).toBe(first);
    const info = await first;
    expect(await connection.disconnect()).toBe(info);
    expect(heard).toEqual([['close', info]]);
  });

  test('C60 connect() while closing waits for the end, and is then a new lifecycle', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    const heard = record(connection, ['close', 'open', 'reset']);
    const closed = connection.disconnect();
    connection.connect();
    expect(connection.state).toBe('closing');

    expect(await closed).toEqual({ reason: 'disconnected' });
    await connection.whenOpen();

    expect(names(heard)).toEqual(['reset', 'close', 'open']);
    expect(heard.at(-1)?.[1]).toMatchObject({ generation: 2, attempts: 1, reopened: false, downtime: 0 });
    await server.session(2);
    await server.until(() => server.live === 1);
  });

  test('C61 connect() after close starts again, with its own close', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    for (let generation = 1; generation <= 3; generation++) {
      expect(await connection.whenOpen()).toMatchObject({ generation, reopened: false });
      const heard = record(connection, ['close']);
      await connection.disconnect();
      expect(heard).toHaveLength(1);
      connection.connect();
    }
    await connection.whenOpen();
    expect(connection.generation).toBe(4);
  });

  test('C62 in a listener of open: no data, one reset, one close', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hi') });
    const connection = connectTo(server);
    const heard = record(connection, ['open', 'reset', 'close']);
    connection.on('open', () => void connection.disconnect());

    await next(connection, 'close');

    expect(names(heard)).toEqual(['open', 'reset', 'close']);
  });

  test('C62 in a listener of data', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write('hi') });
    const connection = connectTo(server);
    const heard = record(connection, ['open', 'data', 'reset', 'close']);
    connection.on('data', () => void connection.disconnect());

    await next(connection, 'close');

    expect(names(heard)).toEqual(['open', 'data', 'reset', 'close']);
  });

  test('C62 in a listener of reset: no wait is announced, and it closes', async () => {
    const server = await Loopback.start();
    server.flap();
    const connection = connectTo(server);
    const heard = record(connection, ['open', 'reset', 'backoff', 'close']);
    connection.on('reset', () => void connection.disconnect());

    await next(connection, 'close');

    expect(names(heard)).toEqual(['open', 'reset', 'close']);
  });

  test('C62 in a listener of backoff', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);
    const heard = record(connection);
    connection.on('backoff', () => void connection.disconnect());

    await next(connection, 'close');

    expect(heard.map(([name, first]) => (name === 'state' ? first : name))).toEqual([
      'connecting',
      'backoff',
      'backoff',
      'closed',
      'close',
    ]);
  });

  test.each(['connecting', 'open', 'backoff', 'closing'] as const)('C62 in a listener of state %s', async (state) => {
    const server = await Loopback.start();
    if (state === 'backoff') server.refuse();
    const connection = connectTo(server);
    const heard = record(connection, ['close']);
    if (state === 'closing') connection.on('open', () => void connection.disconnect());
    connection.on('state', (to) => {
      if (to === state) void connection.disconnect();
    });

    expect(await payload(connection, 'close')).toEqual({ reason: 'disconnected' });
    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
    expect(heard).toHaveLength(1);
    await server.until(() => server.live === 0);
  });

  test('while paused it does not take longer than closeTimeout', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.write(Buffer.alloc(1_000_000)) });
    const connection = connectTo(server, { closeTimeout: 300 });
    connection.pause();
    await connection.whenOpen();
    const from = performance.now();

    await connection.disconnect();

    expect(performance.now() - from).toBeLessThan(2_000);
    await server.until(() => server.live === 0);
  });

  test('await using disconnects', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    await connection[Symbol.asyncDispose]();

    expect(connection.state).toBe('closed');
    await server.until(() => server.live === 0);
  });
});

describe('destroy()', () => {
  test('ends an open session at once, and emits every event before it returns', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    await connection.whenOpen();
    const heard = record(connection);

    connection.destroy();

    expect(heard).toEqual([
      ['state', 'closed', 'open'],
      ['reset', expect.objectContaining({ generation: 1, reason: 'destroyed', willRetry: false })],
      ['close', { reason: 'destroyed' }],
    ]);
    expect(await connection.disconnect()).toEqual({ reason: 'destroyed' });
    await server.session(1);
    await server.until(() => server.live === 0);
  });

  test('cuts a graceful end short', async () => {
    const server = await Loopback.start({ allowHalfOpen: true });
    const connection = connectTo(server, { closeTimeout: 60_000 });
    await connection.whenOpen();
    await server.session(1);
    const closed = connection.disconnect();
    connection.destroy();

    expect(await closed).toEqual({ reason: 'destroyed' });
    expect(connection.state).toBe('closed');
  });

  test.each(['idle', 'connecting', 'backoff'] as const)('while %s: closes, once', async (state) => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server, { autoConnect: state !== 'idle', backoff: () => 60_000 });
    if (state !== 'idle') await next(connection, 'state', (to) => to === state);
    const heard = record(connection, ['close']);
    expect(connection.state).toBe(state);

    connection.destroy();
    connection.destroy();

    expect(heard).toEqual([['close', { reason: 'destroyed' }]]);
  });
});

describe('pause() and resume()', () => {
  test('hold across sessions: nothing is heard until resume(), and then everything', async () => {
    // Silent at first: data and an RST that come at once, libuv reports as data and a FIN.
    const server = await Loopback.start({ onSession: (socket, number) => number > 1 && socket.write('hi;') });
    const connection = connectTo(server);
    const heard = record(connection, ['open', 'data', 'reset']);
    connection.pause();
    await connection.whenOpen();
    await server.session(1);
    server.reset();
    await next(connection, 'open');
    await server.session(2);
    // The other connection hears its own greeting later than this one would have.
    await next(connectTo(server), 'data');
    expect(names(heard)).toEqual(['open', 'reset', 'open']);

    connection.resume();
    expect(await receives(connection, ';')).toBe('hi;');
  });

  test('H22 a FIN is noticed only after resume(), an RST at once', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const socket = await server.meets(connection);
    connection.pause();
    socket.end('bye');
    const other = connectTo(server, { maxRetries: 0 });
    (await server.meets(other)).end();
    await next(other, 'close');
    expect(connection.state).toBe('open');

    connection.resume();
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'peer-end' });
    connection.pause();
    await server.meets(connection);
    server.reset();
    expect(await payload(connection, 'reset')).toMatchObject({ reason: 'error' });
  });

  test('stop and start the flow without losing a byte', async () => {
    const server = await Loopback.start({
      onSession: (socket) => socket.write(Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index % 251))),
    });
    const connection = connectTo(server);
    let received = 0;
    let wrong = 0;
    connection.on('data', (chunk) => {
      for (const byte of chunk) if (byte !== received++ % 251) wrong++;
      connection.pause();
      setImmediate(() => connection.resume());
    });
    await next(connection, 'data', () => received === 1_000_000);

    expect(wrong).toBe(0);
  });
});

describe('whenOpen()', () => {
  test('C4 fails after as many attempts as asked, while the connection goes on', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);
    const failures: string[] = [];
    connection.on('backoff', ({ attempt }) => failures.push(`backoff ${attempt}`));
    const waiting = [1, 2, 3].map((attempts) =>
      connection.whenOpen({ attempts }).catch((error: unknown) => {
        failures.push(`waiter ${attempts}`);
        return error;
      }),
    );
    const patient = connection.whenOpen();
    const errors = await Promise.all(waiting);

    expect(errors).toMatchObject([{ code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }]);
    expect(failures).toEqual(['backoff 1', 'waiter 1', 'backoff 2', 'waiter 2', 'backoff 3', 'waiter 3']);
    await server.accept();
    expect(await patient).toMatchObject({ generation: 1 });
  });

  test('C5 gives everyone the same answer, and answers at once while open', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const [one, two] = await Promise.all([connection.whenOpen(), connection.whenOpen({ attempts: 1 })]);

    expect(one).toBe(two);
    expect(await connection.whenOpen()).toBe(one);
  });

  test('rejects when the connection closes, or has closed', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);
    const waiting = connection.whenOpen();
    await next(connection, 'backoff');
    connection.destroy();

    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(connection.whenOpen()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('stops waiting when its signal is aborted, while the connection goes on', async () => {
    const server = await Loopback.start();
    server.refuse();
    const connection = connectTo(server);
    const controller = new AbortController();
    const waiting = connection.whenOpen({ signal: controller.signal });
    controller.abort(new Error('enough'));

    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: { message: 'enough' } });
    await expect(connection.whenOpen({ signal: controller.signal })).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    await server.accept();
    expect(await connection.whenOpen()).toMatchObject({ generation: 1 });
  });
});
