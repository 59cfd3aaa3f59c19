import { strict as assert } from 'node:assert';

import type { Loopback } from '../../kit/server';
import { type Lab, type Subject, quiet } from '../lab';

/** A client may spread its waits, by as much as this share of them, where it cannot be told not to. */
const SPREAD = 0.7;

/** Milliseconds in which a client has surely dialled a few times, where it does not tell of its waits. */
const A_FEW_ATTEMPTS = 3_000;

/** Waits until so many more attempts have failed: as the client tells, or as time tells where it does not. */
export async function failsAgain(lab: Lab, subject: Subject, times = 2): Promise<void> {
  if (!lab.has('backoff event')) return quiet(A_FEW_ATTEMPTS);
  // Some wait a second and longer each time, and cannot be told otherwise.
  await subject.waitFor('backoff', subject.count('backoff') + times, 30_000);
}

/** Milliseconds from each connection that `server` accepted to the next. */
export function gaps({ acceptedAt }: Loopback): number[] {
  return acceptedAt.slice(1).map((at, index) => at - acceptedAt[index]!);
}

/**
 * Looks at waits as the server has seen them: no less than was asked for. On a busy machine each may be longer by as much as
 * it likes, so they are not compared with each other.
 */
export function grow(measured: readonly number[], expected: readonly number[], what: string): void {
  const told = measured.map(Math.round).join(', ');
  expected.forEach((delay, index) => {
    assert(measured[index]! >= SPREAD * delay, `${what}: waits of ${told} ms, and not of ${expected.join(', ')} ms`);
  });
}

/** The payloads of a subject's `backoff` events. */
export function waits(subject: Subject): { delay: number; attempt?: number; error?: NodeJS.ErrnoException }[] {
  // `as`: this is what the event carries.
  return subject.heard.flatMap(({ event, value }) => (event === 'backoff' ? [value as { delay: number }] : []));
}
