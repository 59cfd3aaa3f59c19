/** Where the clients come back to. */
export interface ServerOptions {
  /** Clients that it can serve a second: a TLS handshake and the first queries take about a fifth of a millisecond. */
  readonly capacity: number;
  /**
   * Connections that wait to be accepted, in the kernel: 4096 is the greatest `backlog` that Linux grants as it comes
   * (`net.core.somaxconn`, since 5.4).
   */
  readonly backlog: number;
  /** When it comes back, in milliseconds since it went. */
  readonly listensAt: number;
}

/**
 * A server that is down, then serves those who queue, one after the other. While it is down its machine is up: it
 * refuses at once, as after the crash or the restart of a process. Where the queue is full it drops the packet without a
 * word, as Linux does (`net.ipv4.tcp_abort_on_overflow` is 0).
 */
export class Server {
  readonly #service: number;
  readonly #longestQueue: number;
  readonly #listensAt: number;
  /** When all that are in the queue will have been served. */
  #idleAt: number;

  constructor({ capacity, backlog, listensAt }: ServerOptions) {
    this.#service = 1_000 / capacity;
    this.#longestQueue = backlog * this.#service;
    this.#listensAt = listensAt;
    this.#idleAt = listensAt;
  }

  /** Whether it answers at all: it refuses before. */
  listens(now: number): boolean {
    return now >= this.#listensAt;
  }

  /** A SYN arrives. Returns when the client will have been served, or `Infinity` where the queue is full. */
  accept(now: number): number {
    // A queue that holds less than one place more is full: the small part keeps a rounding error from being a place.
    if (this.#idleAt - now > this.#longestQueue - this.#service + 1e-6) return Infinity;
    this.#idleAt = Math.max(this.#idleAt, now) + this.#service;
    return this.#idleAt;
  }
}
