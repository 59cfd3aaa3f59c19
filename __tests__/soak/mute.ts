import { setImmediate as turn } from 'node:timers/promises';

import { type ConnectionOptions, type WriteTotals, ReconnectingConnection } from 'reconnecting-connection';

import { type Finding, MIB, Peak, ifAbove, unlessEqual } from './measure';

const CHUNK = 65_536;
/** What a queue holds by default, and what the collector and the measurement itself may take on top of it. */
const BOUND = MIB + 10 * MIB;
/** Offered first, to another connection, so that everything is compiled and every buffer of Node's is there. */
const WARM_UP = 32;
/** Mebibytes offered from one look at the memory to the next. */
const STRIDE = 4;

/**
 * Offers `mebibytes` to a peer that takes none, or that is not there, in chunks that are never looked at again. Memory
 * may grow by the queue's bound and an allowance, and every write has exactly one fate.
 */
export async function offer(target: ConnectionOptions, state: 'open' | 'backoff', mebibytes: number): Promise<Finding> {
  await offerOnce(target, state, WARM_UP);
  return offerOnce(target, state, mebibytes);
}

async function offerOnce(target: ConnectionOptions, state: 'open' | 'backoff', mebibytes: number): Promise<Finding> {
  const connection = new ReconnectingConnection({ backoff: () => 3_600_000, closeTimeout: 100, ...target });
  if (state === 'open') await connection.whenOpen();
  else await new Promise((resolve) => connection.once('backoff', resolve));

  const count = (mebibytes * MIB) / CHUNK;
  const fates = new Uint8Array(count);
  const problems: string[] = [];
  const peak = await Peak.start();
  for (let number = 0; number < count; number++) {
    // Filled, for memory that was never written to is not resident.
    connection.write(Buffer.allocUnsafeSlow(CHUNK).fill(number), () => (fates[number]! += 1));
    if ((number * CHUNK) % (STRIDE * MIB) !== 0) continue;
    await turn();
    await peak.look();
    problems.push(...imbalance(connection.stats.writes));
  }
  problems.push(...(connection.state === state ? [] : [`the connection is ${connection.state}, not ${state}`]));
  const { refused } = connection.stats.writes;
  await connection.disconnect();
  // What was refused last is told in a tick of its own.
  await turn();
  const { writes } = connection.stats;
  const unsettled = fates.filter((times) => times !== 1).length;
  return {
    figures: { mebibytes, ...peak.figures, accepted: writes.accepted.writes, refused: refused.writes },
    problems: [
      ...problems,
      ...imbalance(writes),
      ...ifAbove('growth of buffers', peak.figures.buffers, BOUND),
      ...ifAbove('growth of resident memory', peak.figures.resident, BOUND),
      ...unlessEqual('writes that are queued after the end', writes.queued.writes, 0),
      ...unlessEqual('writes taken and refused', writes.accepted.writes + writes.refused.writes, count),
      ...unlessEqual('callbacks not called exactly once', unsettled, 0),
      ...(writes.refused.writes > count / 2 ? [] : ['most of the writes were taken']),
    ],
  };
}

/** At every instant `accepted = confirmed + uncertain + dropped + queued`. */
export function imbalance({ accepted, confirmed, uncertain, dropped, queued }: WriteTotals): string[] {
  const fates = [confirmed, uncertain, dropped, queued];
  return (['writes', 'bytes'] as const).flatMap((unit) =>
    unlessEqual(
      `${unit} with a fate`,
      fates.reduce((sum, fate) => sum + fate[unit], 0),
      accepted[unit],
    ),
  );
}

/** What a write in the queue costs besides its bytes, callback included, and how many there may be by default. */
const SMALL_BOUND = 65_536 * 384;

/** Offers `count` writes of one byte while there is nobody: they are bounded in number, for each costs more than its byte. */
export async function offerSmall(target: ConnectionOptions, count: number): Promise<Finding> {
  const connection = new ReconnectingConnection({ backoff: () => 3_600_000, ...target });
  await new Promise((resolve) => connection.once('backoff', resolve));
  const peak = await Peak.start();
  let settled = 0;
  for (let number = 1; number <= count; number++) {
    connection.write('x', () => (settled += 1));
    if (number % 1_024 === 0) await turn();
    if (number % 65_536 === 0) await peak.look();
  }
  await connection.disconnect();
  await turn();
  const { writes } = connection.stats;
  return {
    figures: { count, ...peak.figures, accepted: writes.accepted.writes, refused: writes.refused.writes },
    problems: [
      ...ifAbove('growth of the heap', peak.figures.heap, SMALL_BOUND),
      ...ifAbove('growth of buffers', peak.figures.buffers, BOUND),
      ...unlessEqual('callbacks', settled, count),
      ...imbalance(writes),
    ],
  };
}
