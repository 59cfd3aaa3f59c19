import { Recent } from '../../lib/options/recent';

it('finds what was added, the latest first', () => {
  const recent = new Recent<{ kind: string; number: number }>();
  const [one, two] = [recent.add({ kind: 'a', number: 1 }), recent.add({ kind: 'a', number: 2 })];
  expect(recent.find(({ kind }) => kind === 'a')).toBe(two);
  expect(recent.find(({ number }) => number === 1)).toBe(one);
  // It is the latest now.
  expect(recent.find(({ kind }) => kind === 'a')).toBe(one);
  expect(recent.find(({ kind }) => kind === 'b')).toBeUndefined();
});

it('forgets what was not used for the longest time', () => {
  const recent = new Recent<{ number: number }>();
  const all = Array.from({ length: 8 }, (_, number) => recent.add({ number }));
  const isKept = (number: number) => recent.find((each) => each.number === number) !== undefined;
  expect(isKept(0)).toBe(true);
  all.push(recent.add({ number: 8 }));
  expect(all.map(({ number }) => number).filter((number) => !isKept(number))).toEqual([1]);
});
