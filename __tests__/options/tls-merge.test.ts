import { generateKeyPairSync } from 'node:crypto';
import { type ConnectionOptions as TlsOptions, createSecureContext, rootCertificates } from 'node:tls';

import { resolveOptions, checkOptions, resolveTarget } from '../../lib/options/settings';
import { checkTls, checkTlsOver, withoutGiven } from '../../lib/options/tls-merge';
import { refusalOf } from '../kit/refusal';

jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);

const NAME = 'option `tls`';
const [ca = '', otherCa = ''] = rootCertificates;
const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ type: 'pkcs8', format: 'pem' });

const checked = (tls: TlsOptions | boolean) => checkTls(tls, NAME) as TlsOptions;

/** `own` merged over `outer`. */
const merged = (outer: TlsOptions, own: TlsOptions | boolean, owner?: object) =>
  checkTlsOver(checked(outer), owner)(own, NAME) as TlsOptions;

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
    const outer = { ca, servername: 'outer.test', checkServerIdentity: pin, minVersion: 'TLSv1.3' } as const;
    const [parsed] = parsedBy(() => {
      expect(merged(outer, { servername: 'own.test', cert: undefined })).toMatchObject({
        servername: 'own.test',
        checkServerIdentity: pin,
      });
    });
    expect(parsed).toMatchObject({ ca, minVersion: 'TLSv1.3' });
  });

  it('replace what they name', () => {
    const calls = parsedBy(() => merged({ ca, minVersion: 'TLSv1.3', key }, { ca: otherCa }));
    expect(calls).toHaveLength(2);
    expect(calls[1]).toEqual({ ca: otherCa, minVersion: 'TLSv1.3', key });
  });

  it('parse nothing where keys and certificates are the same', () => {
    const outer = checked({ ca: [ca, otherCa], key });
    const own: TlsOptions = { servername: 'own.test', ca: [ca, otherCa] };
    const calls = parsedBy(() => {
      const result = checkTlsOver(outer, undefined)(own, NAME) as TlsOptions;
      expect(result.secureContext).toBe(outer.secureContext);
      expect(result.servername).toBe('own.test');
    });
    expect(calls).toEqual([]);
  });

  it('are parsed once where the same are merged again', () => {
    const check = checkTlsOver(checked({ ca }), undefined);
    const first = check({ servername: 'one.test', key }, NAME) as TlsOptions;
    expect(check({ servername: 'one.test', key }, NAME)).toBe(first);
    const other = check({ servername: 'other.test', key }, NAME) as TlsOptions;
    expect(other.servername).toBe('other.test');
    expect(other.secureContext).toBe(first.secureContext);
    expect((check({ servername: 'other.test', minVersion: 'TLSv1.3' }, NAME) as TlsOptions).secureContext).not.toBe(
      first.secureContext,
    );
  });

  it('are parsed once under one owner, also where there is nothing that they are merged over', () => {
    const check = checkTlsOver(undefined, {});
    const first = check({ ca }, NAME);
    expect(check({ ca }, NAME)).toBe(first);
    expect(check({ ca: otherCa }, NAME)).not.toBe(first);
  });

  it('are those themselves where they are `true` or empty, and none where they are false', () => {
    const outer = checked({ ca });
    for (const own of [true, {}, { ca: undefined }]) expect(checkTlsOver(outer, undefined)(own, NAME)).toBe(outer);
    expect(checkTlsOver(outer, undefined)(false, NAME)).toBe(false);
  });

  it('may be merged several times over', () => {
    const twice = checkTlsOver(merged({ ca, minVersion: 'TLSv1.2' }, { servername: 'one.test' }), undefined);
    const [parsed] = parsedBy(() => twice({ minVersion: 'TLSv1.3' }, NAME));
    expect(parsed).toEqual({ ca, servername: 'one.test', minVersion: 'TLSv1.3' });
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
  it('are the same object for members with equal `tls`, who share one secure context', () => {
    const defaults = checkOptions({ port: 1, tls: { ca } });
    const settingsOf = (own: object) => resolveOptions(checkOptions(own, defaults)).settings;
    expect(settingsOf({})).toBe(settingsOf({}));
    const first = settingsOf({ tls: { servername: 'own.test', key } });
    expect(settingsOf({ tls: { servername: 'own.test', key } })).toBe(first);
    expect(settingsOf({ port: 2, tls: { servername: 'own.test', key } })).toBe(first);
  });

  it('hold the keys and certificates themselves only where a target may need them', () => {
    const keeps = (tls: TlsOptions | undefined) => parsedBy(() => checkTlsOver(tls, undefined)({ key }, NAME));
    const target = () => ({ port: 1 });
    expect(keeps(resolveOptions({ target, tls: { ca } }).settings.tls)).toEqual([{ ca, key }]);
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
