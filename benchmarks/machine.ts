import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** The share of the processors' time from which on the machine counts as busy with other work. */
export const BUSY = 0.05;

/** Milliseconds. */
const SAMPLE = 1_000;
const PATIENCE = 60_000;

/** How long, in ticks of the kernel, the processors of this machine have run in all, and what for. */
export interface Times {
  readonly all: number;
  /** For programs, and for other virtual machines. */
  readonly busy: number;
  /** For this process and the children that it has waited for. */
  readonly own: number;
}

/** Measures from its construction on how busy the machine is with anything else than this process and its children. */
export class ForeignLoad {
  readonly #read: () => Times;
  readonly #start: Times;

  constructor(read = times) {
    this.#read = read;
    this.#start = read();
  }

  /** The share of all processors' time, from 0 to 1. Children count as foreign until they have ended. */
  share(): number {
    const [from, to] = [this.#start, this.#read()];
    if (to.all === from.all) return 0;
    return Math.max(0, (to.busy - from.busy - (to.own - from.own)) / (to.all - from.all));
  }
}

/** The share of a second in which the machine was busy with other work. */
export async function foreignLoad(): Promise<number> {
  const load = new ForeignLoad();
  await sleep(SAMPLE);
  return load.share();
}

/** Waits until the machine is not busy, for a minute at most. */
export async function quiet(): Promise<void> {
  for (let waited = 0; waited < PATIENCE && (await foreignLoad()) > BUSY; waited += SAMPLE);
}

/** From https://docs.kernel.org/filesystems/proc.html: interrupts are left out, for our own packets cause most of them. */
export function times(): Times {
  const counters = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/\s+/).slice(1, 9).map(Number);
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = counters;
  // The name of the program, in brackets, may have spaces.
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const own = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
  return { all: sum(counters), busy: user + nice + system + steal, own: sum(own) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
