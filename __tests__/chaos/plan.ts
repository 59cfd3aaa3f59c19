import type { Fault } from './network';
import { Random } from '../kit/random';

/** What the application wants of one write. */
export interface Will {
  readonly maxAge?: number;
  /** Milliseconds after which its signal is aborted; 0 for one that is aborted already. */
  readonly abortAfter?: number;
  readonly key?: string;
  readonly urgent: boolean;
}

/** A call of the application's. */
export type Call =
  | {
      readonly do: 'write';
      readonly size: number;
      readonly as: 'buffer' | 'string' | 'hex';
      /** Chunks that it is an array of; 1 for one that is no array. */
      readonly parts: number;
      readonly told: boolean;
      readonly will: Will | undefined;
    }
  | { readonly do: 'reconnect'; readonly delay: number | undefined }
  | { readonly do: 'fail'; readonly how: 'error' | 'text' | 'nothing' }
  | { readonly do: 'whenOpen'; readonly attempts: number; readonly abortAfter: number }
  | {
      readonly do:
        | 'connect'
        | 'replace'
        | 'disconnect'
        | 'destroy'
        | 'markHealthy'
        | 'pause'
        | 'resume'
        | 'ref'
        | 'unref'
        | 'abort'
        | 'inspect'
        | 'clearQueue'
        | 'listen'
        | 'throw';
    };

/** One thing that happens. */
export type Action =
  | Call
  | { readonly do: 'fault'; readonly fault: Fault; readonly server: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'freeze'; readonly ms: number };

export interface Step {
  readonly action: Action;
  /** Microtasks until the next step; null for as many as there are, with all else that is due. */
  readonly hops: number | null;
}

/** Where the application's own code runs, and so where it may call back into the connection. */
export const PLACES = [
  'open',
  'data',
  'message',
  'reset',
  'backoff',
  'drain',
  'drop',
  'state',
  'close',
  'told',
  'delay',
  'judge',
  'ping',
  'target',
  'dial',
  'handshake',
] as const;

export type Place = (typeof PLACES)[number];

/** When the application's code at `place` runs for the `nth` time, it makes this call. */
export interface Impulse {
  readonly place: Place;
  readonly nth: number;
  readonly call: Call;
}

/** What the connection is set up with, as plain data. */
export interface Setup {
  readonly servers: number;
  readonly chatter: number;
  readonly backoff: 'default' | 'constant' | 'connman' | 'full' | 'equal' | 'decorrelated' | 'none' | 'junk';
  readonly minUptime: number;
  readonly maxRetries: number;
  readonly maxElapsed: number;
  readonly maxLifetime: number;
  readonly connectTimeout: number;
  readonly closeTimeout: number;
  readonly idleTimeout: number;
  readonly writeTimeout: number;
  readonly heartbeat: { readonly interval: number; readonly timeout: number; readonly idle?: boolean } | undefined;
  /** Whether a session goes on for writes after the peer's end. */
  readonly halfOpen: boolean;
  /** Whether nobody listens to `data` and `message` before the application calls `listen`. */
  readonly listensLate: boolean;
  readonly maxBytes: number;
  readonly maxAge: number;
  readonly overflow: 'refuse' | 'drop-oldest';
  readonly handshake: 'none' | 'readable' | 'flowing';
  readonly decoder: 'none' | 'lines' | 'slow' | 'faulty';
  /** `list`: all servers, in order of preference. */
  readonly target: 'fixed' | 'sync' | 'async' | 'list';
  readonly failback: { readonly interval: number; readonly successes: number } | undefined;
  /** Share of dials that fail in a way of their own: thrown, rejected, late, no stream at all. */
  readonly oddDials: number;
  readonly shouldRetry: 'always' | 'odd';
  readonly signal: boolean;
  readonly autoConnect: boolean;
  readonly ending: 'disconnect' | 'destroy' | 'abort';
}

/** A setup in which nothing goes wrong by itself. */
export const PLAIN: Setup = {
  servers: 1,
  chatter: 0,
  backoff: 'constant',
  minUptime: 0,
  maxRetries: Infinity,
  maxElapsed: Infinity,
  maxLifetime: Infinity,
  connectTimeout: 500,
  closeTimeout: 100,
  idleTimeout: 0,
  writeTimeout: 0,
  heartbeat: undefined,
  halfOpen: false,
  listensLate: false,
  maxBytes: 1_048_576,
  maxAge: Infinity,
  overflow: 'refuse',
  handshake: 'none',
  decoder: 'none',
  target: 'fixed',
  failback: undefined,
  oddDials: 0,
  shouldRetry: 'always',
  signal: false,
  autoConnect: true,
  ending: 'destroy',
};

/** All that a run needs, and nothing of it depends on how the run goes. */
export interface Plan {
  readonly seed: number;
  readonly setup: Setup;
  readonly impulses: readonly Impulse[];
  readonly steps: readonly Step[];
}

const WEIGHTS = {
  write: 40,
  whenOpen: 4,
  connect: 4,
  disconnect: 2,
  destroy: 1,
  reconnect: 5,
  replace: 5,
  fail: 2,
  clearQueue: 1,
  listen: 2,
  markHealthy: 3,
  pause: 3,
  resume: 6,
  ref: 2,
  unref: 2,
  abort: 0.1,
  inspect: 1,
  throw: 0,
} satisfies Record<Call['do'], number>;

/** What the application may call, from without or from within. */
// `as`: the names are those of the object above.
export const CALLS = (Object.keys(WEIGHTS) as Call['do'][]).filter((name) => name !== 'throw');

const FAULTS: Record<Fault, number> = {
  fin: 4,
  rst: 4,
  half: 3,
  cutShort: 3,
  send: 10,
  flood: 2,
  partition: 2,
  heal: 6,
  refuse: 2,
  ignore: 1,
  acceptFin: 1,
  acceptRst: 1,
  acceptPart: 1,
  acceptSelf: 0.5,
  accept: 12,
  mute: 2,
  answer: 4,
  stall: 3,
  unstall: 6,
  rude: 1,
  slow: 2,
  fast: 2,
  thinSlices: 1,
  thickSlices: 1,
  crash: 2,
  restart: 2,
};

/** Makes a plan: the same seed, the same plan. */
export function planOf(seed: number, steps: number): Plan {
  const random = new Random(seed);
  const setup = setupOf(random.fork(1));
  const chance = random.fork(2);
  const impulses = Array.from({ length: chance.of([0, 0, 2, 6, 12]) }, (): Impulse => ({
    place: chance.of(PLACES),
    nth: chance.integer(1, 12),
    call: chance.chance(0.2) ? { do: 'throw' } : callOf(chance, setup),
  }));
  return {
    seed,
    setup,
    impulses,
    steps: Array.from({ length: steps }, () => ({
      action: actionOf(chance, setup),
      hops: chance.chance(0.3) ? chance.integer(0, 10) : null,
    })),
  };
}

function setupOf(random: Random): Setup {
  const handshake = random.of(['none', 'none', 'readable', 'flowing'] as const);
  const oddDials = random.of([0, 0, 0.2]);
  const target = random.of(['fixed', 'fixed', 'sync', 'async', 'list', 'list'] as const);
  const idleTimeout = random.of([0, 0, 700, 5_000, 40_000]);
  // Without a bound an attempt may wait for ever for what never answers, so there must be nothing of the kind.
  const unbounded = handshake === 'none' && oddDials === 0 && random.chance(0.1);
  return {
    servers: target === 'fixed' ? 1 : target === 'list' ? random.integer(2, 3) : 2,
    // A peer that is to be judged by its silence is one that is known to speak.
    chatter: idleTimeout > 0 ? idleTimeout / 2 : random.of([0, 0, 600, 4_000]),
    backoff: random.of(['default', 'constant', 'connman', 'full', 'equal', 'decorrelated', 'none', 'junk'] as const),
    minUptime: random.of([0, 50, 5_000]),
    maxRetries: random.chance(0.8) ? Infinity : random.integer(0, 6),
    maxElapsed: random.chance(0.85) ? Infinity : random.of([0, 500, 5_000, 60_000]),
    maxLifetime: random.chance(0.75) ? Infinity : random.of([50, 1_000, 20_000]),
    connectTimeout: unbounded ? 0 : random.of([50, 500, 3_000, 10_000]),
    closeTimeout: random.of([0, 20, 500, 2_000]),
    idleTimeout,
    heartbeat: random.of([
      undefined,
      undefined,
      { interval: 500, timeout: 500 },
      { interval: 400, timeout: 1_500 },
      { interval: 5_000, timeout: 700 },
      { interval: 700, timeout: 2_000, idle: true },
      { interval: 600, timeout: Infinity, idle: true },
    ]),
    writeTimeout: random.of([0, 0, 800, 10_000]),
    halfOpen: random.chance(0.2),
    listensLate: random.chance(0.2),
    maxBytes: random.of([0, 64, 1_000, 20_000, 1_048_576, Infinity]),
    maxAge: random.of([Infinity, Infinity, 1, 300, 8_000]),
    overflow: random.of(['refuse', 'refuse', 'drop-oldest'] as const),
    handshake,
    decoder: random.of(['none', 'none', 'none', 'lines', 'slow', 'faulty'] as const),
    target,
    failback:
      target === 'list' && random.chance(0.8)
        ? { interval: random.of([30, 400, 3_000]), successes: random.integer(1, 3) }
        : undefined,
    oddDials,
    shouldRetry: random.of(['always', 'always', 'always', 'odd'] as const),
    signal: random.chance(0.5),
    autoConnect: random.chance(0.9),
    ending: random.of(['disconnect', 'destroy', 'abort'] as const),
  };
}

function actionOf(random: Random, setup: Setup): Action {
  const kind = random.weighted({ call: 40, fault: 25, pass: 33, freeze: 2 });
  if (kind === 'call') return callOf(random, setup);
  if (kind === 'fault') return { do: 'fault', fault: random.weighted(FAULTS), server: random.integer(0, 2) };
  if (kind === 'freeze') return { do: 'freeze', ms: random.of([100, 3_000, 30_000]) };
  return { do: 'pass', ms: random.of([1, 1, 1, 7, 7, 7, 40, 40, 40, 250, 250, 250, 900, 900, 5_000, 20_000]) };
}

export function callOf(random: Random, setup: Pick<Setup, 'maxBytes'>): Call {
  const name = random.weighted(WEIGHTS);
  if (name === 'whenOpen') {
    return { do: name, attempts: random.of([Infinity, 1, 2, 3]), abortAfter: random.of([0, 0, 1, 500]) };
  }
  if (name === 'reconnect') return { do: name, delay: random.of([undefined, undefined, 0, 30, 900]) };
  if (name === 'fail') return { do: name, how: random.of(['error', 'text', 'nothing'] as const) };
  if (name !== 'write') return { do: name };
  const bound = Math.min(setup.maxBytes, 20_000);
  const size = random.of([0, 4, 4, 5, 17, 17, 64, 100, 100, 700, Math.max(4, bound), bound + 4]);
  return {
    do: name,
    size,
    as: random.of(['buffer', 'string', 'hex'] as const),
    parts: random.of([1, 1, 1, 2, 3]),
    told: random.chance(0.8),
    // One without bytes has no name by which it could be told from another.
    will: size > 0 && random.chance(0.4) ? willOf(random) : undefined,
  };
}

function willOf(random: Random): Will {
  return {
    ...(random.chance(0.3) && { maxAge: random.of([0, 1, 60, 1_000, 30_000, Infinity]) }),
    ...(random.chance(0.3) && { abortAfter: random.of([0, 1, 60, 1_000, 30_000]) }),
    ...(random.chance(0.5) && { key: random.of(['a', 'b']) }),
    urgent: random.chance(0.3),
  };
}
