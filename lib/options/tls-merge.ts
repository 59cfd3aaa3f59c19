import type { SecureContext } from 'node:tls';

import { ConnectionError } from '../errors';
import { type Check, frozen } from './checks';
import type { TlsOptions } from './target';
import { CONTEXT_INPUTS, TLS_OPTIONS, checkTlsOptions, parse } from './tls';

/**
 * What checked options were made of, keys and certificates included, so that others can be merged over them. Settings hold
 * options without an entry, unless a `target` function may need it.
 */
const givenOf = new WeakMap<TlsOptions, TlsOptions>();

/** What was last merged over some options. */
const merges = new WeakMap<object, { readonly own: TlsOptions; readonly merged: TlsOptions }>();

/**
 * The `tls` option with its keys and certificates parsed, so that a bad one fails at construction and not in a retry;
 * false if TLS is off. Keys and certificates are not kept, except in the secure context.
 */
export const checkTls: Check<TlsOptions | false> = (value, name) => checkOver(value, name, undefined, undefined);

/**
 * Checks a `tls` option that is merged over `outer`, property by property.
 *
 * @param owner - Options that hold `outer`, or hold none: what is merged over the same twice is parsed once.
 */
export function checkTlsOver(outer: TlsOptions | undefined, owner: object | undefined): Check<TlsOptions | false> {
  return (value, name) => checkOver(value, name, outer, outer ?? owner);
}

/** The same options without what they were made of: nothing can be merged over them any more. */
export function withoutGiven(tls: TlsOptions): TlsOptions {
  return frozen<TlsOptions>({ ...tls });
}

function checkOver(
  value: unknown,
  name: string,
  outer: TlsOptions | undefined,
  owner: object | undefined,
): TlsOptions | false {
  if (value === false) return false;
  const known = typeof value === 'object' && value !== null ? givenOf.get(value) : undefined;
  // `as`: it has an entry because it was checked.
  if (known !== undefined && (outer === undefined || outer === value)) return value as TlsOptions;
  const own = known ?? checkTlsOptions(value, name);
  if (outer !== undefined && isEmpty(own)) return outer;
  const last = owner && merges.get(owner);
  if (last !== undefined && areSame(last.own, own, TLS_OPTIONS)) return last.merged;
  const isParsed = last !== undefined && areSame(last.own, own, CONTEXT_INPUTS);
  const merged = merge(outer, own, name, isParsed ? last.merged.secureContext : undefined);
  if (owner !== undefined) merges.set(owner, { own, merged });
  return merged;
}

/** @param parsed - The secure context, where it is known. */
function merge(outer: TlsOptions | undefined, own: TlsOptions, name: string, parsed?: SecureContext): TlsOptions {
  const before: TlsOptions = (outer && givenOf.get(outer)) ?? outer ?? {};
  const given = frozen<TlsOptions>({ ...before, ...own });
  if (outer !== undefined) refuseConflict(before, own, name);
  const isUnchanged = outer !== undefined && areSame(before, given, CONTEXT_INPUTS);
  const secureContext = given.secureContext ?? (isUnchanged ? outer.secureContext : parsed) ?? parse(given, name);
  const kept = Object.entries(given).filter(([key]) => !CONTEXT_INPUTS.has(key));
  const merged = frozen<TlsOptions>({ ...Object.fromEntries(kept), secureContext });
  givenOf.set(merged, given);
  return merged;
}

/** A secure context cannot be merged with keys and certificates: one of them would be ignored in silence. */
function refuseConflict(before: TlsOptions, own: TlsOptions, name: string): void {
  const [context, inputs] = own.secureContext === undefined ? [before, own] : [own, before];
  const input = context.secureContext && [...CONTEXT_INPUTS].find((key) => Object.hasOwn(inputs, key));
  if (input === undefined) return;
  const message =
    context === own
      ? `Expected ${name} not to have a \`secureContext\`: it would replace the \`${input}\` that it is merged over`
      : `Expected ${name} not to have \`${input}\`: it is merged over a \`secureContext\`, which cannot be changed`;
  throw new ConnectionError('ERR_INVALID_OPTION', `${message}; give all of it in one place`);
}

function isEmpty(options: object): boolean {
  return Object.keys(options).length === 0;
}

/** Whether options have the same values under `names`, where lists are compared item by item. */
function areSame(some: TlsOptions, others: TlsOptions, names: Iterable<string>): boolean {
  for (const name of names) {
    // `as`: the names are those of TLS options.
    const [one, other] = [some[name as keyof TlsOptions], others[name as keyof TlsOptions]] as [unknown, unknown];
    if (one === other) continue;
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false;
    if (!one.every((each, index) => each === other[index])) return false;
  }
  return true;
}
