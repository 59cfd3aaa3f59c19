import {
  type ConnectionError,
  type CommonOptions,
  ConnectionPool,
  ReconnectingConnection,
} from 'reconnecting-connection';
import { type RequestsOptions, Requests } from 'reconnecting-connection/requests';
import split2 from 'split2';

import { cleanUp, track } from '../kit/clean-up';
import { ScriptedDial, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(async () => {
  await cleanUp();
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

/** Requests over lines, whose peer the test plays. */
function scripted<Command = string>(options: Partial<RequestsOptions<string, Command>> = {}, more: CommonOptions = {}) {
  const peer = new ScriptedDial();
  const { dial } = peer;
  const connection = track(
    new ReconnectingConnection<string>({ port: 1, dial, backoff: () => 10, decoder: () => split2(), ...more }),
  );
  const requests = new Requests<string, Command>(connection, { timeout: 1_000, ...options });
  track({ destroy: () => requests.close() });
  const unasked: [message: string, key: unknown, late: boolean][] = [];
  requests.on('unasked', (message, { key, late }) => unasked.push([message, key, late]));
  const link = () => peer.last;
  return {
    connection,
    requests,
    unasked,
    link,
    /** The lines that the peer has got in the present session. */
    sent: () => link().lines,
    open: () => peer.open(),
    answer: async (...lines: string[]) => {
      link().receive(lines.map((line) => `${line}\n`).join(''));
      await settle();
    },
  };
}

interface Outcome {
  value?: unknown;
  code?: string;
  error?: ConnectionError;
}

/** What has become of a promise up to now: its value, or its error. */
function outcome(promise: Promise<unknown>): Outcome {
  const seen: Outcome = {};
  promise.then(
    (value) => (seen.value = value),
    // `as`: all errors here are the library's, or one that has a `code` of undefined.
    (error: unknown) => Object.assign(seen, { code: (error as ConnectionError).code, error }),
  );
  return seen;
}

/** The code, the reason and the words of each `reset`. */
function resetsOf(connection: ReconnectingConnection<string>): unknown[] {
  const resets: unknown[] = [];
  connection.on('reset', ({ reason, error }) => resets.push([reason, error?.code, error?.message]));
  return resets;
}

const byNumber = (line: string) => Number(/\d+/.exec(line)?.[0]);
const byName = (line: string) => line.split('=')[0];

describe('answers in order', () => {
  test('are paired one at a time: the next request leaves when the last is answered', async () => {
    const { requests, open, answer, sent } = scripted();
    const answers = ['a', 'b', 'c'].map((line) => outcome(requests.request(`${line}\n`)));
    expect([requests.waiting, requests.unanswered]).toEqual([3, 0]);
    await open();
    expect(sent()).toEqual(['a']);
    expect([requests.waiting, requests.unanswered]).toEqual([2, 1]);
    await answer('to a');
    expect(sent()).toEqual(['a', 'b']);
    await answer('to b');
    await answer('to c');

    expect(answers).toEqual([{ value: 'to a' }, { value: 'to b' }, { value: 'to c' }]);
    expect([requests.waiting, requests.unanswered]).toEqual([0, 0]);
  });

  test('are paired with `concurrency` at a time, also when they come in one chunk', async () => {
    const { requests, open, answer, sent } = scripted({ concurrency: 2 });
    await open();
    const answers = ['a', 'b', 'c'].map((line) => outcome(requests.request(`${line}\n`)));
    await settle();
    expect(sent()).toEqual(['a', 'b']);
    await answer('to a', 'to b');
    expect(sent()).toEqual(['a', 'b', 'c']);
    await answer('to c');

    expect(answers).toEqual([{ value: 'to a' }, { value: 'to b' }, { value: 'to c' }]);
  });

  test('leave `gap` milliseconds before the next request, and so does each request', async () => {
    const { requests, open, answer, sent } = scripted({ gap: 50, concurrency: 2 });
    await open();
    for (const line of ['a', 'b', 'c']) void requests.request(`${line}\n`);
    await settle();
    expect(sent()).toEqual(['a']);
    await pass(49);
    expect(sent()).toEqual(['a']);
    await pass(1);
    expect(sent()).toEqual(['a', 'b']);
    await pass(200);
    await answer('to a');
    await pass(49);
    expect(sent()).toEqual(['a', 'b']);
    await pass(1);
    expect(sent()).toEqual(['a', 'b', 'c']);
    await answer('to b', 'to c');
  });

  test('are what `match` calls true, and all else is unasked', async () => {
    const { requests, unasked, open, answer } = scripted({ match: (line) => !line.startsWith('*') });
    await open();
    await answer('early', '*news');
    const asked = outcome(requests.request('a\n'));
    await answer('*more news', 'to a');

    expect(asked).toEqual({ value: 'to a' });
    expect(unasked).toEqual([
      ['early', undefined, false],
      ['*news', undefined, false],
      ['*more news', undefined, false],
    ]);
  });
});

describe('a timeout', () => {
  test('of a request that waits: it was never sent, and never is', async () => {
    const { requests, open, sent } = scripted();
    const asked = outcome(requests.request('LOCK\n', { timeout: 100 }));
    await pass(100);
    expect([asked.code, requests.waiting]).toEqual(['ERR_EXPIRED', 0]);
    expect(asked.error?.message).toBe('A request to 127.0.0.1:1 was not sent within 100 ms');
    await open();
    await pass(1_000);

    expect(sent()).toEqual([]);
  });

  test('of a request that was sent: the session fails, so that no late answer is taken for another', async () => {
    const { connection, requests, open, sent, link, answer } = scripted();
    const resets = resetsOf(connection);
    await open();
    const [first, second] = [outcome(requests.request('a\n')), outcome(requests.request('b\n', { timeout: 5_000 }))];
    const before = link();
    await pass(1_000);
    expect(first.code).toBe('ERR_DELIVERY_UNCERTAIN');
    expect(resets).toEqual([['failed', 'ERR_DELIVERY_UNCERTAIN', 'No answer came from 127.0.0.1:1 within 1000 ms']]);
    before.receive('to a\n');
    await open();
    expect(sent()).toEqual(['b']);
    await answer('to b');

    expect(second).toEqual({ value: 'to b' });
  });

  test('that began while the request waited leaves the peer its time: a slow device is not reset', async () => {
    const { connection, requests, unasked, open, answer, sent } = scripted();
    await open();
    const asked = ['a', 'b', 'c'].map((line) => outcome(requests.request(`${line}\n`)));
    await pass(990);
    await answer('to a');
    await pass(10);
    expect(asked).toMatchObject([{ value: 'to a' }, { code: 'ERR_DELIVERY_UNCERTAIN' }, { code: 'ERR_EXPIRED' }]);
    const next = outcome(requests.request('d\n'));
    await pass(900);
    expect([sent(), requests.unanswered]).toEqual([['a', 'b'], 1]);
    await answer('to b');
    expect(unasked).toEqual([['to b', undefined, true]]);
    await answer('to d');

    expect(next).toEqual({ value: 'to d' });
    expect(connection.generation).toBe(1);
    expect(sent()).toEqual(['a', 'b', 'd']);
  });

  test('of several that were sent counts from when each could be answered', async () => {
    const { connection, requests, open, answer } = scripted({ concurrency: Infinity, timeout: 100 });
    await open();
    const slow = outcome(requests.request('BLPOP\n', { timeout: Infinity }));
    const quick = outcome(requests.request('GET\n'));
    await pass(5_000);
    expect(quick.code).toBe('ERR_DELIVERY_UNCERTAIN');
    expect(connection.state).toBe('open');
    await answer('to BLPOP');
    await pass(99);
    expect([slow, connection.state]).toEqual([{ value: 'to BLPOP' }, 'open']);
    await pass(2);

    expect(connection.state).not.toBe('open');
  });

  test('in a process that stood still is judged by what has arrived by then', async () => {
    const { requests, open, link } = scripted({ timeout: 100 });
    await open();
    const asked = outcome(requests.request('a\n'));
    // The timer is due before the answer is read.
    jest.advanceTimersByTime(5_000);
    link().receive('to a\n');
    await settle();

    expect(asked).toEqual({ value: 'to a' });
  });
});

describe('a signal', () => {
  test('that is aborted already: the request is not sent', async () => {
    const { requests, open, sent } = scripted();
    await open();
    const asked = outcome(requests.request('a\n', { signal: AbortSignal.abort('no') }));
    await settle();

    expect([asked.code, asked.error?.cause, sent()]).toEqual(['ERR_ABORTED', 'no', []]);
  });

  test('aborted while the request waits: it is not sent, and the others are', async () => {
    const { requests, open, answer, sent } = scripted();
    const controller = new AbortController();
    const [a, b, c] = ['a', 'b', 'c'].map((line) =>
      outcome(requests.request(`${line}\n`, line === 'b' ? { signal: controller.signal } : {})),
    );
    controller.abort('changed my mind');
    await settle();
    expect([b!.code, b!.error?.cause]).toEqual(['ERR_ABORTED', 'changed my mind']);
    expect(b!.error?.message).toBe('A request to 127.0.0.1:1 was aborted before it was sent');
    await open();
    await answer('to a');
    await answer('to c');

    expect([a, c, sent()]).toEqual([{ value: 'to a' }, { value: 'to c' }, ['a', 'c']]);
  });

  test('aborted after the request was sent: its answer is late, and not taken for that of the next', async () => {
    const { connection, requests, unasked, open, answer, sent } = scripted();
    await open();
    const controller = new AbortController();
    const a = outcome(requests.request('a\n', { signal: controller.signal }));
    const b = outcome(requests.request('b\n'));
    controller.abort();
    await settle();
    expect(a.error?.message).toBe('A request to 127.0.0.1:1 was aborted after it was sent');
    expect(sent()).toEqual(['a']);
    await answer('to a');
    await answer('to b');

    expect([a.code, b, unasked]).toEqual(['ERR_ABORTED', { value: 'to b' }, [['to a', undefined, true]]]);
    expect(connection.generation).toBe(1);
  });

  test('aborted after the answer does nothing; a thousand requests share one listener', async () => {
    const { requests, open, answer } = scripted({ concurrency: Infinity });
    await open();
    const { signal } = new AbortController();
    const added = jest.spyOn(signal, 'addEventListener');
    const removed = jest.spyOn(signal, 'removeEventListener');
    const asked = Array.from({ length: 1_000 }, () => requests.request('a\n', { signal }));
    const lines = asked.map((_, index) => `${index}`);
    expect(added).toHaveBeenCalledTimes(1);
    await answer(...lines);

    expect(await Promise.all(asked)).toEqual(lines);
    expect(removed).toHaveBeenCalledTimes(1);
  });
});

describe('the end of a session', () => {
  test('rejects what was sent, and keeps what waits for the next session', async () => {
    const { requests, unasked, open, answer, link, sent } = scripted({ concurrency: 2 });
    await open();
    const [a, b, c] = ['a', 'b', 'c'].map((line) => outcome(requests.request(`${line}\n`)));
    // Half an answer, and it dies.
    link().receive('to ');
    link().fail();
    await settle();
    expect([a!.code, b!.code, c]).toEqual(['ERR_DELIVERY_UNCERTAIN', 'ERR_DELIVERY_UNCERTAIN', {}]);
    const message = 'The session with 127.0.0.1:1 ended (scripted ECONNRESET) before a request was answered';
    expect(a!.error).toMatchObject({ message, cause: { code: 'ECONNRESET' } });
    await open();
    expect(sent()).toEqual(['c']);
    await answer('to c');

    expect([c, unasked]).toEqual([{ value: 'to c' }, []]);
  });

  test('is known by its socket before `reset`: a request then waits for the next session', async () => {
    const { connection, requests, open, answer, link, sent } = scripted();
    await open();
    link().end();
    expect(connection.state).toBe('open');
    const asked = outcome(requests.request('a\n'));
    link().fail();
    await settle();
    await open();
    expect(sent()).toEqual(['a']);
    await answer('to a');

    expect(asked).toEqual({ value: 'to a' });
  });

  test('for good rejects what waits with the error of `close`, and later requests at once', async () => {
    const { connection, requests, open, link } = scripted({}, { maxRetries: 0 });
    await open();
    const [a, b] = [outcome(requests.request('a\n')), outcome(requests.request('b\n'))];
    link().fail();
    await settle();
    expect([a.code, b.code]).toEqual(['ERR_DELIVERY_UNCERTAIN', 'ERR_GAVE_UP']);
    const late = outcome(requests.request('c\n'));
    await settle();
    expect(late.code).toBe('ERR_CLOSED');
    connection.connect();
    const again = outcome(requests.request('d\n'));
    await connection.disconnect();
    await settle();

    expect(again.code).toBe('ERR_CLOSED');
  });

  test('by disconnect() leaves what was sent the time to be answered', async () => {
    const { connection, requests, open, answer } = scripted();
    await open();
    const a = outcome(requests.request('a\n'));
    const b = outcome(requests.request('b\n', { timeout: 5_000 }));
    const closed = connection.disconnect();
    await answer('to a');
    await pass(2_000);
    await closed;
    await settle();

    expect([a, b.code]).toEqual([{ value: 'to a' }, 'ERR_CLOSED']);
  });
});

describe('an `open` listener', () => {
  test('has its requests sent ahead of all that wait, whenever it was added', async () => {
    const { dial, links } = new ScriptedDial();
    const connection = track(new ReconnectingConnection<string>({ port: 1, dial, decoder: () => split2() }));
    connection.on('open', () => void requests.request('AUTH\n'));
    const requests = new Requests(connection, { timeout: 1_000, concurrency: 3 });
    track({ destroy: () => requests.close() });
    connection.on('open', () => void requests.request('SELECT\n'));
    connection.write('queued\n');
    void requests.request('GET\n');
    await settle();
    links[0]!.connect();
    await settle();
    expect(links[0]!.written.join('')).toBe('AUTH\nSELECT\nqueued\nGET\n');

    links[0]!.receive('1\n2\n3\n');
    await settle();
  });

  test('has those that were not sent rejected with the session: the next `open` makes them again', async () => {
    const { connection, requests, open, link, sent, answer } = scripted();
    const seen: Outcome[] = [];
    connection.on('open', ({ generation }) => {
      for (const line of ['AUTH', 'SELECT']) seen.push(outcome(requests.request(`${line} ${generation}\n`)));
    });
    const asked = outcome(requests.request('GET\n'));
    await open();
    expect(sent()).toEqual(['AUTH 1']);
    link().fail();
    await settle();
    expect(seen.map(({ code }) => code)).toEqual(['ERR_DELIVERY_UNCERTAIN', 'ERR_SESSION_ENDED']);
    await open();
    for (const line of ['to AUTH', 'to SELECT', 'to GET']) await answer(line);

    expect(sent()).toEqual(['AUTH 2', 'SELECT 2', 'GET']);
    expect([asked, ...seen.slice(2)]).toEqual([{ value: 'to GET' }, { value: 'to AUTH' }, { value: 'to SELECT' }]);
  });
});

describe('answers with a key', () => {
  test('come in any order', async () => {
    const { requests, open, answer } = scripted({ match: byNumber, concurrency: 3 });
    await open();
    const asked = [1, 2, 3].map((key) => outcome(requests.request(`${key}\n`, { key })));
    await answer('3', '1', '2');

    expect(asked).toEqual([{ value: '1' }, { value: '2' }, { value: '3' }]);
  });

  test('that are late are unasked, and the session goes on', async () => {
    const { connection, requests, unasked, open, answer } = scripted({ match: byNumber });
    await open();
    const asked = [1, 2].map((key) => outcome(requests.request(`${key}\n`, { key, timeout: key * 1_000 })));
    await pass(1_000);
    expect([asked[0]!.code, requests.unanswered]).toEqual(['ERR_DELIVERY_UNCERTAIN', 1]);
    await answer('1', '2', '1', '7');

    expect(asked[1]).toEqual({ value: '2' });
    expect(unasked).toEqual([
      ['1', 1, true],
      ['1', 1, false],
      ['7', 7, false],
    ]);
    expect(connection.generation).toBe(1);
  });

  test('leave a request with the same key waiting for the answer to the first', async () => {
    const { requests, open, answer, sent } = scripted({ match: byName, concurrency: 9 });
    await open();
    const [first, second] = ['VOL?', 'VOL?'].map((line) => outcome(requests.request(`${line}\n`, { key: 'VOL' })));
    await settle();
    expect(sent()).toEqual(['VOL?']);
    await answer('VOL=1');
    expect(sent()).toEqual(['VOL?', 'VOL?']);
    await answer('VOL=2');

    expect([first, second]).toEqual([{ value: 'VOL=1' }, { value: 'VOL=2' }]);
  });

  test('fail the session when a key is used again whose answer may still come', async () => {
    const { connection, requests, open, answer, sent, link } = scripted({ match: byName });
    await open();
    const first = outcome(requests.request('VOL?\n', { key: 'VOL', timeout: 100 }));
    await pass(101);
    const second = outcome(requests.request('VOL?\n', { key: 'VOL' }));
    link().receive('VOL=old\n');
    await settle();
    expect([first.code, connection.state]).toEqual(['ERR_DELIVERY_UNCERTAIN', 'backoff']);
    await open();
    expect(sent()).toEqual(['VOL?']);
    await answer('VOL=new');

    expect(second).toEqual({ value: 'VOL=new' });
  });

  test('that never come do not fill the memory: 1024 keys are remembered', async () => {
    const { requests, unasked, open, answer } = scripted({ match: byNumber, concurrency: Infinity, timeout: 10 });
    await open();
    const asked = Array.from({ length: 1_025 }, (_, key) => outcome(requests.request(`${key}\n`, { key })));
    await pass(20);
    expect(requests.unanswered).toBe(0);
    expect(new Set(asked.map(({ code }) => code))).toEqual(new Set(['ERR_DELIVERY_UNCERTAIN']));
    await answer('0', '1', '1024');

    expect(unasked).toEqual([
      ['0', 0, false],
      ['1', 1, true],
      ['1024', 1024, true],
    ]);
  });

  test.each<[string, (line: string) => unknown, string]>([
    ['throws', () => JSON.parse('{') as unknown, 'A message of 127.0.0.1:1 made `match` fail: '],
    [
      'returns an object',
      () => ({}),
      'Expected the result of `match` to be a key, a boolean or undefined, got an object',
    ],
    ['returns a promise', () => Promise.reject(new Error('unhandled')), 'got an object'],
  ])('end the session if `match` %s', async (_what, match, message) => {
    const { connection, requests, open, answer } = scripted({ match: match as () => number });
    const resets = resetsOf(connection);
    await open();
    const asked = outcome(requests.request('a\n'));
    await answer('to a');

    expect(resets).toEqual([['failed', 'ERR_FAILED', expect.stringContaining(message)]]);
    expect(asked.code).toBe('ERR_DELIVERY_UNCERTAIN');
  });
});

describe('`send`', () => {
  test('makes what is written, when the turn of a request has come', async () => {
    let calls = 0;
    const { requests, open, answer, sent } = scripted<{ readonly get: string }>({
      match: byNumber,
      send: ({ get }, key) => {
        calls += 1;
        return [`${String(key)} `, Buffer.from(get), '\n'];
      },
    });
    const first = outcome(requests.request({ get: 'x' }, { key: 5 }));
    const second = outcome(requests.request({ get: 'y' }, { key: 6 }));
    await open();
    expect([calls, sent()]).toEqual([1, ['5 x']]);
    await answer('5 is x');
    await answer('6 is y');

    expect([first, second]).toEqual([{ value: '5 is x' }, { value: '6 is y' }]);
  });

  test('that throws, or returns what cannot be written, fails that request and no other', async () => {
    const wrong = new Error('no such command');
    const { requests, open, answer, sent } = scripted({
      send: (line) => {
        if (line === 'throw') throw wrong;
        return line === 'junk' ? (undefined as never) : `${line}\n`;
      },
    });
    await open();
    const asked = ['throw', 'junk', 'a'].map((line) => outcome(requests.request(line)));
    await settle();
    expect([asked[0]!.error, asked[1]!.code, sent()]).toEqual([wrong, 'ERR_INVALID_CHUNK', ['a']]);
    await answer('to a');

    expect(asked[2]).toEqual({ value: 'to a' });
  });

  test.each<[string, (made: ReturnType<typeof scripted<string>>) => void, string[], RegExp]>([
    ['makes a request', ({ requests }) => void requests.request('inner\n'), ['outer', 'inner'], /answer/],
    [
      'ends the session',
      ({ connection, link }) => {
        connection.markHealthy();
        connection.reconnect();
        link().finish();
      },
      ['outer'],
      /answer/,
    ],
    ['closes the requests', ({ requests }) => requests.close(), [], /ERR_CLOSED/],
    ['destroys the connection', ({ connection }) => connection.destroy(), [], /ERR_CLOSED/],
  ])('that %s has a request sent once at the most', async (_what, act, expected, fate) => {
    let isFirst = true;
    const made: ReturnType<typeof scripted<string>> = scripted({
      send: (line) => {
        if (isFirst) {
          isFirst = false;
          act(made);
        }
        return line;
      },
    });
    const { connection, requests, open, answer, sent } = made;
    await open();
    const asked = outcome(requests.request('outer\n'));
    await settle();
    if (connection.state === 'connecting') await open();
    while (requests.unanswered > 0) await answer('answer');

    expect(sent()).toEqual(expected);
    expect(asked.value ?? asked.code).toMatch(fate);
    expect(requests.waiting).toBe(0);
  });
});

describe('heartbeat()', () => {
  test('pings when nothing was answered for `interval`, and takes the pong for its own', async () => {
    const { requests, unasked, open, answer, sent } = scripted();
    requests.heartbeat('PING\n', { interval: 300 });
    await open();
    await pass(200);
    const a = outcome(requests.request('a\n'));
    await answer('to a');
    await pass(299);
    expect(sent()).toEqual(['a']);
    await pass(1);
    expect(sent()).toEqual(['a', 'PING']);
    const b = outcome(requests.request('b\n'));
    await answer('PONG');
    await answer('to b');
    await pass(300);
    expect(sent()).toEqual(['a', 'PING', 'b', 'PING']);
    await answer('PONG');

    expect([a, b, unasked]).toEqual([{ value: 'to a' }, { value: 'to b' }, []]);
  });

  test('waits behind a slow request, and goes ahead of the others', async () => {
    const { requests, open, answer, sent } = scripted({ timeout: 5_000 });
    requests.heartbeat('PING\n', { interval: 300, timeout: 100 });
    await open();
    const [slow, next] = [outcome(requests.request('BLPOP\n')), outcome(requests.request('GET\n'))];
    await pass(1_000);
    expect(sent()).toEqual(['BLPOP']);
    await answer('to BLPOP');
    expect(sent()).toEqual(['BLPOP', 'PING']);
    await answer('PONG');
    await answer('to GET');

    expect([slow, next]).toEqual([{ value: 'to BLPOP' }, { value: 'to GET' }]);
  });

  test.each([
    ['in order', {}, {}],
    ['by key', { match: byNumber }, { key: 0 }],
  ])('fails the session when no answer comes (%s), and goes on in the next', async (_how, options, more) => {
    const { connection, requests, open, sent, answer } = scripted(options);
    const resets = resetsOf(connection);
    requests.heartbeat('PING 0\n', { interval: 300, timeout: 100, ...more });
    await open();
    await pass(300);
    expect(sent()).toEqual(['PING 0']);
    await pass(99);
    expect(resets).toEqual([]);
    await pass(2);
    expect(resets).toEqual([['failed', 'ERR_HEARTBEAT', 'No answer to a ping came from 127.0.0.1:1 within 100 ms']]);
    await open();
    await pass(301);
    expect(sent()).toEqual(['PING 0']);
    await answer('PONG 0');

    expect(connection.state).toBe('open');
  });

  test('goes on after a ping that could not be sent', async () => {
    let isBroken = true;
    const { requests, open, sent, answer } = scripted({
      send: (line) => {
        if (isBroken) throw new Error('not now');
        return line;
      },
    });
    requests.heartbeat('PING\n', { interval: 100 });
    await open();
    await pass(150);
    isBroken = false;
    await pass(49);
    expect(sent()).toEqual([]);
    await pass(2);
    expect(sent()).toEqual(['PING']);
    await answer('PONG');
  });

  test('ends with the returned function, with the next heartbeat(), and with close()', async () => {
    const { requests, open, sent } = scripted();
    const stop = requests.heartbeat('A\n', { interval: 100 });
    await open();
    stop();
    await pass(200);
    expect(sent()).toEqual([]);
    requests.heartbeat('B\n', { interval: 100 });
    const stopLatest = requests.heartbeat('C\n', { interval: 100, timeout: 1_000 });
    stop();
    await pass(100);
    expect(sent()).toEqual(['C']);
    stopLatest();
    requests.heartbeat('D\n', { interval: 100 });
    requests.close();
    requests.heartbeat('E\n', { interval: 100 });
    await pass(500);

    expect(sent()).toEqual(['C']);
  });
});

test('close() rejects all requests, removes all listeners, and leaves the connection alone', async () => {
  const { connection, requests, open, sent } = scripted();
  const events = ['open', 'reset', 'close', 'message', 'data', 'drain'] as const;
  await open();
  const [a, b] = [outcome(requests.request('a\n')), outcome(requests.request('b\n'))];
  requests.heartbeat('PING\n', { interval: 10 });
  requests.close();
  requests.close();
  await settle();
  expect([a.error?.message, b.error?.message]).toEqual([
    'Requests to 127.0.0.1:1 were closed after this one was sent',
    'The connection to 127.0.0.1:1 is closed for requests, and this one was not sent',
  ]);
  const late = outcome(requests.request('c\n'));
  await pass(1_000);

  expect([a.code, b.code, late.code]).toEqual(['ERR_CLOSED', 'ERR_CLOSED', 'ERR_CLOSED']);
  expect([sent(), connection.state]).toEqual([['a'], 'open']);
  expect(events.map((event) => connection.listenerCount(event))).toEqual(events.map(() => 0));
  using again = new Requests(connection, { timeout: 1 });
  expect(again.waiting).toBe(0);
});

describe('bad arguments', () => {
  const idle = () => track(new ReconnectingConnection({ port: 1, autoConnect: false }));
  const invalid = (message: RegExp) =>
    expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(message) as string }) as Error;

  test.each<[string, unknown, RegExp]>([
    ['no options', undefined, /Expected the options to be an object, got undefined/],
    ['no timeout', {}, /Expected option `timeout` to be a number ≥ 1, got undefined/],
    ['a timeout of 0', { timeout: 0 }, /Expected option `timeout` to be a number ≥ 1, got 0/],
    ['a concurrency of 0', { timeout: 1, concurrency: 0 }, /Expected option `concurrency` to be an integer ≥ 1/],
    ['half a concurrency', { timeout: 1, concurrency: 1.5 }, /Expected option `concurrency` to be an integer ≥ 1/],
    ['an endless gap', { timeout: 1, gap: Infinity }, /Expected option `gap` to be a number/],
    ['no function', { timeout: 1, match: 'id' }, /Expected option `match` to be a function/],
    ['a typo', { timeout: 1, concurency: 2 }, /Unknown option `concurency`/],
  ])('the constructor throws for %s', (_what, options, message) => {
    expect(() => new Requests(idle(), options as never)).toThrow(invalid(message));
  });

  test('the constructor throws for what is no connection, and for one that has Requests', () => {
    const make = (given: unknown) => () => new Requests(given as ReconnectingConnection, { timeout: 1 });
    for (const given of [undefined, {}, new ConnectionPool()]) {
      expect(make(given)).toThrow(invalid(/^Expected `connection` to be a ReconnectingConnection \(of a pool, one of/));
    }
    const connection = idle();
    expect(make(connection)).not.toThrow();
    expect(make(connection)).toThrow(invalid(/^Expected `connection` to be one that has no Requests yet/));
  });

  test.each<[string, (requests: Requests) => unknown, string]>([
    ['request(7)', (requests) => requests.request(7 as never), 'ERR_INVALID_CHUNK'],
    ['request([7])', (requests) => requests.request([7] as never), 'ERR_INVALID_CHUNK'],
    ['a key without `match`', (requests) => requests.request('a', { key: 1 }), 'ERR_INVALID_OPTION'],
    ['a bad key', (requests) => requests.request('a', { key: {} as never }), 'ERR_INVALID_OPTION'],
    ['a bad signal', (requests) => requests.request('a', { signal: {} as never }), 'ERR_INVALID_OPTION'],
    ['a bad timeout', (requests) => requests.request('a', { timeout: NaN }), 'ERR_INVALID_OPTION'],
    ['null for options', (requests) => requests.request('a', null as never), 'ERR_INVALID_OPTION'],
    ['no interval', (requests) => requests.heartbeat('a', {} as never), 'ERR_INVALID_OPTION'],
    ['a bad ping', (requests) => requests.heartbeat(7 as never, { interval: 1 }), 'ERR_INVALID_CHUNK'],
  ])('%s throws at once', (_what, act, code) => {
    const requests = new Requests(idle(), { timeout: 1 });
    expect(() => act(requests)).toThrow(expect.objectContaining({ code }) as Error);
    expect(requests.waiting).toBe(0);
  });

  test('undefined is as good as left out', async () => {
    const { requests, open, answer } = scripted({
      concurrency: undefined,
      gap: undefined,
      send: undefined,
      match: undefined,
    });
    await open();
    const asked = outcome(requests.request('a\n', { timeout: undefined, key: undefined, signal: undefined }));
    await answer('to a');

    expect(asked).toEqual({ value: 'to a' });
  });
});
