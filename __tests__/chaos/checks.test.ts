import type { ConnectionPool } from 'reconnecting-connection';

import type { Network } from './network';
import { type DeliverySabotage, runDelivery } from './delivery';
import { planOf } from './plan';
import { type PoolSabotage, runPool } from './pool';
import { type Result, run } from './run';
import { sabotages } from './sabotage';
import { shrink } from './shrink';

const STEPS = 40;

describe('the checks find it when', () => {
  test.each(Object.entries(sabotages))(
    '%s',
    async (_what, { rule, sabotage }) => {
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
  const { sabotage } = sabotages['a `backoff` is swallowed'];
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

describe('the checks of a delivery find it when', () => {
  test.each<[string, string, DeliverySabotage]>([
    ['a message is lost on the way', 'lost', (world) => onWrite(world.network, 3, () => undefined)],
    ['a message is sent twice', 'duplicates', (world) => onWrite(world.network, 3, (write) => (write(), write()))],
    ['a message is sent before the spool has kept it', 'spool', ({ disk }) => disk && (disk.isHasty = true)],
  ])(
    '%s',
    async (_what, rule, sabotage) => {
      const rules: string[] = [];
      for (let seed = 1; seed <= 30 && !rules.includes(rule); seed++) {
        rules.push((await runDelivery(seed, STEPS, sabotage)).violation?.rule ?? '');
      }
      expect(rules).toContain(rule);
    },
    30_000,
  );
});

/** A network whose links do something else in place of their nth write. */
function onWrite(network: Network, nth: number, instead: (write: () => unknown) => unknown): void {
  const { dial } = network;
  network.dial = (port) => {
    const link = dial.call(network, port);
    const { write } = link;
    let writes = 0;
    link.write = (...args) => {
      writes += 1;
      if (writes !== nth) return write.call(link, ...args);
      instead(() => write.call(link, ...args));
      return true;
    };
    return link;
  };
}

/** The server that is always well loses its sessions once. */
function disturb(_pool: ConnectionPool, network: Network): void {
  network.clock.after(500, () => network.inject('rst', 0));
}
