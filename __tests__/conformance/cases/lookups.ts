import type { LookupOptions } from 'node:dns';
import { type LookupFunction, isIP } from 'node:net';

type Callback = Parameters<LookupFunction>[2];

/** Gives addresses as a look-up does: all of them, or the first, as it was asked. */
export function answer(callback: Callback, { all }: LookupOptions, addresses: readonly string[]): void {
  const [first = ''] = addresses;
  if (all === true)
    callback(
      null,
      addresses.map((address) => ({ address, family: isIP(address) })),
    );
  else callback(null, first, isIP(first));
}

/** Fails as a look-up does. */
export function refuseTo(callback: Callback, code = 'ENOTFOUND'): void {
  callback(Object.assign(new Error(`getaddrinfo ${code}`), { code, syscall: 'getaddrinfo' }), '', 0);
}

/** A look-up that gives `addresses`, asked anew each time. */
export function resolving(addresses: () => readonly string[]): LookupFunction {
  return (_name, options, callback) => void setImmediate(() => answer(callback, options, addresses()));
}
