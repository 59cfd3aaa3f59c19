import { roundTrip } from './network';
import type { Policy } from './policy';
import { seeded } from './random';

export interface Lone {
  /** The wait after the server is back, in milliseconds. */
  readonly mean: number;
  readonly p99: number;
  /** Dials, including the last. */
  readonly attempts: number;
}

/** The outage varies by this share, so that the result for a policy without jitter does not depend on its exact length. */
const SPREAD = 0.2;

/**
 * Simulates one client and an idle server, `runs` times.
 *
 * @param outage - Mean length of the outage, in milliseconds.
 */
export function lone(policy: Policy, outage: number, seed: number, runs = 20_000): Lone {
  const random = seeded(seed);
  const backoff = policy.backoff(random);
  const waits = new Float64Array(runs);
  let attempts = 0;
  for (let run = 0; run < runs; run++) {
    const trip = roundTrip(random);
    const listensAt = outage * (1 - SPREAD + 2 * SPREAD * random());
    let delay = backoff({ attempt: 1, generation: 1 })!;
    let attempt = 1;
    let now = trip + delay;
    while (now < listensAt) {
      attempt += 1;
      delay = backoff({ attempt, generation: 1, previousDelay: delay })!;
      now += policy.waitsFrom === 'start' ? Math.max(trip, delay) : trip + delay;
    }
    attempts += attempt;
    waits[run] = now - listensAt;
  }
  waits.sort();
  return {
    mean: waits.reduce((sum, wait) => sum + wait, 0) / runs,
    p99: waits[Math.ceil(0.99 * runs) - 1]!,
    attempts: attempts / runs,
  };
}
