import { setImmediate as immediate } from 'node:timers/promises';

import type { Figures } from '../contest';
import { Control } from './control';
import { Meter } from './meter';
import { type Task, connectorFor } from './task';

export interface MemoryTask extends Task {
  readonly work: 'memory';
  readonly count: number;
  /** Whether to end the sessions, and measure while all wait. */
  readonly untilWaiting: boolean;
}

/** Clients that are open before the measurement begins. */
const FIRST = 50;

/** First long enough for the peer to end, so that the next dial fails; then longer than a measurement takes. */
const WAIT = { first: 200, then: 600_000 };

/**
 * Opens connections that do nothing, then ends their sessions. The figures are bytes for each connection, of the heap and
 * of the resident memory of the process.
 */
export async function memory({ count, untilWaiting, ...task }: MemoryTask): Promise<Figures> {
  const control = await Control.open(task.address);
  const tally = { opened: 0, waits: 0 };
  const connect = connectorFor(task)(
    task.address,
    { onOpen: () => tally.opened++, onData: () => undefined, onWait: () => tally.waits++ },
    WAIT,
  );
  const open = async (more: number) => {
    const total = tally.opened + more;
    for (let index = 0; index < more; index++) connect();
    while (tally.opened < total) await immediate();
  };

  await open(FIRST);
  const before = await memoryUsage();
  const meter = new Meter();
  await open(count);
  const reading = meter.read();
  const opening = { opening: reading.wall / 1e3, openingCpu: (reading.user + reading.system) / count };
  const during = await memoryUsage();
  const each = (now: NodeJS.MemoryUsage) => ({
    heap: (now.heapUsed - before.heapUsed) / count,
    resident: (now.rss - before.rss) / count,
  });
  const found = { count, openHeap: each(during).heap, openResident: each(during).resident, ...opening };
  if (!untilWaiting) return found;

  control.send('quit\n');
  while (tally.waits < 2 * (FIRST + count)) await immediate();
  const after = each(await memoryUsage());
  return { ...found, waitingHeap: after.heap, waitingResident: after.resident };
}

/** Memory without garbage: what one collection finalizes, the next one frees. */
async function memoryUsage(): Promise<NodeJS.MemoryUsage> {
  for (let round = 0; round < 6; round++) {
    await immediate();
    gc!();
  }
  return process.memoryUsage();
}
