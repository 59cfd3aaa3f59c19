import { Meter, cpu } from './meter';
import { type Task, connectorFor } from './task';

/** When sessions were served again, in milliseconds on the clock that all processes share. */
export interface Recovered {
  /** Half of them, 99 of 100, and all: absent where it never came to that. */
  readonly half?: number;
  readonly most?: number;
  readonly all?: number;
  /** Those that were not served again. */
  readonly lost: number;
  /** Microseconds of the processor, from the loss of the first session until the last was back. */
  readonly cpu: number;
}

export interface RecoveryTask extends Task {
  readonly work: 'recovery';
  readonly count: number;
}

/** How many dial at a time at first, when nothing is to go wrong yet. */
const AT_FIRST = 50;

/** Milliseconds without a greeting after which none is expected any more. Longer than anybody waits between dials. */
const SILENCE = 12_000;

/**
 * Opens connections to a server that greets each with a byte, says so, and waits until each was greeted again. An open
 * socket proves nothing: the kernel accepts for a server that has no room, forgets, and tells nobody.
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
      spent = cpu(meter.read());
      if (greetedAt.length === count) end();
    };
    const onWait = () => {
      meter ??= new Meter();
    };
    const connect = connectorFor(task)(task.place, { onOpen: () => undefined, onData, onWait }, 'default');
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
