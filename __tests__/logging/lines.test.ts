import type { BackoffInfo, CloseInfo, OpenInfo, ResetInfo } from 'reconnecting-connection';

import { ConnectionError } from '../../lib/errors';
import { dropLine } from '../../lib/logging/drops';
import { backoffLine, closeLine, counted, duration, openLine, resetLine } from '../../lib/logging/lines';

const TAG = '127.0.0.1:6379';
const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), { code: 'ECONNREFUSED' });

const opened: OpenInfo = { generation: 2, reopened: true, attempts: 1, downtime: 0, remoteAddress: '127.0.0.1' };
const lost: ResetInfo = {
  generation: 2,
  reason: 'peer-end',
  uptime: 61_000,
  willRetry: true,
  uncertain: { writes: 0, bytes: 0 },
};
const wait: BackoffInfo = { attempt: 3, delay: 1500, retryAt: 0, reason: 'error', error: refused };

test('openLine() has the number of the session, and the number of attempts if it is more than one', () => {
  expect(openLine(TAG, opened)).toEqual({
    event: 'open',
    tag: TAG,
    text: 'open, session 2',
    fields: { generation: 2, attempts: 1, remoteAddress: '127.0.0.1' },
    kind: `open ${TAG}`,
    shared: 'are open, session 2',
  });
  expect(openLine(TAG, { ...opened, attempts: 3 }).text).toBe('open, session 2 after 3 attempts');
});

test('resetLine() has the cause, the uptime and the uncertain writes', () => {
  expect(resetLine(TAG, lost)).toMatchObject({
    event: 'reset',
    text: 'lost session 2 after 61 s (peer-end)',
    fields: { generation: 2, uptime: 61_000, reason: 'peer-end' },
  });
  expect(
    resetLine(TAG, { ...lost, reason: 'error', error: refused, uncertain: { writes: 2, bytes: 9 } }),
  ).toMatchObject({
    text: 'lost session 2 after 61 s (connect ECONNREFUSED 127.0.0.1:6379); 2 writes (9 bytes) may be lost',
    fields: { reason: 'error', code: 'ECONNREFUSED', uncertainWrites: 2, uncertainBytes: 9 },
  });
});

test('resetLine() does not call a session lost that reconnect() has dropped, or that another has replaced', () => {
  expect(resetLine(TAG, { ...lost, reason: 'forced' })).toMatchObject({
    event: 'reconnect',
    text: 'reconnect() dropped session 2 after 61 s',
  });
  expect(resetLine(TAG, { ...lost, reason: 'replaced' })).toMatchObject({
    event: 'reconnect',
    text: 'replaced session 2 after 61 s',
  });
});

test('backoffLine() has the number of the retry, the delay and the cause, and the error of a user function', () => {
  expect(backoffLine(TAG, wait)).toMatchObject({
    event: 'backoff',
    text: 'retry 3 in 1.5 s (connect ECONNREFUSED 127.0.0.1:6379)',
    fields: { attempt: 3, delay: 1500, reason: 'error', code: 'ECONNREFUSED', error: refused.message },
  });
  expect(backoffLine(TAG, { ...wait, fault: new Error('NaN') })).toMatchObject({
    text: 'retry 3 in 1.5 s (connect ECONNREFUSED 127.0.0.1:6379); `backoff` or `shouldRetry` failed: NaN',
    fields: { fault: 'NaN' },
  });
});

test('dropLine() has the number and the length of the writes, and never their bytes', () => {
  const connection = {};
  const one = {
    tag: TAG,
    writes: 1,
    bytes: 6,
    reason: 'expired',
    code: 'ERR_EXPIRED',
    connections: new Set([connection]),
  } as const;
  const line = dropLine(one);
  expect(line).toMatchObject({ event: 'drop', text: 'dropped a write of 6 bytes (expired)', connection });
  expect(line.fields).toEqual({ writes: 1, bytes: 6, reason: 'expired', code: 'ERR_EXPIRED' });

  const many = dropLine({ ...one, writes: 5, bytes: 30, connections: new Set([connection, {}]) });
  expect(many.text).toBe('dropped 5 writes of 30 bytes in all on 2 connections (expired)');
  expect(many.fields).toMatchObject({ writes: 5, bytes: 30, connections: 2 });
  expect(many.connection).toBeUndefined();
});

test('closeLine() has the last session if the application closed the connection, and the error if it gave up', () => {
  expect(closeLine(TAG, { reason: 'disconnected' }, { ...lost, uncertain: { writes: 1, bytes: 5 } })).toMatchObject({
    event: 'close',
    text: 'closed (disconnected), session 2 after 61 s; 1 write (5 bytes) may be lost',
    fields: { reason: 'disconnected', generation: 2, uptime: 61_000, uncertainWrites: 1, uncertainBytes: 5 },
  });
  const gaveUp: CloseInfo = { reason: 'max-retries', error: new ConnectionError('ERR_GAVE_UP', 'Gave up') };
  expect(closeLine(TAG, gaveUp, undefined)).toMatchObject({
    event: 'giveUp',
    text: 'closed (max-retries): Gave up',
    fields: { reason: 'max-retries', code: 'ERR_GAVE_UP', error: 'Gave up' },
  });
});

test('the causes of an error are shown, those that it quotes once', () => {
  const wrapped = new Error('Login failed', { cause: refused });
  expect(backoffLine(TAG, { ...wait, error: wrapped })).toMatchObject({
    text: `retry 3 in 1.5 s (Login failed: ${refused.message})`,
    fields: { code: 'ECONNREFUSED', error: `Login failed: ${refused.message}` },
  });
  const quoting = new ConnectionError('ERR_HANDSHAKE_FAILED', `Not open: ${refused.message}`, { cause: refused });
  expect(backoffLine(TAG, { ...wait, error: quoting })).toMatchObject({
    text: `retry 3 in 1.5 s (Not open: ${refused.message})`,
    fields: { code: 'ERR_HANDSHAKE_FAILED', causeCode: 'ECONNREFUSED' },
  });
  const own: Error & { cause?: unknown } = new Error('circular');
  own.cause = own;
  expect(backoffLine(TAG, { ...wait, error: own }).text).toBe('retry 3 in 1.5 s (circular)');
});

test('the message of an error is put on one line, shortened, and stripped of passwords in URLs', () => {
  const error = new Error(`one\r\n\u001b[31mtwo \u202e${'x'.repeat(300)}`);
  const { text } = backoffLine(TAG, { ...wait, error });
  expect(text).toContain('(one [31mtwo  xxx');
  expect(text.length).toBeLessThan(250);

  const url = new Error('Cannot reach https://user:password@host/path');
  expect(backoffLine(TAG, { ...wait, error: url }).fields).toMatchObject({ error: 'Cannot reach https://…@host/path' });
});

test('an error without a message is replaced by the reason', () => {
  expect(backoffLine(TAG, { ...wait, error: new Error('') }).text).toBe('retry 3 in 1.5 s (error)');
});

test.each([
  [0, '0 ms'],
  [999.4, '999 ms'],
  [1000, '1 s'],
  [9960, '10 s'],
  [119_000, '119 s'],
  [120_000, '2 min'],
  [5_400_000, '90 min'],
  [9_000_000, '2.5 h'],
])('%d ms are %s', (milliseconds, words) => {
  expect(duration(milliseconds)).toBe(words);
});

test('counted() uses the plural', () => {
  expect([counted(1, 'write'), counted(2, 'write'), counted(2, 'retry', 'retries')]).toEqual([
    '1 write',
    '2 writes',
    '2 retries',
  ]);
});
