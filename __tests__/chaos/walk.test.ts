import * as fc from 'fast-check';
import { ReconnectingConnection, constantBackoff } from 'reconnecting-connection';

import type { StateName } from '../../lib/events/events';
import { transitions } from '../../lib/lifecycle/states';
import { EVENTS } from '../kit/record';
import { ScriptedDial, type ScriptedLink, pass, settle, useFakeClock } from '../kit/scripted';

beforeEach(useFakeClock);
afterEach(() => jest.useRealTimers());

/** What the application may call, from anywhere, from within its own listeners too. */
const calls = {
  connect: (walk: Walk) => walk.connection.connect(),
  disconnect: (walk: Walk) => void walk.connection.disconnect(),
  destroy: (walk: Walk) => walk.connection.destroy(),
  reconnect: (walk: Walk) => walk.connection.reconnect(),
  markHealthy: (walk: Walk) => walk.connection.markHealthy(),
  pause: (walk: Walk) => void walk.connection.pause(),
  resume: (walk: Walk) => void walk.connection.resume(),
  unref: (walk: Walk) => void walk.connection.unref(),
  write: (walk: Walk) => walk.write(),
  whenOpen: (walk: Walk) => walk.whenOpen(),
} satisfies Record<string, (walk: Walk) => void>;

/** What the network and the clock may do. */
const weather = {
  connects: (walk: Walk) => walk.link?.connect(),
  fails: (walk: Walk) => walk.link?.fail(),
  sends: (walk: Walk) => walk.link?.readable === true && walk.link.receive('bytes'),
  ends: (walk: Walk) => walk.link?.readable === true && walk.link.finish(),
  stalls: (walk: Walk) => walk.link !== undefined && (walk.link.stalled = true),
  confirms: (walk: Walk) => walk.link?.unstall(),
  aMoment: () => pass(5),
  aWait: () => pass(100),
  aLongTime: () => pass(3_000),
} satisfies Record<string, (walk: Walk) => unknown>;

type Call = keyof typeof calls;
type Weather = keyof typeof weather;

/** When a listener of `event` hears it for the `nth` time, it makes this call. */
interface Impulse {
  readonly event: (typeof EVENTS)[number];
  readonly nth: number;
  readonly call: Call;
}

/** A connection on its way through whatever may happen, with everything that must always hold. */
class Walk {
  readonly script = new ScriptedDial();
  readonly connection: ReconnectingConnection;
  readonly #fates: number[] = [];
  readonly #waiting = new Set<Promise<unknown>>();
  #state: StateName = 'idle';
  #opened = 0;
  #reset = 0;
  #closed = false;

  constructor(impulses: readonly Impulse[]) {
    this.connection = new ReconnectingConnection({
      port: 1,
      dial: this.script.dial,
      backoff: constantBackoff(100),
      queue: { maxBytes: 40, maxAge: 250 },
      handshake: async () => {
        await Promise.resolve();
      },
      idleTimeout: 2_000,
      heartbeat: { interval: 700, timeout: 600, ping: (connection) => void connection.write('ping') },
      minUptime: 50,
      maxRetries: 4,
    });
    const { connection } = this;
    // Ahead of the impulsive listeners: those who come after them hear the same order, as a test of its own shows.
    this.#watch();
    const heard = new Map<string, number>();
    for (const event of EVENTS) {
      connection.on(event, () => {
        const nth = (heard.get(event) ?? 0) + 1;
        heard.set(event, nth);
        for (const impulse of impulses) if (impulse.event === event && impulse.nth === nth) calls[impulse.call](this);
      });
    }
  }

  get link(): ScriptedLink | undefined {
    return this.script.links.at(-1);
  }

  write(): void {
    const index = this.#fates.push(0) - 1;
    this.connection.write('twelve bytes', () => {
      this.#fates[index] = (this.#fates[index] ?? 0) + 1;
    });
  }

  whenOpen(): void {
    const waiting: Promise<unknown> = this.connection.whenOpen().catch(() => undefined);
    this.#waiting.add(waiting);
    void waiting.then(() => this.#waiting.delete(waiting));
  }

  /** Holds after every step. */
  check(): void {
    const { accepted, confirmed, uncertain, dropped, queued } = this.connection.stats.writes;
    for (const unit of ['writes', 'bytes'] as const) {
      expect(accepted[unit]).toBe(confirmed[unit] + uncertain[unit] + dropped[unit] + queued[unit]);
    }
    expect(this.#fates.every((times) => times <= 1)).toBe(true);
    expect(this.#opened - this.#reset).toBe(
      this.connection.socket !== undefined && this.#state !== 'connecting' ? 1 : 0,
    );
    expect(this.#state).toBe(this.connection.state);
    // Only the latest link may still be open: nothing leaks behind.
    expect(this.script.links.slice(0, -1).every((link) => link.destroyed)).toBe(true);
  }

  /** Holds when all is over. */
  async end(): Promise<void> {
    this.connection.removeAllListeners();
    this.connection.destroy();
    await settle();
    expect(jest.getTimerCount()).toBe(0);
    expect(this.#fates.every((times) => times === 1)).toBe(true);
    expect(this.#waiting.size).toBe(0);
    expect(this.script.links.every((link) => link.destroyed)).toBe(true);
    expect(this.connection.stats.writes.queued).toEqual({ writes: 0, bytes: 0 });
  }

  #watch(): void {
    const { connection } = this;
    connection.on('state', (next, previous) => {
      expect(previous).toBe(this.#state);
      expect(transitions[previous]).toContain(next);
      if (previous === 'closed') this.#closed = false;
      expect(this.#closed).toBe(false);
      this.#state = next;
    });
    connection.on('open', () => {
      this.#opened += 1;
      expect(this.#opened).toBe(this.#reset + 1);
    });
    connection.on('reset', () => {
      this.#reset += 1;
      expect(this.#opened).toBe(this.#reset);
    });
    connection.on('close', () => {
      expect(this.#closed).toBe(false);
      expect(this.#opened).toBe(this.#reset);
      this.#closed = true;
    });
    for (const event of ['data', 'drain', 'drop', 'backoff'] as const) {
      connection.on(event, () => expect(this.#closed).toBe(false));
    }
  }
}

const call = fc.constantFrom(...(Object.keys(calls) as Call[]));
const turn = fc.constantFrom(...(Object.keys(weather) as Weather[]));
const impulse: fc.Arbitrary<Impulse> = fc.record({
  event: fc.constantFrom(...EVENTS),
  nth: fc.integer({ min: 1, max: 3 }),
  call,
});

test('whatever happens, in whatever order, from wherever it is called, the contract holds', async () => {
  const thrown: unknown[] = [];
  // What a listener throws, an expectation here included, is reported by way of a microtask.
  jest.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
    void Promise.resolve()
      .then(task)
      .catch((error: unknown) => thrown.push(error));
  });
  const what = fc.oneof({ weight: 3, arbitrary: turn }, { weight: 2, arbitrary: call });
  // After most steps all that follows may happen; after some the next comes a few microtasks later.
  const hops = fc.option(fc.nat(10), { freq: 3 });
  const steps = fc.array(fc.tuple(what, hops), { maxLength: 60 });

  await fc.assert(
    fc.asyncProperty(steps, fc.array(impulse, { maxLength: 6 }), async (path, impulses) => {
      thrown.length = 0;
      const walk = new Walk(impulses);
      for (const [step, count] of path) {
        if (step in calls) calls[step as Call](walk);
        else await weather[step as Weather](walk);
        if (count === null) await settle();
        for (let hop = 0; hop < (count ?? 0); hop++) await Promise.resolve();
        walk.check();
        expect(thrown).toEqual([]);
      }
      await walk.end();
      expect(thrown).toEqual([]);
    }),
    { numRuns: 300 },
  );
}, 60_000);
