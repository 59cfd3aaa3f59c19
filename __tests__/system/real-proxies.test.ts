import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

import type { BackoffInfo, ReconnectingConnection } from 'reconnecting-connection';

import { type Certificates, type Pair, loadCertificates } from '../kit/certificates';
import { LOST, testLife, watch, withServers } from '../kit/lives';
import { Loopback, connectTo, payload, payloads } from '../kit/loopback';
import { type Reply, ask, redisScene, speakRedis } from '../kit/protocols/redis';
import { RealServer } from '../kit/real-servers';

let certificates: Certificates;

beforeAll(async () => {
  certificates = await loadCertificates();
});

/** A server that stands before another. */
const startHaproxy = (backend: number, ...settings: string[]) =>
  RealServer.start('haproxy', [...settings, `  server back 127.0.0.1:${backend}`]);

/** The same with TLS. The certificate is in a file, where another may be put. */
const startStunnel = (backend: number) =>
  RealServer.start('stunnel', [`connect = 127.0.0.1:${backend}`, 'cert = pair'], pem(certificates.server));

const pem = ({ cert, key }: Pair) => ({ pair: `${cert}\n${key}` });

testLife({
  ...redisScene,
  title: 'Redis behind HAProxy',
  servers: ['redis', 'haproxy'],
  async start() {
    const { port } = await RealServer.start('redis');
    const server = await startHaproxy(port);
    return { server, options: { ...server.target, ...speakRedis() } };
  },
});

testLife({
  ...redisScene,
  title: 'Redis behind stunnel',
  servers: ['redis', 'stunnel'],
  async start() {
    const { port } = await RealServer.start('redis');
    const server = await startStunnel(port);
    return { server, options: { ...server.target, ...speakRedis(), tls: { ca: certificates.ca.cert } } };
  },
});

const GROWING = { backoff: { initialDelay: 10, maxDelay: 160, jitter: 'none' } } as const;

/** Says of each wait that it came after a session that the server had ended, and grew. */
async function expectGrowth(connection: ReconnectingConnection): Promise<void> {
  const { sessions } = watch(connection);
  const waits: BackoffInfo[] = await payloads(connection, 'backoff', 6);
  expect(waits.map(({ delay }) => delay)).toEqual([10, 20, 40, 80, 160, 160]);
  expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
  for (const { reason } of waits) expect(reason).toMatch(LOST);
  expect(sessions()).toEqual(Array.from({ length: 6 }, () => ['open', 'reset']).flat());
}

/** A port where nobody listens, until `restart()`. */
async function absent(): Promise<Loopback> {
  const backend = await Loopback.start({ echo: true });
  backend.refuse();
  return backend;
}

withServers('HAProxy', ['haproxy'], () => {
  test.each<[string, string[]]>([
    ['at once', []],
    ['after it has tried again', ['  retries 2', '  timeout connect 50ms']],
  ])(
    'hangs up for want of a backend (%s), and is not taken for healthy until the backend is there',
    async (_when, settings) => {
      const backend = await absent();
      const server = await startHaproxy(backend.port, ...settings);
      const connection = connectTo(server, GROWING);
      await expectGrowth(connection);
      await backend.accept();
      connection.once('open', () => connection.write('hello'));
      await backend.receives('hello');
      expect(connection.state).toBe('open');

      connection.markHealthy();
      const wait = payload(connection, 'backoff');
      backend.drop();
      expect(await wait).toMatchObject({ attempt: 1, delay: 10, reason: 'peer-end' });
    },
  );
});

withServers('a client of Redis behind HAProxy', ['redis', 'haproxy'], () => {
  test('fails in its handshake while Redis is down, and opens when it is back', async () => {
    const redis = await RealServer.start('redis');
    const server = await startHaproxy(redis.port);
    const connection = connectTo<Reply>(server, { ...GROWING, ...speakRedis() });
    await connection.whenOpen();
    connection.markHealthy();
    const waits = payloads(connection, 'backoff', 5);
    await redis.kill('SIGKILL');
    const [lost, ...failed] = await waits;

    expect(lost?.reason).toMatch(LOST);
    expect(failed.map(({ reason }) => reason)).toEqual(Array.from({ length: 4 }, () => 'handshake-failed'));
    const back = payload(connection, 'open');
    await redis.restart();
    expect(await back).toMatchObject({ generation: 2, reopened: true });
    expect(await ask(connection, 'ECHO back')).toBe('back');
  });
});

withServers('stunnel', ['stunnel'], () => {
  const serial = (connection: ReconnectingConnection) =>
    // `as`: with the `tls` option, it is one.
    (connection.socket as TLSSocket).getPeerX509Certificate()?.serialNumber;
  const tls = () => ({ tls: { ca: certificates.ca.cert } });

  test('shows its new certificate after a restart, and is refused while it shows a wrong one', async () => {
    const backend = await Loopback.start({ echo: true });
    const server = await startStunnel(backend.port);
    const connection = connectTo(server, tls());
    await connection.whenOpen();
    expect(serial(connection)).toBe(new X509Certificate(certificates.server.cert).serialNumber);

    const refused = payload(connection, 'backoff', ({ error }) => error?.code === 'ERR_TLS_CERT_ALTNAME_INVALID');
    await server.kill('SIGKILL');
    await server.restart(undefined, pem(certificates.wrongHost));
    expect(await refused).toMatchObject({ reason: 'error' });
    expect(connection.generation).toBe(1);

    const untrusted = payload(connection, 'backoff', ({ error }) => error?.code === 'DEPTH_ZERO_SELF_SIGNED_CERT');
    await server.restart(undefined, pem(certificates.selfSigned));
    expect(await untrusted).toMatchObject({ reason: 'error' });

    connection.write('waited');
    await server.restart(undefined, pem(certificates.rotated));
    await backend.receives('waited');
    expect(connection).toMatchObject({ state: 'open', generation: 2 });
    expect(serial(connection)).toBe(new X509Certificate(certificates.rotated.cert).serialNumber);
  });

  test('hangs up for want of a backend, and is not taken for healthy until the backend is there', async () => {
    const backend = await absent();
    const server = await startStunnel(backend.port);
    const connection = connectTo(server, { ...GROWING, ...tls() });
    await expectGrowth(connection);
    await backend.accept();
    connection.once('open', () => connection.write('hello'));
    await backend.receives('hello');
    expect(connection.state).toBe('open');
  });

  test('finds a client to have no certificate after it has connected, and is not taken for healthy', async () => {
    const backend = await Loopback.start({ echo: true });
    const settings = [`connect = 127.0.0.1:${backend.port}`, 'cert = pair', 'verifyChain = yes', 'CAfile = ca'];
    const files = { ...pem(certificates.server), ca: certificates.ca.cert };
    const server = await RealServer.start('stunnel', settings, files);
    const stranger = connectTo(server, { ...GROWING, ...tls() });
    await expectGrowth(stranger);
    const friend = connectTo(server, { tls: { ...tls().tls, ...certificates.client } });
    friend.write('hello');
    await backend.receives('hello');

    expect(backend.accepted).toBe(1);
    expect(stranger.stats).toMatchObject({ lastError: { code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' } });
  });
});
