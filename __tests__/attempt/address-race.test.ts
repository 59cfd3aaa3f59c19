import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { AddressRace } from '../../lib/attempt/address-race';
import type { JoinGate } from '../../lib/attempt/dial-gate';
import { ReconnectingConnection } from '../../lib/connection';
import type { MemberOptions, SocketOptions } from '../../lib/options/options';
import { type Transport, clearHandler, ignore } from '../../lib/socket/transport';
import { type DeafServer, startDeaf } from '../conformance/cases/deaf';
import { loadCertificates } from '../kit/certificates';
import { Loopback, QUICK, connectTo, next, payload, track } from '../kit/loopback';
import { ScriptedLink, pass, useFakeClock } from '../kit/scripted';

const found = (...addresses: string[]): LookupAddress[] => addresses.map((address) => ({ address, family: 4 }));

function answering(...addresses: string[]): Pick<SocketOptions, 'lookup'> {
  return { lookup: (_name, _options, callback) => void setImmediate(callback, null, found(...addresses)) };
}

describe('the sockets of a race', () => {
  beforeEach(useFakeClock);
  afterEach(() => jest.useRealTimers());

  /** To three addresses, 250 ms apart. */
  class Dial {
    readonly links: ScriptedLink[] = [];
    readonly dialled: string[] = [];
    winner: Transport | undefined;
    since = -1;
    error: Error | undefined;
    isBroken = false;

    start(ref = true): AddressRace {
      return new AddressRace({
        target: { host: 'three.test', port: 9 },
        addresses: found('10.0.0.1', '10.0.0.2', '10.0.0.3'),
        delay: 250,
        ref,
        open: ({ address }) => {
          if (this.isBroken) throw new Error('no');
          const link = new ScriptedLink(new AbortController().signal);
          this.links.push(link);
          this.dialled.push(address);
          const duplex: Duplex = link;
          return duplex;
        },
        onConnect: (transport, since) => {
          clearHandler(transport);
          this.winner = transport;
          this.since = since;
        },
        onFailure: (error) => (this.error = error),
      });
    }

    get destroyed(): boolean[] {
      return this.links.map(({ destroyed }) => destroyed);
    }
  }

  it('are opened 250 ms apart, and all of them stay', async () => {
    const dial = new Dial();
    dial.start();
    expect(dial.dialled).toEqual(['10.0.0.1']);
    await pass(249);
    expect(dial.dialled).toHaveLength(1);
    await pass(1);
    expect(dial.dialled).toEqual(['10.0.0.1', '10.0.0.2']);
    await pass(250);
    expect(dial.dialled).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    await pass(60_000);
    expect([dial.destroyed, dial.error, jest.getTimerCount()]).toEqual([[false, false, false], undefined, 0]);
  });

  it.each([0, 1, 2])('are destroyed but for the one that connects first (%d)', async (first) => {
    const dial = new Dial();
    const began = performance.now();
    const race = dial.start();
    await pass(500);
    dial.links[first]?.connect();
    expect(dial.destroyed).toEqual([0, 1, 2].map((each) => each !== first));
    expect([dial.winner === dial.links[first], dial.since - began]).toEqual([true, first * 250]);
    for (const link of dial.links) if (link.destroyed) link.emit('error', new Error('late'));
    race.clear();
    await pass(1_000);
    expect([dial.links.length, dial.winner?.destroyed, dial.error]).toEqual([3, false, undefined]);
  });

  it('are no more than the first where that connects in time', async () => {
    const dial = new Dial();
    dial.start();
    await pass(100);
    dial.links[0]?.connect();
    expect(jest.getTimerCount()).toBe(0);
    await pass(1_000);
    expect(dial.links).toHaveLength(1);
  });

  it('are opened at once after one that fails, and again 250 ms later', async () => {
    const dial = new Dial();
    dial.start();
    await pass(100);
    dial.links[0]?.fail('ECONNREFUSED');
    await pass(1);
    expect(dial.links).toHaveLength(2);
    await pass(248);
    expect(dial.links).toHaveLength(2);
    await pass(2);
    expect([dial.links.length, dial.error]).toEqual([3, undefined]);
  });

  it('fail together when the last of them has, with the code of the first that did', async () => {
    const dial = new Dial();
    dial.start();
    await pass(500);
    dial.links[1]?.fail('EHOSTUNREACH');
    dial.links[2]?.fail('ECONNREFUSED');
    await pass(1_000);
    expect(dial.error).toBeUndefined();
    dial.links[0]?.fail('ETIMEDOUT');
    await pass(1);
    expect(dial.error).toBeInstanceOf(AggregateError);
    expect(dial.error).toMatchObject({
      code: 'EHOSTUNREACH',
      message: 'scripted EHOSTUNREACH; scripted ECONNREFUSED; scripted ETIMEDOUT',
      errors: [{ code: 'EHOSTUNREACH' }, { code: 'ECONNREFUSED' }, { code: 'ETIMEDOUT' }],
    });
  });

  it('are all destroyed when the attempt ends, and none is opened afterwards', async () => {
    const dial = new Dial();
    const race = dial.start();
    await pass(250);
    race.clear();
    expect([dial.destroyed, jest.getTimerCount()]).toEqual([[true, true], 0]);
    dial.links[0]?.emit('error', new Error('late'));
    dial.links[1]?.connect();
    await pass(1_000);
    expect([dial.links.length, dial.winner, dial.error]).toEqual([2, undefined, undefined]);
  });

  it('are destroyed when one cannot even be made', async () => {
    const dial = new Dial();
    dial.start();
    dial.isBroken = true;
    await pass(250);
    expect([dial.destroyed, dial.error?.message, jest.getTimerCount()]).toEqual([[true], 'no', 0]);
  });

  it.each([true, false])('keep the process alive or not, as the connection does: %s', async (ref) => {
    const dial = new Dial();
    const race = dial.start(ref);
    await pass(250);
    expect(dial.links.map(({ referenced }) => referenced)).toEqual([ref, ref]);
    race.setRef(!ref);
    await pass(250);
    expect(dial.links.map(({ referenced }) => referenced)).toEqual([!ref, !ref, !ref]);
    race.clear();
  });
});

describe('a name', () => {
  let deaf: DeafServer | undefined;
  afterEach(async () => {
    jest.restoreAllMocks();
    await deaf?.destroy();
    deaf = undefined;
  });

  /** 127.0.0.2 gives no answer at the port of a server at 127.0.0.3. */
  async function halfDeaf(options: Parameters<typeof Loopback.start>[0] = {}): Promise<Loopback> {
    deaf = await startDeaf({ host: '127.0.0.2' });
    return Loopback.start({ host: '127.0.0.3', port: portOf(deaf), ...options });
  }

  const portOf = ({ target }: DeafServer) => ('port' in target ? target.port : 0);

  /** Opens a connection to this name, and says how. */
  async function opens(port: number, options: MemberOptions, host = 'two.test') {
    const began = performance.now();
    const connection = connectTo({ target: { host, port } }, options);
    const { remoteAddress, attempts } = await payload(connection, 'open');
    return { connection, remoteAddress, attempts, took: performance.now() - began };
  }

  /** The sockets that are dialled from now on. */
  function watchDials(): readonly Socket[] {
    // `as`: the method is theirs.
    return jest.spyOn(Socket.prototype, 'connect').mock.contexts as Socket[];
  }

  test('costs one delay where its first address is dead, and the socket to that is destroyed', async () => {
    const server = await halfDeaf();
    const sockets = watchDials();
    const both = answering('127.0.0.2', '127.0.0.3');
    const ways: SocketOptions[] = [
      {},
      { family: 4 },
      { localAddress: '127.0.0.1' },
      { autoSelectFamilyAttemptTimeout: 400 },
    ];
    const opened = await Promise.all(ways.map((way) => opens(server.port, { socket: { ...way, ...both } })));

    for (const each of opened) expect(each).toMatchObject({ remoteAddress: '127.0.0.3', attempts: 1 });
    // A timer may be early by as much as a millisecond.
    for (const { took } of opened) expect(took).toBeGreaterThan(240);
    expect(opened[3]?.took).toBeGreaterThan(390);
    expect([sockets.length, sockets.filter(({ destroyed }) => destroyed).length]).toEqual([8, 4]);
    opened[2]?.connection.write('hello');
    await server.receives('hello');
    expect(server.accepted).toBe(4);
  });

  test('is opened by its last address too, where connectTimeout is short', async () => {
    deaf = await startDeaf({ host: '127.0.0.2' });
    const server = await Loopback.start({ host: '127.0.0.3', port: portOf(deaf) });
    const ways = [{ connectTimeout: 240 }, { connectTimeout: 0, maxRetries: 0 }];
    const opened = await Promise.all(
      ways.map((way) => opens(server.port, { socket: answering('127.0.0.2', '127.0.0.3'), backoff: () => 10, ...way })),
    );

    for (const each of opened) expect(each.remoteAddress).toBe('127.0.0.3');
    // None for none: then the delay is the usual one.
    expect(opened[1]?.took).toBeGreaterThan(240);
  });

  test('is opened by an address that needs a second, also where that is not the last', async () => {
    deaf = await startDeaf({ host: '127.0.0.2' });
    const opening = opens(portOf(deaf), { socket: answering('127.0.0.2', '127.0.0.3') });
    // Its first packet was dropped, and the system sends it again after a second.
    setTimeout(() => deaf?.resume(), 400);
    const { remoteAddress, attempts, took } = await opening;

    expect([remoteAddress, attempts]).toEqual(['127.0.0.2', 1]);
    expect(took).toBeGreaterThan(500);
  });

  test('has TLS over the one socket that connects, for the name', async () => {
    const { server: pem, ca } = await loadCertificates();
    const server = await halfDeaf({ tls: pem });
    const options = { tls: { ca: ca.cert }, socket: answering('127.0.0.2', '127.0.0.3') };
    const opened = await opens(server.port, options, 'localhost');

    expect(opened).toMatchObject({ remoteAddress: '127.0.0.3', attempts: 1 });
    expect(opened.connection.socket).toMatchObject({ authorized: true, servername: 'localhost' });
  });

  test('whose first address accepts and fails in TLS is one failed attempt: another is dialled only before that', async () => {
    const { server: pem } = await loadCertificates();
    const first = await Loopback.start({ host: '127.0.0.2', tls: pem });
    const second = await Loopback.start({ host: '127.0.0.3', port: first.port, tls: pem });
    const socket = answering('127.0.0.2', '127.0.0.3');
    const connection = connectTo(
      { target: { host: 'two.test', port: first.port } },
      { tls: {}, socket, backoff: () => 60_000 },
    );

    expect(await payload(connection, 'backoff')).toMatchObject({ attempt: 1, reason: 'error' });
    expect(second.accepted).toBe(0);
  });

  test('has one address with `autoSelectFamily: false`: the first', async () => {
    const server = await Loopback.start({ host: '127.0.0.3' });
    const connection = connectTo(
      { target: { host: 'two.test', port: server.port } },
      { socket: { autoSelectFamily: false, ...answering('127.0.0.2', '127.0.0.3') }, backoff: () => 60_000 },
    );
    const { error } = await payload(connection, 'backoff');

    expect(error).toMatchObject({ code: 'ECONNREFUSED', address: '127.0.0.2' });
  });

  test('leaves no socket behind when the attempt is given up', async () => {
    deaf = await startDeaf({ host: '0.0.0.0' });
    const sockets = watchDials();
    const socket = { autoSelectFamilyAttemptTimeout: 10, ...answering('127.0.0.2', '127.0.0.3') };
    const connect = (options?: MemberOptions) =>
      connectTo({ target: { host: 'two.test', port: portOf(deaf!) } }, { socket, ...options });
    const [destroyed, disconnected] = [connect(), connect()];
    const timedOut = next(connect({ connectTimeout: 100, maxRetries: 0 }), 'close');
    while (sockets.length < 6) await new Promise(setImmediate);
    destroyed.destroy();
    await Promise.all([disconnected.disconnect(), timedOut]);

    expect(sockets.map((each) => each.destroyed)).toEqual(Array(6).fill(true));
  });

  test('is not dialled when the attempt has ended before the look-up answers', async () => {
    const sockets = watchDials();
    let answer: () => void = ignore;
    const connection = connectTo(
      { target: { host: 'two.test', port: 9 } },
      {
        connectTimeout: 20,
        maxRetries: 0,
        socket: {
          lookup: (_name, _options, callback) => {
            answer = () => callback(null, found('127.0.0.2', '127.0.0.3'));
          },
        },
      },
    );
    const { error } = await payload(connection, 'close');
    answer();

    expect(error?.cause).toMatchObject({ message: 'No answer from two.test:9 within 20 ms' });
    expect(sockets).toEqual([]);
  });

  test('of several addresses is not hedged beside that, and one with a single address is', async () => {
    const server = await halfDeaf();
    const connected: number[] = [];
    const joinGate: JoinGate = () => ({
      refusedAt: 0,
      acquire: () => Promise.resolve({ ok: true, slowAfter: 20 }),
      connected: (took) => connected.push(took),
      failed: ignore,
      release: ignore,
      takeTurn: () => ignore,
      close: ignore,
    });
    const opensBy = async (...addresses: string[][]) => {
      const sockets = watchDials();
      const connection = track(
        new ReconnectingConnection(
          {
            ...QUICK,
            host: 'two.test',
            port: server.port,
            socket: {
              lookup: (_name, _options, callback) => callback(null, found(...(addresses.shift() ?? []))),
            },
          },
          { joinGate },
        ),
      );
      await once(connection, 'open');
      jest.restoreAllMocks();
      return sockets.length;
    };

    const began = performance.now();
    expect(await opensBy(['127.0.0.2', '127.0.0.3'])).toBe(2);
    // The time of the one that connected, and not of the race.
    expect(connected[0]).toBeLessThan(performance.now() - began - 240);
    expect(await opensBy(['127.0.0.2'], ['127.0.0.3', '127.0.0.2'])).toBe(2);
  });
});
