import { type Checks, checkRecord, func, interval } from '../options/checks';
import { invalidOption } from '../errors';
import { DEADLINE, clearTimer, now, setTimer } from './clock';

/** How long is waited, and what for. */
export interface WaitOptions {
  /** Milliseconds to wait at the most, by the real clock. Default: 5000. */
  readonly deadline?: number | undefined;
  /** Says what was waited for, in the error when the deadline has passed. Default: the condition's own code. */
  readonly what?: (() => string) | undefined;
}

const checks: Checks<WaitOptions> = { deadline: interval, what: func };

/** Milliseconds from one look to the next. */
const PAUSE = 5;

/**
 * Waits until `holds` returns true, asked again and again by the real clock: for what no event tells.
 *
 * @returns rejects with an Error that says what was waited for when it is not so by the deadline
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

/** Those who wait for something to become so; whoever changes anything says so. */
export class Waiting {
  readonly #looks = new Set<() => void>();
  readonly #deadline: number;

  /** @param deadline - of waits without one of their own */
  constructor(deadline: number = DEADLINE) {
    this.#deadline = deadline;
  }

  /** Resolves when `holds` is true, which is asked now and at every change. */
  until(holds: () => boolean, options: WaitOptions, what: () => string): Promise<void> {
    const { deadline = this.#deadline, what: said = what } = checkRecord<WaitOptions>('', options, checks);
    return new Promise((resolve, reject) => {
      if (holds()) {
        resolve();
        return;
      }
      const timer = setTimer(() => {
        this.#looks.delete(look);
        reject(late(deadline, said()));
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
