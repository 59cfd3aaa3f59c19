import type { Answered } from '../client/round-trip';
import type { Who } from '../client/task';
import type { Contest, Entrant, Figures } from '../contest';
import { type Lab, peers } from '../lab';

const SIZE = 64;

/** How many requests there are: more, where they cost less. */
const LOADS = [
  { inFlight: 1, warmUp: 3_000, requests: 12_000 },
  { inFlight: 32, warmUp: 20_000, requests: 80_000 },
];

/** Requests and answers. */
export function roundTrip(lab: Lab): Contest[] {
  return LOADS.map(({ inFlight, warmUp, requests }) => {
    const run = async (who: Who) => {
      const load = { inFlight, warmUp: lab.warmUp(warmUp), requests: lab.scaled(requests) };
      return exchange(await lab.measure<Flow>({ work: 'round trip', size: SIZE, ...load, ...who }));
    };
    const entrants: Entrant[] = [
      { name: 'net.Socket', run: () => run({ client: 'bare' }) },
      { name: 'net.Socket, corked by hand', run: () => run({ client: 'corked' }) },
      ...lab.ours().map(({ name, who }) => ({ name, run: () => run(who) })),
      ...peers.map(({ name, client }) => ({ name, run: () => run({ client }) })),
    ];
    return {
      subject: 'round-trip',
      name: `${inFlight}`,
      title: `${inFlight} in flight, ${SIZE} bytes each way`,
      columns: [
        { figure: 'rate', title: 'requests/s' },
        { figure: 'p50', title: 'p50 µs' },
        { figure: 'p99', title: 'p99 µs' },
        { figure: 'cpu', title: 'CPU µs/request' },
      ],
      entrants,
    };
  });
}

type Flow = Answered & Figures;

function exchange({ requests, p50, p99, wall, user, system }: Answered): Figures {
  return { rate: (requests / wall) * 1e6, p50, p99, cpu: (user + system) / requests, requests };
}
