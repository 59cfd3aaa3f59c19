import type * as nodeCrypto from 'node:crypto';
import { generateKeyPairSync } from 'node:crypto';
import * as nodeTls from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { ReconnectingConnection, machineOf } from '../../lib/connection';
import { resolveOptions } from '../../lib/options/settings';
import { resolveTarget } from '../../lib/options/resolve-target';
import { ConnectionPool } from '../../lib/pool/pool';
import { secureContextOf } from '../../lib/options/tls-context';
import type { TlsOptions } from '../../lib/options/target';

const [ca = '', otherCa = ''] = nodeTls.rootCertificates;
const pemOf = () =>
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const key = pemOf();

const contextOf = (inputs: TlsOptions) => secureContextOf(inputs, 'option `tls`');

/** A text of its own with the same characters. */
const anew = (text: string) => Buffer.from(text).toString();

/** `node:tls` as the library sees it, whose properties can be replaced. */
const actual = jest.requireActual<Record<string, unknown>>('node:tls');

describe('one secure context is shared by', () => {
  it.each<[string, () => TlsOptions]>([
    ['texts', () => ({ ca: anew(ca), key: anew(key) })],
    ['bytes', () => ({ ca: Buffer.from(ca) })],
    ['lists', () => ({ ca: [anew(ca), Buffer.from(otherCa)] })],
    ['numbers', () => ({ secureOptions: 4, sessionTimeout: 9 })],
    ['nothing', () => ({})],
  ])('equal %s', (_title, inputs) => {
    expect(contextOf(inputs())).toBe(contextOf(inputs()));
  });

  it('the same inputs in another order', () => {
    expect(contextOf({ ca, key })).toBe(contextOf({ key, ca }));
  });

  it('connections, members of a pool, URLs and targets', () => {
    const contexts = new Set<unknown>();
    const note = (connection: ReconnectingConnection) => contexts.add(machineOf(connection).target?.tls?.secureContext);
    const autoConnect = false;
    note(new ReconnectingConnection({ port: 1, tls: { ca: anew(ca) }, autoConnect }));
    note(new ReconnectingConnection({ path: '/x', tls: { ca: anew(ca), servername: 'db' }, autoConnect }));
    note(new ReconnectingConnection('tls://db:1', { tls: { ca: anew(ca) }, autoConnect }));
    note(new ConnectionPool().add({ port: 1, tls: { ca: anew(ca) }, autoConnect }));
    note(new ConnectionPool({ tls: { servername: 'db' } }).add({ port: 1, tls: { ca: anew(ca) }, autoConnect }));
    contexts.add(resolveTarget({ port: 1, tls: { ca: anew(ca) } }, undefined).tls?.secureContext);
    expect(contexts.size).toBe(1);
    expect(contexts.has(undefined)).toBe(false);
  });
});

describe('another secure context is made', () => {
  const locked = [{ pem: key, passphrase: 'x' }];

  it.each<[string, TlsOptions, TlsOptions]>([
    ['for another text', { ca }, { ca: otherCa }],
    ['under another name', { minVersion: 'TLSv1.2' }, { maxVersion: 'TLSv1.2' }],
    ['for bytes in place of a text', { ca }, { ca: Buffer.from(ca) }],
    ['for a list in place of one', { ca }, { ca: [ca] }],
    ['for the same in another order', { ca: [ca, otherCa] }, { ca: [otherCa, ca] }],
    ['for one list in place of two items', { ca: [ca, otherCa] }, { ca: [ca + otherCa] }],
    ['for another number', { sessionTimeout: 1 }, { sessionTimeout: 11 }],
    ['for text in place of a number', { secureOptions: 4 }, { sessionIdContext: '4' }],
    ['for a list of objects, which are not read', { key: locked }, { key: locked }],
    ['for memory that another thread may change', { key: shared(key) }, { key: shared(key) }],
  ])('%s', (_title, one, other) => {
    expect(contextOf(one)).not.toBe(contextOf(other));
  });

  it('for bytes that have changed since, and not for what they were', () => {
    const bytes = Buffer.from(key);
    const first = resolveOptions({ port: 1, tls: { key: bytes } }).target?.tls?.secureContext;
    bytes.set(Buffer.from(pemOf()));
    const second = resolveOptions({ port: 1, tls: { key: bytes } }).target?.tls?.secureContext;
    expect(second).not.toBe(first);
    expect(resolveOptions({ port: 1, tls: { key: Buffer.from(key) } }).target?.tls?.secureContext).toBe(first);
  });

  it.each(['DEFAULT_MIN_VERSION', 'DEFAULT_MAX_VERSION', 'DEFAULT_CIPHERS', 'DEFAULT_ECDH_CURVE'])(
    'after a change of `tls.%s`',
    (name) => {
      const before = contextOf({ ca });
      const value = actual[name];
      const others: Record<string, string> = {
        DEFAULT_CIPHERS: 'ECDHE-RSA-AES128-GCM-SHA256',
        DEFAULT_ECDH_CURVE: 'P-256',
      };
      actual[name] = others[name] ?? (value === 'TLSv1.3' ? 'TLSv1.2' : 'TLSv1.3');
      try {
        expect(contextOf({ ca })).not.toBe(before);
      } finally {
        actual[name] = value;
      }
      expect(contextOf({ ca })).toBe(before);
    },
  );

  it('after the default authorities were replaced, where they are used', () => {
    const { getCACertificates } = actual;
    let authorities = [ca];
    actual['getCACertificates'] = () => authorities;
    try {
      const [before, own] = [contextOf({}), contextOf({ ca })];
      expect(contextOf({})).toBe(before);
      authorities = [otherCa];
      expect(contextOf({})).not.toBe(before);
      expect(contextOf({ ca })).toBe(own);
    } finally {
      actual['getCACertificates'] = getCACertificates;
    }
  });

  const onNewNodes = 'setDefaultCACertificates' in nodeTls ? it : it.skip;

  onNewNodes('after `tls.setDefaultCACertificates`', () => {
    // `as`: Node 20 has neither function.
    const { getCACertificates, setDefaultCACertificates } = actual as Record<string, (value: unknown) => unknown>;
    const authorities = getCACertificates!('default');
    const before = contextOf({});
    setDefaultCACertificates!([ca]);
    try {
      expect(contextOf({})).not.toBe(before);
    } finally {
      setDefaultCACertificates!(authorities);
    }
  });
});

it('certificates are parsed once for equal contents', () => {
  const crypto = jest.requireActual<typeof nodeCrypto>('node:crypto');
  const { X509Certificate } = crypto;
  const parsing = jest.spyOn(crypto, 'X509Certificate').mockImplementation((bytes) => new X509Certificate(bytes));
  const inputs = () => ({ ca: `# parsed once\n${ca}` });
  try {
    const first = contextOf(inputs());
    expect(contextOf(inputs())).toBe(first);
    expect(parsing).toHaveBeenCalledTimes(1);
  } finally {
    parsing.mockRestore();
  }
});

it('contexts and settings that no connection uses any more are collected', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const made = (): WeakRef<object>[] => {
    const handshake = () => undefined;
    const { settings, target } = resolveOptions({ port: 1, handshake, tls: { sessionIdContext: 'collected' } });
    return [
      new WeakRef(settings),
      new WeakRef(target!.tls!),
      new WeakRef(target!.tls!.secureContext!),
      new WeakRef(handshake),
    ];
  };
  const references = made();
  // A reference that was read or made keeps its object until the end of the turn.
  await new Promise(setImmediate);
  gc();
  await new Promise(setImmediate);
  expect(references.map((each) => each.deref())).toEqual([undefined, undefined, undefined, undefined]);
});

function shared(text: string): Buffer {
  const bytes = Buffer.from(new SharedArrayBuffer(text.length));
  bytes.write(text);
  return bytes;
}
