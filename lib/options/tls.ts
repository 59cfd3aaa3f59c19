import { X509Certificate } from 'node:crypto';
import { type SecureContext, createSecureContext } from 'node:tls';

import { type Check, type Checks, boolean, checkRecord, frozen, integer } from './checks';
import { ConnectionError, isArray, toError } from '../errors';
import type { TlsOptions } from './target';

/** The error for a TLS option: it tells the kind of what came and never the value, which may be a secret. */
function invalid(name: string, expected: string, value: unknown, cause?: unknown): ConnectionError {
  const kind = value === null ? 'null' : isArray(value) ? 'an array' : `a value of type ${typeof value}`;
  return new ConnectionError('ERR_INVALID_OPTION', `Expected ${name} to be ${expected}, got ${kind}`, { cause });
}

/** Key material and whatever else goes into the secure context, whose maker looks at it himself. */
const material: Check<never> = (value, name) => {
  if (value === null) throw invalid(name, 'what `tls.createSecureContext` takes', value);
  return value as never;
};

const CERTIFICATE = /^-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;

/** Certificates to trust. Node passes over one that does not parse, and whoever relied on it would trust nobody. */
const authorities: Check<never> = (value, name) => {
  for (const each of [material(value, name) as unknown].flat()) {
    // Of another type: the maker of the context refuses it.
    if (typeof each !== 'string' && !ArrayBuffer.isView(each)) continue;
    const text =
      typeof each === 'string' ? each : Buffer.from(each.buffer, each.byteOffset, each.byteLength).toString();
    const certificates = text.split(/(?=-----BEGIN )/).filter((part) => CERTIFICATE.test(part));
    if (certificates.length === 0) throw invalid(name, 'certificates in PEM', value);
    for (const certificate of certificates) {
      try {
        new X509Certificate(certificate);
      } catch (cause) {
        throw invalid(name, 'certificates in PEM that parse', value, cause);
      }
    }
  }
  return value as never;
};

const context: Check<SecureContext> = (value, name) => {
  const inner: unknown = typeof value === 'object' && value !== null && 'context' in value ? value.context : undefined;
  if (!(inner instanceof nativeContext())) throw invalid(name, 'the return value of `tls.createSecureContext`', value);
  return value as SecureContext;
};

let NativeContext: (new () => object) | undefined;

/** What a real secure context is made of; Node exports no name for it. */
function nativeContext(): new () => object {
  const inner: unknown = createSecureContext().context;
  // `as`: every object has its constructor.
  NativeContext ??= (inner as object).constructor as new () => object;
  return NativeContext;
}

const protocols: Check<string[]> = (value, name) => {
  // The bytes that Node takes as well end the process if their lengths do not add up.
  const fits = (each: unknown) => typeof each === 'string' && each !== '' && Buffer.byteLength(each) < 256;
  if (!Array.isArray(value) || !value.every(fits)) throw invalid(name, 'an array of strings of 1 to 255 bytes', value);
  // `as`: each was looked at; and a copy, for what is done to the array later is no concern of ours.
  return Object.freeze([...(value as string[])]) as string[];
};

const text: Check<string> = (value, name) => {
  if (typeof value !== 'string' || /[\s\0]/.test(value)) throw invalid(name, 'a string without spaces', value);
  return value;
};

const bytes: Check<never> = (value, name) => {
  if (!ArrayBuffer.isView(value)) throw invalid(name, 'bytes', value);
  return value as never;
};

const callback: Check<never> = (value, name) => {
  if (typeof value !== 'function') throw invalid(name, 'a function', value);
  return value as never;
};

/** Every option of `tls.connect` that is ours to pass on; any other name is taken for a typing error. */
const checks: Checks<TlsOptions & { allowPartialTrustChain?: boolean }> = {
  ALPNProtocols: protocols,
  allowPartialTrustChain: boolean,
  ca: authorities,
  cert: material,
  checkServerIdentity: callback,
  ciphers: material,
  clientCertEngine: material,
  crl: material,
  dhparam: material,
  ecdhCurve: material,
  enableTrace: boolean,
  honorCipherOrder: boolean,
  key: material,
  maxVersion: material,
  minDHSize: integer(1),
  minVersion: material,
  passphrase: material,
  pfx: material,
  privateKeyEngine: material,
  privateKeyIdentifier: material,
  pskCallback: callback,
  rejectUnauthorized: boolean,
  requestCert: boolean,
  secureContext: context,
  secureOptions: material,
  secureProtocol: material,
  servername: text,
  session: bytes,
  sessionIdContext: material,
  sessionTimeout: material,
  sigalgs: material,
  ticketKeys: material,
};

const MATERIAL: ReadonlySet<unknown> = new Set([material, authorities]);

/**
 * The `tls` option, its key material parsed, so that a bad certificate is found here and not in a retry; false where
 * it is off. The material itself is not kept: what is left of it is in the secure context.
 */
export const checkTls: Check<TlsOptions | false> = (value, name) => {
  if (value === false) return false;
  // A string here may well be a key.
  if (typeof value === 'string') throw invalid(name, 'an object', value);
  const options = checkRecord('tls', value === true ? {} : value, checks);
  if (options.rejectUnauthorized === false) warnOnce();
  const kept = Object.entries(options).filter(([key]) => !MATERIAL.has(checks[key as keyof typeof checks]));
  return frozen({ ...Object.fromEntries(kept), secureContext: options.secureContext ?? parse(options, name) });
};

function parse(options: TlsOptions, name: string): SecureContext {
  try {
    return createSecureContext(options);
  } catch (thrown) {
    const cause = toError(thrown);
    // OpenSSL's words name the failure and never the material; Node's, where a type is wrong, quote the value.
    const [, property] = /^The "options\.(\w+)/.exec(cause.message) ?? [];
    if (property !== undefined)
      throw invalid(
        `option \`tls.${property}\``,
        'what `tls.createSecureContext` takes',
        options[property as keyof TlsOptions],
      );
    const message = `Expected ${name} to hold material that parses, got: ${cause.message}`;
    throw new ConnectionError('ERR_INVALID_OPTION', message, { cause });
  }
}

/** The names of all of them. */
export const TLS_OPTIONS: readonly string[] = Object.keys(checks);

let warned = false;

/** Once a process, as Node does for its own such switch: careless code is to be seen, not to fill a log. */
function warnOnce(): void {
  if (warned) return;
  warned = true;
  const message =
    '`rejectUnauthorized: false` leaves connections open to anyone on the way: certificates are not verified';
  process.emitWarning(message, { type: 'SecurityWarning', code: 'RECONNECTING_CONNECTION_UNVERIFIED' });
}
