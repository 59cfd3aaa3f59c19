import {
  type Check,
  abortSignal,
  boolean,
  checkObject,
  checkRecord,
  delay,
  frozen,
  func,
  integer,
  interval,
  number,
  oneOf,
  orInfinity,
} from '../../lib/options/checks';
import { LONGEST_DELAY } from '../../lib/timers/deadline';
import { ConnectionError } from '../../lib/errors';
import { refusal } from '../kit/refusal';

const name = 'option `it`';

describe('number checks', () => {
  const nothing = Symbol('nothing');
  const wrongTypes = [undefined, null, '5', '', true, 5n, nothing, [5], {}, new Number(5), () => 5];

  describe.each<[string, Check<number>, number[], number[]]>([
    ['number(1, 5)', number(1, 5), [1, 2.5, 5], [0.999, 5.001, -1, Number.NaN, Infinity, -Infinity]],
    ['number(0)', number(0), [0, 1.5, Number.MAX_VALUE], [-Number.MIN_VALUE, Number.NaN, Infinity, -Infinity]],
    ['integer(1, 5)', integer(1, 5), [1, 5], [0, 6, 1.5, Number.NaN, Infinity]],
    ['integer(0)', integer(0), [0, Number.MAX_SAFE_INTEGER], [-1, 0.5, 2 ** 53, Number.NaN, Infinity]],
    ['delay', delay, [0, 0.5, 2 ** 31 - 1], [-1, 2 ** 31, Number.NaN, Infinity]],
    ['interval', interval, [1, 1.5, 2 ** 31 - 1], [0, 0.999, -1, 2 ** 31, Number.NaN, Infinity]],
    ['orInfinity(integer(0))', orInfinity(integer(0)), [0, 7, Infinity], [-1, 0.5, Number.NaN, -Infinity]],
  ])('%s', (_title, check, good, bad) => {
    it.each(good)('returns %p unchanged', (value) => {
      expect(check(value, name)).toBe(value);
    });

    it.each([...bad, ...wrongTypes])('refuses %p', (value) => {
      expect(refusal(() => check(value, name))).toMatch(/^Expected option `it` to be (a number|an integer) .*, got /);
    });
  });

  it.each<[Check<number>, unknown, string]>([
    [number(1, 5), 6, 'a number from 1 to 5, got 6 (number)'],
    [integer(1, 65_535), 'http', 'an integer from 1 to 65535, got "http" (string)'],
    [delay, -1, 'a number ≥ 0, got -1 (number)'],
    [delay, Number.NaN, 'a number ≥ 0, got NaN (number)'],
    [delay, 2 ** 31, 'a number ≤ 2147483647, got 2147483648 (number)'],
    [delay, Infinity, 'a number ≤ 2147483647, got Infinity (number)'],
    [interval, 0, 'a number ≥ 1, got 0 (number)'],
    [integer(0), 0.5, 'an integer ≥ 0, got 0.5 (number)'],
    [orInfinity(integer(0)), null, 'an integer ≥ 0, got null'],
  ])('names the exceeded end of the range (%#)', (check, value, words) => {
    expect(refusal(() => check(value, name))).toBe(`Expected option \`it\` to be ${words}`);
  });

  it.each([number(0), number(-1, 1), integer(0), integer(-1, 1), delay, orInfinity(integer(0))])(
    'turns −0 into 0 (%#)',
    (check) => {
      expect(check(-0, name)).toBe(0);
    },
  );

  it('have the longest delay of a timer as their limit', () => {
    expect(LONGEST_DELAY).toBe(2_147_483_647);
  });
});

describe('boolean', () => {
  it.each([true, false])('accepts %p', (value) => {
    expect(boolean(value, name)).toBe(value);
  });

  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    [0, '0 (number)'],
    [1, '1 (number)'],
    ['true', '"true" (string)'],
    [new Boolean(true), 'an object'],
  ])('refuses %p', (value, words) => {
    expect(refusal(() => boolean(value, name))).toBe(`Expected option \`it\` to be a boolean, got ${words}`);
  });
});

describe('func', () => {
  it.each([() => 1, async () => Promise.resolve(), ConnectionError])('accepts %p', (value) => {
    expect(func(value, name)).toBe(value);
  });

  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    ['f', '"f" (string)'],
    [{ call: () => 1 }, 'an object'],
  ])('refuses %p', (value, words) => {
    expect(refusal(() => func(value, name))).toBe(`Expected option \`it\` to be a function, got ${words}`);
  });
});

describe('abortSignal', () => {
  const addEventListener = () => undefined;
  const removeEventListener = addEventListener;

  it.each([
    ['a signal', new AbortController().signal],
    ['a signal that is aborted already', AbortSignal.abort()],
    ['what has the members of one', { aborted: false, addEventListener, removeEventListener }],
  ])('accepts %s', (_title, value) => {
    expect(abortSignal(value, name)).toBe(value);
  });

  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    ['SIGTERM', '"SIGTERM" (string)'],
    [new AbortController(), 'an AbortController: use its `signal`'],
    [new EventTarget(), 'an object'],
    [{ aborted: false }, 'an object'],
    [{ aborted: false, addEventListener }, 'an object'],
    [{ aborted: 0, addEventListener, removeEventListener }, 'an object'],
    [{ aborted: false, addEventListener: true }, 'an object'],
  ])('refuses %p', (value, words) => {
    expect(refusal(() => abortSignal(value, name))).toBe(`Expected option \`it\` to be an AbortSignal, got ${words}`);
  });
});

describe('oneOf()', () => {
  const check = oneOf('near', 'far');

  it('accepts each of its strings', () => {
    expect([check('near', name), check('far', name)]).toEqual(['near', 'far']);
  });

  it.each<[unknown, string]>([
    ['Near', '"Near" (string)'],
    ['', '"" (string)'],
    [undefined, 'undefined'],
    [null, 'null'],
    [0, '0 (number)'],
    [['near'], 'an array'],
  ])('refuses %p and lists its strings', (value, words) => {
    expect(refusal(() => check(value, name))).toBe(`Expected option \`it\` to be 'near', 'far', got ${words}`);
  });
});

describe('frozen()', () => {
  it('copies into a frozen object that inherits nothing', () => {
    const fields = { one: 1 };
    const copy = frozen(fields);
    expect(copy).not.toBe(fields);
    expect({ ...copy }).toEqual({ one: 1 });
    expect('toString' in copy).toBe(false);
    expect(Object.isFrozen(copy)).toBe(true);
  });
});

describe('checkObject()', () => {
  it.each([[{}], [Object.create(null)], [new Map()]])('accepts %p', (value: unknown) => {
    expect(refusal(() => checkObject(value, 'the options'))).toBe('nothing was thrown');
  });

  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    [[], 'an array'],
    ['{}', '"{}" (string)'],
    [6379, '6379 (number)'],
    [() => ({}), 'a function'],
  ])('refuses %p', (value, words) => {
    expect(refusal(() => checkObject(value, 'the options'))).toBe(`Expected the options to be an object, got ${words}`);
  });
});

describe('checkRecord()', () => {
  type Point = { readonly x?: number; readonly y?: number };
  const check = (value: unknown, path = '') => checkRecord<Point>(path, value, { x: integer(0), y: integer(0) });

  it('returns the properties that are not undefined', () => {
    expect({ ...check({ x: 1 }) }).toEqual({ x: 1 });
    expect(Object.keys(check({ x: 1, y: undefined }))).toEqual(['x']);
  });

  it('returns the results of the checks', () => {
    const doubled = checkRecord<Point>('', { x: 1, y: 2 }, { x: (value) => (value as number) * 2, y: integer(0) });
    expect({ ...doubled }).toEqual({ x: 2, y: 2 });
  });

  it('returns a frozen object that inherits nothing, which later changes of the input do not affect', () => {
    const input = { x: 1 };
    const checked = check(input);
    input.x = 2;
    expect(checked.x).toBe(1);
    expect(Object.isFrozen(checked)).toBe(true);
    expect('toString' in checked).toBe(false);
  });

  it('reads each property once, so that it returns the value that it has checked', () => {
    const read = jest.fn(() => 1);
    expect(check({ get x() { return read(); } }).x).toBe(1); // prettier-ignore
    expect(read).toHaveBeenCalledTimes(1);
  });

  it('refuses a record with a getter that throws, and keeps the cause', () => {
    const cause = new Error('getter');
    const unreadable = {
      get x(): number {
        throw cause;
      },
    };
    for (const [path, name] of [
      ['', 'the options'],
      ['point', 'option `point`'],
    ] as const) {
      expect(refusal(() => check(unreadable, path))).toBe(
        `Expected ${name} to be an object that can be read, got an object: getter`,
      );
      expect(() => check(unreadable, path)).toThrow(expect.objectContaining({ cause }));
    }
  });

  it('ignores inherited properties', () => {
    expect({ ...check(Object.create({ x: 'inherited', z: 'unknown' })) }).toEqual({});
  });

  it('names the option with its path, and the expected value', () => {
    expect(refusal(() => check({ x: -1 }))).toBe('Expected option `x` to be an integer ≥ 0, got -1 (number)');
    expect(refusal(() => check({ y: null }, 'point'))).toBe('Expected option `point.y` to be an integer ≥ 0, got null');
  });

  it.each([
    [{ z: 1 }, 'z'],
    [{ z: undefined }, 'z'],
    [{ Q: 1 }, 'Q'],
    [{ constructor: 1 }, 'constructor'],
    [{ toString: undefined }, 'toString'],
    [JSON.parse('{ "__proto__": { "x": 1 } }'), '__proto__'],
  ])('refuses the unknown name in %j and lists the known ones', (value: unknown, unknown) => {
    expect(refusal(() => check(value))).toBe(`Unknown option \`${unknown}\`, expected one of: x, y`);
    expect(refusal(() => check(value, 'point'))).toBe(`Unknown option \`point.${unknown}\`, expected one of: x, y`);
  });

  it.each([null, undefined, [], 'x', 1])('refuses %p instead of the record', (value) => {
    expect(refusal(() => check(value))).toMatch(/^Expected the options to be an object, got /);
    expect(refusal(() => check(value, 'point'))).toMatch(/^Expected option `point` to be an object, got /);
  });
});
