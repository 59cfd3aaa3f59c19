/** As much as a socket takes at once, on most systems. */
const SIZE = 65_536;

/** Buffers of a thread that may be in use at a time, 1 MiB in all. Where all are, small chunks are not copied. */
const MOST = 16;

const free: WriteBuffer[] = [];
let inUse = 0;

/** Memory into which small chunks are copied, so that the socket gets one chunk in place of many. */
export class WriteBuffer {
  readonly #memory = Buffer.allocUnsafeSlow(SIZE);
  /** Where the bytes begin that were appended since the buffer was taken. */
  #start = 0;
  /** Where those of them begin that are not cut off yet. */
  #uncut = 0;
  #end = 0;

  /** How many more bytes fit. */
  get room(): number {
    return SIZE - this.#end;
  }

  /** Copies a chunk behind those before it. There must be room for it. */
  append(chunk: Buffer): void {
    this.#memory.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** What was appended since the last cut, as one chunk. */
  cut(): Buffer | undefined {
    if (this.#uncut === this.#end) return undefined;
    const chunk = this.#memory.subarray(this.#uncut, this.#end);
    this.#uncut = this.#end;
    return chunk;
  }

  /** The next bytes go over those that were appended, or behind them. Returns whether there is enough room. */
  reset(isRead: boolean): boolean {
    if (isRead) this.#end = this.#start;
    else this.#start = this.#end;
    this.#uncut = this.#start;
    return this.#start <= SIZE / 2;
  }
}

/** A buffer for the caller alone, until it is returned; undefined where too many are in use. */
export function takeBuffer(): WriteBuffer | undefined {
  if (inUse === MOST) return undefined;
  inUse += 1;
  return free.pop() ?? new WriteBuffer();
}

/** @param isRead - Whether the kernel has read what was appended. Where it has not, that memory is not used again. */
export function returnBuffer(buffer: WriteBuffer, isRead: boolean): void {
  inUse -= 1;
  // One without enough room is garbage, as soon as the sockets that read from it are done.
  if (buffer.reset(isRead)) free.push(buffer);
}
