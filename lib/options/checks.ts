import { ConnectionError, escape, invalidOption, isArray } from '../errors';
import { LONGEST_DELAY } from '../timers/deadline';

/** Returns `value` as the option called `name` has it, or throws `ERR_INVALID_OPTION`. */
export type Check<T = unknown> = (value: unknown, name: string) => T;

/** One check for each option of `Options`: leaving one out does not compile. */
export type Checks<Options> = { readonly [K in keyof Required<Options>]: Check<Exclude<Options[K], undefined>> };

/**
 * Checks every own property of `value`, and returns those that are set in a frozen object without a prototype. So
 * later changes to `value` do nothing, nor does anything that was put on `Object.prototype`.
 *
 * @param path - Where the record stands, for messages: `''` for the options themselves, or such as `queue`.
 */
export function checkRecord<Options extends object>(path: string, value: unknown, checks: Checks<Options>): Options {
  checkObject(value, path === '' ? 'the options' : `option \`${path}\``);
  // `as`: a new object. Without a prototype, so that a setter that was put there takes nothing away.
  const checked = Object.create(null) as Record<string, unknown>;
  for (const [key, given] of readProperties(value, path)) {
    // A name that is none of ours may hold anything: it goes into messages as in JSON.
    const shown = escape(key);
    const name = `option \`${path === '' ? shown : `${path}.${shown}`}\``;
    if (!Object.hasOwn(checks, key)) {
      const known = Object.keys(checks).join(', ');
      throw new ConnectionError('ERR_INVALID_OPTION', `Unknown ${name}, expected one of: ${known}`);
    }
    if (given === undefined) continue;
    checked[key] = reading(name, given, () => checks[key as keyof Options](given, name));
  }
  // `as`: each property went through the check of its own name.
  return frozen(checked) as Options;
}

/** The own properties of `value`, each read once. */
export function readProperties(value: object, path: string): [string, unknown][] {
  return reading(path === '' ? 'the options' : `option \`${path}\``, value, () => Object.entries(value), 'an object');
}

/** What `read` returns. A value may throw at whatever is done to it: then it is not what it must be. */
function reading<T>(name: string, value: unknown, read: () => T, what = 'a value'): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ConnectionError) throw cause;
    throw invalidOption(name, `${what} that can be read`, value, cause);
  }
}

/** Throws unless `value` is an object, and no array. */
export function checkObject(value: unknown, name: string): asserts value is object {
  if (typeof value !== 'object' || value === null || isArray(value)) throw invalidOption(name, 'an object', value);
}

/** A frozen object without a prototype: nothing put on `Object.prototype` shows through it. */
export function frozen<T extends object>(fields: T): Readonly<T> {
  return Object.freeze(Object.assign(Object.create(null), fields) as T);
}

/** A finite number from `least` to `most`. */
export function number(least: number, most: number = Number.MAX_VALUE): Check<number> {
  return (value, name) => {
    if (typeof value !== 'number' || !(value >= least && value <= most)) {
      throw invalidOption(name, `a number ${range(least, most, value)}`, value);
    }
    return value;
  };
}

/** A whole number from `least` to `most`. */
export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value, name) => {
    if (!Number.isInteger(value) || !((value as number) >= least && (value as number) <= most)) {
      throw invalidOption(name, `an integer ${range(least, most, value)}`, value);
    }
    return value as number;
  };
}

/** What `check` accepts, or Infinity for no limit. */
export function orInfinity(check: Check<number>): Check<number> {
  return (value, name) => (value === Infinity ? value : check(value, name));
}

/** A duration in milliseconds that a timer can wait. */
export const delay: Check<number> = number(0, LONGEST_DELAY);

/** A duration in milliseconds of which 0 would make no sense. */
export const interval: Check<number> = number(1, LONGEST_DELAY);

export const boolean: Check<boolean> = (value, name) => {
  if (typeof value !== 'boolean') throw invalidOption(name, 'a boolean', value);
  return value;
};

/** A function; what it takes and returns is for the compiler to know. */
export const func: Check<never> = (value, name) => {
  if (typeof value !== 'function') throw invalidOption(name, 'a function', value);
  return value as never;
};

/** An AbortSignal, by its members, for one of another realm is as good as one of ours. */
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
    // It may throw at a listener, and here is the place to learn of that.
    const ignore = () => undefined;
    signal.addEventListener('abort', ignore);
    signal.removeEventListener('abort', ignore);
  }
  return value as AbortSignal;
};

/** One of the given words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Check<Word> {
  return (value, name) => {
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) throw invalidOption(name, words.map((each) => `'${each}'`).join(', '), value);
    return word;
  };
}

/** The range in short where both ends say something, else the end that `value` is beyond. */
function range(least: number, most: number, value: unknown): string {
  if (most < LONGEST_DELAY) return `from ${least} to ${most}`;
  return typeof value === 'number' && value > most ? `≤ ${most}` : `≥ ${least}`;
}
