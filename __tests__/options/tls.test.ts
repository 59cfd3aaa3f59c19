import { generateKeyPairSync } from 'node:crypto';
import { type ConnectionOptions as TlsOptions, createSecureContext, rootCertificates } from 'node:tls';
import { inspect, types } from 'node:util';

import type { ConnectionError } from '../../lib/errors';
import { Bare } from '../../lib/options/checks';
import { checkTls, mergeTls } from '../../lib/options/tls-merge';
import { refusalOf } from '../kit/refusal';

// Some tests set `rejectUnauthorized: false`, of which the library warns.
jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);

const NAME = 'option `tls`';
const PASSPHRASE = 'hush-hush-hush';

/** An elliptic-curve key, which is generated quickly. */
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const locked = privateKey.export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-128-cbc',
  passphrase: PASSPHRASE,
}) as string;

/** The options, checked and parsed. */
function accepted(tls: unknown): TlsOptions {
  return mergeTls(checkTls(tls, NAME) as TlsOptions, undefined, NAME);
}

/** The error for bad options. */
function refusal(tls: unknown): ConnectionError {
  const error = refusalOf(() => accepted(tls));
  if (error === undefined) throw new Error('nothing was thrown');
  return error;
}

describe('the certificates of `ca`', () => {
  const [one = '', other = ''] = rootCertificates;
  const cut = other.slice(0, 400);

  it.each<[string, TlsOptions['ca']]>([
    ['one certificate', one],
    ['several in one string, with remarks between them', `# the first\n${one}\n# the second\n${other}`],
    ['a list of strings and bytes', [one, Buffer.from(other)]],
    ['an old kind of PEM', one.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE')],
    ['certificates beside a key', pem + one],
  ])('may be %s', (_title, ca) => {
    expect(accepted({ ca }).secureContext?.context).toBeDefined();
  });

  it.each<[string, TlsOptions['ca']]>([
    ['a certificate that is cut off', cut],
    ['a good one and one that is cut off', `${one}\n${cut}`],
    ['a list with one that is cut off', [one, Buffer.from(cut)]],
  ])('must not be %s, which Node would ignore without an error', (_title, ca) => {
    const error = refusal({ ca });
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(String(error.cause)).toMatch(/PEM|asn1/i);
    expect(error.message).toMatch(/^Expected option `tls\.ca` to be certificates in PEM that parse, got /);
    expect(error.message).not.toContain(cut.slice(100, 120));
  });

  it.each<[string, TlsOptions['ca'], string]>([
    ['nothing', '', 'no PEM'],
    ['a name of a file', '/etc/ssl/ca.pem', 'no PEM'],
    ['a key', pem, 'a private key'],
    ['bytes of a key', Buffer.from(pem), 'a private key'],
    ['a request', '-----BEGIN CERTIFICATE REQUEST-----\n', 'something else'],
    ['DER', Buffer.from([0x30, 0x82, 0x01]), 'no PEM'],
  ])('must not be %s', (_title, ca, found) => {
    const { code, message } = refusal({ ca });
    expect(code).toBe('ERR_INVALID_OPTION');
    expect(message).toBe(`Expected option \`tls.ca\` to be certificates in PEM, got ${found}`);
  });
});

describe('checkTls()', () => {
  it('returns false for false: there is no TLS', () => {
    expect(checkTls(false, NAME)).toBe(false);
  });

  it.each<[string, TlsOptions | true]>([
    ['true', true],
    ['{}', {}],
    ['a key', { key: pem }],
    ['a key as bytes', { key: Buffer.from(pem) }],
    ['a locked key and its passphrase', { key: locked, passphrase: PASSPHRASE }],
    ['a list of keys', { key: [{ pem: locked, passphrase: PASSPHRASE }] }],
    ['versions', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }],
  ])('creates a secure context from %s', (_title, tls) => {
    const { secureContext, ...rest } = accepted(tls);
    expect(secureContext?.context).toBeDefined();
    // Keys are only in the secure context, so that printed options contain none.
    expect(rest).toEqual({});
  });

  it('keeps a given secure context', () => {
    const secureContext = createSecureContext();
    expect(accepted({ secureContext }).secureContext).toBe(secureContext);
  });

  it('returns a frozen object that inherits nothing', () => {
    for (const tls of [true as const, { servername: 'db.example' }]) {
      const checked = accepted(tls);
      expect(Object.isFrozen(checked)).toBe(true);
      expect(checked).toBeInstanceOf(Bare);
    }
  });

  it.each<[keyof TlsOptions, unknown]>([
    ['ALPNProtocols', ['h2', 'http/1.1']],
    ['checkServerIdentity', () => undefined],
    ['enableTrace', true],
    ['minDHSize', 2_048],
    ['pskCallback', () => null],
    ['rejectUnauthorized', false],
    ['requestCert', true],
    ['servername', 'db.example'],
    ['servername', ''],
    ['session', Buffer.from('ticket')],
  ])('passes `%s` on to the dial: %p', (option, value) => {
    expect(accepted({ [option]: value })[option]).toEqual(value);
  });

  it('accepts a protocol of 255 bytes, the longest possible', () => {
    expect(accepted({ ALPNProtocols: ['x'.repeat(255)] }).ALPNProtocols).toEqual(['x'.repeat(255)]);
  });

  it.each([[5], [0], [2, 104]])(
    'refuses encoded protocols: Node aborts if the lengths in them do not add up, as in %p',
    (...wire) => {
      expect(refusal({ ALPNProtocols: Buffer.from(wire) }).message).toBe(
        'Expected option `tls.ALPNProtocols` to be an array of strings of 1 to 255 bytes, got bytes',
      );
    },
  );

  it.each<[option: string, value: unknown, words: string]>([
    ['ALPNProtocols', 'h2', 'an array of strings of 1 to 255 bytes, got a value of type string'],
    ['ALPNProtocols', ['h2', 2], 'an array of strings of 1 to 255 bytes, got an array'],
    ['ALPNProtocols', ['h2', ''], 'an array of strings of 1 to 255 bytes, got an array'],
    ['ALPNProtocols', ['ä'.repeat(128)], 'an array of strings of 1 to 255 bytes, got an array'],
    ['ALPNProtocols', null, 'an array of strings of 1 to 255 bytes, got null'],
    ['checkServerIdentity', true, 'a function, got a value of type boolean'],
    ['pskCallback', {}, 'a function, got a value of type object'],
    ['enableTrace', 1, 'a boolean, got 1 (number)'],
    ['minDHSize', '2048', 'an integer ≥ 1, got "2048" (string): use `Number(…)`'],
    ['minDHSize', 1.5, 'an integer ≥ 1, got 1.5 (number)'],
    ['minDHSize', 0, 'an integer ≥ 1, got 0 (number)'],
    // Only `false` itself turns the verification off; similar values are refused.
    ['rejectUnauthorized', 0, 'a boolean, got 0 (number)'],
    ['rejectUnauthorized', null, 'a boolean, got null'],
    ['rejectUnauthorized', 'false', 'a boolean, got "false" (string)'],
    ['requestCert', 'yes', 'a boolean, got "yes" (string)'],
    ['servername', 'db example', 'a string without spaces, got a value of type string'],
    ['servername', 'db\0.evil.test', 'a string without spaces, got a value of type string'],
    ['servername', 5, 'a string without spaces, got a value of type number'],
    ['session', 'ticket', 'bytes, got a value of type string'],
    ['session', null, 'bytes, got null'],
    ['secureContext', null, 'the return value of `tls.createSecureContext`, got null'],
    ['secureContext', 'context', 'the return value of `tls.createSecureContext`, got a value of type string'],
    ['secureContext', { context: {} }, 'the return value of `tls.createSecureContext`, got a value of type object'],
    ['secureContext', {}, 'the return value of `tls.createSecureContext`, got a value of type object'],
    ...['ca', 'cert', 'key', 'passphrase', 'pfx', 'ciphers', 'minVersion', 'sigalgs'].map(
      (option): [string, null, string] => [option, null, 'a value that `tls.createSecureContext` accepts, got null'],
    ),
    ['key', 5, 'a value that `tls.createSecureContext` accepts, got a value of type number'],
    ['ciphers', {}, 'a value that `tls.createSecureContext` accepts, got a value of type object'],
  ])('refuses for `%s`: %j', (option, value, words) => {
    expect(refusal({ [option]: value }).message).toBe(`Expected option \`tls.${option}\` to be ${words}`);
  });

  it.each([null, undefined, 1, 'on', [], () => true])('refuses %p instead of options', (tls) => {
    expect(refusal(tls).message).toMatch(/^Expected option `tls` to be an object, or true, got /);
  });

  it.each([
    'rejectUnauthorised',
    'servername ',
    'cA',
    // Options of `tls.connect` that concern the socket: they would redirect it or replace it.
    'host',
    'port',
    'path',
    'socket',
    'lookup',
    'timeout',
    'allowHalfOpen',
    'signal',
    'onread',
  ])('refuses the name `%s`', (name) => {
    expect(refusal({ [name]: undefined }).message).toMatch(
      new RegExp(
        `^Unknown option \`tls.${name}\`(?:, expected one of: ALPNProtocols, .+, ticketKeys|: did you mean .+\\?)$`,
      ),
    );
  });

  it.each<[string, TlsOptions, RegExp]>([
    ['a key that is no PEM', { key: 'no key' }, /DECODER routines|no start line/],
    ['a key cut short', { key: pem.slice(0, 60) }, /DECODER routines|no start line|bad end line/],
    ['a certificate that is no PEM', { cert: 'no certificate' }, /no start line/],
    ['a key where the certificate should be', { cert: pem }, /no start line/],
    ['a wrong passphrase', { key: locked, passphrase: 'hush-no' }, /bad decrypt|DECODER|interrupted/],
    ['no passphrase', { key: locked }, /bad decrypt|DECODER|interrupted/],
    ['a pfx that is none', { pfx: Buffer.from('no pfx') }, /PFX|asn1|not enough data|wrong tag|header too long/i],
    ['a version there never was', { minVersion: 'TLSv9' as 'TLSv1.3' }, /TLSv9/],
    ['a list of ciphers with none in it', { ciphers: 'none' }, /no cipher match/],
    ['a curve there never was', { ecdhCurve: 'straight' }, /ECDH curve/],
  ])('refuses %s at once, with the message of OpenSSL or Node', (_title, tls, words) => {
    const error = refusal(tls);
    expect(error.message).toMatch(/^Expected option `tls` to be options that `tls.createSecureContext` accepts, got: /);
    expect(error.message).toMatch(words);
    expect(types.isNativeError(error.cause)).toBe(true);
  });

  it.each<[string, Record<string, unknown>, secret: string]>([
    ['a wrong passphrase', { key: locked, passphrase: 'hush-no' }, 'hush-no'],
    ['a number for a passphrase', { key: locked, passphrase: 31_415_926 }, '31415926'],
    ['a number for a key', { key: 31_415_926 }, '31415926'],
    ['a number for a passphrase in a list', { key: [{ pem, passphrase: 31_415_926 }] }, '31415926'],
    ['a number for a key in a list', { key: [31_415_926] }, '31415926'],
    ['a text for ticket keys', { ticketKeys: PASSPHRASE }, PASSPHRASE],
    ['a text for a session', { session: PASSPHRASE }, PASSPHRASE],
    ['a text for a pskCallback', { pskCallback: PASSPHRASE }, PASSPHRASE],
    ['a key that does not parse', { key: `-----BEGIN PRIVATE KEY-----\n${PASSPHRASE}` }, PASSPHRASE],
    ['a key in a list that does not parse', { key: [{ pem: PASSPHRASE, passphrase: PASSPHRASE }] }, PASSPHRASE],
    ['a misspelt option beside a key', { key: pem, passphrase: PASSPHRASE, keys: PASSPHRASE }, PASSPHRASE],
  ])('quotes no secret when it refuses %s', (_title, tls, secret) => {
    // With the cause and all properties, as a logger would print it.
    expect(inspect(refusal(tls), { depth: Infinity, showHidden: true })).not.toContain(secret);
  });
});
