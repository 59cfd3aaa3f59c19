import { join } from 'node:path';

import { ConnectionPool } from 'reconnecting-connection';

import { testLife, watch, withServers } from '../kit/lives';
import { connectTo, next, payload, payloads, run, track, written } from '../kit/loopback';
import { testCrowd, testIdler, testStranger, testTopic } from '../kit/manners';
import { answer } from '../kit/protocols/frames';
import { type Reply, ask, redisScene, speakRedis } from '../kit/protocols/redis';
import { RealServer } from '../kit/real-servers';
import { names, record } from '../kit/record';

testLife({
  ...redisScene,
  title: 'Redis',
  servers: ['redis'],
  async start() {
    const server = await RealServer.start('redis', ['requirepass secret']);
    return { server, options: { ...server.target, ...speakRedis('secret') } };
  },
});

testLife({
  ...redisScene,
  title: 'Redis on a Unix socket',
  servers: ['redis'],
  async start() {
    const server = await RealServer.start('redis');
    return { server, options: { path: join(server.directory, 'socket'), ...speakRedis() } };
  },
});

testStranger({
  name: 'redis',
  client: speakRedis('secret'),
  refuses: ['requirepass other'],
  words: /WRONGPASS/,
  agrees: ['requirepass secret'],
});

testCrowd({ name: 'redis', client: speakRedis(), refuses: ['maxclients 1'], words: /max number of clients reached/ });

testIdler({ name: 'redis', settings: ['timeout 1'], client: speakRedis(), ping: 'PING\r\n' });

testTopic({
  name: 'redis',
  settings: [],
  client: speakRedis(),
  subscribe: 'SUBSCRIBE news\r\n',
  publish: (text) => `PUBLISH news ${text}\r\n`,
  textOf(message) {
    // `as`: what is said to those who subscribe is made of texts.
    const [kind, , text] = Array.isArray(message) ? (message as string[]) : [];
    return kind === 'message' ? text : undefined;
  },
});

describe('writes made while the server was down', () => {
  withServers('Redis', ['redis'], () => {
    test.each(['stop', 'SIGKILL'])('arrives once and in order (%s)', async (how) => {
      const server = await RealServer.start('redis');
      const connection = connectTo<Reply>(server, speakRedis());
      await connection.whenOpen();
      const replies: Reply[] = [];
      connection.on('message', (reply) => replies.push(reply));
      const down = payload(connection, 'backoff');
      await (how === 'stop' ? server.stop() : server.kill('SIGKILL'));
      await down;
      const fates = Array.from({ length: 200 }, () => written(connection, 'INCR count\r\n'));
      const done = next(connection, 'message', (reply) => reply === 200);
      await server.restart();
      await done;

      expect(replies).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
      expect(await Promise.all(fates)).toEqual(Array.from({ length: 200 }, () => undefined));
      expect(await ask(connection, 'GET count')).toBe('200');
    });

    test('are never stored twice, whenever the server is killed, and answered writes are stored', async () => {
      const server = await RealServer.start('redis', ['appendonly yes', 'appendfsync always']);
      const connection = connectTo<Reply>(server, speakRedis());
      const told: (Error | null | undefined)[][] = [];
      const send = () => {
        const calls: (Error | null | undefined)[] = [];
        connection.write(`HINCRBY seen ${told.push(calls)} 1\r\n`, (error) => calls.push(error));
      };
      const replies: Reply[] = [];
      const onReply = (reply: Reply) => {
        replies.push(reply);
        send();
      };
      connection.on('message', onReply);
      for (let round = 0; round < 3; round++) {
        await connection.whenOpen();
        const busy = payloads(connection, 'message', 50);
        for (let count = 0; count < 5; count++) send();
        await busy;
        const lost = payload(connection, 'reset');
        const back = payload(connection, 'open');
        await server.kill('SIGKILL');
        await lost;
        send();
        await server.restart();
        await back;
      }
      connection.off('message', onReply).on('message', (reply) => typeof reply === 'number' && replies.push(reply));
      const seen = await answer(connection, 'HVALS seen\r\n', (reply) => Array.isArray(reply));

      expect(new Set(replies)).toEqual(new Set([1]));
      expect(new Set(seen as Reply[])).toEqual(new Set(['1']));
      expect((seen as Reply[]).length).toBeGreaterThanOrEqual(replies.length);
      expect(told.filter((calls) => calls.length !== 1)).toEqual([]);
      const failed = told.flat().filter((error) => error instanceof Error);
      expect(failed).toEqual(failed.map(() => expect.objectContaining({ code: 'ERR_DELIVERY_UNCERTAIN' }) as Error));
      expect(connection.stats).toMatchObject({ generation: 4, resets: 3 });
    });
  });
});

withServers('a client of Redis', ['redis'], () => {
  test('comes back when the server has killed it, and no other is disturbed', async () => {
    const server = await RealServer.start('redis');
    const [victim, other] = [connectTo<Reply>(server, speakRedis()), connectTo<Reply>(server, speakRedis())];
    await Promise.all([victim.whenOpen(), other.whenOpen()]);
    const id = Number(await ask(victim, 'CLIENT ID'));
    const { sessions } = watch(victim);
    const back = payload(victim, 'open');
    expect(await ask(other, `CLIENT KILL ID ${id}`)).toBe(1);

    expect(await back).toMatchObject({ generation: 2, reopened: true });
    expect(await ask(victim, 'CLIENT ID')).toBeGreaterThan(id);
    expect(sessions()).toEqual(['reset', 'open']);
    expect(other.stats).toMatchObject({ generation: 1, resets: 0 });
  });

  test('finds by `idleTimeout` that the server stands still', async () => {
    const server = await RealServer.start('redis');
    const connection = connectTo<Reply>(server, {
      ...speakRedis(),
      idleTimeout: 800,
      heartbeat: { interval: 100, timeout: 20_000, ping: (each) => each.write('PING\r\n') },
    });
    await payloads(connection, 'message', 10);
    const lost = payload(connection, 'reset');
    await server.kill('SIGSTOP');
    expect(await lost).toMatchObject({ generation: 1, reason: 'idle', error: { code: 'ERR_IDLE' } });
    await server.kill('SIGCONT');
    expect(await connection.whenOpen()).toMatchObject({ generation: 2 });
  });

  test('does not take the server for healthy when it accepts, complains of too many clients and hangs up', async () => {
    const server = await RealServer.start('redis', ['maxclients 1']);
    const first = connectTo(server, speakRedis());
    await first.whenOpen();
    const second = connectTo(server, { backoff: { initialDelay: 10, maxDelay: 80, jitter: 'none' } });
    const waits = await payloads(second, 'backoff', 5);

    expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80, 80]);
    expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5]);
  });

  test('comes back with all the other members of its pool', async () => {
    const server = await RealServer.start('redis');
    const pool = track(new ConnectionPool({ backoff: { initialDelay: 10, maxDelay: 40 }, ...speakRedis() }));
    const opened = payloads(pool, 'open', 10);
    for (let count = 0; count < 10; count++) pool.add(server.target);
    await opened;
    const heard = record(pool, ['open', 'reset']);
    const ways = [() => server.restart(), () => server.kill('SIGKILL').then(() => server.restart()), killClients];
    for (const [index, way] of ways.entries()) {
      const back = payloads(pool, 'open', 10);
      await way();
      expect((await back).map(({ generation }) => generation)).toEqual(Array.from({ length: 10 }, () => index + 2));
      expect(pool.stats).toMatchObject({ total: 10, open: 10 });
      const pongs = payloads(pool, 'message', 10);
      expect(pool.broadcast('PING\r\n')).toBe(10);
      expect(await pongs).toEqual(Array.from({ length: 10 }, () => 'PONG'));
    }

    expect(names(heard).filter((event) => event === 'reset')).toHaveLength(30);

    async function killClients(): Promise<void> {
      const admin = connectTo<Reply>(server, speakRedis());
      await admin.whenOpen();
      expect(await ask(admin, 'CLIENT KILL TYPE normal')).toBe(10);
      await admin.disconnect();
    }
  });

  test('lets its process end after disconnect()', async () => {
    const server = await RealServer.start('redis');
    const admin = connectTo<Reply>(server, speakRedis());
    await admin.whenOpen();
    // Answered when the other is there.
    const there = ask(admin, 'BLPOP there 0');
    const ran = run(`
      const heartbeat = { interval: 50, timeout: 10_000, ping: (each) => each.write('PING\\r\\n') };
      const connection = new ReconnectingConnection({ ...QUICK, port: ${server.port}, heartbeat });
      const next = (event) => new Promise((resolve) => connection.once(event, resolve));
      connection.on('open', ({ generation }) => {
        say(generation);
        connection.write('RPUSH there here\\r\\n');
      });
      (async () => {
        await next('data');
        await next('open');
        await next('data');
        await connection.disconnect();
        const from = performance.now();
        process.on('exit', () => say(performance.now() - from < 1_000));
      })();
    `);
    expect(await there).toEqual(['there', 'here']);
    await server.restart();

    expect(await ran).toMatchObject({ code: 0, said: [1, 2, true], stderr: '' });
    await admin.whenOpen();
    expect(await ask(admin, 'CLIENT LIST TYPE normal')).toMatch(/^id=.*\n$/);
    // The library is compiled for it.
  }, 60_000);
});
