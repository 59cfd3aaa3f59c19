import { ignore } from '../socket/transport';

/**
 * A call of the application's that has not settled: of `target`, `dial`, `beforeTls` or `handshake`. One promise that
 * never settles may be waited for by many attempts in turn: its reactions keep this object alive, and through it nothing
 * of a cancelled attempt.
 */
export class ApplicationCall<T> {
  #result: Promise<T> | undefined;
  #next: ((value: T) => void) | undefined;
  #fail: ((reason: unknown) => void) | undefined;
  readonly #discard: (value: T) => void;

  /**
   * @param next - Takes the value, and owns it unless it throws or calls `abandon()`.
   * @param fail - Takes the reason of a rejection, and what `next` throws.
   * @param discard - Takes a value that `next` does not own.
   */
  constructor(
    result: T | PromiseLike<T>,
    next: (value: T) => void,
    fail: (reason: unknown) => void,
    discard: (value: T) => void = ignore,
  ) {
    this.#result = Promise.resolve(result);
    this.#next = next;
    this.#fail = fail;
    this.#discard = discard;
    this.#result.then(
      (value) => this.#onValue(value),
      (reason: unknown) => this.#fail?.(reason),
    );
  }

  /** From now on nothing is called. */
  cancel(): void {
    this.#result = undefined;
    this.#next = undefined;
    this.#fail = undefined;
  }

  /** As `cancel()`, but the value is discarded, even if it comes later. */
  abandon(): void {
    const result = this.#result;
    this.cancel();
    result?.then(this.#discard).catch(ignore);
  }

  #onValue(value: T): void {
    try {
      this.#next?.(value);
      this.cancel();
    } catch (thrown) {
      this.#fail?.(thrown);
    }
  }
}
