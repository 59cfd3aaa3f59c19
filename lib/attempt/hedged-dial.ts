import { type Refable, Deadline } from '../timers/deadline';
import type { DialGrant } from './dial-gate';
import { type AttemptFailure, isLocal } from './failure';
import { type ContenderObserver, Contender } from './contender';
import type { Transport } from '../socket/transport';

/** The dial that is hedged. */
export interface HedgedDialOptions {
  /** Milliseconds without an answer after which the first socket counts as slow. */
  readonly slowAfter: number;
  readonly ref: boolean;
  /** The latest socket is slow: resolves when another may be opened. `since`: when the second was opened, if there is one. */
  readonly acquire: (since: number | undefined) => Promise<DialGrant | AttemptFailure>;
  /** Opens another socket to the same target. */
  readonly open: () => Transport;
  /** The second socket, opened at `since`, has connected, and belongs to the caller from now on. */
  readonly onConnect: (second: Transport, since: number) => void;
  /** The second socket failed as the first would have: not for a local reason. */
  readonly onError: (error: Error) => void;
}

/**
 * Opens a second socket when the first has had no answer for longer than dials take: a full accept queue drops the first
 * packet, and the system sends it again only after a second. The first of the two that connects is kept, and the other
 * destroyed. If the second has no answer in its time either, a third replaces it.
 */
export class HedgedDial implements Refable, ContenderObserver {
  readonly #options: HedgedDialOptions;
  #ref: boolean;
  #timer: Deadline | undefined;
  #second: Contender | undefined;
  #isOver = false;

  constructor(options: HedgedDialOptions) {
    this.#options = options;
    this.#ref = options.ref;
    this.#start(options.slowAfter);
  }

  /** Destroys the second socket, and opens no other. */
  clear(): void {
    this.#isOver = true;
    this.#timer?.clear();
    this.#drop();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#timer?.setRef(ref);
    this.#second?.setRef(ref);
  }

  // Events of the second socket.

  onConnect(second: Contender): void {
    this.#second = undefined;
    this.clear();
    this.#options.onConnect(second.transport, second.since);
  }

  onError(_second: Contender, error: Error): void {
    this.#second = undefined;
    // Another socket would fail in the same way.
    this.clear();
    if (!isLocal(error)) this.#options.onError(error);
  }

  #start(slowAfter: number | undefined): void {
    if (slowAfter === undefined) return;
    this.#timer = new Deadline(Math.ceil(slowAfter), this.#ref, () => {
      this.#timer = undefined;
      void this.#options.acquire(this.#second?.since).then((grant) => {
        if (grant.ok && !this.#isOver) this.#open(grant.slowAfter);
      });
    });
  }

  #open(slowAfter: number | undefined): void {
    this.#drop();
    try {
      this.#second = new Contender(this.#options.open, this.#ref, this);
    } catch {
      // The first socket may still connect.
      return;
    }
    // A `lookup` of the application's may have ended the attempt.
    if (this.#isOver) return this.#drop();
    this.#start(slowAfter);
  }

  #drop(): void {
    this.#second?.drop();
    this.#second = undefined;
  }
}
