import { isIPv6 } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

/** Options of `tls.connect`, without those that concern the connection and have a place of their own. */
export type TlsOptions = Omit<
  ConnectionOptions,
  'host' | 'port' | 'path' | 'socket' | 'lookup' | 'timeout' | 'allowHalfOpen' | 'ALPNCallback' | 'SNICallback'
>;

/** Where to connect over TCP. */
export interface TcpTarget {
  /** An integer from 1 to 65535. */
  readonly port: number;
  /** A name or an address, an IPv6 one without brackets. Default: `'127.0.0.1'`. */
  readonly host?: string;
  /** TLS over it: `true`, or options of `tls.connect`. Default: what the connection's `tls` says. */
  readonly tls?: boolean | TlsOptions;
}

/** Where to connect on this machine. */
export interface PathTarget {
  /** A Unix socket or a Windows named pipe. */
  readonly path: string;
  /** TLS over it: `true`, or options of `tls.connect`. Default: what the connection's `tls` says. */
  readonly tls?: boolean | TlsOptions;
}

/**
 * Where to connect. A `target` function returns one for every dial.
 *
 * @example
 * ```ts
 * // The first host at first, and the two by turns while neither opens.
 * const connection = new ReconnectingConnection({
 *   target: (attempt) => ({ host: attempt % 2 === 1 ? '127.0.0.1' : 'localhost', port: 6379 }),
 * });
 * ```
 */
export type Target = TcpTarget | PathTarget;

/** A checked target with nothing left open: what `dial` is handed. Frozen. */
export type ResolvedTarget =
  | {
      /** A name or an address, an IPv6 one without brackets. */
      readonly host: string;
      /** An integer from 1 to 65535. */
      readonly port: number;
      /** What TLS is to be made with; absent where there is to be none. */
      readonly tls?: TlsOptions;
    }
  | {
      /** A Unix socket or a Windows named pipe. */
      readonly path: string;
      /** What TLS is to be made with; absent where there is to be none. */
      readonly tls?: TlsOptions;
    };

/** The host that is meant where none is named. */
export const DEFAULT_HOST = '127.0.0.1';

/** The tags of targets that do not change any more: each is asked for at every dial. */
const tags = new WeakMap<Target, string>();

/** A target as text: `host:port`, `[v6]:port` or `unix:/path`. */
export function tagOf(target: Target): string {
  let tag = tags.get(target);
  if (tag === undefined) {
    tag = textOf(target);
    if (Object.isFrozen(target)) tags.set(target, tag);
  }
  return tag;
}

function textOf(target: Target): string {
  if (isPath(target)) return `unix:${target.path}`;
  const { host = DEFAULT_HOST } = { host: undefined, ...target };
  return isIPv6(host) ? `[${host}]:${target.port}` : `${host}:${target.port}`;
}

/** By its own property, as with the host: what was put on `Object.prototype` redirects nobody. */
function isPath(target: Target): target is PathTarget {
  return Object.hasOwn(target, 'path');
}
