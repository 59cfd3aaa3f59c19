import { type PoolOptions, ConnectionPool } from 'reconnecting-connection';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { Loopback, QUICK, connectTo, track } from '../kit/loopback';

let certificates: Certificates;
beforeAll(async () => (certificates = await loadCertificates()));

const newPool = (options: PoolOptions) => track(new ConnectionPool({ ...QUICK, maxRetries: 0, ...options }));
/** The code, or else the message, of the failure that ended a connection. */
function causeOf(error: unknown): string | undefined {
  const { cause } = error as { readonly cause?: NodeJS.ErrnoException };
  return cause?.code ?? cause?.message;
}

const failure = (opened: Promise<unknown>) =>
  opened.then(
    () => 'open',
    (error: unknown) => causeOf(error),
  );

describe('the `tls` of a member', () => {
  test('keeps the authorities of the pool where it adds a name', async () => {
    const server = await Loopback.start({ tls: certificates.wrongHost });
    const pool = newPool({ tls: { ca: certificates.ca.cert } });
    expect(await failure(pool.add(server.target).whenOpen())).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    const member = pool.add({ ...server.target, tls: { servername: 'elsewhere.test' } });
    expect(await failure(member.whenOpen())).toBe('open');
    expect(member.socket).toMatchObject({ encrypted: true, authorized: true });
  });

  test('keeps the pin and the least version of the pool', async () => {
    const old = await Loopback.start({ tls: { ...certificates.server, maxVersion: 'TLSv1.2' } });
    const server = await Loopback.start({ tls: certificates.server });
    const ca = certificates.ca.cert;
    const checkServerIdentity = () => new Error('the pin does not match');
    const pinned = newPool({ tls: { ca, checkServerIdentity } });
    expect(await failure(pinned.add({ ...server.target, tls: { servername: 'localhost', ca } }).whenOpen())).toBe(
      'the pin does not match',
    );
    const recent = newPool({ tls: { ca, minVersion: 'TLSv1.3' } });
    const add = (target: object) => recent.add({ ...target, tls: { servername: 'localhost', ca } }).whenOpen();
    expect(await failure(add(old.target))).toMatch(/PROTOCOL_VERSION/);
    expect(await failure(add(server.target))).toBe('open');
  });

  test('`true` keeps that of the pool, and false turns it off', async () => {
    const server = await Loopback.start({ tls: certificates.server });
    const plain = await Loopback.start();
    const pool = newPool({ tls: { ca: certificates.ca.cert } });
    const encrypted = pool.add({ ...server.target, tls: true });
    await encrypted.whenOpen();
    expect(encrypted.socket).toMatchObject({ authorized: true });
    const off = pool.add({ ...plain.target, tls: false });
    await off.whenOpen();
    expect(off.socket).not.toHaveProperty('encrypted');
  });
});

test('the `tls` of a target keeps the authorities of the connection', async () => {
  const server = await Loopback.start({ tls: certificates.wrongHost });
  const connection = connectTo(
    { target: {} },
    {
      tls: { ca: certificates.ca.cert },
      target: () => ({ port: server.port, tls: { servername: 'elsewhere.test' } }),
      maxRetries: 0,
    },
  );
  expect(await failure(connection.whenOpen())).toBe('open');
});
