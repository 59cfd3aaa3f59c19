/** Who waits for a work's end, until it is stopped. */
interface Waiter<T> {
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/**
 * Waits for `work`, unless `stopped` rejects first. `Promise.race` would do the same, but leave its outcome with work
 * that never ends, which may be one and the same for many attempts.
 */
export function race<T>(stopped: Promise<never>, work: T | PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const waiter: Waiter<T> = { resolve, reject };
    stopped.catch((reason: unknown) => {
      waiter.reject(reason);
      waiter.resolve = waiter.reject = nobody;
    });
    tell(work, waiter);
  });
}

/** A function of its own: what stays with `work` knows the waiter, and nothing else. */
function tell<T>(work: T | PromiseLike<T>, waiter: Waiter<T>): void {
  Promise.resolve(work).then(
    (value) => waiter.resolve(value),
    (error: unknown) => waiter.reject(error),
  );
}

function nobody(): void {
  // Nobody waits any more.
}
