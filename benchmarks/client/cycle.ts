import type { Writer } from './endpoint';
import { type Reading, Meter } from './meter';
import { type Task, connectorFor } from './task';

/** Sessions that were opened and lost again while it was measured. */
export interface Cycled extends Reading {
  readonly cycles: number;
}

export interface CycleTask extends Task {
  readonly work: 'cycle';
  /** How many do it at a time: enough that one of them always has something to do. */
  readonly clients: number;
  /** Milliseconds from a loss to the next dial, of those that can be told. */
  readonly wait: number;
  readonly warmUp: number;
  readonly cycles: number;
}

/** Has every session reset by the peer as soon as it is open. */
export function cycle({ clients, wait, warmUp, cycles, ...task }: CycleTask): Promise<Cycled> {
  let lost = 0;
  let meter: Meter | undefined;
  return new Promise((resolve) => {
    const onWait = () => {
      if (++lost === warmUp) meter = new Meter();
      else if (lost === warmUp + cycles) resolve({ cycles, ...meter!.read() });
    };
    const onOpen = (writer: Writer) => void writer.write('reset\n');
    const connect = connectorFor(task)(
      task.place,
      { onOpen, onData: () => undefined, onWait },
      { first: wait, then: wait },
    );
    for (let index = 0; index < clients; index++) connect();
  });
}
