import { type CommonOptions, ConnectionError, ReconnectingConnection } from 'reconnecting-connection';
import { Requests } from 'reconnecting-connection/requests';
import split2 from 'split2';

import { cleanUp, track } from '../kit/clean-up';
import { ScriptedDial, pass, settle, useFakeClock } from '../kit/scripted';

// What docs/recipes/ says beside its programs.

beforeEach(useFakeClock);
afterEach(async () => {
  await cleanUp();
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

const BACKOFF = 100;

/** A connection to a device that the test plays. */
function deviceOf(options: CommonOptions = {}) {
  const script = new ScriptedDial();
  const connection = track(
    new ReconnectingConnection<string>({
      port: 1,
      dial: script.dial,
      decoder: () => split2(),
      backoff: () => BACKOFF,
      ...options,
    }),
  );
  const open = async () => {
    await settle();
    script.last.connect();
    await settle();
  };
  return { connection, script, open };
}

const fateOf = (answer: Promise<string>) =>
  answer.catch((error: unknown) => (error instanceof ConnectionError ? error.code : error));

test('STOP is sent before the requests that wait, when the device comes back', async () => {
  const { connection, script, open } = deviceOf();
  const requests = new Requests(connection, { timeout: 10_000, match: (line) => line !== 'STOPPED' });
  const job = new AbortController();
  const aborted = fateOf(requests.request('JOG 1\n', { signal: job.signal }));
  job.abort();
  const home = requests.request('HOME\n');
  connection.write('STOP\n', { priority: 'urgent', maxAge: 5_000 });
  await open();
  expect(script.last.written.join('')).toBe('STOP\nHOME\n');

  script.last.receive('STOPPED\nhome\n');
  expect(await Promise.all([aborted, home])).toEqual(['ERR_ABORTED', 'home']);
});

test('of commands that cross a hang-up, the one that was sent is uncertain and those behind it were not sent', async () => {
  const { connection, script, open } = deviceOf({ shouldRetry: ({ reason }) => reason !== 'peer-end' });
  const requests = new Requests(connection, { timeout: 10_000 });
  const fates = ['POWER ON\n', 'INPUT 1\n'].map((command) => fateOf(requests.request(command)));
  await open();
  script.last.finish();
  expect(await Promise.all(fates)).toEqual(['ERR_DELIVERY_UNCERTAIN', 'ERR_GAVE_UP']);
  expect([script.last.written.join(''), connection.state]).toEqual(['POWER ON\n', 'closed']);

  connection.connect();
  const again = requests.request('POWER ON\n');
  await open();
  script.last.receive('on\n');
  expect(await again).toBe('on');
});

test.each([
  ['minUptime: 0 forgives no session that is shorter than the wait before it', false, [1, 2, 3]],
  ['markHealthy() forgives it', true, [1, 1, 1]],
])('a device that answers and hangs up at once: %s', async (_title, isVouchedFor, expected) => {
  const { connection, script, open } = deviceOf({ minUptime: 0 });
  const attempts: number[] = [];
  connection.on('backoff', ({ attempt }) => attempts.push(attempt));
  connection.on('message', () => isVouchedFor && connection.markHealthy());
  for (let session = 1; session <= 3; session += 1) {
    await open();
    script.last.receive('OK\n');
    script.last.finish();
    await pass(BACKOFF);
  }
  expect(attempts).toEqual(expected);
});

test('a ping without an answer drops the session, and reconnect() then dials without waiting for the peer to end it', async () => {
  const { connection, script, open } = deviceOf({ backoff: () => 60_000 });
  const requests = new Requests(connection, { timeout: 10_000 });
  await open();
  const [forgotten] = script.links;
  const checked = requests.request('PING\n', { timeout: 500 }).catch(() => connection.state);
  await pass(500);
  expect(await checked).toBe('backoff');
  connection.reconnect();
  await settle();
  expect([forgotten?.destroyed, script.links.length]).toEqual([true, 2]);
});
