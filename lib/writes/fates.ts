import type { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import { shielded } from '../events/emitter';
import type { ConnectionEvents, DropReason, WriteCount } from '../events/events';
import type { Batch } from './batch';
import { type Bytes, joined, sizeOf } from './chunk';
import { WriteCounts } from './counts';
import type { QueueDropReason } from './queue';
import type { Write, WriteCallback } from './write';
import { queueDropError, uncertainError } from './write-errors';

/** Counts the fates of writes at once, and reports them to the application: by their callbacks, and by `drop`. */
export class Fates {
  readonly counts = new WriteCounts();
  readonly #delivery: DeliveryQueue<ConnectionEvents>;
  readonly #connection: { readonly tag: string };
  /** What the next tick reports. */
  #later: (() => void)[] | undefined;
  /** Whether a listener or a callback is being called about a write that `write()` itself has refused or dropped. */
  #isReporting = false;

  /** @param connection - Named in errors. */
  constructor(delivery: DeliveryQueue<ConnectionEvents>, connection: { readonly tag: string }) {
    this.#delivery = delivery;
    this.#connection = connection;
  }

  /**
   * A write was not taken: its callback gets `error`, or else there is a `drop`.
   *
   * @param isAudible - Whether an event may be emitted by then.
   */
  refused(bytes: Bytes, callback: WriteCallback | undefined, error: ConnectionError, isAudible: () => boolean): void {
    this.counts.refused.add(1, sizeOf(bytes));
    if (callback !== undefined) return this.#reportNextTick(() => this.#settle([callback], error));
    const report = () => {
      if (isAudible()) this.#deliverDrop(joined(bytes), 'refused', error);
    };
    // An application that writes again what was refused must not starve the event loop.
    if (this.#isReporting) setImmediate(() => this.#report([report]));
    else this.#report([report]);
  }

  /** The kernel has taken writes. */
  confirmed(writes: number, bytes: number, callbacks: readonly WriteCallback[] | undefined): void {
    this.counts.confirmed.add(writes, bytes);
    if (callbacks !== undefined) this.#settle(callbacks);
  }

  /**
   * The session of these writes is over.
   *
   * @returns how much is uncertain, and a function that calls the callbacks
   */
  uncertain(
    { writes, bytes, callbacks }: Batch,
    cause: Error | undefined,
  ): { readonly uncertain: WriteCount; readonly settle: () => void } {
    this.counts.uncertain.add(writes, bytes);
    const settle = () => {
      // An error takes time to make, and most sessions leave no callback behind.
      if (callbacks !== undefined) this.#settle(callbacks, uncertainError(this.#connection.tag, cause));
    };
    return { uncertain: { writes, bytes }, settle };
  }

  /**
   * Writes have left the queue and will never be sent.
   *
   * @returns a function that reports it: what its listeners do is reported after all of them
   */
  dropped(writes: readonly Write[], reason: DropReason, errorOf: (write: Write) => ConnectionError): () => void {
    for (const { chunk } of writes) this.counts.dropped.add(1, chunk.length);
    return () => {
      this.#reportLater();
      this.#delivery.transaction(() => {
        for (const write of writes) this.#reportDropped(write, reason, errorOf(write));
      });
    };
  }

  /**
   * The queue itself has dropped writes. For the sake of one that is being written, it is reported in the next tick.
   *
   * @returns whether it was reported now
   */
  droppedByQueue(writes: readonly Write[], reason: QueueDropReason): boolean {
    const report = this.dropped(writes, reason, (write) => queueDropError(this.#connection.tag, reason, write));
    const isNow = reason === 'expired' || reason === 'aborted';
    if (isNow) report();
    else this.#reportNextTick(report);
    return isNow;
  }

  #reportNextTick(report: () => void): void {
    if (this.#later !== undefined) return void this.#later.push(report);
    this.#later = [report];
    // As in `refused()`.
    if (this.#isReporting) setImmediate(() => this.#reportLater());
    else process.nextTick(() => this.#reportLater());
  }

  #reportLater(): void {
    const reports = this.#later;
    this.#later = undefined;
    if (reports !== undefined) this.#report(reports);
  }

  #report(reports: readonly (() => void)[]): void {
    this.#delivery.transaction(() => {
      this.#delivery.enqueue(() => (this.#isReporting = true));
      for (const report of reports) report();
      this.#delivery.enqueue(() => (this.#isReporting = false));
    });
  }

  #reportDropped({ chunk, callback }: Write, reason: DropReason, error: ConnectionError): void {
    this.#deliverDrop(chunk, reason, error);
    if (callback !== undefined) this.#settle([callback], error);
  }

  #deliverDrop(chunk: Buffer, reason: DropReason, error: ConnectionError): void {
    this.#delivery.deliver('drop', { chunk, bytes: chunk.length, reason, error });
  }

  /** Calls back after everything that was queued before, and never while `write()` runs. */
  #settle(callbacks: readonly WriteCallback[], error?: ConnectionError): void {
    this.#delivery.enqueue(() => {
      for (const callback of callbacks) shielded(() => callback(error));
    });
  }
}
