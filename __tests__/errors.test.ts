import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';

import {
  ConnectionError,
  describe as describeValue,
  ignoreRejection,
  invalidOption,
  toError,
  unreachable,
} from '../lib/errors';

describe('ConnectionError', () => {
  it('has its code, its cause and the tag of its target', () => {
    const cause = new Error('because');
    const error = new ConnectionError('ERR_IDLE', 'It is silent', { cause, tag: '127.0.0.1:80' });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code: 'ERR_IDLE', message: 'It is silent', cause, tag: '127.0.0.1:80' });
  });

  it('has no own property `cause` without a cause', () => {
    const error = new ConnectionError('ERR_CLOSED', 'It is closed');
    expect(Object.hasOwn(error, 'cause')).toBe(false);
    expect(error.tag).toBeUndefined();
  });

  it('has the name ConnectionError as a string, in its stack and in logs', () => {
    const error = new ConnectionError('ERR_CLOSED', 'It is closed');
    expect(String(error)).toBe('ConnectionError: It is closed');
    expect(error.stack).toMatch(/^ConnectionError: It is closed\n/);
    expect(inspect(error)).toContain('ConnectionError: It is closed');
  });

  it('has its name on the prototype, so that only code and tag are own fields', () => {
    expect(Object.keys(new ConnectionError('ERR_CLOSED', 'It is closed'))).toEqual(['code', 'tag']);
  });
});

describe('invalidOption()', () => {
  it('names the option, the expected value and the given one', () => {
    const error = invalidOption('option `port`', 'an integer', 'http');
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toBe('Expected option `port` to be an integer, got "http" (string)');
    expect(Object.hasOwn(error, 'cause')).toBe(false);
  });

  it('keeps the cause', () => {
    const cause = new Error('because');
    expect(invalidOption('option `tls`', 'readable', 1, cause).cause).toBe(cause);
  });
});

describe('describe()', () => {
  it.each<[unknown, string]>([
    ['6379', '"6379" (string)'],
    ['', '"" (string)'],
    ['a\0\n"b"', String.raw`"a\u0000\n\"b\"" (string)`],
    ['x'.repeat(40), `"${'x'.repeat(40)}" (string)`],
    ['x'.repeat(41), `"${'x'.repeat(40)}…" (string)`],
    [6379, '6379 (number)'],
    [Number.NaN, 'NaN (number)'],
    [-Infinity, '-Infinity (number)'],
    [80n, '80 (bigint)'],
    [true, 'true (boolean)'],
    [Symbol('port'), 'Symbol(port) (symbol)'],
    [undefined, 'undefined'],
    [null, 'null'],
    [['secret'], 'an array'],
    [{ key: 'secret' }, 'an object'],
    [Buffer.from('secret'), 'an object'],
    [Object.create(null), 'an object'],
    [() => 'secret', 'a function'],
  ])('describes %p as %s', (value, words) => {
    expect(describeValue(value)).toBe(words);
  });
});

describe('toError()', () => {
  it('takes a Proxy, whose traps may throw, for no error', () => {
    const { proxy, revoke } = Proxy.revocable(new Error('far'), {});
    revoke();
    expect(toError(proxy).message).toMatch(/^Thrown: /);
    // Nor for a promise.
    expect(() => ignoreRejection(proxy)).not.toThrow();
  });

  it('returns an error unchanged', () => {
    const error = new RangeError('too far');
    expect(toError(error)).toBe(error);
  });

  it('returns an error of another realm unchanged', () => {
    const foreign: unknown = runInNewContext('new Error("elsewhere")');
    expect(toError(foreign)).toBe(foreign);
  });

  it('returns an object that inherits from Error unchanged', () => {
    const error = Object.create(new Error('inherited')) as Error;
    expect(toError(error)).toBe(error);
  });

  it.each<[unknown, string]>([
    ['no', 'Thrown: "no" (string)'],
    [undefined, 'Thrown: undefined'],
    [{ message: 'secret' }, 'Thrown: an object'],
  ])('wraps the thrown %p in an error, as its cause', (thrown, message) => {
    const error = toError(thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toBe(message);
    expect(error.cause).toBe(thrown);
  });

  it('joins the messages of the errors of an AggregateError without a message', () => {
    const thrown = Object.assign(new AggregateError([new Error('refused by ::1'), 'no route']), {
      code: 'ECONNREFUSED',
    });
    // It may be frozen, so it must not be changed.
    const error = toError(Object.freeze(thrown));
    expect(error).toBeInstanceOf(AggregateError);
    expect(error).toMatchObject({
      message: 'refused by ::1; "no route" (string)',
      code: 'ECONNREFUSED',
      cause: thrown,
    });
    expect((error as AggregateError).errors).toEqual(thrown.errors);
  });

  it('adds no code to an AggregateError without one', () => {
    expect(Object.hasOwn(toError(new AggregateError([new Error('inner')])), 'code')).toBe(false);
  });

  it('returns an AggregateError with a message, and an error without one, unchanged', () => {
    expect(toError(new AggregateError([new Error('inner')], 'outer')).message).toBe('outer');
    expect(toError(new Error('')).message).toBe('');
    expect(toError(Object.assign(new Error(''), { errors: 3 })).message).toBe('');
  });
});

describe('unreachable()', () => {
  it('throws a TypeError that describes the value', () => {
    expect(() => unreachable('limbo' as never)).toThrow(new TypeError('Unreachable: "limbo" (string)'));
  });
});
