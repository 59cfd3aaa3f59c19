import type { ConnectionPool } from 'reconnecting-connection';

import type { Application } from './application';
import type { Network } from './network';
import { planOf } from './plan';
import { type PoolSabotage, runPool } from './pool';
import { type Result, type Sabotage, run } from './run';
import { shrink } from './shrink';

const STEPS = 40;

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
