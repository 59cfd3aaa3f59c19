import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import type { CommonOptions, TlsOptions } from 'reconnecting-connection';

/** What the arguments ask for. */
export interface Settings {
  /** A URL, which the connection checks. */
  readonly target: string;
  readonly options: CommonOptions;
  /** Sent first in every session; empty for nothing. */
  readonly hello: Buffer;
  readonly lines: boolean;
  readonly once: boolean;
  readonly quiet: boolean;
  /** Milliseconds that the peer may be silent after the end of input. */
  readonly wait: number;
  /** Whether our side is ended with the input. */
  readonly shutdown: boolean;
}

/** An argument is wrong; the message is one line for the user. */
export class UsageError extends Error {}

const LONGEST_DELAY = 2_147_483_647;

const OPTIONS = {
  hello: { type: 'string' },
  lines: { type: 'boolean' },
  once: { type: 'boolean' },
  'max-retries': { type: 'string' },
  idle: { type: 'string' },
  wait: { type: 'string' },
  'no-shutdown': { type: 'boolean' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  servername: { type: 'string' },
  insecure: { type: 'boolean' },
  quiet: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

/** @throws UsageError */
export function parseArguments(args: readonly string[]): Settings | 'help' | 'version' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  if (values.version === true) return 'version';
  const [target, further] = positionals;
  if (target === undefined) throw new UsageError('Expected a target such as tcp://127.0.0.1:6379, got none');
  if (further !== undefined) throw new UsageError(`Expected one target, got ${JSON.stringify(further)} too`);
  const { once = false, lines = false, quiet = false } = values;
  const maxRetries = whole('max-retries', values['max-retries'], 'a number');
  if (once && maxRetries !== undefined) {
    throw new UsageError('Expected --once or --max-retries, got both: --once does not retry');
  }
  const tls = tlsOf(target, values);
  return {
    target,
    options: {
      maxRetries,
      idleTimeout: whole('idle', values.idle, 'milliseconds'),
      ...(tls && { tls }),
    },
    hello: unescape(values.hello ?? ''),
    lines,
    once,
    quiet,
    wait: whole('wait', values.wait, 'milliseconds') ?? 5_000,
    shutdown: values['no-shutdown'] !== true,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    // Its first line or sentence; what follows explains how to pass dashes. `as`: it throws nothing but errors.
    const [message = ''] = (error as Error).message.split(/\.?\n|\. /);
    throw new UsageError(message);
  }
}

function whole(name: string, text: string | undefined, unit: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= LONGEST_DELAY) return value;
  throw new UsageError(`Expected --${name} to be ${unit}, 0 to ${LONGEST_DELAY}, got ${JSON.stringify(text)}`);
}

function tlsOf(target: string, values: ReturnType<typeof parse>['values']): TlsOptions | undefined {
  const { ca, cert, key, servername, insecure } = values;
  const given = Object.entries({ ca, cert, key, servername, insecure }).find(([, value]) => value !== undefined);
  if (given === undefined) return undefined;
  if (!/^tls:/i.test(target)) {
    // The target is not shown: it may hold a password.
    throw new UsageError(`Expected --${given[0]} beside a target that begins with tls://, got another target`);
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(`Expected --cert and --key together, got ${cert === undefined ? '--key' : '--cert'} alone`);
  }
  return {
    ...(ca !== undefined && { ca: read('ca', ca) }),
    ...(cert !== undefined && { cert: read('cert', cert) }),
    ...(key !== undefined && { key: read('key', key) }),
    ...(servername !== undefined && { servername }),
    ...(insecure === true && { rejectUnauthorized: false }),
  };
}

function read(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    // `as`: Node throws nothing else.
    const why = (error as Error).message;
    throw new UsageError(`Expected --${name} to be a file that can be read, got ${JSON.stringify(file)}: ${why}`);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '0': '\0', '\\': '\\' };

/** The bytes of a text with escapes: `\xHH` is a byte, and not a character. */
function unescape(text: string): Buffer {
  const parts = text.split(/(\\x[\da-f]{2}|\\[^]?)/i).map((part, index) => {
    if (index % 2 === 0) return Buffer.from(part);
    if (part.length === 4) return Buffer.from(part.slice(2), 'hex');
    const character = ESCAPES[part.slice(1)];
    if (character !== undefined) return Buffer.from(character);
    throw new UsageError(`Expected --hello to have no escapes but \\r \\n \\t \\0 \\\\ \\xHH, got ${part}`);
  });
  return Buffer.concat(parts);
}
