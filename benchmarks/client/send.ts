import type { Control } from './control';
import type { Bench } from './slices';
import { type Task, opened } from './task';

export interface SendLoad {
  readonly size: number;
  /** Messages in a tick. */
  readonly perTick: number;
  /** Milliseconds. */
  readonly duration: number;
}

/** Sends in each tick that `setImmediate` begins; after `write()` has returned false, from the tick after `drain` on. */
export async function send(task: Task, { size, perTick, duration }: SendLoad, control: Control): Promise<Bench> {
  let next: (() => void) | undefined;
  let isFull = false;
  const onDrain = () => {
    if (!isFull) return;
    isFull = false;
    setImmediate(next!);
  };
  const writer = await opened(task, { onData: unexpected, onDrain });
  writer.write('sink\n');
  const message = Buffer.alloc(size, 'x');
  return async () => {
    const end = performance.now() + duration;
    let ticks = 0;
    await new Promise<void>((resolve) => {
      next = () => {
        let room = true;
        for (let index = 0; index < perTick; index++) room = writer.write(message);
        ticks++;
        if (performance.now() >= end) resolve();
        else if (room) setImmediate(next!);
        else isFull = true;
      };
      setImmediate(next);
    });
    await control.received(ticks * perTick * size);
    return { units: ticks * perTick };
  };
}

function unexpected(chunk: Buffer): never {
  throw new Error(`Received unexpected data: ${String(chunk)}`);
}
