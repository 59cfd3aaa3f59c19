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
  number,
  oneOf,
} from '../options/checks';
import { ConnectionError, invalidOption } from '../errors';
import type { Cut } from './cut';
import type { CutAfter, Direction, Faults } from './proxied-link';

/** A port of this machine. */
export interface PortPlace {
  /** The address. */
  readonly host: string;
  /** The port. */
  readonly port: number;
}

/** A port to connect to. */
export interface PortTarget {
  /** Default: `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /** An integer from 1 to 65535. */
  readonly port: number;
}

/** A Unix socket. */
export interface PathPlace {
  /** The path of its file. */
  readonly path: string;
}

/** Where a server or a proxy listens. Spread it into the options of a connection. */
export type Place = PortPlace | PathPlace;

/** Options of a `LoopbackServer`. */
export interface LoopbackOptions {
  /** Default: a free port. */
  readonly port?: number | undefined;
  /** The address to listen on. Default: `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /** A Unix socket to listen on instead of a port. */
  readonly path?: string | undefined;
  /** Options of a TLS server, with `key` and `cert`. Default: off. */
  readonly tls?: TlsOptions | undefined;
  /** Whether it sends back what it receives. Default: false. */
  readonly echo?: boolean | undefined;
  /** Whether the server's side of a session stays open after the client's end. Default: false. */
  readonly allowHalfOpen?: boolean | undefined;
  /** The default `deadline` of its waits, in milliseconds. Default: 5000. */
  readonly deadline?: number | undefined;
  /** Called with each session's socket (with TLS, a `tls.TLSSocket`) and its number, 1 for the first. */
  readonly onSession?: ((socket: Socket, number: number) => void) | undefined;
}

/** How a `LoopbackServer` cuts each new session. */
export interface FlapOptions {
  /** Milliseconds from the session's start to the cut, by the real clock. Default: 0. */
  readonly after?: number | undefined;
  /** A FIN or an RST. Default: `'drop'`. */
  readonly how?: 'drop' | 'reset' | undefined;
}

/** Options of a `FaultProxy`. */
export interface ProxyOptions {
  /** The server behind it, such as the `target` of a `LoopbackServer`. */
  readonly target: PortTarget | PathPlace;
  /** The port to listen on. Default: a free one. */
  readonly port?: number | undefined;
  /** A Unix socket to listen on instead of a port. */
  readonly path?: string | undefined;
}

/** What a proxy does with new clients. */
export type Treatment = 'forward' | 'drop' | 'reset' | 'blackhole';

/** How `cutAfter` cuts. */
export interface CutAfterOptions {
  /** A FIN or an RST. Default: `'reset'`. */
  readonly how?: Cut | undefined;
  /** Which bytes count. Default: `'both'`. */
  readonly counting?: Direction | 'both' | undefined;
}

/** The counts of a proxy. */
export interface ProxyStats {
  /** Links that are open or closing. */
  readonly links: number;
  /** Clients accepted since the start. */
  readonly accepted: number;
  /** Bytes forwarded. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** When clients were accepted, in milliseconds since the epoch, with fractions: at least the last 5000. */
  readonly acceptedAt: readonly number[];
}

const text =
  (expected: string): Check<string> =>
  (value, name) => {
    if (typeof value !== 'string' || value === '') throw invalidOption(name, expected, value);
    return value;
  };

const tls: Check<TlsOptions> = (value, name) => {
  checkObject(value, name);
  return value;
};

const target: Check<ProxyOptions['target']> = (value, name) => {
  checkObject(value, name);
  const words = text('a string that is not empty');
  if ('path' in value) return { path: words(value.path, `${name}: \`path\``) };
  const { port, host = '127.0.0.1' } = value as { port?: unknown; host?: unknown }; // `as`: each is checked.
  return { port: integer(1, 65_535)(port, `${name}: \`port\``), host: words(host, `${name}: \`host\``) };
};

const port = integer(0, 65_535);
const path = text('a path');
const checkCounting: Check<Direction | 'both'> = oneOf('toTarget', 'toClient', 'both');
export const checkCut: Check<Cut> = oneOf('drop', 'reset');
export const checkTreatment: Check<Treatment> = oneOf('forward', 'drop', 'reset', 'blackhole');

const loopbackChecks: Checks<LoopbackOptions> = {
  port,
  host: text('a host'),
  path,
  tls,
  echo: boolean,
  allowHalfOpen: boolean,
  deadline: interval,
  onSession: func,
};

export const flapChecks: Checks<FlapOptions> = { after: delay, how: checkCut };

export const faultChecks: Checks<Faults> = {
  latency: delay,
  jitter: delay,
  slice: integer(0),
  gap: delay,
  rate: number(0),
  stall: boolean,
  blackhole: boolean,
  lateClose: delay,
};

export function checkLoopbackOptions(options: LoopbackOptions): LoopbackOptions {
  const checked = checkRecord<LoopbackOptions>('', options, loopbackChecks);
  checkOneOf(checked, 'port', 'host');
  return checked;
}

export function checkProxyOptions(options: ProxyOptions): ProxyOptions {
  const checked = checkRecord<ProxyOptions>('', options, { target, port, path });
  // `as`: checkRecord() does not check that it is there.
  if ((checked.target as unknown) === undefined) throw invalidOption('option `target`', 'an object', undefined);
  checkOneOf(checked, 'port');
  return checked;
}

function checkOneOf<Options extends { readonly path?: string }>(
  options: Options,
  ...others: readonly (keyof Options & string)[]
): void {
  const other = others.find((name) => options[name] !== undefined);
  if (options.path === undefined || other === undefined) return;
  throw new ConnectionError('ERR_INVALID_OPTION', `Expected either option \`path\` or option \`${other}\`, got both`);
}

export function checkCutAfter(bytes: number, options: CutAfterOptions): CutAfter {
  const checks = { how: checkCut, counting: checkCounting };
  const { how = 'reset', counting = 'both' } = checkRecord<CutAfterOptions>('', options, checks);
  return { bytes: integer(0)(bytes, '`bytes`'), how, counting };
}

export function checkDirection(direction: Direction | 'both'): readonly Direction[] {
  const checked = checkCounting(direction, '`direction`');
  return checked === 'both' ? ['toTarget', 'toClient'] : [checked];
}
