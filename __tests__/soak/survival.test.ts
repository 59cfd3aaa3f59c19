import { Transform, type TransformCallback } from 'node:stream';

import type { BackoffInfo, MemberOptions, ReconnectingConnection, ResetInfo } from 'reconnecting-connection';

import { loadCertificates } from '../kit/certificates';
import { FaultProxy } from '../kit/fault-proxy';
import { Loopback, type LoopbackOptions, connectTo, next, payload, payloads, receives, written } from '../kit/loopback';
import { titled } from '../kit/missing';
import { namespacesMissing } from '../kit/namespace';
import { names, record } from '../kit/record';
import { inPrivateNetwork } from '../kit/scenarios';
import { until } from '../kit/until';
import type * as survival from '../scenarios/survival';

/** How much later than its bound something may be found where the machine has much else to do. */
const SLACK = 10_000;

async function proxied(options: LoopbackOptions = {}) {
  const server = await Loopback.start({ echo: true, ...options });
  const proxy = await FaultProxy.start(server.target);
  return { server, proxy };
}

/** Puts out whole lines, and of half a line at the end nothing. */
class Lines extends Transform {
  #rest = Buffer.alloc(0);

  constructor() {
    super({ readableObjectMode: true });
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let end = this.#rest.indexOf(10); end !== -1; end = this.#rest.indexOf(10)) {
      this.push(this.#rest.toString('utf8', 0, end));
      this.#rest = this.#rest.subarray(end + 1);
    }
    done();
  }
}

function lines(target: { readonly target: MemberOptions }, options: MemberOptions = {}) {
  const connection = connectTo<string>(target, { decoder: () => new Lines(), ...options });
  const messages: string[] = [];
  connection.on('message', (message) => messages.push(message));
  return { connection, messages };
}

/** What all writes of a connection add up to, less those whose fate is known: nothing. */
function imbalance(connection: ReconnectingConnection): number {
  const { accepted, confirmed, uncertain, dropped, queued } = connection.stats.writes;
  return accepted.writes - confirmed.writes - uncertain.writes - dropped.writes - queued.writes;
}

describe('a frame', () => {
  test.each<['end' | 'reset', readonly string[]]>([
    ['end', ['peer-end']],
    // Together with bytes, an RST may show as an end.
    ['reset', ['error', 'peer-end']],
  ])('C46 that is cut in the middle with %s is gone, and the next session starts whole', async (how, reasons) => {
    const texts = ['één', 'twee', 'drie'];
    const { proxy } = await proxied({ onSession: (socket) => socket.write(`${texts.join('\n')}\n`) });
    // In the middle of a character, and then after a whole line.
    await proxy.cutAfter(2, how, 'toClient');
    const { connection, messages } = lines(proxy);
    const heard = record(connection, ['reset']);

    await until(() => heard.length >= 2);
    expect(messages).toEqual([]);
    await proxy.cutAfter(8, how, 'toClient');
    await until(() => messages.length >= 2);
    await proxy.clear();
    await until(() => messages.at(-1) === 'drie');

    expect(messages.slice(-3)).toEqual(texts);
    expect(new Set(messages.slice(0, -3))).toEqual(new Set(['één']));
    for (const [, info] of heard) expect(reasons).toContain((info as ResetInfo).reason);
  });

  test('that comes byte by byte is put together again', async () => {
    const { proxy } = await proxied();
    await proxy.set({ slice: 1 });
    const { connection, messages } = lines(proxy);
    const texts = ['één', '', '日本語', '🙂'.repeat(5), 'x'.repeat(40)];

    for (const text of texts) connection.write(`${text}\n`);
    await until(() => messages.length === texts.length);

    expect(messages).toEqual(texts);
    expect(connection.stats).toMatchObject({ generation: 1 });
  });

  test('is not lost when the line is slow, late and uneven', async () => {
    const { proxy } = await proxied();
    await proxy.set({ latency: 20, jitter: 30, slice: 700, rate: 200_000 });
    const { connection, messages } = lines(proxy);
    const texts = Array.from({ length: 200 }, (_, number) => `${number}:${'x'.repeat(number)}`);

    for (const text of texts) connection.write(`${text}\n`);
    await until(() => messages.length === texts.length);

    expect(messages).toEqual(texts);
    expect(connection.stats).toMatchObject({ generation: 1 });
  });
});

describe('an end', () => {
  test('that comes late ends the session once, and the writes in between are counted', async () => {
    const { server, proxy } = await proxied();
    await proxy.set({ lateClose: 300 });
    const connection = connectTo(proxy);
    const peer = await server.session(1);
    await connection.whenOpen();
    const heard = record(connection, ['open', 'reset']);
    const from = performance.now();

    peer.end();
    expect(await written(connection, 'too late')).toBeUndefined();
    await next(connection, 'open');

    expect(performance.now() - from).toBeGreaterThanOrEqual(299);
    expect(names(heard)).toEqual(['reset', 'open']);
    expect(heard[0]![1]).toMatchObject({ reason: 'peer-end', generation: 1, uncertain: { writes: 0 } });
    expect(imbalance(connection)).toBe(0);
  });

  test.each(['end', 'reset'] as const)('of many links at once (%s) brings all of them back', async (how) => {
    const { server, proxy } = await proxied();
    const connections = Array.from({ length: 20 }, () => connectTo(proxy));
    await Promise.all(connections.map((connection) => connection.whenOpen()));
    await server.session(20);
    await proxy.until(({ links }) => links === 20);
    const reopened = Promise.all(connections.map((connection) => payload(connection, 'open')));

    await proxy.down(how);
    await proxy.up();

    expect((await reopened).map(({ generation }) => generation)).toEqual(connections.map(() => 2));
    for (const connection of connections) expect(connection.write('hello')).toBe(true);
    await server.until(() => server.receivedBytes === 20 * 5);
  });
});

describe('a peer that falls silent', () => {
  test('is found by idleTimeout, in later sessions too, and kept when it speaks again', async () => {
    const { server, proxy } = await proxied();
    const ticks = setInterval(() => server.send('tick'), 50);
    try {
      const connection = connectTo(proxy, { idleTimeout: 400 });
      const heard = record(connection, ['reset']);
      await next(connection, 'data');

      await proxy.set({ stall: true }, 'toClient');
      const from = performance.now();
      const [first, second] = await payloads(connection, 'reset', 2);
      expect([first!.reason, second!.reason]).toEqual(['idle', 'idle']);
      expect(performance.now() - from).toBeLessThan(2 * 400 + SLACK);
      expect(second!.uptime).toBeGreaterThanOrEqual(399);

      await proxy.set({ stall: false });
      // Of a later session: it may have opened before the proxy has answered.
      await next(connection, 'data');
      expect(connection.generation).toBeGreaterThan(2);
      const before = heard.length;
      await payloads(connection, 'data', 20);
      expect(heard.slice(before)).toEqual([]);
    } finally {
      clearInterval(ticks);
    }
  });

  test.each<[string, (proxy: FaultProxy) => Promise<void>, (proxy: FaultProxy) => Promise<void>]>([
    ['stalls', (proxy) => proxy.set({ stall: true }), (proxy) => proxy.set({ stall: false })],
    ['does not answer', (proxy) => proxy.set({ stall: true }, 'toClient'), (proxy) => proxy.clear()],
    ['is a black hole', (proxy) => proxy.set({ blackhole: true }), (proxy) => proxy.clear()],
    ['C69 is stopped', (proxy) => proxy.signal('SIGSTOP'), (proxy) => proxy.signal('SIGCONT')],
  ])('and %s is found by the heartbeat, in later sessions too', async (_how, fault, mend) => {
    const { proxy } = await proxied();
    const heartbeat = {
      interval: 150,
      timeout: 150,
      ping: (to: { write(text: string): unknown }) => void to.write('?'),
    };
    const connection = connectTo(proxy, { heartbeat });
    await receives(connection, '?');

    await fault(proxy);
    const from = performance.now();
    const [first, second] = await payloads(connection, 'reset', 2);
    expect([first!.reason, second!.reason]).toEqual(['heartbeat', 'heartbeat']);
    expect(second!.generation).toBe(2);
    expect(performance.now() - from).toBeLessThan(2 * (150 + 150) + SLACK);

    await mend(proxy);
    // Of a later session: it may have opened before the proxy has answered.
    await next(connection, 'data');
    const { generation } = connection;
    expect(generation).toBeGreaterThan(2);
    await payloads(connection, 'data', 4);
    expect(connection.generation).toBe(generation);
  });
});

describe('C7 connectTimeout', () => {
  const TIMEOUT = 300;

  /** Two attempts of `connection` that end by the deadline, and no other way. */
  async function timesOut(connection: ReconnectingConnection): Promise<void> {
    const heard = record(connection, ['open', 'backoff']);
    let from = performance.now();
    // When they were told, and not when this test came to hear of it.
    const times: number[] = [];
    connection.on('backoff', ({ delay }) => {
      const now = performance.now();
      times.push(now - from);
      from = now + delay;
    });
    await payloads(connection, 'backoff', 2);
    for (const time of times) {
      expect(time).toBeGreaterThanOrEqual(TIMEOUT - 1);
      expect(time).toBeLessThan(TIMEOUT + SLACK);
    }
    expect(heard).toMatchObject([1, 2].map((attempt) => ['backoff', { attempt, reason: 'connect-timeout' }]));
  }

  test.each<[string, (proxy: FaultProxy) => Promise<void>]>([
    ['that is never answered', (proxy) => proxy.accept('blackhole')],
    ['that stalls half way', (proxy) => proxy.set({ stall: true }, 'toClient')],
    ['that crawls', (proxy) => proxy.set({ slice: 1, gap: 20 }, 'toClient')],
    ['to a process that is stopped', (proxy) => proxy.signal('SIGSTOP')],
  ])('ends a TLS handshake %s', async (_how, fault) => {
    const { server, ca } = await loadCertificates();
    const { proxy } = await proxied({ tls: server });
    await fault(proxy);
    const connection = connectTo(proxy, { tls: { ca: ca.cert }, connectTimeout: TIMEOUT });

    await timesOut(connection);
    const opened = payload(connection, 'open');
    await proxy.signal('SIGCONT');
    await proxy.clear();

    expect(await opened).toMatchObject({ reopened: false });
    connection.write('hello');
    expect(await receives(connection, 'hello')).toBe('hello');
  });

  test.each<[string, (proxy: FaultProxy) => Promise<void>]>([
    ['is never answered', (proxy) => proxy.accept('blackhole')],
    ['stalls', (proxy) => proxy.set({ stall: true }, 'toClient')],
  ])('ends a handshake that %s', async (_how, fault) => {
    const { proxy } = await proxied();
    await fault(proxy);
    const connection = connectTo(proxy, {
      connectTimeout: TIMEOUT,
      handshake: async (socket) => {
        socket.write('who are you?');
        await new Promise((resolve) => socket.once('data', resolve));
      },
    });

    await timesOut(connection);
    const opened = payload(connection, 'open');
    await proxy.clear();

    expect(await opened).toMatchObject({ reopened: false });
  });
});

describe('C22 C25 a server that accepts and hangs up', () => {
  const DELAYS = [20, 40, 80, 160, 320, 320];
  const backoff = { initialDelay: 20, maxDelay: 320, jitter: 'none' } as const;

  /** The gaps between dials, as the other end saw them, are no shorter than the waits that were told. */
  async function grows(proxy: FaultProxy, connection: ReconnectingConnection): Promise<BackoffInfo[]> {
    const waits = await payloads(connection, 'backoff', DELAYS.length);
    const { acceptedAt } = await proxy.until(({ accepted }) => accepted > DELAYS.length);
    const gaps = DELAYS.map((_, index) => acceptedAt[index + 1]! - acceptedAt[index]!);
    expect(waits.map(({ delay }) => delay)).toEqual(DELAYS);
    // Accepted a moment after it was dialled, the first of two may seem late by what the machine was busy with.
    for (const [index, gap] of gaps.entries()) expect(gap).toBeGreaterThanOrEqual(DELAYS[index]! / 2);
    expect(acceptedAt[DELAYS.length]! - acceptedAt[0]!).toBeGreaterThanOrEqual(
      0.9 * DELAYS.reduce((sum, delay) => sum + delay),
    );
    return waits;
  }

  test.each(['end', 'reset'] as const)('at once (%s) is dialled ever more seldom', async (how) => {
    const { proxy } = await proxied();
    await proxy.accept(how);
    await grows(proxy, connectTo(proxy, { backoff }));
  });

  test.each(['end', 'reset'] as const)('after some bytes (%s) is dialled ever more seldom', async (how) => {
    const { proxy } = await proxied({ onSession: (socket) => socket.write('welcome') });
    await proxy.cutAfter(3, how, 'toClient');
    await grows(proxy, connectTo(proxy, { backoff }));
  });

  test.each(['end', 'reset'] as const)('within the TLS handshake (%s) is never open', async (how) => {
    const { server, ca } = await loadCertificates();
    const { proxy } = await proxied({ tls: server });
    await proxy.cutAfter(100, how, 'toClient');
    const connection = connectTo(proxy, { backoff, tls: { ca: ca.cert } });
    const heard = record(connection, ['open']);

    await grows(proxy, connection);

    expect(heard).toEqual([]);
  });
});

const missing = namespacesMissing();
const kernel = missing === undefined ? test : test.skip;
const play = inPrivateNetwork<typeof survival>('scenarios/survival');

describe(titled('in a private network', missing), () => {
  kernel.each<[string, boolean]>([
    ['C67 a silent partition', false],
    ['C68 a silent partition into which much is written', true],
  ])('%s is found within interval and timeout, and healed the session comes back', async (_what, writing) => {
    const { took, confirmed, ...rest } = await play('silentPartition', { writing, interval: 300, timeout: 300 });

    expect(rest).toEqual({ reason: 'heartbeat', failed: 'connect-timeout', reopened: true, generation: 2, opens: 2 });
    expect(took).toBeGreaterThanOrEqual(299);
    expect(took).toBeLessThan(300 + 300 + SLACK);
    // The kernel takes what it will never deliver.
    if (writing) expect(confirmed).toBeGreaterThan(5);
  });

  kernel('C7 a dial into the void ends at connectTimeout, and the next one succeeds when it can', async () => {
    const { took, ...rest } = await play('synDrop', 300);

    expect(rest).toEqual({ reason: 'connect-timeout', code: 'ERR_CONNECT_TIMEOUT', reopened: false });
    expect(took).toBeGreaterThanOrEqual(299);
    expect(took).toBeLessThan(300 + SLACK);
  });

  kernel('a firewall that answers with an RST ends the session at its next write, and refuses dials', async () => {
    expect(await play('rejectWithReset')).toEqual({
      reasons: ['ECONNRESET'],
      failures: ['ECONNREFUSED', 'ECONNREFUSED'],
      attempt: 3,
      reopened: true,
      balance: 0,
    });
  });

  kernel('C77 30 % loss on a round trip of 100 ms: no reset, and nothing is lost', async () => {
    const { sentAgain, ...rest } = await play('lossAndDelay', { percent: 30, latency: 50, messages: 60 });

    expect(rest).toEqual({ same: true, resets: [], opens: 1 });
    expect(sentAgain).toBeGreaterThan(0);
  });

  kernel('C76 a cable that is out for a second: no reset', async () => {
    expect(await play('linkDown', 1_000)).toEqual({ received: 'later;', resets: [], opens: 1 });
  });

  kernel('C72 a peer that was restarted silently answers the first write with an RST', async () => {
    expect(await play('peerReboot')).toEqual({
      unaware: { state: 'open', reasons: [] },
      reasons: ['ECONNRESET'],
      opens: 2,
    });
  });

  kernel.each<['server' | 'client', string]>([
    ['server', 'ECONNRESET'],
    ['client', 'ECONNABORTED'],
  ])('C40 a socket that the kernel kills (of the %s) is one reset', async (whose, code) => {
    expect(await play('killSockets', whose)).toEqual({ reasons: [code], opens: 2 });
  });

  kernel('C17 a socket that is connected to itself is a failed attempt, and never open', async () => {
    expect(await play('selfConnect')).toEqual({
      reason: 'self-connect',
      before: { opens: 0, state: 'backoff' },
      // Nothing of the socket stays behind to hold the port against its rightful owner.
      restarted: true,
      opens: 1,
    });
  });

  kernel.each<[Parameters<typeof survival.failingDials>[0], string]>([
    ['EADDRNOTAVAIL', 'EADDRNOTAVAIL'],
    ['ECONNREFUSED', 'ECONNREFUSED'],
    ['EHOSTUNREACH', 'EHOSTUNREACH'],
    ['no such host', 'EHOSTUNREACH'],
    ['ENETUNREACH', 'ENETUNREACH'],
    ['EACCES', 'EACCES'],
    ['EINVAL', 'EINVAL'],
  ])('C15 %s is tried again until it is mended', async (fault, code) => {
    expect(await play('failingDials', fault)).toEqual({
      failures: [code, code, code],
      opens: 0,
      attempts: true,
      resets: [],
    });
  });
});
