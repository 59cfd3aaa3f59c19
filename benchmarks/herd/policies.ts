import { defaultBackoff, exponentialBackoff } from '../../lib/options/backoff';
import { defaultCandidate } from './candidates';
import { KERNEL_TIMEOUT, OUR_TIMEOUT } from './network';
import type { Policy } from './policy';

/** The library's default. */
export const ours: Policy = {
  name: 'reconnecting-connection',
  origin: '`defaultBackoff()`',
  waits: defaultCandidate()?.waits ?? 'by a rule that is no candidate',
  backoff: (random) => defaultBackoff({ random }),
  connectTimeout: OUR_TIMEOUT,
};

/** connman 1.0.0 after a session: it doubles the wait before each use, until it is longer than 128 s. */
const connman: Policy = {
  name: 'connman',
  origin: 'connman 1.0.0, `lib/connman.js`',
  waits: '100 ms doubling to 204.8 s, no jitter, no connect timeout',
  backoff:
    () =>
    ({ attempt }) =>
      Math.min(50 * 2 ** Math.min(attempt, 12), 204_800),
  connectTimeout: KERNEL_TIMEOUT,
};

/** 1, 1, 2, 3, 5, 8, 13, 21, then 30 s: the waits that reconnect-core takes from `backoff` by default. */
const reconnectNet: Policy = {
  name: 'reconnect-net',
  origin: 'reconnect-net 1.1.1, with `reconnect-core` and `backoff`',
  waits: "Fibonacci's numbers from 1 s to 30 s, no jitter, no connect timeout",
  backoff: () => {
    const waits = [1, 1, 2, 3, 5, 8, 13, 21, 30];
    return ({ attempt }) => 1_000 * (waits[attempt - 1] ?? 30);
  },
  connectTimeout: KERNEL_TIMEOUT,
};

/**
 * The algorithm of the document: it dials at once, then after 1 s, then at intervals that grow by 1.6, ± 20 %. They count
 * from the start of a dial, which has 20 s (`MIN_CONNECT_TIMEOUT`).
 */
const grpc: Policy = {
  name: 'gRPC',
  origin: 'gRPC Connection Backoff Protocol (`doc/connection-backoff.md`)',
  waits: 'at once, then 1 s growing by 1.6 to 120 s, ± 20 %',
  backoff:
    (random) =>
    ({ attempt }) => {
      if (attempt === 1) return 0;
      if (attempt === 2) return 1_000;
      const interval = Math.min(1_000 * 1.6 ** (attempt - 2), 120_000);
      return interval * (0.8 + 0.4 * random());
    },
  connectTimeout: 20_000,
  waitsFrom: 'start',
};

/**
 * Its `contrib/backo2`: one random number decides the size of the jitter and, by its first digit, the sign. The cap is
 * applied afterwards, so that later waits are often exactly 5 s.
 */
const socketIo: Policy = {
  name: 'socket.io',
  origin: 'socket.io-client 4, `Manager` with its defaults',
  waits: '1 s doubling to 5 s, ± 50 % before the cap',
  backoff:
    (random) =>
    ({ attempt }) => {
      const wait = 1_000 * 2 ** Math.min(attempt - 1, 20);
      const chance = random();
      const sign = Math.floor(chance * 10) % 2 === 0 ? -1 : 1;
      return Math.min(Math.floor(wait * (1 + (sign * chance) / 2)), 5_000);
    },
  connectTimeout: 20_000,
};

const AWS = { base: 100, cap: 30_000 } as const;
const AWS_POST = 'Marc Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015)';

function aws(jitter: 'full' | 'equal', waits: string): Policy {
  return {
    name: `AWS ${jitter}`,
    origin: AWS_POST,
    waits: `${waits} 100 ms doubling to 30 s`,
    backoff: (random) =>
      exponentialBackoff({ initialDelay: AWS.base, maxDelay: AWS.cap, multiplier: 2, jitter, random }),
    connectTimeout: OUR_TIMEOUT,
  };
}

/** As published: cut off at the cap. The library's own `'decorrelated'` jitter draws again instead. */
const awsDecorrelated: Policy = {
  name: 'AWS decorrelated',
  origin: AWS_POST,
  waits: '100 ms up to three times the wait before, 30 s at most',
  backoff:
    (random) =>
    ({ previousDelay = AWS.base }) =>
      Math.min(AWS.cap, AWS.base + random() * (3 * previousDelay - AWS.base)),
  connectTimeout: OUR_TIMEOUT,
};

/** The policies to compare with the library's default. */
export const others: readonly Policy[] = [
  connman,
  reconnectNet,
  grpc,
  socketIo,
  aws('full', 'anything up to'),
  aws('equal', 'between half and all of'),
  awsDecorrelated,
];
