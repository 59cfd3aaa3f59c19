/** Milliseconds of a span, the unit in which dials are counted. */
export const SPAN = 100;

/** The outcome of a simulation. Times are in milliseconds since the server came back. */
export interface Outcome {
  /** Clients that were served before the end. */
  readonly served: number;
  /** Dials a client. */
  readonly attempts: number;
  /** SYN packets a client: those of dials, and those that the kernel sends again. */
  readonly syns: number;
  /** Dials within the busiest second, a client. */
  readonly peak: number;
  /** When 99 % had been served; `undefined` if that did not happen. */
  readonly t99: number | undefined;
  /** When all had been served; `undefined` if that did not happen. */
  readonly t100: number | undefined;
  /** The least time in which the server can serve all. */
  readonly lowerBound: number;
  /** Dials in each {@link SPAN} since the outage began. */
  readonly dials: Uint32Array;
  /** Clients that are served by the end of each {@link SPAN} since the outage began. */
  readonly open: Uint32Array;
}

/** Counts dials and clients. */
export class Tally {
  readonly #clients: number;
  readonly #listensAt: number;
  readonly #dials: Uint32Array;
  readonly #served: Uint32Array;
  readonly #nearlyAll: number;
  #attempts = 0;
  #syns = 0;
  #count = 0;
  #t99: number | undefined;
  #t100: number | undefined;

  /** @param until - The longest duration of the simulation, in milliseconds. */
  constructor(clients: number, listensAt: number, until: number) {
    this.#clients = clients;
    this.#listensAt = listensAt;
    this.#nearlyAll = Math.ceil(clients * 0.99);
    this.#dials = new Uint32Array(Math.ceil(until / SPAN) + 1);
    this.#served = new Uint32Array(this.#dials.length);
  }

  get served(): number {
    return this.#count;
  }

  dial(now: number): void {
    this.#attempts += 1;
    this.#dials[Math.floor(now / SPAN)]! += 1;
  }

  syn(): void {
    this.#syns += 1;
  }

  /** One more client is served, not before the previous one. */
  serve(at: number): void {
    this.#count += 1;
    const span = Math.min(Math.floor(at / SPAN), this.#served.length - 1);
    this.#served[span]! += 1;
    if (this.#count === this.#nearlyAll) this.#t99 = at - this.#listensAt;
    if (this.#count === this.#clients) this.#t100 = at - this.#listensAt;
  }

  outcome(capacity: number): Outcome {
    let open = 0;
    return {
      served: this.#count,
      attempts: this.#attempts / this.#clients,
      syns: this.#syns / this.#clients,
      peak: busiestSecond(this.#dials) / this.#clients,
      t99: this.#t99,
      t100: this.#t100,
      lowerBound: (1_000 * this.#clients) / capacity,
      dials: this.#dials,
      open: this.#served.map((served) => (open += served)),
    };
  }
}

/** The most dials within any ten spans. */
export function busiestSecond(dials: Uint32Array): number {
  const spans = 1_000 / SPAN;
  let within = 0;
  let most = 0;
  for (const [span, count] of dials.entries()) {
    within += count - (dials[span - spans] ?? 0);
    most = Math.max(most, within);
  }
  return most;
}
