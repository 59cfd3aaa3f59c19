import type { ReconnectingConnection, ResetInfo } from 'reconnecting-connection';

import { LONGEST_LINE, Lines } from './lines';

/** What an output needs of `process.stdout`. */
type Stdout = NodeJS.WriteStream;

/** Prints what arrives, and pauses the connection while standard output takes no more. */
export class Output {
  readonly #connection: ReconnectingConnection;
  readonly #stdout: Stdout;
  readonly #log: (text: string) => void;
  readonly #lines: Lines | undefined;
  /** Whether the unfinished line is so long that a part of it is printed already. */
  #isCut = false;
  #isFull = false;
  #isClosed = false;

  /**
   * @param lines - Whether what one session leaves unfinished is kept apart from the next.
   * @param onClosed - Called once, when standard output fails.
   */
  constructor(
    connection: ReconnectingConnection,
    stdout: Stdout,
    { lines, log, onClosed }: { lines: boolean; log: (text: string) => void; onClosed: (error: Error) => void },
  ) {
    this.#connection = connection;
    this.#stdout = stdout;
    this.#log = log;
    this.#lines = lines ? new Lines() : undefined;
    stdout.on('drain', () => this.#onDrain());
    stdout.on('error', (error: Error) => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      onClosed(error);
    });
  }

  /** Whether standard output takes no more at the moment. */
  get isFull(): boolean {
    return this.#isFull;
  }

  onData(chunk: Buffer): void {
    const lines = this.#lines;
    if (lines === undefined) return this.#print(chunk);
    const whole = lines.upToLast(chunk);
    if (whole !== undefined) {
      this.#isCut = false;
      this.#print(whole);
    }
    if (lines.length < LONGEST_LINE) return;
    this.#isCut = true;
    this.#print(lines.take());
  }

  /** What the session has left unfinished is a line if the peer has ended it, and lost if the session was. */
  onReset({ error, willRetry }: ResetInfo): void {
    if (this.#lines === undefined) return;
    const { length } = this.#lines;
    const rest = this.#lines.take();
    if (length > 0 && willRetry && error !== undefined) {
      this.#log(`an unfinished line of output was lost with the session (${length} bytes)`);
      // What was printed of it ends here.
      if (this.#isCut) this.#print(Buffer.from('\n'));
    } else if (length > 0 || (this.#isCut && willRetry)) {
      this.#print(willRetry ? Buffer.concat([rest, Buffer.from('\n')]) : rest);
    }
    this.#isCut = false;
  }

  /** Resolves when all was taken, or standard output is closed. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isClosed) resolve();
      else this.#stdout.write('', () => resolve());
    });
  }

  #print(bytes: Buffer): void {
    if (this.#isClosed || this.#stdout.write(bytes)) return;
    this.#isFull = true;
    this.#connection.pause();
  }

  #onDrain(): void {
    this.#isFull = false;
    this.#connection.resume();
  }
}
