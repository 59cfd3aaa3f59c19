import { isError, readable } from '../errors';

/** The longest chain of causes that is followed: an error may be its own. */
const MAX_CAUSES = 4;

/** An error and its causes. */
function chainOf(error: Error): Error[] {
  const chain = [error];
  for (let next = error.cause; isError(next) && chain.length <= MAX_CAUSES; next = next.cause) chain.push(next);
  return chain;
}

/** The message of an error, and those of its causes that it does not quote. */
export function messageOf(error: Error): string {
  return chainOf(error)
    .reduce((text, { message }) => (text.includes(message) ? text : `${text}: ${message}`), '')
    .slice(2);
}

/** The codes of an error and of its causes. */
export function codesOf(error: Error): string[] {
  return chainOf(error).flatMap((each) => codeOf(each) ?? []);
}

export function codeOf(error: Error | undefined): string | undefined {
  return error !== undefined && 'code' in error && typeof error.code === 'string' ? readable(error.code) : undefined;
}

const UNKNOWN_ISSUER = 'to trust it, pass the certificate of its issuer in `tls: { ca }`';
const NOT_TLS = 'does the server speak TLS at this port?';
const OLD_TLS = 'the versions differ: see `minVersion` and `maxVersion` of `tls`';
const CLIENT_CERTIFICATE = 'the server may want a certificate of yours: `tls: { cert, key }`';

/** What may help against Node's errors, by their codes. The errors themselves are passed on unchanged. */
const HINTS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
  ERR_TLS_CERT_ALTNAME_INVALID: 'the name to verify is `host`, or `tls: { servername }`',
  ERR_SSL_WRONG_VERSION_NUMBER: NOT_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NOT_TLS,
  ERR_SSL_UNEXPECTED_MESSAGE: NOT_TLS,
  ERR_SSL_UNSUPPORTED_PROTOCOL: OLD_TLS,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: OLD_TLS,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: CLIENT_CERTIFICATE,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: CLIENT_CERTIFICATE,
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': CLIENT_CERTIFICATE,
  ENOTFOUND: 'is `host` spelled correctly?',
};

/** A hint for the reader of a log; undefined where there is none. */
export function hintFor(error: Error): string | undefined {
  const code = codesOf(error).find((each) => Object.hasOwn(HINTS, each));
  return code === undefined ? undefined : HINTS[code];
}
