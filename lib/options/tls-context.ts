import type { Hash } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import { types } from 'node:util';

import { builtins } from '../builtins';
import { ConnectionError, invalidOption, isArray, toError } from '../errors';
import { ACCEPTED, invalid } from './tls';
import type { TlsOptions } from './target';

/**
 * Secure contexts by a digest of all that they were made of, so that equal keys and certificates are parsed once. The
 * application's connections keep a context in memory; this does not, and holds no key and no certificate.
 */
const contexts = new Map<string, WeakRef<SecureContext>>();

const collected = new FinalizationRegistry<string>((digest) => {
  // Another may have been made meanwhile.
  if (contexts.get(digest)?.deref() === undefined) contexts.delete(digest);
});

/**
 * The secure context of `inputs`, which may be that of other connections.
 *
 * @param inputs - All that the context is made of, and nothing else.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function secureContextOf(inputs: TlsOptions, name: string): SecureContext {
  const digest = digestOf(inputs);
  const known = digest === undefined ? undefined : contexts.get(digest)?.deref();
  if (known !== undefined) return known;
  const context = parse(inputs, name);
  if (digest !== undefined) {
    contexts.set(digest, new WeakRef(context));
    collected.register(context, digest);
  }
  return context;
}

/**
 * A digest of `inputs`, of Node's defaults for what they leave out, and of nothing else; undefined where there is an input
 * whose contents this cannot read.
 */
function digestOf(inputs: TlsOptions): string | undefined {
  // The key that an engine finds may change.
  if ((inputs.clientCertEngine ?? inputs.privateKeyEngine) !== undefined) return undefined;
  const hash = builtins.crypto.createHash('sha256');
  const { DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE, DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION } = builtins.tls;
  const defaults = [DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE, DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION];
  addTo(hash, [...defaults, inputs.ca ? 0 : versionOfAuthorities()]);
  for (const name of Object.keys(inputs).sort()) {
    addTo(hash, name);
    // `as`: the names are those of TLS options.
    if (!addTo(hash, inputs[name as keyof TlsOptions])) return undefined;
  }
  return hash.digest('base64');
}

/** Adds a value with its type and length, so that no two values add the same. Returns false if it cannot be read. */
function addTo(hash: Hash, value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      hash.update(`string ${Buffer.byteLength(value)} `).update(value);
      return true;
    case 'number':
    case 'boolean':
      hash.update(`${typeof value} ${value} `);
      return true;
    default:
      if (isArray(value)) {
        hash.update(`list ${value.length} `);
        return value.every((each) => !isArray(each) && addTo(hash, each));
      }
      // Shared memory may change until it is parsed.
      if (!ArrayBuffer.isView(value) || !types.isArrayBuffer(value.buffer)) return false;
      hash.update(`bytes ${value.byteLength} `).update(bytesOf(value));
      return true;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** The default authorities: a new array each time that `tls.setDefaultCACertificates` has replaced them. */
let authorities: readonly string[] | undefined;
let version = 0;

function versionOfAuthorities(): number {
  // `as`: Node 20 has neither function.
  const { getCACertificates } = builtins.tls as { getCACertificates?: (type: 'default') => readonly string[] };
  const present = getCACertificates?.('default');
  if (present !== authorities) version += 1;
  authorities = present;
  return version;
}

/** Parses keys and certificates. */
function parse(inputs: TlsOptions, name: string): SecureContext {
  checkAuthorities(inputs.ca);
  try {
    return builtins.tls.createSecureContext(inputs);
  } catch (thrown) {
    const cause = toError(thrown);
    // OpenSSL's messages never quote a key; Node's, for a value of a wrong type, do.
    const [, property] = /^The "options\.(\w+)/.exec(cause.message) ?? [];
    if (property !== undefined) {
      throw invalid(`option \`tls.${property}\``, ACCEPTED, inputs[property as keyof TlsOptions]);
    }
    // OpenSSL says so of the path of a file too.
    const advice = /no start line|DECODER routines/.test(cause.message)
      ? ' (`cert` and `key` are the text of PEM files)'
      : '';
    const message = `Expected ${name} to be options that \`tls.createSecureContext\` accepts, got: ${cause.message}${advice}`;
    throw new ConnectionError('ERR_INVALID_OPTION', message, { cause });
  }
}

const CERTIFICATE = /^-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;

/** Checks trusted certificates. Node ignores those that do not parse, and every connection would then fail to verify. */
function checkAuthorities(ca: unknown): void {
  const name = 'option `tls.ca`';
  const { X509Certificate } = builtins.crypto;
  for (const each of ca === undefined ? [] : [ca].flat()) {
    // `tls.createSecureContext` refuses other types.
    if (typeof each !== 'string' && !ArrayBuffer.isView(each)) continue;
    const text = typeof each === 'string' ? each : bytesOf(each).toString();
    const certificates = text.split(/(?=-----BEGIN )/).filter((part) => CERTIFICATE.test(part));
    if (certificates.length === 0) {
      const kind = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) ? 'a private key' : 'something else';
      throw invalidOption(name, 'certificates in PEM', ca, undefined, () =>
        text.includes('-----BEGIN ') ? kind : 'no PEM',
      );
    }
    for (const certificate of certificates) {
      try {
        new X509Certificate(certificate);
      } catch (cause) {
        throw invalid(name, 'certificates in PEM that parse', ca, cause);
      }
    }
  }
}
