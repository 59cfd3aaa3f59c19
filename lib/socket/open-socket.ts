import { type LookupFunction, type TcpNetConnectOpts, connect, isIP } from 'node:net';
import type { Duplex } from 'node:stream';

import { builtins } from '../builtins';
import { ConnectionError, because, toError } from '../errors';
import { debug, failureText } from '../events/debug-log';
import { type Transport, ignore } from './transport';
import { frozen } from '../options/checks';
import type { SocketOptions } from '../options/options';
import { type OnRead, openFast } from './fast-read';
import { type ResolvedTarget, type TlsOptions, tagOf } from '../options/target';
import { TLS_OPTIONS } from '../options/tls';

/**
 * Opens a socket to `target`. Always a new one: a TLS socket that is used again sends plain text.
 *
 * @param plain - Without TLS, also where the target has it: `secure()` puts it over the socket later.
 * @param lookup - Finds one address, where the target's host is a name.
 * @param read - How to read it, if not as a stream.
 */
export function openSocket(
  target: ResolvedTarget,
  options: SocketOptions,
  plain: boolean,
  lookup?: LookupFunction,
  read?: OnRead,
): Transport {
  const socket =
    plain || target.tls === undefined ? openPlain(target, options, lookup, read) : openTls(target, options, lookup);
  if (debug !== undefined) debugAddresses(socket, tagOf(target));
  return socket;
}

/** Reports the address that is dialled, and its failure. */
function debugAddresses(socket: Transport, tag: string): void {
  socket
    .on('connectionAttempt', (address: string, port?: number) =>
      debug?.(undefined, `${tag}: try ${placeOf(address, port)}`),
    )
    .on('connectionAttemptFailed', (address: string, port: number, _family: number, error: Error) =>
      debug?.(undefined, `${tag}: ${placeOf(address, port)} failed: ${failureText(error)}`),
    );
}

function placeOf(address: string, port: number | undefined): string {
  return port === undefined ? tagOf({ path: address }) : tagOf({ host: address, port });
}

function openPlain(target: ResolvedTarget, options: SocketOptions, lookup?: LookupFunction, read?: OnRead): Transport {
  const openWith = (onread?: OnRead) => connect(networkOf(target, options, lookup, onread));
  const socket = read === undefined ? openWith() : openFast(read, openWith);
  // `net.connect` passes on the initial delay alone.
  const { keepAliveInterval, keepAliveCount } = options;
  if ((keepAliveInterval ?? keepAliveCount) !== undefined) {
    socket.once('connect', () => applyOptions(socket, options));
  }
  return socket;
}

function openTls(target: ResolvedTarget, options: SocketOptions, lookup?: LookupFunction): Transport {
  const socket = builtins.tls.connect({ ...networkOf(target, options, lookup), ...tlsOf(target) });
  // `tls.connect` does not pass these on to its socket.
  socket.once('connect', () => applyOptions(socket, options));
  return socket;
}

/** Applies the options that can be set on a connected socket, if it is one. */
export function applyOptions(transport: Transport, options: SocketOptions): void {
  const { noDelay, keepAlive, keepAliveInitialDelay, keepAliveInterval, keepAliveCount } = options;
  transport.setNoDelay?.(noDelay);
  transport.setKeepAlive?.(keepAlive, keepAliveInitialDelay, keepAliveInterval, keepAliveCount);
}

/**
 * The options of `net.connect`. All names under which Node looks for where and how to connect are own properties: it then
 * does not read what was put on `Object.prototype` under such a name (a `path`, say, would redirect every socket of the
 * process). One literal, so that all have one shape; with a prototype, since Node copies objects without one more slowly.
 *
 * `allowHalfOpen`, `autoDestroy`, `decodeStrings` and `emitClose` have the values that `net.Socket` assigns in its copy
 * of the options. On Node 20 a copy that gains properties makes a socket cost 12–25 µs in place of 0.7 µs; from Node 22
 * on it makes no difference. https://github.com/nodejs/node/blob/v20.20.2/lib/net.js#L408
 * Tested on Node 20, 22, 24 and 26 by `internals.test.ts`. If Node assigned other values, they would be used: it does
 * not read these.
 */
function networkOf(
  target: ResolvedTarget,
  options: SocketOptions,
  lookup?: LookupFunction,
  onread?: OnRead,
): TcpNetConnectOpts {
  // `as`: a target has either `path` or the other two, without a prototype that could have more.
  const { host, port, path } = target as { host?: string; port?: number; path?: string };
  const network = {
    allowHalfOpen: options.allowHalfOpen === true,
    autoDestroy: true,
    autoSelectFamily: false,
    autoSelectFamilyAttemptTimeout: undefined,
    decodeStrings: false,
    emitClose: false,
    family: undefined,
    fd: undefined,
    handle: undefined,
    hints: undefined,
    host,
    keepAlive: options.keepAlive,
    keepAliveInitialDelay: options.keepAliveInitialDelay,
    localAddress: options.localAddress,
    localPort: options.localPort,
    lookup,
    noDelay: options.noDelay,
    onread,
    path,
    port,
    signal: undefined,
    socket: undefined,
    timeout: undefined,
  };
  // `as`: the types know no `path` beside `port`, and not that undefined stands for absent.
  return network as object as TcpNetConnectOpts;
}

/** Puts TLS over a connected stream. */
export function secure(stream: Duplex, target: ResolvedTarget): Transport {
  const place = { host: hostOf(target), port: undefined, path: undefined, socket: stream };
  return builtins.tls.connect({ ...networkOf(target, NO_OPTIONS), ...tlsOf(target), ...place });
}

/**
 * An error unless the certificate of a TLS transport was verified. Node destroys its own where it was not; this is for
 * those from a custom `dial`.
 */
export function unverified(transport: Transport, target: ResolvedTarget): Error | undefined {
  if (target.tls === undefined || target.tls.rejectUnauthorized === false || transport.authorized === true)
    return undefined;
  const tag = tagOf(target);
  // `null`: Node says nothing of a stream that is not TLS, or not yet.
  const cause = transport.authorizationError ?? undefined;
  const message = `The certificate of ${tag} is not verified${because(cause)}`;
  return new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause, tag });
}

const NO_OPTIONS: SocketOptions = frozen({});

function hostOf(target: ResolvedTarget): string {
  return 'host' in target ? target.host : 'localhost';
}

/** The names of TLS options, as in `networkOf()`. Node itself makes the two others own properties. */
const UNSET_TLS = Object.fromEntries(
  TLS_OPTIONS.filter((name) => name !== 'minDHSize' && name !== 'ciphers').map((name) => [name, undefined]),
);

function tlsOf(target: ResolvedTarget): object {
  const host = hostOf(target);
  const identityCheck = target.tls?.checkServerIdentity ?? builtins.tls.checkServerIdentity;
  return {
    ...UNSET_TLS,
    ...(isIP(host) === 0 && { servername: host }),
    ...target.tls,
    pskCallback: target.tls?.pskCallback && guardPsk(target.tls.pskCallback),
    // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment does not weaken it.
    rejectUnauthorized: target.tls?.rejectUnauthorized !== false,
    checkServerIdentity: (...args: Parameters<typeof identityCheck>) => {
      // A throw would be an uncaught exception that leaves the socket open. It counts as a refusal.
      try {
        return refusalOf(identityCheck(...args));
      } catch (error) {
        return toError(error);
      }
    },
  };
}

/** OpenSSL's limit for a pre-shared key, in bytes. */
const PSK_BYTES = 512;

/** Checks the key: Node's own error would quote a bad one. */
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

/** What an identity check returned; a promise counts as a refusal. */
function refusalOf(answer: unknown): unknown {
  if (!(answer instanceof Promise)) return answer;
  answer.catch(ignore);
  return new Error('`checkServerIdentity` must answer at once, not with a promise');
}
