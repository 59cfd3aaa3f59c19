import { Deadline } from '../timers/deadline';
import { type Transport, type TransportHandler, LAYER, clearHandler, destroyTransport, setHandler } from './transport';

/**
 * Ties `outer` to the stream that it was laid over: `destroyTransport(outer)` destroys both, and `outer` fails when
 * `inner` does.
 *
 * @param grace - Milliseconds that `outer` has to end in when `inner` has.
 */
export function layOver(outer: Transport, inner: Transport, grace: number): void {
  const handler = new InnerHandler(outer, inner, grace);
  outer[LAYER] = handler;
  setHandler(inner, handler);
}

/** Handles the events of a stream that another was laid over. */
class InnerHandler implements TransportHandler {
  readonly inner: Transport;
  readonly #outer: Transport;
  readonly #grace: number;
  #deadline: Deadline | undefined;

  constructor(outer: Transport, inner: Transport, grace: number) {
    this.#outer = outer;
    this.inner = inner;
    this.#grace = grace;
  }

  onError(error: Error): void {
    destroyTransport(this.#outer, error);
  }

  onClose(): void {
    const { readableEnded, errored } = this.inner;
    // What came before a graceful end may still be on its way through the outer stream.
    if (readableEnded && !errored) this.#awaitEnd();
    else destroyTransport(this.#outer, errored ?? undefined);
  }

  release(): void {
    this.#deadline?.clear();
    clearHandler(this.inner);
    destroyTransport(this.inner);
  }

  /** Without a bound while bytes wait for the application to read them. */
  #awaitEnd(): void {
    if (this.#outer.destroyed) return;
    this.#deadline = new Deadline(this.#grace, false, () => {
      if (this.#outer.readableLength > 0) this.#awaitEnd();
      else destroyTransport(this.#outer);
    });
  }
}
