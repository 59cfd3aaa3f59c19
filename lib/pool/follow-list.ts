import { ConnectionError, because, invalidOption, isArray } from '../errors';
import { Bare } from '../options/checks';
import type { CheckedOptions, ResolvedOptions } from '../options/settings';
import { type ResolvedTarget, tagOf } from '../options/target';
import { checkArguments } from '../options/url';
import type { MemberEntry } from './follow-options';
import { resolveMember } from './member-options';
import { weigher } from './selection';

/** An entry of a list, checked. */
export interface Entry {
  readonly resolved: ResolvedOptions;
  /** Of its target; empty where a function chooses that. */
  readonly tag: string;
}

/**
 * Checks a list. One bad entry refuses all of it: it may be half written.
 *
 * @param defaults - The pool's options.
 * @param minimum - How many entries there must be.
 * @throws ConnectionError `ERR_INVALID_OPTION`, which names the entry by its place, from 1
 */
export function resolveList(list: unknown, defaults: CheckedOptions, minimum: number): Entry[] {
  if (!isArray(list)) throw invalidOption('what the source gave', 'an array of members', list);
  // Also fills the gaps of a sparse one. Reading a proxy may throw: the caller reports that as well.
  const entries = Array.from(list as readonly MemberEntry[]);
  if (entries.length < minimum) {
    throw invalidOption('a list of the source', `of at least ${minimum} (see \`minimum\`)`, entries.length);
  }
  return entries.map((entry, index) => {
    try {
      const resolved = resolveMember(checkArguments(entry), defaults);
      return { resolved, tag: resolved.target === undefined ? '' : tagOf(resolved.target) };
    } catch (cause) {
      const code = cause instanceof ConnectionError ? cause.code : 'ERR_INVALID_OPTION';
      const message = `Entry ${index + 1} of ${entries.length} of the source's list is bad${because(cause)}`;
      throw new ConnectionError(code, message, { cause });
    }
  });
}

/** `size` of the entries, in their order: those with the highest weights for `client`. */
export function subsetOf(entries: readonly Entry[], size: number, client: string): readonly Entry[] {
  if (entries.length <= size) return entries;
  const weightOf = weigher(client);
  const weighed = entries.map(({ tag }, index) => ({ index, weight: weightOf(tag) }));
  weighed.sort((one, other) => other.weight - one.weight || one.index - other.index);
  const chosen = new Set(weighed.slice(0, size).map(({ index }) => index));
  return entries.filter((_, index) => chosen.has(index));
}

/** Takes one of `items` that has an equal entry, and returns it: the same target and the same options. */
export function takeEqual<Item extends { readonly entry: Entry }>(
  items: Item[] | undefined,
  { resolved }: Entry,
): Item | undefined {
  const index = items?.findIndex(({ entry }) => isEqual(entry.resolved, resolved)) ?? -1;
  return index === -1 ? undefined : items?.splice(index, 1)[0];
}

function isEqual(one: ResolvedOptions, other: ResolvedOptions): boolean {
  return (
    isSame<ResolvedTarget | undefined>(one.target, other.target) && isSame(one.settings.given, other.settings.given)
  );
}

/** Records, lists and bytes by what they hold, anything else by identity: functions and signals too. */
function isSame<T>(one: T, other: T): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (one instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(one, other) === 0;
  if (isArray(one) !== isArray(other) || !(isArray(one) || (isRecord(one) && isRecord(other)))) return false;
  const names = Object.keys(one);
  // `as`: any object can be read like this.
  const [some, others] = [one as Record<string, unknown>, other as Record<string, unknown>];
  return names.length === Object.keys(others).length && names.every((name) => isSame(some[name], others[name]));
}

function isRecord(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return value instanceof Bare || prototype === Object.prototype || prototype === null;
}
