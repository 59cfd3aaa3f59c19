/** Records in a chunk. */
const CHUNK = 8;

/**
 * What happens when, in virtual time, for very many: a ring of one slot a millisecond. An item is a record of numbers
 * that moves from slot to slot, and records of one slot lie together in chunks. So a million of them are read and
 * written in order, where a list of their indices would wait for memory at every step.
 */
export class Wheel {
  readonly #fields: number;
  readonly #mask: number;
  /** The chunk that each slot fills, or -1, and how many records are in it. The full ones before it are linked. */
  readonly #chunk: Int32Array;
  readonly #fill: Uint8Array;
  #linked: Int32Array;
  #store: Int32Array;
  /** The first of the chunks that nobody uses, linked as well, or -1. */
  #free = -1;
  #now = 0;

  /**
   * @param fields - Numbers in a record.
   * @param longest - No record waits for longer, in milliseconds.
   */
  constructor(fields: number, longest: number) {
    const slots = 2 ** Math.ceil(Math.log2(longest + 1));
    this.#fields = fields;
    this.#mask = slots - 1;
    this.#chunk = new Int32Array(slots).fill(-1);
    this.#fill = new Uint8Array(slots);
    this.#linked = new Int32Array();
    this.#store = new Int32Array();
  }

  /** Where the numbers are. It is another one after `add` or `move`. */
  get store(): Int32Array {
    return this.#store;
  }

  /** Makes room for a record that is due at `at`. Returns where it begins in the store; what is there is old. */
  add(at: number): number {
    if (!(at > this.#now && at - this.#now <= this.#mask)) {
      throw new RangeError(`${at} is no moment after ${this.#now}`);
    }
    const slot = at & this.#mask;
    let chunk = this.#chunk[slot]!;
    let fill = this.#fill[slot]!;
    if (chunk === -1 || fill === CHUNK) {
      const full = chunk;
      chunk = this.#take();
      this.#linked[chunk] = full;
      this.#chunk[slot] = chunk;
      fill = 0;
    }
    this.#fill[slot] = fill + 1;
    return (chunk * CHUNK + fill) * this.#fields;
  }

  /** Makes a record that is due at `at` of the one that begins at `from`. Returns where it begins. */
  move(from: number, at: number): number {
    const to = this.add(at);
    for (let field = 0; field < this.#fields; field++) this.#store[to + field] = this.#store[from + field]!;
    return to;
  }

  /** Goes on to `now` and puts where the records begin that are due into `due`. Returns how many they are. */
  due(now: number, due: Int32Array): number {
    this.#now = now;
    const slot = now & this.#mask;
    let count = 0;
    let fill = this.#fill[slot]!;
    for (let chunk = this.#chunk[slot]!; chunk !== -1; chunk = this.#linked[chunk]!) {
      for (let index = 0; index < fill; index++) due[count++] = (chunk * CHUNK + index) * this.#fields;
      fill = CHUNK;
    }
    return count;
  }

  /** Forgets the records that were due. */
  clear(): void {
    const slot = this.#now & this.#mask;
    for (let chunk = this.#chunk[slot]!; chunk !== -1;) {
      const next = this.#linked[chunk]!;
      this.#linked[chunk] = this.#free;
      this.#free = chunk;
      chunk = next;
    }
    this.#chunk[slot] = -1;
    this.#fill[slot] = 0;
  }

  #take(): number {
    if (this.#free === -1) this.#grow();
    const chunk = this.#free;
    this.#free = this.#linked[chunk]!;
    return chunk;
  }

  #grow(): void {
    const before = this.#linked.length;
    const after = Math.max(1_024, 2 * before);
    const linked = new Int32Array(after);
    linked.set(this.#linked);
    for (let chunk = after - 1; chunk >= before; chunk--) {
      linked[chunk] = this.#free;
      this.#free = chunk;
    }
    const store = new Int32Array(after * CHUNK * this.#fields);
    store.set(this.#store);
    this.#linked = linked;
    this.#store = store;
  }
}
