import type { Figures } from '../contest';
import type { Writer } from './endpoint';
import { Meter } from './meter';
import { type Task, connectorFor } from './task';

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
export function cycle({ clients, wait, warmUp, cycles, ...task }: CycleTask): Promise<Figures> {
  let lost = 0;
  let meter: Meter | undefined;
  return new Promise((resolve) => {
    const onWait = () => {
      if (++lost === warmUp) meter = new Meter();
      if (lost !== warmUp + cycles) return;
      const { wall, user, system } = meter!.read();
      resolve({ cycles, cpu: (user + system) / cycles, rate: (cycles / wall) * 1e6 });
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
