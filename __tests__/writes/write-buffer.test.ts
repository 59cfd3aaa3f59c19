import { type WriteBuffer, give, release, take } from '../../lib/writes/write-buffer';

/** Takes all there are. */
function takeAll(): WriteBuffer[] {
  const slabs: WriteBuffer[] = [];
  for (let slab = take(); slab !== undefined; slab = take()) slabs.push(slab);
  return slabs;
}

describe('take() and give()', () => {
  it('hand out no more than sixteen at a time, each to one caller', () => {
    const slabs = takeAll();
    expect(slabs.length).toBe(16);
    expect(new Set(slabs.map(({ bytes }) => bytes)).size).toBe(16);
    for (const slab of slabs) give(slab);
    const again = takeAll();
    expect(new Set(again)).toEqual(new Set(slabs));
    for (const slab of again) give(slab);
  });

  it('go on behind what is still being read', () => {
    const slab = take()!;
    slab.end = 100;
    slab.readers = 1;
    give(slab);
    expect(take()).toBe(slab);
    expect(slab.end).toBe(100);
    release(slab);
    // Being filled: what its taker has written stays.
    expect(slab.end).toBe(100);
    give(slab);
    expect(slab.end).toBe(0);
  });

  it('pass over one that is almost full, until it has been read', () => {
    const slab = take()!;
    slab.end = slab.bytes.length - 1_000;
    slab.readers = 2;
    give(slab);
    const others = takeAll();
    expect(others).not.toContain(slab);
    expect(others.length).toBe(16);
    for (const other of others.splice(8)) give(other);
    release(slab);
    expect(slab.end).toBe(slab.bytes.length - 1_000);
    release(slab);
    expect([slab.end, slab.readers]).toEqual([0, 0]);
    const rest = takeAll();
    expect(rest).toContain(slab);
    for (const other of [...others, ...rest]) give(other);
  });

  it('start afresh when the last reader of a free one is done', () => {
    const slab = take()!;
    slab.end = 100;
    slab.readers = 1;
    give(slab);
    release(slab);
    expect(slab.end).toBe(0);
    expect(takeAll().filter((each) => each === slab)).toEqual([slab]);
  });
});
