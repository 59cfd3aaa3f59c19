/** What passed between two moments, in microseconds. */
export interface Reading {
  readonly wall: number;
  /** Of the processor, in this process: its own code, and the kernel's for it. */
  readonly user: number;
  readonly system: number;
}

/** Measures time, and how much of a processor this process takes. */
export class Meter {
  readonly #start = performance.now();
  readonly #usage = process.cpuUsage();

  read(): Reading {
    const wall = (performance.now() - this.#start) * 1e3;
    return { wall, ...process.cpuUsage(this.#usage) };
  }
}

/** How much processor time was taken in all. */
export function cpu({ user, system }: Reading): number {
  return user + system;
}
