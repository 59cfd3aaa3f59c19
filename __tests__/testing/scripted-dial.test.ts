import { ReconnectingConnection } from 'reconnecting-connection';
import { ScriptedDial, record } from 'reconnecting-connection/testing';

import { cleanUp, track } from '../kit/clean-up';
import { useFakeClock } from '../kit/scripted';

afterEach(async () => {
  await cleanUp();
  jest.useRealTimers();
});

const QUICK = { port: 1, minUptime: 0, backoff: () => 5 };

/** Time for a confirmation to come that must not come. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

function scripted(script: ScriptedDial, options: object = {}) {
  const connection = track(new ReconnectingConnection({ ...QUICK, dial: script.dial, ...options }));
  return { connection, recorder: record(connection) };
}

test('a script is followed attempt by attempt, and its last line holds for all that follow', async () => {
  const mine = Object.assign(new Error('mine'), { code: 'EMINE' });
  const script = new ScriptedDial([
    'refuse',
    mine,
    'drop',
    { deliver: ['a', Buffer.from('b')], then: 'reset' },
    { then: mine },
    'open',
  ]);
  const { connection, recorder } = scripted(script);
  await recorder.next('open', { where: ({ generation }) => generation === 4 });
  script.peers.at(-1)!.drop();
  await recorder.next('open');

  expect(recorder.payloads('backoff').map(({ reason, error }) => error?.code ?? reason)).toEqual([
    'ECONNREFUSED',
    'EMINE',
    'peer-end',
    'ECONNRESET',
    'EMINE',
    'peer-end',
  ]);
  expect(recorder.payloads('data').map(String)).toEqual(['a', 'b']);
  expect([script.attempts, connection.generation]).toEqual([7, 5]);
  expect(script.peers.map(({ isOpen }) => isOpen)).toEqual([false, false, false, false, false, false, true]);
});

test('a dial that hangs ends with the connection’s own deadline, or when the test says so', async () => {
  const script = new ScriptedDial(['hang']);
  const { recorder } = scripted(script, { connectTimeout: 30 });
  expect((await recorder.next('backoff'))[0].reason).toBe('connect-timeout');

  (await script.attempt(2)).refuse();
  const [refused] = await recorder.next('backoff');
  (await script.attempt(3)).open();
  await recorder.next('open');

  expect(refused.error?.code).toBe('ECONNREFUSED');
  await script.peers[0]!.closed();
});

test('a peer receives writes, sends, and answers an end with an end', async () => {
  const script = new ScriptedDial();
  const { connection, recorder } = scripted(script);
  const peer = await script.attempt(1);
  connection.write('PING\r\n');
  await peer.receives('PING');
  peer.send('PONG\r\n');
  const [chunk] = await recorder.next('data');
  const { reason } = await connection.disconnect();
  await peer.closed();

  expect([String(peer.received), String(chunk), reason, peer.number, peer.target]).toEqual([
    'PING\r\n',
    'PONG\r\n',
    'disconnected',
    1,
    { host: '127.0.0.1', port: 1 },
  ]);
});

test('writes to a muted peer are uncertain when it is lost, and confirmed when it is unmuted', async () => {
  const script = new ScriptedDial();
  const { connection, recorder } = scripted(script);
  const first = await script.attempt(1);
  await recorder.next('open');
  first.mute();
  const lost = new Promise((resolve) => connection.write('one', resolve));
  await first.receives('one');
  await turn();
  first.reset();

  expect(await lost).toMatchObject({ code: 'ERR_DELIVERY_UNCERTAIN' });
  expect((await recorder.next('reset'))[0].uncertain).toEqual({ writes: 1, bytes: 3 });

  await recorder.next('open');
  const second = await script.attempt(2);
  second.mute();
  const kept = new Promise((resolve) => connection.write('two', resolve));
  await second.receives('two');
  await turn();
  expect(connection.pendingBytes).toBe(3);
  second.unmute();
  expect(await kept).toBeFalsy();
});

test('a muted peer leaves an end unanswered, until it goes on', async () => {
  const script = new ScriptedDial();
  const { connection, recorder } = scripted(script, { closeTimeout: 60_000 });
  const peer = await script.attempt(1);
  await recorder.next('open');
  peer.mute();
  const closed = connection.disconnect();
  await recorder.next('state', { where: (next) => next === 'closing' });
  expect(peer.isOpen).toBe(true);
  peer.unmute();

  expect((await closed).reason).toBe('disconnected');
});

test('with `tls` set, TLS is taken for done', async () => {
  const script = new ScriptedDial();
  const { connection, recorder } = scripted(script, { tls: true });
  await recorder.next('open');
  connection.write('secret');
  const peer = await script.attempt(1);
  await peer.receives('secret');

  expect(peer.target).toHaveProperty('tls');
});

test('hours of waiting pass in no time on a fake clock', async () => {
  useFakeClock();
  const script = new ScriptedDial(['refuse', 'refuse', { then: 'drop', after: 3_600_000 }, 'hang']);
  const { connection, recorder } = scripted(script, { backoff: () => 3_600_000 });
  for (const attempt of [1, 2]) {
    await recorder.next('backoff', { where: (info) => info.attempt === attempt });
    await jest.advanceTimersByTimeAsync(3_600_000);
  }
  await recorder.next('open');
  await jest.advanceTimersByTimeAsync(3_599_999);
  expect(connection.state).toBe('open');
  await jest.advanceTimersByTimeAsync(1);
  const [{ uptime }] = await recorder.next('reset');

  expect(uptime).toBe(3_600_000);
});

test('follow() writes the script anew from the next attempt on', async () => {
  const script = new ScriptedDial(['refuse']);
  const { recorder } = scripted(script);
  await recorder.next('backoff', { where: ({ attempt }) => attempt === 3 });
  script.follow(['open', 'hang']);
  await recorder.next('open');
  script.peers.at(-1)!.fail(new Error('mine'));
  const [{ error }] = await recorder.next('reset');
  const hanging = await script.attempt(script.attempts + 1);

  expect([error?.message, hanging.isOpen]).toEqual(['mine', false]);
});

test('one that is closed resets its links', async () => {
  const script = new ScriptedDial(['open', 'hang']);
  const { recorder } = scripted(script);
  await recorder.next('open');
  script[Symbol.dispose]();

  expect((await recorder.next('reset'))[0].error?.code).toBe('ECONNRESET');
});

test('a missed deadline for an attempt or a text is an error that shows what came', async () => {
  const script = new ScriptedDial();
  const { connection } = scripted(script);
  const peer = await script.attempt(1);
  connection.write('PING');
  await peer.receives('PING');

  await expect(script.attempt(2, { deadline: 5 })).rejects.toThrow(
    'Not so within 5 ms: attempt 2 is made; there were 1',
  );
  await expect(peer.receives('PONG', { deadline: 5 })).rejects.toThrow(
    'Not so within 5 ms: the peer receives "PONG"; it has "PING"',
  );
  await expect(peer.closed({ deadline: 5 })).rejects.toThrow('Not so within 5 ms: the link of attempt 1 is closed');
});

test.each<[string, () => unknown, string]>([
  [
    'a script that is no array',
    () => new ScriptedDial('open' as never),
    'Expected `script` to be an array of attempts, got "open" (string)',
  ],
  [
    'a word that is none',
    () => new ScriptedDial(['opne' as never]),
    "Expected `script[0]` to be 'open', 'refuse', 'hang', 'drop', an Error or an object, got \"opne\" (string)",
  ],
  [
    'an attempt with a typo',
    () => new ScriptedDial(['open', { delivr: 'x' } as never]),
    'Unknown option `script[1].delivr`: did you mean `script[1].deliver`?',
  ],
  [
    'a chunk that is none',
    () => new ScriptedDial([{ deliver: [1] as never }]),
    'Expected option `script[0].deliver` to be a string or bytes, got 1 (number)',
  ],
  [
    'an end that is none',
    () => new ScriptedDial([{ then: 'die' as never }]),
    "Expected option `script[0].then` to be 'stay', 'drop', 'reset' or an Error, got \"die\" (string)",
  ],
  [
    'a wait that is none',
    () => new ScriptedDial([{ after: -1 }]),
    'Expected option `script[0].after` to be a number ≥ 0, got -1 (number)',
  ],
])('%s is refused with ERR_INVALID_OPTION', (_what, call, message) => {
  expect(call).toThrow(
    expect.objectContaining({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringContaining(message) as string,
    }) as Error,
  );
});

test('a number that is no attempt’s, and a chunk that is none, are refused with ERR_INVALID_OPTION', async () => {
  const script = new ScriptedDial();
  scripted(script);
  await expect(script.attempt(0)).rejects.toMatchObject({ code: 'ERR_INVALID_OPTION' });
  const peer = await script.attempt(1);

  expect(() => peer.send(1 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error);
});
