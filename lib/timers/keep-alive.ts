import { LONGEST_DELAY } from './deadline';

/** Keeps the process alive while anyone waits for something that does not. */
export class KeepAlive {
  #watchers = 0;
  #timer: NodeJS.Timeout | undefined;

  join(): void {
    this.#watchers += 1;
    this.#timer ??= setTimeout(() => undefined, LONGEST_DELAY);
  }

  leave(): void {
    this.#watchers -= 1;
    if (this.#watchers > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
