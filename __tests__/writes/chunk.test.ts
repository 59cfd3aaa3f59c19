import * as fc from 'fast-check';

import { ConnectionError } from '../../lib/errors';
import { checkCallback, joined, sizeOf, toBytes, toWrite } from '../../lib/writes/chunk';

/** The error that `call` throws, which has to be one of ours. */
function refusal(call: () => unknown): ConnectionError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(ConnectionError);
    return error as ConnectionError;
  }
  throw new Error('nothing was thrown');
}

describe('toBytes()', () => {
  it.each<[string, BufferEncoding | undefined, string]>([
    ['abc', undefined, '616263'],
    ['', undefined, ''],
    ['ä€😀', undefined, 'c3a4e282acf09f9880'],
    ['ä', 'latin1', 'e4'],
    ['ä', 'utf8', 'c3a4'],
    ['ab', 'utf16le', '61006200'],
    ['c0ffee', 'hex', 'c0ffee'],
    ['wP/u', 'base64', 'c0ffee'],
    ['wP_u', 'base64url', 'c0ffee'],
    ['C0FFEE', 'HEX' as 'hex', 'c0ffee'],
    // A half of a pair has no encoding: it becomes U+FFFD.
    ['\ud83d', undefined, 'efbfbd'],
  ])('encodes %j as %s', (text, encoding, hex) => {
    expect(toBytes(text, encoding).toString('hex')).toBe(hex);
  });

  it('leaves a Buffer as it is, whatever the encoding says', () => {
    const buffer = Buffer.from('abc');
    expect(toBytes(buffer, undefined)).toBe(buffer);
    expect(toBytes(buffer, 'no encoding')).toBe(buffer);
  });

  const { buffer } = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]);

  it.each<[NodeJS.ArrayBufferView, number[]]>([
    [new Uint8Array(buffer), [0, 1, 2, 3, 4, 5, 6, 7]],
    [new Uint8Array(buffer, 2, 3), [2, 3, 4]],
    [new Uint16Array(buffer, 2, 2), [2, 3, 4, 5]],
    [new DataView(buffer, 1, 2), [1, 2]],
    [new Uint8ClampedArray(buffer, 7), [7]],
    [new Uint8Array(0), []],
  ])('takes the bytes that the view %p shows, and no more, without a copy', (view, bytes) => {
    const chunk = joined(toBytes(view, undefined));
    expect([...chunk]).toEqual(bytes);
    expect(Buffer.isBuffer(chunk)).toBe(true);
    expect(chunk.buffer).toBe(view.buffer);
  });

  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5 (number)'],
    [true, 'true (boolean)'],
    [{}, 'an object'],
    [new ArrayBuffer(2), 'an object'],
    [new String('text'), 'an object'],
    [() => 'text', 'a function'],
  ])('refuses %p', (chunk, words) => {
    const error = refusal(() => toBytes(chunk, undefined));
    expect(error.code).toBe('ERR_INVALID_CHUNK');
    expect(error.message).toBe(`Expected \`chunk\` to be a string, bytes, or an array of them, got ${words}`);
  });

  it.each<[unknown, string]>([
    ['utf9', '"utf9" (string)'],
    ['buffer', '"buffer" (string)'],
    ['', '"" (string)'],
    [null, 'null'],
    [5, '5 (number)'],
    [{}, 'an object'],
  ])('refuses the encoding %p of a string', (encoding, words) => {
    const error = refusal(() => toBytes('text', encoding));
    expect(error.code).toBe('ERR_INVALID_CHUNK');
    expect(error.message).toBe(`Expected \`encoding\` to be one of Buffer's, got ${words}`);
  });
});

describe('toBytes() of a string and its encoding', () => {
  it.each<[string, BufferEncoding, string]>([
    ['', 'hex', ''],
    ['', 'base64', ''],
    ['YQ==', 'base64', '61'],
    ['YQ', 'base64', '61'],
    [' Y\r\nQ =\t=\n', 'base64', '61'],
    ['-_-_', 'base64', 'fbffbf'],
    ['+/+/', 'base64url', 'fbffbf'],
    ['é', 'ascii', 'e9'],
    ['ÿ', 'binary', 'ff'],
    ['€', 'utf16le', 'ac20'],
  ])('takes %j as %s', (text, encoding, hex) => {
    expect(joined(toBytes(text, encoding)).toString('hex')).toBe(hex);
  });

  it.each<[string, string, string]>([
    ['02 41 54 03', 'hex', 'pairs of hex digits, got a string of 11 characters, wrong from index 2 on'],
    ['0x02415403', 'hex', 'pairs of hex digits, got a string of 10 characters, wrong from index 1 on'],
    ['02:41', 'hex', 'pairs of hex digits, got a string of 5 characters, wrong from index 2 on'],
    ['0241540', 'hex', 'pairs of hex digits, got a string of 7 characters, wrong from index 6 on'],
    ['0241\n', 'HEX', 'pairs of hex digits, got a string of 5 characters, wrong from index 4 on'],
    ['ı0', 'hex', 'pairs of hex digits, got a string of 2 characters, wrong from index 0 on'],
    ['not base64!', 'base64', 'base64, got a string of 11 characters, wrong from index 10 on'],
    ['YQ=Q', 'base64', 'base64, got a string of 4 characters'],
    ['YQ=', 'base64', 'base64, got a string of 3 characters'],
    ['YWJj=', 'base64', 'base64, got a string of 5 characters'],
    ['Y', 'base64url', 'base64, got a string of 1 characters'],
    ['====', 'base64', 'base64, got a string of 4 characters'],
    ['YQ\u2028', 'base64', 'base64, got a string of 3 characters, wrong from index 2 on'],
    [
      'Préamp €',
      'latin1',
      "characters up to U+00FF, as it is 'latin1', got a string of 8 characters, wrong from index 7 on",
    ],
    ['“on”', 'ascii', "characters up to U+00FF, as it is 'ascii', got a string of 4 characters, wrong from index 0 on"],
    ['😀', 'binary', "characters up to U+00FF, as it is 'binary', got a string of 2 characters, wrong from index 0 on"],
  ])('refuses %j as %s, without a word of it', (text, encoding, words) => {
    const error = refusal(() => toBytes(text, encoding));
    expect([error.code, error.message]).toEqual(['ERR_INVALID_CHUNK', `Expected \`chunk\` to be ${words}`]);
  });

  it('agrees with `atob`, but for the second alphabet', () => {
    const text = fc
      .array(fc.constantFrom('A', 'a', '1', '+', '/', '=', ' ', '\n', '.'))
      .map((characters) => characters.join(''));
    fc.assert(
      fc.property(text, (each) => {
        let decoded: string | undefined;
        try {
          decoded = atob(each);
        } catch {
          // Not base64.
        }
        if (decoded === undefined) refusal(() => toBytes(each, 'base64'));
        else expect(joined(toBytes(each, 'base64')).toString('latin1')).toBe(decoded);
      }),
    );
  });

  it('takes a long one in no time', () => {
    const text = 'ab'.repeat(5_000_000);
    for (const encoding of ['hex', 'base64', 'latin1']) expect(sizeOf(toBytes(text, encoding))).toBeGreaterThan(0);
    refusal(() => toBytes(`${text}!`, 'base64'));
  });
});

describe('toBytes() of an array', () => {
  it('makes one chunk of strings in the encoding and of bytes', () => {
    expect(toBytes(['02', new Uint8Array([0x41]), Buffer.from('54', 'hex'), '03'], 'hex')).toEqual(
      Buffer.from([0x02, 0x41, 0x54, 0x03]),
    );
    expect([toBytes([], undefined), toBytes(['', ''], undefined)]).toEqual([Buffer.alloc(0), Buffer.alloc(0)]);
  });

  it('copies a small one, and not a large one', () => {
    const large = Buffer.alloc(20_000);
    expect(toBytes(['a', large.subarray(0, 16_383)], undefined)).toHaveLength(16_384);
    const parts = toBytes(['a', large], undefined);
    expect(parts).toEqual([Buffer.from('a'), large]);
    expect([(parts as Buffer[])[1], sizeOf(parts), joined(parts).length]).toEqual([large, 20_001, 20_001]);
  });

  it.each<[unknown, unknown, string]>([
    [['a', 5], undefined, 'Expected `chunk[1]` to be a string or bytes, got 5 (number)'],
    [[['a']], undefined, 'Expected `chunk[0]` to be a string or bytes, got an array'],
    [['a', , 'b'], undefined, 'Expected `chunk[1]` to be a string or bytes, got undefined'],
    [
      ['02', '4'],
      'hex',
      'Expected `chunk[1]` to be pairs of hex digits, got a string of 1 characters, wrong from index 0 on',
    ],
    [['a'], 'utf9', 'Expected `encoding` to be one of Buffer\'s, got "utf9" (string)'],
  ])('refuses %p in %p', (chunk, encoding, message) => {
    const error = refusal(() => toBytes(chunk, encoding));
    expect([error.code, error.message]).toEqual(['ERR_INVALID_CHUNK', message]);
  });
});

describe('the options of a write', () => {
  const given = (options: unknown) => toWrite('a', options, undefined).options;

  it('are taken, and an encoding among them applies', () => {
    const { signal } = new AbortController();
    const options = { encoding: 'hex', signal, maxAge: 5, key: 'k', priority: 'urgent' };
    expect(toWrite('02', options, undefined)).toEqual({ bytes: Buffer.from([2]), callback: undefined, options });
  });

  it('may be undefined, infinite, and −0', () => {
    expect(given({ encoding: undefined, signal: undefined, maxAge: undefined, key: undefined })).toEqual({});
    expect(given({ maxAge: Infinity })).toEqual({ maxAge: Infinity });
    expect(Object.is(given({ maxAge: -0 })?.maxAge, 0)).toBe(true);
  });

  it('are own properties only', () => {
    expect(given(Object.create({ maxAge: 1 }))).toEqual({});
    expect('toString' in given({})!).toBe(false);
  });

  it.each<[unknown, string]>([
    [{ maxAge: -1 }, 'Expected option `write.maxAge` to be a number ≥ 0, got -1 (number)'],
    [{ maxAge: NaN }, 'Expected option `write.maxAge` to be a number ≥ 0, got NaN (number)'],
    [{ maxAge: '5' }, 'Expected option `write.maxAge` to be a number ≥ 0, got "5" (string): use `Number(…)`'],
    [{ signal: {} }, 'Expected option `write.signal` to be an AbortSignal, got an object'],
    [{ key: 5 }, 'Expected option `write.key` to be a string, got 5 (number)'],
    [{ priority: 'high' }, "Expected option `write.priority` to be 'normal', 'urgent', got \"high\" (string)"],
    [{ encoding: 'utf9' }, 'Expected option `write.encoding` to be one of Buffer\'s encodings, got "utf9" (string)'],
    [{ key: null }, 'Expected option `write.key` to be a string, got null'],
    [[], 'Expected option `write` to be an object, got an array'],
    [{ maxage: 1 }, 'Unknown option `write.maxage`: did you mean `write.maxAge`?'],
    [{ colour: 1 }, expect.stringContaining('encoding, signal, maxAge, key, priority') as string],
  ])('are refused as %p', (options, message) => {
    const error = refusal(() => given(options));
    expect([error.code, error.message]).toEqual(['ERR_INVALID_OPTION', message]);
  });
});

describe('checkCallback()', () => {
  it('takes a function, or none', () => {
    expect(() => {
      checkCallback(() => undefined);
      checkCallback(undefined);
    }).not.toThrow();
  });

  it.each<[unknown, string]>([
    [null, 'null'],
    ['done', '"done" (string)'],
    [{}, 'an object'],
    [Promise.resolve(), 'an object'],
  ])('refuses %p', (callback, words) => {
    const error = refusal(() => checkCallback(callback));
    expect(error.code).toBe('ERR_INVALID_CHUNK');
    expect(error.message).toBe(`Expected \`callback\` to be a function, got ${words}`);
  });
});

describe('toWrite()', () => {
  const callback = () => undefined;

  it('takes a chunk, an encoding and a callback', () => {
    expect(toWrite('c0ffee', 'hex', callback)).toEqual({ bytes: Buffer.from('c0ffee', 'hex'), callback });
    expect(toWrite('ä', undefined, undefined)).toEqual({ bytes: Buffer.from('ä'), callback: undefined });
  });

  it('takes a chunk and a callback', () => {
    expect(toWrite('ä', callback, undefined)).toEqual({ bytes: Buffer.from('ä'), callback });
  });

  it('refuses what toBytes() and checkCallback() refuse', () => {
    for (const args of [
      [5, undefined, callback],
      ['a', 'utf9', callback],
      ['a', 'utf8', 5],
      ['a', null, undefined],
    ]) {
      expect(refusal(() => toWrite(args[0], args[1], args[2])).code).toBe('ERR_INVALID_CHUNK');
    }
  });
});
