/** Milliseconds in which what was measured loses most (63 %) of its weight. An answer is awaited for no longer. */
export const DECAY = 10_000;

/** What is known of one candidate. */
interface Latency {
  /** Its latency at `measuredAt`; undefined while there is no measurement. */
  estimate: number | undefined;
  measuredAt: number;
  /** When it was last chosen, of the choices since the last answer the first. */
  waitingSince: number;
  /** How often it was chosen since the last answer. */
  waiting: number;
}

/**
 * How long the candidates take to answer: the time from the choice of a candidate to the next bytes from it. The estimate
 * follows a rise at once and a fall slowly, and fades with time, so that a candidate that was slow is tried again (peak
 * EWMA: https://github.com/twitter/finagle, `PeakEwma.scala`). Durations are in milliseconds.
 *
 * Which answer belongs to which write is not known: with many writes in flight to one candidate, what is measured is the
 * gap between its answers.
 */
export class Latencies {
  readonly #known = new WeakMap<object, Latency>();
  readonly #now: () => number;

  /** @param now - The clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** `candidate` was chosen for a write. */
  chosen(candidate: object): void {
    const now = this.#now();
    let latency = this.#known.get(candidate);
    if (latency === undefined) {
      latency = { estimate: undefined, measuredAt: now, waitingSince: now, waiting: 0 };
      this.#known.set(candidate, latency);
    }
    if (latency.waiting === 0 || isForgotten(latency, now)) {
      latency.waitingSince = now;
      latency.waiting = 0;
    }
    latency.waiting += 1;
  }

  /** Bytes came from `candidate`. */
  answered(candidate: object): void {
    const latency = this.#known.get(candidate);
    if (latency === undefined || latency.waiting === 0) return;
    const now = this.#now();
    const sample = now - latency.waitingSince;
    const weight = fading(latency, now);
    const average = (latency.estimate ?? 0) * weight + sample * (1 - weight);
    latency.estimate = Math.max(sample, average);
    latency.measuredAt = now;
    latency.waiting = 0;
  }

  /** The session of `candidate` is over: the next one may be with another server. */
  forget(candidate: object): void {
    this.#known.delete(candidate);
  }

  /** The expected latency of a write more; Infinity while its first answer is awaited, and 0 where nothing is known. */
  cost(candidate: object): number {
    const latency = this.#known.get(candidate);
    if (latency === undefined) return 0;
    const now = this.#now();
    const waiting = isForgotten(latency, now) ? 0 : latency.waiting;
    if (latency.estimate === undefined) return waiting === 0 ? 0 : Infinity;
    const estimate = latency.estimate * fading(latency, now);
    const waited = waiting === 0 ? 0 : now - latency.waitingSince;
    return Math.max(estimate, waited) * (waiting + 1);
  }
}

/** Whether no answer is expected any more: not every write has one. */
function isForgotten({ waiting, waitingSince }: Latency, now: number): boolean {
  return waiting > 0 && now - waitingSince > DECAY;
}

/** What is left of the weight of the last measurement. */
function fading({ measuredAt }: Latency, now: number): number {
  return Math.exp((measuredAt - now) / DECAY);
}
