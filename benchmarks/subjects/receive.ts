import type { Received } from '../client/receive';
import type { Contest, Figures } from '../contest';
import { type Lab, type Named, type Transport, entrants, peers, socket } from '../lab';

const MIB = 1_048_576;

const TRANSPORTS: readonly (readonly [Transport, string])[] = [
  ['tcp', 'TCP'],
  ['unix', 'a Unix socket'],
];

type Flow = Received & Figures;

/** Receiving: as fast as possible, and in small pieces. */
export function receive(lab: Lab): Contest[] {
  const flood = { block: 131_072, warmUp: lab.warmUp(64 * MIB), bytes: lab.scaled(1_024 * MIB) };
  const trickle = { size: 64, members: 128, warmUp: lab.warmUp(120), rounds: lab.scaled(500) };

  return TRANSPORTS.flatMap(([transport, over]): Contest[] => {
    const clients: Named[] = [
      socket,
      ...lab.ours(),
      ...lab.ours(', reuseReadBuffer', { options: { reuseReadBuffer: true } }),
      ...lab.ours(', idleTimeout', { options: { idleTimeout: 60_000 } }),
      ...(transport === 'tcp' ? peers : []),
    ];
    const native = (work: string, load: object, figures: (flow: Flow) => Figures) => ({
      name: 'a client in C',
      run: async () => figures(await lab.measureNative<Flow>([work, ...Object.values<number>({ ...load })], transport)),
    });
    return [
      {
        subject: 'receive',
        name: `bulk-${transport}`,
        title: `Bulk over ${over}: writes of 128 KiB`,
        columns: [
          { figure: 'rate', title: 'MB/s' },
          { figure: 'cpu', title: 'CPU µs/MB' },
          { figure: 'chunk', title: 'KiB a chunk', isCompared: false },
        ],
        entrants: [
          ...entrants(clients, async (client) =>
            bulk(await lab.measure<Flow>({ work: 'flood', ...flood, ...client }, transport)),
          ),
          native('flood', flood, bulk),
        ],
      },
      {
        subject: 'receive',
        name: `small-${transport}`,
        title: `Small over ${over}: segments of 64 bytes, each read by itself, on 128 connections`,
        columns: [
          { figure: 'rate', title: 'events/s' },
          { figure: 'user', title: 'user CPU µs/event' },
          { figure: 'cpu', title: 'CPU µs/event' },
        ],
        entrants: [
          ...entrants(clients, async (client) =>
            small(await lab.measure<Flow>({ work: 'trickle', ...trickle, ...client }, transport)),
          ),
          native('trickle', trickle, small),
        ],
      },
    ];
  });
}

/** A byte a microsecond is a megabyte a second. */
function bulk({ bytes, events, wall, user, system }: Received): Figures {
  return { rate: bytes / wall, cpu: (user + system) / (bytes / 1e6), chunk: bytes / events / 1_024, bytes };
}

function small({ bytes, events, wall, user, system }: Received): Figures {
  return { rate: (events / wall) * 1e6, user: user / events, cpu: (user + system) / events, events, bytes };
}
