import { eventText, failureText } from '../../lib/events/debug-log';
import { run } from '../kit/processes';

const SCRIPT = `
  const server = net.createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1', async () => {
    const { port } = server.address();
    const options = { host: 'localhost', port, backoff: () => 10, handshake: (socket) => void socket.write('password') };
    const connection = new ReconnectingConnection(options);
    await connection.whenOpen();
    connection.markHealthy();
    server.close();
    connection.fail(new Error('bad //me:password@db'));
    connection.write('password', { maxAge: 1 });
    await new Promise((resolve) => connection.on('backoff', ({ attempt }) => attempt === 2 && resolve()));
    connection.destroy();
    say(port);
  });
`;

const lineOf = (text: string) => text.replace(/^RECONNECTING-CONNECTION \d+: /, '');

test('with NODE_DEBUG a connection reports on stderr all that it does, without what was written', async () => {
  const { code, stderr, said } = await run(SCRIPT, { env: { NODE_DEBUG: 'http2,reconnecting-connection' } });
  expect(code).toBe(0);
  expect(stderr).not.toContain('password');
  const lines = stderr.trimEnd().split('\n');
  for (const line of lines) expect(line).toMatch(/^RECONNECTING-CONNECTION \d+: (?:#1 )?localhost:\d+: /);
  const texts = lines.map((line) => lineOf(line).replaceAll(String(said[0]), 'PORT'));
  for (const expected of [
    /^#1 localhost:PORT: idle -> connecting$/,
    /^#1 localhost:PORT: dial$/,
    /^localhost:PORT: try (?:127\.0\.0\.1|\[::1\]):PORT$/,
    /^#1 localhost:PORT: open \(generation: 1, attempts: 1, .*remoteAddress: 127\.0\.0\.1, remotePort: PORT\)$/,
    /^#1 localhost:PORT: markHealthy\(\)$/,
    /^#1 localhost:PORT: reset \(generation: 1, .*reason: failed.*\).*; bad \/\/…@db$/,
    /^#1 localhost:PORT: backoff \(attempt: 1, delay: \d+, reason: failed\); bad \/\/…@db$/,
    /^#1 localhost:PORT: drop \(bytes: 8, reason: expired\)/,
    /^#1 localhost:PORT: attempt failed \(error\): .*ECONNREFUSED/,
    /^#1 localhost:PORT: backoff -> closed$/,
    /^#1 localhost:PORT: close \(reason: destroyed\)$/,
  ]) {
    expect(texts).toContainEqual(expect.stringMatching(expected));
  }
  // Once each.
  expect(texts.filter((text) => text.includes(': open ('))).toHaveLength(1);
});

test.each(['', 'http2', 'reconnecting'])('with NODE_DEBUG=%s nothing is written', async (value) => {
  const { code, stderr } = await run(SCRIPT, { env: { NODE_DEBUG: value } });
  expect([code, stderr.replace(/^HTTP2 .*\n/gm, '')]).toEqual([0, '']);
});

test('a worker reports too', async () => {
  const { code, stderr } = await run(
    `
    const library = require.resolve(Object.keys(require.cache).find((each) => each.endsWith('index.js')));
    new (require('node:worker_threads').Worker)(
      'new (require(' + JSON.stringify(library) + ').ReconnectingConnection)({ port: 1, maxRetries: 0 })', { eval: true },
    );
  `,
    { env: { NODE_DEBUG: 'reconnecting-connection' } },
  );
  expect(code).toBe(0);
  expect(lineOf(stderr)).toMatch(/^#1 127\.0\.0\.1:1: idle -> connecting\n/);
  expect(stderr.match(/: close \(reason: max-retries\)/g)).toHaveLength(1);
});

test('an event is shown with its figures and its error, and never with bytes', () => {
  expect(eventText('drain', [])).toBe('drain');
  expect(eventText('state', ['open', 'connecting'])).toBe('connecting -> open');
  expect(eventText('drop', [{ chunk: Buffer.from('x'), bytes: 1, reason: 'cleared' }])).toBe(
    'drop (bytes: 1, reason: cleared)',
  );
  expect(eventText('reset', [{ generation: 3, willRetry: false, uncertain: { writes: 2, bytes: 7 } }])).toBe(
    'reset (generation: 3, willRetry: false, uncertain writes: 2)',
  );
  const fault = new Error('NaN');
  expect(eventText('backoff', [{ attempt: 1, fault }])).toBe('backoff (attempt: 1); NaN');
});

test('an error is shown with its causes, their codes and a hint', () => {
  const cause = Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  expect(failureText(new Error('Not open', { cause }))).toBe(
    'Not open: self-signed certificate [DEPTH_ZERO_SELF_SIGNED_CERT] ' +
      '(to trust it, pass the certificate of its issuer in `tls: { ca }`)',
  );
  expect(failureText(5)).toBe('5 (number)');
});
