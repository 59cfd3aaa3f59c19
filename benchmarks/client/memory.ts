import { setImmediate as immediate } from 'node:timers/promises';

import type { Figures } from '../contest';
import { Control } from './control';
import type { Handlers } from './endpoint';
import { Meter } from './meter';
import { type Task, connectorFor } from './task';

export interface MemoryTask extends Task {
  readonly work: 'memory';
  readonly count: number;
  /** Whether to end the sessions, and measure while all wait. */
  readonly isWaiting?: boolean;
  /** Bytes that each connection receives before it is idle. */
  readonly flood?: number;
}

/** Clients that are open before the measurement begins. */
const FIRST = 200;

/** First long enough for the peer to end, so that the next dial fails; then longer than a measurement takes. */
const WAIT = { first: 200, then: 600_000 };

/** Opens connections that do nothing, or no more. The figures are for each of them. */
export async function memory({ count, isWaiting, flood = 0, ...task }: MemoryTask): Promise<Figures> {
  const control = await Control.open(task.address);
  const tally = { opened: 0, waits: 0, received: 0 };
  const onOpen: Handlers['onOpen'] = (writer) => {
    tally.opened++;
    if (flood > 0) writer.write(`flood 131072 ${flood}\n`);
  };
  const connect = connectorFor(task)(
    task.address,
    { onOpen, onData: ({ length }) => (tally.received += length), onWait: () => tally.waits++ },
    isWaiting ? WAIT : 'default',
  );
  const open = async (more: number) => {
    const total = tally.opened + more;
    for (let index = 0; index < more; index++) connect();
    while (tally.opened < total || tally.received < total * flood) await immediate();
  };

  await open(FIRST);
  const before = await memoryUsage();
  const meter = new Meter();
  await open(count);
  const { user, system } = meter.read();
  if (isWaiting) {
    control.send('quit\n');
    while (tally.waits < 2 * (FIRST + count)) await immediate();
  }
  const after = await memoryUsage();
  return {
    count,
    cpu: (user + system) / count,
    heap: (after.heapUsed - before.heapUsed) / count,
    resident: (after.rss - before.rss) / count,
    // In bytes: what is shared by all, or belongs to the process, is less than one for each.
    buffers: Math.round((after.arrayBuffers - before.arrayBuffers) / count),
  };
}

/** Memory without garbage: what one collection finalizes, the next one frees. */
export async function memoryUsage(): Promise<NodeJS.MemoryUsage> {
  for (let round = 0; round < 6; round++) {
    await immediate();
    gc!();
  }
  return process.memoryUsage();
}
