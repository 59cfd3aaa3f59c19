import { type ConnectionOptions as TlsOptions, createSecureContext } from 'node:tls';

import { type Check, type Checks, boolean, checkRecord, frozen, func, interval } from './check';
import { ConnectionError, invalidOption, toError } from './errors';

/** What concerns the connection and not TLS: it has a place of its own among the connection's options. */
type Elsewhere = 'host' | 'port' | 'path' | 'socket' | 'lookup' | 'timeout' | 'allowHalfOpen';

/** Key material and whatever else `tls.createSecureContext` looks at itself. */
const material: Check<never> = (value, name) => {
  if (value === null) throw invalidOption(name, 'what `tls.createSecureContext` takes', value);
  return value as never;
};

const protocols: Check<never> = (value, name) => {
  if (!ArrayBuffer.isView(value) && !(Array.isArray(value) && value.every((each) => typeof each === 'string'))) {
    throw invalidOption(name, 'an array of strings, or bytes', value);
  }
  return value as never;
};

const text: Check<string> = (value, name) => {
  if (typeof value !== 'string' || /[\s\0]/.test(value)) throw invalidOption(name, 'a string without spaces', value);
  return value;
};

const bytes: Check<never> = (value, name) => {
  if (!ArrayBuffer.isView(value)) throw invalidOption(name, 'bytes', value);
  return value as never;
};

/** Every option of `tls.connect` that is ours to pass on; any other name is taken for a typing error. */
const checks: Checks<Omit<TlsOptions, Elsewhere> & { allowPartialTrustChain?: boolean }> = {
  ALPNProtocols: protocols,
  ALPNCallback: func,
  SNICallback: func,
  allowPartialTrustChain: boolean,
  ca: material,
  cert: material,
  checkServerIdentity: func,
  ciphers: material,
  clientCertEngine: material,
  crl: material,
  dhparam: material,
  ecdhCurve: material,
  enableTrace: boolean,
  honorCipherOrder: boolean,
  key: material,
  maxVersion: material,
  minDHSize: interval,
  minVersion: material,
  passphrase: material,
  pfx: material,
  privateKeyEngine: material,
  privateKeyIdentifier: material,
  pskCallback: func,
  rejectUnauthorized: boolean,
  requestCert: boolean,
  secureContext: material,
  secureOptions: material,
  secureProtocol: material,
  servername: text,
  session: bytes,
  sessionIdContext: material,
  sessionTimeout: material,
  sigalgs: material,
  ticketKeys: material,
};

/**
 * The `tls` option, its key material parsed, so that a bad certificate is found here and not in a retry; false where
 * it is off.
 */
export const checkTls: Check<TlsOptions | false> = (value, name) => {
  if (value === false) return false;
  const options = value === true ? {} : checkRecord('tls', value, checks);
  try {
    return frozen({ ...options, secureContext: options.secureContext ?? createSecureContext(options) });
  } catch (thrown) {
    const cause = toError(thrown);
    // OpenSSL's words name the failure and never the material.
    throw new ConnectionError(
      'ERR_INVALID_OPTION',
      `Expected ${name} to hold material that parses, got: ${cause.message}`,
      { cause },
    );
  }
};
