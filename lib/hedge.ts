import { type Holdable, Deadline, hold } from './deadline';
import { isLocal } from './failure';
import { type Ear, type Link, destroyLink, hear, ignore, leave, listen } from './link';

/** Who hedges. */
export interface HedgeHost {
  /** Opens another socket to the same target. */
  openOther(): Link;
  /** The other one has connected, and is the host's from now on. */
  onWin(other: Link): void;
  /** The other one was refused, as the first would be. */
  onRefused(error: Error): void;
}

/**
 * Dials once more where a socket has gone unanswered for longer than dials take here: a full accept queue drops the
 * first packet, and the system sends it again only after a second. The first of the two that connects is kept, and the
 * other destroyed.
 */
export class Hedge implements Holdable, Ear {
  readonly #host: HedgeHost;
  #held: boolean;
  #timer: Deadline | undefined;
  #other: Link | undefined;

  constructor(patience: number, held: boolean, host: HedgeHost) {
    this.#host = host;
    this.#held = held;
    this.#timer = new Deadline(Math.ceil(patience), held, () => this.#open());
  }

  /** No other is needed any more. */
  clear(): void {
    this.#timer?.clear();
    const other = this.#take();
    if (other === undefined) return;
    leave(other);
    destroyLink(other);
  }

  hold(held: boolean): void {
    this.#held = held;
    this.#timer?.hold(held);
    if (this.#other !== undefined) hold(held, this.#other);
  }

  #open(): void {
    this.#timer = undefined;
    let other: Link;
    try {
      other = this.#host.openOther();
    } catch {
      // The first one is still there.
      return;
    }
    this.#other = other;
    hear(other, this);
    listen(other, 'connect');
    if (!this.#held) other.unref?.();
  }

  // What the other tells.

  onConnect(): void {
    const other = this.#take();
    if (other !== undefined) this.#host.onWin(other);
  }

  onError(error: Error): void {
    this.#take();
    if (!isLocal(error)) this.#host.onRefused(error);
  }

  readonly onClose = ignore;

  #take(): Link | undefined {
    const other = this.#other;
    this.#other = undefined;
    return other;
  }
}
