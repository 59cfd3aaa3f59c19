import { ConnectionError, escape, invalidOption, isArray } from '../errors';
import { LONGEST_DELAY } from '../timers/deadline';

/** Returns the value to use for the option called `name`, or throws `ERR_INVALID_OPTION`. */
export type Check<T = unknown> = (value: unknown, name: string) => T;

/** One check for each option of `Options`; a missing one does not compile. */
export type Checks<Options> = { readonly [K in keyof Required<Options>]: Check<Exclude<Options[K], undefined>> };

/**
 * Checks every own property of `value`, and returns those that are not undefined in a frozen object without a prototype.
 * So neither later changes to `value` nor properties of `Object.prototype` have an effect.
 *
 * @param path - Name of the option that holds the record, such as `queue`, for messages; `''` for the options themselves.
 */
export function checkRecord<Options extends object>(path: string, value: unknown, checks: Checks<Options>): Options {
  checkObject(value, path === '' ? 'the options' : `option \`${path}\``);
  // `as`: a new object. It has no prototype, so that a setter on `Object.prototype` cannot intercept an assignment.
  const checked = Object.create(null) as Record<string, unknown>;
  for (const [key, given] of readProperties(value, path)) {
    const isKnown = Object.hasOwn(checks, key);
    // An unknown name may hold control characters.
    const shown = isKnown ? key : escape(key);
    const name = `option \`${path === '' ? shown : `${path}.${shown}`}\``;
    if (!isKnown) {
      const known = Object.keys(checks).join(', ');
      throw new ConnectionError('ERR_INVALID_OPTION', `Unknown ${name}, expected one of: ${known}`);
    }
    if (given === undefined) continue;
    checked[key] = tryRead(name, given, 'a value that can be read', () => checks[key as keyof Options](given, name));
  }
  // `as`: each property has passed the check of its name.
  return frozen(checked) as Options;
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
export function checkObject(value: unknown, name: string): asserts value is object {
  if (typeof value !== 'object' || value === null || isArray(value)) throw invalidOption(name, 'an object', value);
}

/** Copies into a frozen object without a prototype, so that properties of `Object.prototype` do not show through. */
export function frozen<T extends object>(fields: T): Readonly<T> {
  return Object.freeze(Object.assign(Object.create(null), fields) as T);
}

/** A finite number from `min` to `max`. −0 becomes 0: Node's C++ code aborts the process on some options that are −0. */
export function number(min: number, max: number = Number.MAX_VALUE): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw invalidOption(name, `a number ${range(min, max, value)}`, value);
    }
    return value === 0 ? 0 : value;
  };
}

/** A whole number from `min` to `max`; −0 becomes 0. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || !(value >= min && value <= max)) {
      throw invalidOption(name, `an integer ${range(min, max, value)}`, value);
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

/** A function; its parameters and result are checked by the compiler only. */
export const func: Check<never> = (value, name) => {
  if (typeof value !== 'function') throw invalidOption(name, 'a function', value);
  return value as never;
};

/** An AbortSignal, recognized by its members, so that one of another realm or a polyfill passes too. */
export const abortSignal: Check<AbortSignal> = (value, name) => {
  const signal = value as Partial<AbortSignal> | null;
  if (
    typeof signal?.aborted !== 'boolean' ||
    typeof signal.addEventListener !== 'function' ||
    typeof signal.removeEventListener !== 'function'
  ) {
    throw invalidOption(name, 'an AbortSignal', value);
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

/** Both ends of the range, or only the one that `value` exceeds if the maximum is a technical limit. */
function range(min: number, max: number, value: unknown): string {
  if (max < LONGEST_DELAY) return `from ${min} to ${max}`;
  return typeof value === 'number' && value > max ? `≤ ${max}` : `≥ ${min}`;
}
