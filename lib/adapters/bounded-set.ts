/** Accepts a limited number of values and replaces all further ones, so that the values of a label stay few. */
export class BoundedSet {
  readonly #values = new Set<string>();
  readonly #maxSize: number;
  readonly #replacement: string;

  constructor(maxSize: number, replacement: string) {
    this.#maxSize = maxSize;
    this.#replacement = replacement;
  }

  /** Returns `value` if it is in the set or there is room for it, and otherwise the replacement. */
  limit(value: string): string {
    if (this.#values.has(value)) return value;
    if (this.#values.size >= this.#maxSize) return this.#replacement;
    this.#values.add(value);
    return value;
  }
}
