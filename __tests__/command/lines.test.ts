import { Lines, countLines } from '../../lib/command/lines';

const MEBIBYTE = 1024 * 1024;

test('lines are whole, however their bytes come, and the rest can be taken', () => {
  const lines = new Lines();
  const got = ['on', 'e\ntwo\nth', '', 'ree\n', 'rest'].map((text) => String(lines.push(Buffer.from(text))));

  expect(got).toEqual(['', 'one\ntwo\n', '', 'three\n', '']);
  expect([String(lines.take()), String(lines.take())]).toEqual(['rest', '']);
});

test('a line of 1 MiB is whole, also in many pieces, and a longer one goes on in parts', () => {
  const lines = new Lines();
  const pieces = Array.from({ length: MEBIBYTE / 256 }, () => lines.push(Buffer.alloc(256, 'x')).length);
  expect(new Set(pieces)).toEqual(new Set([0]));

  expect(lines.push(Buffer.from('\n'))).toHaveLength(MEBIBYTE + 1);
  expect(lines.push(Buffer.alloc(MEBIBYTE + 1, 'x'))).toHaveLength(MEBIBYTE + 1);
  expect(String(lines.push(Buffer.from('end\n')))).toBe('end\n');
});

test.each([
  ['', 0],
  ['one', 1],
  ['one\n', 1],
  ['one\n\nthree', 3],
])('the lines of %j are counted', (text, count) => {
  expect(countLines(Buffer.from(text))).toBe(count);
});
