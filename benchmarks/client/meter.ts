/** Time, in microseconds. */
export interface Reading {
  readonly wall: number;
  /** CPU time of this process: of its own code, and of the kernel on its behalf. */
  readonly user: number;
  readonly system: number;
}

/** Measures time and CPU time from its construction on. */
export class Meter {
  readonly #start = performance.now();
  readonly #usage = process.cpuUsage();

  read(): Reading {
    const wall = (performance.now() - this.#start) * 1e3;
    return { wall, ...process.cpuUsage(this.#usage) };
  }
}
