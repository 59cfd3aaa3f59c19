import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';

import { ConnectionError, describe as describeValue, invalidOption, toError, unreachable } from '../lib/errors';

describe('ConnectionError', () => {
  it('carries its code, its cause and the tag of its target', () => {
    const cause = new Error('because');
    const error = new ConnectionError('ERR_IDLE', 'It is silent', { cause, tag: '127.0.0.1:80' });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code: 'ERR_IDLE', message: 'It is silent', cause, tag: '127.0.0.1:80' });
  });

  it('has no cause of its own where there is none', () => {
    const error = new ConnectionError('ERR_CLOSED', 'It is closed');
    expect(Object.hasOwn(error, 'cause')).toBe(false);
    expect(error.tag).toBeUndefined();
  });

  it('calls itself ConnectionError in words, in its stack and in logs', () => {
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
  it('names the option, what was expected and what came', () => {
    const error = invalidOption('option `port`', 'an integer', 'http');
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toBe('Expected option `port` to be an integer, got "http" (string)');
    expect(Object.hasOwn(error, 'cause')).toBe(false);
  });

  it('keeps what led to it', () => {
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
  ])('words %p as %s', (value, words) => {
    expect(describeValue(value)).toBe(words);
  });
});

describe('toError()', () => {
  it('leaves an error as it is', () => {
    const error = new RangeError('too far');
    expect(toError(error)).toBe(error);
  });

  it('leaves the error of another realm as it is', () => {
    const foreign: unknown = runInNewContext('new Error("elsewhere")');
    expect(toError(foreign)).toBe(foreign);
  });

  it('leaves what has an error for its prototype as it is', () => {
    const error = Object.create(new Error('inherited')) as Error;
    expect(toError(error)).toBe(error);
  });

  it.each<[unknown, string]>([
    ['no', 'Thrown: "no" (string)'],
    [undefined, 'Thrown: undefined'],
    [{ message: 'secret' }, 'Thrown: an object'],
  ])('makes an error of the thrown %p and keeps it as the cause', (thrown, message) => {
    const error = toError(thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toBe(message);
    expect(error.cause).toBe(thrown);
  });

  it('gives an AggregateError without words those of its errors', () => {
    const thrown = Object.assign(new AggregateError([new Error('refused by ::1'), 'no route']), {
      code: 'ECONNREFUSED',
    });
    // It may be frozen, or hold itself.
    const error = toError(Object.freeze(thrown));
    expect(error).toBeInstanceOf(AggregateError);
    expect(error).toMatchObject({
      message: 'refused by ::1; "no route" (string)',
      code: 'ECONNREFUSED',
      cause: thrown,
    });
    expect((error as AggregateError).errors).toEqual(thrown.errors);
  });

  it('gives no code to an AggregateError that has none', () => {
    expect(Object.hasOwn(toError(new AggregateError([new Error('inner')])), 'code')).toBe(false);
  });

  it('leaves an AggregateError that has words, and an error without any, as they are', () => {
    expect(toError(new AggregateError([new Error('inner')], 'outer')).message).toBe('outer');
    expect(toError(new Error('')).message).toBe('');
    expect(toError(Object.assign(new Error(''), { errors: 3 })).message).toBe('');
  });
});

describe('unreachable()', () => {
  it('throws a programmer error that names what got there', () => {
    expect(() => unreachable('limbo' as never)).toThrow(new TypeError('Unreachable: "limbo" (string)'));
  });
});
