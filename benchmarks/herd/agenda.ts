import { Calendar, shuffle } from './calendar';

/** A calendar whose items may be called off at any moment, also in the millisecond in which they are due. */
export class Agenda {
  readonly #calendar: Calendar;
  readonly #due: Int32Array;
  /** When each item is due, or 0. */
  readonly #dueAt: Int32Array;
  readonly #random: () => number;

  /** @param items - Items are the numbers from 0 to one less than this. */
  constructor(items: number, longest: number, random: () => number) {
    this.#calendar = new Calendar(items, longest);
    this.#due = new Int32Array(items);
    this.#dueAt = new Int32Array(items);
    this.#random = random;
  }

  /** Whether the item is still to come. */
  has(item: number): boolean {
    return this.#dueAt[item] !== 0;
  }

  /** Puts the item at `at`, and nowhere else. */
  set(item: number, at: number): void {
    this.#calendar.remove(item);
    this.#calendar.add(item, at);
    this.#dueAt[item] = at;
  }

  cancel(item: number): void {
    this.#calendar.remove(item);
    this.#dueAt[item] = 0;
  }

  /** Goes on to `now` and hands over what is due, in an order of chance. No moment may be left out. */
  take(now: number, happen: (item: number) => void): void {
    const count = this.#calendar.take(now, this.#due);
    shuffle(this.#due, count, this.#random);
    for (let index = 0; index < count; index++) {
      const item = this.#due[index]!;
      if (this.#dueAt[item] !== now) continue;
      this.#dueAt[item] = 0;
      happen(item);
    }
  }
}
