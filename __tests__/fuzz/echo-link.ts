import { Duplex } from 'node:stream';

/** A stream in memory that gives back what is written to it, and ends when it is ended. */
export class EchoLink extends Duplex {
  constructor() {
    super({ allowHalfOpen: false });
  }

  override _read(): void {
    // What is written is pushed at once.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.push(chunk);
    done();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.push(null);
    done();
  }
}
