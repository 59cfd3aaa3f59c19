import { setImmediate as turn } from 'node:timers/promises';

import { Control } from './control';
import { Meter, cpu } from './meter';
import { type Task, connectorFor } from './task';

/** What connections hold, each: bytes that JavaScript can reach, and of the process's memory. */
export interface Held {
  readonly count: number;
  readonly openHeap: number;
  readonly openResident: number;
  /** Milliseconds until all were open, and microseconds of the processor for each. */
  readonly opening: number;
  readonly openingCpu: number;
  /** The same while all of them wait, after a lost session and a dial that failed. */
  readonly waitingHeap?: number;
  readonly waitingResident?: number;
}

export interface MemoryTask extends Task {
  readonly work: 'memory';
  readonly count: number;
  /** Whether to end the sessions, and see what the waits hold. */
  readonly untilWaiting: boolean;
}

/** Clients that are there before anything is measured. */
const FIRST = 50;

/** Time for the peer to go, so that the dial that follows fails; and then longer than a measurement takes. */
const WAIT = { first: 200, then: 600_000 };

/** Opens connections that do nothing, and then ends the sessions of all of them. */
export async function memory({ count, untilWaiting, ...task }: MemoryTask): Promise<Held> {
  const control = await Control.open(task.place);
  const tally = { opened: 0, waits: 0 };
  const connect = connectorFor(task)(
    task.place,
    { onOpen: () => tally.opened++, onData: () => undefined, onWait: () => tally.waits++ },
    WAIT,
  );
  const open = async (more: number) => {
    const total = tally.opened + more;
    for (let index = 0; index < more; index++) connect();
    while (tally.opened < total) await turn();
  };

  await open(FIRST);
  const before = await held();
  const meter = new Meter();
  await open(count);
  const reading = meter.read();
  const opening = { opening: reading.wall / 1e3, openingCpu: cpu(reading) / count };
  const during = await held();
  const each = (now: NodeJS.MemoryUsage) => ({
    heap: (now.heapUsed - before.heapUsed) / count,
    resident: (now.rss - before.rss) / count,
  });
  const found = { count, openHeap: each(during).heap, openResident: each(during).resident, ...opening };
  if (!untilWaiting) return found;

  control.say('quit\n');
  while (tally.waits < 2 * (FIRST + count)) await turn();
  const after = each(await held());
  return { ...found, waitingHeap: after.heap, waitingResident: after.resident };
}

/** Memory, when its garbage is collected: what one collection finalizes the next one frees. */
async function held(): Promise<NodeJS.MemoryUsage> {
  for (let round = 0; round < 6; round++) {
    await turn();
    gc!();
  }
  return process.memoryUsage();
}
