import { getDefaultHighWaterMark } from 'node:stream';

import type { Emitter } from '../events/emitter';
import type { ConnectionEvents } from '../events/events';
import type { Machine } from '../lifecycle/machine';

/**
 * What a connection receives, for readers with a pace of their own. Each may stop the reading, and it goes on when none
 * has it stopped: so one that is done never starts it over another's head.
 */
export class ReadControl {
  readonly connection: Emitter<ConnectionEvents>;
  readonly machine: Machine<unknown>;
  readonly #stoppedBy = new Set<object>();

  constructor(connection: Emitter<ConnectionEvents>, machine: Machine<unknown>) {
    this.connection = connection;
    this.machine = machine;
  }

  /** Whether messages are received, and not bytes. */
  get isDecoded(): boolean {
    return this.machine.settings.decoder !== undefined;
  }

  /** How much a reader keeps before it stops the reading, unless it is told: as much as a stream of Node's. */
  get highWaterMark(): number {
    return getDefaultHighWaterMark(this.isDecoded);
  }

  stop(reader: object): void {
    // First of all, for a session may turn out to be over by this, and the reader with it.
    this.#stoppedBy.add(reader);
    if (this.#stoppedBy.size === 1) this.machine.pause();
  }

  resume(reader: object): void {
    if (this.#stoppedBy.delete(reader) && this.#stoppedBy.size === 0) this.machine.resume();
  }

  /**
   * Calls back with each chunk or message, which is the receiver's to keep.
   *
   * @returns ends that
   */
  receive(take: (received: unknown) => void): () => void {
    const { connection } = this;
    if (this.isDecoded) {
      connection.on('message', take);
      return () => void connection.off('message', take);
    }
    // A chunk that was lent is used up when its listener returns.
    const listener = this.machine.settings.reuseReadBuffer ? (chunk: Buffer) => take(Buffer.from(chunk)) : take;
    connection.on('data', listener);
    return () => void connection.off('data', listener);
  }

  /** What counts towards a high-water mark: bytes, or messages. */
  sizeOf(received: unknown): number {
    return this.isDecoded || !Buffer.isBuffer(received) ? 1 : received.length;
  }
}
