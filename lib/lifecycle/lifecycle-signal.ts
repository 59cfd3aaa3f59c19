import { ConnectionError, because } from '../errors';
import { onAbort } from '../events/on-abort';

/** The `signal` option: calls back when it is aborted while a lifecycle is under way. */
export class LifecycleSignal {
  readonly #signal: AbortSignal;
  readonly #onAborted: () => void;
  #stopListening: (() => void) | undefined;

  constructor(signal: AbortSignal, onAborted: () => void) {
    this.#signal = signal;
    this.#onAborted = onAborted;
  }

  get aborted(): boolean {
    return this.#signal.aborted;
  }

  /** A lifecycle begins. With a signal that is aborted already, it calls back in a microtask. */
  start(): void {
    if (this.aborted) queueMicrotask(this.#onAborted);
    else this.#stopListening = onAbort(this.#signal, this.#onAborted);
  }

  /**
   * The next lifecycle begins.
   *
   * @throws ConnectionError `ERR_ABORTED`
   */
  startAgain(tag: string): void {
    if (this.aborted)
      throw this.#error(`The signal of the connection to ${tag} is aborted: it cannot start again`, tag);
    this.start();
  }

  /** The lifecycle has ended. */
  stop(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }

  /** The error for the lifecycle that it ended. */
  error(tag: string): ConnectionError {
    return this.#error(`The connection to ${tag} was aborted by its signal`, tag);
  }

  #error(message: string, tag: string): ConnectionError {
    // `unknown`: a reason is declared as anything.
    const cause: unknown = this.#signal.reason;
    return new ConnectionError('ERR_ABORTED', message + because(cause), { cause, tag });
  }
}
