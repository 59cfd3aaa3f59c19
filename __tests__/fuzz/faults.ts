import { inspect } from 'node:util';

/** What went wrong in a run, with all that it takes to see it again. */
export class Faults {
  readonly #lines: string[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** What was written down: enough of it to work with. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  add(what: string, subject: unknown): void {
    this.#count += 1;
    if (this.#lines.length >= 20) return;
    const shown = inspect(subject, { depth: 4, showProxy: true, breakLength: 110, maxStringLength: 300 });
    this.#lines.push(`${what}: ${shown}`);
  }

  /** Writes down what nobody caught, from now on. */
  watchProcess(): this {
    process.on('uncaughtException', (error) => this.add('uncaught exception', error));
    process.on('unhandledRejection', (reason) => this.add('unhandled rejection', reason));
    return this;
  }
}
