import { clearTimeout, setImmediate, setTimeout } from 'node:timers';

import { type Checks, checkRecord, func, interval } from '../options/checks';
import { invalidOption } from '../errors';

// The real clock, also where a test installs a fake one later.
export const setTimer: typeof setTimeout = setTimeout;
export const clearTimer: typeof clearTimeout = clearTimeout;
export const nextTurn: typeof setImmediate = setImmediate;
export const now: () => number = performance.now.bind(performance);

/** Default deadline in milliseconds. */
export const DEADLINE = 5_000;

/** How long to wait, and for what. */
export interface WaitOptions {
  /** The longest wait in milliseconds, by the real clock. Default: 5000. */
  readonly deadline?: number | undefined;
  /** Describes the condition in the error of a missed deadline. Default: its code. */
  readonly what?: (() => string) | undefined;
}

const checks: Checks<WaitOptions> = { deadline: interval, what: func };

/** Milliseconds between two calls of the condition of {@link until}. */
const PAUSE = 5;

/**
 * Waits until `holds` returns true. It is called every 5 ms of the real clock, for conditions that no event announces.
 *
 * @returns rejects with an Error that describes the condition if the deadline passes first
 * @throws ConnectionError `ERR_INVALID_OPTION`
 */
export async function until(holds: () => boolean | Promise<boolean>, options: WaitOptions = {}): Promise<void> {
  if (typeof holds !== 'function') throw invalidOption('the condition', 'a function', holds);
  const { deadline = DEADLINE, what = () => holds.toString() } = checkRecord<WaitOptions>('', options, checks);
  const end = now() + deadline;
  while (!(await holds())) {
    if (now() > end) throw late(deadline, what());
    await new Promise((resolve) => setTimer(resolve, PAUSE));
  }
}

/** Waits for conditions that are checked again at each call of `changed()`. */
export class Waiting {
  readonly #looks = new Set<() => void>();
  readonly #deadline: number;

  constructor(deadline: number = DEADLINE) {
    this.#deadline = deadline;
  }

  until(holds: () => boolean, options: WaitOptions, what: () => string): Promise<void> {
    const { deadline = this.#deadline, what: given = what } = checkRecord<WaitOptions>('', options, checks);
    return this.wait(holds, deadline, () => late(deadline, given()));
  }

  wait(holds: () => boolean, deadline: number, error: () => Error): Promise<void> {
    return new Promise((resolve, reject) => {
      if (holds()) return resolve();
      const timer = setTimer(() => {
        this.#looks.delete(look);
        reject(error());
      }, deadline);
      const look = () => {
        if (!holds()) return;
        this.#looks.delete(look);
        clearTimer(timer);
        resolve();
      };
      this.#looks.add(look);
    });
  }

  changed(): void {
    for (const look of this.#looks) look();
  }
}

function late(deadline: number, what: string): Error {
  return new Error(`Not so within ${deadline} ms: ${what}`);
}
