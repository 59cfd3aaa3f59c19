import { runDelivery } from './delivery';
import { type Action, type Impulse, type Setup, PLAIN, planOf } from './plan';
import { runPool } from './pool';
import { run } from './run';
import { shrink } from './shrink';

/** Of the runs in this process, where the clock of jest makes each step slow. */
const SEEDS = 8;
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
    for (let seed = 1; seed <= 5; seed++) {
      const steps = actions.map((action) => ({ action, hops: null }));
      const { violation, trace } = await run({ seed, setup: { ...PLAIN, ...setup }, impulses, steps });
      expect(violation === undefined ? [] : trace).toEqual([]);
    }
  });
});

test('the same seed takes the same way, byte for byte', async () => {
  for (const seed of [2, 5]) {
    const one = await run(planOf(seed, STEPS));
    const other = await run(planOf(seed, STEPS));
    expect(other.trace).toEqual(one.trace);
    expect(other.digest).toBe(one.digest);
  }
}, 30_000);

test('in a pool, the trouble of one member is never that of another', async () => {
  for (let seed = 1; seed <= SEEDS / 4; seed++) {
    const { violation, trace } = await runPool(seed, STEPS);
    if (violation !== undefined) throw new Error(`seed ${seed}: ${violation.message}\n${trace.join('\n')}`);
  }
}, 60_000);

test('a delivery window loses nothing, and sends nothing in another order', async () => {
  for (let seed = 1; seed <= SEEDS / 4; seed++) {
    const { violation, trace } = await runDelivery(seed, STEPS);
    if (violation !== undefined) throw new Error(`seed ${seed}: ${violation.message}\n${trace.join('\n')}`);
  }
}, 60_000);
