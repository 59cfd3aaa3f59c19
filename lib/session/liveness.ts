import { type Refable, Deadline } from '../timers/deadline';
import { shielded } from '../events/emitter';
import { ConnectionError } from '../errors';
import type { HeartbeatOptions } from '../options/options';

/** The session, as its watches see it. */
export interface Watched {
  readonly tag: string;
  /** Bytes received up to now. It is read at intervals, so that a chunk costs nothing more. */
  received(): number;
  /** Called once, when the peer is taken for dead. */
  onDead(reason: 'idle' | 'heartbeat', error: ConnectionError): void;
}

/** How often `received()` is asked within the bound. A silence is found up to one part in this many late, never early. */
const SAMPLES = 8;

/** Finds a peer from which nothing was received for `idleTimeout` milliseconds. Writes do not count. */
export class IdleWatch implements Refable {
  readonly #idleTimeout: number;
  readonly #watched: Watched;
  #ref: boolean;
  #next: Deadline | undefined;
  #received = 0;
  #changedAt = 0;

  constructor(idleTimeout: number, watched: Watched, ref: boolean) {
    this.#idleTimeout = idleTimeout;
    this.#watched = watched;
    this.#ref = ref;
  }

  start(): void {
    const now = performance.now();
    this.#received = this.#watched.received();
    this.#changedAt = now;
    this.#wait(now);
  }

  stop(): void {
    this.#next?.clear();
    this.#next = undefined;
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#next?.setRef(ref);
  }

  #wait(now: number): void {
    const interval = Math.max(1, Math.floor(this.#idleTimeout / SAMPLES));
    // Whole milliseconds, as timers take: a fraction would end before its time.
    const left = Math.ceil(this.#changedAt + this.#idleTimeout - now);
    this.#next = new Deadline(Math.min(interval, left), this.#ref, () => this.#sample());
  }

  #sample(): void {
    const now = performance.now();
    const received = this.#watched.received();
    if (received !== this.#received) {
      this.#received = received;
      this.#changedAt = now;
    }
    if (now < this.#changedAt + this.#idleTimeout) return this.#wait(now);
    const { tag } = this.#watched;
    const message = `Nothing was received from ${tag} for ${this.#idleTimeout} ms`;
    this.#watched.onDead('idle', new ConnectionError('ERR_IDLE', message, { tag }));
  }
}

/** Pings a peer, and finds one from which no byte comes within `timeout` milliseconds of a ping. */
export class Heartbeat implements Refable {
  readonly #options: Required<Omit<HeartbeatOptions, 'ping'>>;
  readonly #ping: () => void;
  readonly #watched: Watched;
  #ref: boolean;
  #next: Deadline | undefined;
  readonly #answers = new Set<Deadline>();

  constructor(options: Required<Omit<HeartbeatOptions, 'ping'>>, ping: () => void, watched: Watched, ref: boolean) {
    this.#options = options;
    this.#ping = ping;
    this.#watched = watched;
    this.#ref = ref;
  }

  start(): void {
    this.#next = new Deadline(this.#options.interval, this.#ref, this.#beat);
  }

  stop(): void {
    this.#next?.clear();
    for (const answer of this.#answers) answer.clear();
    this.#answers.clear();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#next?.setRef(ref);
    for (const answer of this.#answers) answer.setRef(ref);
  }

  readonly #beat = (): void => {
    this.start();
    this.#awaitAnswer();
    shielded(this.#ping);
  };

  #awaitAnswer(): void {
    const { timeout } = this.#options;
    const before = this.#watched.received();
    const answer = new Deadline(timeout, this.#ref, () => {
      this.#answers.delete(answer);
      if (this.#watched.received() !== before) return;
      const { tag } = this.#watched;
      const message = `No byte came from ${tag} within ${timeout} ms of a ping`;
      this.#watched.onDead('heartbeat', new ConnectionError('ERR_HEARTBEAT', message, { tag }));
    });
    this.#answers.add(answer);
  }
}
