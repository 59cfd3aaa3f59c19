import { shielded } from '../events/emitter';
import { type Refable, Deadline, setRef } from '../timers/deadline';
import { type Transport, type TransportHandler, clearHandler, destroyTransport, ignore, setHandler } from './transport';

/**
 * Ends a transport in good order: what was written before goes out, what still arrives is discarded, and after
 * `closeTimeout` it is destroyed. A peer with room for one session has let go of this one by the time it has closed.
 */
export class EndingTransport implements Refable, TransportHandler {
  /** Where the transport leads. */
  readonly tag: string;
  readonly #transport: Transport;
  readonly #deadline: Deadline;
  #isGone = false;
  #onGone: (() => void) | undefined;

  constructor(transport: Transport, tag: string, closeTimeout: number, ref: boolean) {
    this.tag = tag;
    this.#transport = transport;
    this.#deadline = new Deadline(closeTimeout, ref, () => this.release());
    setHandler(transport, this);
    if (transport.closed) this.release();
    // Not here: a stream of the application's runs its code.
    else queueMicrotask(() => shielded(() => this.#begin()));
  }

  /** Calls back when the transport has closed or was destroyed; at once if it is gone already. */
  whenGone(callback: () => void): void {
    if (this.#isGone) callback();
    else this.#onGone = callback;
  }

  /** Destroys the transport now. */
  release(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#deadline.clear();
    clearHandler(this.#transport);
    destroyTransport(this.#transport);
    this.#onGone?.();
  }

  setRef(on: boolean): void {
    this.#deadline.setRef(on);
    setRef(on, this.#transport);
  }

  /** Ends the writing side, and reads on. With a listener of its own, none that leaves pauses the stream. */
  #begin(): void {
    if (!this.#isGone) this.#transport.on('data', ignore).end();
    if (!this.#isGone) this.#transport.resume();
  }

  onError(): void {
    // It closes.
  }

  onClose(): void {
    this.release();
  }
}
