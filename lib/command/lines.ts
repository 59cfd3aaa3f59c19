/** The longest line that is kept in memory until it is whole. */
const LONGEST_LINE = 1024 * 1024;
const MOST_PARTS = 1_024;
const NEWLINE = 10;

/** Collects bytes to whole lines, each with its newline. */
export class Lines {
  #parts: Buffer[] = [];
  #length = 0;

  /** Returns the lines that `chunk` ends, which may be none, and keeps the rest. What is too long to keep is returned. */
  push(chunk: Buffer): Buffer {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    this.#keep(end === 0 ? chunk : chunk.subarray(0, end));
    if (end === 0 && this.#length <= LONGEST_LINE) return Buffer.alloc(0);
    const taken = this.take();
    if (end > 0) this.#keep(chunk.subarray(end));
    return taken;
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
    // Very many parts would take far more memory than their bytes.
    if (this.#parts.length >= MOST_PARTS) this.#parts = [Buffer.concat(this.#parts)];
    if (part.length > 0) this.#parts.push(part);
    this.#length += part.length;
  }
}

/** Number of lines in `bytes`; the last may lack its newline. */
export function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; count += 1) at = bytes.indexOf(NEWLINE, at) + 1 || bytes.length;
  return count;
}
