import { fstatSync } from 'node:fs';

import type { ConnectionError, ReconnectingConnection } from 'reconnecting-connection';

import { Lines, countLines } from './lines';

/** An amount of input. */
class Count {
  lines = 0;
  bytes = 0;

  add(bytes: Buffer): void {
    this.lines += countLines(bytes);
    this.bytes += bytes.length;
  }
}

/** Sends standard input, which is read only while there is a session that has room: else it waits where it comes from. */
export class Input {
  /** What was read and not sent. */
  readonly lost = new Count();
  /** What a session was lost with. */
  readonly uncertain = new Count();
  /** Resolves when no more is read, and the fate of all that was read is known. */
  readonly finished: Promise<void>;
  readonly #connection: ReconnectingConnection;
  readonly #stdin: NodeJS.ReadStream;
  readonly #lines: Lines | undefined;
  #state: 'open' | 'ended' | 'stopped' = 'open';
  #error: Error | undefined;
  #isEmpty = true;
  /** Number of writes whose fate is not known yet. */
  #unsettled = 0;
  #finish: () => void = () => undefined;

  /** @param lines - Whether only whole lines are written. */
  constructor(connection: ReconnectingConnection, stdin: NodeJS.ReadStream, lines: boolean) {
    this.#connection = connection;
    this.#stdin = stdin;
    this.#lines = lines ? new Lines() : undefined;
    this.finished = new Promise((resolve) => (this.#finish = resolve));
    // Before it gets a listener, which would begin to read.
    stdin.pause();
    stdin
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('end', () => this.#onEnd())
      .on('error', (error) => {
        this.#error = error;
        this.stop();
      });
    connection
      .on('open', () => stdin.resume())
      .on('drain', () => stdin.resume())
      .on('reset', () => stdin.pause());
  }

  /** Why it could not be read. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Whether no more is due: it has ended, or is a terminal, which does not end by itself. */
  get isOver(): boolean {
    return this.#state === 'ended' || this.#stdin.isTTY;
  }

  /** Waits `ms` at the longest for an end that is due. What comes instead is lost. */
  async end(ms: number): Promise<void> {
    if (this.isOver) return;
    this.#stdin.resume();
    await Promise.race([this.finished, new Promise((resolve) => setTimeout(resolve, ms))]);
  }

  /** Reads no more, and writes what was read. */
  stop(): void {
    if (this.#state === 'open') {
      // What is in the buffer of the stream: a `data` event.
      this.#stdin.read();
      this.#state = 'stopped';
      this.#stdin.destroy();
      if (this.#lines !== undefined) this.lost.add(this.#lines.take());
    }
    this.#settle();
  }

  #onData(chunk: Buffer): void {
    this.#isEmpty = false;
    this.#write(this.#lines?.push(chunk) ?? chunk);
  }

  #onEnd(): void {
    this.#state = 'ended';
    this.#write(this.#lines?.take() ?? Buffer.alloc(0));
    // Of /dev/null the end means that there is no input.
    if (!this.#isEmpty || this.#stdin.isTTY || !fstatSync(0).isCharacterDevice()) this.#settle();
  }

  #write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#unsettled += 1;
    const hasRoom = this.#connection.write(bytes, (error) => this.#onWritten(bytes, error));
    if (!hasRoom) this.#stdin.pause();
  }

  #onWritten(bytes: Buffer, error: ConnectionError | undefined): void {
    this.#unsettled -= 1;
    if (error) (error.code === 'ERR_DELIVERY_UNCERTAIN' ? this.uncertain : this.lost).add(bytes);
    if (this.#state !== 'open') this.#settle();
  }

  #settle(): void {
    if (this.#unsettled === 0) this.#finish();
  }
}
