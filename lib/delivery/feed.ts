import type { ConnectionError, ReconnectingConnection, WriteChunk } from 'reconnecting-connection';

/** A message is written in this session or not at all: one that waited in the connection would be sent out of order. */
const NOW_OR_NEVER = Object.freeze({ maxAge: 0 });

/** What a feed asks of its window. */
export interface FeedSource {
  /** The position of the oldest message that the peer does not have. */
  first(): number;
  /** The position behind the last message that may be sent. */
  end(): number;
  /** Whether the message cannot be sent: its position is passed over. */
  isLost(position: number): boolean;
  /** Returns what is written for a message, unchecked. It runs code of the application, and may stop the window. */
  encode(position: number): WriteChunk;
  /** A message was written. */
  onSent(position: number): void;
  /** The last one was not written after all, and will be again. */
  onRefused(): void;
  /** The connection cannot write what `encode` has returned. */
  onBadChunk(position: number, error: unknown): void;
}

/** Writes the messages of a window to one session, in order, while it has room. */
export class Feed {
  readonly #connection: ReconnectingConnection;
  readonly #source: FeedSource;
  /** The session. */
  readonly #generation: number;
  /** The position of the next message to write. */
  #position: number;
  /** Whether the listeners of its `open` have been called. */
  #hasBegun = false;
  #isWriting = false;
  /** Whether the connection takes more writes. */
  #hasRoom = true;
  /** Writes whose callbacks were not called yet. */
  #unsettled = 0;
  /** Whether the last write returned false: it was either the last that had room, or refused. Its callback says which. */
  #isInDoubt = false;

  constructor(connection: ReconnectingConnection, source: FeedSource) {
    this.#connection = connection;
    this.#source = source;
    this.#generation = connection.generation;
    this.#position = source.first();
  }

  /** All listeners of `open` have been called, and what they wrote goes first. */
  begin(): void {
    this.#hasBegun = true;
    this.write();
  }

  /** A kernel that takes everything at once must not keep the event loop from other work, such as reading acknowledgements. */
  onRoom(): void {
    setImmediate(() => {
      this.#hasRoom = true;
      this.write();
    });
  }

  /** Writes what may be sent. */
  write(): void {
    // `encode` may send and acknowledge messages, and end the session.
    if (this.#isWriting) return;
    this.#isWriting = true;
    while (this.#isReady()) this.#writeNext();
    this.#isWriting = false;
  }

  #isReady(): boolean {
    if (!this.#hasBegun || !this.#hasRoom || this.#isInDoubt) return false;
    this.#position = Math.max(this.#position, this.#source.first());
    while (this.#source.isLost(this.#position)) this.#position += 1;
    if (this.#position >= this.#source.end()) return false;
    const { state, generation, socket } = this.#connection;
    // A session that is about to end, or to be replaced, takes no writes, and the connection would keep them.
    return state === 'open' && generation === this.#generation && socket?.writable === true;
  }

  #writeNext(): void {
    const position = this.#position;
    const chunk = this.#source.encode(position);
    if (!this.#isReady() || this.#position !== position) return;
    const connection = this.#connection;
    // Where nothing is pending, the write is neither refused nor kept: it needs no callback, which costs a tenth of it.
    const isFirst = connection.pendingBytes === 0;
    try {
      this.#hasRoom = isFirst ? connection.write(chunk) : connection.write(chunk, NOW_OR_NEVER, this.#onSettled);
    } catch (error) {
      return this.#source.onBadChunk(position, error);
    }
    this.#position = position + 1;
    if (!isFirst) {
      this.#unsettled += 1;
      this.#isInDoubt = !this.#hasRoom;
    }
    this.#source.onSent(position);
  }

  // One function for all writes: a closure for each would cost as much as the rest.
  readonly #onSettled = (error?: ConnectionError): void => {
    this.#unsettled -= 1;
    if (!this.#isInDoubt) return;
    if (error?.code === 'ERR_QUEUE_FULL') {
      // The application's own writes had filled the connection.
      this.#position -= 1;
      this.#source.onRefused();
    } else if (this.#unsettled > 0) return;
    this.#isInDoubt = false;
    this.write();
  };
}
