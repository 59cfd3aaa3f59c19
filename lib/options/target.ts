import { isIPv6 } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

/** Options of `tls.connect`, without those that say where and how to connect, which are options of the connection. */
export type TlsOptions = Omit<
  ConnectionOptions,
  'host' | 'port' | 'path' | 'socket' | 'lookup' | 'timeout' | 'allowHalfOpen' | 'ALPNCallback' | 'SNICallback'
>;

/** Where to connect over TCP. */
export interface TcpTarget {
  /** An integer from 1 to 65535. */
  readonly port: number;
  /** A name or an address, an IPv6 one without brackets. Default: `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /** TLS: `true`, or options of `tls.connect`, which are merged over the connection's `tls`. Default: that. */
  readonly tls?: boolean | TlsOptions | undefined;
}

/** Where to connect on this machine. */
export interface PathTarget {
  /** A Unix socket, an abstract one (`'\0name'`) on Linux, or a Windows named pipe. */
  readonly path: string;
  /** TLS: `true`, or options of `tls.connect`, which are merged over the connection's `tls`. Default: that. */
  readonly tls?: boolean | TlsOptions | undefined;
}

/**
 * Where to connect. A `target` function returns one for every dial.
 *
 * @example
 * ```ts
 * // Starts with the first host, and alternates until one of them connects.
 * const connection = new ReconnectingConnection({
 *   target: (attempt) => ({ host: attempt % 2 === 1 ? '127.0.0.1' : 'localhost', port: 6379 }),
 * });
 * ```
 */
export type Target = TcpTarget | PathTarget;

/** A checked target with all defaults filled in: the argument of `dial`. Frozen. */
export type ResolvedTarget =
  | {
      /** A name or an address, an IPv6 one without brackets. */
      readonly host: string;
      /** An integer from 1 to 65535. */
      readonly port: number;
      /** The TLS options; absent without TLS. */
      readonly tls?: TlsOptions;
    }
  | {
      /** A Unix socket or a Windows named pipe. */
      readonly path: string;
      /** The TLS options; absent without TLS. */
      readonly tls?: TlsOptions;
    };

/** The default of `host`. */
export const DEFAULT_HOST = '127.0.0.1';

/** A target as text: `host:port`, `[v6]:port`, `unix:/path`, or `unix:@name` for an abstract socket. */
export function tagOf(target: Target): string {
  // An abstract socket as the tools of Linux write it.
  if (isPath(target)) return `unix:${target.path.replace(/^\0/, '@')}`;
  const { port } = target;
  const host = (Object.hasOwn(target, 'host') ? target.host : undefined) ?? DEFAULT_HOST;
  if (host !== latest.host || port !== latest.port) {
    latest = { host, port, tag: isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}` };
  }
  return latest.tag;
}

/** The last tag: connections to one target share the text. */
let latest: { readonly host: string; readonly port: number; readonly tag: string } = { host: '', port: 0, tag: '' };

/** Only an own property counts, as for the host, so that one of `Object.prototype` redirects no connection. */
function isPath(target: Target): target is PathTarget {
  return Object.hasOwn(target, 'path');
}
