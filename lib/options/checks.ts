import { inspect } from 'node:util';

import { ConnectionError, describe, escape, invalidOption, isArray } from '../errors';
import { meantBy } from './hints';
import { LONGEST_DELAY } from '../timers/deadline';

/** Returns the value to use for the option called `name`, or throws `ERR_INVALID_OPTION`. */
export type Check<T = unknown> = (value: unknown, name: string) => T;

/** Options of which none is undefined; one that was is left out. */
export type Given<Options> = { readonly [K in keyof Options]: Exclude<Options[K], undefined> };

/** Options of which none is left out. */
export type Complete<Options> = { readonly [K in keyof Options]-?: Exclude<Options[K], undefined> };

/** One check for each option of `Options`; a missing one does not compile. */
export type Checks<Options> = { readonly [K in keyof Complete<Options>]: Check<Complete<Options>[K]> };

/**
 * Checks every own property of `value`, and returns those that are not undefined in a frozen {@link Bare} object. So
 * neither later changes to `value` nor properties of `Object.prototype` have an effect.
 *
 * @param path - Name of the option that holds the record, such as `queue`, for messages; `''` for the options themselves.
 */
export function checkRecord<Options extends object>(
  path: string,
  value: unknown,
  checks: Checks<Options>,
): Given<Options> {
  checkObject(value, path === '' ? 'the options' : `option \`${path}\``);
  // `as`: a new object.
  const checked = new Bare() as object as Record<string, unknown>;
  const prefix = path === '' ? 'option `' : `option \`${path}.`;
  const copy = copyOf(value, path);
  for (const key of Object.keys(copy)) {
    if (!Object.hasOwn(checks, key)) throw unknownOption(key, path, Object.keys(checks));
    const given = copy[key];
    if (given !== undefined) checked[key] = checkOne(`${prefix}${key}\``, given, checks[key as keyof Options]);
  }
  // `as`: each property has passed the check of its name.
  return Object.freeze(checked) as Given<Options>;
}

/** The same for an error that reading an option, and not the check of it, throws. */
function checkOne<T>(name: string, given: unknown, check: Check<T>): T {
  try {
    return check(given, name);
  } catch (cause) {
    if (cause instanceof ConnectionError) throw cause;
    throw invalidOption(name, 'a value that can be read', given, cause);
  }
}

const URL_NAMES = new Set(['url', 'uri', 'href', 'connectionString', 'connectionUrl', 'dsn']);

/** What options of a pool are called elsewhere, where it makes its members itself. */
const SIZES = new Set(['size', 'poolSize', 'min', 'max', 'members', 'connections', 'maxConnections', 'limit']);

function unknownOption(key: string, path: string, known: readonly string[]): ConnectionError {
  // It may hold control characters.
  const name = `option \`${path === '' ? '' : `${path}.`}${escape(key)}\``;
  const isOfConnection = known.includes('connectTimeout');
  const meant = meantBy(key, path, known).map((option) => `\`${option}\``);
  let advice = `, expected one of: ${known.join(', ')}`;
  if (meant.length > 0) advice = `: did you mean ${meant.join(' or ')}?`;
  else if (isOfConnection && URL_NAMES.has(key)) advice = ': a URL is the first argument, before the options';
  else if (isOfConnection && key === '_events') advice = ': expected options, got a connection or another emitter';
  else if (known.includes('maxConnecting') && SIZES.has(key)) advice = ': each call of `pool.add()` adds one member';
  else if (path === 'whenOpen' && key === 'timeout') advice = ': use `signal: AbortSignal.timeout(…)`';
  return new ConnectionError('ERR_INVALID_OPTION', `Unknown ${name}${advice}`);
}

/** The own properties of `value`, each read once. */
export function readProperties(value: object, path: string): [string, unknown][] {
  return Object.entries(copyOf(value, path));
}

/** Reads each own property of `value` once. An error of a getter or a proxy becomes the cause of an `ERR_INVALID_OPTION`. */
function copyOf(value: object, path: string): Record<string, unknown> {
  try {
    return { ...value };
  } catch (cause) {
    if (cause instanceof ConnectionError) throw cause;
    const name = path === '' ? 'the options' : `option \`${path}\``;
    throw invalidOption(name, 'an object that can be read', value, cause);
  }
}

/** Throws unless `value` is an object and not an array. */
export function checkObject(value: unknown, name: string, expected = 'an object'): asserts value is object {
  if (typeof value !== 'object' || value === null || isArray(value)) throw invalidOption(name, expected, value);
}

/**
 * An object that inherits nothing from `Object.prototype`: what was put there neither shows through nor intercepts an
 * assignment. One of `Object.create(null)` would do the same, but V8 makes that a hash table of several times the size
 * (https://github.com/nodejs/node/blob/v20.20.2/deps/v8/src/objects/map.cc, `GetObjectCreateMap`), tested on Node 20, 22, 24 and 26 by
 * `internals.test.ts`. If V8 changes that, these objects work as before.
 */
export class Bare {
  static {
    Object.setPrototypeOf(this.prototype, null);
    Object.freeze(this.prototype);
  }

  /** Prints as a plain object: a `dial` may log its target. */
  [inspect.custom](): object {
    return Object.fromEntries(Object.entries(this));
  }
}

/** Copies into a frozen {@link Bare} object. */
export function frozen<T extends object>(fields: T): Readonly<T> {
  return Object.freeze(Object.assign(new Bare(), fields));
}

/** Whether two checked records hold the same values. Lists are compared item by item, anything else by identity. */
export function areSame(one: object, other: object): boolean {
  const entries = Object.entries(one);
  if (entries.length !== Object.keys(other).length) return false;
  // `as`: any object can be read like this.
  return entries.every(([name, each]) => isSame(each, (other as Record<string, unknown>)[name]));
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  return isArray(one) && isArray(other) && one.length === other.length && one.every((each, at) => each === other[at]);
}

/** A finite number from `min` to `max`. −0 becomes 0: Node's C++ code aborts the process on some options that are −0. */
export function number(min: number, max: number = Number.MAX_VALUE): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw invalidOption(name, `a number ${range(min, max, value)}`, value, undefined, withAdvice);
    }
    return value === 0 ? 0 : value;
  };
}

/** A whole number from `min` to `max`; −0 becomes 0. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || !(value >= min && value <= max)) {
      throw invalidOption(name, `an integer ${range(min, max, value)}`, value, undefined, withAdvice);
    }
    return value === 0 ? 0 : value;
  };
}

/** A value that `check` accepts, or Infinity for no limit. */
export function orInfinity(check: Check<number>): Check<number> {
  return (value, name) => (value === Infinity ? value : check(value, name));
}

/** A duration in milliseconds that a timer can wait. */
export const delay: Check<number> = number(0, LONGEST_DELAY);

/** A duration in milliseconds that a timer can wait, at least 1. */
export const interval: Check<number> = number(1, LONGEST_DELAY);

export const boolean: Check<boolean> = (value, name) => {
  if (typeof value !== 'boolean') throw invalidOption(name, 'a boolean', value);
  return value;
};

/** A function; its parameters are checked by the compiler only, and its result where it is used. */
export const func: Check<never> = funcThat('');

/** The same, with words for what the function does, such as `returns a stream`. */
export function funcThat(does: string): Check<never> {
  const expected = does === '' ? 'a function' : `a function that ${does}`;
  return (value, name) => {
    if (typeof value !== 'function') throw invalidOption(name, expected, value);
    return value as never;
  };
}

/** An AbortSignal, recognized by its members, so that one of another realm or a polyfill passes too. */
export const abortSignal: Check<AbortSignal> = (value, name) => {
  const signal = value as Partial<AbortSignal> | null;
  if (
    typeof signal?.aborted !== 'boolean' ||
    typeof signal.addEventListener !== 'function' ||
    typeof signal.removeEventListener !== 'function'
  ) {
    throw invalidOption(name, 'an AbortSignal', value, undefined, withAdvice);
  }
  if (!(value instanceof AbortSignal)) {
    // Its methods may throw: they do so here rather than in a dial.
    const ignore = () => undefined;
    signal.addEventListener('abort', ignore);
    signal.removeEventListener('abort', ignore);
  }
  return value as AbortSignal;
};

/** One of the given strings. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Check<Word> {
  return (value, name) => {
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) throw invalidOption(name, words.map((each) => `'${each}'`).join(', '), value);
    return word;
  };
}

/** A value for a message, and what makes the right one of it. */
function withAdvice(value: unknown): string {
  if (typeof value === 'string' && /^\s*-?\d+(?:\.\d+)?\s*$/.test(value))
    return `${describe(value)}: use \`Number(…)\``;
  return value instanceof AbortController ? 'an AbortController: use its `signal`' : describe(value);
}

/** Both ends of the range, or only the one that `value` exceeds if the maximum is a technical limit. */
function range(min: number, max: number, value: unknown): string {
  if (max < LONGEST_DELAY) return `from ${min} to ${max}`;
  return typeof value === 'number' && value > max ? `≤ ${max}` : `≥ ${min}`;
}
