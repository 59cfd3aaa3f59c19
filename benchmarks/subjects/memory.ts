import type { Held } from '../client/memory';
import type { ClientName, Who } from '../client/task';
import type { Contest, Entrant, Figures } from '../contest';
import { type Lab, peers } from '../lab';

/** Connections at a time, where the system allows as many. */
const COUNT = 10_000;

/** With fewer, what else there is in a process outweighs them. */
const LEAST = 500;

/** Descriptors that a process needs beside its connections. */
const OTHERS = 200;

/** They cannot be told to dial soon and then, when that fails, to wait. */
const RESTLESS: readonly ClientName[] = ['netSocket', 'netSocketReconnect'];

/** They hardly differ from one round to the next. */
const ROUNDS = 3;

/** What connections hold while they are open, and while they wait. */
export function memory(lab: Lab): Contest[] {
  const count = Math.min(Math.max(LEAST, lab.scaled(COUNT)), descriptors() - OTHERS);
  const run = async (who: Who, untilWaiting = true) =>
    lab.measure<Held & Figures>({ work: 'memory', count, untilWaiting, ...who });
  const entrants: Entrant[] = [
    { name: 'net.Socket', run: () => run({ client: 'bare' }) },
    ...lab.ours().map(({ name, who }) => ({ name, run: () => run(who) })),
    ...lab.ours('pooled').map(({ name, who }) => ({ name: `${name}, in a pool`, run: () => run(who) })),
    ...peers.map(({ name, client }) => ({ name, run: () => run({ client }, !RESTLESS.includes(client)) })),
  ];
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
      entrants,
    },
  ];
}

/** How many descriptors a process may have. Node raises its own limit as far as it goes. */
function descriptors(): number {
  // `as`: so Node describes its report.
  const { userLimits } = process.report.getReport() as unknown as {
    readonly userLimits?: { readonly open_files: { readonly hard: number | 'unlimited' } };
  };
  const hard = userLimits?.open_files.hard ?? 'unlimited';
  return hard === 'unlimited' ? Infinity : hard;
}
