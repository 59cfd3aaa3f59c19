import { ConnectionError } from '../errors';
import { type Check, areSame, frozen } from './checks';
import { Recent } from './recent';
import type { TlsOptions } from './target';
import { CONTEXT_INPUTS, checkTlsOptions } from './tls';
import { secureContextOf } from './tls-context';

/**
 * What options were made of, keys and certificates included, so that others can be merged over them. Settings and targets
 * hold options without an entry, unless a `target` function may need it.
 */
const givenOf = new WeakMap<TlsOptions, TlsOptions>();

/** The `tls` option with each property checked, but no key or certificate parsed; false if TLS is off. */
export const checkTls: Check<TlsOptions | false> = (value, name) => value !== false && checkTlsOptions(value, name);

/**
 * Checked options, with keys and certificates parsed, so that a bad one fails at construction and not in a retry. Keys and
 * certificates are not kept, except in the secure context.
 *
 * @param outer - Options over which they are merged, property by property.
 * @param name - Name of the option, for messages.
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export function mergeTls(own: TlsOptions, outer: TlsOptions | undefined, name: string): TlsOptions {
  const names = Object.keys(own);
  if (outer !== undefined && names.length === 0) return outer;
  const before: TlsOptions = (outer && givenOf.get(outer)) ?? outer ?? {};
  if (outer !== undefined) refuseConflict(before, own, name);
  const given = frozen<TlsOptions>({ ...before, ...own });
  const isUnchanged = !names.some((each) => CONTEXT_INPUTS.has(each));
  const secureContext =
    given.secureContext ??
    (isUnchanged ? outer?.secureContext : undefined) ??
    secureContextOf(
      pick(given, (each) => CONTEXT_INPUTS.has(each)),
      name,
    );
  const merged = frozen<TlsOptions>({ ...pick(given, (each) => !CONTEXT_INPUTS.has(each)), secureContext });
  givenOf.set(merged, given);
  return merged;
}

/** Options of connections that were created last. */
const recent = new Recent<TlsOptions>();

/** The same options without what they were made of: nothing can be merged over them any more. Equal ones are shared. */
export function withoutGiven(tls: TlsOptions): TlsOptions {
  return recent.find((each) => areSame(each, tls)) ?? recent.add(frozen({ ...tls }));
}

function pick(options: TlsOptions, isPicked: (name: string) => boolean): TlsOptions {
  return frozen(Object.fromEntries(Object.entries(options).filter(([name]) => isPicked(name))));
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
