import type { Contest } from '../contest';
import { type Lab, type Named, entrants, peers, socket } from '../lab';

const CYCLE = { work: 'cycle', clients: 256, wait: 10, warmUp: 2_000, cycles: 6_000 } as const;

/** Sessions that are opened and lost, over and over. */
export function cycle(lab: Lab): Contest[] {
  const clients: Named[] = [
    socket,
    { name: 'net.Socket, one for all sessions', client: 'reused' },
    ...lab.ours(),
    ...lab.pooled(),
    // net-socket dials twice after a reset, which ends its process.
    ...peers.filter(({ client }) => client !== 'netSocket'),
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
      entrants: entrants(clients, (client) => {
        const load = { ...CYCLE, warmUp: lab.warmUp(CYCLE.warmUp), cycles: lab.scaled(CYCLE.cycles) };
        return lab.measure({ ...load, ...client });
      }),
    },
  ];
}
