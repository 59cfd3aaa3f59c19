import { createInterface } from 'node:readline';

import { Meter } from './meter';
import { type Task, connectorFor } from './task';

/** When sessions were served again, in milliseconds on the clock that all processes share. */
export interface Recovered {
  /** Half of them, 99 of 100, and all; absent if that did not happen. */
  readonly half?: number;
  readonly most?: number;
  readonly all?: number;
  /** Sessions that were not served again. */
  readonly lost: number;
  /** Microseconds of CPU time, from the announcement of the outage until the last was back. */
  readonly cpu: number;
}

export interface RecoveryTask extends Task {
  readonly work: 'recovery';
  readonly count: number;
  readonly outages: number;
}

/** Dials at a time before the first outage, few enough that none fails. */
const AT_FIRST = 50;

/** Milliseconds without a greeting after which no more are expected: longer than any wait between dials. */
const SILENCE = 12_000;

/**
 * Opens connections to a server that greets each with a byte, and prints a line when all are open. For each line on
 * standard input, which announces an outage, it prints a line at once and another when each was greeted again. An open
 * socket is no proof: with a full accept queue, a client's kernel may see a connection that the server's has dropped.
 */
export async function recover({ count, outages, ...task }: RecoveryTask): Promise<object> {
  let dialled = 0;
  let onGreeting: (bytes: number) => void = ignore;
  const onData = ({ length }: Buffer) => onGreeting(length);
  const handlers = { onOpen: () => undefined, onData, onWait: () => undefined };
  const connect = connectorFor(task)(task.address, handlers, 'default');
  const dial = () => {
    dialled++;
    connect();
  };
  const announcements = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

  await new Promise<void>((resolve) => {
    let greeted = 0;
    onGreeting = (bytes) => {
      greeted += bytes;
      if (dialled < count) dial();
      if (greeted === count) resolve();
    };
    while (dialled < Math.min(count, AT_FIRST)) dial();
  });
  print({});
  for (let outage = 1; ; outage++) {
    await announcements.next();
    const recovered = new Promise<Recovered>((resolve) => {
      const meter = new Meter();
      const greetedAt: number[] = [];
      let cpu = 0;
      const end = () => {
        onGreeting = ignore;
        clearTimeout(silence);
        resolve({ ...times(greetedAt, count), lost: count - greetedAt.length, cpu });
      };
      const silence = setTimeout(end, SILENCE);
      onGreeting = () => {
        greetedAt.push(now());
        silence.refresh();
        const { user, system } = meter.read();
        cpu = user + system;
        if (greetedAt.length === count) end();
      };
    });
    print({});
    if (outage === outages) return recovered;
    print(await recovered);
  }
}

function times(greetedAt: readonly number[], count: number): Pick<Recovered, 'half' | 'most' | 'all'> {
  const at = (share: number) => greetedAt[Math.ceil(share * count) - 1];
  const found = Object.entries({ half: at(0.5), most: at(0.99), all: at(1) });
  return Object.fromEntries(found.filter(([, time]) => time !== undefined));
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function ignore(): void {
  // No-op.
}

/** Milliseconds on a clock that all processes of the machine share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
