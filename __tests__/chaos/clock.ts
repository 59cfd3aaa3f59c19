import { setImmediate as nextTurn } from 'node:timers';

/** Something that is due at a time; of equals, what was made first comes first. */
interface Due {
  readonly at: number;
  readonly run: () => void;
}

/** A timer of the process under test. */
export class SimulatedTimer implements Due {
  at: number;
  readonly run: () => void;
  /** Milliseconds after which it is due again; undefined for a timer that runs once. */
  readonly interval: number | undefined;
  referenced = true;
  cleared = false;

  constructor(at: number, run: () => void, interval: number | undefined) {
    this.at = at;
    this.run = run;
    this.interval = interval;
  }

  ref(): this {
    this.referenced = true;
    return this;
  }

  unref(): this {
    this.referenced = false;
    return this;
  }

  hasRef(): boolean {
    return this.referenced;
  }
}

/** The longest that Node's timers can wait. */
const LONGEST = 2 ** 31 - 1;

/** Iterations of the loop at one time after which it is taken to be endless, if there is no other number. */
const HOT = 3_000;

/**
 * Time for a whole simulated world. The process under test has timers and immediates, in the phases in which Node's
 * loop has them: timers, then what the kernel has for the process, then immediates, with all ticks and microtasks
 * (which are real) between any two. The rest of the world goes on without that process: when it freezes, its kernel
 * still takes what arrives.
 */
export class Clock {
  /** Whole milliseconds, as the loop counts them. */
  now = 0;
  /** When the process last stood still: from then on it measures anew what it did not see happen. */
  thawedAt = 0;
  readonly #freezes: { readonly at: number; readonly milliseconds: number }[] = [];
  /** Uncaught exceptions. */
  readonly uncaught: unknown[] = [];
  /** Delays that no timer can wait. */
  readonly badDelays: unknown[] = [];
  #timers: SimulatedTimer[] = [];
  #world: Due[] = [];
  #arrivals: (() => void)[] = [];
  #immediates = new Set<{ readonly run: () => void }>();
  #reads = 0;
  #readsAt = 0;
  #restore: (() => void)[] = [];
  readonly #hot: number;

  constructor(hot = HOT) {
    this.#hot = hot;
  }

  /** Timers that wait. */
  get timers(): readonly SimulatedTimer[] {
    return this.#timers;
  }

  /** Immediates that wait. */
  get immediates(): number {
    return this.#immediates.size;
  }

  /** Milliseconds since `from`, less the time in which the process stood still. `unseen`: of each standstill, what may count. */
  awakeSince(from: number, unseen = 0): number {
    const frozen = this.#freezes.filter(({ at }) => at >= from);
    return frozen.reduce((left, { milliseconds }) => left - Math.max(0, milliseconds - unseen), this.now - from);
  }

  /** Something happens in the world outside the process. */
  after(milliseconds: number, run: () => void): void {
    insert(this.#world, { at: this.now + milliseconds, run });
  }

  /** The kernel has an event for the process, which it polls in its next iteration of the loop. */
  arrive(run: () => void): void {
    this.#arrivals.push(run);
  }

  /** Lets everything run that is due, until the process has nothing left to do. */
  async settle(): Promise<void> {
    await turn();
    await this.#settle();
  }

  /** Time goes by. */
  async pass(milliseconds: number): Promise<void> {
    const until = this.now + milliseconds;
    await this.settle();
    for (;;) {
      const next = Math.min(this.#timers[0]?.at ?? Infinity, this.#world[0]?.at ?? Infinity);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      await this.#settle();
    }
    this.now = until;
  }

  /** Time goes by and the process stands still: then all its timers are late at once. */
  async freeze(milliseconds: number): Promise<void> {
    const until = this.now + milliseconds;
    this.#freezes.push({ at: this.now, milliseconds });
    await turn();
    while ((this.#world[0]?.at ?? Infinity) <= until) {
      const { at, run } = this.#world.shift()!;
      this.now = Math.max(this.now, at);
      run();
    }
    this.now = this.thawedAt = until;
    await this.settle();
  }

  /** Takes the place of the process's own clock and of its chance. */
  install(random: () => number): void {
    const elapsed = () => this.#read();
    for (const kind of ['Timeout', 'Interval'] as const) {
      this.#replace(globalThis, `set${kind}`, (run: (...args: unknown[]) => void, delay: unknown, ...args: unknown[]) =>
        this.#setTimer(() => run(...args), delay, kind === 'Interval'),
      );
      this.#replace(globalThis, `clear${kind}`, (timer: SimulatedTimer | undefined) => {
        if (timer !== undefined) timer.cleared = true;
        this.#timers = this.#timers.filter((each) => each !== timer);
      });
    }
    this.#replace(globalThis, 'setImmediate', (run: () => void) => {
      const immediate = { run };
      this.#immediates.add(immediate);
      return immediate;
    });
    this.#replace(globalThis, 'clearImmediate', (immediate: { run: () => void }) => {
      this.#immediates.delete(immediate);
    });
    const enqueue = globalThis.queueMicrotask;
    this.#replace(globalThis, 'queueMicrotask', (task: () => void) => enqueue(() => this.#guard(task)));
    this.#replace(globalThis, 'performance', { now: elapsed });
    this.#replace(Date, 'now', () => 1_700_000_000_000 + this.now);
    this.#replace(Math, 'random', random);
  }

  uninstall(): void {
    for (const restore of this.#restore.splice(0)) restore();
  }

  async #settle(): Promise<void> {
    for (let turns = 0; await this.#loop(); turns++) {
      if (turns > this.#hot) throw new Error(`The process runs hot at ${this.now} ms`);
    }
  }

  #replace(owner: object, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(owner, name)!;
    Object.defineProperty(owner, name, { value, configurable: true, writable: true });
    this.#restore.push(() => void Object.defineProperty(owner, name, before));
  }

  /** A process's clock moves on while the loop's stands still, so a timer may seem early by a part of a millisecond. */
  #read(): number {
    if (this.#readsAt !== this.now) this.#reads = 0;
    this.#readsAt = this.now;
    this.#reads = Math.min(this.#reads + 1, 900);
    return this.now + this.#reads / 1_000;
  }

  #setTimer(run: () => void, delay: unknown, repeats: boolean): SimulatedTimer {
    const fit = typeof delay === 'number' && delay <= LONGEST;
    if (!fit) this.badDelays.push(delay);
    const wait = fit && delay >= 1 ? Math.trunc(delay) : 1;
    const timer = new SimulatedTimer(this.now + wait, run, repeats ? wait : undefined);
    insert(this.#timers, timer);
    return timer;
  }

  /** One iteration of the process's loop. Returns whether there was anything to do. */
  async #loop(): Promise<boolean> {
    let busy = false;
    const isDue = (this.#timers[0]?.at ?? Infinity) <= this.now;
    for (const timer of isDue ? this.#timers.filter(({ at }) => at <= this.now) : []) {
      // An earlier one may have cleared it.
      if (!this.#timers.includes(timer)) continue;
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      busy = true;
      await this.#run(timer.run);
      if (timer.interval === undefined || timer.cleared) continue;
      timer.at = this.now + timer.interval;
      insert(this.#timers, timer);
    }
    while ((this.#world[0]?.at ?? Infinity) <= this.now) {
      busy = true;
      this.#world.shift()!.run();
    }
    for (const arrival of this.#arrivals.length > 0 ? this.#arrivals.splice(0) : []) {
      busy = true;
      await this.#run(arrival);
    }
    for (const immediate of this.#immediates.size > 0 ? [...this.#immediates] : []) {
      if (!this.#immediates.delete(immediate)) continue;
      busy = true;
      await this.#run(immediate.run);
    }
    return busy;
  }

  async #run(task: () => void): Promise<void> {
    this.#guard(task);
    await turn();
  }

  #guard(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.uncaught.push(error);
    }
  }
}

/** Runs all ticks and microtasks there are. */
export function turn(): Promise<void> {
  return new Promise((resolve) => nextTurn(resolve));
}

function insert<T extends Due>(line: T[], item: T): void {
  let place = line.length;
  while (place > 0 && line[place - 1]!.at > item.at) place -= 1;
  line.splice(place, 0, item);
}
