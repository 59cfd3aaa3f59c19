/** The longest delay of Node's timers, in milliseconds: a longer one fires at once. */
export const LONGEST_DELAY: number = 2 ** 31 - 1;

/** The clock of `performance.now()`, in whole milliseconds: V8 keeps another number in memory of its own. */
export function now(): number {
  return Math.floor(performance.now());
}

/** Something that keeps the process alive, or does not, as Node's `ref()` and `unref()` say. */
export interface Refable {
  setRef(ref: boolean): void;
}

/** Calls `ref()` or `unref()` of a timer or a socket. Other streams have neither. */
export function setRef(ref: boolean, resource: { ref?(): unknown; unref?(): unknown }): void {
  if (ref) resource.ref?.();
  else resource.unref?.();
}

/**
 * A timer for the silence of a peer. When it is due, what has already arrived is read first: in a process that was blocked
 * or stopped, timers are due before the event loop has read what came meanwhile.
 */
export class Deadline implements Refable {
  #timer: NodeJS.Timeout | undefined;
  #recheck: NodeJS.Immediate | undefined;

  constructor(milliseconds: number, ref: boolean, expire: () => void) {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // The event loop reads sockets between its phase of timers and its phase of immediates.
      this.#recheck = setImmediate(expire);
    }, milliseconds);
    setRef(ref, this.#timer);
  }

  clear(): void {
    clearTimeout(this.#timer);
    if (this.#recheck !== undefined) clearImmediate(this.#recheck);
  }

  setRef(ref: boolean): void {
    if (this.#timer !== undefined) setRef(ref, this.#timer);
  }
}
