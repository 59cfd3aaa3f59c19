import { type Refable, Deadline, setRef } from '../timers/deadline';
import type { DialGrant } from './dial-gate';
import { type AttemptFailure, isLocal } from './failure';
import {
  type TransportHandler,
  type Transport,
  destroyTransport,
  setHandler,
  ignore,
  clearHandler,
  enableEvents,
} from '../socket/transport';

/** The dial that is hedged. */
export interface HedgedDialOptions {
  /** Milliseconds without an answer after which the first socket counts as slow. */
  readonly slowAfter: number;
  readonly ref: boolean;
  /** The latest socket is slow: resolves when another may be opened. */
  readonly acquire: () => Promise<DialGrant | AttemptFailure>;
  /** Opens another socket to the same target. */
  readonly open: () => Transport;
  /** The second socket has connected, and belongs to the caller from now on. */
  readonly onConnect: (second: Transport) => void;
  /** The second socket failed as the first would have: not for a local reason. */
  readonly onError: (error: Error) => void;
}

/**
 * Opens a second socket when the first has had no answer for longer than dials take: a full accept queue drops the first
 * packet, and the system sends it again only after a second. The first of the two that connects is kept, and the other
 * destroyed. If the second has no answer in its time either, a third replaces it.
 */
export class HedgedDial implements Refable, TransportHandler {
  readonly #options: HedgedDialOptions;
  #ref: boolean;
  #timer: Deadline | undefined;
  #second: Transport | undefined;
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
    if (this.#second !== undefined) setRef(ref, this.#second);
  }

  // Events of the second socket.

  onConnect(): void {
    const second = this.#take();
    if (second === undefined) return;
    this.clear();
    this.#options.onConnect(second);
  }

  onError(error: Error): void {
    this.#take();
    // Another socket would fail in the same way.
    this.clear();
    if (!isLocal(error)) this.#options.onError(error);
  }

  readonly onClose = ignore;

  #start(slowAfter: number | undefined): void {
    if (slowAfter === undefined) return;
    this.#timer = new Deadline(Math.ceil(slowAfter), this.#ref, () => {
      this.#timer = undefined;
      void this.#options.acquire().then((grant) => {
        if (grant.ok && !this.#isOver) this.#open(grant.slowAfter);
      });
    });
  }

  #open(slowAfter: number | undefined): void {
    this.#drop();
    let second: Transport;
    try {
      second = this.#options.open();
    } catch {
      // The first socket may still connect.
      return;
    }
    this.#second = second;
    setHandler(second, this);
    // A `lookup` of the application's may have ended the attempt.
    if (this.#isOver) return this.#drop();
    enableEvents(second, 'connect');
    if (!this.#ref) second.unref?.();
    this.#start(slowAfter);
  }

  #drop(): void {
    const second = this.#take();
    if (second === undefined) return;
    clearHandler(second);
    destroyTransport(second);
  }

  #take(): Transport | undefined {
    const second = this.#second;
    this.#second = undefined;
    return second;
  }
}
