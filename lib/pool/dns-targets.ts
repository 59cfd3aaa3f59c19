import type { RecordWithTtl, SrvRecord } from 'node:dns';

import { builtins } from '../builtins';
import { fromCaller, invalidOption, isArray, toError } from '../errors';
import { onAbort } from '../events/on-abort';
import { type Given, checkObject, checkRecord, integer, interval, oneOf } from '../options/checks';
import { checks } from '../options/option-checks';
import type { TcpTarget } from '../options/target';
import { LONGEST_DELAY, setRef } from '../timers/deadline';

/** What is used of `dns.promises` or of a `dns.promises.Resolver`. */
export interface DnsResolver {
  /** Finds SRV records. */
  resolveSrv(name: string): Promise<readonly SrvRecord[]>;
  /** Finds IPv4 addresses. */
  resolve4(name: string, options: { readonly ttl: true }): Promise<readonly RecordWithTtl[]>;
  /** Finds IPv6 addresses. */
  resolve6(name: string, options: { readonly ttl: true }): Promise<readonly RecordWithTtl[]>;
}

/** Options of {@link dnsTargets}. */
export interface DnsTargetsOptions {
  /** The full name: no search list is used. Of SRV records, such as `'_db._tcp.example.com'`. */
  readonly name: string;
  /** Which records of it are the list. */
  readonly record: 'SRV' | 'A' | 'AAAA';
  /** Of the members, for `'A'` and `'AAAA'`, whose records have none. SRV records have their own. */
  readonly port?: number | undefined;
  /**
   * Milliseconds from one answer to the next query, more or less by up to a tenth at random. Addresses whose time to live is
   * shorter are asked for again when that has passed, after a second at the earliest.
   */
  readonly interval: number;
  /**
   * How many members a record of SRV may have. Of one server with twice the weight of another there are twice as many members,
   * and the server with the lowest weight has one. 1 ignores weights. Default: 10.
   */
  readonly mostPerRecord?: number | undefined;
  /** Has the method for `record`. Default: a `dns.promises.Resolver` with the servers of `dns.getServers()`. */
  readonly resolver?: Partial<DnsResolver> | undefined;
}

/**
 * The servers that DNS has for a name, as a source for {@link ConnectionPool.follow}, such as
 * `pool.follow(dnsTargets({ name: '_db._tcp.example.com', record: 'SRV', interval: 30_000 }))`: an async iterable that asks again and
 * again, and gives a list when it differs from the one before. Each of its iterators begins anew.
 *
 * Of SRV records, those of the lowest priority are the list, and their weights say how many members each has. A name that
 * does not exist, or has no such records, gives an empty list. Any other failure ends the iterator with Node's error, and
 * `follow()` asks for a new one.
 *
 * Its timer keeps the process alive only while its last list was empty, as there are no members then that do. `return()`
 * of an iterator, which the end of `follow()` calls, clears the timer, and cancels a query unless it is that of `resolver`.
 *
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function dnsTargets(options: DnsTargetsOptions): AsyncIterable<readonly TcpTarget[]> {
  const given = fromCaller(dnsTargets, () => checkDns(options));
  return { [Symbol.asyncIterator]: () => iterate(given) };
}

type Checked = Given<DnsTargetsOptions>;

/** An answer, and how many seconds it is valid for. */
interface Answer {
  readonly targets: readonly TcpTarget[];
  readonly ttl: number;
}

function checkDns(options: DnsTargetsOptions): Checked {
  const given = checkRecord<DnsTargetsOptions>('', options, {
    name: checks.host,
    record: oneOf('SRV', 'A', 'AAAA'),
    port: checks.port,
    interval,
    mostPerRecord: integer(1, 1_000),
    resolver: (value, name) => {
      checkObject(value, name, 'a `dns.promises.Resolver`');
      return value; // The method that is used is looked for below.
    },
  });
  const { record, port, resolver } = given;
  for (const name of ['name', 'record', 'interval'] as const) {
    if (!Object.hasOwn(given, name)) throw invalidOption(`option \`${name}\``, 'given', undefined);
  }
  if (record === 'SRV' && port !== undefined) throw invalidOption('option `port`', 'absent for SRV records', port);
  if (record !== 'SRV' && port === undefined) throw invalidOption('option `port`', 'given for addresses', port);
  const method = ({ SRV: 'resolveSrv', A: 'resolve4', AAAA: 'resolve6' } as const)[record];
  if (resolver !== undefined && typeof resolver[method] !== 'function') {
    throw invalidOption('option `resolver`', `an object with the method \`${method}\``, resolver);
  }
  return given;
}

function iterate(options: Checked): AsyncIterableIterator<readonly TcpTarget[]> {
  const controller = new AbortController();
  const own = options.resolver === undefined ? newResolver() : undefined;
  const lists = poll(options, options.resolver ?? own!, controller.signal);
  return {
    next: () => lists.next(),
    return: () => {
      controller.abort();
      own?.cancel();
      return lists.return(undefined);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** One of its own, so that a query of it can be cancelled; with the servers of `dns.setServers()`. */
function newResolver() {
  const { promises, getServers } = builtins.dns;
  const resolver = new promises.Resolver();
  const servers = getServers();
  if (servers.join() !== resolver.getServers().join()) resolver.setServers(servers);
  return resolver;
}

async function* poll(options: Checked, resolver: Partial<DnsResolver>, signal: AbortSignal) {
  let latest: string | undefined;
  // A function: the signal is aborted while this waits, which the compiler does not see in a property.
  const isAborted = () => signal.aborted;
  while (!isAborted()) {
    const answer = await ask(options, resolver).catch((error: unknown) => {
      if (!isAborted()) throw error;
    });
    if (answer === undefined || isAborted()) return;
    const { targets, ttl } = answer;
    const text = JSON.stringify(targets);
    if (text !== latest) {
      latest = text;
      yield targets;
    }
    const wait = Math.min(options.interval, Math.max(1, ttl) * 1_000) * (0.9 + Math.random() / 5);
    await pause(Math.min(wait, LONGEST_DELAY), targets.length === 0, signal);
  }
}

function pause(milliseconds: number, ref: boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      ignoreSignal();
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    setRef(ref, timer);
    const ignoreSignal = onAbort(signal, end);
  });
}

async function ask(
  { name, record, port, mostPerRecord = 10 }: Checked,
  resolver: Partial<DnsResolver>,
): Promise<Answer> {
  try {
    if (record === 'SRV')
      return { targets: ofServices(await resolver.resolveSrv!(name), mostPerRecord), ttl: Infinity };
    const method = record === 'A' ? 'resolve4' : 'resolve6';
    // `!`: both are checked beside the record.
    return ofAddresses(await resolver[method]!(name, { ttl: true }), port!);
  } catch (error) {
    const { code } = toError(error) as NodeJS.ErrnoException;
    // There is no such name, or it has no such records.
    if (code === 'ENOTFOUND' || code === 'ENODATA') return { targets: [], ttl: Infinity };
    throw error;
  }
}

/** @throws ConnectionError `ERR_INVALID_OPTION` as what an own resolver answers may be anything */
function ofAddresses(records: unknown, port: number): Answer {
  const answers = listOf(records).map(({ address, ttl }) => ({
    host: checks.host(address, 'the address of a DNS record'),
    ttl: typeof ttl === 'number' && ttl >= 0 ? ttl : Infinity,
  }));
  const hosts = answers.map(({ host }) => host).sort();
  return { targets: hosts.map((host) => ({ host, port })), ttl: Math.min(...answers.map(({ ttl }) => ttl)) };
}

const sixteenBits = integer(0, 65_535);

/** The records of the lowest priority, each as often as its weight says. */
function ofServices(records: unknown, mostPerRecord: number): readonly TcpTarget[] {
  const services = listOf(records)
    // The root as its name means that there is no such service (RFC 2782).
    .filter(({ name }) => name !== '' && name !== '.')
    .map(({ name, port, priority, weight }) => ({
      target: {
        host: checks.host(name, 'the name of a DNS record'),
        port: checks.port(port, 'the port of a DNS record'),
      },
      priority: sixteenBits(priority, 'the priority of a DNS record'),
      weight: sixteenBits(weight, 'the weight of a DNS record'),
    }));
  const first = Math.min(...services.map(({ priority }) => priority));
  const used = services.filter(({ priority }) => priority === first);
  const lightest = Math.min(...used.map(({ weight }) => weight || Infinity));
  return used
    .sort(({ target: one }, { target: other }) =>
      one.host < other.host ? -1 : one.host > other.host ? 1 : one.port - other.port,
    )
    .flatMap(({ target, weight }) => {
      const share = Math.round(Math.max(weight, lightest) / lightest) || 1;
      return Array.from({ length: Math.min(share, mostPerRecord) }, () => target);
    });
}

function listOf(records: unknown): Readonly<Record<string, unknown>>[] {
  if (!isArray(records)) throw invalidOption('the answer of the resolver', 'an array', records);
  return records.map((record) => {
    checkObject(record, 'a DNS record');
    return record as Record<string, unknown>; // `as`: any object can be read like this.
  });
}
