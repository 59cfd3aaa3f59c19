import type { Figures } from '../contest';
import { quantile } from '../statistics';
import { Control } from './control';
import { cycle } from './cycle';
import type { Address } from './endpoint';
import { Meter } from './meter';
import { flood, trickle } from './receive';
import { roundTrip } from './round-trip';
import { send } from './send';
import { type SmallWork, small } from './small';
import type { Named, Task } from './task';

/** What a slice has done. */
export interface Slice {
  /** Messages, megabytes, cycles: the figures are for one. */
  readonly units: number;
  readonly p50?: number;
}

/** Works for a moment, and resolves when everything that it began is done. */
export type Bench = () => Promise<Slice>;

/** `SmallWork` is for the kind `small`. */
export type Client = Named & Partial<SmallWork>;

export interface SlicesTask {
  readonly work: 'slices';
  readonly kind: keyof typeof kinds;
  readonly address: Address;
  readonly clients: readonly Client[];
  /** Numbers that mean something to the kind of work. */
  readonly load: Readonly<Record<string, number>>;
  /** Slices of each client that count. */
  readonly slices: number;
  /** Milliseconds and units that each client does before. */
  readonly warmUp: { readonly time: number; readonly units: number };
}

/** Make the bench of one client. */
const kinds = { flood, trickle, send, 'round trip': roundTrip, cycle, small } satisfies Record<
  string,
  (task: Task & Client, load: never, control: Control) => Promise<Bench>
>;

interface Entrant {
  readonly name: string;
  readonly bench: Bench;
  readonly found: Measured[];
}

interface Measured extends Slice {
  readonly wall: number;
  readonly user: number;
  readonly cpu: number;
}

/** Measures the clients in one process: they take turns in many slices. */
export async function inSlices({ kind, address, clients, load, slices, warmUp }: SlicesTask) {
  const control = await Control.open(address);
  const entrants: Entrant[] = [];
  for (const client of clients) {
    // `as never`: each kind reads its own load, which the subject of that name has made.
    const bench = await kinds[kind]({ ...client, address }, load as never, control);
    entrants.push({ name: client.name, bench, found: [] });
  }
  for (const { bench } of entrants) {
    let [time, units] = [0, 0];
    while (time < warmUp.time || units < warmUp.units) {
      const slice = await measure(bench);
      time += slice.wall / 1e3;
      units += slice.units;
    }
  }
  for (let turn = 0; turn < slices; turn++) {
    for (let index = 0; index < entrants.length; index++) {
      const { bench, found } = entrants[(turn + index) % entrants.length]!;
      found.push(await measure(bench));
    }
  }
  return Object.fromEntries(entrants.map(({ name, found }) => [name, figures(found)]));
}

async function measure(bench: Bench): Promise<Measured> {
  // The garbage of the client before is not this one's.
  gc!({ type: 'minor' });
  const meter = new Meter();
  const slice = await bench();
  const { wall, user, system } = meter.read();
  return { ...slice, wall, user, cpu: user + system };
}

/** Lower quartiles: other work of the machine only adds to a slice. */
function figures(found: readonly Measured[]): Figures {
  const low = (cost: (slice: Measured) => number) =>
    quantile(
      found.map((slice) => cost(slice)),
      0.25,
    );
  const sum = (cost: (slice: Measured) => number) => found.reduce((total, slice) => total + cost(slice), 0);
  const units = sum((slice) => slice.units);
  return {
    units,
    rate: 1e6 / low((slice) => slice.wall / slice.units),
    cpu: low((slice) => slice.cpu / slice.units),
    // The kernel divides CPU time into user and system by samples, too few for one slice.
    user: sum(({ user }) => user) / units,
    ...(found[0]?.p50 !== undefined && { p50: low(({ p50 }) => p50!) }),
  };
}
