import { strict as assert } from 'node:assert';
import { createHook } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';

import type { Loopback } from '../kit/server';
import { type Lab, type Subject, PATIENCE, quiet, within } from './lab';

/** Timers that run, those included that do not hold the process. */
const timers = new Set<number>();
const timersHook = createHook({
  init(id, type) {
    if (type === 'Timeout') timers.add(id);
  },
  destroy(id) {
    timers.delete(id);
  },
});

/** What this process holds, by kind: sockets, servers, requests and timers. */
export async function held(lab: Lab): Promise<string> {
  // Timers that let a process end are nobody's harm, but this library promises to leave none at all.
  if (lab.has('own')) timersHook.enable();
  // Of a timer that is gone the hook is told in a later turn.
  await turn();
  await turn();
  return JSON.stringify([...process.getActiveResourcesInfo().sort(), `timers: ${timers.size}`]);
}

/** Milliseconds after which a client that still wanted to dial would have done so. */
export function longestWait(lab: Lab): number {
  return lab.has('backoff options') ? 500 : 5_000;
}

/** A client whose end is the subject, and what it is to be compared with. */
export interface Scene {
  readonly subject: Subject;
  readonly server: Loopback;
  /** What `held()` said when the server was there and the client was not. */
  readonly before: string;
  /** Connections that the server may have seen of it. */
  readonly connections: number;
  /** Default: `disconnect()`. */
  readonly end?: () => Promise<unknown>;
  /** Makes the way free afterwards: who still dials would now get through. */
  readonly revive?: () => Promise<void> | void;
  /** Milliseconds to watch from then on. Default: `longestWait()`. */
  readonly watch?: number;
}

/**
 * Ends the client, and sees that it is the end: it resolves, nothing is held any longer, `close` is heard once and nothing
 * after it, and the server sees no new connection.
 */
export async function endsForGood(lab: Lab, scene: Scene): Promise<void> {
  const { subject, server, before, connections, revive, watch = longestWait(lab) } = scene;
  const { end = () => subject.client.disconnect() } = scene;
  await within(end(), 'disconnect() resolves');
  await subject.waitFor('close');
  const heard = subject.names();
  assert.equal(heard.at(-1), 'close');

  await returnsTo(lab, before);
  await revive?.();
  await quiet(watch);
  assert.deepEqual(subject.names(), heard, 'something was heard after close');
  assert.equal(subject.count('close'), 1);
  assert.equal(server.accepted, connections, 'connections that the server saw');
  assert.equal(server.live, 0, 'connections that the server still has');
}

/** Waits until nothing more is held than `before`: Node closes its handles in turns of the event loop that follow. */
export async function returnsTo(lab: Lab, before: string): Promise<void> {
  const end = performance.now() + PATIENCE;
  for (let now = await held(lab); now !== before; now = await held(lab)) {
    assert(performance.now() < end, `held before: ${before}, and ${PATIENCE} ms after the end: ${now}`);
    await quiet(5);
  }
}

/** Whether `promise` is settled before the event loop has turned once. */
export async function settlesAtOnce(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), turn(false)]);
}
