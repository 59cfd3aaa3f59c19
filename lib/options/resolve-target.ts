import { type Checks, Bare, checkRecord, frozen } from './checks';
import { invalidOption } from '../errors';
import { checks } from './option-checks';
import type { MemberOptions } from './options';
import { type ResolvedTarget, type Target, type TlsOptions, DEFAULT_HOST } from './target';
import { checkTls, mergeTls, withoutGiven } from './tls-merge';

/** The options that say where a connection goes to. */
export type Place = Pick<MemberOptions, 'port' | 'host' | 'path'>;

const targetChecks: Checks<Place & Pick<MemberOptions, 'tls'>> = {
  port: checks.port,
  host: checks.host,
  path: checks.path,
  tls: checkTls,
};

/**
 * Checks a target that a `target` function returned, or that stands in a list.
 *
 * @param tls - The connection's `tls`, over which the target's is merged.
 * @param name - What messages call it.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function resolveTarget(target: Target, tls: TlsOptions | undefined, name = 'target'): ResolvedTarget {
  const called = name === 'target' ? 'the target' : `option \`${name}\``;
  const expected = 'an object with `port` or `path`';
  // It may be a URL with a password.
  if (typeof target === 'string') throw invalidOption(called, expected, target, undefined, () => 'a string');
  const given = checkRecord(name, target, targetChecks);
  // `as`: `checkTls` returns false or options.
  const ownTls = tlsOver(given.tls as TlsOptions | false | undefined, tls, `option \`${name}.tls\``);
  const resolved = staticTarget(given, ownTls, true, name === 'target' ? '' : `${name}.`);
  if (resolved === undefined) throw invalidOption(called, expected, target);
  return resolved;
}

function tlsOver(
  own: TlsOptions | false | undefined,
  outer: TlsOptions | undefined,
  name: string,
): TlsOptions | undefined {
  if (own === undefined) return outer;
  if (own === false) return undefined;
  const merged = mergeTls(own, outer, name);
  return merged === outer ? outer : withoutGiven(merged);
}

/**
 * The target that checked options say; undefined where they say none and that is `optional`.
 *
 * @param prefix - Of the options' names, for messages.
 */
export function staticTarget(
  { port, host, path }: Place,
  tls: TlsOptions | undefined,
  optional: boolean,
  prefix = '',
): ResolvedTarget | undefined {
  if (path !== undefined) {
    if (port !== undefined) throw invalidOption(`option \`${prefix}port\``, 'absent when `path` is set', port);
    if (host !== undefined) throw invalidOption(`option \`${prefix}host\``, 'absent when `path` is set', host);
    return frozen<ResolvedTarget>({ path, ...(tls && { tls }) });
  }
  if (port !== undefined) return tcpTarget(host ?? DEFAULT_HOST, port, tls);
  if (optional) return undefined;
  throw invalidOption('option `port`', 'an integer from 1 to 65535', port);
}

/** Where to connect over TCP, in the 40 bytes that fields take. */
class TcpRecord extends Bare {
  readonly host: string;
  readonly port: number;

  constructor(host: string, port: number) {
    super();
    this.host = host;
    this.port = port;
  }
}

/** The last target without TLS: many connections go to one target. */
let latest = new TcpRecord('', 0);

function tcpTarget(host: string, port: number, tls: TlsOptions | undefined): ResolvedTarget {
  if (tls !== undefined) return Object.freeze(Object.assign(new TcpRecord(host, port), { tls }));
  if (host !== latest.host || port !== latest.port) latest = Object.freeze(new TcpRecord(host, port));
  return latest;
}
