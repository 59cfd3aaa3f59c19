import { Console } from 'node:console';
import { type TransformCallback, PassThrough, Transform, Writable } from 'node:stream';

import { pino } from 'pino';
import { type Logger, logEvents } from 'reconnecting-connection';
import { createLogger, format } from 'winston';

import { LogWriter, checkLogger, conventionOf } from '../../lib/logging/logger';
import { Loopback, connectTo, next } from '../kit/loopback';
import { until } from '../kit/until';

/** Collects the lines that are written to it. */
class Lines extends Writable {
  readonly all: string[] = [];

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.all.push(...chunk.toString().split('\n').filter(Boolean));
    callback();
  }

  get parsed(): Record<string, unknown>[] {
    return this.all.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

/** The parts of a bunyan logger that matter here: `log.info(fields, message)`, `addStream`, `fields`. */
class Bunyan {
  readonly fields = { name: 'app' };
  readonly records: Record<string, unknown>[] = [];

  addStream(): void {}

  info(fields: object, message: string): void {
    this.#log(30, fields, message);
  }

  warn(fields: object, message: string): void {
    this.#log(40, fields, message);
  }

  error(fields: object, message: string): void {
    this.#log(50, fields, message);
  }

  #log(level: number, fields: object, message: string): void {
    // As in bunyan, the fields have to come first.
    if (typeof fields !== 'object' || typeof message !== 'string') throw new TypeError('not a bunyan call');
    this.records.push({ ...this.fields, ...fields, level, msg: message });
  }
}

/** The text of a winston record. */
function finish(record: Record<symbol, string>, _encoding: string, callback: TransformCallback): void {
  callback(null, `${record[Symbol.for('message')]}\n`);
}

/** Logs a session that opens, is lost, opens again and is closed. */
async function live(logger: Logger): Promise<{ tag: string }> {
  const server = await Loopback.start();
  const connection = connectTo(server);
  logEvents(connection, logger);
  await server.meets(connection);
  server.drop();
  await next(connection, 'open');
  await connection.disconnect();
  return connection;
}

/** The fields of its lines. */
const expected = (tag: string) => [
  { event: 'open', tag, generation: 1, attempts: 1 },
  { event: 'reset', tag, generation: 1, reason: 'peer-end' },
  { event: 'backoff', tag, attempt: 1, delay: 10, reason: 'peer-end' },
  { event: 'open', tag, generation: 2, attempts: 1, trial: expect.closeTo(5_000, -2) as number },
  { event: 'close', tag, reason: 'disconnected', generation: 2 },
];

const messages = (tag: string) =>
  [
    'open, session 1',
    'lost session 1 ',
    'retry 1 in 10 ms (peer-end)',
    'open, session 2, on trial for 5 s',
    'closed (disc',
  ].map((text) => expect.stringContaining(`${tag}: ${text}`) as string);

test('pino is called with the fields first, and writes them beside the message', async () => {
  const lines = new Lines();
  const { tag } = await live(pino(lines));

  expect(lines.parsed).toMatchObject(expected(tag));
  expect(lines.parsed.map(({ msg }) => msg)).toEqual(messages(tag));
  expect(lines.parsed.map(({ level }) => level)).toEqual([30, 40, 40, 30, 30]);
});

test('a child of pino keeps its own fields', async () => {
  const lines = new Lines();
  const { tag } = await live(pino(lines).child({ service: 'cache' }));

  expect(lines.parsed).toMatchObject(expected(tag));
  expect(lines.parsed.every(({ service }) => service === 'cache')).toBe(true);
});

test('winston is called with the message first, and writes the fields as its metadata', async () => {
  const lines = new Lines();
  const logger = createLogger({ format: format.json() });
  // A winston logger is a stream of formatted records; its transports read the text from this symbol.
  logger.pipe(new Transform({ writableObjectMode: true, transform: finish })).pipe(lines);
  const { tag } = await live(logger);
  // Streams pass it on in later turns.
  await until(() => lines.all.length === messages(tag).length);

  expect(lines.parsed).toMatchObject(expected(tag));
  expect(lines.parsed.map(({ message }) => message)).toEqual(messages(tag));
  expect(lines.parsed.map(({ level }) => level)).toEqual(['info', 'warn', 'warn', 'info', 'info']);
});

test('a logger like bunyan’s is called with the fields first', async () => {
  const logger = new Bunyan();
  const { tag } = await live(logger);

  expect(logger.records).toMatchObject(expected(tag));
  expect(logger.records.map(({ msg }) => msg)).toEqual(messages(tag));
  expect(logger.records.map(({ level }) => level)).toEqual([30, 40, 40, 30, 30]);
});

test('a console is called with the message only, and so prints one line per event', async () => {
  const stdout = new PassThrough().setEncoding('utf8');
  const stderr = new PassThrough().setEncoding('utf8');
  const { tag } = await live(new Console({ stdout, stderr }));

  const [opened, lost, waiting, back, closed] = messages(tag);
  expect(String(stdout.read()).trimEnd().split('\n')).toEqual([opened, back, closed]);
  expect(String(stderr.read()).trimEnd().split('\n')).toEqual([lost, waiting]);
});

test('the global console is called with the message only', () => {
  expect(conventionOf(console)).toBe('message-only');
});

test('a level may be any method of the logger, and is called with the logger as `this`', () => {
  const calls: unknown[] = [];
  const logger = {
    name: 'own',
    silly(this: { name: string }, ...args: unknown[]) {
      calls.push([this.name, ...args]);
    },
  };
  checkLogger(logger, ['silly']);
  new LogWriter(logger, 'message-first').write('silly', 'message', { a: 1 });
  new LogWriter(logger, 'fields-first').write('silly', 'message', { a: 1 });

  new LogWriter(logger, 'message-only').write('silly', 'message', { a: 1 });

  expect(calls).toEqual([
    ['own', 'message', { a: 1 }],
    ['own', { a: 1 }, 'message'],
    ['own', 'message'],
  ]);
});

test('a function with methods is a logger too', () => {
  const logger = Object.assign(() => undefined, { warn: () => undefined });
  expect(() => checkLogger(logger, ['warn'])).not.toThrow();
});

describe('a logger that fails', () => {
  let warn: jest.SpyInstance;
  beforeEach(() => (warn = jest.spyOn(process, 'emitWarning').mockImplementation()));
  afterEach(() => warn.mockRestore());

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('disk full');
      },
    ],
    ['returns a promise that rejects', () => Promise.reject(new Error('disk full'))],
  ])('because it %s causes one warning of the process', async (_how, fail) => {
    const writer = new LogWriter({ info: fail }, 'message-first');
    writer.write('info', 'one', {});
    writer.write('info', 'two', {});
    await new Promise((resolve) => setImmediate(resolve));

    expect(warn.mock.calls).toEqual([
      [
        'The logger of a connection failed, and a line was not logged: disk full',
        { code: 'RECONNECTING_CONNECTION_LOGGER' },
      ],
    ]);
  });

  test('because its method was removed loses the line, and nothing throws', () => {
    expect(() => new LogWriter({}, 'message-first').write('info', 'one', {})).not.toThrow();
  });

  test('affects neither the connection nor the listeners after it', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server);
    const fail = () => {
      throw new Error('disk full');
    };
    logEvents(connection, { info: fail, warn: fail, error: fail });
    const emitted: string[] = [];
    connection.on('open', () => emitted.push('open'));
    connection.on('close', () => emitted.push('close'));
    await connection.whenOpen();
    await connection.disconnect();

    expect(emitted).toEqual(['open', 'close']);
    expect(warn).toHaveBeenCalledTimes(1);
  });
});
