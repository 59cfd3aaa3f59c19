import type { WriteCallback } from './write';

/** Writes that are handed to the transport together, and confirmed together. */
export interface Batch {
  writes: number;
  bytes: number;
  callbacks: WriteCallback[] | undefined;
  next: Batch | undefined;
}

export function newBatch(): Batch {
  return { writes: 0, bytes: 0, callbacks: undefined, next: undefined };
}

/** A batch of one write. */
export function batchOf(bytes: number, callback: WriteCallback | undefined): Batch {
  const batch = newBatch();
  addTo(batch, bytes, callback);
  return batch;
}

export function addTo(batch: Batch, bytes: number, callback: WriteCallback | undefined): void {
  batch.writes += 1;
  batch.bytes += bytes;
  if (callback !== undefined) (batch.callbacks ??= []).push(callback);
}
