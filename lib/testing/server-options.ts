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
  oneOf,
} from '../options/checks';
import { ConnectionError, invalidOption } from '../errors';

/** How a `LoopbackServer` is set up. */
export interface LoopbackOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** A Unix socket in place of a port. */
  readonly path?: string;
  /** Server options of TLS: `key` and `cert` at the least. Default: off. */
  readonly tls?: TlsOptions;
  /** Whether it sends back what it receives. Default: false. */
  readonly echo?: boolean;
  /** Told of each session's socket (with TLS, when it is secure), and which it is: 1 for the first. */
  readonly onSession?: (socket: Socket, number: number) => void;
}

/** What a `LoopbackServer` does to every session as it begins. */
export interface FlapOptions {
  /** Milliseconds for which a session lives, by the real clock. Default: 0. */
  readonly after?: number;
  /** How it is cut: in good order (FIN), or reset (RST). Default: `'drop'`. */
  readonly how?: 'drop' | 'reset';
}

const path: Check<string> = (value, name) => {
  if (typeof value !== 'string' || value === '') throw invalidOption(name, 'a path', value);
  return value;
};

const tls: Check<TlsOptions> = (value, name) => {
  checkObject(value, name);
  return value;
};

const checks: Checks<LoopbackOptions> = { port: integer(0, 65_535), path, tls, echo: boolean, onSession: func };
const flapChecks: Checks<FlapOptions> = { after: delay, how: oneOf('drop', 'reset') };

export function checkLoopbackOptions(options: LoopbackOptions): LoopbackOptions {
  const checked = checkRecord<LoopbackOptions>('', options, checks);
  if (checked.path === undefined || checked.port === undefined) return checked;
  throw new ConnectionError('ERR_INVALID_OPTION', 'Expected either option `path` or option `port`, got both');
}

export function checkFlapOptions(options: FlapOptions): FlapOptions {
  return checkRecord<FlapOptions>('', options, flapChecks);
}
