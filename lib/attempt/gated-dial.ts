import type { DialGate } from './dial-gate';
import { type AttemptFailure, isLocal, wasConnected } from './failure';
import { HedgedDial } from './hedged-dial';
import type { ResolvedTarget } from '../options/target';
import type { Transport } from '../socket/transport';
import type { Refable } from '../timers/deadline';

/** The connector that dials. */
export interface GatedDialObserver {
  /** Opens another socket to the target. */
  openSecond(): Transport;
  /** The second socket has connected first, and belongs to the observer from now on. */
  onSecond(second: Transport): void;
  /** The second socket failed as the first would have. */
  onSecondError(error: Error): void;
}

/** Measures a dial for its gate, and opens a second socket beside one that is slow. */
export class GatedDial implements Refable {
  readonly #gate: DialGate;
  readonly #target: ResolvedTarget;
  readonly #observer: GatedDialObserver;
  /** Milliseconds without an answer after which a socket counts as slow; undefined where nothing is known. */
  readonly #slowAfter: number | undefined;
  #ref: boolean;
  #hedge: HedgedDial | undefined;
  /** When the socket that may connect first was opened; undefined once it has connected, or the dial is over. */
  #since: number | undefined = performance.now();

  constructor(
    gate: DialGate,
    target: ResolvedTarget,
    slowAfter: number | undefined,
    ref: boolean,
    observer: GatedDialObserver,
  ) {
    this.#gate = gate;
    this.#target = target;
    this.#slowAfter = slowAfter;
    this.#ref = ref;
    this.#observer = observer;
  }

  /**
   * The first socket was opened. The time that a name look-up took is not part of what is measured, and no sign of a
   * lost packet.
   *
   * @param isHedged - Another is to be opened beside it when it is slow.
   */
  watch(isHedged: boolean): void {
    this.#since = performance.now();
    if (isHedged) this.#startHedge();
  }

  /** The socket that was opened at `since` connects first. */
  onFirst(since: number): void {
    this.#since = since;
  }

  onConnected(): void {
    const since = this.#since;
    this.stop();
    // TLS over a custom stream has connected before.
    if (since !== undefined) this.#gate.connected(performance.now() - since);
  }

  /** The attempt has failed, perhaps after the dial had connected. */
  onFailure(failure: AttemptFailure): void {
    if (wasConnected(failure.error)) this.onConnected();
    else if (this.#since !== undefined && !isLocal(failure.error)) {
      this.#gate.failed(performance.now() - this.#since, failure);
    }
  }

  /** Destroys the second socket, and opens no other. */
  clearHedge(): void {
    this.#hedge?.clear();
  }

  stop(): void {
    this.#since = undefined;
    this.clearHedge();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#hedge?.setRef(ref);
  }

  #startHedge(): void {
    if (this.#slowAfter === undefined) return;
    this.#hedge = new HedgedDial({
      slowAfter: this.#slowAfter,
      ref: this.#ref,
      acquire: (second = 0) => {
        const since = Math.max(this.#since ?? 0, second);
        return this.#gate.acquire(this.#target, { slowFor: performance.now() - since });
      },
      open: () => this.#observer.openSecond(),
      onConnect: (second, since) => {
        this.#since = since;
        this.#observer.onSecond(second);
      },
      onError: (error) => this.#observer.onSecondError(error),
    });
  }
}
