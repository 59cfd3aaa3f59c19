import type { ConnectionError } from '../errors';
import type { DeliveryQueue } from '../events/delivery-queue';
import { shielded } from '../events/emitter';
import type { ConnectionEvents, DropReason } from '../events/events';
import type { Write, WriteCallback } from './write';

/** Tells the application the fates of its writes: by their callbacks, and by `drop`. */
export class Reports {
  readonly #delivery: DeliveryQueue<ConnectionEvents>;
  /** What the next tick reports. */
  #later: (() => void)[] | undefined;
  /** Whether a listener or a callback is being called about a write that was refused or dropped by `write()`. */
  #isReporting = false;

  constructor(delivery: DeliveryQueue<ConnectionEvents>) {
    this.#delivery = delivery;
  }

  /** Calls back after everything that was queued before, and never while `write()` runs. */
  settle(callbacks: readonly WriteCallback[], error?: ConnectionError): void {
    this.#delivery.enqueue(() => {
      for (const callback of callbacks) shielded(() => callback(error));
    });
  }

  /** @param isAudible - Whether an event may be emitted by then. */
  refused(chunk: Buffer, callback: WriteCallback | undefined, error: ConnectionError, isAudible: () => boolean): void {
    const report = () => {
      if (callback !== undefined) this.settle([callback], error);
      else if (isAudible()) this.#deliverDrop(chunk, 'refused', error);
    };
    if (callback !== undefined) this.#onNextTick(report);
    else if (this.#isReporting) setImmediate(() => this.#report([report]));
    else this.#report([report]);
  }

  /** Reports writes that left the queue. What a listener does about one of them is reported after them all. */
  dropped(writes: readonly Write[], reason: DropReason, errorOf: (write: Write) => ConnectionError): void {
    this.#reportLater();
    this.#delivery.transaction(() => {
      for (const write of writes) this.#reportDropped(write, reason, errorOf(write));
    });
  }

  /** As `dropped()`, but not while `write()` runs. */
  droppedLater(writes: readonly Write[], reason: DropReason, errorOf: (write: Write) => ConnectionError): void {
    for (const write of writes) {
      const error = errorOf(write);
      this.#onNextTick(() => this.#reportDropped(write, reason, error));
    }
  }

  #onNextTick(report: () => void): void {
    if (this.#later !== undefined) {
      this.#later.push(report);
      return;
    }
    this.#later = [report];
    // An application that writes again what was refused or dropped must not starve the event loop.
    if (this.#isReporting) setImmediate(() => this.#reportLater());
    else process.nextTick(() => this.#reportLater());
  }

  #reportLater(): void {
    const reports = this.#later;
    if (reports === undefined) return;
    this.#later = undefined;
    this.#report(reports);
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
    if (callback !== undefined) this.settle([callback], error);
  }

  #deliverDrop(chunk: Buffer, reason: DropReason, error: ConnectionError): void {
    this.#delivery.deliver('drop', { chunk, bytes: chunk.length, reason, error });
  }
}
