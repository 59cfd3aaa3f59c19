import { ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';
import { type ScriptedAttempt, LoopbackServer, ScriptedDial, record, until } from 'reconnecting-connection/testing';

import { cleanUp, track } from '../kit/clean-up';

afterEach(cleanUp);

/** A connection whose attempts go as the script says, and its recorder. */
function recorded(...attempts: readonly ScriptedAttempt[]) {
  const script = new ScriptedDial(attempts);
  const { dial } = script;
  const connection = track(new ReconnectingConnection({ port: 1, dial, minUptime: 0, backoff: () => 10 }));
  return { connection, recorder: record(connection), script };
}

test('a recorder writes down every event with its arguments, in order', async () => {
  const { connection, recorder } = recorded({ deliver: 'hello' });
  await recorder.next('data');
  const closed = await connection.disconnect();

  expect(recorder.events.map(({ event, args }) => [event, ...args])).toEqual([
    ['state', 'connecting', 'idle'],
    ['state', 'open', 'connecting'],
    ['open', { generation: 1, reopened: false, attempts: 1, downtime: 0 }],
    ['data', Buffer.from('hello')],
    ['state', 'closing', 'open'],
    ['state', 'closed', 'closing'],
    ['reset', expect.objectContaining({ reason: 'disconnected', willRetry: false })],
    ['close', closed],
  ]);
  expect(recorder.names).toEqual(recorder.events.map(({ event }) => event));
  const times = recorder.events.map(({ at }) => at);
  expect(times).toEqual([...times].sort((a, b) => a - b));
});

test('next() continues after the event that it returned last, recorded or yet to come', async () => {
  const { recorder, script } = recorded();
  const [first] = await recorder.next('open');
  script.peers[0]!.reset();
  const [lost] = await recorder.next('reset');
  // It came together with the reset.
  const [wait] = await recorder.next('backoff');
  const [second] = await recorder.next('open');

  expect([first.generation, lost.error?.code, wait.delay, second.generation]).toEqual([1, 'ECONNRESET', 10, 2]);
  expect(recorder.payloads('open')).toEqual([first, second]);
});

test('next() returns recorded events one by one', async () => {
  const { connection, recorder } = recorded('drop', 'drop', 'open');
  await until(() => connection.generation === 3 && connection.state === 'open');
  const opened = [await recorder.next('open'), await recorder.next('open'), await recorder.next('open')];

  expect(opened.map(([{ generation }]) => generation)).toEqual([1, 2, 3]);
});

test('next() does not go back: an event before the one that it returned last is not found', async () => {
  const { recorder } = recorded({ deliver: 'x' });
  await recorder.next('data');

  await expect(recorder.next('open', { deadline: 20 })).rejects.toThrow(/^No `open` within 20 ms/);
});

test('next() with `where` passes over the events that are not meant', async () => {
  const { recorder } = recorded('refuse', 'refuse', 'refuse', 'open');
  const [third] = await recorder.next('backoff', { where: ({ attempt }) => attempt === 3 });
  const [open] = await recorder.next('open');

  expect([third.attempt, open.attempts]).toEqual([3, 4]);
});

test('a missed deadline is an error that shows the recorded events', async () => {
  const { recorder } = recorded({ deliver: 'hello\r\n', then: 'reset' }, 'hang');
  await recorder.next('backoff');
  await recorder.next('state');

  await expect(recorder.next('close', { deadline: 10 })).rejects.toThrow(
    new RegExp(
      [
        '^No `close` within 10 ms. What was heard:',
        ' +\\d+ ms {2}state   connecting \\(was idle\\)',
        ' +\\d+ ms {2}state   open \\(was connecting\\)',
        ' +\\d+ ms {2}open    generation=1 reopened=false attempts=1 downtime=0',
        ' +\\d+ ms {2}data    7 bytes "hello\\\\r\\\\n"',
        ' +\\d+ ms {2}state   backoff \\(was open\\)',
        ' +\\d+ ms {2}reset   generation=1 reason=error error=ECONNRESET uptime=\\d+ willRetry=true uncertain=\\{ writes: 0, bytes: 0 \\}',
        ' +\\d+ ms {2}backoff attempt=1 delay=10 reason=error error=ECONNRESET',
        ' +\\d+ ms {2}state   connecting \\(was backoff\\)$',
      ].join('\n'),
    ),
  );
});

test('deadlines pass by the real clock, whatever clock the test has put in its place', async () => {
  jest.useFakeTimers();
  try {
    const { recorder } = recorded('hang');
    await expect(recorder.next('open', { deadline: 10 })).rejects.toThrow('No `open` within 10 ms');
    await expect(until(() => false, { deadline: 10, what: () => 'never' })).rejects.toThrow(
      /^Not so within 10 ms: never$/,
    );
  } finally {
    jest.useRealTimers();
  }
});

test('until() asks again until it is so', async () => {
  let asked = 0;
  await until(async () => Promise.resolve(++asked === 3));

  expect(asked).toBe(3);
});

test('a pool’s events come with the tag and the member', async () => {
  const { dial } = new ScriptedDial();
  const pool = track(new ConnectionPool({ dial }));
  const recorder = record(pool);
  const member = pool.add({ port: 7 });
  const [info, tag, connection] = await recorder.next('open');

  expect([info.generation, tag, connection]).toEqual([1, '127.0.0.1:7', member]);
  expect(recorder.timeline()).toMatch(/ms {2}state {3}127\.0\.0\.1:7 open \(was connecting\)$/m);
  expect(recorder.timeline()).toMatch(
    /ms {2}open {4}127\.0\.0\.1:7 generation=1 reopened=false attempts=1 downtime=0$/,
  );
});

test('a closed recorder records no more, leaves no listener, and keeps its events', async () => {
  const { connection, recorder } = recorded();
  await recorder.next('open');
  const heard = recorder.names;
  expect(connection.eventNames()).toHaveLength(12);
  recorder[Symbol.dispose]();
  connection.destroy();
  await new Promise((resolve) => setImmediate(resolve));

  expect(connection.eventNames()).toEqual([]);
  expect(recorder.names).toEqual(heard);
});

test.each<[string, (recorder: ReturnType<typeof recorded>['recorder']) => unknown, string]>([
  [
    'neither a connection nor a pool',
    () => record({} as never),
    'Expected what is recorded to be a ReconnectingConnection or a ConnectionPool, got an object',
  ],
  [
    'nothing',
    () => record(undefined as never),
    'Expected what is recorded to be a ReconnectingConnection or a ConnectionPool, got undefined',
  ],
  [
    'an event that there is not',
    (recorder) => recorder.next('opened' as never),
    "Expected the event to be 'open', 'data'",
  ],
  ['payloads of none', (recorder) => recorder.payloads('opened' as never), "Expected the event to be 'open', 'data'"],
  [
    'a deadline that is none',
    (recorder) => recorder.next('open', { deadline: 0 }),
    'Expected option `deadline` to be a number ≥ 1, got 0 (number)',
  ],
  [
    'an unknown option',
    (recorder) => recorder.next('open', { timeout: 1 } as never),
    'Unknown option `timeout`, expected one of: where, deadline',
  ],
])('%s is refused with ERR_INVALID_OPTION', (_what, call, message) => {
  const { recorder } = recorded('hang');

  expect(() => call(recorder)).toThrow(
    expect.objectContaining({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringContaining(message) as string,
    }) as Error,
  );
});

test('a condition that is no function is refused with ERR_INVALID_OPTION', async () => {
  await expect(until(true as never)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
});

test('the addresses of an `open` are recorded, although nothing read them while the session lasted', async () => {
  const server = await LoopbackServer.start();
  const connection = track(new ReconnectingConnection({ port: server.port }));
  const recorder = record(connection);
  await recorder.next('open');
  await connection.disconnect();
  await server.close();

  expect(recorder.payloads('open')).toMatchObject([{ remoteAddress: '127.0.0.1', remotePort: server.port }]);
});
