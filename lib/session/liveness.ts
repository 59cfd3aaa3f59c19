import { type Refable, Deadline } from '../timers/deadline';
import { shielded } from '../events/emitter';
import { ConnectionError } from '../errors';
import type { HeartbeatOptions } from '../options/options';
import { type Swept, Sweep } from '../timers/shared-interval';

/** What a watch knows of the session it watches. */
export interface Watched {
  readonly tag: string;
  /** Bytes received up to now. Asking costs nothing on the way of the data. */
  received(): number;
  /** Told once that the peer is taken for dead. */
  onDead(reason: 'idle' | 'heartbeat', error: ConnectionError): void;
}

/** How often a silence is measured within its bound. It is found up to one part in this many late, and never early. */
const SAMPLES = 8;

/**
 * Finds a peer from which nothing was received for `idleTimeout` milliseconds. Writes do not count. All that have the
 * same bound are looked at by one timer; only one that has been silent for almost that long has a timer of its own.
 */
export class IdleWatch implements Refable, Swept {
  readonly #idleTimeout: number;
  readonly #watched: Watched;
  #held: boolean;
  #sweep: Sweep | undefined;
  #verdict: Deadline | undefined;
  #seen = 0;
  #changedAt = 0;

  constructor(idleTimeout: number, watched: Watched, held: boolean) {
    this.#idleTimeout = idleTimeout;
    this.#watched = watched;
    this.#held = held;
  }

  start(): void {
    this.#seen = this.#watched.received();
    this.#changedAt = performance.now();
    this.#join();
  }

  stop(): void {
    this.#leave();
    this.#verdict?.clear();
    this.#verdict = undefined;
  }

  setRef(held: boolean): void {
    this.#held = held;
    this.#sweep?.hold(this, held);
    this.#verdict?.setRef(held);
  }

  /** Part of the sweep. */
  look(now: number): void {
    this.#note(now);
    const left = this.#changedAt + this.#idleTimeout - now;
    // By the next look it might be late.
    if (left <= this.#interval) this.#judgeIn(left);
  }

  get #interval(): number {
    return Math.max(1, Math.floor(this.#idleTimeout / SAMPLES));
  }

  #join(): void {
    this.#sweep = Sweep.every(this.#interval);
    this.#sweep.join(this, this.#held);
  }

  #leave(): void {
    this.#sweep?.leave(this);
    this.#sweep = undefined;
  }

  #note(now: number): void {
    const received = this.#watched.received();
    if (received === this.#seen) return;
    this.#seen = received;
    this.#changedAt = now;
  }

  #judgeIn(milliseconds: number): void {
    this.#leave();
    this.#verdict = new Deadline(Math.max(milliseconds, 0), this.#held, this.#judge);
  }

  readonly #judge = (): void => {
    this.#verdict = undefined;
    const now = performance.now();
    this.#note(now);
    const left = this.#changedAt + this.#idleTimeout - now;
    if (left > this.#interval) return this.#join();
    if (left > 0) return this.#judgeIn(left);
    const { tag } = this.#watched;
    const message = `Nothing was received from ${tag} for ${this.#idleTimeout} ms`;
    this.#watched.onDead('idle', new ConnectionError('ERR_IDLE', message, { tag }));
  };
}

/** Pings a peer, and finds one from which no byte comes within `timeout` milliseconds of a ping. */
export class Heartbeat implements Refable {
  readonly #options: Required<Omit<HeartbeatOptions, 'ping'>>;
  readonly #ping: () => void;
  readonly #watched: Watched;
  #held: boolean;
  #next: Deadline | undefined;
  readonly #answers = new Set<Deadline>();

  constructor(options: Required<Omit<HeartbeatOptions, 'ping'>>, ping: () => void, watched: Watched, held: boolean) {
    this.#options = options;
    this.#ping = ping;
    this.#watched = watched;
    this.#held = held;
  }

  start(): void {
    this.#next = new Deadline(this.#options.interval, this.#held, this.#beat);
  }

  stop(): void {
    this.#next?.clear();
    for (const answer of this.#answers) answer.clear();
    this.#answers.clear();
  }

  setRef(held: boolean): void {
    this.#held = held;
    this.#next?.setRef(held);
    for (const answer of this.#answers) answer.setRef(held);
  }

  readonly #beat = (): void => {
    this.start();
    this.#awaitAnswer();
    shielded(this.#ping);
  };

  #awaitAnswer(): void {
    const { timeout } = this.#options;
    const before = this.#watched.received();
    const answer = new Deadline(timeout, this.#held, () => {
      this.#answers.delete(answer);
      if (this.#watched.received() !== before) return;
      const { tag } = this.#watched;
      const message = `No byte came from ${tag} within ${timeout} ms of a ping`;
      this.#watched.onDead('heartbeat', new ConnectionError('ERR_HEARTBEAT', message, { tag }));
    });
    this.#answers.add(answer);
  }
}
