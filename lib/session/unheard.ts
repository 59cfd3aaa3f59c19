/** Bytes of a session that may wait for a listener. */
const MOST_BYTES = 65_536;

/** Chunks that are kept as they are. A peer that sends single bytes would make the list larger than what is in it. */
const MOST_CHUNKS = 64;

/** What a session has received while nobody listened, in order. */
export class UnheardBytes {
  /** Whether nothing waits any more until somebody listens: a decoder puts out its messages to nobody. */
  isGivenUp = false;
  #bytes = 0;
  #chunks: Buffer[] = [];

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= MOST_BYTES;
  }

  /** Keeps as much of a chunk as there is room for. Returns how many bytes were let go. */
  add(chunk: Buffer): number {
    const kept = Math.min(chunk.length, MOST_BYTES - this.#bytes);
    if (kept > 0) {
      this.#bytes += kept;
      this.#chunks.push(kept === chunk.length ? chunk : chunk.subarray(0, kept));
      if (this.#chunks.length > MOST_CHUNKS) this.#chunks = [Buffer.concat(this.#chunks)];
    }
    return chunk.length - kept;
  }

  /** The oldest chunk. */
  take(): Buffer | undefined {
    const chunk = this.#chunks.shift();
    this.#bytes -= chunk?.length ?? 0;
    return chunk;
  }

  /** All chunks, and how many bytes they are. */
  takeAll(): { readonly chunks: readonly Buffer[]; readonly bytes: number } {
    const all = { chunks: this.#chunks, bytes: this.#bytes };
    this.#chunks = [];
    this.#bytes = 0;
    return all;
  }
}
