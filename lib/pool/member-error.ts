import { ConnectionError, describe, shorten } from '../errors';
import type { MemberOptions } from '../options/options';

/**
 * The error for invalid options of a member, with what the member connects to: the options may be one entry of a list.
 *
 * @param defaults - The pool's options.
 * @param thrown - What the check of the options threw.
 */
export function memberError(options: unknown, defaults: MemberOptions, thrown: unknown): unknown {
  if (!(thrown instanceof ConnectionError)) return thrown;
  const device = deviceOf(options, defaults);
  if (device === undefined) return thrown;
  const message = `${thrown.message} (in the options of the member ${device})`;
  return new ConnectionError(thrown.code, message, { cause: thrown.cause, tag: thrown.tag });
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
