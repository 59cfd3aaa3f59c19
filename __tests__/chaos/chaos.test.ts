import type { ConnectionPool } from 'reconnecting-connection';

import type { Application } from './application';
import type { Network } from './network';
import { type Action, type Impulse, type Setup, PLAIN, planOf } from './plan';
import { type PoolSabotage, runPool } from './pool';
import { type Result, type Sabotage, run } from './run';
import { shrink } from './shrink';

/** Of the runs in this process, where the clock of jest makes each step slow. */
const SEEDS = 20;
const STEPS = 40;

test('whatever the network, the clock and the application do, the contract holds', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const plan = planOf(seed, STEPS);
    const result = await run(plan);
    if (result.violation === undefined) continue;
    const shortest = await shrink(plan, result);
    throw new Error(`seed ${seed}: ${result.violation.message}\n${shortest.result.trace.join('\n')}`);
  }
}, 60_000);

describe('what once went wrong', () => {
  test.each<[string, Partial<Setup>, readonly Impulse[], readonly Action[]]>([
    [
      'the connection is ended from within `dial`',
      {},
      [{ place: 'dial', nth: 1, call: { do: 'disconnect' } }],
      [{ do: 'pass', ms: 100 }],
    ],
    [
      'a session is dropped from within its decoder, and its heartbeat beats on',
      { decoder: 'lines', heartbeat: { interval: 500, timeout: 500 } },
      [{ place: 'message', nth: 1, call: { do: 'destroy' } }],
      [
        { do: 'pass', ms: 50 },
        { do: 'fault', fault: 'send', server: 0 },
        { do: 'pass', ms: 50 },
      ],
    ],
    [
      'a handshake leaves its last `readable` listener while the connection is paused',
      { handshake: 'readable' },
      [],
      [{ do: 'pause' }, { do: 'pass', ms: 200 }, { do: 'fault', fault: 'send', server: 0 }, { do: 'pass', ms: 50 }],
    ],
  ])('%s', async (_what, setup, impulses, actions) => {
    for (let seed = 1; seed <= 10; seed++) {
      const steps = actions.map((action) => ({ action, hops: null }));
      const { violation, trace } = await run({ seed, setup: { ...PLAIN, ...setup }, impulses, steps });
      expect(violation === undefined ? [] : trace).toEqual([]);
    }
  });
});

test('the same seed takes the same way, byte for byte', async () => {
  for (const seed of [2, 3, 5, 8, 13]) {
    const one = await run(planOf(seed, STEPS));
    const other = await run(planOf(seed, STEPS));
    expect(other.trace).toEqual(one.trace);
    expect(other.digest).toBe(one.digest);
  }
}, 30_000);

describe('the checks find it when', () => {
  test.each<[string, string, Sabotage]>([
    ['a `reset` is swallowed', 'reset', (application) => swallow(application, 'reset')],
    ['a `backoff` is swallowed', 'backoff', (application) => swallow(application, 'backoff')],
    ['a `state` is swallowed', 'state', (application) => swallow(application, 'state')],
    ['a chunk is told twice', 'data', (application) => repeat(application, 'data')],
    ['a `close` is told twice', 'close', (application) => repeat(application, 'close')],
    ['a write is sent twice', 'at most once', sendTwice],
    ['a link is left behind', 'one link', leaveLink],
    ['a timer is left behind', 'timers', () => void setTimeout(() => undefined, 10 ** 9)],
    ['an exception gets lost', 'uncaught', (application) => void (application.thrown += 1)],
  ])(
    '%s',
    async (_what, rule, sabotage) => {
      const broken: Result[] = [];
      for (let seed = 1; seed <= 30 && broken.length === 0; seed++) {
        const result = await run(planOf(seed, STEPS), sabotage);
        if (result.violation !== undefined) broken.push(result);
      }
      expect(broken.map(({ trace }) => trace.join('\n'))).toEqual([expect.stringContaining('VIOLATION')]);
      expect(broken[0]!.trace.filter((line) => line.startsWith('VIOLATION')).join('\n')).toContain(rule);
    },
    30_000,
  );
});

test('a plan that fails is shortened to what it takes', async () => {
  const plan = planOf(1, STEPS);
  const sabotage: Sabotage = (application) => swallow(application, 'backoff');
  for (let seed = 1; seed <= 30; seed++) {
    const long = planOf(seed, STEPS);
    const result = await run(long, sabotage);
    if (result.violation === undefined) continue;
    const { plan: short, result: outcome } = await shrink(long, result, sabotage);
    expect(outcome.violation?.rule).toBe(result.violation.rule);
    expect(short.steps.length).toBeLessThan(plan.steps.length / 2);
    return;
  }
  throw new Error('nothing failed');
}, 60_000);

test('in a pool, the trouble of one member is never that of another', async () => {
  for (let seed = 1; seed <= SEEDS / 4; seed++) {
    const { violation, trace } = await runPool(seed, STEPS);
    if (violation !== undefined) throw new Error(`seed ${seed}: ${violation.message}\n${trace.join('\n')}`);
  }
}, 60_000);

describe('the checks of the pool find it when', () => {
  test.each<[string, string, PoolSabotage]>([
    ['a member that is not open is picked', 'pick', (pool) => (pool.pick = () => pool.connections.at(-1))],
    ['a broadcast leaves one out', 'broadcast', (pool) => (pool.broadcast = () => pool.stats.open - 1)],
    ['a healthy member is disturbed', 'isolation', disturb],
  ])(
    '%s',
    async (_what, rule, sabotage) => {
      const rules: string[] = [];
      for (let seed = 1; seed <= 30 && !rules.includes(rule); seed++) {
        rules.push((await runPool(seed, STEPS, sabotage)).violation?.rule ?? '');
      }
      expect(rules).toContain(rule);
    },
    30_000,
  );
});

/** How a connection tells its listeners, whatever of. */
type Emit = (event: string, ...args: unknown[]) => boolean;

/** An event that no listener hears. */
function swallow(application: Application, name: string): void {
  replaceEmit(
    application,
    (emit) =>
      (event, ...args) =>
        event !== name && emit(event, ...args),
  );
}

/** An event that every listener hears twice. */
function repeat(application: Application, name: string): void {
  replaceEmit(application, (emit) => (event, ...args) => {
    if (event === name) emit(event, ...args);
    return emit(event, ...args);
  });
}

function replaceEmit({ connection }: Application, replacement: (emit: Emit) => Emit): void {
  // `as`: seen without the map of events, for what comes through goes on as it came.
  const loose = connection as unknown as { emit: Emit };
  loose.emit = replacement(loose.emit.bind(connection));
}

/** A network whose links are handed the third write of a session twice. */
function sendTwice({ network }: Application): void {
  const { dial } = network;
  network.dial = (port) => {
    const link = dial.call(network, port);
    const { write } = link;
    link.write = (...args) => {
      if (link.writes === 2) write.call(link, args[0]);
      return write.call(link, ...args);
    };
    return link;
  };
}

/** Links that cannot be destroyed. */
function leaveLink({ network }: Application): void {
  const { dial } = network;
  network.dial = (port) => {
    const link = dial.call(network, port);
    link.destroy = () => link;
    return link;
  };
}

/** The server that is always well loses its sessions once. */
function disturb(_pool: ConnectionPool, network: Network): void {
  network.clock.after(500, () => network.inject('rst', 0));
}
