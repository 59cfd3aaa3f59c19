export interface ServerOptions {
  /** Clients that it can serve a second. */
  readonly capacity: number;
  /** Connections that the kernel keeps until they are accepted. */
  readonly backlog: number;
  /** When it listens again, in milliseconds since the outage began. */
  readonly listensAt: number;
}

/**
 * A server that is down at first, then serves its queue one client after the other. While it is down its machine is up and
 * refuses dials at once, as after a crash of the process. A full queue drops the SYN without an answer, as Linux does
 * (`net.ipv4.tcp_abort_on_overflow` is 0).
 */
export class Server {
  readonly #service: number;
  readonly #longestQueue: number;
  readonly #listensAt: number;
  /** When the whole queue will have been served. */
  #idleAt: number;

  constructor({ capacity, backlog, listensAt }: ServerOptions) {
    this.#service = 1_000 / capacity;
    this.#longestQueue = backlog * this.#service;
    this.#listensAt = listensAt;
    this.#idleAt = listensAt;
  }

  /** Whether it listens; it refuses dials if not. */
  listens(now: number): boolean {
    return now >= this.#listensAt;
  }

  /** A SYN arrives. Returns when the client will have been served, or `Infinity` if the queue is full. */
  accept(now: number): number {
    // Full means less than one place left; the small term absorbs rounding errors.
    if (this.#idleAt - now > this.#longestQueue - this.#service + 1e-6) return Infinity;
    this.#idleAt = Math.max(this.#idleAt, now) + this.#service;
    return this.#idleAt;
  }
}
