import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { TLSSocket, checkServerIdentity } from 'node:tls';
import { inspect } from 'node:util';

import { type MemberOptions, ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, payload, payloads, receives, run, track, written } from '../kit/loopback';
import { names, record } from '../kit/record';

// What is not verified here is meant not to be.
jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);

let certificates: Certificates;
beforeAll(async () => (certificates = await loadCertificates()));

/** A server that proves to be `localhost`, and what it takes to verify that. */
async function secureServer(options: Parameters<typeof Loopback.start>[0] = {}) {
  const server = await Loopback.start({ ...options, tls: { ...certificates.server, ...options.tls } });
  return { server, target: { target: { port: server.port, host: 'localhost', tls: { ca: certificates.ca.cert } } } };
}

/** Hears `connection` through two failed attempts, and returns the first of them; it must not have opened. */
async function refused(connection: ReconnectingConnection) {
  const heard = record(connection, ['open', 'backoff']);
  await payloads(connection, 'backoff', 2);
  expect(names(heard)).toEqual(['backoff', 'backoff']);
  return heard[0]![1] as { reason: string; error: Error & { code?: string } };
}

describe('a TLS session', () => {
  test('C97 opens when it is encrypted and verified', async () => {
    const { server, target } = await secureServer();
    const connection = connectTo(target);
    const secure: unknown[] = [];
    connection.on('open', () => {
      const { socket } = connection;
      secure.push(socket instanceof TLSSocket && socket.encrypted, socket instanceof TLSSocket && socket.authorized);
    });

    expect(await payload(connection, 'open')).toMatchObject({ generation: 1, attempts: 1, remotePort: server.port });

    expect(secure).toEqual([true, true]);
    expect(connection.tag).toBe(`localhost:${server.port}`);
    expect(tlsOf(connection.socket).getPeerCertificate().subject.CN).toBe('localhost');
  });

  test('is verified for an address, too', async () => {
    const { server } = await secureServer();
    const connection = connectTo(server, { tls: { ca: certificates.ca.cert } });

    expect(await connection.whenOpen()).toMatchObject({ attempts: 1 });
    expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });
  });

  test('tells the server which name is meant, and negotiates a protocol', async () => {
    const { server, target } = await secureServer({ tls: { ALPNProtocols: ['b', 'a'] } });
    const connection = connectTo(target, { tls: { ca: certificates.ca.cert, ALPNProtocols: ['a'] } });
    await connection.whenOpen();
    const peer = tlsOf(await server.session(1));

    expect(peer).toHaveProperty('servername', 'localhost');
    expect(peer.alpnProtocol).toBe('a');
    expect(tlsOf(connection.socket).alpnProtocol).toBe('a');
  });

  test('C99 is encrypted in every generation: nothing that is said can be read on the way', async () => {
    const { server, target } = await secureServer({ echo: true });
    const { port, seen, links } = await sniffer(server.port);
    const connection = connectTo({ target: { ...target.target, port } });
    connection.on('open', ({ generation }) => connection.write(`hello-${generation};`));
    connection.write('queued-secret;');

    for (let generation = 1; generation <= 4; generation++) {
      expect(await receives(connection, `hello-${generation};`)).toContain(`hello-${generation};`);
      expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });
      connection.write(`secret-${generation};`);
      expect(await receives(connection, `secret-${generation};`)).toContain(`secret-${generation};`);
      if (generation === 1) server.drop();
      else if (generation === 2) connection.reconnect();
      else if (generation === 3) for (const link of links) link.resetAndDestroy();
    }

    const wire = Buffer.concat(seen).toString('latin1');
    expect(wire.length).toBeGreaterThan(4_000);
    expect(wire).not.toMatch(/hello-|secret/);
    expect(server.text()).toMatch(/hello-1;queued-secret;secret-1;.*secret-4;/s);
  });

  test('reads and writes a lot, pauses, and disconnect() lets everything arrive', async () => {
    const { server, target } = await secureServer({
      onSession: (socket) => socket.write(Buffer.alloc(1_000_000, 'x')),
    });
    const connection = connectTo(target, { queue: { maxBytes: 20_000_000 }, closeTimeout: 10_000 });
    let received = 0;
    connection.on('data', (chunk) => {
      received += chunk.length;
      connection.pause();
      setImmediate(() => connection.resume());
    });
    await next(connection, 'data', () => received === 1_000_000);
    for (let count = 0; count < 50; count++) connection.write(Buffer.alloc(100_000));
    const last = written(connection, 'last');

    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
    expect(await last).toBeUndefined();
    await server.until(() => server.live === 0);
    expect(server.text()).toHaveLength(5_000_004);
    expect(server.text().endsWith('last')).toBe(true);
  });

  test('lets a handshake read, and leaves the rest to data', async () => {
    const { target } = await secureServer({ onSession: (socket) => socket.write('welcome;unread') });
    const connection = connectTo(target, {
      async handshake(socket) {
        await new Promise((resolve) => socket.once('readable', resolve));
        expect(String(socket.read(8))).toBe('welcome;');
      },
    });

    expect(await receives(connection, 'unread')).toBe('unread');
  });

  test('C100 that the server ends for want of a client certificate counts as a failed one', async () => {
    const { target } = await secureServer({
      tls: { ca: certificates.ca.cert, requestCert: true, rejectUnauthorized: true },
    });
    const connection = connectTo(target, { backoff: { initialDelay: 10, maxDelay: 160, jitter: 'none' } });

    const waits = await payloads(connection, 'backoff', 4);

    expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80]);
    expect(waits.every(({ error }) => error !== undefined)).toBe(true);
  });

  test('C102 opens with a client certificate, and with a newer one for the next session', async () => {
    const seen: unknown[] = [];
    const { server, target } = await secureServer({
      tls: { ca: certificates.ca.cert, requestCert: true, rejectUnauthorized: true },
      onSession: (socket) => seen.push(tlsOf(socket).getPeerCertificate().subject.CN),
    });
    const pairs = [certificates.client, certificates.server];
    const connection = connectTo(
      { target: {} },
      {
        target: () => ({ ...target.target, tls: { ca: certificates.ca.cert, ...pairs.shift() } }),
      },
    );
    await connection.whenOpen();
    await server.session(1);
    server.drop();
    await next(connection, 'open');
    await server.session(2);

    expect(seen).toEqual(['a client', 'localhost']);
  });
});

describe('verification', () => {
  test.each<[keyof Certificates, string]>([
    ['selfSigned', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['expired', 'CERT_HAS_EXPIRED'],
    ['wrongHost', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('C98 refuses a certificate that is %s, again and again', async (which, code) => {
    const { server, target } = await secureServer({ tls: certificates[which] });
    const connection = connectTo(target);
    const fate = written(connection, 'a secret');

    const { reason, error } = await refused(connection);
    connection.destroy();

    expect({ reason, code: error.code }).toEqual({ reason: 'error', code });
    expect(await fate).toMatchObject({ code: 'ERR_CLOSED' });
    expect(server.text()).toBe('');
    await server.until(() => server.live === 0);
  });

  test('C98 is on by default: with `tls: true` a private authority is not trusted', async () => {
    const { target } = await secureServer();

    const { error } = await refused(connectTo(target, { tls: true }));

    expect(error.code).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  });

  test('C98 refuses a certificate of another authority', async () => {
    const { target } = await secureServer();

    const { error } = await refused(connectTo(target, { tls: { ca: certificates.otherCa.cert } }));

    expect(error.code).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER/);
  });

  test('C98 that failed is tried anew, and succeeds when the server’s certificate has been rotated', async () => {
    const { server, target } = await secureServer({ tls: certificates.selfSigned });
    const connection = connectTo(target);
    await payloads(connection, 'backoff', 2);
    server.secure(certificates.rotated);

    expect(await payload(connection, 'open')).toMatchObject({ generation: 1 });
  });

  test('C98 that failed succeeds when target() comes with the right certificate', async () => {
    const { target } = await secureServer({ tls: certificates.selfSigned });
    const trusted = [true, { ca: certificates.selfSigned.cert }] as const;
    const connection = connectTo(
      { target: {} },
      { target: (attempt) => ({ ...target.target, tls: trusted[attempt - 1] ?? true }) },
    );
    const heard = record(connection, ['open', 'backoff']);
    await next(connection, 'open');

    expect(heard).toMatchObject([
      ['backoff', { error: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } }],
      ['open', { attempts: 2 }],
    ]);
  });

  test('is left out only where rejectUnauthorized is literally false', async () => {
    const { target } = await secureServer({ tls: certificates.selfSigned });
    for (const rejectUnauthorized of [0, '', 'false', null]) {
      expect(() => new ReconnectingConnection({ ...target.target, tls: { rejectUnauthorized } as never })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_OPTION' }) as Error,
      );
    }
    const unsure = connectTo(target, { tls: { rejectUnauthorized: undefined } as never });
    expect((await refused(unsure)).error.code).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');

    const careless = connectTo(target, { tls: { rejectUnauthorized: false } });
    expect(await careless.whenOpen()).toMatchObject({ attempts: 1 });
    expect(careless.socket).toMatchObject({ encrypted: true, authorized: false });
  });

  test('is not weakened by NODE_TLS_REJECT_UNAUTHORIZED=0', async () => {
    const { server } = await secureServer({ tls: certificates.selfSigned });
    const { code, said } = await run(
      `
      const options = { ...QUICK, port: ${server.port}, host: 'localhost', tls: true, maxRetries: 0 };
      const connection = new ReconnectingConnection(options);
      connection.on('open', () => say('open'));
      connection.on('close', ({ error }) => {
        say(error.cause.code);
        const dialled = new ReconnectingConnection({ ...options, dial: () => net.connect(${server.port}, '127.0.0.1') });
        dialled.on('open', () => say('open'));
        dialled.on('close', ({ error }) => say(error.cause.code));
      });
      `,
      { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } },
    );

    expect({ code, said }).toEqual({ code: 0, said: ['DEPTH_ZERO_SELF_SIGNED_CERT', 'DEPTH_ZERO_SELF_SIGNED_CERT'] });
  });

  test('is not weakened by a polluted Object.prototype', async () => {
    const { server } = await secureServer({ tls: certificates.selfSigned });
    const { code, said } = await run(`
      Object.assign(Object.prototype, {
        ca: ${JSON.stringify(certificates.selfSigned.cert)}, rejectUnauthorized: false, checkServerIdentity: () => undefined,
      });
      for (const tls of [true, {}]) {
        const connection = new ReconnectingConnection({ ...QUICK, port: ${server.port}, host: 'localhost', tls, maxRetries: 0 });
        connection.on('open', () => { say('open'); connection.destroy(); });
        connection.on('close', ({ error }) => say(error?.cause.code ?? 'closed'));
      }
    `);

    expect({ code, said }).toEqual({ code: 0, said: ['DEPTH_ZERO_SELF_SIGNED_CERT', 'DEPTH_ZERO_SELF_SIGNED_CERT'] });
  });

  test('nor is the name that is checked taken from there', async () => {
    const { server } = await secureServer({ tls: certificates.wrongHost });
    const { code, said } = await run(`
      Object.assign(Object.prototype, { servername: 'elsewhere.test', session: 'junk', ALPNProtocols: [''], pskCallback: () => null });
      const connection = new ReconnectingConnection({
        ...QUICK, port: ${server.port}, tls: { ca: ${JSON.stringify(certificates.ca.cert)} }, maxRetries: 0,
      });
      connection.on('open', () => { say('open'); connection.destroy(); });
      connection.on('close', ({ error }) => say(error?.cause.code ?? 'closed'));
    `);

    expect({ code, said }).toEqual({ code: 0, said: ['ERR_TLS_CERT_ALTNAME_INVALID'] });
  });

  describe('checkServerIdentity', () => {
    type Check = NonNullable<Exclude<MemberOptions['tls'], boolean | undefined>['checkServerIdentity']>;

    test.each<[string, Check, RegExp]>([
      ['throws', () => throwing(new Error('wrong pin')), /wrong pin/],
      ['throws a string', () => throwing('wrong pin'), /wrong pin/],
      ['throws undefined', () => throwing(undefined), /./],
      ['throws null', () => throwing(null), /./],
      ['throws an empty string', () => throwing(''), /./],
      ['is async, and rejects', () => Promise.reject(new Error('wrong pin')) as never, /with a promise/],
      ['returns an error', () => new Error('wrong pin'), /wrong pin/],
    ])('C101 that %s is a failed attempt and no crash', async (_how, check, message) => {
      const { server, target } = await secureServer();
      const connection = connectTo(target, { tls: { ca: certificates.ca.cert, checkServerIdentity: check } });

      const { reason, error } = await refused(connection);

      expect(reason).toBe('error');
      expect(error.message).toMatch(message);
      connection.destroy();
      await server.until(() => server.live === 0);
    });

    test('is asked for every session, with the name that is meant', async () => {
      const { server, target } = await secureServer();
      const asked: string[] = [];
      const connection = connectTo(target, {
        tls: {
          ca: certificates.ca.cert,
          checkServerIdentity: (host, certificate) => {
            asked.push(`${host} ${String(certificate.subject.CN)}`);
            return checkServerIdentity(host, certificate);
          },
        },
      });
      await server.meets(connection);
      server.drop();
      await next(connection, 'open');

      expect(asked).toEqual(['localhost localhost', 'localhost localhost']);
    });
  });
});

describe('a server that breaks TLS', () => {
  test('C101 by silence ends the attempt after connectTimeout, and the server is rid of it', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { tls: true, connectTimeout: 60, maxRetries: 1 });
    await next(connection, 'close');
    await server.until(() => server.live === 0);

    expect(server.accepted).toBe(2);
    expect(connection.stats.lastError).toMatchObject({ code: 'ERR_CONNECT_TIMEOUT' });
  });

  test.each<[string, (socket: Socket) => void]>([
    ['garbage', (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n')],
    ['half a server hello', (socket) => socket.end(Buffer.from('160303007a0200007603', 'hex'))],
    ['a FIN', (socket) => socket.end()],
    ['an RST', (socket) => void socket.once('data', () => socket.resetAndDestroy())],
  ])('C101 by %s ends the attempt at once', async (_what, answer) => {
    const server = await Loopback.start({ onSession: answer });
    const connection = connectTo(server, { tls: true });

    const { reason, error } = await refused(connection);

    expect(['error', 'peer-end']).toContain(reason);
    expect(error.message).not.toBe('');
    connection.destroy();
    await server.until(() => server.live === 0);
  });

  test('C54 disconnect() while the TLS handshake hangs closes at once', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { tls: true });
    await server.until(() => server.receivedBytes > 0);
    expect(connection.state).toBe('connecting');
    const heard = record(connection);

    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
    await server.until(() => server.live === 0);
    expect(heard).toEqual([
      ['state', 'closed', 'connecting'],
      ['close', { reason: 'disconnected' }],
    ]);
  });

  test('C54 disconnect() with writes queued waits no longer than closeTimeout for it', async () => {
    const server = await Loopback.start();
    const connection = connectTo(server, { tls: true, closeTimeout: 80 });
    const fate = written(connection, 'a secret');
    await server.until(() => server.receivedBytes > 0);
    const from = performance.now();

    expect(await connection.disconnect()).toEqual({ reason: 'disconnected' });
    expect(performance.now() - from).toBeGreaterThanOrEqual(78);
    expect(await fate).toMatchObject({ code: 'ERR_CLOSED' });
    expect(server.text()).not.toContain('secret');
  });
});

describe('secrets', () => {
  test('are in nothing that is printed of a connection or a pool', async () => {
    const { target } = await secureServer();
    const { client, ca } = certificates;
    const passphrase = 'open sesame';
    const tls = { ca: ca.cert, ...client, passphrase };
    const pool = track(new ConnectionPool({ tls, minUptime: 10 }));
    const member = pool.add({ port: target.target.port, host: 'localhost' });
    const connection = connectTo(target, { tls });
    const heard = record(connection);
    await Promise.all([connection.whenOpen(), member.whenOpen()]);
    connection.reconnect();
    await next(connection, 'open');
    await connection.disconnect();

    const key = client.key.split('\n')[2]!;
    for (const what of [connection, pool, member, heard, connection.stats, pool.stats]) {
      for (const print of [
        inspect(what, { depth: 10 }),
        inspect(what, { depth: 10, showHidden: true, getters: false }),
        inspect(what, { depth: 10, customInspect: false }),
        JSON.stringify(what),
      ]) {
        expect(print).not.toContain(key);
        expect(print).not.toContain(passphrase);
      }
    }
    expect(inspect(connection)).toContain(connection.tag);
    expect(JSON.parse(JSON.stringify(connection))).toMatchObject({ state: 'closed', tag: connection.tag });
  });

  test('are in no message of an error', async () => {
    const { client } = certificates;
    const key = client.key.split('\n')[2]!;
    const broken = client.key.replace('A', '!');
    const thrown: unknown[] = [];
    for (const tls of [
      { ...client, key: broken },
      { ...client, key: certificates.server.key },
      { cert: 'open sesame' },
      { pfx: Buffer.from('open sesame'), passphrase: 'open sesame' },
      { ...client, passphrase: 5, sesame: 'open sesame' },
    ]) {
      try {
        track(new ReconnectingConnection({ port: 1, tls: tls as never }));
      } catch (error) {
        thrown.push(error);
      }
    }
    // And in a retry, where target() brings it.
    const connection = connectTo({ target: {} }, { target: () => ({ port: 1, tls: { ...client, key: broken } }) });
    const { error } = await payload(connection, 'backoff');
    thrown.push(error);

    expect(thrown.length).toBeGreaterThanOrEqual(4);
    for (const each of thrown) {
      expect(each).toMatchObject({ code: 'ERR_INVALID_OPTION' });
      expect(inspect(each, { depth: 10 })).not.toContain(key);
      expect(inspect(each, { depth: 10 })).not.toContain('open sesame');
    }
  });
});

/** A relay that remembers every byte in both directions. */
async function sniffer(to: number): Promise<{ port: number; seen: Buffer[]; links: Set<Socket> }> {
  const seen: Buffer[] = [];
  const links = new Set<Socket>();
  const relay = createServer((client) => {
    const server = connect(to, '127.0.0.1');
    links.add(client);
    for (const [from, into] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', (chunk) => seen.push(chunk)).on('error', () => into.destroy());
      from.pipe(into);
      from.on('close', () => into.destroySoon());
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  track({
    destroy() {
      relay.close();
      for (const link of links) link.destroy();
    },
  });
  return { port: (relay.address() as AddressInfo).port, seen, links };
}

function tlsOf(socket: Socket | undefined): TLSSocket {
  if (socket instanceof TLSSocket) return socket;
  throw new TypeError('Expected a TLS socket');
}

function throwing(error: unknown): never {
  throw error;
}
