import { readFileSync } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';

import type { Figures } from '../contest';
import { Control } from './control';
import type { Writer } from './endpoint';
import { Meter } from './meter';
import { type Task, connectorFor } from './task';

export interface SendTask extends Task {
  readonly work: 'send';
  readonly size: number;
  readonly perTick: number;
  /** The argument of `write()`; `prebuilt` is one buffer with all messages of a tick. */
  readonly form: 'buffer' | 'string' | 'callback' | 'prebuilt';
  /** Milliseconds. */
  readonly warmUp: number;
  readonly duration: number;
}

/** At least so many, so that the few system calls of the measurement itself do not count. */
const LEAST_TICKS = 50;

/** Sends `perTick` messages in each tick while `write()` returns true, and goes on after `drain`. */
export async function send({ size, perTick, form, warmUp, duration, ...task }: SendTask): Promise<Figures> {
  const control = await Control.open(task.address);
  let onRoom: (() => void) | undefined;
  const onDrain = () => {
    const resume = onRoom;
    onRoom = undefined;
    resume?.();
  };
  const writer = await new Promise<Writer>((resolve) => {
    connectorFor(task)(task.address, { onOpen: resolve, onData: unexpected, onDrain }, 'default')();
  });
  writer.write('sink\n');

  let sent = 0;
  let confirmed = 0;
  const tick = ticker(writer, { size, perTick, form }, () => confirmed++);
  const run = async (milliseconds: number) => {
    const end = performance.now() + milliseconds;
    const ticks = await new Promise<number>((resolve) => {
      let count = 0;
      const next = () => {
        const room = tick();
        count++;
        if (count >= LEAST_TICKS && performance.now() >= end) resolve(count);
        else if (room) setImmediate(next);
        else onRoom = next;
      };
      next();
    });
    onRoom = undefined;
    sent += ticks * perTick;
    await control.received(sent * size);
    return ticks;
  };

  await run(warmUp);
  const meter = new Meter();
  const writes = writeCalls();
  const ticks = await run(duration);
  const { wall, user, system } = meter.read();
  const calls = writes === undefined ? {} : { writes: (writeCalls()! - writes) / ticks };
  while (form === 'callback' && confirmed < sent) await immediate();
  if (form === 'callback' && confirmed > sent) throw new Error('A callback was called twice');
  const messages = ticks * perTick;
  return {
    messages,
    bytes: messages * size,
    rate: (messages / wall) * 1e6,
    cpu: (user + system) / messages,
    ...calls,
  };
}

/** Returns a function that sends the messages of a tick, and returns whether there is room for more. */
function ticker(
  writer: Writer,
  { size, perTick, form }: Pick<SendTask, 'size' | 'perTick' | 'form'>,
  onWritten: () => void,
): () => boolean {
  const confirm = (error?: Error | null) => {
    if (error) throw error;
    onWritten();
  };
  const text = 'x'.repeat(size);
  const data = form === 'prebuilt' ? Buffer.from(text.repeat(perTick)) : form === 'string' ? text : Buffer.from(text);
  const writes = form === 'prebuilt' ? 1 : perTick;
  const callback = form === 'callback' ? confirm : undefined;
  return () => {
    let room: unknown;
    for (let index = 0; index < writes; index++) room = writer.write(data, callback);
    // `write()` of net-socket returns undefined.
    return room !== false;
  };
}

function unexpected(chunk: Buffer): never {
  throw new Error(`Received unexpected data: ${String(chunk)}`);
}

/** System calls of this process that write, as Linux counts them. */
function writeCalls(): number | undefined {
  try {
    return Number(/^syscw: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))![1]);
  } catch {
    return undefined;
  }
}
