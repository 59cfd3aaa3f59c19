import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Cut, type Direction, FaultProxy } from '../kit/fault-proxy';
import { linkDown } from '../kit/kernel';
import { Loopback, type LoopbackOptions } from '../kit/loopback';
import { titled } from '../kit/missing';
import { namespacesMissing, network } from '../kit/namespace';
import { PlainSocket } from '../kit/plain-socket';
import { inPrivateNetwork } from '../kit/scenarios';
import { until } from '../kit/until';
import type * as kernelFaults from '../scenarios/kernel-faults';

/** Long enough for what comes at all on a loopback to come. */
const A_WHILE = 150;

/** A server that echoes, a proxy in front of it, and a client whose link through it works. */
async function linked(options: LoopbackOptions = {}) {
  const server = await Loopback.start({ echo: true, allowHalfOpen: true, ...options });
  const proxy = await FaultProxy.start(server.target);
  const client = await PlainSocket.open(proxy.target);
  await client.echo('hello');
  const peer = await server.session(1);
  return { server, proxy, client, peer, heard: listen(peer) };
}

/** What the server's end hears. */
function listen(peer: Socket): string[] {
  const events: string[] = [];
  for (const event of ['end', 'close']) peer.on(event, () => events.push(event));
  peer.on('error', ({ code = 'no code' }: NodeJS.ErrnoException) => events.push(code));
  return events;
}

/** An RST that comes along with bytes may show as an end, as Node reads it; and one that is quick fails the dial. */
async function isCut(client: PlainSocket, how: Cut): Promise<void> {
  const signs = how === 'end' ? ['end'] : ['end', 'ECONNRESET'];
  await until(() => client.events.some((event) => signs.includes(event)), { what: () => client.events.join(', ') });
  if (how === 'end') expect(client.events).not.toContain('ECONNRESET');
}

async function dial(proxy: FaultProxy): Promise<PlainSocket> {
  const client = new PlainSocket(proxy.target);
  await until(() => client.events.length > 0);
  return client;
}

describe('a proxy without faults', () => {
  test('forwards all bytes both ways, and counts them', async () => {
    const { server, proxy, client } = await linked();
    const now = performance.timeOrigin + performance.now();
    const megabyte = 'x'.repeat(1_048_576);

    await client.echo(megabyte);

    const bytes = 5 + megabyte.length;
    expect(client.received === `hello${megabyte}`).toBe(true);
    expect(server.receivedBytes).toBe(bytes);
    const { acceptedAt, rss, ...stats } = await proxy.stats();
    expect(stats).toEqual({ links: 1, accepted: 1, bytes: { toTarget: bytes, toClient: bytes } });
    expect(acceptedAt).toHaveLength(1);
    expect(Math.abs(now - acceptedAt[0]!)).toBeLessThan(10_000);
    expect(rss).toBeGreaterThan(1_000_000);
  });

  test('passes on a half close, and the other half when it comes', async () => {
    const { proxy, client, peer, heard } = await linked();

    client.socket.end('last');
    await client.receives(9);
    await until(() => heard.includes('end'));
    expect(client.events).toEqual(['connect']);
    peer.end('words');
    await client.waitFor('close');

    expect(client.received).toBe('hellolastwords');
    expect(client.events).toEqual(['connect', 'end', 'close']);
    await proxy.until(({ links }) => links === 0);
  });

  test('passes on an RST to the client', async () => {
    const { proxy, client, peer } = await linked();

    peer.resetAndDestroy();
    await client.waitFor('close');

    expect(client.events).toEqual(['connect', 'ECONNRESET', 'close']);
    await proxy.until(({ links }) => links === 0);
  });

  test('passes on an RST to the target', async () => {
    const { proxy, client, heard } = await linked();

    client.socket.resetAndDestroy();
    await until(() => heard.includes('close'));

    expect(heard).toEqual(['ECONNRESET', 'close']);
    await proxy.until(({ links }) => links === 0);
  });

  test('hangs up with an RST when the target refuses', async () => {
    const { server, proxy } = await linked();
    server.refuse();

    const client = await dial(proxy);
    await client.waitFor('close');

    expect(client.events).toContain('ECONNRESET');
  });

  test('makes a sender wait for a reader that does not read, and keeps little itself', async () => {
    const { server, proxy, client, peer } = await linked();
    const { rss } = await proxy.stats();
    const size = 64 * 1_048_576;
    server.mute();
    client.write(Buffer.alloc(size));

    // It goes on until every buffer on the way is full.
    let before = -1;
    const { bytes } = await proxy.until(({ bytes: { toTarget } }) => {
      const still = toTarget === before;
      before = toTarget;
      return still;
    });
    expect(bytes.toTarget).toBeLessThan(size / 2);
    expect((await proxy.stats()).rss - rss).toBeLessThan(size / 2);

    peer.resume();
    await server.until(() => server.receivedBytes === 5 + size);
  });

  test('stands between Unix sockets as well', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'proxy-'));
    try {
      const server = await Loopback.start({ echo: true, path: join(directory, 'server') });
      const proxy = await FaultProxy.start(server.target, { path: join(directory, 'proxy') });
      expect(proxy.target).toEqual({ path: join(directory, 'proxy') });
      const client = await PlainSocket.open(proxy.target);
      await client.echo('hello');
      expect(await proxy.cut('reset')).toBe(1);
      await client.waitFor('end');

      await proxy.down();
      expect((await dial(proxy)).events[0]).toBe('ENOENT');
      await proxy.up();
      await (await dial(proxy)).echo('again');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('a proxy can', () => {
  test('delay, each way by itself', async () => {
    const { server, proxy, client } = await linked();
    await proxy.set({ latency: 150 }, 'toClient');

    client.write('quick');
    await server.receives('quick');
    expect(client.received).toBe('hello');
    await client.receives(10);
    expect(await client.echo('slow')).toBeGreaterThanOrEqual(149);

    await proxy.set({ latency: 100 });
    expect(await client.echo('slower')).toBeGreaterThanOrEqual(198);
    await proxy.clear();
    // One at least is not delayed, whatever else the machine has to do.
    while ((await client.echo('quick')) >= 198);
  });

  test('delay many at once, one no longer than the other, in order', async () => {
    const { proxy, client } = await linked();
    await proxy.set({ latency: 50, jitter: 50 }, 'toTarget');
    const from = performance.now();
    const messages = Array.from({ length: 100 }, (_, number) => `<${number}>`);

    for (const message of messages) {
      client.write(message);
      // So that the proxy reads them one by one.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await client.receives(5 + messages.join('').length);

    expect(client.received).toBe(`hello${messages.join('')}`);
    expect(performance.now() - from).toBeGreaterThanOrEqual(49);
    expect(performance.now() - from).toBeLessThan(50 * messages.length);
  });

  test('slice to single bytes', async () => {
    const { proxy, client } = await linked();
    await proxy.set({ slice: 1, gap: 5 }, 'toClient');
    const before = client.reads.length;

    await client.echo('x'.repeat(40));

    expect(client.received).toBe(`hello${'x'.repeat(40)}`);
    expect(client.reads.length - before).toBeGreaterThan(20);
  });

  test('slow down to a rate', async () => {
    const { proxy, client } = await linked();
    await proxy.set({ rate: 50_000 }, 'toTarget');

    expect(await client.echo('x'.repeat(25_000))).toBeGreaterThanOrEqual(450);
    await proxy.set({ rate: 0 });
    while ((await client.echo('x'.repeat(25_000))) >= 450);
  });

  test('stall and go on, with nothing lost, not even the end', async () => {
    const { server, proxy, client, heard } = await linked();
    await proxy.set({ stall: true });

    client.socket.end('kept');
    expect(await client.isSilentFor(A_WHILE)).toBe(true);
    expect(server.text()).toBe('hello');
    expect(heard).toEqual([]);

    await proxy.set({ stall: false });
    await until(() => heard.includes('end'));
    await client.receives(9);
    expect(client.received).toBe('hellokept');
  });

  test('stall one direction only', async () => {
    const { server, proxy, client } = await linked();
    await proxy.set({ stall: true }, 'toClient');

    client.write('heard');
    await server.receives('heard');

    expect(await client.isSilentFor(A_WHILE)).toBe(true);
  });

  test('discard bytes and ends', async () => {
    const { server, proxy, client, peer, heard } = await linked();
    await proxy.set({ blackhole: true });

    client.write('lost');
    peer.write('lost');
    peer.end();
    expect(await client.isSilentFor(A_WHILE)).toBe(true);
    expect(server.text()).toBe('hello');

    await proxy.set({ blackhole: false });
    client.write('found');
    await server.receives('found');
    expect({ received: server.text(), heard, events: client.events }).toEqual({
      received: 'hellofound',
      heard: [],
      events: ['connect'],
    });
  });

  test('pass on the end late, and the bytes before it at once', async () => {
    const { proxy, client, peer } = await linked();
    await proxy.set({ lateClose: 300 });
    const from = performance.now();

    peer.end('bye');
    await client.receives(8);
    expect(client.events).toEqual(['connect']);
    await client.waitFor('end');

    expect(performance.now() - from).toBeGreaterThanOrEqual(299);
  });

  test('pass on an RST late', async () => {
    const { proxy, client, heard } = await linked();
    await proxy.set({ lateClose: 300 }, 'toTarget');
    const from = performance.now();

    client.socket.resetAndDestroy();
    await until(() => heard.includes('close'));

    expect(heard).toEqual(['ECONNRESET', 'close']);
    expect(performance.now() - from).toBeGreaterThanOrEqual(299);
  });

  describe.each<['end' | 'reset', string]>([
    ['end', 'end'],
    ['reset', 'ECONNRESET'],
  ])('cut with %s', (how, event) => {
    test('at once, on both sides, and the next link is whole', async () => {
      const { proxy, client, heard } = await linked();

      expect(await proxy.cut(how)).toBe(1);
      await Promise.all([client.waitFor(event), until(() => heard.includes(event))]);

      expect([client.events[1], heard[0]]).toEqual([event, event]);
      await (await dial(proxy)).echo('again');
    });

    test('when so many bytes have gone back, each link anew', async () => {
      const { server, proxy, client, heard } = await linked();
      await proxy.cutAfter(7, how, 'toClient');

      client.write('0123456789');
      await Promise.all([isCut(client, how), until(() => heard.includes(event))]);
      expect(client.received).toBe('hello0123456');
      expect(server.text(1)).toBe('hello0123456789');

      const other = await dial(proxy);
      await other.echo('01234');
      other.write('56789');
      await isCut(other, how);
      expect(other.received).toBe('0123456');
    });

    test('when so many bytes have gone there', async () => {
      const { server, proxy, client } = await linked();
      await proxy.cutAfter(7, how, 'toTarget');

      client.write('0123456789');
      await isCut(client, how);
      await server.until(() => server.receivedBytes === 12);

      expect(server.text()).toBe('hello0123456');
    });

    test('when so many bytes have gone either way', async () => {
      const { server, proxy, client } = await linked();
      await proxy.cutAfter(7, how);

      client.write('0123');
      await isCut(client, how);

      expect({ there: server.text(), back: client.received }).toEqual({ there: 'hello0123', back: 'hello012' });
    });

    test('and go down: links are cut and dials refused, until it is up again where it was', async () => {
      const { proxy, client } = await linked();
      const { target } = proxy;

      await proxy.down(how);
      await client.waitFor(event);
      expect((await dial(proxy)).events[0]).toBe('ECONNREFUSED');

      await proxy.up();
      expect(proxy.target).toEqual(target);
      await (await dial(proxy)).echo('again');
    });
  });

  test('go down and keep its links', async () => {
    const { proxy, client } = await linked();

    await proxy.down();

    expect((await dial(proxy)).events[0]).toBe('ECONNREFUSED');
    await client.echo('still here');
    expect(client.events).toEqual(['connect']);
  });

  test.each<['end' | 'reset', string]>([
    ['end', 'end'],
    ['reset', 'ECONNRESET'],
  ])('accept and hang up with %s', async (how, event) => {
    const { server, proxy } = await linked();
    await proxy.accept(how);

    const client = await dial(proxy);
    await client.waitFor(event);

    expect(server.accepted).toBe(1);
    await proxy.accept('forward');
    await (await dial(proxy)).echo('hello');
    expect((await proxy.stats()).accepted).toBe(3);
  });

  test('accept and never answer', async () => {
    const { server, proxy } = await linked();
    await proxy.accept('blackhole');

    const client = await dial(proxy);
    client.socket.end('anybody there?');

    expect(await client.isSilentFor(A_WHILE)).toBe(true);
    expect(client.events).toEqual(['connect']);
    expect(server.accepted).toBe(1);
    expect(await proxy.cut('reset')).toBe(2);
    await client.waitFor('ECONNRESET');
  });
});

describe('the process of a proxy can', () => {
  test('be stopped, so that only the kernel accepts, and continued', async () => {
    const { proxy, client } = await linked();

    await proxy.signal('SIGSTOP');
    client.write('held');
    const late = await PlainSocket.open(proxy.target);
    late.write('held, too');
    expect(await late.isSilentFor(A_WHILE)).toBe(true);
    expect(client.received).toBe('hello');

    await proxy.signal('SIGCONT');
    await Promise.all([client.receives(9), late.receives(9)]);
  });

  test('be killed, and another be started in its place', async () => {
    const { server, proxy, client, heard } = await linked();
    const { port } = proxy;

    await proxy.signal('SIGKILL');
    await Promise.all([client.waitFor('end'), until(() => heard.includes('end'))]);
    expect((await dial(proxy)).events[0]).toBe('ECONNREFUSED');
    await expect(proxy.stats()).rejects.toThrow();

    const another = await FaultProxy.start(server.target, { port, host: '127.0.0.1' });
    expect(another.port).toBe(port);
    await (await dial(another)).echo('again');
  });

  test.each<Direction>(['toTarget', 'toClient'])('keep a fault when another is set %s', async (direction) => {
    const { proxy, client } = await linked();
    await proxy.set({ latency: 60 }, direction);
    await proxy.set({ slice: 1 }, direction);

    expect(await client.echo('ab')).toBeGreaterThanOrEqual(59);
  });
});

describe('faults of the kernel', () => {
  test('are refused outside a private network, whatever is claimed', () => {
    const claims = [undefined, '', 'anything'];
    if (process.platform === 'linux') claims.push(network());
    for (const claim of claims) {
      if (claim === undefined) delete process.env['NETWORK_OUTSIDE'];
      else process.env['NETWORK_OUTSIDE'] = claim;
      expect(() => linkDown()).toThrow('private networks only');
    }
    delete process.env['NETWORK_OUTSIDE'];
  });

  const missing = namespacesMissing();
  const kernel = missing === undefined ? test : test.skip;
  const play = inPrivateNetwork<typeof kernelFaults>('scenarios/kernel-faults');

  describe(titled('in a private network', missing), () => {
    kernel.each<['to' | 'from' | 'both', string]>([
      ['to', 'hello'],
      ['from', 'hellolost?'],
      ['both', 'hello'],
    ])('partition(%s) is silent, and healed it has lost nothing', async (way, arrived) => {
      expect(await play('partition', way)).toEqual({
        silent: true,
        arrived,
        dialled: 'silence',
        afterwards: 'hellolost?',
        events: ['connect'],
      });
    });

    kernel('rejectWithReset: the next packet ends the session for one, and the other does not know', async () => {
      expect(await play('rejectWithReset')).toEqual({
        silent: true,
        events: ['connect', 'ECONNRESET', 'close'],
        live: 1,
        dialled: 'ECONNREFUSED',
        afterwards: 'connect',
      });
    });

    kernel('lose: packets are sent again, and no byte is lost', async () => {
      const { sentAgain, ...rest } = await play('lose', 30);
      expect(rest).toEqual({ events: ['connect'], receivedBytes: 45 });
      expect(sentAgain).toBeGreaterThan(0);
    });

    kernel('cutAfter: the session breaks in the middle', async () => {
      const { events, arrived } = await play('cutAfter', 2_000);
      // Where a write takes the error away from the read, the read finds an end.
      expect(events.filter((event) => event !== 'end')).toEqual(['connect', 'ECONNRESET', 'close']);
      // Each byte came in a packet of its own, with 52 bytes of headers; acknowledgements count too.
      expect(arrived).toBeGreaterThan(10);
      expect(arrived).toBeLessThan(40);
    });

    kernel.each<['server' | 'client', string, string]>([
      ['server', 'ECONNRESET', 'ECONNABORTED'],
      ['client', 'ECONNABORTED', 'ECONNRESET'],
    ])('killSockets(%s) ends one end with an error, and the other with an RST', async (whose, mine, theirs) => {
      expect(await play('killSockets', whose)).toEqual({
        killed: 1,
        events: ['connect', mine, 'close'],
        errors: [theirs],
        dialled: 'connect',
      });
    });

    kernel('killSockets leaves neither end', async () => {
      expect(await play('killSockets', 'both')).toMatchObject({ killed: 2, dialled: 'connect' });
    });

    kernel.each<['port-unreachable' | 'host-unreachable' | 'admin-prohibited', string]>([
      ['port-unreachable', 'ECONNREFUSED'],
      ['host-unreachable', 'EHOSTUNREACH'],
      ['admin-prohibited', 'EHOSTUNREACH'],
    ])('refuse(%s): a dial fails with %s, and a session survives', async (answer, dialled) => {
      expect(await play('refuse', answer)).toEqual({ dialled, silent: true, events: ['connect'] });
    });

    kernel('ephemeralPorts: when they are used up, a dial fails', async () => {
      const { opened, last } = await play('fewPorts');
      expect(opened).toBeGreaterThan(0);
      expect(opened).toBeLessThanOrEqual(10);
      expect(last).toBe('EADDRNOTAVAIL');
    });

    kernel('ephemeralPorts: a socket that is given the port it dials talks to itself', async () => {
      expect(await play('selfConnect')).toEqual({ localPort: 41_000, remotePort: 41_000, echo: 'me?' });
    });

    kernel('linkDown: a session outlives it', async () => {
      expect(await play('linkDown')).toMatchObject({ silent: true, afterwards: 'hellolater', events: ['connect'] });
    });

    kernel('limitRetransmissions: the kernel gives up soon', async () => {
      expect(await play('limitRetransmissions')).toEqual({
        established: ['connect', 'ETIMEDOUT', 'close'],
        dialled: ['ETIMEDOUT', 'close'],
      });
    });

    kernel('route and assign: each kind has its error', async () => {
      expect(await play('routes')).toEqual({
        none: 'ENETUNREACH',
        blackhole: 'EINVAL',
        unreachable: 'EHOSTUNREACH',
        prohibit: 'EACCES',
        unrouted: 'ENETUNREACH',
        assigned: 'ECONNREFUSED',
        unassigned: 'ENETUNREACH',
      });
    });

    kernel('a scene that fails says why', async () => {
      // @ts-expect-error there is no such scene
      await expect(play('nothing')).rejects.toThrow('There is no nothing in');
    });
  });
});
