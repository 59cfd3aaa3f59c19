/**
 * Waits for `work` until it is dropped. Work that never ends may be one and the same for many who waited for it: it keeps
 * this object, and nothing else of theirs.
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

  /** Whatever comes of it, nobody waits any more. */
  cancel(): void {
    this.#resolve = undefined;
    this.#reject = undefined;
  }
}
