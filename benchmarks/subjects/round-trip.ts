import type { Contest } from '../contest';
import { type Lab, again, socket } from '../lab';

/** More requests where they cost less. */
const LOADS = [
  { inFlight: 1, requests: 1_500 },
  { inFlight: 32, requests: 8_000 },
];

/** Requests and answers. */
export function roundTrip(lab: Lab): Contest[] {
  return LOADS.map(({ inFlight, requests }) =>
    lab.sliced(
      {
        subject: 'round-trip',
        name: `${inFlight}`,
        title: `${inFlight} in flight, 64 bytes each way`,
        columns: [
          { figure: 'p50', title: 'p50 µs' },
          { figure: 'rate', title: 'requests/s' },
          { figure: 'cpu', title: 'CPU µs/request' },
        ],
      },
      [socket, again(socket), ...lab.ours()],
      { kind: 'round trip', load: { size: 64, inFlight, requests }, slices: 24 },
    ),
  );
}
