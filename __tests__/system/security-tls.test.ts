import { createSecureContext, TLSSocket } from 'node:tls';

import { fuzz } from '../fuzz/program';
import type { SessionsReport } from '../fuzz/tls-sessions';
import { connectTo, payload, run } from '../kit/loopback';
import { type Certificates, loadCertificates } from '../kit/certificates';
import { Loopback } from '../kit/server';

jest.setTimeout(3_600_000);

let certificates: Certificates;
beforeAll(async () => (certificates = await loadCertificates()));

test('C99 over a hundred sessions, nothing that the application writes can be read on the way', async () => {
  const { code, stderr, report } = await fuzz<SessionsReport>('sessions', 100);
  const { sessions, secure, plain, lines } = report;

  expect(lines).toEqual([]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(sessions).toBeGreaterThanOrEqual(100);
  expect(secure).toMatchObject({ unlikeTls: 0, badRecords: 0, markers: 0 });
  // It looked at every session, and at attempts that were cut in the middle of their handshake.
  expect(secure.connections).toBeGreaterThanOrEqual(sessions);
  expect(secure.records).toBeGreaterThan(sessions * 6);
  expect(secure.cut).toBeGreaterThan(5);
  // And would have seen: without TLS, each of the three shows.
  expect(plain).toMatchObject({ connections: 1, unlikeTls: 1, badRecords: 2 });
  expect(plain.markers).toBeGreaterThanOrEqual(2);
});

describe('NODE_TLS_REJECT_UNAUTHORIZED=0', () => {
  test.each<[keyof Certificates, string, string]>([
    ['expired', 'own', 'CERT_HAS_EXPIRED'],
    ['selfSigned', 'own', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['wrongHost', 'own', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['server', 'other', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['server', 'none', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ])('does not let a certificate pass (%s, trusting %s authority): %s', async (which, trusted, expected) => {
    const server = await Loopback.start({ tls: certificates[which] });
    const ca = { own: certificates.ca.cert, other: certificates.otherCa.cert, none: undefined }[trusted];
    const options = { port: server.port, host: 'localhost', tls: ca === undefined ? true : { ca }, maxRetries: 1 };
    const { code, said, stderr } = await run(
      `
      const options = { ...QUICK, ...${JSON.stringify(options)} };
      const dial = () => net.connect(options.port, '127.0.0.1');
      const dialsTls = () => tls.connect({ port: options.port, host: '127.0.0.1', ...(options.tls === true ? {} : options.tls) });
      const target = () => ({ port: options.port, host: 'localhost', tls: options.tls });
      for (const more of [{}, { dial }, { dial: dialsTls }, { target }, { tls: { ...options.tls, rejectUnauthorized: undefined } }]) {
        const connection = new ReconnectingConnection({ ...options, ...more });
        connection.write('a secret');
        connection.on('open', () => say('open'));
        connection.on('close', ({ error }) => say(error.cause.cause?.code ?? error.cause.cause ?? error.cause.code));
      }
      `,
      { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } },
    );

    expect({ code, said }).toEqual({ code: 0, said: Array(5).fill(expected) });
    expect(server.text()).toBe('');
    // It is Node that says a word about the variable, which has no effect here.
    expect(stderr).toContain('NODE_TLS_REJECT_UNAUTHORIZED');
  });
});

test('rejectUnauthorized: false, the only way to leave verification out, is said in a warning, once', async () => {
  const server = await Loopback.start({ tls: certificates.selfSigned });
  const { code, said } = await run(`
    process.on('warning', ({ name, code, message }) => say({ name, code, message }));
    const options = { ...QUICK, port: ${server.port}, tls: { rejectUnauthorized: false } };
    const connections = [new ReconnectingConnection(options), new ReconnectingConnection(options)];
    const pool = new ConnectionPool({ tls: { rejectUnauthorized: false } });
    connections.push(pool.add({ port: options.port }));
    Promise.all(connections.map((each) => each.whenOpen())).then(() => connections.forEach((each) => each.destroy()));
  `);

  expect(code).toBe(0);
  expect(said).toEqual([
    {
      name: 'SecurityWarning',
      code: 'RECONNECTING_CONNECTION_UNVERIFIED',
      message: expect.stringContaining('rejectUnauthorized') as string,
    },
  ]);
});

describe('rules of Node’s own, which SECURITY.md names', () => {
  test('a secure context brings its own authorities: a `ca` beside it is not used', async () => {
    const server = await Loopback.start({ tls: certificates.server });
    const tls = { secureContext: createSecureContext(), ca: certificates.ca.cert };
    const { error } = await payload(connectTo(server, { tls }), 'backoff');

    expect(error?.code).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  });

  test('a session that the server resumes is not asked for its identity again', async () => {
    const server = await Loopback.start({ tls: { ...certificates.wrongHost, maxVersion: 'TLSv1.2' } });
    const tls = { ca: certificates.ca.cert };
    const lenient = connectTo(server, { tls: { ...tls, checkServerIdentity: () => undefined } });
    await lenient.whenOpen();
    const { socket } = lenient;
    const session = socket instanceof TLSSocket ? socket.getSession() : undefined;
    const resumed = connectTo(server, { tls: { ...tls, session: session! } });
    await resumed.whenOpen();

    expect(resumed.socket).toMatchObject({ encrypted: true, authorized: true });
    const { error } = await payload(connectTo(server, { tls }), 'backoff');
    expect(error?.code).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });
});
