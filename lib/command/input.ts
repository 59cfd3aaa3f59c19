import type { ReconnectingConnection } from 'reconnecting-connection';

import { LONGEST_LINE, Lines } from './lines';

/** A number of writes, and their size. */
export class Count {
  writes = 0;
  bytes = 0;

  add(bytes: number): void {
    this.writes += 1;
    this.bytes += bytes;
  }
}

/**
 * Sends standard input. While there is no session, and while that has no room, nothing is read: it waits where it comes
 * from.
 */
export class Input {
  /** What was read and not sent. */
  readonly lost = new Count();
  /** What a session was lost with. */
  readonly uncertain = new Count();
  readonly #connection: ReconnectingConnection;
  readonly #stdin: NodeJS.ReadStream;
  readonly #lines: Lines | undefined;
  #hasBegun = false;
  #isStopped = false;
  #isEnded = false;
  /** What the stream had in its buffer when it was stopped. */
  #rest: Buffer | null = null;
  #hasRoom = true;
  /** Number of writes whose fate is not known yet. */
  #unsettled = 0;
  #wake: (() => void) | undefined;

  /** @param lines - Whether each line is one write. */
  constructor(connection: ReconnectingConnection, stdin: NodeJS.ReadStream, lines: boolean) {
    this.#connection = connection;
    this.#stdin = stdin;
    this.#lines = lines ? new Lines() : undefined;
    connection.on('drain', () => (this.#hasRoom = true));
    for (const event of ['open', 'drain', 'close'] as const) connection.on(event, () => this.#wake?.());
  }

  /** Whether it was read to its end. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * Resolves with the number of bytes when all was written, and after `stop()` all that was read.
   *
   * @throws the error of standard input, also for a line that is too long
   */
  async send(): Promise<number> {
    let bytes = 0;
    try {
      for await (const chunk of this.#chunks()) {
        bytes += chunk.length;
        for (const write of this.#writesOf(chunk)) {
          await this.#until(() => this.#canWrite);
          this.#write(write);
        }
        // It would be read to be refused.
        if (this.#connection.state === 'closed') this.stop();
      }
      this.#isEnded = !this.#isStopped;
    } finally {
      const rest = this.#lines?.take();
      if (rest !== undefined && rest.length > 0) {
        if (this.#isEnded) this.#write(rest);
        else this.lost.add(rest.length);
      }
    }
    return bytes;
  }

  /** Resolves when the fate of all that was written is known. */
  settled(): Promise<void> {
    return this.#until(() => this.#unsettled === 0);
  }

  /** Reads no more. What was read already is written at once. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    // `as`: no encoding is set.
    if (this.#hasBegun) this.#rest = this.#stdin.read() as Buffer | null;
    this.#stdin.destroy();
    this.#wake?.();
  }

  get #canWrite(): boolean {
    const { state } = this.#connection;
    return this.#isStopped || state === 'closed' || (state === 'open' && this.#hasRoom);
  }

  async *#chunks(): AsyncGenerator<Buffer, void> {
    this.#hasBegun = true;
    try {
      // `as`: no encoding is set.
      for await (const chunk of this.#stdin as AsyncIterable<Buffer>) yield chunk;
    } catch (error) {
      if (!this.#isStopped) throw error;
    }
    if (this.#rest !== null) yield this.#rest;
  }

  *#writesOf(chunk: Buffer): Generator<Buffer, void> {
    const lines = this.#lines;
    if (lines === undefined) {
      yield chunk;
      return;
    }
    yield* lines.each(chunk);
    if (lines.length > LONGEST_LINE) throw new Error(`a line is longer than ${LONGEST_LINE} bytes`);
  }

  #write(bytes: Buffer): void {
    this.#unsettled += 1;
    this.#hasRoom = this.#connection.write(bytes, (error) => {
      this.#unsettled -= 1;
      if (error) (error.code === 'ERR_DELIVERY_UNCERTAIN' ? this.uncertain : this.lost).add(bytes.length);
      if (this.#unsettled === 0) this.#wake?.();
    });
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
