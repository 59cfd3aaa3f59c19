/**
 * Waits for `work` until it is cancelled. One promise that never settles may be waited for by many attempts in turn: its
 * reactions keep this object alive, and through it nothing of a cancelled attempt.
 */
export class Cancellable<T> {
  #resolve: ((value: T) => void) | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  constructor(work: T | PromiseLike<T>, resolve: (value: T) => void, reject: (reason: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
    Promise.resolve(work).then(
      (value) => this.#resolve?.(value),
      (reason: unknown) => this.#reject?.(reason),
    );
  }

  /** From now on neither callback is called. */
  cancel(): void {
    this.#resolve = undefined;
    this.#reject = undefined;
  }
}
