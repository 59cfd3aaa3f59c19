/**
 * What is known of an endpoint: `clear`, those who dial pass; `probing`, one dial at a time finds out whether it is
 * there; `releasing`, many wish to dial and follow in a growing window.
 */
export type CanaryPhase = 'clear' | 'probing' | 'releasing';

/** Dials that may be under way at once when the first has come through: what the shortest accept queues hold. */
export const FIRST_WINDOW = 64;

/** The first wait after the endpoint has failed is up to this long, in milliseconds: a blip is soon over. */
const FIRST_WAIT = 50;
/** The waits after it grow from here … */
const LEAST_WAIT = 100;
/** … up to this factor a time … */
const GROWTH = 3;
/** … to this, in milliseconds; beyond it they are drawn from its last quarter, so that many processes still spread. */
export const LONGEST_WAIT = 1_000;
const LEAST_SHARE_AT_CAP = 0.75;

/** Dials under way at the most for how long they take to be the network's doing alone. */
const CALM = 4;

/** No dial is taken for lost before this, in milliseconds: less is the scheduler's noise. */
export const LEAST_PATIENCE = 30;

/**
 * Knowledge that the connections of one process to one endpoint share: may one more dial now? It decides only, and has
 * no timer and no clock; `now` and every duration are in milliseconds.
 *
 * ```text
 *   probing   ──► releasing   a dial connected: the others may follow
 *   releasing ──► clear       none is under way any more
 *   clear     ──► releasing   more dials at once than the first window holds
 *   clear     ──► probing     a dial failed
 *   releasing ──► probing     a dial failed
 * ```
 */
export class Canary {
  readonly #random: () => number;
  #phase: CanaryPhase = 'probing';
  #window = FIRST_WINDOW;
  #dialling = 0;
  /** The wait before this one, since the endpoint was last clear. */
  #wait: number | undefined;
  /** While probing: when the next may dial. */
  #nextAt = -Infinity;
  #begunAt = -Infinity;
  #connectedAt = -Infinity;
  /** How long it takes to connect: a moving average, and how far from it dials are. */
  #average: number | undefined;
  #deviation = 0;

  /** @param options - `random`: where chance comes from, a number from 0 up to 1. Default: `Math.random`. */
  constructor(options?: { readonly random?: () => number }) {
    this.#random = options?.random ?? Math.random;
  }

  get phase(): CanaryPhase {
    return this.#phase;
  }

  /** Dials that may be under way at once. It grows by one with each that connects, and so doubles with each round trip. */
  get window(): number {
    return this.#phase === 'probing' ? 1 : this.#window;
  }

  /** Dials under way. */
  get dialling(): number {
    return this.#dialling;
  }

  /** How long it takes to connect, on average; undefined while that is not known. */
  get connectTime(): number | undefined {
    return this.#average;
  }

  /**
   * How long a dial may go without an answer before it is worth another one beside it, several times as long as most
   * take; undefined where nothing is known, and while the endpoint may not be there at all.
   */
  get patience(): number | undefined {
    if (this.#average === undefined || this.#phase === 'probing') return undefined;
    return Math.max(LEAST_PATIENCE, 3 * this.#average + 4 * this.#deviation);
  }

  /**
   * How long until one more may dial: 0 for now. Never longer than {@link LONGEST_WAIT}, so that dials which are never
   * answered hold nobody for ever. Ask again when a dial has connected, failed or ended.
   */
  mayDial(now: number): number {
    if (this.#phase === 'probing') return Math.max(0, this.#nextAt - now);
    return this.#dialling < this.#window ? 0 : Math.max(0, this.#begunAt + LONGEST_WAIT - now);
  }

  /** A dial begins. */
  begun(now: number): void {
    this.#dialling += 1;
    this.#begunAt = now;
    if (this.#phase === 'probing') this.#nextAt = now + this.#nextWait();
    else if (this.#dialling >= this.#window) this.#phase = 'releasing';
  }

  /**
   * A dial has connected, `took` after it began.
   *
   * @returns whether the endpoint is back: who waits because a dial of its own has failed may come at once
   */
  connected(now: number, took: number): boolean {
    this.#connectedAt = now;
    this.#learn(took);
    if (this.#phase !== 'probing') {
      this.#window += 1;
      return false;
    }
    this.#phase = 'releasing';
    this.#window = FIRST_WINDOW;
    return true;
  }

  /** A dial has failed before it was connected, `took` after it began. */
  failed(now: number, took: number): void {
    // What was asked before another was answered is old news.
    if (this.#phase === 'probing' || now - took < this.#connectedAt) return;
    this.#phase = 'probing';
    this.#nextAt = now + this.#nextWait();
  }

  /** A dial is over: after it has connected or failed, or alone where it was given up and says nothing of the endpoint. */
  ended(): void {
    this.#dialling -= 1;
    if (this.#dialling > 0 || this.#phase === 'probing') return;
    this.#phase = 'clear';
    this.#window = FIRST_WINDOW;
    this.#wait = undefined;
  }

  /** Quick decorrelated: a first short one, then growth by chance up to the longest. */
  #nextWait(): number {
    const before = this.#wait;
    if (before === undefined) return (this.#wait = this.#between(0, FIRST_WAIT));
    const drawn = this.#between(LEAST_WAIT, GROWTH * Math.max(LEAST_WAIT, before));
    return (this.#wait =
      drawn <= LONGEST_WAIT ? drawn : this.#between(LEAST_SHARE_AT_CAP * LONGEST_WAIT, LONGEST_WAIT));
  }

  #between(least: number, most: number): number {
    return least + (most - least) * this.#random();
  }

  /**
   * As TCP measures its round trips. Where many dial at once it takes this process a while to see that they have
   * connected: then only what is quicker than expected counts.
   */
  #learn(took: number): void {
    if (this.#average === undefined) {
      this.#average = took;
      this.#deviation = took / 2;
    } else if (this.#dialling <= CALM || took < this.#average) {
      // Slow to believe what is far off: that dial may have been lost once.
      const sample = Math.min(took, Math.max(LEAST_PATIENCE, 4 * this.#average));
      this.#deviation += (Math.abs(sample - this.#average) - this.#deviation) / 4;
      this.#average += (sample - this.#average) / (took < this.#average ? 2 : 8);
    }
  }
}
