import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Child } from '../child';
import type { FleetRecovered, FleetTask } from '../client/fleet';
import type { Setup } from '../client/task';
import { quantile } from '../statistics';
import type { Restarted, Restarts } from './fleet-servers';
import { dials } from './kernel';

// node --expose-gc fleet.js RUN: restarts all targets of a fleet of connections, and prints its figures as JSON. Run it in a
// private network: the dials are counted by the kernel, for the whole network.

export interface FleetRun extends Setup, Restarts {
  readonly members: number;
  readonly targets: number;
  /** Milliseconds from when all are open to the first restart. */
  readonly pause: number;
}

/** Files that a process has open besides its sockets, and sockets for a moment besides its sessions. */
const SPARE = 200;

/** Milliseconds between two readings of the number of dials. */
const SAMPLE = 100;
const SECOND = 1_000 / SAMPLE;

async function run({ members, targets, outage, isRolling, pause, ...client }: FleetRun): Promise<object> {
  checkFiles(members + targets + SPARE);
  const servers = new Child([process.execPath, join(__dirname, 'fleet-servers.js'), String(targets)]);
  // `as`, here and below: printed by programs of this folder.
  const ports = JSON.parse(await servers.line()) as number[];
  const addresses = ports.map((port) => ({ port, host: '127.0.0.1' }));
  const task: FleetTask = { work: 'fleet', addresses, members, ...client };
  const script = join(__dirname, '../client/process.js');
  const clients = new Child([process.execPath, '--expose-gc', script, JSON.stringify(task)]);
  await clients.line();
  await sleep(pause);

  const before = dials();
  const samples = [before.begun];
  const sampling = setInterval(() => samples.push(dials().begun), SAMPLE);
  clients.send('restarts');
  await clients.line();
  servers.send(JSON.stringify({ outage, isRolling } satisfies Restarts));
  const { from, listenedAt, least } = JSON.parse(await servers.line()) as Restarted;
  const { servedAt, lost, cpu, ...figures } = JSON.parse(await clients.line()) as FleetRecovered;
  clearInterval(sampling);
  const begun = dials().begun - before.begun;
  await servers.kill();
  await clients.kill();
  // JSON has no infinity, and writes it as null.
  const took = servedAt.map((at: number | null, target) => (at ?? Infinity) - listenedAt[target]!);
  return {
    ...figures,
    target: quantile(took, 0.5),
    slowest: Math.max(...took),
    whole: Math.max(...servedAt.map((at: number | null) => at ?? Infinity)) - from,
    busiest: busiestSecond([...samples, before.begun + begun]),
    attempts: begun / members,
    open: least,
    lost,
    cpu: cpu / 1e3,
  };
}

/** The most dials within a second. */
function busiestSecond(samples: readonly number[]): number {
  return Math.max(...samples.map((begun, index) => begun - samples[Math.max(0, index - SECOND)]!));
}

/** Node raises the limit to the highest that the process may have. */
function checkFiles(needed: number): void {
  const allowed = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
  if (allowed >= needed) return;
  throw new Error(
    `A process needs ${needed} open files, and may have ${allowed}: raise \`ulimit -n\`, or take fewer --members`,
  );
}

// It ends with the process that started it.
process.stdin.resume().on('end', () => process.exit());

// `as`: written by the process that started this one.
void run(JSON.parse(process.argv[2]!) as FleetRun).then((found) => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
});
