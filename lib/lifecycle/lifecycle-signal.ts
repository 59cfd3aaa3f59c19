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

  /** The lifecycle has ended. */
  stop(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }

  /** The error for what the signal ended, or does not let begin. */
  error(message: string, tag: string): ConnectionError {
    // `unknown`: a reason is declared as anything.
    const cause: unknown = this.#signal.reason;
    return new ConnectionError('ERR_ABORTED', message + because(cause), { cause, tag });
  }
}
