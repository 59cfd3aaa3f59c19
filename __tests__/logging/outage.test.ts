import {
  type ConnectionOptions,
  type LogEventsOptions,
  ConnectionPool,
  ReconnectingConnection,
  logEvents,
} from 'reconnecting-connection';

import { ScriptedDial, pass, settle, useFakeClock } from '../kit/scripted';

/** One line: its level, its message without the tag, and its fields. */
interface Logged {
  readonly level: string;
  readonly text: string;
  readonly fields: Record<string, unknown>;
}

const CONSTANT = { initialDelay: 1000, maxDelay: 1000, jitter: 'none' } as const;

/** A connection or a pool with a scripted network, and its log. */
class Scene {
  readonly network = new ScriptedDial();
  readonly lines: Logged[] = [];
  readonly connections: ReconnectingConnection[] = [];
  readonly undo: () => void;
  /** After each line. */
  onLine = () => {};

  constructor(members = 1, options: LogEventsOptions = {}, given: Partial<ConnectionOptions> = {}) {
    const log = (level: string) => (message: string, fields: Record<string, unknown>) => {
      this.lines.push({ level, text: message.replace(/^127\.0\.0\.1:6379(?: #\d+)?: /, ''), fields });
      this.onLine();
    };
    const logger = { info: log('info'), warn: log('warn'), error: log('error') };
    const { dial } = this.network;
    if (members === 1) {
      // `as`: there is a port, or a function in its place.
      const target = { ...(given.target === undefined && { port: 6379 }), dial, backoff: CONSTANT, ...given };
      const connection = new ReconnectingConnection(target as ConnectionOptions);
      this.connections.push(connection);
      this.undo = logEvents(connection, logger, options);
    } else {
      const pool = new ConnectionPool({ port: 6379, dial, backoff: CONSTANT, coordinateDials: false });
      for (let index = 0; index < members; index++) this.connections.push(pool.add({}));
      this.undo = logEvents(pool, logger, options);
    }
  }

  /** Removes and returns the texts logged since the last access. */
  get texts(): string[] {
    return this.lines.splice(0).map(({ text }) => text);
  }

  /** Lets all pending dials succeed. */
  async connect(): Promise<void> {
    await settle();
    for (const link of this.network.links) if (link.connecting && !link.destroyed) link.connect();
    await settle();
  }

  /** Lets all pending dials and all sessions fail. */
  async fail(code = 'ECONNREFUSED'): Promise<void> {
    await settle();
    for (const link of this.network.links) if (!link.destroyed) link.fail(code);
    await settle();
  }

  /** Lets all dials fail for a time. */
  async failFor(milliseconds: number): Promise<void> {
    for (let passed = 0; passed < milliseconds; passed += 1000) {
      await pass(1000);
      await this.fail();
    }
  }
}

let scene: Scene | undefined;

function start(members?: number, options?: LogEventsOptions, given?: Partial<ConnectionOptions>): Scene {
  scene = new Scene(members, options, given);
  return scene;
}

beforeEach(useFakeClock);

afterEach(() => {
  scene?.undo();
  for (const connection of scene?.connections ?? []) connection.destroy();
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

test('a server that is down for a minute: the first failure, summaries at growing intervals, and the end', async () => {
  start();
  await scene!.connect();
  expect(scene!.texts).toEqual(['open, session 1']);

  scene!.network.last.finish();
  await settle();
  expect(scene!.texts).toEqual(['lost session 1 after 0 ms (peer-end)', 'retry 1 in 1 s (peer-end)']);

  await scene!.failFor(1000);
  expect(scene!.texts).toEqual(['retry 2 in 1 s (scripted ECONNREFUSED)']);

  await scene!.failFor(60_000);
  const summaries = scene!.lines.splice(0);
  expect(summaries.map(({ level, text }) => [level, text])).toEqual([
    ['warn', 'in 11 s: 12 retries, 1 lost session; latest: retry 12 in 1 s (scripted ECONNREFUSED)'],
    ['warn', 'in 31 s: 32 retries, 1 lost session; latest: retry 32 in 1 s (scripted ECONNREFUSED)'],
  ]);
  expect(summaries[1]?.fields).toMatchObject({
    event: 'backoff',
    tag: '127.0.0.1:6379',
    attempt: 32,
    code: 'ECONNREFUSED',
    duration: 31_000,
    retries: 32,
    losses: 1,
    heldBack: 19,
  });

  await pass(1000);
  await scene!.connect();
  const [trial] = scene!.lines;
  expect(trial).toEqual({
    level: 'info',
    text: 'open, session 2 after 62 attempts, on trial for 5 s',
    fields: { event: 'open', tag: '127.0.0.1:6379', generation: 2, attempts: 62, trial: 5000, heldBack: 30 },
  });
  expect(scene!.texts).toHaveLength(1);

  await pass(4999);
  expect(scene!.texts).toEqual([]);
  await pass(1);
  const [back] = scene!.lines;
  expect(back).toEqual({
    level: 'info',
    text: 'back after 62 attempts in 62 s',
    fields: { event: 'open', tag: '127.0.0.1:6379', attempts: 62, downtime: 62_000 },
  });
  expect(scene!.texts).toHaveLength(1);

  await pass(60_000);
  expect(scene!.texts).toEqual([]);
});

test('a failure of another kind is logged at once', async () => {
  const { connections } = start();
  await scene!.fail();
  await scene!.failFor(3000);
  await pass(1000);
  await scene!.fail('ETIMEDOUT');
  await pass(1000);
  await scene!.fail('ECONNREFUSED');

  expect(scene!.texts).toEqual(['retry 1 in 1 s (scripted ECONNREFUSED)', 'retry 5 in 1 s (scripted ETIMEDOUT)']);
  expect(connections[0]?.state).toBe('backoff');
});

test('an outage with ever new kinds of failures logs at most 50 of them', async () => {
  start(1, { interval: 1_000_000, maxInterval: 1_000_000 });
  for (let failure = 0; failure < 70; failure++) {
    await scene!.fail(`E${failure}`);
    await pass(1000);
  }

  expect(scene!.texts).toHaveLength(50);
});

test('a server that closes each connection: the first lines, a summary, and the end when a session has lasted', async () => {
  start();
  await scene!.connect();
  for (let session = 1; session <= 25; session++) {
    scene!.network.last.finish();
    await pass(1000);
    await scene!.connect();
  }

  expect(scene!.texts).toEqual([
    'open, session 1',
    'lost session 1 after 0 ms (peer-end)',
    'retry 1 in 1 s (peer-end)',
    'open, session 2, on trial for 5 s',
    'in 11 s: 11 retries, 12 lost sessions; latest: lost session 12 after 0 ms (peer-end)',
  ]);

  await pass(4999);
  expect(scene!.texts).toEqual([]);
  await pass(1);
  expect(scene!.texts).toEqual(['back after 25 attempts in 25 s']);
  expect(jest.getTimerCount()).toBe(0);
});

test('a session that is lost before `settleTime` does not end the outage', async () => {
  start();
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  expect(scene!.texts.at(-1)).toBe('open, session 1 after 2 attempts, on trial for 5 s');

  await pass(1000);
  await scene!.fail();
  await scene!.failFor(8000);
  expect(scene!.texts).toEqual(['lost session 1 after 1 s (scripted ECONNREFUSED)']);
});

test('a loss after the end of an outage begins a new one', async () => {
  start();
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  await pass(5000);
  await scene!.fail();

  expect(scene!.texts).toEqual([
    'retry 1 in 1 s (scripted ECONNREFUSED)',
    'open, session 1 after 2 attempts, on trial for 5 s',
    'back after 2 attempts in 1 s',
    'lost session 1 after 5 s (scripted ECONNREFUSED)',
    'retry 1 in 1 s (scripted ECONNREFUSED)',
  ]);
});

test('the intervals grow to `maxInterval`', async () => {
  start(1, { interval: 2000, maxInterval: 5000 });
  await scene!.fail();
  await scene!.failFor(20_000);

  expect(scene!.texts.map((text) => /^in (\d+) s:/.exec(text)?.[1])).toEqual([undefined, '2', '6', '11', '16']);
});

test('a pool with many members that lose the same server: lines for the first, and one when all are back', async () => {
  const members = 30;
  start(members);
  await scene!.connect();
  expect(scene!.texts).toEqual(['30 connections are open']);

  await scene!.fail('ECONNRESET');
  await scene!.failFor(5000);
  expect(scene!.texts).toEqual([
    'lost session 1 after 0 ms (scripted ECONNRESET)',
    'retry 1 in 1 s (scripted ECONNRESET)',
    'retry 2 in 1 s (scripted ECONNREFUSED)',
  ]);

  await scene!.failFor(6000);
  expect(scene!.texts).toEqual([
    'in 11 s: 331 retries, 30 lost sessions, 30 connections down; latest: retry 12 in 1 s (scripted ECONNREFUSED)',
  ]);

  await pass(1000);
  await scene!.connect();
  await pass(5000);
  const [first, all] = scene!.lines;
  expect(scene!.texts).toEqual([
    'open, session 2 after 12 attempts, on trial for 5 s',
    'all 30 connections are back after 360 attempts in 12 s',
  ]);
  expect(first?.fields).toMatchObject({ event: 'open', generation: 2 });
  expect(all?.fields).toMatchObject({ connections: members, downtime: 12_000 });
});

test('a pool that is closed in an outage: one line with a summary', async () => {
  start(3);
  await scene!.fail();
  await scene!.failFor(2000);
  expect(scene!.texts).toEqual(['retry 1 in 1 s (scripted ECONNREFUSED)']);
  for (const connection of scene!.connections) connection.destroy();
  await settle();

  const [closed] = scene!.lines;
  expect(scene!.texts).toEqual(['3 connections closed (destroyed); in 2 s: 9 retries']);
  expect(closed?.fields).toMatchObject({ connections: 3, retries: 9, heldBack: 8 });
});

test('thousands of writes that are dropped at once: one line that counts them', async () => {
  start();
  await scene!.fail();
  for (let write = 0; write < 5000; write++) scene!.connections[0]!.write('0123456789');
  scene!.connections[0]!.destroy();

  const dropped = scene!.lines[1];
  expect(scene!.texts).toEqual([
    'retry 1 in 1 s (scripted ECONNREFUSED)',
    'dropped 5000 writes of 50000 bytes in all (destroyed)',
    'closed (destroyed)',
  ]);
  expect(dropped?.fields).toMatchObject({ event: 'drop', writes: 5000, bytes: 50_000, reason: 'destroyed' });
  expect(jest.getTimerCount()).toBe(0);
});

test('writes that are refused while the connection is open are no outage', async () => {
  start();
  await scene!.connect();
  scene!.network.last.stalled = true;
  const [connection] = scene!.connections;
  const big = Buffer.alloc(600_000);
  for (let write = 0; write < 6; write++) connection!.write(big);
  await pass(5000);

  expect(scene!.texts).toEqual(['open, session 1', 'dropped 4 writes of 2400000 bytes in all (refused)']);
});

test('a connection whose `target` function returns another target stays in its outage', async () => {
  start(1, {}, { target: (attempt) => ({ port: attempt % 2 === 0 ? 1000 : 2000 }) });
  await scene!.fail();
  await scene!.failFor(3000);
  await pass(1000);
  await scene!.connect();
  await pass(5000);

  const texts = scene!.texts.map((line) => line.replace('127.0.0.1:', ''));
  expect(texts).toEqual([
    expect.stringContaining(': retry 1 in 1 s'),
    expect.stringContaining(': retry 2 in 1 s'),
    expect.stringContaining(': open, session 1 after 5 attempts, on trial for 5 s'),
    expect.stringContaining(': back after 5 attempts in 4 s'),
  ]);
  expect(new Set(texts.slice(0, 2).map((line) => line.slice(0, 4)))).toEqual(new Set(['1000', '2000']));
});

test('reconnect() is not logged as a loss, nor the next session as a recovery', async () => {
  start();
  await scene!.connect();
  scene!.connections[0]!.markHealthy();
  scene!.connections[0]!.reconnect();
  scene!.network.last.finish();
  await scene!.connect();

  expect(scene!.lines.map(({ level, text }) => `${level}: ${text}`)).toEqual([
    'info: open, session 1',
    'info: reconnect() dropped session 1 after 0 ms',
    'info: open, session 2',
  ]);
});

test('markHealthy() ends the trial at once', async () => {
  start();
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  scene!.connections[0]!.markHealthy();
  scene!.connections[0]!.markHealthy();
  expect(scene!.texts.slice(1)).toEqual([
    'open, session 1 after 2 attempts, on trial for 5 s',
    'back after 2 attempts in 1 s',
  ]);
  await pass(60_000);
  expect(scene!.texts).toEqual([]);
});

test('a member of a pool that is vouched for is back when all are healthy', async () => {
  start(2);
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  scene!.connections[0]!.markHealthy();
  expect(scene!.texts.slice(1)).toEqual(['open, session 1 after 2 attempts, on trial for 5 s']);
  scene!.connections[1]!.markHealthy();
  expect(scene!.texts).toEqual(['all 2 connections are back after 4 attempts in 1 s']);
});

test('a trial lasts for as long as the wait before the session, where that is longer than `minUptime`', async () => {
  start(1, {}, { backoff: () => 20_000 });
  await scene!.fail();
  await pass(20_000);
  await scene!.connect();
  await pass(19_999);
  expect(scene!.texts.slice(1)).toEqual(['open, session 1 after 2 attempts, on trial for 20 s']);
  await pass(1);
  expect(scene!.texts).toEqual(['back after 2 attempts in 20 s']);
});

test('without `minUptime` a session is back when it has lasted as long as the wait before it', async () => {
  start(1, {}, { minUptime: 0 });
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  await pass(1000);
  expect(scene!.texts.at(-1)).toBe('back after 2 attempts in 1 s');
});

test('reconnect() in an outage is a part of it: repeated lines are held back', async () => {
  start();
  await scene!.connect();
  for (let round = 0; round < 5; round++) {
    scene!.connections[0]!.reconnect();
    scene!.network.last.finish();
    await pass(1000);
    await scene!.connect();
  }
  expect(scene!.texts).toEqual([
    'open, session 1',
    'reconnect() dropped session 1 after 0 ms',
    'retry 1 in 1 s (forced)',
    'open, session 2, on trial for 5 s',
    'reconnect() dropped session 2 after 0 ms',
  ]);
});

test('the line of the recovery counts the dropped and the uncertain writes', async () => {
  const { network, connections, lines } = start(1, {}, { queue: { maxAge: 500 } });
  const connection = connections[0]!;
  for (let round = 0; round < 2; round++) {
    await scene!.connect();
    network.last.stalled = true;
    for (let write = 0; write < 3; write++) connection.write('12');
    await scene!.fail();
    for (let write = 0; write < 5; write++) connection.write('1234');
    await pass(1000);
  }
  await scene!.connect();
  await pass(5000);
  const lost = { uncertainWrites: 6, uncertainBytes: 12, droppedWrites: 10, droppedBytes: 40 };
  expect(lines.at(-1)?.fields).toMatchObject(lost);
});

test('writes that are dropped after the recovery are logged apart', async () => {
  start();
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  const [connection] = scene!.connections;
  connection!.markHealthy();
  scene!.network.last.stalled = true;
  for (let write = 0; write < 6; write++) connection!.write(Buffer.alloc(600_000));
  await pass(5000);
  expect(scene!.texts.slice(2)).toEqual([
    'back after 2 attempts in 1 s',
    'dropped 4 writes of 2400000 bytes in all (refused)',
  ]);
});

test.each([
  [
    'after an orderly end',
    'info',
    'closed (not-retryable), session 1 after 0 ms: Gave up on 127.0.0.1:6379: `shouldRetry` returned false (peer-end)',
  ],
  [
    'after an error',
    'warn',
    'closed (not-retryable), session 1 after 0 ms: Gave up on 127.0.0.1:6379: `shouldRetry` returned false: scripted ECONNRESET',
  ],
])('an end that `shouldRetry` asked for %s is no error', async (end, level, text) => {
  start(1, {}, { shouldRetry: () => false });
  await scene!.connect();
  if (end === 'after an error') await scene!.fail('ECONNRESET');
  else scene!.network.last.finish();
  await settle();
  expect(scene!.lines.at(-1)).toMatchObject({ level, text });
});

test('a connection that gives up is logged as an error, with what it could not overcome in the text and the fields', async () => {
  start(1, {}, { maxRetries: 0 });
  await scene!.connect();
  scene!.connections[0]!.markHealthy();
  await scene!.fail('ECONNREFUSED');
  const error = 'Gave up on 127.0.0.1:6379: `maxRetries` is 0: scripted ECONNREFUSED';
  const fields = { event: 'giveUp', tag: '127.0.0.1:6379', reason: 'max-retries', generation: 1, uptime: 0 };
  expect(scene!.lines.slice(1)).toEqual([
    {
      level: 'error',
      text: `closed (max-retries), session 1 after 0 ms: ${error}`,
      fields: { ...fields, code: 'ERR_GAVE_UP', causeCode: 'ECONNREFUSED', error },
    },
  ]);
});

test('the returned function leaves no listener and no timer', async () => {
  start();
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  const [connection] = scene!.connections;
  expect(jest.getTimerCount()).toBeGreaterThan(0);

  scene!.undo();
  scene!.undo();

  expect(jest.getTimerCount()).toBe(0);
  expect(connection?.eventNames()).toEqual([]);
  expect(scene!.texts).toHaveLength(2);
  await scene!.fail();
  expect(scene!.texts).toEqual([]);
});

test('a logger that stops the logging, from the line of the recovery, leaves no timer', async () => {
  start();
  await scene!.fail();
  await pass(1000);
  await scene!.connect();
  scene!.onLine = () => scene!.undo();
  scene!.connections[0]!.markHealthy();
  expect(scene!.texts.at(-1)).toBe('back after 2 attempts in 1 s');
  expect(jest.getTimerCount()).toBe(0);
});
