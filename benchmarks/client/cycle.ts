import type { Writer } from './endpoint';
import { type Reading, Meter } from './meter';
import { type Task, connectorFor } from './task';

/** Sessions that were opened and lost during the measurement. */
export interface Cycled extends Reading {
  readonly cycles: number;
}

export interface CycleTask extends Task {
  readonly work: 'cycle';
  /** Clients at a time: enough that one of them is always busy. */
  readonly clients: number;
  /** Milliseconds from a loss to the next dial, for the clients that have such an option. */
  readonly wait: number;
  readonly warmUp: number;
  readonly cycles: number;
}

/** Lets the peer reset every session as soon as it is open. */
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
      task.address,
      { onOpen, onData: () => undefined, onWait },
      { first: wait, then: wait },
    );
    for (let index = 0; index < clients; index++) connect();
  });
}
