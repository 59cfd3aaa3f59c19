import { type Holdable, Deadline, hold } from './deadline';
import { type Link, destroyLink, ignore } from './dial';
import { isLocal } from './failure';
import type { Reader } from './reader';

/** A socket, and what reads it past its stream, where that may be. */
export interface Dialled {
  readonly link: Link;
  readonly reader: Reader | undefined;
}

/** Who hedges. */
export interface HedgeHost {
  /** Opens another socket to the same target. */
  openOther(): Dialled;
  /** The other one has connected, and is the host's from now on. */
  onWin(dialled: Dialled): void;
  /** The other one was refused, as the first would be. */
  onRefused(error: Error): void;
}

/**
 * Dials once more where a socket has gone unanswered for longer than dials take here: a full accept queue drops the
 * first packet, and the system sends it again only after a second. The first of the two that connects is kept, and the
 * other destroyed.
 */
export class Hedge implements Holdable {
  readonly #host: HedgeHost;
  #held: boolean;
  #timer: Deadline | undefined;
  #other: Dialled | undefined;

  constructor(patience: number, held: boolean, host: HedgeHost) {
    this.#host = host;
    this.#held = held;
    this.#timer = new Deadline(Math.ceil(patience), held, () => this.#open());
  }

  /** No other is needed any more. */
  clear(): void {
    this.#timer?.clear();
    const other = this.#take();
    if (other !== undefined) destroyLink(other.link);
  }

  hold(held: boolean): void {
    this.#held = held;
    this.#timer?.hold(held);
    if (this.#other !== undefined) hold(held, this.#other.link);
  }

  #open(): void {
    this.#timer = undefined;
    try {
      this.#other = this.#host.openOther();
    } catch {
      // The first one is still there.
      return;
    }
    const { link } = this.#other;
    // For good: a socket may fail after everyone has left it, and an `error` without a listener ends the process.
    link.on('error', ignore).on('error', this.#onError).on('connect', this.#onConnect);
    if (!this.#held) link.unref?.();
  }

  readonly #onConnect = (): void => {
    const other = this.#take();
    if (other !== undefined) this.#host.onWin(other);
  };

  readonly #onError = (error: Error): void => {
    this.#take();
    if (!isLocal(error)) this.#host.onRefused(error);
  };

  #take(): Dialled | undefined {
    const other = this.#other;
    this.#other = undefined;
    other?.link.off('error', this.#onError).off('connect', this.#onConnect);
    return other;
  }
}
