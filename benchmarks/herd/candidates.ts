import { type Backoff, clampDelay, defaultBackoff } from '../../lib/options/backoff';
import type { Policy } from './policies';
import { OUR_TIMEOUT } from './network';
import { seeded } from './random';

/** What is done with a decorrelated wait that is drawn beyond the cap. */
export type AtCap =
  /** It is the cap: as published. */
  | 'cut off'
  /** It is drawn anew from the cap's last quarter. */
  | 'last quarter'
  /** It is drawn anew from all that is allowed. */
  | 'whole range';

/** A quick decorrelated backoff: a short first wait, then decorrelated growth. Durations are in milliseconds. */
export interface Candidate {
  /** The first wait is anything up to this. */
  readonly first: number;
  /** The least of the later ones. */
  readonly base: number;
  readonly cap: number;
  readonly atCap: AtCap;
}

/** Every quick decorrelated backoff that might be the default. */
export function candidates(): Candidate[] {
  const found: Candidate[] = [];
  for (const atCap of ['cut off', 'last quarter', 'whole range'] as const) {
    for (const cap of [5_000, 8_000, 10_000, 20_000, 30_000]) {
      for (const first of [100, 250, 1_000]) {
        for (const base of [500, 1_000, 2_000]) found.push({ first, base, cap, atCap });
      }
    }
  }
  return found;
}

/** A candidate as a policy. */
export function asPolicy(candidate: Candidate): Policy {
  const { first, base, cap, atCap } = candidate;
  return {
    name: `${first} ms, then ${base / 1_000} s to ${cap / 1_000} s, ${atCap}`,
    origin: 'a candidate',
    waits: `up to ${first} ms at first, then decorrelated from ${base / 1_000} s to ${cap / 1_000} s`,
    backoff: (random) => quickDecorrelated(candidate, random),
    connectTimeout: OUR_TIMEOUT,
  };
}

/** The candidate that the library's default is, if it is one: with the same chance it waits the same. */
export function defaultCandidate(): Policy | undefined {
  const waits = (backoff: Backoff) => {
    const drawn: number[] = [];
    for (let attempt = 1; attempt <= 200; attempt++) {
      // Outages of every length up to 20 attempts.
      const isFirst = attempt % 20 === 1;
      const previousDelay = drawn.at(-1);
      drawn.push(
        backoff({ attempt: isFirst ? 1 : 2, ...(!isFirst && previousDelay !== undefined && { previousDelay }) })!,
      );
    }
    return drawn.join();
  };
  const wanted = waits(defaultBackoff({ random: seeded(1) }));
  return candidates()
    .map(asPolicy)
    .find(({ backoff }) => waits(backoff(seeded(1))) === wanted);
}

/** The backoff of a candidate. It asks for chance as often as the library's default does: the same seed, the same waits. */
function quickDecorrelated({ first, base, cap, atCap }: Candidate, random: () => number): Backoff {
  const between = (least: number, most: number) => least + (most - least) * random();
  const leastAtCap = { 'cut off': cap, 'last quarter': Math.max(base, 0.75 * cap), 'whole range': base }[atCap];
  return ({ attempt, previousDelay = 0 }) => {
    if (attempt === 1) return clampDelay(between(0, first));
    const drawn = between(base, 3 * Math.max(base, previousDelay));
    return clampDelay(drawn <= cap ? drawn : between(leastAtCap, cap));
  };
}
