import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';

import type { CommonOptions, ConnectionOptions, Handshake } from 'reconnecting-connection';

import { failingPool, failuresWithWaiters, oneSignal, passingConnections, passingMembers } from './crowds';
import { type Cycle, cycle } from './cycles';
import { sip } from './flood';
import { endedLives, hangingAttempts, pastSessions } from './garbage';
import type { Finding } from './measure';
import { offer, offerSmall } from './mute';
import { Peer, type PeerWish } from './peer';

/** Something that must not grow, to be measured in a fresh process that was started with `--expose-gc`. */
export interface Leak {
  readonly name: string;
  /** How often, or how much, in the default tests. */
  readonly short: number;
  /** How often, or how much, in the long run. */
  readonly full: number;
  readonly measure: (count: number) => Promise<Finding>;
}

const HELLO = Buffer.from('hello');
/** More than the buffers of two sockets take: part of it is under way when the peer ends the session. */
const BULK = Buffer.alloc(8_388_608, 'x');
/** Nobody listens there, and no socket is ever bound to it by chance. */
const REFUSED: ConnectionOptions = { port: 1 };
const TIMERS: CommonOptions = {
  idleTimeout: 60_000,
  heartbeat: { interval: 60_000, ping: () => {} },
  queue: { maxAge: 60_000 },
};
const DECODER: CommonOptions = {
  decoder: () => new Transform({ transform: (chunk: Buffer, _encoding, done) => done(null, chunk) }),
};

const failing: Handshake = () => Promise.reject(new Error('unwelcome'));
const patient: Handshake = async (socket, { signal }) => {
  socket.write(HELLO);
  await once(socket, 'data', { signal });
};
const endless: Handshake = () => new Promise(() => {});

/** Sessions and dials that end, again and again. */
const cycles: readonly Leak[] = [
  leak('sessions reset by the peer', 1_500, 100_000, losing({ how: 'reset' }, { hello: HELLO })),
  leak('sessions ended by the peer', 1_000, 100_000, losing({ how: 'end' }, { hello: HELLO })),
  leak('sessions over a Unix socket', 750, 100_000, losing({ how: 'end', path: path() }, { hello: HELLO })),
  leak('sessions with a decoder', 500, 50_000, losing({ how: 'reset' }, { hello: HELLO, options: DECODER })),
  leak('sessions with timers', 500, 50_000, losing({ how: 'end' }, { hello: HELLO, options: TIMERS })),
  leak(
    'sessions that reuse a buffer',
    500,
    50_000,
    losing({ how: 'reset' }, { hello: HELLO, options: { reuseReadBuffer: true } }),
  ),
  leak('sessions with writes under way', 150, 5_000, losing({ how: 'reset' }, { hello: BULK })),
  leak('TLS sessions', 150, 10_000, losing({ how: 'end', tls: 'trusted' }, { hello: HELLO })),
  leak('C102 certificates that are not trusted', 500, 10_000, losing({ how: 'hold', tls: 'untrusted' })),
  leak('dials cut at once', 500, 50_000, losing({ how: 'reset-at-once' })),
  leak('dials refused', 1_500, 100_000, (count) => cycle(count, { options: REFUSED })),
  leak('handshakes that fail', 500, 50_000, losing({ how: 'hold' }, { options: { handshake: failing } })),
  leak('handshakes that the peer ends', 500, 50_000, losing({ how: 'end' }, { options: { handshake: patient } })),
  leak(
    'handshakes that time out',
    30,
    2_000,
    losing({ how: 'hold' }, { options: { handshake: endless, connectTimeout: 10 } }),
  ),
];

/** Objects that nobody needs any more. */
const garbage: readonly Leak[] = [
  leak('C104 lives that have ended', 3, 50, withPeer({ how: 'hold' }, endedLives)),
  leak('past sessions', 50, 2_000, withPeer({ how: 'reset' }, pastSessions)),
  leak('attempts without an answer', 30, 500, hangingAttempts),
  leak('one signal for all', 500, 10_000, withPeer({ how: 'hold' }, oneSignal)),
];

/** Bytes, in mebibytes, that one end cannot keep up with. */
const pressure: readonly Leak[] = [
  leak('C86 offered to a mute peer', 32, 1_024, offering({ how: 'mute' })),
  leak('C86 offered to a stopped peer', 32, 1_024, offering({ how: 'hold' }, true)),
  leak('C86 offered to a mute peer with TLS', 32, 1_024, offering({ how: 'mute', tls: 'trusted' })),
  leak('C81 offered while it is down', 32, 1_024, (count) => offer(REFUSED, 'backoff', count)),
  leak('writes of one byte while it is down', 140_000, 1_000_000, (count) => offerSmall(REFUSED, count)),
  leak('flood into a slow consumer', 32, 1_024, sipping({ how: 'flood' }, 'data')),
  leak('flood into a slow consumer of messages', 16, 512, sipping({ how: 'flood' }, 'message')),
  leak('flood over resets', 32, 1_024, sipping({ how: 'flood', cutAfter: 8_388_608 }, 'data')),
  leak('flood over sessions lost while paused', 32, 1_024, sipping({ how: 'flood' }, 'data', 2)),
];

/** Many that come and go. */
const crowds: readonly Leak[] = [
  leak('failures while many wait', 500, 10_000, (count) => failuresWithWaiters(REFUSED, count)),
  leak('C93 a pool whose members fail', 500, 100_000, (count) => failingPool(REFUSED, count)),
  leak('members of a pool that come and go', 500, 10_000, withPeer({ how: 'hold' }, passingMembers)),
  leak('connections of a registry', 500, 10_000, withPeer({ how: 'hold' }, passingConnections)),
];

/** All of them. */
export const leaks: readonly Leak[] = [...cycles, ...garbage, ...pressure, ...crowds];

function leak(name: string, short: number, full: number, measure: Leak['measure']): Leak {
  return { name, short, full, measure };
}

/** Measures against a server in a process of its own. */
function withPeer(wish: PeerWish, measure: (target: ConnectionOptions, count: number, peer: Peer) => Promise<Finding>) {
  return async (count: number): Promise<Finding> => {
    const peer = await Peer.start(wish);
    try {
      return await measure(peer.target, count, peer);
    } finally {
      await peer.end();
    }
  };
}

function losing(
  wish: PeerWish,
  { options, hello }: { options?: CommonOptions; hello?: Cycle['hello'] } = {},
): Leak['measure'] {
  return withPeer(wish, (target, count) =>
    cycle(count, { options: { ...target, ...options }, ...(hello !== undefined && { hello }) }),
  );
}

function offering(wish: PeerWish, stopped = false): Leak['measure'] {
  return withPeer(wish, (target, count, peer) => {
    // Its kernel still accepts.
    if (stopped) peer.stop();
    return offer(target, 'open', count);
  });
}

function sipping(wish: PeerWish, event: 'data' | 'message', lossEvery?: number): Leak['measure'] {
  return withPeer(wish, (target, count) => sip(target, event, count, lossEvery));
}

function path(): string {
  return join(tmpdir(), `reconnecting-connection-${process.pid}.sock`);
}
