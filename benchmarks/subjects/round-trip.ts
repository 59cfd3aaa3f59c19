import type { Contest } from '../contest';
import { type Lab, type Named, corked, entrants, peers, socket } from '../lab';

const SIZE = 64;

/** More requests where they cost less. */
const LOADS = [
  { inFlight: 1, warmUp: 3_000, requests: 12_000 },
  { inFlight: 32, warmUp: 20_000, requests: 80_000 },
];

/** Requests and answers. */
export function roundTrip(lab: Lab): Contest[] {
  const clients: Named[] = [socket, corked, ...lab.ours(), ...peers];
  return LOADS.map(({ inFlight, warmUp, requests }) => ({
    subject: 'round-trip',
    name: `${inFlight}`,
    title: `${inFlight} in flight, ${SIZE} bytes each way`,
    columns: [
      { figure: 'rate', title: 'requests/s' },
      { figure: 'p50', title: 'p50 µs' },
      { figure: 'p99', title: 'p99 µs' },
      { figure: 'cpu', title: 'CPU µs/request' },
    ],
    entrants: entrants(clients, (client) => {
      const load = { inFlight, warmUp: lab.warmUp(warmUp), requests: lab.scaled(requests) };
      return lab.measure({ work: 'round trip', size: SIZE, ...load, ...client });
    }),
  }));
}
