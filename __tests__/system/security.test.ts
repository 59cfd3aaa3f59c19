import { Console } from 'node:console';
import { createPrivateKey } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { PassThrough } from 'node:stream';
import { inspect } from 'node:util';
import { serialize } from 'node:v8';

import {
  ConnectionPool,
  ConnectionRegistry,
  ReconnectingConnection,
  type ResolvedTarget,
} from 'reconnecting-connection';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { Loopback, connectTo, next, payload, payloads, track } from '../kit/loopback';
import { record } from '../kit/record';
import { refusal, refusalOf } from '../kit/refusal';

let certificates: Certificates;
beforeAll(async () => (certificates = await loadCertificates()));

/** Every string and every byte that can be reached from `root` by its own properties, symbols and hidden ones too. */
function reachable(root: unknown): string {
  const seen = new Set<unknown>();
  const texts: string[] = [];
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === 'string') texts.push(value);
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue;
    seen.add(value);
    if (ArrayBuffer.isView(value)) {
      texts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1'));
      continue;
    }
    if (value instanceof Map || value instanceof Set) open.push(...value);
    for (const key of Reflect.ownKeys(value)) {
      texts.push(String(key));
      const property: PropertyDescriptor | undefined = Reflect.getOwnPropertyDescriptor(value, key);
      open.push(property?.value, property?.get?.call(value));
    }
  }
  return texts.join('\n');
}

/** All that there is to be seen of a thing, whoever prints it. */
function shown(what: unknown): string {
  const page = new PassThrough();
  new Console(page).log(what, [what], { what });
  const all = { depth: Infinity, showHidden: true, maxArrayLength: Infinity, maxStringLength: Infinity };
  return [
    inspect(what, all),
    inspect(what, { ...all, customInspect: false }),
    JSON.stringify(what),
    String(page.read()),
    reachable(what),
  ].join('\n');
}

describe('secrets', () => {
  const passphrase = 'open-sesame';
  const written = 'password-in-the-queue';

  /** A client's key under a passphrase, and all by which it could be told. */
  function material() {
    const { client, ca } = certificates;
    const type = { type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase } as const;
    const key = String(createPrivateKey(client.key).export(type));
    const secrets = [passphrase, written, 'a-ticket', 'a-shared-key', key.split('\n')[2]!, client.key.split('\n')[2]!];
    // Not of the pool that small buffers share: to look into one shows them all.
    const tls = { ca: ca.cert, cert: client.cert, key, passphrase, session: Buffer.alloc(8, 'a-ticket') };
    return { tls, secrets };
  }

  test('C102 are in no property, error or event of a connection, a pool or a registry', async () => {
    const server = await Loopback.start({
      tls: { ...certificates.server, requestCert: true, ca: certificates.ca.cert },
    });
    const { tls, secrets } = material();
    const at = { port: server.port, host: 'localhost' };
    const targets: ResolvedTarget[] = [];
    const connections = [
      connectTo({ target: at }, { tls }),
      connectTo({ target: {} }, { target: () => ({ ...at, tls }) }),
      connectTo({ target: { ...at, port: await unusedPort() } }, { tls }),
    ];
    const pool = track(new ConnectionPool({ tls, dial: (target) => (targets.push(target), new PassThrough()) }));
    const registry = new ConnectionRegistry();
    connections.push(pool.add(at), track(registry.connect({ ...at, tls })));
    const heard = connections.map((connection) => record(connection, ['open', 'reset', 'backoff', 'state', 'close']));
    connections[2]!.write(written);
    await Promise.all([connections[0]!.whenOpen(), connections[1]!.whenOpen(), next(connections[2]!, 'backoff')]);

    for (const what of [...connections, pool, registry]) expectNone(what, secrets);
    // Not even Node's own socket holds a key: it was parsed at once, and let go.
    const digging = { depth: Infinity, showHidden: true, getters: true, customInspect: false };
    const { socket } = connections[0]!;
    for (const secret of secrets.filter((each) => each !== 'a-ticket')) {
      expect(inspect(socket, digging)).not.toContain(secret);
      expect(inspect(connections[0], digging)).not.toContain(secret);
    }
    connections[2]!.write(written, () => {});
    connections[0]!.reconnect();
    await next(connections[0]!, 'open');
    for (const connection of connections) connection.destroy();
    // What a `dial` is handed is the application's to keep: it holds the ticket, and no key.
    expect(targets.length).toBeGreaterThan(0);
    expectNone(
      targets,
      secrets.filter((secret) => secret !== 'a-ticket'),
    );
    for (const what of [...connections, pool, registry, heard]) expectNone(what, secrets);
    for (const { stats } of [...connections, pool]) {
      expectNone(stats, secrets);
      expect(serialize(structuredClone(stats)).toString('latin1')).not.toContain(passphrase);
    }
    // And it would have been seen.
    expect(() => expectNone({ deep: new Map([[1, { tls }]]) }, secrets)).toThrow();
  });

  test('are in no error: not in its message, its stack, its cause, nor in any of its properties', async () => {
    const { tls, secrets } = material();
    const key = certificates.client.key;
    const options: unknown[] = [
      { ...tls, passphrase: 'open-sesame-wrong' },
      { ...tls, passphrase: undefined },
      { ...tls, key: key.replace('M', '!') },
      { ...tls, key: [{ pem: tls.key, passphrase: 'open-sesame-wrong' }] },
      { ...tls, key: [{ pem: { passphrase }, passphrase }] },
      { ...tls, key: certificates.server.key },
      { ...tls, pfx: Buffer.from(passphrase) },
      { ...tls, pfx: [{ buf: passphrase, passphrase }] },
      { ...tls, passphrase: [passphrase] },
      { ...tls, ticketKeys: Buffer.from('a-ticket') },
      { ...tls, session: 'a-ticket' },
      { ...tls, pskCallback: 'a-shared-key' },
      { ...tls, secureContext: { context: passphrase } },
      { ...tls, unknown: passphrase },
      [tls],
      passphrase,
      key,
    ];
    const errors = options.map((wrong) =>
      refusalOf(() => new ReconnectingConnection({ port: 1, tls: wrong as object })),
    );
    for (const wrong of options) {
      const connection = connectTo({ target: {} }, { target: () => ({ port: 1, tls: wrong as object }) });
      errors.push((await payload(connection, 'backoff')).error as never);
      expectNone(connection.stats, secrets);
      connection.destroy();
    }

    for (const error of errors) {
      expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION' });
      expectNone(error, [...secrets, 'MIG']);
    }
  });

  test('of a URL are in no error either, where it was taken for options, a target or a host', async () => {
    const url = 'redis://user:open-sesame@db.test:6379';
    expectNone(
      refusalOf(() => new ReconnectingConnection(url)),
      [passphrase],
    );
    expectNone(
      refusalOf(() => new ReconnectingConnection({ port: 1, host: url })),
      [passphrase],
    );
    expectNone(
      refusalOf(() => new ReconnectingConnection({ port: 1, host: 'user:open-sesame@db.test' })),
      [passphrase],
    );
    const connection = connectTo({ target: {} }, { target: () => url as never });
    expectNone((await payload(connection, 'backoff')).error, [passphrase]);
  });

  test.each<[string, unknown]>([
    ['a string for a key', { psk: 'a-shared-key', identity: 'me' }],
    ['a key that is too long', { psk: Buffer.from('a-shared-key'.repeat(99)), identity: 'me' }],
    ['a string', 'a-shared-key'],
  ])('that a pskCallback answers wrongly (%s) are not told by the error', async (_what, answer) => {
    const psk = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
    const server = await Loopback.start({ tls: { ...psk, pskCallback: () => Buffer.from('x'), pskIdentityHint: 'x' } });
    const connection = connectTo(server, { tls: { ...psk, pskCallback: () => answer as never } });
    const { error } = await payload(connection, 'backoff');

    expect(error?.message).toMatch(/psk/i);
    expectNone([error, connection.stats], ['a-shared-key', Buffer.from('a-shared-key').toString('hex', 0, 6)]);
  });

  function expectNone(what: unknown, secrets: readonly string[]): void {
    expect(what).toBeDefined();
    const all = shown(what);
    for (const secret of secrets) {
      expect(all.includes(secret) ? `"${secret}" in ${all.slice(Math.max(0, all.indexOf(secret) - 80))}` : '').toBe('');
      const hex = Buffer.from(secret)
        .toString('hex')
        .replace(/(..)(?=.)/g, '$1 ');
      expect(all.includes(hex) ? `"${secret}" as bytes` : '').toBe('');
    }
  }
});

describe('where a connection goes', () => {
  test.each(['localhost', '127.1', '0', '2130706433', '0x7f.1', '１２７.0.0.1', 'internal.test'])(
    'a lookup decides, for every attempt, by the address that %j leads to',
    async (host) => {
      const server = await Loopback.start();
      const asked: string[] = [];
      const lookup: LookupFunction = (name, _options, answer) => {
        asked.push(name);
        if (asked.length < 3) answer(new Error('loopback is not allowed'), []);
        else answer(null, [{ address: '127.0.0.1', family: 4 }]);
      };
      const connection = connectTo({ target: { port: server.port, host } }, { socket: { lookup } });
      const waits = await payloads(connection, 'backoff', 2);
      expect(server.accepted).toBe(0);

      expect(await payload(connection, 'open')).toMatchObject({ attempts: 3, remoteAddress: '127.0.0.1' });
      expect(waits.map(({ error }) => error?.message)).toEqual(Array(2).fill('loopback is not allowed'));
      expect(asked).toEqual(Array(3).fill(host));
    },
  );

  test('a literal address is dialled as it is: no lookup is asked', async () => {
    const server = await Loopback.start();
    const lookup = jest.fn();
    await connectTo(server, { socket: { lookup } }).whenOpen();

    expect(lookup).not.toHaveBeenCalled();
  });

  test.each([
    ...[
      '127.0.0.1\0.evil.test',
      'a b',
      ' a',
      'a\n',
      'a\tb',
      '[::1]',
      '::1]',
      'a/b',
      'http://a',
      'a:80',
      'user:pw@a',
      '',
    ],
    ...[
      'a\u001b[31m',
      'a\u0085',
      'a\u007f',
      'a\u2028',
      'a\u00a0',
      'a\u202eb',
      'a\u200bb',
      'a\u00adb',
      'a\ufeff',
      '\ud800',
    ],
  ])('the host %j is refused, and not repeated raw', (host) => {
    expectClean(refusal(() => new ReconnectingConnection({ port: 1, host })));
  });

  test.each(['/tmp/a\nb', '/tmp/\u001b[31mred', '/tmp/a\u0085', '/tmp/\0a', '\0', '\0a\0b', ''])(
    'the path %j is refused, and not repeated raw',
    (path) => {
      expectClean(refusal(() => new ReconnectingConnection({ path })));
    },
  );

  test('a name that is no option is not repeated raw', () => {
    expectClean(refusal(() => new ReconnectingConnection({ port: 1, ...{ ['a\n\u001b[31mb']: 1 } })));
    expectClean(refusal(() => new ReconnectingConnection({ port: 1, socket: { ['a\u202eb']: 1 } as object })));
  });

  test('nor is anything that a hostile peer says', async () => {
    const server = await Loopback.start({ onSession: (socket) => socket.end('\u001b[31m\nFAKE LOG LINE\r\n\0') });
    for (const tls of [false, true]) {
      const connection = connectTo(server, { tls, minUptime: 1_000 });
      const [first, second] = await payloads(connection, 'backoff', 2);
      for (const { error } of [first!, second!]) if (error !== undefined) expectClean(error.message.trimEnd());
      expectClean(connection.tag);
      expect(connection.stats.lastError?.message ?? '').not.toContain('FAKE');
    }
  });

  /** Nothing in it that a terminal or a log would obey. */
  function expectClean(text: string): void {
    expect(text).not.toBe('nothing was thrown');
    expect(text).toMatch(/^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+$/u);
  }
});

async function unusedPort(): Promise<number> {
  const server = await Loopback.start();
  server.refuse();
  return server.port;
}
