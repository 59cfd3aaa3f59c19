import type { ReconnectingConnection } from 'reconnecting-connection';

import { Lines } from './lines';

const NEWLINE = Buffer.from('\n');

/** Prints what arrives, and pauses the connection while standard output takes no more. */
export class Output {
  readonly #stdout: NodeJS.WriteStream;
  #isFull = false;
  #error: NodeJS.ErrnoException | undefined;
  #onClosed: () => void = () => undefined;
  readonly #closed = new Promise<void>((resolve) => (this.#onClosed = resolve));

  /** @param lines - Whether only whole lines are printed. */
  constructor(
    connection: ReconnectingConnection,
    stdout: NodeJS.WriteStream,
    { lines, log }: { readonly lines: boolean; readonly log: (text: string) => void },
  ) {
    this.#stdout = stdout;
    const print = (bytes: Buffer) => {
      if (this.#error !== undefined || stdout.write(bytes)) return;
      this.#isFull = true;
      connection.pause();
    };
    stdout.on('drain', () => {
      this.#isFull = false;
      connection.resume();
    });
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#error ??= error;
      this.close();
      connection.destroy();
    });
    if (!lines) {
      connection.on('data', print);
      return;
    }
    const unfinished = new Lines();
    connection.on('data', (chunk) => print(unfinished.push(chunk)));
    connection.on('reset', ({ error }) => {
      const rest = unfinished.take();
      if (rest.length === 0) return;
      // It is whole if the peer has ended after it.
      if (error === undefined) print(Buffer.concat([rest, NEWLINE]));
      else log(`an unfinished line of output was lost with the session (${rest.length} bytes)`);
    });
  }

  /** Whether standard output takes no more at the moment. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Why it could not be written. */
  get error(): NodeJS.ErrnoException | undefined {
    return this.#error;
  }

  /** Resolves when all was taken, or at `close()`. */
  async flush(): Promise<void> {
    await Promise.race([this.#closed, new Promise((resolve) => this.#stdout.write('', resolve))]);
  }

  /** What standard output has not taken is lost. */
  close(): void {
    this.#onClosed();
  }
}
