import { getDefaultHighWaterMark } from 'node:stream';

import type { Emitter } from '../events/emitter';
import type { CloseInfo, ConnectionEvents, OpenInfo, ResetInfo } from '../events/events';
import type { Settings } from '../options/settings';
import type { Outbox } from '../writes/outbox';

/** The part of a connection's machine that its readers use. */
export interface ReadSource {
  readonly tag: string;
  readonly settings: Pick<Settings, 'decoder' | 'reuseReadBuffer' | 'socket'>;
  /** The open session. `info` is set when its `open` is delivered, `resetInfo` when it has ended. */
  readonly session:
    | {
        readonly info: OpenInfo | undefined;
        readonly resetInfo: ResetInfo | undefined;
        readonly isReadToEnd: boolean;
      }
    | undefined;
  /** How the lifecycle ended; undefined until then. */
  readonly closeInfo: CloseInfo | undefined;
  readonly outbox: Pick<Outbox, 'write' | 'refuse' | 'refusals' | 'takesNow'>;
  pause(): void;
  resume(): void;
  disconnect(): Promise<CloseInfo>;
  destroy(): void;
  addPeerEndListener(listener: () => void): () => void;
}

/** Lets several readers of one connection pause it independently: it reads only while none of them has paused it. */
export class ReadControl {
  readonly connection: Emitter<ConnectionEvents>;
  readonly source: ReadSource;
  readonly #pausedBy = new Set<object>();

  constructor(connection: Emitter<ConnectionEvents>, source: ReadSource) {
    this.connection = connection;
    this.source = source;
  }

  /** Whether the readers receive messages of a `decoder` instead of bytes. */
  get isDecoded(): boolean {
    return this.source.settings.decoder !== undefined;
  }

  pause(reader: object): void {
    // Added first: `source.pause()` may end the session, and the reader resumes then.
    this.#pausedBy.add(reader);
    if (this.#pausedBy.size === 1) this.source.pause();
  }

  resume(reader: object): void {
    if (this.#pausedBy.delete(reader) && this.#pausedBy.size === 0) this.source.resume();
  }

  /**
   * Adds a listener for chunks or messages. It may keep the chunks: they are copied where `reuseReadBuffer` is set.
   *
   * @returns a function that removes the listener
   */
  onReceived(listener: (received: unknown) => void): () => void {
    const { connection } = this;
    if (this.isDecoded) {
      connection.on('message', listener);
      return () => void connection.off('message', listener);
    }
    const onData = this.source.settings.reuseReadBuffer ? (chunk: Buffer) => listener(Buffer.from(chunk)) : listener;
    connection.on('data', onData);
    return () => void connection.off('data', onData);
  }

  /**
   * Adds a listener for the peer's end of a session that goes on for writes, called behind what it has received.
   *
   * @returns a function that removes the listener
   */
  onPeerEnd(listener: () => void): () => void {
    return this.isHalfOpen ? this.source.addPeerEndListener(listener) : () => undefined;
  }

  /** Whether a session goes on for writes after the peer's end. */
  get isHalfOpen(): boolean {
    return this.source.settings.socket.allowHalfOpen === true;
  }

  /** The `highWaterMark` of Node's streams, in bytes or messages. */
  get defaultHighWaterMark(): number {
    return getDefaultHighWaterMark(this.isDecoded);
  }

  /** What a chunk or message counts towards a high-water mark: its bytes, or 1. */
  sizeOf(received: unknown): number {
    return this.isDecoded || !Buffer.isBuffer(received) ? 1 : received.length;
  }
}
