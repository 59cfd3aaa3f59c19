import { type LookupFunction, isIP } from 'node:net';

import { toError } from '../errors';

type Callback = Parameters<LookupFunction>[2];

/** An application may also pass an async function. */
type Lookup = (...args: Parameters<LookupFunction>) => unknown;

/** Makes sure that a `lookup` calls back once, with addresses or an error, even if it throws or rejects. */
export function guardLookup(lookup: Lookup): LookupFunction {
  return (hostname, options, callback) => {
    let isCalled = false;
    const callOnce: Callback = (error, address, family) => {
      if (isCalled) return;
      isCalled = true;
      callback(error ?? notAnAddress(hostname, address), address, family);
    };
    const fail = (error: unknown) => {
      process.nextTick(callOnce, toError(error), []);
    };
    try {
      const returned = lookup(hostname, options, callOnce);
      if (returned instanceof Promise) returned.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}

function notAnAddress(hostname: string, address: Parameters<Callback>[1]): Error | null {
  const addresses: unknown[] = Array.isArray(address)
    ? address.map((each: { address?: unknown } | null) => each?.address)
    : [address];
  if (addresses.length > 0 && addresses.every((each) => typeof each === 'string' && isIP(each) !== 0)) return null;
  return Object.assign(new Error(`The lookup of ${hostname} brought no address`), { code: 'ENOTFOUND', hostname });
}
