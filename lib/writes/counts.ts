import type { WriteCount } from '../events/events';
import { Counter } from './write';

/** Writes by their fate. At every instant `accepted = confirmed + uncertain + dropped + queued`. */
export interface WriteTotals {
  /** Taken by `write()`. */
  readonly accepted: WriteCount;
  /** Taken by the kernel, which is not delivery. */
  readonly confirmed: WriteCount;
  /** Handed to a socket that died before it confirmed them. */
  readonly uncertain: WriteCount;
  /** Never sent. */
  readonly dropped: WriteCount;
  /** Waiting for a session, or for the socket of this one. */
  readonly queued: WriteCount;
  /** Not taken by `write()`, and so in none of the others. */
  readonly refused: WriteCount;
}

/** Counters for all but the writes that are still queued. */
export class WriteCounts {
  readonly accepted = new Counter();
  readonly confirmed = new Counter();
  readonly uncertain = new Counter();
  readonly dropped = new Counter();
  readonly refused = new Counter();

  totals(queued: WriteCount): WriteTotals {
    return {
      accepted: this.accepted.count,
      confirmed: this.confirmed.count,
      uncertain: this.uncertain.count,
      dropped: this.dropped.count,
      queued,
      refused: this.refused.count,
    };
  }
}
