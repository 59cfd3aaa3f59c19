import { isError, readable } from '../errors';

/** What is shown of an error, in the logs and for `NODE_DEBUG`. */
export interface Failure {
  /** Its message, and those of its causes that it does not quote. */
  readonly message: string;
  /** Its code, and those of its causes. */
  readonly codes: readonly string[];
  /** What may help; undefined where that is unknown. */
  readonly hint: string | undefined;
}

/** The longest chain of causes that is followed: an error may be its own. */
const MAX_CAUSES = 4;

/** What may help against Node's errors, by their codes. The errors themselves are passed on unchanged. */
const HINTS: readonly (readonly [codes: RegExp, hint: string])[] = [
  [
    /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/,
    'to trust it, pass the certificate of its issuer in `tls: { ca }`',
  ],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'the name to verify is `host`, or `tls: { servername }`'],
  [
    /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNEXPECTED_MESSAGE)$/,
    'does the server speak TLS at this port?',
  ],
  [
    /^ERR_SSL_(?:UNSUPPORTED_PROTOCOL|TLSV1_ALERT_PROTOCOL_VERSION)$/,
    'the versions differ: see `minVersion` and `maxVersion` of `tls`',
  ],
  [
    /^ERR_SSL_(?:TLSV13_ALERT_CERTIFICATE_REQUIRED|SS(?:LV3|L\/TLS)_ALERT_HANDSHAKE_FAILURE)$/,
    'the server may want a certificate of yours: `tls: { cert, key }`',
  ],
  [/^ENOTFOUND$/, 'is `host` spelled correctly?'],
];

export function failureOf(error: Error): Failure {
  const chain = [error];
  for (let next = error.cause; isError(next) && chain.length <= MAX_CAUSES; next = next.cause) chain.push(next);
  const add = (text: string, { message }: Error) => (text.includes(message) ? text : `${text}: ${message}`);
  const codes = chain.flatMap((each) => codeOf(each) ?? []);
  const [, hint] = HINTS.find(([pattern]) => codes.some((code) => pattern.test(code))) ?? [];
  return { message: readable(chain.reduce(add, '').slice(2)), codes, hint };
}

export function codeOf(error: Error | undefined): string | undefined {
  return error !== undefined && 'code' in error && typeof error.code === 'string' ? readable(error.code) : undefined;
}
