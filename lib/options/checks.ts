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
 * Checks every own property of `value`, and returns those that are not undefined in a frozen object without a prototype.
 * So neither later changes to `value` nor properties of `Object.prototype` have an effect.
 *
 * @param path - Name of the option that holds the record, such as `queue`, for messages; `''` for the options themselves.
 */
export function checkRecord<Options extends object>(
  path: string,
  value: unknown,
  checks: Checks<Options>,
): Given<Options> {
  checkObject(value, path === '' ? 'the options' : `option \`${path}\``);
  // `as`: a new object. It has no prototype, so that a setter on `Object.prototype` cannot intercept an assignment.
  const checked = Object.create(null) as Record<string, unknown>;
  for (const [key, given] of readProperties(value, path)) {
    const isKnown = Object.hasOwn(checks, key);
    // An unknown name may hold control characters.
    const shown = isKnown ? key : escape(key);
    const name = `option \`${path === '' ? shown : `${path}.${shown}`}\``;
    if (!isKnown) {
      throw unknownOption(key, path, name, Object.keys(checks));
    }
    if (given === undefined) continue;
    checked[key] = tryRead(name, given, 'a value that can be read', () => checks[key as keyof Options](given, name));
  }
  // `as`: each property has passed the check of its name.
  return frozen(checked) as Given<Options>;
}

function unknownOption(key: string, path: string, name: string, known: readonly string[]): ConnectionError {
  const meant = meantBy(key, path, known).map((option) => `\`${option}\``);
  let advice = `, expected one of: ${known.join(', ')}`;
  if (meant.length > 0) advice = `: did you mean ${meant.join(' or ')}?`;
  else if (key === 'url' && known.includes('connectTimeout'))
    advice = ': a URL is the first argument, before the options';
  return new ConnectionError('ERR_INVALID_OPTION', `Unknown ${name}${advice}`);
}

/** The own properties of `value`, each read once. */
export function readProperties(value: object, path: string): [string, unknown][] {
  const name = path === '' ? 'the options' : `option \`${path}\``;
  return tryRead(name, value, 'an object that can be read', () => Object.entries(value));
}

/** Returns `read()`. An error of a getter or a proxy becomes the cause of an `ERR_INVALID_OPTION`. */
function tryRead<T>(name: string, value: unknown, expected: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ConnectionError) throw cause;
    throw invalidOption(name, expected, value, cause);
  }
}

/** Throws unless `value` is an object and not an array. */
export function checkObject(value: unknown, name: string, expected = 'an object'): asserts value is object {
  if (typeof value !== 'object' || value === null || isArray(value)) throw invalidOption(name, expected, value);
}

/** Copies into a frozen object without a prototype, so that properties of `Object.prototype` do not show through. */
export function frozen<T extends object>(fields: T): Readonly<T> {
  return Object.freeze(Object.assign(Object.create(null), fields) as T);
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
