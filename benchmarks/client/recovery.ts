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
  /** Microseconds of CPU time, from the loss of the first session until the last was back. */
  readonly cpu: number;
}

export interface RecoveryTask extends Task {
  readonly work: 'recovery';
  readonly count: number;
}

/** Dials at a time before the outage, few enough that none fails. */
const AT_FIRST = 50;

/** Milliseconds without a greeting after which no more are expected: longer than any wait between dials. */
const SILENCE = 12_000;

/**
 * Opens connections to a server that greets each with a byte, prints a line when all are open, and waits until each was
 * greeted again. An open socket is no proof: with a full accept queue, a client's kernel may see a connection that the
 * server's kernel has dropped.
 */
export function recover({ count, ...task }: RecoveryTask): Promise<Recovered> {
  const greetedAt: number[] = [];
  let [dialled, greeted] = [0, 0];
  let meter: Meter | undefined;
  return new Promise((resolve) => {
    let spent = 0;
    const end = () => {
      const at = (share: number) => greetedAt[Math.ceil(share * count) - 1];
      const times = Object.entries({ half: at(0.5), most: at(0.99), all: at(1) });
      const found = Object.fromEntries(times.filter(([, time]) => time !== undefined));
      resolve({ ...found, lost: count - greetedAt.length, cpu: spent });
    };
    const silence = setTimeout(end, SILENCE);
    const onData = ({ length }: Buffer) => {
      if (meter === undefined) {
        greeted += length;
        if (dialled < count) dial();
        if (greeted === count) process.stdout.write('{"open":true}\n');
        return;
      }
      greetedAt.push(now());
      silence.refresh();
      const { user, system } = meter.read();
      spent = user + system;
      if (greetedAt.length === count) end();
    };
    const onWait = () => {
      meter ??= new Meter();
    };
    const connect = connectorFor(task)(task.address, { onOpen: () => undefined, onData, onWait }, 'default');
    const dial = () => {
      dialled++;
      connect();
    };
    while (dialled < Math.min(count, AT_FIRST)) dial();
  });
}

/** Milliseconds on a clock that all processes of the machine share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
