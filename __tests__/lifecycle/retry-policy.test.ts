import { type Backoff, type BackoffContext, constantBackoff, exponentialBackoff } from '../../lib/options/backoff';
import { ConnectionError } from '../../lib/errors';
import type { MemberOptions, Failure } from '../../lib/options/options';
import { type RetryDecision, RetryPolicy } from '../../lib/lifecycle/retry-policy';
import { resolveOptions } from '../../lib/options/settings';

const TAG = '127.0.0.1:6379';
const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
const failure = { reason: 'error', error: refused } as const;

function policyOf(options: MemberOptions): RetryPolicy {
  return new RetryPolicy(resolveOptions({ port: 6379, backoff: constantBackoff(100), ...options }).settings);
}

/** Fails `count` times, each time after the wait that was decided, and returns the decisions. */
function outage(policy: RetryPolicy, count: number): RetryDecision[] {
  let now = 0;
  return Array.from({ length: count }, () => {
    const decision = policy.next(failure, 0, TAG, now);
    if (decision.retry) now += decision.delay;
    return decision;
  });
}

function delaysOf(decisions: RetryDecision[]): (number | undefined)[] {
  return decisions.map((decision) => (decision.retry ? decision.delay : undefined));
}

function gaveUp(reason: string, why: string, cause: unknown = refused): object {
  const message = `Gave up on ${TAG}: ${why}${cause === null ? '' : ': refused'}`;
  const error = new ConnectionError('ERR_GAVE_UP', message, { cause: cause ?? undefined, tag: TAG });
  return { retry: false, reason, error };
}

describe('next()', () => {
  it('counts the retries and returns their delays', () => {
    const policy = policyOf({ backoff: { initialDelay: 100, maxDelay: 400, jitter: 'none' } });
    expect(outage(policy, 4)).toEqual([
      { retry: true, attempt: 1, delay: 100, fault: undefined },
      { retry: true, attempt: 2, delay: 200, fault: undefined },
      { retry: true, attempt: 3, delay: 400, fault: undefined },
      { retry: true, attempt: 4, delay: 400, fault: undefined },
    ]);
  });

  it('retries without end by default', () => {
    const last = outage(policyOf({}), 10_000).at(-1);
    expect(last).toEqual({ retry: true, attempt: 10_000, delay: 100, fault: undefined });
  });

  it('passes the attempt, the error, the previous delay and the generation to the backoff', () => {
    const contexts: BackoffContext[] = [];
    const policy = policyOf({
      backoff: (context) => {
        contexts.push(context);
        return 50 * context.attempt;
      },
    });
    policy.next(failure, 0, TAG, 0);
    policy.next({ reason: 'peer-end' }, 3, TAG, 50);
    policy.next(failure, 3, TAG, 150);
    expect(contexts).toStrictEqual([
      { attempt: 1, generation: 0, error: refused },
      { attempt: 2, generation: 3, previousDelay: 50 },
      { attempt: 3, generation: 3, error: refused, previousDelay: 100 },
    ]);
  });

  it('starts at the first attempt after reset()', () => {
    const seen: (number | undefined)[] = [];
    const policy = policyOf({
      backoff: ({ attempt, previousDelay }) => {
        seen.push(previousDelay);
        return attempt * 100;
      },
    });
    const before = delaysOf(outage(policy, 3));
    policy.reset();
    expect([before, delaysOf(outage(policy, 2))]).toEqual([
      [100, 200, 300],
      [100, 200],
    ]);
    expect(seen).toEqual([undefined, 100, 200, undefined, 100]);
  });
});

describe('maxRetries', () => {
  it.each([0, 1, 5])('of %i gives up after that many retries have failed', (maxRetries) => {
    const decisions = outage(policyOf({ maxRetries }), maxRetries + 1);
    expect(decisions.slice(0, -1).map(({ retry }) => retry)).toEqual(Array<boolean>(maxRetries).fill(true));
    const why = { 0: '`maxRetries` is 0', 1: '1 retry failed', 5: '5 retries failed' }[maxRetries];
    expect(decisions.at(-1)).toEqual(gaveUp('max-retries', why!));
  });

  it('gives up with an error that has a code, the tag of the target and the cause', () => {
    const decision = policyOf({ maxRetries: 0 }).next(failure, 0, TAG, 0);
    const error = decision.retry ? undefined : decision.error;
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ code: 'ERR_GAVE_UP', tag: TAG, cause: refused });
    expect(error?.cause).toBe(refused);
  });

  it('counts the retries of one outage only', () => {
    const policy = policyOf({ maxRetries: 1 });
    for (let round = 0; round < 3; round++) {
      expect(outage(policy, 2).map(({ retry }) => retry)).toEqual([true, false]);
      policy.reset();
    }
  });

  it('gives up with an error without a cause if the failure has no error', () => {
    const decision = policyOf({ maxRetries: 0 }).next({ reason: 'peer-end' }, 1, TAG, 0);
    expect(decision).toEqual(gaveUp('max-retries', '`maxRetries` is 0 (peer-end)', null));
    expect(!decision.retry && Object.hasOwn(decision.error, 'cause')).toBe(false);
  });

  it('calls neither `shouldRetry` nor `backoff` when it gives up', () => {
    const shouldRetry = jest.fn(() => true);
    const backoff = jest.fn(() => 1);
    policyOf({ maxRetries: 0, shouldRetry, backoff }).next(failure, 0, TAG, 0);
    expect([shouldRetry.mock.calls, backoff.mock.calls]).toEqual([[], []]);
  });
});

describe('a session that reconnect() ended', () => {
  const forced = { reason: 'forced' } as const;

  it('counts as a failure, and its wait grows like any', () => {
    const policy = policyOf({ backoff: { initialDelay: 100, jitter: 'none' } });
    expect(delaysOf([0, 1, 2].map((now) => policy.next(forced, 1, TAG, now)))).toEqual([100, 200, 400]);
    expect(policy.next(failure, 1, TAG, 3)).toMatchObject({ attempt: 4, delay: 800 });
  });

  it('waits for as long as the application asks, at least', () => {
    const policy = policyOf({});
    expect(delaysOf([50, 60_000].map((least) => policy.next(forced, 1, TAG, 0, least)))).toEqual([100, 60_000]);
    expect(policy.healthyIn(5_000)).toBe(0);
  });

  it('does not ask shouldRetry, and may be the first of an outage with `maxRetries: 0`', () => {
    const shouldRetry = jest.fn(() => false);
    const policy = policyOf({ maxRetries: 0, shouldRetry });
    expect(policy.next(forced, 1, TAG, 0)).toMatchObject({ retry: true, attempt: 1 });
    expect(policy.next(forced, 2, TAG, 0)).toEqual(gaveUp('max-retries', '`maxRetries` is 0 (forced)', null));
    expect(shouldRetry).not.toHaveBeenCalled();
  });

  it.each([
    ['max-retries', { maxRetries: 2 }],
    ['max-elapsed', { maxElapsed: 250 }],
    ['backoff-ended', { backoff: ({ attempt }: BackoffContext) => (attempt > 2 ? undefined : 100) }],
  ])('is limited as any failure: %s', (reason, options) => {
    const policy = policyOf(options);
    const decisions = [0, 100, 200].map((now) => policy.next(forced, 1, TAG, now));
    expect(decisions.map(({ retry }) => retry)).toEqual([true, true, false]);
    expect(decisions.at(-1)).toMatchObject({ reason });
  });

  it('hold() waits without a failure: it counts as the first retry only', () => {
    const policy = policyOf({ maxRetries: 1 });
    const held = { retry: true, attempt: 1, delay: 500, fault: undefined };
    expect([policy.hold(500), policy.hold(500)]).toEqual([held, held]);
  });
});

describe('abandon()', () => {
  it('has no wait at first, and then ever longer ones, up to a second', () => {
    const policy = policyOf({});
    const waits = Array.from({ length: 10 }, () => policy.abandon());
    expect(waits).toEqual([0, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    policy.reset();
    expect(policy.abandon()).toBe(0);
  });
});

describe('countAttempt()', () => {
  it('numbers the attempts of an outage from 1', () => {
    const policy = policyOf({});
    const before = [policy.countAttempt(), policy.countAttempt()];
    policy.next(failure, 0, TAG, 0);
    before.push(policy.countAttempt());
    policy.reset();
    expect([before, policy.countAttempt()]).toEqual([[1, 2, 3], 1]);
  });
});

describe('maxElapsed', () => {
  it('gives up when the next retry would begin after it', () => {
    // Retries at 100, 200 and 300 ms; the next would come at 400 ms.
    expect(outage(policyOf({ maxElapsed: 399 }), 4)).toEqual([
      { retry: true, attempt: 1, delay: 100, fault: undefined },
      { retry: true, attempt: 2, delay: 100, fault: undefined },
      { retry: true, attempt: 3, delay: 100, fault: undefined },
      gaveUp('max-elapsed', 'it could not be reached within 399 ms'),
    ]);
  });

  it('allows a retry that begins exactly at its end', () => {
    expect(outage(policyOf({ maxElapsed: 400 }), 4).map(({ retry }) => retry)).toEqual([true, true, true, true]);
  });

  it('of 0 allows no retry', () => {
    expect(outage(policyOf({ maxElapsed: 0 }), 1)).toEqual([
      gaveUp('max-elapsed', 'it could not be reached within 0 ms'),
    ]);
  });

  it('counts from begin(), so that the first dial counts too', () => {
    const policy = policyOf({ maxElapsed: 1_000 });
    policy.begin(500);
    expect(policy.next(failure, 0, TAG, 1_400).retry).toBe(true);
    expect(policy.next(failure, 0, TAG, 1_401).retry).toBe(false);
  });

  it('counts from the first begin() of an outage', () => {
    const policy = policyOf({ maxElapsed: 1_000 });
    policy.begin(0);
    policy.begin(900);
    expect(policy.next(failure, 0, TAG, 901).retry).toBe(false);
  });

  it('counts from the first failure without begin()', () => {
    const policy = policyOf({ maxElapsed: 1_000 });
    expect(policy.next(failure, 0, TAG, 50_000).retry).toBe(true);
    expect(policy.next(failure, 0, TAG, 50_900).retry).toBe(true);
    expect(policy.next(failure, 0, TAG, 50_901).retry).toBe(false);
  });

  it('counts from zero after reset()', () => {
    const policy = policyOf({ maxElapsed: 1_000 });
    policy.begin(0);
    policy.reset();
    expect(policy.next(failure, 0, TAG, 5_000).retry).toBe(true);
  });
});

describe('shouldRetry', () => {
  it('receives the reason, the error and the number of the failure', () => {
    const seen: Failure[] = [];
    const shouldRetry = (each: Failure) => seen.push(each) > 0;
    const policy = policyOf({ shouldRetry });
    policy.next(failure, 0, TAG, 0);
    policy.next({ reason: 'idle' }, 0, TAG, 100);
    expect(seen).toStrictEqual([
      { reason: 'error', error: refused, attempt: 1 },
      { reason: 'idle', attempt: 2 },
    ]);
  });

  it('gives up when it returns false', () => {
    const policy = policyOf({ shouldRetry: ({ error }) => error !== refused });
    expect(policy.next({ reason: 'peer-end' }, 0, TAG, 0).retry).toBe(true);
    expect(policy.next(failure, 0, TAG, 0)).toEqual(gaveUp('not-retryable', '`shouldRetry` returned false'));
  });

  it('is reported as a fault when it throws, and the retry is made', () => {
    const fault = new Error('broken');
    const policy = policyOf({
      shouldRetry: () => {
        throw fault;
      },
    });
    const decision = policy.next(failure, 0, TAG, 0);
    expect(decision).toEqual({ retry: true, attempt: 1, delay: 100, fault });
    expect(decision.retry && decision.fault).toBe(fault);
  });

  it.each<[answer: unknown, words: string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    [0, '0 (number)'],
    ['no', '"no" (string)'],
    [Promise.resolve(false), 'an object'],
  ])('is reported as a fault when it returns %p, and the retry is made', (answer, words) => {
    const decision = policyOf({ shouldRetry: () => answer as boolean }).next(failure, 0, TAG, 0);
    const fault = new ConnectionError(
      'ERR_INVALID_OPTION',
      `Expected \`shouldRetry\` to return a boolean, got ${words}`,
    );
    expect(decision).toEqual({ retry: true, attempt: 1, delay: 100, fault });
  });
});

describe('backoff', () => {
  it('gives up when it returns undefined', () => {
    const policy = policyOf({ backoff: ({ attempt }) => (attempt > 2 ? undefined : 100) });
    expect(outage(policy, 3).at(-1)).toEqual(gaveUp('backoff-ended', '`backoff` returned undefined'));
  });

  it.each<[asked: number, delay: number]>([
    [0, 10],
    [-0, 10],
    [0.1, 10],
    [10.6, 11],
    [2 ** 31, 2 ** 31 - 1],
    [Infinity, 2 ** 31 - 1],
  ])('that returns %p ms leads to a wait of %p ms', (asked, delay) => {
    const decision = policyOf({ backoff: () => asked }).next(failure, 0, TAG, 0);
    expect(decision).toEqual({ retry: true, attempt: 1, delay, fault: undefined });
  });

  it.each<[answer: unknown, delay: number, words: string]>([
    [-1, 10, '-1 (number)'],
    [-Infinity, 10, '-Infinity (number)'],
    [Number.NaN, 1_000, 'NaN (number)'],
    [null, 1_000, 'null'],
    ['100', 1_000, '"100" (string)'],
    ['-100', 1_000, '"-100" (string)'],
    [true, 1_000, 'true (boolean)'],
    [100n, 1_000, '100 (bigint)'],
    [{}, 1_000, 'an object'],
    [Promise.resolve(100), 1_000, 'an object'],
  ])('is reported as a fault when it returns %p, and the wait is %i ms', (answer, delay, words) => {
    const decision = policyOf({ backoff: () => answer as number }).next(failure, 0, TAG, 0);
    const expected = `Expected \`backoff\` to return a number ≥ 0 or undefined, got ${words}`;
    expect(decision).toEqual({
      retry: true,
      attempt: 1,
      delay,
      fault: new ConnectionError('ERR_INVALID_OPTION', expected),
    });
    expect(decision).toHaveProperty('fault.code', 'ERR_INVALID_OPTION');
  });

  it.each<[string, unknown]>([
    ['an error', new Error('broken')],
    ['a string', 'broken'],
  ])('is reported as a fault when it throws %s, and the wait is 1000 ms', (_title, thrown) => {
    const backoff: Backoff = () => {
      throw thrown;
    };
    const decisions = outage(policyOf({ backoff }), 3);
    expect(delaysOf(decisions)).toEqual([1_000, 1_000, 1_000]);
    for (const decision of decisions) {
      const fault = decision.retry ? decision.fault : undefined;
      expect(thrown instanceof Error ? fault : fault?.cause).toBe(thrown);
    }
  });

  it('is the reported fault when `shouldRetry` fails too', () => {
    const policy = policyOf({ shouldRetry: () => 'x' as never, backoff: () => Number.NaN });
    const decision = policy.next(failure, 0, TAG, 0);
    expect(decision.retry && decision.fault?.message).toMatch(/^Expected `backoff` to return /);
  });

  it('never becomes a busy loop: each wait is at least 10 ms, whatever the function returns', () => {
    const answers = [-1, Number.NaN, 0, null, -Infinity, 'x', {}, 0.001, true];
    const decisions = outage(
      policyOf({ backoff: ({ attempt }) => answers[attempt % answers.length] as number }),
      1_000,
    );
    expect(delaysOf(decisions).every((delay) => delay !== undefined && delay >= 10)).toBe(true);
  });
});

describe('healthyIn()', () => {
  it.each([
    [0, 5_000],
    [4_999, 1],
    [5_000, 0],
    [60_000, 0],
  ])('requires five seconds by default: for an uptime of %i ms it returns %i', (uptime, rest) => {
    expect(policyOf({}).healthyIn(uptime)).toBe(rest);
  });

  it('takes every session as healthy when `minUptime` is 0 and there was no wait', () => {
    expect(policyOf({ minUptime: 0 }).healthyIn(0)).toBe(0);
  });

  it('requires at least the wait before the session, so that a flapping peer is not dialled more and more often', () => {
    const policy = policyOf({ minUptime: 500, backoff: exponentialBackoff({ initialDelay: 400, jitter: 'none' }) });
    const least = () => [399, 499, 500, 799, 800, 1_599, 1_600].find((uptime) => policy.healthyIn(uptime) === 0);
    expect(least()).toBe(500);
    policy.next(failure, 0, TAG, 0);
    expect(least()).toBe(500);
    policy.next(failure, 0, TAG, 400);
    expect(least()).toBe(800);
    policy.next(failure, 0, TAG, 1_200);
    expect(least()).toBe(1_600);
    policy.reset();
    expect(least()).toBe(500);
  });

  it('lets the delays grow while sessions are short, and starts at the first delay after a long one', () => {
    // The schedule of reconnecting-websocket's test for `minUptime`.
    const policy = policyOf({ minUptime: 500, backoff: { initialDelay: 100, maxDelay: 10_000, jitter: 'none' } });
    const delays = [100, 200, 300, 400, 800, 1_600].map((uptime) => {
      if (policy.healthyIn(uptime) === 0) policy.reset();
      const decision = policy.next(failure, 1, TAG, 0);
      return decision.retry ? decision.delay : undefined;
    });
    expect(delays).toEqual([100, 200, 400, 800, 100, 100]);
  });
});

describe('endedEarly()', () => {
  const growing = { backoff: exponentialBackoff({ initialDelay: 100, jitter: 'none' }) };
  const lost = { reason: 'peer-end' } as const;

  /** Loses a session at 0, has two dials refused, opens a session at 300 and loses it after `uptime`: the retry then. */
  function restarted(policy: RetryPolicy, uptime: number, tag = TAG): RetryDecision {
    policy.next(lost, 1, TAG, 0);
    policy.next(failure, 1, TAG, 100);
    policy.next(failure, 1, TAG, 300);
    policy.opened(tag);
    policy.endedEarly(tag, uptime);
    return policy.next(lost, 2, tag, 300 + uptime);
  }

  it('starts the waits afresh after a session of half a second that follows a refused dial, and counts on', () => {
    const policy = policyOf(growing);
    expect(restarted(policy, 500)).toMatchObject({ attempt: 4, delay: 100 });
    expect(policy.next(failure, 2, TAG, 900)).toMatchObject({ attempt: 5, delay: 200 });
    policy.reset();
    expect(outage(policy, 3).map((decision) => decision.retry && decision.delay)).toEqual([100, 200, 400]);
  });

  it('takes the port and the path of a Unix socket for refused where nothing listens', () => {
    const gone = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    const policy = policyOf(growing);
    policy.next({ reason: 'error', error: gone }, 0, TAG, 100);
    policy.endedEarly(TAG, 1_000);
    expect(policy.next(lost, 1, TAG, 1_100)).toMatchObject({ delay: 100 });
  });

  it.each([
    [5_000, 499],
    [0, 499],
    [20_000, 1_999],
  ])(
    'lets the waits grow where the session is too short: with a `minUptime` of %i ms after %i ms',
    (minUptime, uptime) => {
      expect(restarted(policyOf({ ...growing, minUptime }), uptime)).toMatchObject({ attempt: 4, delay: 800 });
      expect(restarted(policyOf({ ...growing, minUptime }), uptime + 1)).toMatchObject({ attempt: 4, delay: 100 });
    },
  );

  it('lets the waits grow where the refusal says nothing of the server of the session', () => {
    expect(restarted(policyOf(growing), 1_000, 'another:1')).toMatchObject({ delay: 800 });
    const policy = policyOf(growing);
    policy.next(failure, 1, TAG, 100);
    policy.next({ reason: 'handshake-failed', error: new Error('not yet') }, 1, TAG, 200);
    policy.opened(TAG, 100);
    policy.endedEarly(TAG, 1_000);
    expect(policy.next(lost, 2, TAG, 1_200)).toMatchObject({ delay: 400 });
  });

  it('counts the refused dial of another connection of the pool, if it came after the loss', () => {
    const delayAfter = (refusedAt: number | undefined) => {
      const policy = policyOf(growing);
      policy.next(lost, 1, TAG, 100);
      policy.opened(TAG, refusedAt);
      policy.endedEarly(TAG, 1_000);
      return policy.next(lost, 2, TAG, 1_100);
    };
    expect([undefined, 99, 101].map(delayAfter)).toMatchObject([{ delay: 200 }, { delay: 200 }, { delay: 100 }]);
  });
});
