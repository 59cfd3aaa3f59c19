/** Chance that repeats itself: the same seed brings the same numbers (a xorshift generator, Marsaglia's). */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Seeds that lie side by side must not begin alike; and 0 would stay 0.
    this.#state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) | 1;
    for (let turn = 0; turn < 8; turn++) this.#next();
  }

  /** A whole number from 0 up to and without `bound`. */
  below(bound: number): number {
    return Math.floor((this.#next() / 2 ** 32) * bound);
  }

  /** Whether something happens that happens once in `times`. */
  onceIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(values: readonly [T, ...T[]]): T {
    return values[this.below(values.length)] ?? values[0];
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  #next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }
}
