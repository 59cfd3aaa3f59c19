/** Turns, by tag: one at a time for each. */
export class Turns {
  /** Those that wait, behind the one whose turn it is. */
  readonly #lines = new Map<string, Set<() => void>>();

  /**
   * Calls `begin` when it is its turn, perhaps at once.
   *
   * @returns a function that ends the turn, or the wait for it
   */
  take(tag: string, begin: () => void): () => void {
    let line = this.#lines.get(tag);
    if (line === undefined) this.#lines.set(tag, (line = new Set()));
    line.add(begin);
    if (line.size === 1) begin();
    return () => this.#leave(tag, line, begin);
  }

  #leave(tag: string, line: Set<() => void>, begin: () => void): void {
    const [present] = line;
    line.delete(begin);
    const [next] = line;
    if (next === undefined) this.#lines.delete(tag);
    else if (present === begin) next();
  }
}
