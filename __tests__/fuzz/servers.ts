import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

import { type Certificates, loadCertificates } from '../kit/certificates';
import { compiled } from '../kit/compiled';
import { Faults } from './faults';
import { programOf } from './hostile-programs';
import type { Answer, Order } from './hostile-server';
import { type Life, liveThrough } from './victim';

/** What came of a run. */
export interface ServersReport {
  readonly seed: number;
  readonly behaviours: number;
  /** Behaviours during which a session opened. */
  readonly opened: number;
  /** Events heard, by their names. */
  readonly events: Readonly<Record<string, number>>;
  /** Milliseconds of processor time for each behaviour, on the average. */
  readonly cpu: number;
  /** The longest that the event loop was held up, in milliseconds. */
  readonly longestHold: number;
  /** The slowest `disconnect()`, in milliseconds beyond its `closeTimeout`. */
  readonly slowestEnd: number;
  /** MiB of memory in use after the first tenth of the behaviours, and at the end. */
  readonly memory: readonly [early: number, late: number];
  readonly left: readonly string[];
  readonly faults: number;
  readonly lines: readonly string[];
}

/** Behaviours at a time. */
const SLOTS = 24;

/**
 * Sets clients with all sorts of options upon servers that do all sorts of things to them. Behaviour number `n` of a run
 * is that of the seed plus `n`, so that one alone is replayed by its own seed and a count of 1.
 */
export async function fuzzServers(count: number, seed: number): Promise<ServersReport> {
  const faults = new Faults().watchProcess();
  const certificates = await loadCertificates();
  const servers = await HostileServers.start(certificates);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const before = process.cpuUsage();
  const events: Record<string, number> = {};
  const sums = { behaviours: 0, opened: 0, slowestEnd: 0 };
  let early = 0;

  let taken = 0;
  const work = async (slot: number) => {
    while (taken < count) {
      const own = seed + taken++;
      const port = await servers.load(slot, own);
      const life: Life = await liveThrough(own, port, certificates);
      for (const line of life.faults)
        faults.add(`--servers 1 --seed ${own}`, { line, ...life, program: programOf(own) });
      for (const [event, times] of Object.entries(life.events)) events[event] = (events[event] ?? 0) + times;
      sums.behaviours += 1;
      if ((life.events['open'] ?? 0) > 0) sums.opened += 1;
      sums.slowestEnd = Math.max(sums.slowestEnd, life.overtime);
      if (early === 0 && sums.behaviours >= count / 10) early = memory();
    }
  };
  await Promise.all(Array.from({ length: Math.min(SLOTS, count) }, (_, slot) => work(slot)));

  const { user, system } = process.cpuUsage(before);
  const longestHold = longest(delay);
  servers.stop();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const left = process.getActiveResourcesInfo().filter((each) => /^Timeout|TCPSocket|TLS|GetAddr/.test(each));
  const cpu = (user + system) / 1_000 / count;
  return {
    seed,
    ...sums,
    events,
    cpu,
    longestHold,
    memory: [early, memory()],
    left,
    faults: faults.count,
    lines: faults.lines,
  };
}

function longest(delay: IntervalHistogram): number {
  delay.disable();
  return Math.round(delay.max / 1e6);
}

function memory(): number {
  globalThis.gc?.();
  return Math.round(process.memoryUsage().rss / 2 ** 20);
}

/** The process of the hostile servers, as seen from here. */
class HostileServers {
  readonly #child: ChildProcess;
  readonly #ports: readonly number[];
  readonly #loading = new Map<number, () => void>();

  private constructor(child: ChildProcess, ports: readonly number[]) {
    this.#child = child;
    this.#ports = ports;
    child.on('message', (answer: Answer) => {
      if ('slot' in answer) this.#loading.get(answer.slot)?.();
    });
    child.on('exit', (code) => {
      if (code !== null && code !== 0) throw new Error(`The hostile servers ended with code ${code}`);
    });
  }

  static async start(certificates: Certificates): Promise<HostileServers> {
    const child = fork(await compiled('fuzz/hostile-server'));
    const order: Order = { open: SLOTS, certificates };
    child.send(order);
    // `as`: its first message says which ports there are.
    const [answer] = (await once(child, 'message')) as [Extract<Answer, { ports: unknown }>];
    return new HostileServers(child, answer.ports);
  }

  /** Has the server of a slot run the program of `seed` from now on. Returns its port. */
  async load(slot: number, seed: number): Promise<number> {
    const loaded = new Promise<void>((resolve) => this.#loading.set(slot, resolve));
    const order: Order = { slot, seed };
    this.#child.send(order);
    await loaded;
    return this.#ports[slot]!;
  }

  stop(): void {
    this.#child.removeAllListeners('exit');
    this.#child.kill();
  }
}
