import { checkWriteOptions } from '../../lib/options/write-options';

test('frozen options are checked once, and those that may change each time', () => {
  const once = Object.freeze({ maxAge: 5 });
  expect(checkWriteOptions(once)).toBe(checkWriteOptions(once));

  let age = 0;
  const own = Object.freeze({
    get maxAge() {
      return (age += 1);
    },
  });
  // `as`: Object.create is declared as any.
  const inherited = Object.freeze(Object.create(own) as object);
  const proxy = new Proxy(once, {});
  const signal = Object.freeze({ signal: new AbortController().signal });
  for (const options of [own, inherited, proxy, signal, { maxAge: 5 }]) {
    expect(checkWriteOptions(options)).not.toBe(checkWriteOptions(options));
  }
});
