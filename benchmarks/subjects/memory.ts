import type { ClientName } from '../client/task';
import type { Contest } from '../contest';
import { type Lab, type Named, entrants, peers, socket } from '../lab';

/** Connections at a time, where the system allows as many. */
const COUNT = 10_000;

/** With fewer, the rest of the process outweighs them. */
const LEAST = 500;

/** Descriptors that a process needs beside its connections. */
const OTHERS = 200;

/** They have one wait for all dials, so they cannot fail one dial soon and then keep waiting. */
const ONE_WAIT: readonly ClientName[] = ['netSocket', 'netSocketReconnect'];

/** They hardly differ from one round to the next. */
const ROUNDS = 3;

/** The memory that connections take while they are open, and while they wait. */
export function memory(lab: Lab): Contest[] {
  const count = Math.min(Math.max(LEAST, lab.scaled(COUNT)), descriptors() - OTHERS);
  const clients: Named[] = [socket, ...lab.ours(), ...lab.pooled(), ...peers];
  return [
    {
      subject: 'memory',
      name: 'idle',
      title: `${count} connections: bytes of the heap and of the process, each`,
      columns: [
        { figure: 'openHeap', title: 'heap, open' },
        { figure: 'openResident', title: 'resident, open' },
        { figure: 'waitingHeap', title: 'heap, waiting' },
        { figure: 'waitingResident', title: 'resident, waiting', isCompared: false },
        { figure: 'opening', title: 'ms to open all' },
        { figure: 'openingCpu', title: 'CPU µs to open one' },
      ],
      rounds: ROUNDS,
      entrants: entrants(clients, (client) => {
        const untilWaiting = !ONE_WAIT.includes(client.client);
        return lab.measure({ work: 'memory', count, untilWaiting, ...client });
      }),
    },
  ];
}

/** How many descriptors a process may have: Node raises its own limit as far as it can. */
function descriptors(): number {
  // `as`: Node's types do not describe its report.
  const { userLimits } = process.report.getReport() as unknown as {
    readonly userLimits?: { readonly open_files: { readonly hard: number | 'unlimited' } };
  };
  const hard = userLimits?.open_files.hard ?? 'unlimited';
  return hard === 'unlimited' ? Infinity : hard;
}
