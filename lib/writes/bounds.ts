import { getDefaultHighWaterMark } from 'node:stream';

/** The queue takes one write for each so many bytes of its bound: a small write costs more than its bytes. */
const BYTES_A_WRITE = 16;

/** So many writes fit in any case. */
export const LEAST_WRITES = 1_024;

/** How many writes fit where `maxBytes` bytes do. */
export function mostWrites(maxBytes: number): number {
  return Math.max(LEAST_WRITES, Math.floor(maxBytes / BYTES_A_WRITE));
}

/** From so many queued bytes on `write()` returns false. */
export function highWaterMark(maxBytes: number): number {
  return Math.min(maxBytes, getDefaultHighWaterMark(false));
}
