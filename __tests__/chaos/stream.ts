/** What went in at one end of a wire, to be compared with what comes out at the other. */
export class ByteStream {
  /** Bytes that went in. */
  length = 0;
  /** Bytes that came out. */
  taken = 0;
  readonly #parts: Buffer[] = [];
  #offset = 0;

  append(bytes: Buffer): void {
    this.length += bytes.length;
    if (bytes.length > 0) this.#parts.push(bytes);
  }

  /** Leaves out bytes that are next. */
  skip(count: number): void {
    for (let left = count; left > 0 && this.#parts.length > 0;) {
      const head = this.#parts[0]!;
      const step = Math.min(left, head.length - this.#offset);
      this.take(head.subarray(this.#offset, this.#offset + step));
      left -= step;
    }
  }

  /** Takes bytes out. Returns false when they are not the next ones that went in. */
  take(bytes: Buffer): boolean {
    for (let place = 0; place < bytes.length;) {
      const head = this.#parts[0];
      if (head === undefined) return false;
      const count = Math.min(head.length - this.#offset, bytes.length - place);
      if (head.compare(bytes, place, place + count, this.#offset, this.#offset + count) !== 0) return false;
      place += count;
      this.taken += count;
      this.#offset += count;
      if (this.#offset < head.length) continue;
      this.#parts.shift();
      this.#offset = 0;
    }
    return true;
  }
}
