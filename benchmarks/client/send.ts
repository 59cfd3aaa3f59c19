import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

import { Control } from './control';
import type { Writer } from './endpoint';
import { type Reading, Meter } from './meter';
import { type Task, connectorFor } from './task';

/** What was sent while it was measured. */
export interface Sent extends Reading {
  readonly messages: number;
  readonly bytes: number;
  readonly ticks: number;
  /** System calls that write, where the system counts them. */
  readonly writes?: number;
}

export interface SendTask extends Task {
  readonly work: 'send';
  readonly size: number;
  readonly perTick: number;
  /** How messages are handed over; `prebuilt` are all of a tick's in one. */
  readonly form: 'buffer' | 'string' | 'callback' | 'prebuilt';
  /** Milliseconds. */
  readonly warmUp: number;
  readonly duration: number;
}

/** However little time there is: some system calls are the measurement's own. */
const LEAST_TICKS = 50;

/** Sends so many messages in every turn of the loop, whenever there is room. */
export async function send({ size, perTick, form, warmUp, duration, ...task }: SendTask): Promise<Sent> {
  const control = await Control.open(task.place);
  let onRoom: (() => void) | undefined;
  const onDrain = () => {
    const resume = onRoom;
    onRoom = undefined;
    resume?.();
  };
  const writer = await new Promise<Writer>((resolve) => {
    connectorFor(task)(task.place, { onOpen: resolve, onData: unexpected, onDrain }, 'default')();
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
    await control.hasGot(sent * size);
    return ticks;
  };

  await run(warmUp);
  const meter = new Meter();
  const writes = writeCalls();
  const ticks = await run(duration);
  const reading = meter.read();
  const more = writes === undefined ? {} : { writes: writeCalls()! - writes };
  while (form === 'callback' && confirmed < sent) await turn();
  if (form === 'callback' && confirmed > sent) throw new Error('A callback was called twice');
  const messages = ticks * perTick;
  return { messages, bytes: messages * size, ticks, ...more, ...reading };
}

/** What is done in a tick. It returns whether there is room for another. */
function ticker(
  writer: Writer,
  { size, perTick, form }: Pick<SendTask, 'size' | 'perTick' | 'form'>,
  onWritten: () => void,
): () => boolean {
  const callback = (error?: Error | null) => {
    if (error) throw error;
    onWritten();
  };
  const text = 'x'.repeat(size);
  const bytes = Buffer.from(text);
  const all = Buffer.alloc(size * perTick, 'x');
  switch (form) {
    case 'prebuilt':
      return () => isRoom(writer.write(all));
    case 'buffer':
      return () => {
        let room = true;
        for (let index = 0; index < perTick; index++) room = writer.write(bytes);
        return isRoom(room);
      };
    case 'string':
      return () => {
        let room = true;
        for (let index = 0; index < perTick; index++) room = writer.write(text);
        return isRoom(room);
      };
    case 'callback':
      return () => {
        let room = true;
        for (let index = 0; index < perTick; index++) room = writer.write(bytes, callback);
        return isRoom(room);
      };
  }
}

/** There is a peer that returns nothing. */
function isRoom(answer: unknown): boolean {
  return answer !== false;
}

function unexpected(chunk: Buffer): never {
  throw new Error(`Nobody asked for ${String(chunk)}`);
}

/** How often this process has written, as Linux counts it. */
function writeCalls(): number | undefined {
  try {
    return Number(/^syscw: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))![1]);
  } catch {
    return undefined;
  }
}
