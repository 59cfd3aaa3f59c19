import { testLife, withServers } from '../kit/lives';
import { connectTo, payload } from '../kit/loopback';
import { testCrowd, testIdler } from '../kit/manners';
import { forgetCluster } from '../kit/postgres-cluster';
import { type Message, complaint, query, select, speakPostgres } from '../kit/protocols/postgres';
import { RealServer } from '../kit/real-servers';

// The first test has the database made, which is a second's work on a machine that has nothing else to do.
jest.setTimeout(60_000);

afterAll(forgetCluster);

testLife({
  title: 'PostgreSQL',
  servers: ['postgres'],
  async start() {
    const server = await RealServer.start('postgres');
    return { server, options: { ...server.target, ...speakPostgres } };
  },
  exchange: (connection) => select(connection, 'select 1'),
  answer: '1',
  ping: query(''),
});

testCrowd({
  name: 'postgres',
  client: speakPostgres,
  refuses: ['max_connections = 1'],
  words: /53300: sorry, too many clients already/,
});

testIdler({ name: 'postgres', settings: ['idle_session_timeout = 500'], client: speakPostgres, ping: query('') });

withServers('a client of PostgreSQL', ['postgres'], () => {
  test('comes back when the server has ended its session, and no other is disturbed', async () => {
    const server = await RealServer.start('postgres');
    const [victim, other] = [connectTo<Message>(server, speakPostgres), connectTo<Message>(server, speakPostgres)];
    await Promise.all([victim.whenOpen(), other.whenOpen()]);
    const process = await select(victim, 'select pg_backend_pid()');
    const words = payload(victim, 'message', ({ type }) => type === 'E');
    const lost = payload(victim, 'reset');
    const back = payload(victim, 'open');
    expect(await select(other, `select pg_terminate_backend(${process})`)).toBe('t');

    expect(complaint(await words)).toBe('57P01: terminating connection due to administrator command');
    expect(await lost).toMatchObject({ generation: 1, reason: 'peer-end', willRetry: true });
    expect(await back).toMatchObject({ generation: 2, reopened: true });
    expect(await select(victim, 'select pg_backend_pid()')).not.toBe(process);
    expect(other.stats).toMatchObject({ generation: 1, resets: 0 });
  });

  test('is served by a server that shuts down when its clients have left, while others are refused', async () => {
    const server = await RealServer.start('postgres');
    const first = connectTo<Message>(server, speakPostgres);
    await first.whenOpen();
    const ended = server.kill('SIGTERM');
    const second = connectTo<Message>(server, speakPostgres);
    const { error, reason } = await payload(
      second,
      'backoff',
      ({ error }) => error?.message.includes('57P03') === true,
    );
    expect(reason).toBe('handshake-failed');
    expect(error?.message).toContain('the database system is shutting down');
    expect(await select(first, 'select 1')).toBe('1');

    await first.disconnect();
    await ended;
    const opens = payload(second, 'open');
    await server.restart();
    expect(await opens).toMatchObject({ generation: 1 });
  });

  test('keeps its session when the server takes no new ones, and others open when it does again', async () => {
    const server = await RealServer.start('postgres');
    const first = connectTo<Message>(server, speakPostgres);
    await first.whenOpen();
    // Sessions are processes of their own: they go on.
    await server.kill('SIGSTOP');
    const second = connectTo<Message>(server, { ...speakPostgres, connectTimeout: 500 });
    expect(await payload(second, 'backoff')).toMatchObject({
      reason: 'connect-timeout',
      error: { message: expect.stringContaining('handshake') as string },
    });
    expect(await select(first, 'select 1')).toBe('1');
    await server.kill('SIGCONT');
    expect(await second.whenOpen()).toMatchObject({ generation: 1 });
    expect(await select(second, 'select 1')).toBe('1');
  });
});
