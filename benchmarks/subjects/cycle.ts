import type { Cycled } from '../client/cycle';
import type { Who } from '../client/task';
import type { Contest, Entrant, Figures } from '../contest';
import { type Lab, peers } from '../lab';

const CYCLE = { work: 'cycle', clients: 256, wait: 10, warmUp: 2_000, cycles: 6_000 } as const;

/** Sessions that are opened and lost, over and over. */
export function cycle(lab: Lab): Contest[] {
  const run = async (who: Who) => {
    const load = { ...CYCLE, warmUp: lab.warmUp(CYCLE.warmUp), cycles: lab.scaled(CYCLE.cycles) };
    return cycling(await lab.measure<Cycled & Figures>({ ...load, ...who }));
  };
  const entrants: Entrant[] = [
    { name: 'net.Socket', run: () => run({ client: 'bare' }) },
    { name: 'net.Socket, one for all sessions', run: () => run({ client: 'reused' }) },
    ...lab.ours().map(({ name, who }) => ({ name, run: () => run(who) })),
    ...lab.ours('pooled').map(({ name, who }) => ({ name: `${name}, in a pool`, run: () => run(who) })),
    // net-socket dials twice after a reset, and dies of it.
    ...peers
      .filter(({ client }) => client !== 'netSocket')
      .map(({ name, client }) => ({ name, run: () => run({ client }) })),
  ];
  return [
    {
      subject: 'cycle',
      name: 'reset',
      title: `${CYCLE.clients} clients that are reset when they open, and dial again ${CYCLE.wait} ms later`,
      columns: [
        { figure: 'cpu', title: 'CPU µs/cycle' },
        { figure: 'rate', title: 'cycles/s', isCompared: false },
      ],
      entrants,
    },
  ];
}

function cycling({ cycles, wall, user, system }: Cycled): Figures {
  return { cpu: (user + system) / cycles, rate: (cycles / wall) * 1e6, cycles };
}
