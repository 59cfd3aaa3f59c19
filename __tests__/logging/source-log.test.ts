import {
  type LogEventsOptions,
  type MemberSource,
  type SourceInfo,
  ConnectionPool,
  logEvents,
} from 'reconnecting-connection';

import { pass, useFakeClock } from '../kit/scripted';

/** A line: its level, its message and its fields. */
type Line = [level: string, text: string, fields: Record<string, unknown>];

let lines: Line[] = [];
let pool: ConnectionPool;
let undo = () => {};

/** The lines since the last call, without their fields. */
const logged = () => lines.splice(0).map(([level, text]) => `${level} ${text}`);

function start(options: LogEventsOptions = {}): void {
  const log =
    (level: string) =>
    (text: string, fields: Line[2]): void =>
      void lines.push([level, text, fields]);
  pool = new ConnectionPool();
  undo = logEvents(pool, { info: log('info'), warn: log('warn'), error: log('error') }, options);
}

const source: MemberSource = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };

const tell = (kind: SourceInfo['kind'], more: Partial<SourceInfo> = {}) =>
  pool.emit('source', { kind, source, joined: 0, left: 0, ...more });

const refused = (code: string) => Object.assign(new Error(`queryA ${code} db`), { code });

beforeEach(() => {
  useFakeClock();
  start();
});

afterEach(() => {
  undo();
  expect([jest.getTimerCount(), pool.eventNames()]).toEqual([0, []]);
  jest.useRealTimers();
});

test('the first list of a source is a line, and each that changes members, but none that changes nothing', () => {
  tell('list', { joined: 3 });
  tell('list');
  tell('list', { joined: 1, left: 2 });
  expect(lines).toEqual([
    ['info', 'source: 3 members joined, 0 left', { event: 'source', tag: 'source', joined: 3, left: 0 }],
    ['info', 'source: 1 member joined, 2 left', { event: 'source', tag: 'source', joined: 1, left: 2 }],
  ]);
});

test('a source that keeps failing is one line, then a summary at growing intervals, then its recovery', async () => {
  tell('list', { joined: 3 });
  lines = [];
  for (let count = 0; count < 30; count += 1) {
    tell('failed', { error: refused('ESERVFAIL'), delay: 500.4 });
    await pass(1_000);
  }
  expect(lines[0]).toEqual([
    'warn',
    'source: failed, asked again in 500 ms: queryA ESERVFAIL db',
    {
      event: 'sourceFailed',
      tag: 'source',
      reason: 'failed',
      delay: 500,
      code: 'ESERVFAIL',
      error: 'queryA ESERVFAIL db',
    },
  ]);
  expect(lines[1]).toEqual([
    'warn',
    'source: in 10 s: 11 failures; latest: failed, asked again in 500 ms: queryA ESERVFAIL db',
    expect.objectContaining({ failures: 11, duration: 10_000, heldBack: 9 }),
  ]);
  expect(lines).toHaveLength(2);
  lines = [];
  tell('list', { joined: 1 });
  expect(lines).toEqual([
    [
      'info',
      'source: back after 30 failures in 30 s, 1 member joined, 0 left',
      { event: 'source', tag: 'source', joined: 1, left: 0, failures: 30, duration: 30_000, heldBack: 19 },
    ],
  ]);
  lines = [];
  // Unless it fails again for `settleTime`, the trouble is over, and the next is one of its own.
  await pass(5_000);
  tell('failed', { error: refused('ESERVFAIL'), delay: 100 });
  expect(logged()).toEqual(['warn source: failed, asked again in 100 ms: queryA ESERVFAIL db']);
});

test('a source that gives a list and fails, again and again, is not a line each time', async () => {
  for (let count = 0; count < 9; count += 1) {
    tell('list', { joined: count });
    tell('failed', { error: refused('ETIMEOUT'), delay: 1_000 });
    await pass(1_000);
  }
  tell('list');
  expect(logged()).toEqual([
    'info source: 0 members joined, 0 left',
    'warn source: failed, asked again in 1 s: queryA ETIMEOUT db',
    'info source: back after 1 failure in 1 s, 1 member joined, 0 left',
  ]);
  await pass(5_000);
  expect(logged()).toEqual(['info source: back after 9 failures in 9 s, 0 members joined, 0 left']);
});

test('another kind of failure is a line at once, and so is a list that is refused', () => {
  tell('failed', { error: refused('ESERVFAIL'), delay: 100 });
  tell('failed', { error: refused('ETIMEOUT'), delay: 100 });
  tell('refused', { error: new Error('Expected a list of the source to be of at least 1') });
  tell('refused', { error: new Error('Expected a list of the source to be of at least 1') });
  tell('failed', { error: new Error('oh') });
  expect(logged()).toEqual([
    'warn source: failed, asked again in 100 ms: queryA ESERVFAIL db',
    'warn source: failed, asked again in 100 ms: queryA ETIMEOUT db',
    'warn source: a list was refused, the one before is kept: Expected a list of the source to be of at least 1',
    'warn source: failed, and gives no more lists: oh',
  ]);
  // What was only counted is logged when the logging stops.
  tell('refused', { error: new Error('Expected more') });
  undo();
  expect(logged()).toEqual([
    'warn source: in 0 ms: 6 failures; latest: a list was refused, the one before is kept: Expected more',
  ]);
});

test('a source that ends after each list, to be asked again, says so once; one that ends for good says that', () => {
  for (let count = 0; count < 3; count += 1) {
    tell('list', { joined: count === 0 ? 2 : 0 });
    tell('ended', { delay: 250 });
  }
  tell('ended');
  expect(logged()).toEqual([
    'info source: 2 members joined, 0 left',
    'info source: ended, asked again in 250 ms',
    'info source: ended, and gives no more lists',
  ]);
});

test('a second source has a number, and its own trouble', () => {
  tell('list', { joined: 1 });
  const second: MemberSource = { ...source };
  tell('failed', { error: refused('ESERVFAIL'), delay: 100, source: second });
  tell('list', { joined: 1 });
  expect(logged()).toEqual([
    'info source: 1 member joined, 0 left',
    'warn source #2: failed, asked again in 100 ms: queryA ESERVFAIL db',
    'info source: 1 member joined, 0 left',
  ]);
});

test('the levels are those of `reset` and `open`, unless they are given', () => {
  undo();
  start({ levels: { open: false, reset: 'error' } });
  tell('list', { joined: 1 });
  tell('failed', { error: refused('ESERVFAIL'), delay: 100 });
  expect(logged()).toEqual(['error source: failed, asked again in 100 ms: queryA ESERVFAIL db']);
  undo();
  start({ levels: { source: 'warn', sourceFailed: false } });
  tell('list', { joined: 1 });
  tell('failed', { error: refused('ESERVFAIL'), delay: 100 });
  expect(logged()).toEqual(['warn source: 1 member joined, 0 left']);
});
