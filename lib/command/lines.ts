/** The longest line that is kept in memory until it is whole. */
export const LONGEST_LINE = 1024 * 1024;

const MOST_PARTS = 1_024;
const NEWLINE = 10;

/** Collects bytes to whole lines, each with its newline. */
export class Lines {
  #parts: Buffer[] = [];
  #length = 0;

  /** Bytes since the last newline. */
  get length(): number {
    return this.#length;
  }

  /** The part of `chunk` up to its last newline, behind what was there before, and keeps the rest. */
  upToLast(chunk: Buffer): Buffer | undefined {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      this.#keep(chunk);
      return undefined;
    }
    this.#keep(chunk.subarray(0, end));
    const whole = this.take();
    this.#keep(chunk.subarray(end));
    return whole;
  }

  /** Each line of `chunk` that is whole, the first of them behind what was there before; keeps the rest. */
  *each(chunk: Buffer): Generator<Buffer, void> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE) + 1; end > 0; end = chunk.indexOf(NEWLINE, start) + 1) {
      const line = chunk.subarray(start, end);
      start = end;
      if (this.#length === 0) yield line;
      else {
        this.#keep(line);
        yield this.take();
      }
    }
    this.#keep(chunk.subarray(start));
  }

  /** Takes what is unfinished. */
  take(): Buffer {
    const [first = Buffer.alloc(0)] = this.#parts;
    const taken = this.#parts.length > 1 ? Buffer.concat(this.#parts) : first;
    this.#parts = [];
    this.#length = 0;
    return taken;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    // Very many parts would take far more memory than their bytes.
    if (this.#parts.length >= MOST_PARTS) this.#parts = [Buffer.concat(this.#parts)];
    this.#parts.push(part);
    this.#length += part.length;
  }
}
