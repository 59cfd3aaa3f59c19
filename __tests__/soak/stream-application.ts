import { setTimeout as wait, setImmediate as turn } from 'node:timers/promises';

import type { ReconnectingConnection } from 'reconnecting-connection';

import type { Random } from '../kit/random';

/** How frames are written. Returns what `write()` returned. */
type WriteFrame = (bytes: number, hasCallback: boolean) => boolean;

/** How often it does what. */
const HABITS = { burst: 40, lone: 40, large: 10, flood: 6, pause: 3, reconnect: 2, bounce: 1 };

/** Who uses the connection: writes all the time, with and without regard for backpressure, and now and then does worse. */
export class Application {
  /** How often it did each thing. */
  readonly counts: Record<string, number> = {};
  readonly #connection: ReconnectingConnection;
  readonly #write: WriteFrame;
  readonly #random: Random;
  readonly #note: (what: string) => void;
  #isStopped = false;
  /** Whether `write()` returned false and no `drain` has come since. */
  isFull = false;

  constructor(
    connection: ReconnectingConnection,
    write: WriteFrame,
    { random, note }: { readonly random: Random; readonly note: (what: string) => void },
  ) {
    this.#connection = connection;
    this.#write = write;
    this.#random = random;
    this.#note = note;
    connection.on('drain', () => {
      this.isFull = false;
      this.#perhaps(0.5);
    });
    connection.on('reset', () => this.#perhaps(0.3));
    connection.on('backoff', () => this.#perhaps(0.3));
    connection.on('data', () => this.#perhaps(0.02));
    connection.on('message', () => this.#perhaps(0.02));
    connection.on('close', () => {
      // Whoever waited for room waits in vain, and is told so by the end.
      this.isFull = false;
      if (!this.#isStopped) setImmediate(() => connection.connect());
    });
  }

  /** Its part of the session's hello. */
  greet(): void {
    for (let left = this.#random.integer(0, 3); left > 0; left--) this.#perhaps(1);
  }

  async live(): Promise<void> {
    while (!this.#isStopped) {
      const habit = this.#random.weighted(HABITS);
      this.counts[habit] = (this.counts[habit] ?? 0) + 1;
      await this.#follow(habit);
      await wait(this.#random.integer(0, 30));
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #follow(habit: keyof typeof HABITS): Promise<void> {
    // Some bursts go on when `write()` has said that it is enough.
    const heeds = this.#random.chance(0.5);
    switch (habit) {
      case 'burst':
        for (let left = this.#random.integer(2, 60); left > 0 && !(heeds && this.isFull); left--) this.#one('small');
        return;
      case 'large':
        for (let left = this.#random.integer(1, 12); left > 0 && !(heeds && this.isFull); left--) this.#one('large');
        return;
      case 'flood':
        // More than kernels and proxies keep, so that some of it is under way when a session dies.
        for (let left = this.#random.integer(50, 200); left > 0; left--) {
          this.#one('large');
          if (left % 8 === 0) await turn();
          if (this.#isStopped) return;
        }
        return;
      case 'lone':
        for (let left = this.#random.integer(1, 6); left > 0 && !(heeds && this.isFull); left--) {
          this.#one('medium');
          await turn();
        }
        return;
      case 'pause':
        this.#note('pause()');
        this.#connection.pause();
        await wait(this.#random.integer(5, 400));
        this.#connection.resume();
        this.#note('resume()');
        return;
      case 'reconnect':
        this.#note('reconnect()');
        this.#connection.reconnect();
        return;
      case 'bounce':
        this.#note('disconnect()');
        void this.#connection.disconnect();
        await wait(this.#random.integer(0, 300));
        // From `close` on it dials again, see above.
        if (this.#connection.state === 'closing') this.#connection.destroy();
    }
  }

  /** From within listeners, too. */
  #perhaps(share: number): void {
    if (!this.#isStopped && this.#random.chance(share)) this.#one('small');
  }

  #one(size: 'small' | 'medium' | 'large'): void {
    const bytes = this.#random.integer(16, { small: 512, medium: 8_192, large: 65_536 }[size]);
    if (!this.#write(bytes, this.#random.chance(0.6))) this.isFull = true;
  }
}
