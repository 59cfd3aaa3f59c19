import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import { join, sep } from 'node:path';

/** Where the JavaScript of the library is, whose timers are meant. */
const LIBRARY = join(__dirname, '..', '..', 'lib') + sep;
/** Its timers that many connections share belong to no cell: the last of them to leave ends them. */
const SHARED = `${LIBRARY}sweep.js`;

interface Timer {
  /** The line of the library that set it. */
  readonly where: string;
  /** On whose behalf. */
  readonly owner: object | undefined;
}

/** Knows which timers of the library are pending, and for whom. */
export class Timers {
  readonly #owner = new AsyncLocalStorage<object>();
  readonly #pending = new Map<number, Timer>();

  constructor() {
    createHook({
      init: (id, type) => {
        const where = type === 'Timeout' ? caller() : undefined;
        if (where?.includes(LIBRARY) === true) this.#pending.set(id, { where, owner: this.#owner.getStore() });
      },
      destroy: (id) => void this.#pending.delete(id),
    }).enable();
  }

  /** Does `work`; the timers set in it, and in what comes of it, are those of `owner`. */
  run<Result>(owner: object, work: () => Result): Result {
    return this.#owner.run(owner, work);
  }

  /** Where the pending timers of `owner` were set. Those that were cleared are known to be a turn later. */
  of(owner: object): string[] {
    const own = [...this.#pending.values()].filter((timer) => timer.owner === owner);
    return own.map(({ where }) => where).filter((where) => !where.includes(SHARED));
  }

  /** Where the pending timers of all were set. */
  all(): string[] {
    return [...this.#pending.values()].map(({ where }) => where);
  }
}

/** The line that called Node. */
function caller(): string | undefined {
  const own = __filename;
  const frames = new Error().stack?.split('\n').slice(1) ?? [];
  return frames.find((frame) => !frame.includes('node:') && !frame.includes(own))?.trim();
}
