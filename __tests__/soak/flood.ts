import { on } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { Transform } from 'node:stream';

import { type ConnectionOptions, ReconnectingConnection } from 'reconnecting-connection';

import { type Finding, MIB, Peak, ifAbove } from './measure';

/** Events that may wait for the consumer, each of up to 64 KiB: 2 MiB, and as much again in the streams' own buffers. */
const MARKS = { highWaterMark: 32, lowWaterMark: 8 };
const BOUND = 4 * MIB + 10 * MIB;
/** The consumer takes so many events between its rests of a millisecond, far fewer than come. */
const GULP = 4;

/**
 * Takes `mebibytes` of what `target` sends as fast as it can, slowly, by `events.on` and its water marks.
 *
 * @param lossEvery - The session is lost after every so many pauses, while it is paused.
 */
export async function sip(
  target: ConnectionOptions,
  event: 'data' | 'message',
  mebibytes: number,
  lossEvery = Infinity,
): Promise<Finding> {
  const connection = new ReconnectingConnection<Buffer>({
    backoff: { initialDelay: 10, maxDelay: 10, jitter: 'none' },
    ...target,
    ...(event === 'message' && { decoder: quarters }),
  });
  let pauses = 0;
  const { pause } = connection;
  connection.pause = () => {
    pauses += 1;
    // The session that follows must not read either.
    if (pauses % lossEvery === 0) setImmediate(() => connection.reconnect());
    return pause.call(connection);
  };
  await connection.whenOpen();
  const peak = await Peak.start();
  let taken = 0;
  let gulps = 0;
  let events = 0;
  // `as`: what both events carry here.
  const chunks = on(connection, event, MARKS) as AsyncIterable<[Buffer]>;
  for await (const [chunk] of chunks) {
    taken += chunk.length;
    events += 1;
    if (taken >= mebibytes * MIB) break;
    if (events % GULP !== 0) continue;
    gulps += 1;
    await wait(1);
    if (gulps % 32 === 0) await peak.look();
  }
  const { generation } = connection;
  connection.destroy();
  return {
    figures: { mebibytes: taken / MIB, pauses, sessions: generation, ...peak.figures },
    problems: [
      ...ifAbove('growth of buffers', peak.figures.buffers, BOUND),
      ...ifAbove('growth of resident memory', peak.figures.resident, 2 * BOUND),
      ...(pauses > 0 ? [] : ['the consumer was never too slow']),
    ],
  };
}

/** Puts out what comes in by quarters, so that a chunk becomes several messages. */
function quarters(): Transform {
  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, done) {
      const size = Math.ceil(chunk.length / 4);
      for (let from = 0; from < chunk.length; from += size) this.push(Buffer.from(chunk.subarray(from, from + size)));
      done();
    },
  });
}
