import type { Loopback } from '../../kit/server';
import { type Lab, type Subject, quiet } from '../lab';

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

/** The payloads of a subject's `backoff` events. */
export function waits(subject: Subject): { delay: number; attempt?: number; error?: NodeJS.ErrnoException }[] {
  // `as`: this is what the event carries.
  return subject.heard.flatMap(({ event, value }) => (event === 'backoff' ? [value as { delay: number }] : []));
}
