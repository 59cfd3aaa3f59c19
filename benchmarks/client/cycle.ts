import type { Writer } from './endpoint';
import type { Bench } from './slices';
import { type Task, connectorFor } from './task';

export interface CycleLoad {
  /** Clients at a time: enough that one of them is always busy. */
  readonly clients: number;
  /** Milliseconds from a loss to the next dial. */
  readonly wait: number;
  readonly cycles: number;
}

/** The peer resets every session as soon as it is open. Between slices, all clients are open and do nothing. */
export async function cycle(task: Task, { clients, wait, cycles }: CycleLoad): Promise<Bench> {
  const held: Writer[] = [];
  let left = 0;
  let onEnd: (() => void) | undefined;
  const reset = (writer: Writer) => {
    left--;
    writer.write('reset\n');
  };
  const onOpen = (writer: Writer) => {
    if (left > 0) reset(writer);
    else if (held.push(writer) === clients) onEnd!();
  };
  const handlers = { onOpen, onData: () => undefined, onWait: () => undefined };
  const connect = connectorFor(task)(task.address, handlers, { first: wait, then: wait });
  const allHeld = (begin: () => void) =>
    new Promise<void>((resolve) => {
      onEnd = resolve;
      begin();
    });
  await allHeld(() => {
    for (let index = 0; index < clients; index++) connect();
  });
  return async () => {
    left = cycles;
    await allHeld(() => {
      for (const writer of held.splice(0)) reset(writer);
    });
    return { units: cycles };
  };
}
