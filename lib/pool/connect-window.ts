/**
 * What is known of an endpoint: `clear`, those who dial pass; `probing`, one dial at a time finds out whether it is
 * there; `releasing`, many wish to dial and follow in a growing window.
 */
export type EndpointPhase = 'clear' | 'probing' | 'releasing';

// Where the numbers come from: the simulation in benchmarks/herd, with a thousand processes of a hundred connections each,
// which find the server back within a second of each other. The comments say what others cost there.

/**
 * Dials that may be under way at once when the first has come through. With 8, and windows that double each round, the
 * busiest second has half as many dials more.
 */
export const FIRST_WINDOW = 3;

/** What each dial that connects adds to the window, so that it grows by half with each round trip. */
const GROWTH = 0.5;

/** The same once dials have gone unanswered, beside one place for each round of them: as TCP avoids congestion, if bolder. */
const CAUTIOUS_GROWTH = 0.05;

/** What is left of the window when dials go unanswered. */
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
 *   clear     ──► releasing   as many dials at once as the first window holds
 *   clear     ──► probing     a dial failed
 *   releasing ──► probing     a dial failed, or one went unanswered when there was but one place left
 * ```
 *
 * The window grows with each dial that connects. One that goes unanswered most likely found a full accept queue, which
 * drops what comes: its place is free, and the window is cut, once for all dials that began before. So many processes
 * that know nothing of each other come to share what the server can take.
 */
export class ConnectWindow {
  readonly #random: () => number;
  #phase: EndpointPhase = 'probing';
  #window = FIRST_WINDOW;
  #dialling = 0;
  /** Since when it has not been known to be there. */
  #goneSince: number | undefined;
  /** While probing: when the next may dial. */
  #nextAt = -Infinity;
  /** When the window was last made smaller, since the endpoint was last clear. */
  #cutAt = -Infinity;
  #begunAt = -Infinity;
  #connectedAt = -Infinity;
  /** How long it takes to connect: a moving average, and how far from it dials are. */
  #average: number | undefined;
  #deviation = 0;

  /** @param options - `random`: where chance comes from, a number from 0 up to 1. Default: `Math.random`. */
  constructor(options?: { readonly random?: () => number }) {
    this.#random = options?.random ?? Math.random;
  }

  get phase(): EndpointPhase {
    return this.#phase;
  }

  /** Dials that may be under way at once, those that are overdue left out. */
  get window(): number {
    return this.#phase === 'probing' ? 1 : Math.floor(this.#window);
  }

  /** Dials under way, those that are overdue left out. */
  get dialling(): number {
    return this.#dialling;
  }

  /** How long it takes to connect, on average; undefined while that is not known. */
  get connectTime(): number | undefined {
    return this.#average;
  }

  /**
   * How long a dial may go without an answer before it is overdue, several times as long as most take; undefined where
   * nothing is known.
   */
  get patience(): number | undefined {
    if (this.#average === undefined) return undefined;
    return Math.max(LEAST_PATIENCE, 3 * this.#average + 4 * this.#deviation);
  }

  /**
   * How long until one more may dial: 0 for now. Never longer than {@link LONGEST_WAIT}, so that dials which are never
   * answered hold nobody for ever. Ask again when a dial has connected, failed or ended.
   */
  mayDial(now: number): number {
    if (this.#phase === 'probing') return Math.max(0, this.#nextAt - now);
    return this.#dialling < this.window ? 0 : Math.max(0, this.#begunAt + LONGEST_WAIT - now);
  }

  /** A dial begins. */
  begun(now: number): void {
    this.#dialling += 1;
    this.#begunAt = now;
    if (this.#phase === 'probing') this.#nextAt = now + this.#nextWait(now);
    else if (this.#dialling >= this.#window) this.#phase = 'releasing';
  }

  /** A dial has connected, `took` after it began. Who waits because a dial of its own has failed may come. */
  connected(now: number, took: number): void {
    this.#connectedAt = now;
    this.#learn(took);
    if (this.#phase !== 'probing') {
      this.#window += this.#cutAt === -Infinity ? GROWTH : CAUTIOUS_GROWTH + 1 / this.#window;
      return;
    }
    this.#phase = 'releasing';
    this.#window = FIRST_WINDOW;
  }

  /** A dial has failed before it was connected, `took` after it began. */
  failed(now: number, took: number): void {
    // What was asked before another was answered is old news.
    if (this.#phase === 'probing' || now - took < this.#connectedAt) return;
    this.#phase = 'probing';
    this.#nextAt = now + this.#nextWait(now);
  }

  /** A dial has had no answer in `took`, which was more than its patience: its place is free. It may still connect or fail. */
  overdue(now: number, took: number): void {
    this.#dialling -= 1;
    // What began before the last cut is what that was made for.
    if (this.#phase === 'probing' || now - took < this.#cutAt) return;
    this.#cutAt = now;
    if (this.#window >= 2) {
      this.#window *= CUT;
      return;
    }
    this.#phase = 'probing';
    this.#nextAt = now + this.#nextWait(now);
  }

  /**
   * A dial is over: after it has connected or failed, or alone where it was given up and says nothing of the endpoint.
   *
   * @param isOverdue - Whether its place was free already.
   */
  ended(isOverdue = false): void {
    if (!isOverdue) this.#dialling -= 1;
    if (this.#dialling > 0 || this.#phase === 'probing') return;
    this.#phase = 'clear';
    this.#window = FIRST_WINDOW;
    this.#goneSince = undefined;
    this.#cutAt = -Infinity;
  }

  /** A short one first, then in proportion to how long it has been gone. */
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
