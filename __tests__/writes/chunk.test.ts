import { ConnectionError } from '../../lib/errors';
import { checkCallback, joined, toBytes, toWrite } from '../../lib/writes/chunk';

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
