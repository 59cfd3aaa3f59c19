import { generateKeyPairSync } from 'node:crypto';
import { type ConnectionOptions as TlsOptions, createSecureContext, rootCertificates } from 'node:tls';

import { resolveTarget } from '../../lib/options/resolve-target';
import { resolveOptions, checkOptions } from '../../lib/options/settings';
import { checkTls, mergeTls, withoutGiven } from '../../lib/options/tls-merge';
import { refusalOf } from '../kit/refusal';

jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);

const NAME = 'option `tls`';
const [ca = '', otherCa = ''] = rootCertificates;
const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ type: 'pkcs8', format: 'pem' });

/** `own` merged over checked options. */
const over = (outer: TlsOptions | undefined, own: TlsOptions | boolean) =>
  mergeTls(checkTls(own, NAME) as TlsOptions, outer, NAME);

const checked = (tls: TlsOptions | boolean) => over(undefined, tls);

/** `own` merged over `outer`. */
const merged = (outer: TlsOptions, own: TlsOptions | boolean) => over(checked(outer), own);

let contexts = 0;

/** A part of a context that no other has: contexts with the same contents are parsed once. */
const unique = () => ({ sessionIdContext: `context ${++contexts}` });

/** What `tls.createSecureContext` was asked to parse. */
function parsedBy(work: () => unknown): TlsOptions[] {
  const tls = jest.requireActual<{ createSecureContext: typeof createSecureContext }>('node:tls');
  const parsing = jest.spyOn(tls, 'createSecureContext');
  try {
    work();
    return parsing.mock.calls.map(([options]) => ({ ...options }));
  } finally {
    parsing.mockRestore();
  }
}

describe('TLS options that are merged over others', () => {
  it('keep what they do not name', () => {
    const pin = () => undefined;
    const outer = {
      ca,
      servername: 'outer.test',
      checkServerIdentity: pin,
      minVersion: 'TLSv1.3',
      ...unique(),
    } as const;
    const [parsed] = parsedBy(() => {
      expect(merged(outer, { servername: 'own.test', cert: undefined })).toMatchObject({
        servername: 'own.test',
        checkServerIdentity: pin,
      });
    });
    expect(parsed).toMatchObject({ ca, minVersion: 'TLSv1.3' });
  });

  it('replace what they name', () => {
    const rest = { minVersion: 'TLSv1.3', key, ...unique() } as const;
    const calls = parsedBy(() => merged({ ca, ...rest }, { ca: otherCa }));
    expect(calls).toEqual([
      { ca, ...rest },
      { ca: otherCa, ...rest },
    ]);
  });

  it('parse nothing where keys and certificates are the same', () => {
    const outer = checked({ ca: [ca, otherCa], key });
    const calls = parsedBy(() => {
      for (const own of [{ servername: 'own.test' }, { servername: 'own.test', ca: [ca, otherCa] }]) {
        const result = over(outer, own);
        expect(result.secureContext).toBe(outer.secureContext);
        expect(result.servername).toBe('own.test');
      }
    });
    expect(calls).toEqual([]);
  });

  it('use the context of those without reading keys that the application has wiped since', () => {
    const wiped = Buffer.from(key);
    const outer = checked({ key: wiped });
    wiped.fill(0);
    expect(over(outer, { servername: 'own.test' }).secureContext).toBe(outer.secureContext);
  });

  it('are those themselves where they are `true` or empty, and none where they are false', () => {
    const outer = checked({ ca });
    for (const own of [true, {}, { ca: undefined }]) expect(over(outer, own)).toBe(outer);
    expect(checkTls(false, NAME)).toBe(false);
  });

  it('may be merged several times over', () => {
    const given = { ca, ...unique() };
    const once = merged({ ...given, minVersion: 'TLSv1.2' }, { servername: 'one.test' });
    const [parsed] = parsedBy(() => over(once, { minVersion: 'TLSv1.3' }));
    expect(parsed).toEqual({ ...given, minVersion: 'TLSv1.3' });
  });

  it.each<[outer: TlsOptions, own: TlsOptions, words: string]>([
    [
      { secureContext: createSecureContext() },
      { ca },
      'Expected option `tls` not to have `ca`: it is merged over a `secureContext`, which cannot be changed; give all of it in one place',
    ],
    [
      { ca, minVersion: 'TLSv1.3' },
      { secureContext: createSecureContext() },
      'Expected option `tls` not to have a `secureContext`: it would replace the `ca` that it is merged over; give all of it in one place',
    ],
  ])('must not have what would be lost in silence: case %#', (outer, own, words) => {
    const error = refusalOf(() => merged(outer, own));
    expect(error).toMatchObject({ code: 'ERR_INVALID_OPTION', message: words });
  });

  it('may replace one secure context by another', () => {
    const secureContext = createSecureContext();
    expect(merged({ secureContext: createSecureContext() }, { secureContext }).secureContext).toBe(secureContext);
    expect(merged({ secureContext }, { servername: 'own.test' }).secureContext).toBe(secureContext);
  });

  it('are checked as a whole: a certificate needs the key beside it', () => {
    const error = refusalOf(() => merged({ secureProtocol: 'TLSv1_2_method' }, { minVersion: 'TLSv1.3' }));
    expect(error?.message).toMatch(/^Expected option `tls` to be options that `tls\.createSecureContext` accepts/);
  });

  it('do not show keys and certificates', () => {
    expect(Object.keys(merged({ ca, key }, { servername: 'own.test' })).sort()).toEqual([
      'secureContext',
      'servername',
    ]);
  });
});

describe('settings', () => {
  it('are the same object for members whose `tls` differs, and members with equal `tls` share that', () => {
    const defaults = checkOptions({ port: 1, tls: { ca } });
    const first = resolveOptions({ tls: { servername: 'own.test', key } }, defaults);
    const second = resolveOptions({ tls: { servername: 'own.test', key }, port: 2 }, defaults);
    const other = resolveOptions({ tls: { servername: 'other.test', key } }, defaults);
    expect(second.settings).toBe(first.settings);
    expect(other.settings).toBe(first.settings);
    expect(second.target?.tls).toBe(first.target?.tls);
    expect(other.target?.tls).toEqual({ servername: 'other.test', secureContext: first.target?.tls?.secureContext });
  });

  it('hold the keys and certificates themselves only where a target may need them', () => {
    const keeps = (tls: TlsOptions | undefined) => parsedBy(() => over(tls, { key }));
    const target = () => ({ port: 1 });
    const tls = { ca, ...unique() };
    expect(keeps(resolveOptions({ target, tls }).settings.tls)).toEqual([{ ...tls, key }]);
    expect(refusalOf(() => keeps(resolveOptions({ port: 1, tls: { ca } }).target?.tls))?.message).toContain(
      'secureContext',
    );
    expect(withoutGiven(checked({ ca, servername: 'one.test' }))).toMatchObject({ servername: 'one.test' });
  });

  it('of a connection are what the `tls` of a target is merged over', () => {
    const { tls } = resolveOptions({ target: () => ({ port: 1 }), tls: { ca, minVersion: 'TLSv1.3' } }).settings;
    const dial = () => resolveTarget({ port: 1, tls: { servername: 'node.test' } }, tls);
    expect(dial().tls).toMatchObject({ servername: 'node.test', secureContext: tls?.secureContext });
    expect(dial().tls).toBe(dial().tls);
  });
});
