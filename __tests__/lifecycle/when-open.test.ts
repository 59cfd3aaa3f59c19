import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { ConnectionError } from '../../lib/errors';
import type { OpenInfo } from '../../lib/events/events';
import { type WhenOpenOptions, OpenWaiters } from '../../lib/lifecycle/when-open';
import { settle } from '../kit/scripted';

const TAG = '127.0.0.1:6379';
const opened: OpenInfo = { generation: 1, reopened: false, attempts: 1, downtime: 0 };

/** The result or the error of a promise, or `waits` while it is pending. */
async function fateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise, Promise.resolve('waits')]).catch((error: unknown) => error);
}

describe('resolve()', () => {
  it('resolves all promises with the same info', async () => {
    const waiters = new OpenWaiters();
    const waiting = [waiters.add({}, TAG), waiters.add({ attempts: 1 }, TAG), waiters.add({ attempts: Infinity }, TAG)];
    expect(await Promise.all(waiting.map(fateOf))).toEqual(['waits', 'waits', 'waits']);
    waiters.resolve(opened);
    for (const info of await Promise.all(waiting)) expect(info).toBe(opened);
  });

  it('resolves each promise once: a later one waits for the next session', async () => {
    const waiters = new OpenWaiters();
    waiters.resolve(opened);
    const late = waiters.add({}, TAG);
    expect(await fateOf(late)).toBe('waits');
    const next = { ...opened, generation: 2 };
    waiters.resolve(next);
    expect(await late).toBe(next);
  });
});

describe('a settled promise', () => {
  it('is not kept in memory', async () => {
    const waiters = new OpenWaiters();
    const refs = Array.from({ length: 100 }, () => new WeakRef(waiters.add({}, TAG)));
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    waiters.resolve(opened);
    await settle();
    collectGarbage();
    expect(refs.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(10);
    expect(await fateOf(waiters.add({}, TAG))).toBe('waits');
  });
});

describe('reject()', () => {
  it('rejects all promises with the same error', async () => {
    const waiters = new OpenWaiters();
    const waiting = [waiters.add({}, TAG), waiters.add({ attempts: 9 }, TAG)];
    const error = new Error('closed');
    waiters.reject(() => error);
    for (const each of waiting) await expect(each).rejects.toBe(error);
  });

  it('changes nothing the second time', async () => {
    const waiters = new OpenWaiters();
    const waiting = waiters.add({}, TAG);
    const error = new Error('closed');
    waiters.reject(() => error);
    waiters.reject(() => new Error('closed again'));
    waiters.resolve(opened);
    await expect(waiting).rejects.toBe(error);
  });
});

describe('countFailure()', () => {
  it('rejects a promise after its number of attempts, with the last error', async () => {
    const waiters = new OpenWaiters();
    const allowed = [1, 2, 3, Infinity, undefined];
    const waiting = allowed.map((attempts) => waiters.add(attempts === undefined ? {} : { attempts }, TAG));
    const errors = [1, 2, 3, 4].map((number) => new Error(`failure ${number}`));
    const fates: unknown[][] = [];
    for (const error of errors) {
      waiters.countFailure(error);
      fates.push(await Promise.all(waiting.map(fateOf)));
    }
    const [first, second, third] = errors;
    expect(fates).toEqual([
      [first, 'waits', 'waits', 'waits', 'waits'],
      [first, second, 'waits', 'waits', 'waits'],
      [first, second, third, 'waits', 'waits'],
      [first, second, third, 'waits', 'waits'],
    ]);
    waiters.resolve(opened);
    expect(await Promise.all(waiting.slice(3))).toEqual([opened, opened]);
  });

  it('counts only failures after the call', async () => {
    const waiters = new OpenWaiters();
    waiters.countFailure(new Error('before'));
    const waiting = waiters.add({ attempts: 1 }, TAG);
    expect(await fateOf(waiting)).toBe('waits');
    const error = new Error('after');
    waiters.countFailure(error);
    await expect(waiting).rejects.toBe(error);
  });
});

describe('signal', () => {
  it('rejects its own promise only, with its reason as the cause', async () => {
    const waiters = new OpenWaiters();
    const controller = new AbortController();
    const [aborted, other] = [waiters.add({ signal: controller.signal }, TAG), waiters.add({}, TAG)];
    const reason = new Error('enough');
    controller.abort(reason);
    const error = await fateOf(aborted);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ code: 'ERR_ABORTED', tag: TAG, cause: reason });
    expect((error as Error).message).toBe(`Waiting for ${TAG} to open was aborted: enough`);
    expect(await fateOf(other)).toBe('waits');
  });

  it('that is already aborted rejects at once', async () => {
    const waiters = new OpenWaiters();
    const signal = AbortSignal.abort('enough');
    await expect(waiters.add({ signal }, TAG)).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'enough' });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it.each<[string, (waiters: OpenWaiters, controller: AbortController) => void]>([
    ['a session opens', (waiters) => waiters.resolve(opened)],
    ['the lifecycle ends', (waiters) => waiters.reject(() => new Error('closed'))],
    ['the attempts are used up', (waiters) => waiters.countFailure(new Error('refused'))],
    ['it is aborted', (_waiters, controller) => controller.abort()],
  ])('has no listener left when %s', async (_title, end) => {
    const waiters = new OpenWaiters();
    const controller = new AbortController();
    const waiting = waiters.add({ signal: controller.signal, attempts: 1 }, TAG);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    end(waiters, controller);
    expect(await fateOf(waiting)).not.toBe('waits');
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  it('may be shared by many promises', async () => {
    const waiters = new OpenWaiters();
    const controller = new AbortController();
    const waiting = Array.from({ length: 5 }, () => waiters.add({ signal: controller.signal }, TAG));
    controller.abort();
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });
});

describe('options', () => {
  it.each<[options: unknown, words: string]>([
    [null, 'Expected option `whenOpen` to be an object, got null'],
    [5, 'Expected option `whenOpen` to be an object, got 5 (number)'],
    [{ attempts: 0 }, 'Expected option `whenOpen.attempts` to be an integer ≥ 1, got 0 (number)'],
    [{ attempts: 1.5 }, 'Expected option `whenOpen.attempts` to be an integer ≥ 1, got 1.5 (number)'],
    [{ attempts: '1' }, 'Expected option `whenOpen.attempts` to be an integer ≥ 1, got "1" (string)'],
    [{ attempts: null }, 'Expected option `whenOpen.attempts` to be an integer ≥ 1, got null'],
    [{ signal: {} }, 'Expected option `whenOpen.signal` to be an AbortSignal, got an object'],
    [{ signal: null }, 'Expected option `whenOpen.signal` to be an AbortSignal, got null'],
    [{ timeout: 1 }, 'Unknown option `whenOpen.timeout`: use `signal: AbortSignal.timeout(…)`'],
  ])('such as %j are refused at once', (options, words) => {
    const add = () => new OpenWaiters().add(options as WhenOpenOptions, TAG);
    expect(add).toThrow(ConnectionError);
    expect(add).toThrow(words);
  });

  it('that are undefined count as absent', async () => {
    const waiters = new OpenWaiters();
    const waiting = waiters.add({ attempts: undefined, signal: undefined }, TAG);
    waiters.countFailure(new Error('refused'));
    waiters.resolve(opened);
    expect(await waiting).toBe(opened);
  });
});
