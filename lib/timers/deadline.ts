/** The longest that Node's timers can wait, in milliseconds: what is longer fires at once. */
export const LONGEST_DELAY: number = 2 ** 31 - 1;

/** Something that can hold the process, or let it go. */
export interface Refable {
  setRef(held: boolean): void;
}

/** Lets a timer or a socket of Node's hold the process, or not. Streams that are no sockets cannot. */
export function setRef(held: boolean, resource: { ref?(): unknown; unref?(): unknown }): void {
  if (held) resource.ref?.();
  else resource.unref?.();
}

/**
 * A timer that judges the outside world, and so must not judge it by old news: when it is due, what has already arrived
 * is read first. (A process that was blocked or stopped finds its timers due before it has read what came meanwhile.)
 */
export class Deadline implements Refable {
  #timer: NodeJS.Timeout | undefined;
  #recheck: NodeJS.Immediate | undefined;

  constructor(milliseconds: number, held: boolean, expire: () => void) {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // Between the timers' phase of the event loop and the immediates' lies the one in which sockets are read.
      this.#recheck = setImmediate(expire);
    }, milliseconds);
    setRef(held, this.#timer);
  }

  clear(): void {
    clearTimeout(this.#timer);
    if (this.#recheck !== undefined) clearImmediate(this.#recheck);
  }

  setRef(held: boolean): void {
    if (this.#timer !== undefined) setRef(held, this.#timer);
  }
}
