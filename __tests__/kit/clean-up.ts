import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const tracked: (() => unknown)[] = [];

/** Destroys `resource` after the test; the latest is destroyed first. Returns it. */
export function track<T extends { destroy(): unknown }>(resource: T): T {
  tracked.push(() => resource.destroy());
  return resource;
}

/** Kills `child` after the test, unless it has ended by then. Returns it. */
export function trackProcess<T extends ChildProcess>(child: T): T {
  track({ destroy: () => kill(child) });
  return child;
}

/** Kills a process that has not ended yet, and waits for its end. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Destroys what was tracked. */
export async function cleanUp(): Promise<void> {
  for (let clean = tracked.pop(); clean !== undefined; clean = tracked.pop()) await clean();
}
