import { type WriteBuffer, returnBuffer, takeBuffer } from '../../lib/writes/write-buffer';

const SIZE = 65_536;

/** Takes all there are. */
function takeAll(): WriteBuffer[] {
  const buffers: WriteBuffer[] = [];
  for (let buffer = takeBuffer(); buffer !== undefined; buffer = takeBuffer()) buffers.push(buffer);
  return buffers;
}

/** Appends to `buffer` and returns what is cut then. */
function cut(buffer: WriteBuffer, ...texts: string[]): Buffer {
  for (const text of texts) buffer.append(Buffer.from(text));
  return buffer.cut()!;
}

describe('takeBuffer()', () => {
  it('hands out no more than sixteen at a time, each to one caller', () => {
    const buffers = takeAll();
    expect(new Set(buffers).size).toBe(16);
    for (const buffer of buffers) returnBuffer(buffer, true);
    const again = takeAll();
    expect(new Set(again)).toEqual(new Set(buffers));
    for (const buffer of again) returnBuffer(buffer, true);
  });
});

describe('a write buffer', () => {
  it('makes one chunk of what was appended since the last cut', () => {
    const buffer = takeBuffer()!;
    expect(buffer.cut()).toBeUndefined();
    expect(cut(buffer, 'a', '', 'bc').toString()).toBe('abc');
    expect(cut(buffer, 'd').toString()).toBe('d');
    expect(buffer.cut()).toBeUndefined();
    returnBuffer(buffer, true);
  });

  it('uses the same memory again where the kernel has read it, after several cuts too', () => {
    const buffer = takeBuffer()!;
    const chunks = [cut(buffer, 'first'), cut(buffer, 'second')];
    returnBuffer(buffer, true);
    expect(takeBuffer()).toBe(buffer);
    expect(cut(buffer, 'FIRSTSECOND').toString()).toBe('FIRSTSECOND');
    expect(chunks.map(String)).toEqual(['FIRST', 'SECOND']);
    returnBuffer(buffer, true);
  });

  it('leaves alone what the kernel has not read, and goes on behind it', () => {
    const buffer = takeBuffer()!;
    const chunk = cut(buffer, 'unread');
    returnBuffer(buffer, false);
    expect(takeBuffer()).toBe(buffer);
    const next = cut(buffer, 'XXXXXXXXXX');
    expect(chunk.toString()).toBe('unread');
    expect(next.byteOffset).toBe(chunk.byteOffset + chunk.length);
    returnBuffer(buffer, true);
    expect(takeBuffer()).toBe(buffer);
    expect(cut(buffer, 'Y').byteOffset).toBe(next.byteOffset);
    expect(chunk.toString()).toBe('unread');
    returnBuffer(buffer, true);
  });

  it('takes what fits, to the last byte', () => {
    const [buffer, ...others] = takeAll();
    // One of which all is free.
    const whole = [buffer!, ...others].find((each) => each.room === SIZE)!;
    whole.append(Buffer.alloc(SIZE));
    whole.append(Buffer.alloc(0));
    expect(whole.room).toBe(0);
    expect(whole.cut()).toHaveLength(SIZE);
    for (const each of [buffer!, ...others]) returnBuffer(each, true);
  });

  it('is replaced when less than half of it is left', () => {
    const buffers = takeAll();
    for (const buffer of buffers) {
      while (buffer.room >= 1_024) buffer.append(Buffer.alloc(1_024));
      expect(buffer.cut()).toBeDefined();
      returnBuffer(buffer, false);
    }
    const others = takeAll();
    expect(others).toHaveLength(16);
    for (const buffer of buffers) expect(others).not.toContain(buffer);
    for (const buffer of others) returnBuffer(buffer, true);
  });
});
