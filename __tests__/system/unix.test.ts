import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, payload, payloads, receives, written } from '../kit/loopback';
import { names, record } from '../kit/record';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'unix-'));
  path = join(directory, 's');
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('a Unix socket', () => {
  test('opens without addresses, has a tag of its own, and echoes', async () => {
    const server = await Loopback.start({ path, echo: true });
    const connection = connectTo(server);

    expect(await payload(connection, 'open')).toEqual({ generation: 1, reopened: false, attempts: 1, downtime: 0 });
    expect(connection.tag).toBe(`unix:${path}`);
    connection.write('echo');
    expect(await receives(connection, 'echo')).toBe('echo');
  });

  const onLinux = process.platform === 'linux' ? test : test.skip;

  onLinux.each([1, 60, 107])(
    'that is abstract opens by a name of %d bytes, and no raw NUL is in its tag',
    async (length) => {
      const name = `${process.pid}-abstract-`.padEnd(length, 'x').slice(-length);
      const server = await Loopback.start({ path: `\0${name}`, echo: true });
      const connection = connectTo(server);
      connection.write('echo');

      expect(await receives(connection, 'echo')).toBe('echo');
      expect(connection.tag).toBe(`unix:@${name}`);
    },
  );

  onLinux('that is abstract is not the one whose name only begins alike', async () => {
    const name = `\0${process.pid}-begins`;
    await Loopback.start({ path: `${name}-alike` });
    const connection = connectTo({ target: { path: name } });

    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'error', error: { code: 'ECONNREFUSED' } });
  });

  onLinux('that is abstract and does not exist is named without a NUL', async () => {
    const name = `${process.pid}-nobody`;
    const connection = connectTo({ target: { path: `\0${name}` } }, { maxRetries: 0 });
    const { error } = await payload(connection, 'close');

    expect(error?.message).toBe(`Gave up on unix:@${name}: \`maxRetries\` is 0: connect ECONNREFUSED @${name}`);
  });

  test('C16 that is not there yet is retried until it is', async () => {
    const connection = connectTo({ target: { path } });
    const fate = written(connection, 'waited for you');
    const waits = await payloads(connection, 'backoff', 2);
    const server = await Loopback.start({ path });
    await next(connection, 'open');
    await server.receives('waited for you');

    expect(waits[0]).toMatchObject({ attempt: 1, reason: 'error', error: { code: 'ENOENT' } });
    expect(await fate).toBeUndefined();
  });

  test('C16 that a dead server left behind is retried until there is a new one', async () => {
    const dead = await Loopback.start({ path: join(directory, 'dead') });
    renameSync(join(directory, 'dead'), path);
    await dead.close();
    expect(existsSync(path)).toBe(true);
    const connection = connectTo({ target: { path } });

    expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'error', error: { code: 'ECONNREFUSED' } });
    rmSync(path);
    await Loopback.start({ path });
    expect(await payload(connection, 'open')).toMatchObject({ generation: 1 });
  });

  test('that is no socket at all is retried', async () => {
    const connection = connectTo({ target: { path: directory } });

    const [first, second] = await payloads(connection, 'backoff', 2);

    expect(first).toMatchObject({ attempt: 1, reason: 'error' });
    expect(first?.error).toMatchObject({ code: expect.stringMatching(/^E/) as string });
    expect(second).toMatchObject({ attempt: 2 });
  });

  test('C16 C39 whose server restarts gives one reset and a second session', async () => {
    const server = await Loopback.start({ path });
    const connection = connectTo(server);
    await connection.whenOpen();
    await server.session(1);
    const heard = record(connection, ['open', 'reset']);
    server.refuse();
    server.drop();
    const wait = await payload(connection, 'backoff');
    const failed = await payload(connection, 'backoff');
    connection.write('written while down');
    await server.accept();
    await server.until(() => server.text(2).includes('written while down'));

    expect(wait).toMatchObject({ reason: 'peer-end' });
    expect(failed).toMatchObject({ attempt: 2, error: { code: 'ENOENT' } });
    expect(names(heard)).toEqual(['reset', 'open']);
    expect(heard[1]?.[1]).toMatchObject({ generation: 2, reopened: true });
  });

  test('disconnect() lets everything arrive', async () => {
    const server = await Loopback.start({ path });
    const connection = connectTo(server, { queue: { maxBytes: 10_000_000 } });
    await connection.whenOpen();
    for (let count = 0; count < 50; count++) connection.write(Buffer.alloc(100_000));

    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
    await server.until(() => server.live === 0);
    expect(server.receivedBytes).toBe(5_000_000);
  });

  test('reads into one buffer where that is asked for', async () => {
    const server = await Loopback.start({ path, echo: true });
    const connection = connectTo(server, { reuseReadBuffer: true });
    const memory = new Set<ArrayBufferLike>();
    connection.on('data', (chunk) => memory.add(chunk.buffer));
    await connection.whenOpen();
    for (const word of ['one', 'two', 'three']) {
      connection.write(word);
      expect(await receives(connection, word)).toBe(word);
    }

    expect(memory.size).toBe(1);
  });

  test('may carry TLS, verified for localhost', async () => {
    const { ca, server: own, wrongHost } = await loadCertificates();
    const server = await Loopback.start({ path, tls: own, echo: true });
    const connection = connectTo(server, { tls: { ca: ca.cert } });
    await connection.whenOpen();
    expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });
    connection.write('private');
    expect(await receives(connection, 'private')).toBe('private');

    server.secure(wrongHost);
    server.drop();
    expect(await payload(connection, 'backoff', ({ attempt }) => attempt === 2)).toMatchObject({
      error: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
  });
});
