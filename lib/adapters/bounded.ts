/** Lets a certain number of values through; all that come later are one: so labels of any origin stay few. */
export class Bounded {
  readonly #known = new Set<string>();
  readonly #most: number;
  readonly #rest: string;

  constructor(most: number, rest: string) {
    this.#most = most;
    this.#rest = rest;
  }

  of(value: string): string {
    if (this.#known.has(value)) return value;
    if (this.#known.size >= this.#most) return this.#rest;
    this.#known.add(value);
    return value;
  }
}
