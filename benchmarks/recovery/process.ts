import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Child } from '../child';
import { type Recovered, type RecoveryTask, now } from '../client/recovery';
import type { Setup } from '../client/task';
import { dials, lastingPort } from './kernel';

// node process.js RUN: kills a server under its clients, starts it again, and prints as JSON how they came back, for each
// outage. Run it in a private network: the dials are counted by the kernel, for the whole network.

/** The time between the end of the server and the moment when its last client was back. */
export interface Recovery {
  /** Milliseconds from when the server listened again until 50 %, 99 % and all clients were served. */
  readonly half?: number;
  readonly most?: number;
  readonly all?: number;
  /** Clients that were never served again. */
  readonly lost: number;
  /** Dials for each client, including those that were refused while there was no server. */
  readonly attempts: number;
  /** SYN packets that were sent again, because there was no answer. */
  readonly repeated: number;
  /** Milliseconds of CPU time. */
  readonly cpu: number;
  /** Milliseconds without a server. */
  readonly outage: number;
}

export interface RecoveryRun extends Setup {
  readonly count: number;
  /** Milliseconds from the end of the server to the start of another. */
  readonly outage: number;
  /** Milliseconds from when all were back, or were open for the first time, to each outage. */
  readonly pauses: readonly number[];
}

async function recovery({ count, outage, pauses, ...client }: RecoveryRun): Promise<Recovery[]> {
  const port = await lastingPort();
  let server = start('server-process', String(port));
  await server.line();
  const address = { port, host: '127.0.0.1' };
  const task: RecoveryTask = { work: 'recovery', count, outages: pauses.length, address, ...client };
  const clients = start('../client/process', JSON.stringify(task));
  await clients.line();

  const found: Recovery[] = [];
  for (const pause of pauses) {
    await sleep(pause);
    const before = dials();
    clients.send('outage');
    await clients.line();
    await server.kill();
    const endedAt = now();
    await sleep(outage);
    server = start('server-process', String(port));
    const listenedAt = Number(await server.line());
    // `as`: printed by `client/recovery`.
    const { lost, cpu, ...times } = JSON.parse(await clients.line()) as Recovered;
    found.push({
      ...Object.fromEntries(Object.entries(times).map(([name, time]) => [name, time - listenedAt])),
      lost,
      attempts: (dials().begun - before.begun) / count,
      repeated: dials().repeated - before.repeated,
      cpu: cpu / 1e3,
      outage: listenedAt - endedAt,
    });
  }
  await server.kill();
  await clients.kill();
  return found;
}

function start(program: string, argument: string): Child {
  return new Child([process.execPath, join(__dirname, `${program}.js`), argument]);
}

// It ends with the process that started it.
process.stdin.resume().on('end', () => process.exit());

// `as`: written by the process that started this one.
void recovery(JSON.parse(process.argv[2]!) as RecoveryRun).then((found) => {
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit());
});
