import * as fc from 'fast-check';

import { type Write, WriteList, Counter } from '../../lib/writes/write';

function write(text: string): Write {
  return { chunk: Buffer.from(text), callback: undefined, conditions: undefined, previous: undefined, next: undefined };
}

/** All writes of a list, in order, by walking both ways. */
function walk(list: WriteList): Write[] {
  const writes: Write[] = [];
  for (let each = list.first; each !== undefined; each = each.next) writes.push(each);
  writes.forEach((each, index) => expect(each.previous).toBe(writes[index - 1]));
  return writes;
}

describe('WriteList', () => {
  it('is empty at first', () => {
    const list = new WriteList();
    expect([list.first, list.writes, list.bytes]).toEqual([undefined, 0, 0]);
  });

  it('lets go of what was removed: no chain of old writes hangs on it', () => {
    const list = new WriteList();
    const writes = ['a', 'b', 'c'].map(write);
    for (const each of writes) list.add(each);
    for (const each of [writes[1]!, writes[0]!, writes[2]!]) {
      list.remove(each);
      expect([each.previous, each.next]).toEqual([undefined, undefined]);
    }
    expect([list.first, list.writes, list.bytes]).toEqual([undefined, 0, 0]);
  });

  it('does as an array would', () => {
    const move = fc.record({
      text: fc.string(),
      at: fc.nat(),
      kind: fc.constantFrom('add', 'add', 'behind', 'remove'),
    });
    fc.assert(
      fc.property(fc.array(move), (moves) => {
        const list = new WriteList();
        const array: Write[] = [];
        for (const { text, at, kind } of moves) {
          const index = at % Math.max(1, array.length);
          if (kind === 'add' || array.length === 0) {
            list.add(array[array.push(write(text)) - 1]!);
          } else if (kind === 'behind') {
            const next = write(text);
            list.add(next, array[index]);
            array.splice(index + 1, 0, next);
          } else {
            list.remove(array[index]!);
            array.splice(index, 1);
          }
          const bytes = array.reduce((sum, { chunk }) => sum + chunk.length, 0);
          expect([list.writes, list.bytes]).toEqual([array.length, bytes]);
          expect(walk(list)).toEqual(array);
        }
      }),
    );
  });
});

describe('Counter', () => {
  it('counts writes and their bytes', () => {
    const counter = new Counter();
    expect(counter.count).toEqual({ writes: 0, bytes: 0 });
    for (const bytes of [3, 0, 4]) counter.add(1, bytes);
    counter.add(5, 10);
    expect(counter.count).toEqual({ writes: 8, bytes: 17 });
  });

  it('returns a count that later writes do not change', () => {
    const counter = new Counter();
    const before = counter.count;
    counter.add(1, 1);
    expect(before).toEqual({ writes: 0, bytes: 0 });
  });
});
