import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';

import { compiled } from '../kit/compiled';
import { Loopback, connectTo, track } from '../kit/loopback';
import { refusal } from '../kit/refusal';

jest.setTimeout(180_000);

test('C18 whatever name is put on Object.prototype, connections keep their targets and verify as configured', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'trap-'));
  track({ destroy: () => rmSync(directory, { recursive: true }) });
  const program = await compiled('fuzz/pollution');
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, directory]);
  // `as`: what the program says.
  const report = JSON.parse(stdout) as { scenes: number; clean: string[]; faults: string[] };

  expect(report.clean).toEqual([
    expect.stringMatching(/^plain: echoed x and disconnected, 1 session/),
    expect.stringMatching(/^with options: echoed/),
    expect.stringMatching(/^target\(\): echoed/),
    expect.stringMatching(/^of a pool: echoed/),
    expect.stringMatching(/^of a registry: echoed/),
    expect.stringMatching(/^TLS: echoed/),
    'TLS to a self-signed: closed, DEPTH_ZERO_SELF_SIGNED_CERT',
    'TLS to another: closed, ERR_TLS_CERT_ALTNAME_INVALID',
    'TLS over a dial: closed, DEPTH_ZERO_SELF_SIGNED_CERT',
  ]);
  expect(report.faults).toEqual([]);
  expect(report.scenes).toBeGreaterThan(600);
  expect(stderr).toBe('');
});

describe('options that come from JSON', () => {
  test.each(['__proto__', 'constructor', 'prototype', 'toString'])(
    'with a key %s are refused, at every level',
    (key) => {
      const foreign = JSON.parse(`{ "${key}": { "port": 6666, "host": "evil.test" } }`) as object;
      for (const call of [
        () => new ReconnectingConnection({ port: 1, ...foreign }),
        () => new ReconnectingConnection({ port: 1, socket: foreign }),
        () => new ReconnectingConnection({ port: 1, tls: foreign }),
        () => new ReconnectingConnection({ port: 1, queue: foreign }),
        () => new ReconnectingConnection({ port: 1, backoff: foreign }),
        () => new ConnectionPool({ ...foreign }),
        () => track(new ConnectionPool()).add({ port: 1, ...foreign }),
      ]) {
        expect(refusal(call)).toContain(key);
      }
      expect({}).not.toHaveProperty('host');
    },
  );

  test('are refused too where a target() brings them', async () => {
    const target = () => JSON.parse('{ "port": 1, "__proto__": { "host": "evil.test" } }') as { port: number };
    const connection = connectTo({ target: {} }, { target, maxRetries: 0 });
    const { error } = await new Promise<{ error?: Error }>((resolve) => connection.on('close', resolve));

    expect(error?.cause).toMatchObject({
      code: 'ERR_INVALID_OPTION',
      message: expect.stringContaining('__proto__') as string,
    });
  });
});

describe('options of an unusual make', () => {
  test.each<[string, (port: number) => object]>([
    ['frozen', (port) => Object.freeze({ port })],
    ['without a prototype', (port) => Object.assign(Object.create(null), { port }) as object],
    ['a Proxy', (port) => new Proxy({ port }, {})],
    [
      'an instance',
      (port) =>
        new (class Options {
          port = port;
        })(),
    ],
    [
      'getters',
      (port) => ({
        get port() {
          return port;
        },
      }),
    ],
    ['with a symbol', (port) => ({ port, [Symbol('unseen')]: 5 })],
  ])('(%s) are as good as any', async (_make, make) => {
    const server = await Loopback.start();

    expect(await connectTo({ target: make(server.port) }).whenOpen()).toMatchObject({ remotePort: server.port });
  });

  test('are read once, and later changes to them have no effect', async () => {
    const server = await Loopback.start();
    const trap = await Loopback.start();
    let reads = 0;
    const socket = { localAddress: '127.0.0.1' };
    const options = {
      get port() {
        reads += 1;
        return reads === 1 ? server.port : trap.port;
      },
      socket,
    };
    const connection = track(new ReconnectingConnection(options));
    socket.localAddress = '127.0.0.9';
    Object.assign(options, { host: '127.0.0.9', tls: true });

    expect(await connection.whenOpen()).toMatchObject({ remotePort: server.port, localAddress: '127.0.0.1' });
    expect({ reads, trapped: trap.accepted }).toEqual({ reads: 1, trapped: 0 });
  });

  test('whose getters throw are refused like any other', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const throwing = {
      get port(): number {
        throw new Error('not for you');
      },
    };
    for (const value of [proxy, throwing]) {
      expect(refusal(() => new ReconnectingConnection(value as { port: number }))).toMatch(/the options/);
      expect(refusal(() => new ConnectionPool(value))).toMatch(/the options/);
      expect(refusal(() => track(new ConnectionPool()).add(value))).toMatch(/the options/);
      expect(refusal(() => new ReconnectingConnection({ port: 1, socket: value }))).toMatch(/`socket/);
      expect(refusal(() => new ReconnectingConnection({ port: 1, tls: value }))).toMatch(/`tls/);
    }
    expect(refusal(() => new ReconnectingConnection({ port: 1, host: proxy as never }))).toMatch(/`host`/);
    expect(refusal(() => new ReconnectingConnection({ port: 1, signal: proxy as never }))).toMatch(/`signal`/);
  });
});
