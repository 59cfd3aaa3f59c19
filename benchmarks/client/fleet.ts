import { createInterface } from 'node:readline';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import type { Address } from './endpoint';
import { memoryUsage } from './memory';
import { Meter } from './meter';
import { now } from './recovery';
import { type Setup, connectorFor } from './task';

export interface FleetTask extends Setup {
  readonly work: 'fleet';
  /** The targets: each greets a session with one byte, its number. */
  readonly addresses: readonly Address[];
  /** Connections to all targets together. */
  readonly members: number;
}

/** What a fleet went through, from the announcement of the restarts until the last was back. */
export interface FleetRecovered {
  /** When the last session of each target was served again, on the clock that all processes share. */
  readonly servedAt: readonly number[];
  /** Sessions that were not served again. */
  readonly lost: number;
  /** Microseconds of CPU time. */
  readonly cpu: number;
  /** For each connection before the restarts: bytes on the heap, and KiB of the process. */
  readonly heap: number;
  readonly resident: number;
  /** The same on the heap afterwards. */
  readonly heapAfter: number;
  /** The most memory of the process, in MiB. */
  readonly peak: number;
  /** Milliseconds by which a timer of the process was late: at most in 99 of 100 cases, and at most. */
  readonly late: number;
  readonly latest: number;
}

/** Dials at a time before the restarts. */
const AT_FIRST = 50;

/** Milliseconds without a greeting after which no more are expected: longer than any wait between dials. */
const SILENCE = 12_000;

/** Milliseconds between two samples of the event loop's delay, which the histogram counts as delay. */
const RESOLUTION = 5;

/** Opens connections to all targets in turn, and prints a line. After a line on standard input it waits for their return. */
export async function fleet({ addresses, members, ...setup }: FleetTask): Promise<FleetRecovered> {
  const before = await memoryUsage();
  const { onGreeting, connectTo } = connect(addresses, setup);
  const announcements = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

  await new Promise<void>((resolve) => {
    let [dialled, greeted] = [0, 0];
    const dial = () => connectTo[dialled++ % addresses.length]!();
    onGreeting(() => {
      if (++greeted === members) resolve();
      else if (dialled < members) dial();
    });
    while (dialled < Math.min(members, AT_FIRST)) dial();
  });
  const open = await memoryUsage();
  process.stdout.write('\n');
  await announcements.next();

  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  const servedAt = addresses.map(() => Infinity);
  const missing = addresses.map((_, target) => Math.ceil((members - target) / addresses.length));
  let left = members;
  let cpu = 0;
  delay.enable();
  await new Promise<void>((resolve) => {
    const meter = new Meter();
    const end = () => {
      clearTimeout(silence);
      resolve();
    };
    const silence = setTimeout(end, SILENCE);
    onGreeting((target) => {
      if (missing[target] === 0) return;
      silence.refresh();
      left -= 1;
      missing[target]! -= 1;
      if (missing[target] === 0) servedAt[target] = now();
      if (left > 0) return;
      const { user, system } = meter.read();
      cpu = user + system;
      end();
    });
    process.stdout.write('\n');
  });
  delay.disable();
  const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION);
  const peak = process.resourceUsage().maxRSS / 1_024;
  const after = await memoryUsage();
  const each = (one: number, other: number) => (other - one) / members;
  return {
    servedAt,
    lost: left,
    cpu,
    heap: each(before.heapUsed, open.heapUsed),
    resident: each(before.rss, open.rss) / 1_024,
    heapAfter: each(before.heapUsed, after.heapUsed),
    peak,
    late: late(delay.percentile(99)),
    latest: late(delay.max),
  };
}

interface Connected {
  readonly connectTo: readonly (() => void)[];
  /** Sets what is called with the number of each target that greets. */
  readonly onGreeting: (handler: (target: number) => void) => void;
}

function connect(addresses: readonly Address[], setup: Setup): Connected {
  let handler: (target: number) => void = () => undefined;
  const handlers = {
    onOpen: () => undefined,
    onData: (chunk: Buffer) => handler(chunk[0]!),
    onWait: () => undefined,
  };
  const connector = connectorFor(setup);
  return {
    connectTo: addresses.map((address) => connector(address, handlers, 'default')),
    onGreeting: (given) => (handler = given),
  };
}
