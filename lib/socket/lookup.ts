import type { LookupAddress } from 'node:dns';
import { type LookupFunction, isIP } from 'node:net';

import { builtins } from '../builtins';
import { describe, isArray, toError } from '../errors';
import type { SocketOptions } from '../options/options';

/** Called once, with an error or at least one address. */
type OnAddresses = (error: Error | undefined, addresses: readonly LookupAddress[]) => void;

/**
 * Finds the addresses of a name, in the order in which they are to be dialled. With `family` or `localAddress` these are
 * of one family, unless there are none of it: then the dial fails, and says why. An application's `lookup` may throw or
 * reject, answer more than once, with one address in place of a list or the other way round, and return its answer (or a
 * promise of it) in place of calling back.
 */
export function lookUp(host: string, options: SocketOptions, callback: OnAddresses): void {
  const { localAddress = '', autoSelectFamily: isRaced = true } = options;
  // An application may also pass an async function.
  const lookup: (...args: Parameters<LookupFunction>) => unknown = options.lookup ?? builtins.dns.lookup;
  const family = options.family === undefined || options.family === 0 ? isIP(localAddress) : options.family;
  let isCalled = false;
  const callOnce = (error: unknown, answer?: unknown) => {
    if (isCalled) return;
    isCalled = true;
    // Only null and undefined stand for no error, as with Node.
    if (error !== null && error !== undefined) {
      callback(toError(error), []);
      return;
    }
    let found: LookupAddress[];
    try {
      found = addressesOf(answer);
    } catch (thrown) {
      // A getter or a proxy of the application's.
      callback(toError(thrown), []);
      return;
    }
    if (found.length === 0) {
      callback(notAnAddress(host, answer), []);
      return;
    }
    // An application's `lookup` may not heed the family.
    const fitting = family === 0 ? found : found.filter((each) => each.family === family);
    const addresses = inTurns(fitting.length > 0 ? fitting : found);
    callback(undefined, isRaced ? addresses : addresses.slice(0, 1));
  };
  const callLater = (error: unknown, answer?: unknown) => process.nextTick(callOnce, error, answer);
  const onReturn = (answer: unknown) => {
    // Objects are returned by functions that call back, such as `dns.lookup`.
    if (typeof answer === 'string' || isArray(answer)) callLater(null, answer);
  };
  try {
    const returned = lookup(host, { family, hints: hintsOf(options, family), all: isRaced }, callOnce);
    if (returned instanceof Promise) {
      returned.then((answer: unknown) => {
        if (answer !== undefined) callLater(null, answer);
      }, callLater);
    } else onReturn(returned);
  } catch (error) {
    callLater(error);
  }
}

/** As `net.connect` has it: without a family, addresses of those alone that this machine has an interface for. */
function hintsOf({ hints = 0 }: SocketOptions, family: number): number {
  return hints === 0 && family === 0 && process.platform !== 'win32' ? builtins.dns.ADDRCONFIG : hints;
}

/** The families take turns, beginning with that of the first address: https://www.rfc-editor.org/rfc/rfc8305#section-4. */
function inTurns(found: readonly LookupAddress[]): readonly LookupAddress[] {
  if (found.length === 1) return found;
  // The system's resolver may list an address twice, where a file of hosts does.
  const rest = [...new Map(found.map((each) => [each.address, each])).values()];
  const ordered: LookupAddress[] = [];
  for (let next = rest.shift(); next !== undefined;) {
    const { family } = next;
    ordered.push(next);
    const other = rest.findIndex((each) => each.family !== family);
    [next] = rest.splice(Math.max(other, 0), 1);
  }
  return ordered;
}

/** The look-up of a socket whose address is known: the socket keeps the name, for the TLS that is put over it. */
export function answerWith({ address, family }: LookupAddress): LookupFunction {
  return (_host, _options, callback) => process.nextTick(callback, null, address, family);
}

/** The look-up of a socket that is to have the first address. */
export function answerFirst(options: SocketOptions): LookupFunction {
  return (host, _options, callback) =>
    lookUp(host, options, (error, [first]) => {
      if (error !== undefined) callback(error, []);
      // `!`: there is one without an error.
      else callback(null, first!.address, first!.family);
    });
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
