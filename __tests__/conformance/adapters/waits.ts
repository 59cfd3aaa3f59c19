import type { ClientOptions } from '../adapter';

/** The first wait, for libraries whose waits are all the same, or that grow by a law of their own. */
export function firstWait({ backoff }: ClientOptions): number {
  return typeof backoff === 'object' ? (backoff.initialDelay ?? 100) : 100;
}

/** The longest wait. */
export function longestWait({ backoff }: ClientOptions): number {
  return typeof backoff === 'object' ? (backoff.maxDelay ?? 30_000) : 30_000;
}

/** Milliseconds over which clients of Redis spread a wait when they are not told how long to wait. */
const SPREAD = 200;

/** The waits as a function, for clients of Redis, which take one: undefined after the last retry. */
export function waits(options: ClientOptions): (attempt: number, error?: Error) => number | undefined {
  const { backoff = {}, maxRetries = Infinity } = options;
  return (attempt, error) => {
    if (attempt > maxRetries) return undefined;
    if (typeof backoff === 'function') return backoff({ attempt, ...(error && { error }) });
    const first = firstWait(options);
    const { multiplier = 2, jitter } = backoff;
    // Nonsense is for the library to judge.
    if (typeof first !== 'number' || typeof multiplier !== 'number') return first;
    const spread = jitter === 'none' ? 0 : Math.random() * SPREAD;
    return Math.min(first * multiplier ** (attempt - 1), longestWait(options)) + spread;
  };
}
