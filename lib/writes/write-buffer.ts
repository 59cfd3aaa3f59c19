/** A piece of memory into which small writes are gathered. */
export interface WriteBuffer {
  readonly bytes: Buffer;
  /** From here on it is free. */
  end: number;
  /** Writes under way that still read from it. */
  readers: number;
  /** Whether a writer is filling it just now. */
  taken: boolean;
}

/** As much as a socket takes at once, on most systems. */
const SIZE = 65_536;

/** What is left of a slab is not worth taking when it is less. */
const LEAST_LEFT = 8_192;

/** Slabs of a thread that are filled at once, or wait to be: writers beyond them do without. */
const MOST = 16;

const free: WriteBuffer[] = [];
let taken = 0;

/** A slab to be filled by the caller alone until {@link give}; undefined when there are enough under way. */
export function take(): WriteBuffer | undefined {
  if (taken === MOST) return undefined;
  taken += 1;
  const slab = free.pop() ?? { bytes: Buffer.allocUnsafeSlow(SIZE), end: 0, readers: 0, taken: true };
  slab.taken = true;
  return slab;
}

/** Gives a slab back. What is left of it serves the next one, even while the beginning is still being read. */
export function give(slab: WriteBuffer): void {
  taken -= 1;
  slab.taken = false;
  if (slab.readers === 0) slab.end = 0;
  keep(slab);
}

/** A write under way has done with `slab`. */
export function release(slab: WriteBuffer): void {
  slab.readers -= 1;
  if (slab.taken || slab.readers > 0) return;
  const wasFree = SIZE - slab.end >= LEAST_LEFT;
  slab.end = 0;
  if (!wasFree) keep(slab);
}

function keep(slab: WriteBuffer): void {
  // A full one comes back when it has been read, and is garbage if there are enough by then.
  if (SIZE - slab.end >= LEAST_LEFT && free.length < MOST) free.push(slab);
}
