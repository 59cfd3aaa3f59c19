import type { SecureContext } from 'node:tls';

import { type Check, type Checks, boolean, checkRecord, integer } from './checks';
import { builtins } from '../builtins';
import { type ConnectionError, invalidOption, isArray } from '../errors';
import type { TlsOptions } from './target';

/** The error for a TLS option: it names the type of the value, and never the value, which may be a secret. */
export function invalid(name: string, expected: string, value: unknown, cause?: unknown): ConnectionError {
  return invalidOption(name, expected, value, cause, typeName);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (ArrayBuffer.isView(value)) return 'bytes';
  return isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

export const ACCEPTED = 'a value that `tls.createSecureContext` accepts';

/** Keys, certificates and other options of `tls.createSecureContext`, which itself checks everything but null and −0. */
const contextInput: Check<never> = (value, name) => {
  if (value === null) throw invalid(name, ACCEPTED, value);
  // A copy, so that later changes to a list have no effect.
  if (isArray(value)) return Object.freeze([...value]) as never;
  // Not −0: as `sessionTimeout` it aborts the process.
  return (value === 0 ? 0 : value) as never;
};

/** A switch that is part of the secure context. */
const contextSwitch: Check<boolean> = (value, name) => boolean(value, name);

const context: Check<SecureContext> = (value, name) => {
  const inner: unknown = typeof value === 'object' && value !== null && 'context' in value ? value.context : undefined;
  if (!(inner instanceof nativeContextClass()))
    throw invalid(name, 'the return value of `tls.createSecureContext`', value);
  return value as SecureContext;
};

let nativeContext: (new () => object) | undefined;

/**
 * The class of the native object in a secure context, which Node does not export. Another object in its place would be
 * found by each dial, and not here.
 * https://github.com/nodejs/node/blob/v20.20.2/lib/_tls_common.js#L85, tested on Node 20, 22, 24 and 26 by
 * `internals.test.ts`. If each context had a class of its own, every `secureContext` would be refused.
 */
function nativeContextClass(): new () => object {
  // `as`: every object has its constructor.
  return (nativeContext ??= (builtins.tls.createSecureContext().context as object).constructor as new () => object);
}

const protocols: Check<string[]> = (value, name) => {
  // Node also takes encoded bytes, but aborts the process if the lengths in them do not add up.
  const fits = (each: unknown) => typeof each === 'string' && each !== '' && Buffer.byteLength(each) < 256;
  if (!Array.isArray(value) || !value.every(fits)) throw invalid(name, 'an array of strings of 1 to 255 bytes', value);
  // A copy, so that later changes to the array have no effect. `as`: each entry was checked.
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

/** The options that are passed to `tls.connect`. Any other name is an error. */
const checks: Checks<TlsOptions & { allowPartialTrustChain?: boolean }> = {
  ALPNProtocols: protocols,
  allowPartialTrustChain: contextSwitch,
  ca: contextInput,
  cert: contextInput,
  checkServerIdentity: callback,
  ciphers: contextInput,
  clientCertEngine: contextInput,
  crl: contextInput,
  dhparam: contextInput,
  ecdhCurve: contextInput,
  enableTrace: boolean,
  honorCipherOrder: contextSwitch,
  key: contextInput,
  maxVersion: contextInput,
  minDHSize: integer(1),
  minVersion: contextInput,
  passphrase: contextInput,
  pfx: contextInput,
  privateKeyEngine: contextInput,
  privateKeyIdentifier: contextInput,
  pskCallback: callback,
  rejectUnauthorized: boolean,
  requestCert: boolean,
  secureContext: context,
  secureOptions: contextInput,
  secureProtocol: contextInput,
  servername: text,
  session: bytes,
  sessionIdContext: contextInput,
  sessionTimeout: contextInput,
  sigalgs: contextInput,
  ticketKeys: contextInput,
};

/** The names of options that are parsed into the secure context: all of those that `tls.createSecureContext` reads. */
export const CONTEXT_INPUTS: ReadonlySet<string> = new Set(
  Object.entries(checks).flatMap(([name, check]) => (check === contextInput || check === contextSwitch ? [name] : [])),
);

/**
 * Checks each TLS option, but does not parse keys and certificates.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkTlsOptions(value: unknown, name: string): TlsOptions {
  // `checkRecord` would quote a string, which may be a key.
  const isRecord = typeof value === 'object' && value !== null && !isArray(value);
  if (value !== true && !isRecord) throw invalid(name, 'an object, or true', value);
  const options = checkRecord('tls', value === true ? {} : value, checks);
  if (options.rejectUnauthorized === false) warnOnce();
  return options;
}

/** The names of all TLS options. */
export const TLS_OPTIONS: readonly string[] = Object.keys(checks);

let warned = false;

/** Once per process, as Node does for `NODE_TLS_REJECT_UNAUTHORIZED=0`, so that the warning does not fill a log. */
function warnOnce(): void {
  if (warned) return;
  warned = true;
  const message =
    '`rejectUnauthorized: false` turns off the verification of certificates: connections can be intercepted';
  process.emitWarning(message, { type: 'SecurityWarning', code: 'RECONNECTING_CONNECTION_UNVERIFIED' });
}
