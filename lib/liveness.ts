import { type Holdable, Deadline } from './deadline';
import { shielded } from './emitter';
import { ConnectionError } from './errors';
import type { HeartbeatOptions } from './options';

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

/** Finds a peer from which nothing was received for `idleTimeout` milliseconds. Writes do not count. */
export class IdleWatch implements Holdable {
  readonly #idleTimeout: number;
  readonly #watched: Watched;
  #held: boolean;
  #timer: Deadline | undefined;
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
    this.#wait(this.#idleTimeout);
  }

  stop(): void {
    this.#timer?.clear();
  }

  ref(): void {
    this.#held = true;
    this.#timer?.ref();
  }

  unref(): void {
    this.#held = false;
    this.#timer?.unref();
  }

  #wait(left: number): void {
    this.#timer = new Deadline(Math.min(left, this.#idleTimeout / SAMPLES), this.#held, this.#sample);
  }

  readonly #sample = (): void => {
    const received = this.#watched.received();
    const now = performance.now();
    if (received !== this.#seen) {
      this.#seen = received;
      this.#changedAt = now;
    }
    const left = this.#changedAt + this.#idleTimeout - now;
    if (left > 0) {
      this.#wait(left);
      return;
    }
    const { tag } = this.#watched;
    const message = `Nothing was received from ${tag} for ${this.#idleTimeout} ms`;
    this.#watched.onDead('idle', new ConnectionError('ERR_IDLE', message, { tag }));
  };
}

/** Pings a peer, and finds one from which no byte comes within `timeout` milliseconds of a ping. */
export class Heartbeat implements Holdable {
  readonly #options: Required<Omit<HeartbeatOptions, 'ping'>>;
  readonly #ping: () => void;
  readonly #watched: Watched;
  #held: boolean;
  #next: Deadline | undefined;
  #answer: Deadline | undefined;

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
    this.#answer?.clear();
    this.#answer = undefined;
  }

  ref(): void {
    this.#held = true;
    this.#next?.ref();
    this.#answer?.ref();
  }

  unref(): void {
    this.#held = false;
    this.#next?.unref();
    this.#answer?.unref();
  }

  readonly #beat = (): void => {
    this.start();
    // While an answer is awaited its bound stands, whatever has been pinged since.
    this.#answer ??= this.#awaitAnswer();
    shielded(this.#ping);
  };

  #awaitAnswer(): Deadline {
    const { timeout } = this.#options;
    const before = this.#watched.received();
    return new Deadline(timeout, this.#held, () => {
      this.#answer = undefined;
      if (this.#watched.received() !== before) return;
      const { tag } = this.#watched;
      const message = `No byte came from ${tag} within ${timeout} ms of a ping`;
      this.#watched.onDead('heartbeat', new ConnectionError('ERR_HEARTBEAT', message, { tag }));
    });
  }
}
