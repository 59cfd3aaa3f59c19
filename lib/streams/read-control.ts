import { getDefaultHighWaterMark } from 'node:stream';

import type { Emitter } from '../events/emitter';
import type { CloseInfo, ConnectionEvents, OpenInfo, ResetInfo } from '../events/events';
import type { Settings } from '../options/settings';
import type { WriteCallback } from '../writes/write';

/** What the readers of a connection need to know of it and to do with it. */
export interface ReadSource {
  readonly tag: string;
  readonly settings: Pick<Settings, 'decoder' | 'reuseReadBuffer'>;
  /** The session that is open; its `info` is there once `open` was delivered, its `resetInfo` once it has ended. */
  readonly session: { readonly info: OpenInfo | undefined; readonly resetInfo: ResetInfo | undefined } | undefined;
  /** How the lifecycle ended, once it has. */
  readonly closeInfo: CloseInfo | undefined;
  readonly outbox: { write(chunk: Buffer, callback: WriteCallback | undefined): boolean };
  /** Writes to one session and no other. */
  writeTo(generation: number, chunk: Buffer, callback: WriteCallback | undefined): boolean;
  pause(): void;
  resume(): void;
  disconnect(): Promise<CloseInfo>;
  destroy(): void;
}

/**
 * Starts and stops the reading of a connection for several readers, each at its own pace: reading goes on only while no
 * reader has stopped it.
 */
export class ReadControl {
  readonly connection: Emitter<ConnectionEvents>;
  readonly source: ReadSource;
  readonly #stoppedBy = new Set<object>();

  constructor(connection: Emitter<ConnectionEvents>, source: ReadSource) {
    this.connection = connection;
    this.source = source;
  }

  /** Whether messages are received, and not bytes. */
  get isDecoded(): boolean {
    return this.source.settings.decoder !== undefined;
  }

  /** How much a reader keeps before it stops the reading, unless it is told: as much as a stream of Node's. */
  get highWaterMark(): number {
    return getDefaultHighWaterMark(this.isDecoded);
  }

  stop(reader: object): void {
    // First of all, for a session may turn out to be over by this, and the reader with it.
    this.#stoppedBy.add(reader);
    if (this.#stoppedBy.size === 1) this.source.pause();
  }

  resume(reader: object): void {
    if (this.#stoppedBy.delete(reader) && this.#stoppedBy.size === 0) this.source.resume();
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
    const listener = this.source.settings.reuseReadBuffer ? (chunk: Buffer) => take(Buffer.from(chunk)) : take;
    connection.on('data', listener);
    return () => void connection.off('data', listener);
  }

  /** What counts towards a high-water mark: bytes, or messages. */
  sizeOf(received: unknown): number {
    return this.isDecoded || !Buffer.isBuffer(received) ? 1 : received.length;
  }
}
