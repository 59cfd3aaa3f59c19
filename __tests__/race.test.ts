import { race } from '../lib/race';

/** A promise, and the hands that settle it. */
function open<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((...both) => ([resolve, reject] = both));
  promise.catch(() => {});
  return { promise, resolve, reject };
}

const WHY = new Error('stopped');

describe('race()', () => {
  it('gives what the work gives, be it a promise or not', async () => {
    const stopped = open<never>();
    await expect(race(stopped.promise, 'now')).resolves.toBe('now');
    await expect(race(stopped.promise, Promise.resolve('soon'))).resolves.toBe('soon');
    await expect(race(stopped.promise, Promise.reject(new Error('no')))).rejects.toThrow('no');
  });

  it('rejects as soon as it is stopped, and what the work comes to later is heard by nobody', async () => {
    const stopped = open<never>();
    const good = open<string>();
    const bad = open<string>();
    const [one, other] = [race(stopped.promise, good.promise), race(stopped.promise, bad.promise)];
    stopped.reject(WHY);
    await expect(one).rejects.toBe(WHY);
    await expect(other).rejects.toBe(WHY);
    good.resolve('late');
    bad.reject(new Error('late'));
    await expect(good.promise).resolves.toBe('late');
  });

  it('rejects when it was stopped before, and when both happen at once', async () => {
    await expect(race(Promise.reject(WHY), new Promise(() => {}))).rejects.toBe(WHY);
    await expect(race(Promise.reject(WHY), Promise.resolve('at once'))).rejects.toBe(WHY);
  });
});
