import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** What a measurement found: its figures, and what about them is not as it must be. */
export interface Finding {
  readonly figures: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

export const MIB = 1_048_576;

/** Growth over a whole measurement that counts as none, in the short form and in the long run. */
const GROWTH = { short: MIB / 2, full: MIB };
/** From so many cycles on, a measurement is a long run. */
const FULL = 2_000;

/** How long what is to happen may take on a machine with much else to do. */
const PATIENCE = 30_000;

/** What a process holds at an instant. */
export interface Holdings {
  /** Bytes of JavaScript that are reachable. */
  readonly heap: number;
  /** Bytes outside the heap that belong to it: buffers. */
  readonly external: number;
  /** Open file descriptors, sockets among them. */
  readonly descriptors: number;
  /** Handles, requests and timers that keep the process alive, by their kind. */
  readonly resources: readonly string[];
  /** Timers that are set, whether or not they keep the process alive. */
  readonly timers: number;
}

const timers = new Set<NodeJS.Timeout>();

/** To be called before anything is measured. */
export async function prepare(): Promise<void> {
  countTimers();
  // With its first stream, Node opens /dev/null and keeps it; and its outputs are handles as soon as they are used.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
  process.stdout.write('');
  process.stderr.write('');
}

/** Counts timers from now on, those that were unreferenced too, which Node does not list. */
function countTimers(): void {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const counted = (callback: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) => {
    const timer = set(() => {
      timers.delete(timer);
      callback(...args);
    }, delay);
    timers.add(timer);
    return timer;
  };
  const replacement: unknown = Object.assign(counted, set);
  // `as`: the overloads of the original are about types alone.
  globalThis.setTimeout = replacement as typeof set;
  globalThis.clearTimeout = (timer) => {
    // `as`: ours are never known by their number.
    timers.delete(timer as NodeJS.Timeout);
    clear(timer);
  };
}

/** Collects garbage until nothing more goes: what one collection finalizes the next one frees. */
export async function collectGarbage(): Promise<void> {
  if (gc === undefined) throw new Error('This process has to be started with --expose-gc');
  for (let round = 0; round < 6; round++) {
    await turn();
    gc();
  }
}

/** What this process holds when its garbage is collected. */
export async function holdings(): Promise<Holdings> {
  await collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  const resources = process.getActiveResourcesInfo().sort();
  // One of them is the directory that is being read.
  const descriptors = readdirSync('/dev/fd').length - 1;
  return { heap: heapUsed, external, descriptors, resources, timers: timers.size };
}

/** Waits until `holds` is true, for as long as a loaded machine may take. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`Waited in vain until ${what}`);
    await turn();
  }
}

/** What a process holds when what it has ended is gone: sockets close in turns of the event loop that follow. */
export async function holdingsOnceLike(before: Holdings): Promise<Holdings> {
  const giveUpAt = performance.now() + PATIENCE / 10;
  let now = await holdings();
  while (differences(before, now).length > 0 && performance.now() < giveUpAt) now = await holdings();
  return now;
}

/** What is held now, and was not before, or the other way round. Memory apart. */
export function differences(before: Holdings, now: Holdings): string[] {
  const problems: string[] = [];
  if (now.descriptors !== before.descriptors) {
    problems.push(`${now.descriptors} descriptors are open, where there were ${before.descriptors}`);
  }
  if (now.resources.join() !== before.resources.join()) {
    problems.push(`active are [${now.resources.join(', ')}], where there were [${before.resources.join(', ')}]`);
  }
  if (now.timers !== before.timers) problems.push(`${now.timers} timers are set, where there were ${before.timers}`);
  return problems;
}

/** What memory has grown over so many cycles, as figures and problems. */
export function growth(before: Holdings, now: Holdings, cycles: number): Finding {
  const allowed = cycles < FULL ? GROWTH.short : GROWTH.full;
  const heap = now.heap - before.heap;
  const external = now.external - before.external;
  return {
    figures: { heapGrowth: heap, externalGrowth: external },
    problems: [
      ...(heap > allowed ? [`the heap grew by ${heap} bytes`] : []),
      ...(external > allowed ? [`memory outside the heap grew by ${external} bytes`] : []),
    ],
  };
}

/** A problem, unless `actual` is `expected`. */
export function unlessEqual(what: string, actual: number, expected: number): string[] {
  return actual === expected ? [] : [`${what}: ${actual}, not ${expected}`];
}

/** A problem, if `actual` is more than `most`. */
export function ifAbove(what: string, actual: number, most: number): string[] {
  return actual > most ? [`${what}: ${actual}, more than ${most}`] : [];
}

/** The most that memory has grown since the start, looked at time and again. */
export class Peak {
  readonly #start: NodeJS.MemoryUsage;
  readonly figures = { heap: 0, buffers: 0, resident: 0 };

  private constructor(start: NodeJS.MemoryUsage) {
    this.#start = start;
  }

  static async start(): Promise<Peak> {
    await collectGarbage();
    return new Peak(process.memoryUsage());
  }

  async look(): Promise<void> {
    await collectGarbage();
    const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
    this.figures.heap = Math.max(this.figures.heap, heapUsed - this.#start.heapUsed);
    this.figures.buffers = Math.max(this.figures.buffers, arrayBuffers - this.#start.arrayBuffers);
    this.figures.resident = Math.max(this.figures.resident, rss - this.#start.rss);
  }
}
