import type { LookupAddress } from 'node:dns';
import { type LookupFunction, isIP } from 'node:net';

import { builtins } from '../builtins';
import { describe, isArray, toError } from '../errors';
import type { SocketOptions } from '../options/options';

/** An application may also pass an async function. */
type Lookup = (...args: Parameters<LookupFunction>) => unknown;

/**
 * The `lookup` for a socket with these options, which is to get no `family`; undefined for Node's own. Node dials the
 * addresses of a name one after another, but with `family` or `localAddress` the first alone. So the family is asked for
 * here, and with `localAddress`, for which Node takes one address, each dial has one of its family at random: a first
 * address that is dead does not keep a connection from the others.
 */
export function lookupOf({
  lookup,
  family: given,
  hints = 0,
  localAddress = '',
}: SocketOptions): LookupFunction | undefined {
  // `isIP('')` would try two regular expressions at each dial.
  const localFamily = localAddress === '' ? 0 : isIP(localAddress);
  const family = given === undefined || given === 0 ? localFamily : given;
  if (family === 0) return lookup && guardLookup(lookup);
  const ask = guardLookup(lookup ?? builtins.dns.lookup);
  return (hostname, options, callback) => {
    const isOne = options.all !== true && localAddress !== '';
    ask(hostname, { ...options, family, hints, all: options.all === true || isOne }, (error, found, ...rest) => {
      if (error !== null || !isArray(found)) return callback(error, found, ...rest);
      // An application's `lookup` may not heed the family.
      const fitting = found.filter((each) => each.family === family);
      const addresses = fitting.length > 0 ? fitting : found;
      if (!isOne) return callback(null, addresses);
      // `!`: an answer without an address is an error.
      const one = addresses[Math.floor(Math.random() * addresses.length)]!;
      callback(null, one.address, one.family);
    });
  };
}

/**
 * Makes sure that a `lookup` calls back once, with what Node asked for or an error. It may throw or reject, answer with
 * one address in place of a list or the other way round, and return its answer (or a promise of it) in place of calling
 * back.
 */
export function guardLookup(lookup: Lookup): LookupFunction {
  return (hostname, options, callback) => {
    let isCalled = false;
    const callOnce = (error: unknown, answer?: unknown) => {
      if (isCalled) return;
      isCalled = true;
      // Node takes only null and undefined for no error, as functions of this kind do.
      const addresses = error === null || error === undefined ? addressesOf(answer) : [];
      const [first] = addresses;
      if (error !== null && error !== undefined) callback(toError(error), []);
      else if (first === undefined) callback(notAnAddress(hostname, answer), []);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    };
    const callLater = (error: unknown, answer?: unknown) => process.nextTick(callOnce, error, answer);
    const onReturn = (answer: unknown) => {
      // Objects are returned by functions that call back, such as `dns.lookup`.
      if (typeof answer === 'string' || isArray(answer)) callLater(null, answer);
    };
    try {
      const returned = lookup(hostname, options, callOnce);
      if (returned instanceof Promise) {
        returned.then((answer: unknown) => {
          if (answer !== undefined) callLater(null, answer);
        }, callLater);
      } else onReturn(returned);
    } catch (error) {
      callLater(error);
    }
  };
}

/** The addresses of an answer, of which each may be text or `{ address }`; none if one of them is no address. */
function addressesOf(answer: unknown): LookupAddress[] {
  const addresses: LookupAddress[] = [];
  for (const each of isArray(answer) ? answer : [answer]) {
    const address: unknown = typeof each === 'object' && each !== null && 'address' in each ? each.address : each;
    const family = typeof address === 'string' ? isIP(address) : 0;
    if (family === 0) return [];
    // Not the family in the answer: Node passes over an address whose family is wrong or absent.
    addresses.push({ address: address as string, family });
  }
  return addresses;
}

function notAnAddress(hostname: string, answer: unknown): Error {
  const what = isArray(answer) && answer.length > 0 ? describe(answer[0]) : describe(answer);
  const message = `Expected the lookup of ${hostname} to answer with an IP address, got ${what}`;
  return Object.assign(new Error(message), { code: 'ENOTFOUND', hostname });
}
