import { ConnectionError, invalidOption } from '../errors';
import { checkObject, frozen, readProperties } from './checks';
import type { CommonOptions, MemberOptions } from './options';

/** Whether `value` is a URL, also one of another realm. */
function isUrl(value: unknown): value is string | Pick<URL, 'href'> {
  if (typeof value === 'string') return true;
  try {
    return Object.prototype.toString.call(value) === '[object URL]';
  } catch {
    // A proxy that throws: the check of the options says so.
    return false;
  }
}

/**
 * The options in the arguments of a constructor: options, or a URL and options.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function checkArguments(
  target: MemberOptions | string | Pick<URL, 'href'>,
  options?: CommonOptions,
): MemberOptions {
  if (isUrl(target)) return optionsOfUrl(target, options);
  // Such as `(6379, 'db')`, as `net.connect` takes it.
  if (typeof target === 'number')
    throw invalidOption('the options', 'an object such as `{ port: 6379 }`, or a URL', target);
  if (options === undefined) return target;
  throw invalid('Expected the second argument to be absent: it is for options beside a URL');
}

/**
 * The options of a connection to a URL: `tcp://host:port`, `tls://host:port` or `unix:///path`. Its scheme, host, port and
 * path are used; a URL with anything else is refused.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`, without a cause and without the URL, which may hold a password
 */
function optionsOfUrl(url: string | Pick<URL, 'href'>, options: CommonOptions | undefined): MemberOptions {
  if (options !== undefined) checkObject(options, 'the options');
  const given: MemberOptions = frozen(Object.fromEntries(readProperties(options ?? {}, '')));
  for (const name of ['port', 'host', 'path', 'target'] as const) {
    if (given[name] !== undefined) throw invalid(`Expected option \`${name}\` to be absent beside a URL`);
  }
  const { protocol, ...target } = parse(textOf(url));
  if (protocol !== 'tls:') return { ...given, ...target };
  if (given.tls === false)
    throw invalid('Expected option `tls` not to be false beside a URL that begins with `tls://`');
  return { ...given, ...target, tls: given.tls ?? true };
}

function textOf(url: string | Pick<URL, 'href'>): string {
  let text: unknown = url;
  try {
    if (typeof url !== 'string') text = url.href;
  } catch {
    // A getter that throws.
  }
  if (typeof text !== 'string') throw unparsable();
  return text;
}

function parse(text: string): { protocol: string; host: string; port: number } | { protocol: string; path: string } {
  // `URL` would remove spaces.
  if (/[\s\p{Cc}]/u.test(text)) throw unparsable();
  checkForm(text);
  if (!URL.canParse(text)) throw unparsable();
  const { protocol, username, password, hostname, port, pathname, search, hash } = new URL(text);
  if (protocol !== 'tcp:' && protocol !== 'tls:' && protocol !== 'unix:') {
    throw badScheme(/^([a-z][a-z\d+.-]*):\/\//i.exec(text)?.[1]);
  }
  if (username !== '' || password !== '') {
    throw invalid('Expected the URL to have no user name and no password: `handshake` is for those');
  }
  if (search !== '' || hash !== '')
    throw invalid('Expected the URL to have no query and no fragment: options are the second argument');
  if (protocol === 'unix:') {
    if (hostname !== '' || !/^\/./.test(pathname)) {
      throw invalid('Expected the URL to have an absolute path and no host, as in `unix:///run/db.sock`');
    }
    return { protocol, path: decode(pathname) };
  }
  if (pathname !== '' && pathname !== '/') throw invalid('Expected the URL to have no path after the port');
  if (hostname === '' || port === '')
    throw invalid(`Expected the URL to have a host and a port, as in \`${protocol}//${exampleOf(hostname)}:6380\``);
  return { protocol, host: decode(hostname).replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** What `URL` refuses, or reads in another way than it is meant. No message quotes what may hold a password. */
function checkForm(text: string): void {
  if (/^[\w.-]+:\d{1,5}$/.test(text)) throw badScheme(undefined, `tcp://${text}`);
  if (/^\/[\w./-]+$/.test(text)) throw badScheme(undefined, `unix://${text}`);
  const [, scheme] = /^(tcp|tls):(?!\/\/)/i.exec(text) ?? [];
  if (scheme !== undefined) throw invalid(`Expected the URL to begin with \`${scheme.toLowerCase()}://\``);
  if (/^[a-z]+:\/\/[\da-f]*:[\da-f:.]*:[\da-f:.]*\/?$/i.test(text)) {
    throw invalid('Expected the URL to have an IPv6 address in brackets, as in `tcp://[::1]:6379`');
  }
  if (Number(/^[a-z]+:\/\/[^@/]*:(\d+)\/?$/i.exec(text)?.[1]) > 65_535) {
    throw invalid('Expected the port of the URL to be an integer from 1 to 65535');
  }
}

/** Schemes of TLS and of Unix sockets elsewhere. */
const TLS_SCHEME = /^(?:tls.+|ssl|tsl|https|wss|rediss|ldaps|ftps|amqps|mqtts|smtps|imaps|nats\+tls|secure|tcps)$/i;
const UNIX_SCHEME = /^(?:unixs?|.*\+unix|ipc|file|pipe|local|uds|socket)$/i;

function badScheme(scheme: string | undefined, meant?: string): ConnectionError {
  let instead = meant;
  if (scheme !== undefined) {
    instead = TLS_SCHEME.test(scheme) ? 'tls://' : UNIX_SCHEME.test(scheme) ? 'unix://' : 'tcp://';
  }
  const got = scheme === undefined ? 'text without one' : `${scheme}://`;
  const advice = instead === undefined ? '' : `: did you mean \`${instead}\`?`;
  return invalid(`Expected the scheme of the URL to be \`tcp://\`, \`tls://\` or \`unix://\`, got ${got}${advice}`);
}

/** The host for an example of what would be right: so that a message names the member that a pool was to get. */
function exampleOf(hostname: string): string {
  return /^(?:[\w.-]{1,100}|\[[\da-f:.]+\])$/.test(hostname) ? hostname : 'db';
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw unparsable();
  }
}

function unparsable(): ConnectionError {
  return invalid('Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`');
}

function invalid(message: string): ConnectionError {
  return new ConnectionError('ERR_INVALID_OPTION', message);
}
