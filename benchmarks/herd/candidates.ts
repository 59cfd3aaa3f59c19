import { type Backoff, clampDelay, defaultBackoff } from '../../lib/options/backoff';
import type { Policy } from './policy';
import { OUR_TIMEOUT } from './network';
import { seeded } from './random';

/** The treatment of a decorrelated wait beyond the cap. */
export type AtCap =
  /** The cap replaces it, as published. */
  | 'cut off'
  /** Drawn again, from the last quarter below the cap. */
  | 'last quarter'
  /** Drawn again, from the whole range. */
  | 'whole range';

/** A decorrelated backoff with a short first wait. Durations are in milliseconds. */
export interface Candidate {
  /** The first wait is random, up to this. */
  readonly first: number;
  /** The least later wait. */
  readonly base: number;
  readonly cap: number;
  readonly atCap: AtCap;
}

/** All candidates for the default. */
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

/** The candidate that equals the library's default, if there is one: from the same random numbers, it makes the same waits. */
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

/** It draws as many random numbers as the library's default, so that equal seeds give equal waits. */
function quickDecorrelated({ first, base, cap, atCap }: Candidate, random: () => number): Backoff {
  const between = (least: number, most: number) => least + (most - least) * random();
  const leastAtCap = { 'cut off': cap, 'last quarter': Math.max(base, 0.75 * cap), 'whole range': base }[atCap];
  return ({ attempt, previousDelay = 0 }) => {
    if (attempt === 1) return clampDelay(between(0, first));
    const drawn = between(base, 3 * Math.max(base, previousDelay));
    return clampDelay(drawn <= cap ? drawn : between(leastAtCap, cap));
  };
}
