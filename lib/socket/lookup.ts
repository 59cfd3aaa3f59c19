import { type LookupFunction, isIP } from 'node:net';

import { toError } from '../errors';

type Answer = Parameters<LookupFunction>[2];

/** What a `lookup` may be for all its type says: an async function too. */
type Lookup = (...args: Parameters<LookupFunction>) => unknown;

/** Holds a `lookup` function to its contract: it answers once, with addresses, or fails. */
export function guardLookup(lookup: Lookup): LookupFunction {
  return (hostname, options, callback) => {
    let answered = false;
    const answer: Answer = (error, address, family) => {
      if (answered) return;
      answered = true;
      callback(error ?? badAnswer(hostname, address), address, family);
    };
    const fail = (error: unknown) => {
      process.nextTick(answer, toError(error), []);
    };
    try {
      const returned = lookup(hostname, options, answer);
      if (returned instanceof Promise) returned.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}

function badAnswer(hostname: string, address: Parameters<Answer>[1]): Error | null {
  const answers: unknown[] = Array.isArray(address)
    ? address.map((each: { address?: unknown } | null) => each?.address)
    : [address];
  if (answers.length > 0 && answers.every((each) => typeof each === 'string' && isIP(each) !== 0)) return null;
  return Object.assign(new Error(`The lookup of ${hostname} brought no address`), { code: 'ENOTFOUND', hostname });
}
