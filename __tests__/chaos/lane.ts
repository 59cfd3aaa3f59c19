import type { Clock } from './clock';

/** What travels along a lane: bytes, a number of bytes acknowledged, an end in good order, a reset. */
export type Parcel = Buffer | number | 'fin' | 'rst';

/** One direction of a wire. Parcels arrive in the order in which they were sent; a partition holds them up. */
export class Lane {
  readonly #clock: Clock;
  readonly #isCut: () => boolean;
  readonly #deliver: (parcel: Parcel) => void;
  readonly #parcels: { readonly due: number; readonly parcel: Parcel }[] = [];

  constructor(clock: Clock, isCut: () => boolean, deliver: (parcel: Parcel) => void) {
    this.#clock = clock;
    this.#isCut = isCut;
    this.#deliver = deliver;
  }

  /** Parcels under way. */
  get length(): number {
    return this.#parcels.length;
  }

  send(parcel: Parcel, latency: number): void {
    const due = Math.max(this.#clock.now + latency, this.#parcels.at(-1)?.due ?? 0);
    this.#parcels.push({ due, parcel });
    this.#clock.after(due - this.#clock.now, () => this.service());
  }

  /** Delivers what is due. */
  service(): void {
    while (!this.#isCut() && (this.#parcels[0]?.due ?? Infinity) <= this.#clock.now) {
      this.#deliver(this.#parcels.shift()!.parcel);
    }
  }
}
