import type { SessionDecoder } from './decoder';

/** The session whose bytes wait. */
export interface UnheardHost {
  readonly decoder: SessionDecoder | undefined;
  /** Whether chunks are valid only while they are delivered. */
  readonly areChunksLent: boolean;
  readonly isPaused: boolean;
  /** Whether anybody listens. */
  readonly isHeard: boolean;
  /** Whether a listener may get something now. */
  canDeliver(): boolean;
  /** Delivers a chunk, or decodes it. */
  pass(chunk: Buffer): void;
  /** Bytes are let go. */
  onUnheard(bytes: number): void;
}

/** Bytes of a session that may wait for a listener. */
const MOST_BYTES = 65_536;

/** Chunks that are kept as they are. A peer that sends single bytes would make the list larger than what is in it. */
const MOST_CHUNKS = 64;

/** What a session has received while nobody listened, in order. Made when there is some, until all of it is delivered. */
export class Unheard {
  /** Whether nothing waits any more until somebody listens: a decoder puts out its messages to nobody. */
  isGivenUp = false;
  readonly #host: UnheardHost;
  #bytes = 0;
  #chunks: Buffer[] = [];

  constructor(host: UnheardHost) {
    this.#host = host;
  }

  /** Takes a chunk in place of the listeners. Returns whether it and all before it have been passed on to them. */
  add(chunk: Buffer): boolean {
    const { decoder, isHeard, areChunksLent } = this.#host;
    if (decoder === undefined) {
      this.#keep(areChunksLent ? Buffer.from(chunk) : chunk);
      return false;
    }
    // A decoder that missed bytes would find frames where there are none: it gets all of them, and puts out to nobody.
    if (!this.isGivenUp && this.#bytes + chunk.length > MOST_BYTES) this.giveUp();
    if (!this.isGivenUp) {
      this.#keep(chunk);
      return false;
    }
    if (!isHeard) this.#host.onUnheard(chunk.length);
    this.#host.pass(chunk);
    return isHeard;
  }

  /** Lets the decoder go on although nobody listens. */
  giveUp(): void {
    const host = this.#host;
    this.isGivenUp = true;
    if (!host.isHeard) host.onUnheard(this.#bytes);
    if (!host.isPaused) host.decoder?.resume();
    this.#bytes = 0;
    for (const chunk of this.#chunks.splice(0)) host.pass(chunk);
  }

  /** Passes on what waits, for as long as somebody listens. Returns whether nothing is left. */
  deliver(): boolean {
    const host = this.#host;
    if (this.isGivenUp || !host.canDeliver()) return false;
    host.decoder?.resume();
    while (host.canDeliver() && host.decoder?.hasRoom !== false) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) return true;
      this.#bytes -= chunk.length;
      host.pass(chunk);
    }
    // Its `drain` goes on with the rest.
    host.decoder?.pauseInput();
    return false;
  }

  /** The session is over. */
  release(): void {
    if (this.#bytes > 0) this.#host.onUnheard(this.#bytes);
    this.#bytes = 0;
    this.#chunks = [];
  }

  /** Keeps as much of a chunk as there is room for. */
  #keep(chunk: Buffer): void {
    const kept = Math.min(chunk.length, MOST_BYTES - this.#bytes);
    if (kept < chunk.length) this.#host.onUnheard(chunk.length - kept);
    if (kept === 0) return;
    this.#bytes += kept;
    this.#chunks.push(kept === chunk.length ? chunk : chunk.subarray(0, kept));
    if (this.#chunks.length > MOST_CHUNKS) this.#chunks = [Buffer.concat(this.#chunks)];
  }
}
