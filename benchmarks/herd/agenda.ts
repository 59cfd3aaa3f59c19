/**
 * The events of the simulation, in virtual time. Each item (a number) waits for one moment at a time. The moments are a
 * ring of one slot a millisecond, made when it is needed: most are empty. A slot keeps the items that were cancelled or moved, and `take()` skips them.
 */
export class Agenda {
  readonly #slots: (number[] | undefined)[];
  /** When each item is due, or 0. */
  readonly #dueAt: Int32Array;
  readonly #random: () => number;
  #now = 0;

  /**
   * @param items - Items are the numbers from 0 to one less than this.
   * @param longest - No item waits longer than this, in milliseconds.
   */
  constructor(items: number, longest: number, random: () => number) {
    this.#slots = new Array<number[] | undefined>(longest + 1).fill(undefined);
    this.#dueAt = new Int32Array(items);
    this.#random = random;
  }

  /** Whether the item waits. */
  has(item: number): boolean {
    return this.#dueAt[item] !== 0;
  }

  /** Lets the item wait for `at` (a whole number of milliseconds), in place of what it waited for. */
  set(item: number, at: number): void {
    const wait = at - this.#now;
    if (!(wait > 0 && wait < this.#slots.length)) {
      throw new RangeError(`Expected a wait from 1 to ${this.#slots.length - 1} ms, got ${wait}`);
    }
    this.#dueAt[item] = at;
    (this.#slots[at % this.#slots.length] ??= []).push(item);
  }

  /** The item no longer waits. This works within the millisecond in which it is due, too. */
  cancel(item: number): void {
    this.#dueAt[item] = 0;
  }

  /** Advances to `now` and calls `onDue` for each item that is due, in random order. No millisecond may be left out. */
  take(now: number, onDue: (item: number) => void): void {
    this.#now = now;
    const slot = now % this.#slots.length;
    const due = this.#slots[slot];
    if (due === undefined) return;
    this.#slots[slot] = undefined;
    shuffle(due, this.#random);
    for (const item of due) {
      if (this.#dueAt[item] !== now) continue;
      this.#dueAt[item] = 0;
      onDue(item);
    }
  }
}

function shuffle(items: number[], random: () => number): void {
  for (let left = items.length; left > 1; left--) {
    const other = Math.floor(random() * left);
    const moved = items[left - 1]!;
    items[left - 1] = items[other]!;
    items[other] = moved;
  }
}
