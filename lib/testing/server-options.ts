import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';

import {
  type Check,
  type Checks,
  boolean,
  checkObject,
  checkRecord,
  delay,
  func,
  integer,
  interval,
  oneOf,
} from '../options/checks';
import { ConnectionError, invalidOption } from '../errors';

/** How a `LoopbackServer` is set up. */
export interface LoopbackOptions {
  /** Default: a free one. */
  readonly port?: number | undefined;
  /** The address it listens on. Default: `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /** A Unix socket in place of a port. */
  readonly path?: string | undefined;
  /** Server options of TLS: `key` and `cert` at the least. Default: off. */
  readonly tls?: TlsOptions | undefined;
  /** Whether it sends back what it receives. Default: false. */
  readonly echo?: boolean | undefined;
  /** Whether the server's side of a session stays open when the client ends its own. Default: false. */
  readonly allowHalfOpen?: boolean | undefined;
  /** The `deadline` of waits that have none of their own. Default: 5000. */
  readonly deadline?: number | undefined;
  /** Called with each session's socket (a `tls.TLSSocket` if there is TLS) and its number, 1 for the first. */
  readonly onSession?: ((socket: Socket, number: number) => void) | undefined;
}

/** What a `LoopbackServer` does to every session as it begins. */
export interface FlapOptions {
  /** Milliseconds for which a session lives, by the real clock. Default: 0. */
  readonly after?: number | undefined;
  /** How it is cut: in good order (FIN), or reset (RST). Default: `'drop'`. */
  readonly how?: 'drop' | 'reset' | undefined;
}

function text(expected: string): Check<string> {
  return (value, name) => {
    if (typeof value !== 'string' || value === '') throw invalidOption(name, expected, value);
    return value;
  };
}

const tls: Check<TlsOptions> = (value, name) => {
  checkObject(value, name);
  return value;
};

const checks: Checks<LoopbackOptions> = {
  port: integer(0, 65_535),
  host: text('a host'),
  path: text('a path'),
  tls,
  echo: boolean,
  allowHalfOpen: boolean,
  deadline: interval,
  onSession: func,
};
const flapChecks: Checks<FlapOptions> = { after: delay, how: oneOf('drop', 'reset') };

export function checkLoopbackOptions(options: LoopbackOptions): LoopbackOptions {
  const checked = checkRecord<LoopbackOptions>('', options, checks);
  const other = (['port', 'host'] as const).find((name) => checked[name] !== undefined);
  if (checked.path === undefined || other === undefined) return checked;
  throw new ConnectionError('ERR_INVALID_OPTION', `Expected either option \`path\` or option \`${other}\`, got both`);
}

export function checkFlapOptions(options: FlapOptions): FlapOptions {
  return checkRecord<FlapOptions>('', options, flapChecks);
}
