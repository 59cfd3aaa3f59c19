import { mersenne } from 'pure-rand/generator/mersenne';

/** A seeded source of chance: the same seed gives the same draws. */
export class Random {
  readonly #seed: number;
  readonly #generator: ReturnType<typeof mersenne>;

  constructor(seed: number) {
    this.#seed = seed;
    this.#generator = mersenne(seed);
  }

  /** A source of its own for one concern, so that the draws of one do not shift those of the others. */
  fork(concern: number): Random {
    return new Random(this.#seed ^ Math.imul(concern + 1, 0x9e3779b9));
  }

  /** From 0 up to 1. */
  next(): number {
    return (this.#generator.next() >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** A whole number from 0 up to and without `bound`. */
  below(bound: number): number {
    return this.integer(0, bound - 1);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** One of the names, as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    // `as`: the keys of a record of exactly these names.
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    return (entries.find(([, weight]) => (left -= weight) < 0) ?? entries[0]!)[0];
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
