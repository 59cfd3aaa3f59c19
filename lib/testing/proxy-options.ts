import {
  type Check,
  type Checks,
  boolean,
  checkObject,
  checkRecord,
  delay,
  integer,
  number,
  oneOf,
} from '../options/checks';
import { ConnectionError, invalidOption } from '../errors';
import type { Cut } from './cut';
import type { CutAfter, Direction, Faults } from './proxied-link';

/** A port of this machine. */
export interface PortPlace {
  /** `'127.0.0.1'`, unless another was asked for. */
  readonly host: string;
  /** A port that was free. */
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

/** Where something listens: to be spread into the options of a connection. */
export type Place = PortPlace | PathPlace;

/** How a `FaultProxy` is set up. */
export interface ProxyOptions {
  /** The server that it stands in front of: the `target` of a `LoopbackServer`, say. */
  readonly target: PortTarget | PathPlace;
  /** Where it listens. Default: a free port. */
  readonly port?: number | undefined;
  /** A Unix socket to listen at, in place of a port. */
  readonly path?: string | undefined;
}

/** What becomes of a client that dials. */
export type Treatment = 'forward' | 'drop' | 'reset' | 'blackhole';

/** How `cutAfter` cuts. */
export interface CutAfterOptions {
  /** In good order (FIN), or not (RST). Default: `'reset'`. */
  readonly how?: Cut | undefined;
  /** Which bytes count. Default: `'both'`. */
  readonly counting?: Direction | 'both' | undefined;
}

/** What a proxy knows. */
export interface ProxyStats {
  /** Links that are open now, those that are closing included. */
  readonly links: number;
  /** Clients that were ever accepted. */
  readonly accepted: number;
  /** Bytes that were forwarded. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** When the latest clients were accepted, in milliseconds since the epoch, with fractions: the last 5000 at least. */
  readonly acceptedAt: readonly number[];
}

const text: Check<string> = (value, name) => {
  if (typeof value !== 'string' || value === '') throw invalidOption(name, 'a string that is not empty', value);
  return value;
};

const target: Check<ProxyOptions['target']> = (value, name) => {
  checkObject(value, name);
  if ('path' in value) return { path: text(value.path, `${name}: \`path\``) };
  const { port, host = '127.0.0.1' } = value as { port?: unknown; host?: unknown }; // `as`: each is checked.
  return { port: integer(1, 65_535)(port, `${name}: \`port\``), host: text(host, `${name}: \`host\``) };
};

const optionChecks: Checks<ProxyOptions> = { target, port: integer(0, 65_535), path: text };

export function checkProxyOptions(options: ProxyOptions): ProxyOptions {
  const checked = checkRecord<ProxyOptions>('', options, optionChecks);
  // `as`: what is left out passes no check.
  if ((checked.target as unknown) === undefined) throw invalidOption('option `target`', 'an object', undefined);
  if (checked.path === undefined || checked.port === undefined) return checked;
  throw new ConnectionError('ERR_INVALID_OPTION', 'Expected either option `path` or option `port`, got both');
}

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

export const checkCut: Check<Cut> = oneOf('drop', 'reset');

const checkCounting: Check<Direction | 'both'> = oneOf('toTarget', 'toClient', 'both');

const cutChecks: Checks<CutAfterOptions> = { how: checkCut, counting: checkCounting };

export function checkCutAfter(bytes: number, options: CutAfterOptions): CutAfter {
  const { how = 'reset', counting = 'both' } = checkRecord<CutAfterOptions>('', options, cutChecks);
  return { bytes: integer(0)(bytes, '`bytes`'), how, counting };
}

export function checkTreatment(treatment: Treatment): Treatment {
  return oneOf('forward', 'drop', 'reset', 'blackhole')(treatment, '`treatment`');
}

export function checkDirection(direction: Direction | 'both'): readonly Direction[] {
  const checked = checkCounting(direction, '`direction`');
  return checked === 'both' ? ['toTarget', 'toClient'] : [checked];
}
