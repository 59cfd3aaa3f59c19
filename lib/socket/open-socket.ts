import { connect, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { checkServerIdentity, connect as connectTls } from 'node:tls';

import { ConnectionError, toError } from '../errors';
import { type Transport, ignore } from './transport';
import { guardLookup } from './lookup';
import type { SocketOptions } from '../options/options';
import type { FastRead } from './fast-read';
import { type ResolvedTarget, type TlsOptions, tagOf } from '../options/target';
import { TLS_OPTIONS } from '../options/tls';

/** Opens a socket to `target`. Always a new one: a re-used TLS socket would send plain text. */
export function openSocket(target: ResolvedTarget, options: SocketOptions, reading?: FastRead): Transport {
  const network = networkOf(target, options);
  if (target.tls === undefined) return reading === undefined ? connect(network) : connectPastStream(network, reading);
  const socket = connectTls({ ...network, ...tlsOf(target) });
  // `tls.connect` does not pass these on to its socket.
  socket.once('connect', () => {
    socket.setNoDelay(options.noDelay);
    socket.setKeepAlive(options.keepAlive, options.keepAliveInitialDelay);
  });
  return socket;
}

function connectPastStream(network: typeof UNSET, { buffer, read }: FastRead): Transport {
  // `as`: the very buffer that it was given.
  const callback = (size: number, from: Uint8Array) => read(link, size, from as Buffer);
  const link: Transport = connect({ ...network, onread: { buffer, callback } });
  return link;
}

/** What was made for a target last: an object of the plain kind, for those without a prototype are slow to copy. */
const networks = new WeakMap<ResolvedTarget, { readonly options: SocketOptions; readonly network: typeof UNSET }>();

function networkOf(target: ResolvedTarget, options: SocketOptions): typeof UNSET {
  const known = networks.get(target);
  if (known?.options === options) return known.network;
  const lookup = options.lookup && guardLookup(options.lookup);
  const network = { ...UNSET, ...options, ...target, tls: undefined, lookup };
  networks.set(target, { options, network });
  return network;
}

/** Puts TLS over a stream that a custom `dial` opened. */
export function secure(stream: Duplex, target: ResolvedTarget): Transport {
  return connectTls({ ...UNSET, ...tlsOf(target), host: hostOf(target), socket: stream });
}

/** What is wrong with the certificate of an encrypted link. Node has refused its own already: it is a custom `dial`'s. */
export function unverified(link: Transport, target: ResolvedTarget): Error | undefined {
  if (target.tls === undefined || target.tls.rejectUnauthorized === false || link.authorized === true) return undefined;
  const tag = tagOf(target);
  const message = `The certificate of ${tag} is not verified`;
  return new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause: link.authorizationError, tag });
}

/**
 * The names under which Node looks for where and how to connect, as own properties: what was put on `Object.prototype`
 * under such a name (a `path`, say, which would redirect every socket of the process) stays unread. Those with values are
 * what Node sets by itself: it makes a socket several times as fast where it need not add them to its options.
 */
const UNSET = {
  allowHalfOpen: false,
  autoDestroy: true,
  autoSelectFamily: undefined,
  autoSelectFamilyAttemptTimeout: undefined,
  decodeStrings: false,
  emitClose: false,
  family: undefined,
  fd: undefined,
  handle: undefined,
  hints: undefined,
  host: undefined,
  localAddress: undefined,
  localPort: undefined,
  lookup: undefined,
  onread: undefined,
  path: undefined,
  port: undefined,
  signal: undefined,
  socket: undefined,
  timeout: undefined,
} as never as { port: number; host: string };

function hostOf(target: ResolvedTarget): string {
  return 'host' in target ? target.host : 'localhost';
}

/** The names of TLS, except those for which Node sets a default of its own where there is none, and so a property. */
const UNSET_TLS = Object.fromEntries(
  TLS_OPTIONS.filter((name) => name !== 'minDHSize' && name !== 'ciphers').map((name) => [name, undefined]),
);

function tlsOf(target: ResolvedTarget): object {
  const host = hostOf(target);
  const identityCheck = target.tls?.checkServerIdentity ?? checkServerIdentity;
  return {
    ...UNSET_TLS,
    ...(isIP(host) === 0 && { servername: host }),
    ...target.tls,
    pskCallback: target.tls?.pskCallback && guardPsk(target.tls.pskCallback),
    // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment does not weaken it.
    rejectUnauthorized: target.tls?.rejectUnauthorized !== false,
    checkServerIdentity: (...args: Parameters<typeof checkServerIdentity>) => {
      // A throw would be an uncaught exception that leaves the socket open: it is a refusal, whatever was thrown.
      try {
        return refusalOf(identityCheck(...args));
      } catch (error) {
        return toError(error);
      }
    },
  };
}

/** Bytes that OpenSSL has room for in a pre-shared key. */
const PSK_BYTES = 512;

/** Node's message about a key that is none would quote it. */
function guardPsk(callback: PskCallback): PskCallback {
  return (hint) => {
    const answer: unknown = callback(hint);
    if (answer === null) return null;
    const psk: unknown = typeof answer === 'object' && 'psk' in answer ? answer.psk : undefined;
    if (ArrayBuffer.isView(psk) && psk.byteLength <= PSK_BYTES) return answer as ReturnType<PskCallback>;
    throw new TypeError(`\`pskCallback\` must answer with a \`psk\` of up to ${PSK_BYTES} bytes, or null`);
  };
}

type PskCallback = NonNullable<TlsOptions['pskCallback']>;

/** What an identity check answered; a promise is no answer, and no consent. */
function refusalOf(answer: unknown): unknown {
  if (!(answer instanceof Promise)) return answer;
  answer.catch(ignore);
  return new Error('`checkServerIdentity` must answer at once, not with a promise');
}
