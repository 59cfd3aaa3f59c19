import { connect } from 'node:net';

import type { BeforeTls, ConnectionOptions, MemberOptions } from 'reconnecting-connection';

import { type Certificates, type Pair, loadCertificates } from '../kit/certificates';
import { watch, withServers } from '../kit/lives';
import { Loopback, connectTo, payload, receives } from '../kit/loopback';
import { forgetCluster } from '../kit/postgres-cluster';
import { type Message, select, speakPostgres } from '../kit/protocols/postgres';
import { recipesIn } from '../kit/recipes';
import { RealServer } from '../kit/real-servers';

// The functions of docs/guides/before-tls.md, with the servers that they are for.

jest.setTimeout(60_000);

const { startTls, requestTls, connectThrough, throughSocks } = recipesIn<
  'startTls' | 'requestTls' | 'connectThrough' | 'throughSocks'
>('before-tls.md');
const { proxyHeader } = recipesIn('before-tls.md') as unknown as {
  proxyHeader: (source: { address: string; port: number }) => BeforeTls;
};

let certificates: Certificates;
beforeAll(async () => {
  certificates = await loadCertificates();
});
afterAll(forgetCluster);

const pem = ({ cert, key }: Pair) => ({ pair: `${cert}\n${key}` });
const tls = () => ({ tls: { ca: certificates.ca.cert } });

withServers('STARTTLS with Exim', ['exim'], () => {
  const client = (): MemberOptions => ({ ...tls(), host: 'localhost', beforeTls: startTls });

  test('opens over TLS, and again after the server was killed', async () => {
    const server = await RealServer.start('exim', [], pem(certificates.server));
    const connection = connectTo(server, client());
    const { sessions } = watch(connection);
    const ehlo = async () => {
      const said = receives(connection, '250 HELP');
      connection.write('EHLO client.example\r\n');
      return said;
    };
    expect(await ehlo()).toContain('250-localhost Hello');
    expect(connection).toMatchObject({ generation: 1, socket: { encrypted: true, authorized: true } });

    connection.markHealthy();
    const opened = payload(connection, 'open');
    // Each session of Exim is a process of its own, which goes on when the server has gone.
    await server.kill('SIGKILL');
    connection.reconnect();
    await server.restart();
    expect(await opened).toMatchObject({ generation: 2 });
    expect(await ehlo()).toContain('250-localhost Hello');
    expect(sessions()).toEqual(['open', 'reset', 'open']);
  });

  test('sends nothing to a server with the wrong certificate', async () => {
    const server = await RealServer.start('exim', [], pem(certificates.wrongHost));
    const connection = connectTo(server, client());
    expect(await payload(connection, 'backoff')).toMatchObject({
      reason: 'error',
      error: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
  });
});

withServers('SSLRequest with PostgreSQL', ['postgres'], () => {
  const files = () => ({ cert: certificates.server.cert, key: certificates.server.key });

  test('opens over TLS', async () => {
    const settings = ['ssl = on', `ssl_cert_file = '../cert'`, `ssl_key_file = '../key'`];
    const server = await RealServer.start('postgres', settings, files());
    const connection = connectTo<Message>(server, { ...speakPostgres, ...tls(), beforeTls: requestTls });
    await connection.whenOpen();
    expect(await select(connection, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')).toBe('t');
  });

  test('says that a server has no TLS', async () => {
    const server = await RealServer.start('postgres');
    const connection = connectTo<Message>(server, { ...speakPostgres, ...tls(), beforeTls: requestTls });
    expect(await payload(connection, 'backoff')).toMatchObject({
      reason: 'handshake-failed',
      error: { message: expect.stringContaining('The server has no TLS') as string },
    });
  });
});

describe.each([
  {
    name: 'HTTP CONNECT with tinyproxy',
    proxy: 'tinyproxy',
    beforeTls: connectThrough,
    refused: /The proxy answered .* 50\d/,
  },
  { name: 'SOCKS with microsocks', proxy: 'microsocks', beforeTls: throughSocks, refused: /Socks5 proxy rejected/ },
] as const)('$name', ({ proxy, beforeTls, refused }) => {
  withServers('a tunnel', [proxy], () => {
    /** Options of a connection to `server` through the proxy. */
    async function through(server: Loopback): Promise<{ target: ConnectionOptions }> {
      const { port } = await RealServer.start(proxy);
      const dial = () => connect({ port, host: '127.0.0.1' });
      return { target: { host: 'localhost', port: server.port, dial, beforeTls } };
    }

    test('loses no byte of a greeting that comes at once', async () => {
      const server = await Loopback.start({ echo: true, onSession: (socket) => socket.write('220 hello\r\n') });
      const connection = connectTo(await through(server));
      expect(await receives(connection, 'hello\r\n')).toBe('220 hello\r\n');
      const echo = receives(connection, 'back');
      connection.write('and back');
      expect(await echo).toBe('and back');
      server.drop();
      await payload(connection, 'open');
      connection.destroy();
      await server.until(() => server.live === 0);
    });

    test('has TLS with the server in it', async () => {
      const server = await Loopback.start({ tls: certificates.server, echo: true });
      const connection = connectTo(await through(server), tls());
      connection.write('hello');
      expect(await receives(connection, 'hello')).toBe('hello');
      expect(connection.socket).toMatchObject({ encrypted: true, authorized: true });
    });

    test('that the proxy refuses is a failed attempt in the words of the helper', async () => {
      const server = await Loopback.start();
      server.refuse();
      const connection = connectTo(await through(server));
      expect(await payload(connection, 'backoff')).toMatchObject({
        reason: 'handshake-failed',
        error: { message: expect.stringMatching(refused) as string },
      });
    });

    test('through a proxy that stands still is bounded by connectTimeout', async () => {
      const server = await Loopback.start();
      const mute = await RealServer.start(proxy);
      const connection = connectTo(server, {
        dial: () => connect({ port: mute.port, host: '127.0.0.1' }),
        beforeTls,
        connectTimeout: 300,
      });
      await connection.whenOpen();
      await mute.kill('SIGSTOP');
      connection.reconnect();
      expect(await payload(connection, 'backoff')).toMatchObject({ reason: 'connect-timeout' });
      await mute.kill('SIGCONT');
      await connection.whenOpen();
    });
  });
});

withServers('a PROXY header with HAProxy', ['haproxy'], () => {
  const beforeTls = proxyHeader({ address: '192.0.2.7', port: 4711 });
  const start = (backend: Loopback, options = '') =>
    RealServer.start('haproxy', [
      '  tcp-request connection expect-proxy layer4',
      `  server back 127.0.0.1:${backend.port} ${options}`,
    ]);

  test('says whom the session is for', async () => {
    const backend = await Loopback.start();
    const connection = connectTo(await start(backend, 'send-proxy'), { beforeTls });
    connection.write('hello');
    await backend.receives('hello');
    expect(backend.text()).toMatch(/^PROXY TCP4 192\.0\.2\.7 127\.0\.0\.1 4711 \d+\r\nhello$/);
  });

  test('goes ahead of TLS', async () => {
    const backend = await Loopback.start({ tls: certificates.server, echo: true });
    const connection = connectTo(await start(backend), { ...tls(), beforeTls });
    connection.write('hello');
    expect(await receives(connection, 'hello')).toBe('hello');
  });
});
