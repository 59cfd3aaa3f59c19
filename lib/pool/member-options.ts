import { ConnectionError, describe, shorten } from '../errors';
import type { MemberOptions } from '../options/options';
import { type CheckedOptions, type ResolvedOptions, resolveOptions } from '../options/settings';

/**
 * Checks the options of a member over the pool's. What is wrong with them is reported with what the member connects to, as
 * they may be one entry of a list.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function resolveMember(options: MemberOptions, defaults: CheckedOptions): ResolvedOptions {
  try {
    return resolveOptions(options, defaults);
  } catch (thrown) {
    const device = deviceOf(options, defaults);
    if (!(thrown instanceof ConnectionError) || device === undefined) throw thrown;
    const message = `${thrown.message} (in the options of the member ${device})`;
    throw new ConnectionError(thrown.code, message, { cause: thrown.cause, tag: thrown.tag });
  }
}

/** `host:port` or the path as they were given, right or wrong; undefined where there is neither. */
function deviceOf(options: unknown, defaults: MemberOptions): string | undefined {
  if (typeof options !== 'object' || options === null) return undefined;
  let given: { readonly host?: unknown; readonly port?: unknown; readonly path?: unknown };
  try {
    given = { ...options };
  } catch {
    // A getter or a proxy that throws: that is what the error says.
    return undefined;
  }
  const { host = defaults.host, port = defaults.port, path } = given;
  if (path !== undefined) return `unix:${shown(path)}`;
  const parts = [host, port].filter((part) => part !== undefined).map(shown);
  return parts.length === 0 ? undefined : parts.join(':');
}

/** Text without what may be a password, and without control characters. */
function shown(value: unknown): string {
  if (typeof value === 'string') return shorten(value, 80);
  return typeof value === 'number' ? String(value) : describe(value);
}
