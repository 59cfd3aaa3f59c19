import { type LookupFunction, type Socket, connect, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type TLSSocket, checkServerIdentity, connect as connectTls } from 'node:tls';

import { ConnectionError, toError } from './errors';
import type { SocketOptions } from './options';
import { type ResolvedTarget, tagOf } from './target';

/** A stream to the peer. One that is no socket, from a custom `dial`, has none of the optional members. */
export type Link = Duplex &
  Partial<
    Pick<
      Socket,
      'connecting' | 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort' | 'bytesRead' | 'ref' | 'unref'
    > &
      Pick<TLSSocket, 'encrypted' | 'authorized' | 'authorizationError'> & { secureConnecting: boolean }
  >;

/**
 * Takes the bytes of a socket that reads into one buffer over and over, past the machinery of streams. Until a session
 * sets `deliver` nothing can arrive, for it is set in the very tick in which the socket connects.
 */
export interface SharedReader {
  deliver: ((chunk: Buffer) => void) | undefined;
  paused: boolean;
}

/** One buffer serves all sockets of a thread: a chunk is used up before the next read. */
const sharedBuffer = { bytes: undefined as Buffer | undefined };

/** As much as one read of the kernel brings at the most (libuv's own size). */
const READ_SIZE = 65_536;

/** Opens a socket to `target`. Always a new one: a re-used TLS socket would send plain text. */
export function openSocket(target: ResolvedTarget, options: SocketOptions, reader?: SharedReader): Link {
  const { tls, ...place } = target;
  const network = { ...UNSET, ...options, ...place, ...lookupOf(options) };
  if (tls === undefined) return connect({ ...network, ...sharedReading(reader) });
  const socket = connectTls({ ...network, ...tlsOf(target) });
  // `tls.connect` does not pass these on to its socket.
  socket.once('connect', () => {
    socket.setNoDelay(options.noDelay);
    socket.setKeepAlive(options.keepAlive, options.keepAliveInitialDelay);
  });
  return socket;
}

/** Puts TLS over a stream that a custom `dial` opened. */
export function secure(stream: Duplex, target: ResolvedTarget): Link {
  return connectTls({ ...UNSET, ...tlsOf(target), host: hostOf(target), socket: stream });
}

/**
 * Calls back when `link` is connected, and encrypted where it is to be. Failure shows as the link's `close`.
 *
 * @returns stops waiting
 */
export function whenReady(link: Link, ready: () => void): () => void {
  const event = link.secureConnecting === true ? 'secureConnect' : link.connecting === true ? 'connect' : undefined;
  if (event === undefined) {
    ready();
    return () => undefined;
  }
  link.once(event, ready);
  return () => void link.off(event, ready);
}

/** What makes a connected link unfit for use, if anything does. */
export function defectOf(
  link: Link,
  target: ResolvedTarget,
): { readonly reason: 'self-connect' | 'error'; readonly error: Error } | undefined {
  const tag = tagOf(target);
  if (link.localPort !== undefined && link.localPort === link.remotePort && link.localAddress === link.remoteAddress) {
    // The kernel picked the very port that was dialled: nobody listens there, and what is written comes back.
    const error = new ConnectionError('ERR_SELF_CONNECT', `The socket for ${tag} was connected to itself`, { tag });
    return { reason: 'self-connect', error };
  }
  if (target.tls !== undefined && target.tls.rejectUnauthorized !== false && link.authorized !== true) {
    // Node has refused its own such sockets already: this one is a custom `dial`'s.
    const cause = link.authorizationError;
    const message = `The certificate of ${tag} is not verified`;
    return { reason: 'error', error: new ConnectionError('ERR_HANDSHAKE_FAILED', message, { cause, tag }) };
  }
  return undefined;
}

/**
 * Every name that Node reads from these options, as an own property: what was put on `Object.prototype` under such a
 * name (a `path`, say, which would redirect every socket of the process) stays unread.
 */
const UNSET = {
  allowHalfOpen: undefined,
  autoSelectFamily: undefined,
  autoSelectFamilyAttemptTimeout: undefined,
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

function sharedReading(reader: SharedReader | undefined): object | undefined {
  if (reader === undefined) return undefined;
  sharedBuffer.bytes ??= Buffer.allocUnsafeSlow(READ_SIZE);
  return {
    onread: {
      buffer: sharedBuffer.bytes,
      callback(size: number, buffer: Buffer): boolean {
        reader.deliver?.(buffer.subarray(0, size));
        return !reader.paused;
      },
    },
  };
}

function hostOf(target: ResolvedTarget): string {
  return 'host' in target ? target.host : 'localhost';
}

function tlsOf(target: ResolvedTarget): object {
  const host = hostOf(target);
  const identityCheck = target.tls?.checkServerIdentity ?? checkServerIdentity;
  return {
    ...(isIP(host) === 0 && { servername: host }),
    ...target.tls,
    // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment does not weaken it.
    rejectUnauthorized: target.tls?.rejectUnauthorized !== false,
    // A throw would be an uncaught exception that leaves the socket open: it is a refusal.
    checkServerIdentity: (...args: Parameters<typeof checkServerIdentity>) => {
      try {
        return identityCheck(...args);
      } catch (error) {
        // Whatever it was: `undefined` would pass for consent.
        return toError(error);
      }
    },
  };
}

/** The `lookup` option, held to its contract: it answers once, with addresses, or fails. */
function lookupOf({ lookup }: SocketOptions): { lookup: LookupFunction } | undefined {
  if (lookup === undefined) return undefined;
  return {
    lookup: (hostname, options, callback) => {
      let answered = false;
      const answer: typeof callback = (error, address, family) => {
        if (answered) return;
        answered = true;
        callback(error ?? badAnswer(hostname, address), address, family);
      };
      try {
        lookup(hostname, options, answer);
      } catch (error) {
        process.nextTick(answer, error, []);
      }
    },
  };
}

function badAnswer(hostname: string, address: Parameters<Parameters<LookupFunction>[2]>[1]): Error | null {
  const answers: unknown[] = Array.isArray(address)
    ? address.map((each: { address?: unknown } | null) => each?.address)
    : [address];
  if (answers.length > 0 && answers.every((each) => typeof each === 'string' && isIP(each) !== 0)) return null;
  return Object.assign(new Error(`The lookup of ${hostname} brought no address`), { code: 'ENOTFOUND', hostname });
}
