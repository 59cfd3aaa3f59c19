import { type Refable, Deadline, setRef } from '../timers/deadline';
import { isLocal } from './failure';
import {
  type TransportHandler,
  type Transport,
  destroyTransport,
  setHandler,
  ignore,
  clearHandler,
  enableEvents,
} from '../socket/transport';

/** Who hedges. */
export interface HedgeHost {
  /** How long a socket may go without an answer, in milliseconds; undefined for ever. */
  readonly patience: number | undefined;
  /** The last socket has had no answer for as long. Returns whether another may be opened at once; if not, that is told. */
  onOverdue(): boolean;
  /** Opens another socket to the same target. */
  openOther(): Transport;
  /** The other one has connected, and is the host's from now on. */
  onWin(other: Transport): void;
  /** The other one was refused, as the first would be. */
  onRefused(error: Error): void;
}

/**
 * Dials once more where a socket has gone unanswered for longer than dials take here: a full accept queue drops the
 * first packet, and the system sends it again only after a second. The first of the two that connects is kept, and the
 * other destroyed. If the other has no answer in its time either, the next takes its place.
 */
export class HedgedDial implements Refable, TransportHandler {
  readonly #host: HedgeHost;
  #held: boolean;
  #timer: Deadline | undefined;
  #other: Transport | undefined;
  #isOver = false;

  constructor(held: boolean, host: HedgeHost) {
    this.#host = host;
    this.#held = held;
    this.#watch();
  }

  /** No other is needed any more. */
  clear(): void {
    this.#isOver = true;
    this.#timer?.clear();
    this.#drop();
  }

  /** Another may be opened. */
  open(): void {
    if (this.#isOver) return;
    this.#drop();
    let other: Transport;
    try {
      other = this.#host.openOther();
    } catch {
      // The first one is still there.
      return;
    }
    this.#other = other;
    setHandler(other, this);
    enableEvents(other, 'connect');
    if (!this.#held) other.unref?.();
    this.#watch();
  }

  setRef(held: boolean): void {
    this.#held = held;
    this.#timer?.setRef(held);
    if (this.#other !== undefined) setRef(held, this.#other);
  }

  // What the other tells.

  onConnect(): void {
    const other = this.#take();
    if (other === undefined) return;
    this.clear();
    this.#host.onWin(other);
  }

  onError(error: Error): void {
    this.#take();
    // Nor is there another to be had for the next one.
    this.clear();
    if (!isLocal(error)) this.#host.onRefused(error);
  }

  readonly onClose = ignore;

  #watch(): void {
    const { patience } = this.#host;
    if (patience === undefined) return;
    this.#timer = new Deadline(Math.ceil(patience), this.#held, () => {
      this.#timer = undefined;
      if (this.#host.onOverdue()) this.open();
    });
  }

  #drop(): void {
    const other = this.#take();
    if (other === undefined) return;
    clearHandler(other);
    destroyTransport(other);
  }

  #take(): Transport | undefined {
    const other = this.#other;
    this.#other = undefined;
    return other;
  }
}
