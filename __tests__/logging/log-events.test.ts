import { EventEmitter } from 'node:events';

import { expectTypeOf } from 'expect-type';
import { pino } from 'pino';
import {
  type Logger,
  type LogEventsOptions,
  ConnectionPool,
  ReconnectingConnection,
  logEvents,
} from 'reconnecting-connection';
import { createLogger } from 'winston';

import { Loopback, QUICK, connectTo, next, track } from '../kit/loopback';

/** A logger that records its calls: the method, then the arguments. */
function recordingLogger(...levels: readonly string[]) {
  const calls: unknown[][] = [];
  const methods = ['info', 'warn', 'error', ...levels].map((level) => [
    level,
    (...args: unknown[]) => void calls.push([level, ...args]),
  ]);
  // `as`: these methods and perhaps others.
  return { calls, logger: Object.fromEntries(methods) as Logger };
}

const invalid = (message: string | RegExp) =>
  expect.objectContaining({
    code: 'ERR_INVALID_OPTION',
    message: typeof message === 'string' ? message : (expect.stringMatching(message) as string),
  }) as Error;

/** A connection that does not dial. */
const idle = () => new ReconnectingConnection({ port: 1, autoConnect: false });

test('a pool’s lines have the tags of its members', async () => {
  const servers = [await Loopback.start(), await Loopback.start()];
  const pool = track(new ConnectionPool(QUICK));
  const { calls, logger } = recordingLogger();
  logEvents(pool, logger);
  const tags = servers.map((server) => pool.add(server.target).tag);
  await next(pool, 'open', () => pool.stats.open === 2);
  await pool.disconnect();

  const lines = calls.map(([, , fields]) => fields as { event: string; tag: string });
  expect(lines.map(({ event, tag }) => `${event} ${tag}`).sort()).toEqual(
    tags.flatMap((tag) => [`close ${tag}`, `open ${tag}`]).sort(),
  );
});

test('a level may be any method of the logger, or false', async () => {
  const server = await Loopback.start();
  const connection = connectTo(server);
  const { calls, logger } = recordingLogger('silly');
  logEvents(connection, logger, { levels: { open: 'silly', backoff: false, close: undefined } as never });
  await server.meets(connection);
  server.drop();
  await next(connection, 'open');
  await connection.disconnect();

  expect(calls.map(([level, , fields]) => [level, (fields as { event: string }).event])).toEqual([
    ['silly', 'open'],
    ['warn', 'reset'],
    ['silly', 'open'],
    ['info', 'close'],
  ]);
});

test('`convention` determines how the logger is called', async () => {
  const server = await Loopback.start();
  const connection = connectTo(server);
  const { calls, logger } = recordingLogger();
  logEvents(connection, logger, { convention: 'fields-first' });
  await connection.whenOpen();

  expect(calls).toEqual([
    ['info', expect.objectContaining({ event: 'open', tag: connection.tag }), `${connection.tag}: open, session 1`],
  ]);
});

test('the returned function stops the logging, and removes no listeners of others', async () => {
  const server = await Loopback.start();
  const connection = connectTo(server);
  const { calls, logger } = recordingLogger();
  let opened = 0;
  connection.on('open', () => (opened += 1));
  const undo = logEvents(connection, logger);
  const other = recordingLogger();
  logEvents(connection, other.logger);
  undo();
  undo();
  await connection.whenOpen();

  expect([calls, opened, other.calls.length]).toEqual([[], 1, 1]);
});

test('the timer for the end of an outage does not keep the process running', async () => {
  const server = await Loopback.start();
  const connection = connectTo(server, { minUptime: 54_321 });
  logEvents(connection, recordingLogger().logger);
  await server.meets(connection);
  const timers = jest.spyOn(globalThis, 'setTimeout');
  server.drop();
  await next(connection, 'open');

  const call = timers.mock.calls.findIndex(([, delay = 0]) => delay > 54_000 && delay <= 54_321);
  const timer = timers.mock.results[call]?.value as NodeJS.Timeout | undefined;
  timers.mockRestore();
  expect(timer?.hasRef()).toBe(false);
});

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['a string', 'connection'],
  ['an object without events', {}],
  ['another emitter', new EventEmitter()],
])('an emitter that is neither a connection nor a pool is refused: %s', (_what, emitter) => {
  expect(() => logEvents(emitter as never, console)).toThrow(invalid(/^Expected `emitter` to be /));
});

test.each<[unknown, string]>([
  [undefined, 'Expected `logger` to be an object, got undefined'],
  ['console', 'Expected `logger` to be an object, got "console" (string)'],
  [{ info() {}, error() {} }, 'Expected `logger.warn` to be a function, got undefined'],
  [{ info() {}, warn: 1, error() {} }, 'Expected `logger.warn` to be a function, got 1 (number)'],
])('a logger without the methods is refused: %p', (logger, message) => {
  const connection = idle();
  expect(() => logEvents(connection, logger as never)).toThrow(invalid(message));
  expect(connection.eventNames()).toEqual([]);
});

test('a logger needs only the methods that `levels` names', () => {
  const logger = { note() {} };
  const all = { open: 'note', reset: 'note', reconnect: false, backoff: false, drop: 'note', close: 'note' } as const;
  expect(() => logEvents(idle(), logger as never, { levels: { ...all, giveUp: 'note' } })).not.toThrow();
  expect(() => logEvents(idle(), logger as never, { levels: all })).toThrow(
    invalid('Expected `logger.error` to be a function, got undefined'),
  );
});

test.each<[unknown, string | RegExp]>([
  [null, 'Expected the options to be an object, got null'],
  [{ level: 'info' }, /^Unknown option `level`: did you mean `levels`\?$/],
  [{ levels: 'info' }, 'Expected option `levels` to be an object, got "info" (string)'],
  [{ levels: { opened: 'info' } }, /^Unknown option `levels\.opened`: did you mean `levels\.open`\?$/],
  [
    { levels: { open: '' } },
    'Expected option `levels.open` to be the name of a method of the logger, or false, got "" (string)',
  ],
  [
    { levels: { open: true } },
    'Expected option `levels.open` to be the name of a method of the logger, or false, got true (boolean)',
  ],
  [{ levels: { open: 'silly' } }, 'Expected `logger.silly` to be a function, got undefined'],
  [
    { convention: 'pino' },
    "Expected option `convention` to be 'fields-first', 'message-first', 'message-only', got \"pino\" (string)",
  ],
  [{ interval: 0 }, 'Expected option `interval` to be a number ≥ 1, got 0 (number)'],
  [{ settleTime: NaN }, 'Expected option `settleTime` to be a number ≥ 1, got NaN (number)'],
  [{ interval: 5000, maxInterval: 4000 }, 'Expected option `maxInterval` to be ≥ `interval` (5000), got 4000 (number)'],
])('invalid options are refused: %p', (options, message) => {
  const connection = idle();
  expect(() => logEvents(connection, console, options as never)).toThrow(invalid(message));
  expect(connection.eventNames()).toEqual([]);
});

test.each<LogEventsOptions>([{ maxInterval: Infinity }, { interval: 900_000 }, { interval: 1, settleTime: 1 }])(
  'valid options are accepted: %p',
  (options) => {
    expect(() => logEvents(idle(), console, options)).not.toThrow();
  },
);

test('the loggers of pino and winston and the console have the type Logger', () => {
  expectTypeOf(console).toExtend<Logger>();
  expectTypeOf(pino()).toExtend<Logger>();
  expectTypeOf(createLogger()).toExtend<Logger>();
  // @ts-expect-error it has no `warn`
  expect(() => logEvents(idle(), { info() {}, error() {} })).toThrow();
});

test('an ejection of a member and its end are a line each', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => Loopback.start()));
  const pool = track(new ConnectionPool({ ...QUICK, ejection: { failures: 1, baseTime: 50 } }));
  const { calls, logger } = recordingLogger();
  const levels = { open: false, reset: false, backoff: false, eject: 'warn', restore: 'info' } as const;
  const stop = logEvents(pool, logger, { levels, convention: 'fields-first' });
  for (const server of servers) pool.add(server.target);
  await pool.whenOpen(3);
  servers[0]!.drop();
  await next(pool, 'restore');
  stop();
  const tag = pool.connections[0]!.tag;
  const fields = { tag, ejections: 1 };
  expect(calls).toEqual([
    [
      'warn',
      { event: 'eject', ...fields, failures: 1, duration: 50, reason: 'peer-end' },
      `${tag}: left out of pick() for 50 ms after a failure (peer-end)`,
    ],
    [
      'info',
      { event: 'restore', ...fields, duration: expect.any(Number) as number },
      expect.stringContaining(': picked'),
    ],
  ]);
  expect([pool.listenerCount('eject'), pool.listenerCount('restore')]).toEqual([0, 0]);
});
