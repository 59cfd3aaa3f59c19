/**
 * What happens when, in virtual time: a ring of one slot a millisecond. To add, to remove and to take each touch a few
 * numbers, however many are waiting, so that a million clients cost no more each than a thousand.
 */
export class Calendar {
  /** The first item of each slot, or -1. */
  readonly #first: Int32Array;
  /**
   * For each item the one after it in its slot, or -1; then the one before it, or `-2 - slot` for the first, or -1 where
   * it is in no slot.
   */
  readonly #links: Int32Array;
  readonly #mask: number;
  #now = 0;

  /**
   * @param items - Items are the numbers from 0 to one less than this; each waits for one moment at a time.
   * @param longest - No item waits for longer, in milliseconds.
   */
  constructor(items: number, longest: number) {
    const slots = 2 ** Math.ceil(Math.log2(longest + 1));
    this.#mask = slots - 1;
    this.#first = new Int32Array(slots).fill(-1);
    this.#links = new Int32Array(2 * items).fill(-1);
  }

  /** Whether the item waits for a moment. */
  has(item: number): boolean {
    return this.#links[2 * item + 1] !== -1;
  }

  /** Lets an item that waits for nothing wait for `at`, a whole number of milliseconds. */
  add(item: number, at: number): void {
    if (!(at > this.#now && at - this.#now <= this.#mask))
      throw new RangeError(`${at} is no moment after ${this.#now}`);
    if (this.has(item)) throw new Error(`Item ${item} waits already`);
    const slot = at & this.#mask;
    const first = this.#first[slot]!;
    this.#links[2 * item] = first;
    this.#links[2 * item + 1] = -2 - slot;
    if (first !== -1) this.#links[2 * first + 1] = item;
    this.#first[slot] = item;
  }

  /** The item waits no more, if it did. */
  remove(item: number): void {
    const previous = this.#links[2 * item + 1]!;
    if (previous === -1) return;
    const next = this.#links[2 * item]!;
    if (next !== -1) this.#links[2 * next + 1] = previous;
    if (previous < -1) this.#first[-2 - previous] = next;
    else this.#links[2 * previous] = next;
    this.#links[2 * item + 1] = -1;
  }

  /** Goes on to `now` and puts what has waited for it into `due`. No moment may be left out. Returns how many they are. */
  take(now: number, due: Int32Array): number {
    this.#now = now;
    const slot = now & this.#mask;
    let count = 0;
    for (let item = this.#first[slot]!; item !== -1; item = this.#links[2 * item]!) {
      due[count++] = item;
      this.#links[2 * item + 1] = -1;
    }
    this.#first[slot] = -1;
    return count;
  }
}

/** Brings the first `count` numbers into an order of chance. */
export function shuffle(numbers: Int32Array, count: number, random: () => number): void {
  for (let left = count; left > 1; left--) {
    const other = Math.floor(random() * left);
    const moved = numbers[left - 1]!;
    numbers[left - 1] = numbers[other]!;
    numbers[other] = moved;
  }
}
