import type { Spool } from 'reconnecting-connection/delivery';

import type { Clock } from './clock';
import type { Random } from '../kit/random';

/** A spool in simulated time: what was appended is kept a moment later, and a crash keeps a part of what is under way. */
export class Disk {
  /** The position of the first message that is kept. */
  first = 1;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #slowness: number;
  readonly #kept: Buffer[] = [];
  /** Whether it says that it has kept what it may still lose. */
  isHasty = false;
  /** Whether it takes no more. */
  isFull = false;
  /** The process that has it open. */
  #process: object | undefined;
  /** What is being appended. */
  #underWay: readonly Buffer[] = [];

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#slowness = random.of([0, 3, 100]);
  }

  /** The position behind the last message that is kept. */
  get end(): number {
    return this.first + this.#kept.length;
  }

  /** What a process has of it. The calls of one that has crashed change nothing any more. */
  open(): Spool {
    const process = {};
    this.#process = process;
    const later = (run: () => void) =>
      new Promise<void>((resolve) => {
        this.#clock.after(this.#random.integer(0, this.#slowness), () => {
          if (this.#process !== process) return;
          run();
          this.#clock.arrive(resolve);
        });
      });
    return {
      replay: async () => {
        await later(() => undefined);
        return { first: this.first, messages: [...this.#kept] };
      },
      append: (messages, first) => {
        if (this.#process !== process) return later(() => undefined);
        if (first !== this.end) throw new Error(`${first} is appended behind ${this.end}`);
        if (this.isFull) {
          return later(() => undefined).then(() => {
            throw new Error('disk full');
          });
        }
        // They are valid until the promise is settled. `as`: bytes are sent here.
        this.#underWay = messages.map((message) => Buffer.from(message as Buffer));
        const kept = later(() => this.#keep(this.#underWay.length));
        return this.isHasty ? undefined : kept;
      },
      acknowledge: (position) => later(() => this.#release(position)),
    };
  }

  /** The process is no more. */
  crash(): void {
    this.#process = undefined;
    this.#keep(this.#random.integer(0, this.#underWay.length));
  }

  #keep(count: number): void {
    for (const message of this.#underWay.slice(0, count)) this.#kept.push(message);
    this.#underWay = [];
  }

  #release(position: number): void {
    const count = Math.max(0, position + 1 - this.first);
    this.#kept.splice(0, count);
    this.first += count;
  }
}
