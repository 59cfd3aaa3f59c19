import { AsyncResource } from 'node:async_hooks';

/** What is looked at again and again. */
export interface Swept {
  /** @param now - On the clock of `performance.now()`. */
  look(now: number): void;
}

/** By their interval. One that looks at nothing any more is not here. */
const sweeps = new Map<number, Sweep>();

/**
 * Looks at many things at an interval, with one timer for all that share the interval: ten thousand timers would cost
 * more than what they are for.
 */
export class Sweep {
  readonly #interval: number;
  readonly #timer: NodeJS.Timeout;
  /** Each with the asynchronous context in which it joined: the timer's own is that of the first of them. */
  readonly #swept = new Map<Swept, AsyncResource>();
  /** Those of them that hold the process. */
  readonly #holders = new Set<Swept>();

  /** The sweep with this interval, in milliseconds. To be left, for its timer to end. */
  static every(interval: number): Sweep {
    let sweep = sweeps.get(interval);
    if (sweep === undefined) sweeps.set(interval, (sweep = new Sweep(interval)));
    return sweep;
  }

  private constructor(interval: number) {
    this.#interval = interval;
    this.#timer = setInterval(() => {
      const now = performance.now();
      for (const [each, context] of this.#swept) context.runInAsyncScope(() => each.look(now));
    }, interval);
    this.#timer.unref();
  }

  /** Looks at `swept` from now on: the first time within an interval. */
  join(swept: Swept, held: boolean): void {
    this.#swept.set(swept, new AsyncResource('Swept'));
    this.hold(swept, held);
  }

  /** Lets one that is looked at hold the process, or not. */
  hold(swept: Swept, held: boolean): void {
    if (held) this.#holders.add(swept);
    else this.#holders.delete(swept);
    if (this.#holders.size > 0) this.#timer.ref();
    else this.#timer.unref();
  }

  leave(swept: Swept): void {
    this.hold(swept, false);
    this.#swept.delete(swept);
    if (this.#swept.size > 0) return;
    clearInterval(this.#timer);
    sweeps.delete(this.#interval);
  }
}
