import type { Received } from '../client/receive';
import type { Who } from '../client/task';
import type { Contest, Entrant, Figures } from '../contest';
import { type Lab, peers } from '../lab';

const MIB = 1_048_576;

const FLOOD = { work: 'flood', block: 131_072, warmUp: 64 * MIB, bytes: 1_024 * MIB } as const;

const TRICKLE = { work: 'trickle', size: 64, members: 128, warmUp: 120, rounds: 500 } as const;

type Transport = 'tcp' | 'unix';

/** What comes in: as fast as it can, and in small pieces. */
export function receive(lab: Lab): Contest[] {
  const contests: Contest[] = [];
  for (const [transport, over] of [
    ['tcp', 'TCP'],
    ['unix', 'a Unix socket'],
  ] as const) {
    contests.push({
      subject: 'receive',
      name: `bulk-${transport}`,
      title: `Bulk over ${over}: writes of 128 KiB`,
      columns: [
        { figure: 'rate', title: 'MB/s' },
        { figure: 'cpu', title: 'CPU µs/MB' },
        { figure: 'chunk', title: 'KiB a chunk', isCompared: false },
      ],
      entrants: entrants(lab, transport, {
        run: async (who) => bulk(await lab.measure<Flow>({ ...flood(lab), ...who }, transport)),
        runNative: async () => {
          const { work, block, warmUp, bytes } = flood(lab);
          return bulk(await lab.measureNative<Flow>([work, block, warmUp, bytes], transport));
        },
      }),
    });
    contests.push({
      subject: 'receive',
      name: `small-${transport}`,
      title: `Small over ${over}: segments of 64 bytes, each read by itself, on 128 connections`,
      columns: [
        { figure: 'rate', title: 'events/s' },
        { figure: 'user', title: 'user CPU µs/event' },
        { figure: 'cpu', title: 'CPU µs/event' },
      ],
      entrants: entrants(lab, transport, {
        run: async (who) => small(await lab.measure<Flow>({ ...trickle(lab), ...who }, transport)),
        runNative: async () => {
          const { work, size, members, warmUp, rounds } = trickle(lab);
          return small(await lab.measureNative<Flow>([work, size, members, warmUp, rounds], transport));
        },
      }),
    });
  }
  return contests;
}

type Flow = Received & Figures;

function flood(lab: Lab) {
  return { ...FLOOD, warmUp: lab.warmUp(FLOOD.warmUp), bytes: lab.scaled(FLOOD.bytes) };
}

function trickle(lab: Lab) {
  return { ...TRICKLE, warmUp: lab.warmUp(TRICKLE.warmUp), rounds: lab.scaled(TRICKLE.rounds) };
}

/** A byte a microsecond is a megabyte a second. */
function bulk({ bytes, events, wall, user, system }: Received): Figures {
  return { rate: bytes / wall, cpu: (user + system) / (bytes / 1e6), chunk: bytes / events / 1_024, bytes };
}

function small({ bytes, events, wall, user, system }: Received): Figures {
  return { rate: (events / wall) * 1e6, user: user / events, cpu: (user + system) / events, events, bytes };
}

function entrants(
  lab: Lab,
  transport: Transport,
  { run, runNative }: { run: (who: Who) => Promise<Figures>; runNative: () => Promise<Figures> },
): Entrant[] {
  const reusing = lab.ours('ours', { reuseReadBuffer: true });
  const watched = lab.ours('ours', { idleTimeout: 60_000 });
  return [
    { name: 'net.Socket', run: () => run({ client: 'bare' }) },
    ...lab.ours().map(({ name, who }) => ({ name, run: () => run(who) })),
    ...reusing.map(({ name, who }) => ({ name: `${name}, reuseReadBuffer`, run: () => run(who) })),
    ...watched.map(({ name, who }) => ({ name: `${name}, idleTimeout`, run: () => run(who) })),
    ...(transport === 'tcp' ? peers.map(({ name, client }) => ({ name, run: () => run({ client }) })) : []),
    ...(lab.native === undefined ? [] : [{ name: 'a client in C', run: runNative }]),
  ];
}
