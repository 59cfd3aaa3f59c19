import { ApplicationCall } from '../../lib/attempt/application-call';

/** A promise, and the functions that settle it. */
function open<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((...both) => ([resolve, reject] = both));
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** Waits for `work`, and records its result. */
function wait<T>(work: T | PromiseLike<T>) {
  const heard: unknown[] = [];
  const call = new ApplicationCall<T>(
    work,
    (value) => heard.push(['resolved', value]),
    (reason) => heard.push(['rejected', reason]),
    (value) => heard.push(['discarded', value]),
  );
  return { call, heard };
}

const tick = () => new Promise(setImmediate);

describe('ApplicationCall', () => {
  it('reports the result of the work, be it a promise or not, and never synchronously', async () => {
    const error = new Error('no');
    const all = [wait<string>('now'), wait(Promise.resolve('soon')), wait(Promise.reject(error))];
    expect(all.map(({ heard }) => heard.length)).toEqual([0, 0, 0]);
    await tick();
    expect(all.map(({ heard }) => heard)).toEqual([
      [['resolved', 'now']],
      [['resolved', 'soon']],
      [['rejected', error]],
    ]);
  });

  it('reports nothing after cancel()', async () => {
    const [good, bad] = [open<string>(), open<string>()];
    const [one, other] = [wait(good.promise), wait(bad.promise)];
    one.call.cancel();
    other.call.cancel();
    good.resolve('late');
    bad.reject(new Error('late'));
    await tick();
    expect([one.heard, other.heard]).toEqual([[], []]);
  });

  it('treats a `then` that throws as a rejection', async () => {
    const error = new Error('then');
    const thenable: PromiseLike<string> = {
      then: () => {
        throw error;
      },
    };
    const { heard } = wait(thenable);
    await tick();
    expect(heard).toEqual([['rejected', error]]);
  });

  it('discards a value that comes after abandon(), and not one that was taken', async () => {
    const late = open<string>();
    const [one, other] = [wait(late.promise), wait('soon')];
    one.call.abandon();
    late.resolve('late');
    await tick();
    other.call.abandon();
    await tick();
    expect([one.heard, other.heard]).toEqual([[['discarded', 'late']], [['resolved', 'soon']]]);
  });

  it('discards a value that was refused, when it is abandoned therefore', async () => {
    const error = new Error('refused');
    const heard: unknown[] = [];
    const call = new ApplicationCall<string>(
      'bad',
      () => {
        throw error;
      },
      (reason) => {
        heard.push(reason);
        call.abandon();
      },
      (value) => heard.push(value),
    );
    await tick();
    expect(heard).toEqual([error, 'bad']);
  });
});
