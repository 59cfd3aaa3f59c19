/**
 * What is known of an endpoint: `healthy`, members dial at once; `probing`, one dial at a time finds out whether it is
 * there; `ramping`, it is there, and many members dial in a growing window.
 */
export type EndpointPhase = 'healthy' | 'probing' | 'ramping';

// Where the numbers come from: the simulation in benchmarks/herd, with a thousand processes of a hundred connections each,
// which find the server back within a second of each other. The comments say what other values cost there.

/**
 * Dials that may be under way at once after the first has connected. With 8, and windows that double each round, the
 * busiest second has half as many dials more.
 */
export const FIRST_WINDOW = 3;

/** Added to the window by each dial that connects, so that it grows by half with each round trip. */
const GROWTH = 0.5;

/** The same after a slow dial, in addition to one place a round: as TCP avoids congestion, but faster. */
const CAUTIOUS_GROWTH = 0.05;

/** The window is multiplied by this when a dial is slow. */
const CUT = 0.5;

/** The first wait after the endpoint has failed is up to this long, in milliseconds: a blip is soon over. */
const FIRST_WAIT = 50;
/** The waits after it are up to this share of the time that it has been gone … */
const SHARE = 0.1;
/** … but at least this, in milliseconds, … */
const LEAST_WAIT = 100;
/** … and at most this. They are drawn from the last quarter, so that many processes still spread. */
export const LONGEST_WAIT = 1_000;
const LEAST_DRAWN = 0.75;

/** With at most so many dials under way, the time that one takes is the network's alone, and not this process's. */
const CALM = 4;

/** No dial counts as slow before this, in milliseconds: less is the noise of the scheduler. */
export const LEAST_SLOW_AFTER = 30;

/**
 * Decides how many connections of one process may dial one endpoint at a time: a half-open probe while it is not known to
 * be there, and a slow start when it is. It has neither timer nor clock; `now` and every duration are in milliseconds.
 *
 * ```text
 *   probing ──► ramping   a dial connected: the others may follow
 *   ramping ──► healthy   no dial is under way any more
 *   healthy ──► ramping   as many dials at once as the first window holds
 *   healthy ──► probing   a dial failed
 *   ramping ──► probing   a dial failed, or one was slow when the window held only one
 * ```
 *
 * The window grows with each dial that connects. A slow dial most likely met a full accept queue, which drops packets:
 * its place is free, and the window is halved, once for all dials that began before. So many processes that know nothing
 * of each other come to share what the server can take.
 */
export class ConnectWindow {
  readonly #random: () => number;
  #phase: EndpointPhase = 'probing';
  #size = FIRST_WINDOW;
  #dialling = 0;
  /** When the endpoint was last known to be there, while it is not. */
  #goneSince: number | undefined;
  /** When the next dial may begin, while probing. */
  #nextAt = -Infinity;
  /** When the window was last halved, since the endpoint was last healthy. */
  #cutAt = -Infinity;
  #begunAt = -Infinity;
  #connectedAt = -Infinity;
  /** Time to connect: its moving average, and its mean deviation from that. */
  #average: number | undefined;
  #deviation = 0;

  /** @param options - `random`: returns a number from 0 to less than 1. Default: `Math.random`. */
  constructor(options?: { readonly random?: () => number }) {
    this.#random = options?.random ?? Math.random;
  }

  get phase(): EndpointPhase {
    return this.#phase;
  }

  /** Dials that may be under way at once, not counting slow ones. */
  get size(): number {
    return this.#phase === 'probing' ? 1 : Math.floor(this.#size);
  }

  /** Dials under way, not counting slow ones. */
  get dialling(): number {
    return this.#dialling;
  }

  /** Average time to connect; undefined while that is not known. */
  get connectTime(): number | undefined {
    return this.#average;
  }

  /** A dial without an answer is slow after this, several times as long as most take; undefined where nothing is known. */
  get slowAfter(): number | undefined {
    if (this.#average === undefined) return undefined;
    return Math.max(LEAST_SLOW_AFTER, 3 * this.#average + 4 * this.#deviation);
  }

  /**
   * Time until one more dial may begin: 0 for now. At most {@link LONGEST_WAIT}, so that dials which are never answered
   * do not hold up others for ever. Ask again when a dial has connected, failed or ended.
   */
  mayDial(now: number): number {
    if (this.#phase === 'probing') return Math.max(0, this.#nextAt - now);
    return this.#dialling < this.size ? 0 : Math.max(0, this.#begunAt + LONGEST_WAIT - now);
  }

  /** A dial begins. */
  begun(now: number): void {
    this.#dialling += 1;
    this.#begunAt = now;
    if (this.#phase === 'probing') this.#nextAt = now + this.#nextWait(now);
    else if (this.#dialling >= this.size) this.#phase = 'ramping';
  }

  /** A dial has connected, `took` after it began. */
  connected(now: number, took: number): void {
    this.#connectedAt = now;
    this.#learn(took);
    if (this.#phase !== 'probing') {
      this.#size += this.#cutAt === -Infinity ? GROWTH : CAUTIOUS_GROWTH + 1 / this.#size;
      return;
    }
    this.#phase = 'ramping';
    this.#size = FIRST_WINDOW;
  }

  /** A dial has failed before it was connected, `took` after it began. */
  failed(now: number, took: number): void {
    // A dial that began before another connected says nothing new.
    if (this.#phase === 'probing' || now - took < this.#connectedAt) return;
    this.#phase = 'probing';
    this.#nextAt = now + this.#nextWait(now);
  }

  /** A dial has had no answer for `slowFor`: its place is free. It may still connect or fail. */
  slow(now: number, slowFor: number): void {
    this.#dialling -= 1;
    // The window was halved for all dials that began before.
    if (this.#phase === 'probing' || now - slowFor < this.#cutAt) return;
    this.#cutAt = now;
    if (this.#size >= 2) {
      this.#size *= CUT;
      return;
    }
    this.#phase = 'probing';
    this.#nextAt = now + this.#nextWait(now);
  }

  /**
   * A dial is over: called after `connected()` or `failed()`, or alone when it was cancelled and says nothing of the
   * endpoint.
   *
   * @param wasSlow - Whether its place was free already.
   */
  ended(wasSlow = false): void {
    if (!wasSlow) this.#dialling -= 1;
    if (this.#dialling > 0 || this.#phase === 'probing') return;
    this.#phase = 'healthy';
    this.#size = FIRST_WINDOW;
    this.#goneSince = undefined;
    this.#cutAt = -Infinity;
  }

  /** A short wait first, then in proportion to how long the endpoint has been gone. */
  #nextWait(now: number): number {
    if (this.#goneSince === undefined) {
      this.#goneSince = now;
      return this.#between(0, FIRST_WAIT);
    }
    const longest = Math.min(LONGEST_WAIT, Math.max(LEAST_WAIT, SHARE * (now - this.#goneSince)));
    return this.#between(LEAST_DRAWN * longest, longest);
  }

  #between(least: number, most: number): number {
    return least + (most - least) * this.#random();
  }

  /**
   * As TCP measures its round trips. With many dials at once this process takes a while to notice that they have
   * connected: then only times below the average count.
   */
  #learn(took: number): void {
    if (this.#average === undefined) {
      this.#average = took;
      this.#deviation = took / 2;
    } else if (this.#dialling <= CALM || took < this.#average) {
      // An outlier counts for less: the packets of that dial may have been lost.
      const sample = Math.min(took, Math.max(LEAST_SLOW_AFTER, 4 * this.#average));
      this.#deviation += (Math.abs(sample - this.#average) - this.#deviation) / 4;
      this.#average += (sample - this.#average) / (took < this.#average ? 2 : 8);
    }
  }
}
