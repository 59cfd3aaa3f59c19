import { setTimeout as wait } from 'node:timers/promises';

import type { Random } from '../kit/random';
import type { Direction, FaultProxy } from '../kit/fault-proxy';
import * as kernel from '../kit/kernel';
import type { StreamPeer } from './stream-peer';

/** Where faults are done. */
export interface Field {
  readonly proxy: FaultProxy;
  readonly peer: StreamPeer;
  readonly random: Random;
  readonly note: (what: string) => void;
}

/** Does something to the stream, and takes it back; only the weather stays. */
type Fault = (field: Field) => Promise<unknown>;

/** More bytes than ever come. */
const NEVER = Number.MAX_SAFE_INTEGER;

const hold = ({ random }: Field) => wait(random.integer(20, 500));
/** Long enough, at times, for the client to take its peer for dead. */
const holdLong = ({ random }: Field) => wait(random.integer(50, 1_300));
const how = ({ random }: Field) => random.of(['end', 'reset'] as const);
const side = ({ random }: Field) => random.of<Direction | 'both'>(['toTarget', 'toClient', 'both']);

/** Listens again where it did; another socket may have the port for a moment. */
async function up({ proxy }: Field): Promise<void> {
  for (let left = 100; ; left--) {
    try {
      await proxy.up();
      return;
    } catch (error) {
      if (left === 0) throw error;
      await proxy.down();
      await wait(50);
    }
  }
}

/** Cuts every link and lets `change` happen before there is another. A link that lost bytes must not go on. */
async function between(field: Field, change: () => Promise<void>): Promise<void> {
  await field.proxy.down('reset');
  await change();
  await up(field);
}

/** What a bad network does. */
const networkFaults: Readonly<Record<string, Fault>> = {
  weather: (field) => {
    const { proxy, random } = field;
    const some = (most: number) => (random.chance(0.3) ? random.integer(1, most) : 0);
    const faults = { latency: some(60), jitter: some(40), rate: some(20) * 50_000, slice: some(4) * 1_000, gap: 1 };
    return proxy.set(faults, side(field));
  },
  'fair weather': ({ proxy }) => proxy.set({ latency: 0, jitter: 0, rate: 0, slice: 0 }),
  cut: (field) => field.proxy.cut(how(field)),
  'cut after bytes': async (field) => {
    await field.proxy.cutAfter(field.random.integer(1, 300_000), how(field), side(field));
    await hold(field);
    await field.proxy.cutAfter(NEVER, 'end');
  },
  blackhole: async (field) => {
    await field.proxy.set({ blackhole: true }, side(field));
    await holdLong(field);
    await between(field, () => field.proxy.set({ blackhole: false }));
  },
  stall: async (field) => {
    await field.proxy.set({ stall: true }, side(field));
    await holdLong(field);
    await field.proxy.set({ stall: false });
  },
  'accept and close': (field) => acceptBadly(field, how(field)),
  'accept and be mute': (field) => acceptBadly(field, 'blackhole'),
  'late close': async (field) => {
    await field.proxy.set({ lateClose: field.random.integer(20, 300) });
    await field.peer.hangUp(how(field));
    await hold(field);
    await field.proxy.set({ lateClose: 0 });
  },
  'peer hangs up': (field) => field.peer.hangUp(how(field)),
  down: async (field) => {
    await field.proxy.down(field.random.of(['keep', 'end', 'reset'] as const));
    await hold(field);
    await up(field);
  },
  'proxy stopped': async (field) => {
    await field.proxy.signal('SIGSTOP');
    await holdLong(field);
    await field.proxy.signal('SIGCONT');
  },
  'peer stopped': async (field) => {
    field.peer.signal('SIGSTOP');
    await holdLong(field);
    field.peer.signal('SIGCONT');
  },
};

async function acceptBadly(field: Field, accept: 'end' | 'reset' | 'blackhole'): Promise<void> {
  await field.proxy.accept(accept);
  await field.proxy.cut(how(field));
  await holdLong(field);
  await field.proxy.accept('forward');
}

/** What a kernel does, to the sockets between the client and the proxy. */
const kernelFaults: Readonly<Record<string, Fault>> = {
  partition: async (field) => {
    kernel.partition(field.proxy.port, field.random.of(['to', 'from', 'both'] as const));
    await holdLong(field);
    kernel.heal();
  },
  loss: async (field) => {
    kernel.lose(field.proxy.port, field.random.integer(5, 30), field.random.of(['to', 'from', 'both'] as const));
    await holdLong(field);
    kernel.heal();
  },
  'rejected packets': async (field) => {
    kernel.rejectWithReset(field.proxy.port);
    await hold(field);
    kernel.heal();
  },
  'killed sockets': ({ proxy, random }) => {
    kernel.killSockets(proxy.port, random.of(['client', 'server', 'both'] as const));
    return Promise.resolve();
  },
  'link down': async (field) => {
    kernel.linkDown();
    await hold(field);
    kernel.linkUp();
  },
};

/** Throws one fault after the other, until it is stopped. */
export class Nemesis {
  /** How often each fault was thrown. */
  readonly counts: Record<string, number> = {};
  readonly #field: Field;
  readonly #faults: readonly (readonly [string, Fault])[];
  #isStopped = false;

  constructor(field: Field, isPrivate: boolean) {
    this.#field = field;
    const network = Object.entries(networkFaults);
    const ofKernel = Object.entries(kernelFaults);
    // As often as the others, though they are fewer.
    this.#faults = isPrivate ? [...network, ...ofKernel, ...ofKernel] : network;
  }

  async rage(): Promise<void> {
    const { random, note } = this.#field;
    while (!this.#isStopped) {
      const [name, fault] = random.of(this.#faults);
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      note(`fault: ${name}`);
      await fault(this.#field);
      note(`       ${name} done`);
      await wait(random.integer(20, 300));
    }
  }

  stop(): void {
    this.#isStopped = true;
  }
}
